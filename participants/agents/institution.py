"""One simulated institution: what its desks share."""

import random
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import InitVar, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from participants.agents.ports import Books, ClearingHouse
from participants.core.book import Account
from participants.core.payment import Stamp
from participants.core.session import SessionState
from scheme.clock import Clock, wire_date_time
from scheme.ids import Sequence, retrieval_reference
from scheme.network import Participant
from scheme.profile import Profile

Spawn = Callable[[Coroutine[Any, Any, None]], None]
TRACES = (1, 799_999)
"""Own traces; from 800000 up the clearing house has its own."""


@dataclass(slots=True, kw_only=True)
class Institution:
    """What every desk of an institution works with.

    Attributes:
        reach: makes its way to the clearing house, ``house``.
        rng: decides latencies, and the two free digits of a retrieval reference.
        accounts: by CCI.
        network: codes of the other coops of its network; empty unless it is one.
        phones: CCI of the account that stands for a phone here.
        directories: codes that stand for an entity not known yet.
        spawn: runs a task of the institution until it ends or the fleet stops.
        has_magic: whether magic values act.
        latency_ms: median, in place of the fleet file's; None keeps that one.
    """

    entry: Participant
    profile: Profile
    clock: Clock
    rng: random.Random
    books: Books
    reach: InitVar[Callable[["Institution"], ClearingHouse]]
    session: SessionState
    directories: frozenset[str]
    spawn: Spawn
    network: frozenset[str] = frozenset()
    has_magic: bool = True
    latency_ms: float | None = None
    accounts: dict[str, Account] = field(default_factory=dict)
    phones: dict[str, str] = field(default_factory=dict)
    house: ClearingHouse = field(init=False)
    _traces: Sequence = field(init=False)

    def __post_init__(self, reach: "Callable[[Institution], ClearingHouse]") -> None:
        self.house = reach(self)
        # Not kept on disk: begun at a number that a restart within the same second does not meet.
        span = TRACES[1] - TRACES[0]
        started = int(self.clock.now().timestamp() * 10) % span
        self._traces = Sequence(*TRACES, start=TRACES[0] + started)

    @property
    def code(self) -> str:
        """Participant code."""
        return self.entry.code

    def keep(self, accounts: Iterable[Account]) -> None:
        """Take accounts into the books in memory; the first of a phone stands for it."""
        for account in accounts:
            self.accounts[account.cci] = account
            if account.affiliated:
                self.phones.setdefault(account.phone, account.cci)

    def account(self, cci_or_phone: str) -> Account | None:
        """Return the account of a CCI, or the one a phone stands for."""
        return self.accounts.get(self.phones.get(cci_or_phone, cci_or_phone))

    def stamp(self, now: datetime) -> Stamp:
        """Return date, time, a fresh trace and a retrieval reference."""
        date, time = wire_date_time(now)
        return Stamp(
            date=date,
            time=time,
            trace=f"{self._traces.take():06}",
            retrieval=retrieval_reference(now, self.rng.randrange(100)),
        )

    async def pause(self) -> None:
        """Take as long as this institution takes to answer."""
        median = self.latency_ms
        if median is None:
            median = self.entry.behaviour.latency_ms_median
        if median > 0:
            spread = self.rng.lognormvariate(0.0, self.entry.behaviour.latency_sigma)
            await self.wait_s(median * spread / 1000)

    async def wait_s(self, seconds: float) -> None:
        """Wait on the scheme's clock."""
        await self.clock.sleep_until(self.clock.now() + timedelta(seconds=seconds))

    def within(self, seconds: float) -> Any:
        """Return a context that ends its body after some seconds, as TimeoutError."""
        return self.clock.deadline(self.clock.now() + timedelta(seconds=seconds))
