"""The slow rails over a real ledger and real clearing, under a manual clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from runtime.clock import ManualClock
from scheme.cci import compose
from scheme.ledger import Owed
from scheme.profile import Profile
from switch.breakers import Breakers
from switch.core.sessions import NetworkState, Session
from switch.pathfinder import Pathfinder
from switch.payment_ports import Refused
from switch.payments import PaymentOrder
from switch.preferences import PreferenceBook
from switch.slow_rails import SlowRails
from switch.store import SqliteStore
from tests.support.settlement_world import FLEET, NOON, ClearingWorld, rules

CODES = ("0002", "0003", "0011", "0987", "0970", "0971")
MEMBERS = {
    one.code: replace(one, port=7300 + number) for number, one in enumerate(FLEET.participant)
}
AMOUNT = 1_000
FEE = 40
TOTAL = AMOUNT + FEE


def cci_of(code: str, account: int = 1) -> str:
    return compose(code[1:], "001", f"{account:012}")


def an_order(debtor: str = "0002", creditor: str = "0003", **changes: Any) -> PaymentOrder:
    order = PaymentOrder(
        debtor_agent=debtor,
        debtor_cci=cci_of(debtor),
        creditor_cci=cci_of(creditor, 2),
        amount=AMOUNT,
        currency="PEN",
        rail="deferred",
    )
    return replace(order, **changes)


class KeptOutbox:
    """Keeps what it is given, and delivers nothing."""

    def __init__(self) -> None:
        self.taken: list[Owed] = []

    def take(self, owed: Sequence[Owed]) -> None:
        self.taken.extend(owed)

    def told(self, payment: str) -> list[str]:
        """Return what was owed about a payment, in order: ``0002 pacs.002 ACSP``."""
        return [
            f"{one.participant} {one.owed_id.removeprefix(payment + ':').replace(':', ' ')}"
            for one in self.taken
            if one.subject == payment
        ]


class PaymentWorld:
    """One process's slow rails, over a file that outlives it."""

    def __init__(self, folder: Path, profile: Profile, clock: ManualClock) -> None:
        self.clearing = ClearingWorld(folder, profile, clock)
        self.clock = clock
        self.ledger = self.clearing.ledger
        self.store = SqliteStore(str(folder / "ledger.db"))
        self.outbox = KeptOutbox()
        self.network = NetworkState({code: Session(signed_on=True) for code in CODES})
        self.tasks: set[asyncio.Task[Any]] = set()
        service = self.clearing.service
        pathfinder = Pathfinder(
            network=lambda: self.network,
            fleet=MEMBERS,
            profile=profile,
            clock=clock,
            breakers=Breakers(profile.breaker, clock),
            preferences=PreferenceBook({}, ledger=self.ledger),
            is_business_day=service.is_business_day,
        )
        self.rails = SlowRails(
            ledger=self.ledger,
            store=self.store,
            outbox=self.outbox,
            fleet=MEMBERS,
            profile=profile,
            clock=clock,
            state=lambda: self.network,
            explain=pathfinder.explain,
            window_of=service.window,
            pump=lambda: self._spawn(service.lbtr.pump()),
            spawn=self._spawn,
        )
        service.on_settled_cycle = self.rails.settler.on_settled_cycle
        service.on_instruction_ended = self.rails.settler.on_instruction_ended

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)

    async def settled(self) -> None:
        """Wait until nothing runs in the background; raise what went wrong there."""
        while self.tasks:
            await self.tasks.pop()

    async def pay(self, order: PaymentOrder, key: str = "k1") -> dict[str, Any]:
        """Make a payment that is accepted; return the answer."""
        answer = await self.rails.payments.pay(order, key)
        assert isinstance(answer, bytes), answer
        await self.settled()
        decoded: dict[str, Any] = msgspec.json.decode(answer)
        return decoded

    async def refused(self, order: PaymentOrder, key: str = "k1") -> Refused:
        """Make a payment that is refused; return why."""
        answer = await self.rails.payments.pay(order, key)
        assert isinstance(answer, Refused), answer
        return answer

    def status(self, payment: str) -> str:
        found = self.store.payment(payment)
        assert found is not None
        return found.state.value

    async def settle_cycle(self) -> str:
        """Let the exchange cycle open now come to its cut-off and settle; return its id."""
        window = self.clearing.service.window("deferred", "PEN")
        await self.clock.advance(window.closes_at - self.clock.now())
        await self.clearing.wait_out(window.id)
        await self.settled()
        return window.id

    async def close(self) -> None:
        await self.settled()
        await self.clearing.close()
        self.store.close()


@asynccontextmanager
async def payment_world(
    folder: Path, profile: Profile | None = None, *, clock: ManualClock | None = None
) -> AsyncIterator[PaymentWorld]:
    """Open the file and start clearing and the rails on it, as a process does."""
    clock = clock or ManualClock(NOON)
    world = PaymentWorld(folder, profile or rules(current=10_000_000), clock)
    await world.clearing.service.start()
    await world.rails.settler.resume()
    try:
        yield world
    finally:
        await world.close()
