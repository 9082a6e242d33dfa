"""Debtor agents that keep a number of transfers in flight, and a book of what they were told."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from time import perf_counter
from typing import Literal, TextIO

import msgspec
from msgspec import Struct

from loadtests.bench.lean_http import BrokenLink, Link, request
from loadtests.bench.orders import Debtor, Payee, Verdict
from scheme.clock import Clock

BASE_PATH = "/ssv2/payment-api/v3.5.0/"
ANSWER_S_MAX = 30.0
"""Seconds after which an answer counts as lost; far beyond the scheme's own deadlines."""
_AGAIN_S = 0.2
_OK = 200

Outcome = Literal["accepted", "refused", "unknown"]


class Entry(Struct, frozen=True, gc=False):
    """One line of the book.

    Attributes:
        instruction_id: the transfer's, as CT4 gave it; empty if none came.
        reference: the AV4's id that the order quoted.
        reason: why it was refused.
        minor: cents that settle, fee included.
    """

    outcome: Outcome
    instruction_id: str
    reference: str
    reason: str
    debtor: str
    creditor: str
    minor: int


@dataclass(slots=True)
class Book:
    """What the debtor agents were told, summed up; and each transfer, if a file is given."""

    file: TextIO | None = None
    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    paid: Counter[str] = field(default_factory=Counter)
    received: Counter[str] = field(default_factory=Counter)
    lost_verifications: int = 0

    def note(self, entry: Entry) -> None:
        """Enter one transfer; on the file at once, so that a kill loses nothing."""
        self.outcomes[entry.outcome] += 1
        if entry.outcome == "accepted":
            self.paid[entry.debtor] += entry.minor
            self.received[entry.creditor] += entry.minor
        elif entry.reason:
            self.reasons[entry.reason] += 1
        if self.file is not None:
            self.file.write(msgspec.json.encode(entry).decode() + "\n")
            self.file.flush()


class Round(Struct, frozen=True):
    """One run: how many were accepted, in which time, and how long each took."""

    transfers: int
    elapsed_s: float
    latencies_ms: list[float]


class _Quota:
    """Says when to begin no more: after a time, or a number."""

    def __init__(self, ends_at: float | None, transfers: int | None) -> None:
        self._ends_at = ends_at
        self._left = transfers

    def take(self, now: float) -> bool:
        """Return whether one more may begin."""
        if self._ends_at is not None and now >= self._ends_at:
            return False
        if self._left is not None:
            if self._left <= 0:
                return False
            self._left -= 1
        return True

    def give_back(self) -> None:
        """Return one that came to nothing before an order was sent."""
        if self._left is not None:
            self._left += 1


class Traffic:
    """Drives whole transfers at one address, AV1 and then CT1, over kept connections.

    Args:
        debtors: who sends, in turn.
        in_flight: transfers at the same time, each on a connection of its own.
        patience_s: seconds for which an order without an answer is sent again as 0201; 0: it
            is unknown at once.
    """

    def __init__(
        self,
        port: int,
        debtors: Sequence[Debtor],
        book: Book,
        clock: Clock,
        *,
        in_flight: int = 64,
        patience_s: float = 0.0,
        host: str = "127.0.0.1",
    ) -> None:
        assert debtors
        assert in_flight > 0
        self._host = host
        self._port = port
        self._book = book
        self._clock = clock
        self._patience_s = patience_s
        senders: Iterator[Debtor] = cycle(debtors)
        self._lanes = [_Lane(next(senders)) for _ in range(in_flight)]
        self._latencies_ms: list[float] = []

    async def run(self, *, seconds: float | None = None, transfers: int | None = None) -> Round:
        """Keep all lanes busy for a time or a number of transfers, then let them end.

        With both, whichever ends first.
        """
        assert seconds is not None or transfers is not None, "a load is bounded"
        self._latencies_ms = []
        begun = perf_counter()
        quota = _Quota(None if seconds is None else begun + seconds, transfers)
        async with asyncio.TaskGroup() as group:
            for lane in self._lanes:
                group.create_task(self._drive(lane, quota))
        elapsed = perf_counter() - begun
        return Round(len(self._latencies_ms), elapsed, self._latencies_ms)

    async def sign_on(self) -> None:
        """Open the session of every agent; one that is open already stays so.

        Raises:
            BrokenLink: the answer was not 200.
        """
        by_code = {lane.debtor.code: lane for lane in self._lanes}
        for lane in by_code.values():
            await self._post(lane, "SignOn1", lane.debtor.sign_on(self._clock.now()))

    def close(self) -> None:
        """Close all connections."""
        for lane in self._lanes:
            lane.close()

    async def _drive(self, lane: "_Lane", quota: _Quota) -> None:
        # uvloop's own time moves once a turn, which is too coarse here.
        while quota.take(perf_counter()):
            begun = perf_counter()
            accepted = await self._transfer(lane)
            if accepted:
                self._latencies_ms.append((perf_counter() - begun) * 1000)
            elif accepted is None:
                quota.give_back()

    async def _transfer(self, lane: "_Lane") -> bool | None:
        """Return whether it was accepted; None if no order was sent."""
        payee, cents = lane.debtor.draw()
        verified = await self._verify(lane, payee)
        if verified is None:
            return None
        if not verified.accepted:
            self._note(lane, payee, cents, verified, verified)
            return False
        settled = await self._order(lane, payee, cents, verified)
        self._note(lane, payee, cents, verified, settled)
        return settled is not None and settled.accepted

    async def _verify(self, lane: "_Lane", payee: Payee) -> Verdict | None:
        try:
            return lane.debtor.verified(
                await self._post(lane, "AV1", lane.debtor.verification(payee, self._clock.now()))
            )
        except BrokenLink:
            # No money is concerned: the next transfer begins with a new query.
            self._book.lost_verifications += 1
            await asyncio.sleep(_AGAIN_S)
            return None

    async def _order(
        self, lane: "_Lane", payee: Payee, cents: int, verified: Verdict
    ) -> Verdict | None:
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + self._patience_s
        repeat = False
        while True:
            now = self._clock.now()
            body = lane.debtor.order(payee, cents, verified, now, repeat=repeat)
            try:
                return lane.debtor.settled(await self._post(lane, "CT1", body))
            except BrokenLink:
                if loop.time() >= ends_at:
                    return None
            repeat = True
            await asyncio.sleep(_AGAIN_S)

    async def _post(self, lane: "_Lane", name: str, body: bytes) -> bytes:
        link = await lane.link(self._host, self._port)
        # Half the price of asyncio.timeout; closing fails who waits.
        guard = asyncio.get_running_loop().call_later(ANSWER_S_MAX, link.close)
        trace = f"{lane.debtor.code[1:]}000001"
        try:
            status, answered = await link.send(request(BASE_PATH + name, body, request_id=trace))
        finally:
            guard.cancel()
        if status != _OK:
            raise BrokenLink(f"HTTP {status}")
        return answered

    def _note(
        self, lane: "_Lane", payee: Payee, cents: int, verified: Verdict, settled: Verdict | None
    ) -> None:
        outcome: Outcome = "unknown"
        if settled is not None:
            outcome = "accepted" if settled.accepted else "refused"
        self._book.note(
            Entry(
                outcome,
                settled.instruction_id if settled is not None else "",
                verified.instruction_id,
                settled.reason if settled is not None else "",
                lane.debtor.code,
                payee.participant,
                cents + payee.fee,
            )
        )


class _Lane:
    """One transfer at a time, on one connection."""

    def __init__(self, debtor: Debtor) -> None:
        self.debtor = debtor
        self._link: Link | None = None

    async def link(self, host: str, port: int) -> Link:
        """Return the open connection, a new one if need be."""
        if self._link is None or not self._link.is_open:
            self._link = await Link.to(host, port)
        return self._link

    def close(self) -> None:
        """Close the connection."""
        if self._link is not None:
            self._link.close()
