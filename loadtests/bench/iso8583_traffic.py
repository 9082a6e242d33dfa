"""Cores of debtor agents that keep a number of transfers in flight over a few kept links."""

import asyncio
import random
from collections.abc import Sequence
from itertools import cycle
from time import perf_counter

from msgspec import Struct

from loadtests.bench.iso8583_frames import APPROVED, Template, elements
from loadtests.bench.iso8583_link import NO_MAC, CoreLink, Identity, dial
from loadtests.bench.orders import AMOUNTS, Payee
from loadtests.bench.traffic import ANSWER_S_MAX, Book, Entry, Outcome, Round
from scheme import cci
from scheme.clock import Clock, wire_date_time
from scheme.wire.iso8583_spec import Fields
from scheme.wire.iso8583_tlv import encode_tlv

_STANS = 1_000_000
_STAMP_S = 1.0
_PROCESSING_CODE = "401010"
_SOLES = "604"


class _Sent(Struct, frozen=True, gc=False):
    """A request that waits for its answer."""

    begun: float
    cents: int
    amount: bytes
    rrn: bytes
    debtor: str
    payee: Payee
    link: CoreLink


class _Stamp(Struct, frozen=True, gc=False):
    """The instant as messages write it: DE7, then DE12 and DE13."""

    sent: bytes
    local: tuple[bytes, bytes]

    @classmethod
    def of(cls, clock: Clock) -> "_Stamp":
        """Return it for now."""
        now = clock.now()
        date, time = wire_date_time(now)
        return cls(f"{now:%m%d%H%M%S}".encode(), (time.encode(), date[4:].encode()))


def transfer(debtor: str, creditor: str, account: str, fee: int) -> Fields:
    """Return a 0200 for a transfer, with any values where those of one transfer stand."""
    parties = {
        "01": creditor, "04": "SOCIO DE CARGA SIMULADO", "05": "2", "06": "00000992",
        "08": "SOCIA DE CARGA SIMULADA", "09": "N", "11": f"{fee}", "12": "M", "13": "O",
        "14": "PAGO DE CARGA",
    }  # fmt: skip
    return {
        "t": "0200", "3": _PROCESSING_CODE, "4": f"{0:012}", "7": f"{0:010}", "11": f"{0:06}",
        "12": f"{0:06}", "13": f"{0:04}", "22": "010", "32": debtor, "37": f"{0:012}",
        "41": "BENCH001", "42": f"{'CARGA':<15}", "48": encode_tlv(parties), "49": _SOLES,
        "102": account, "103": cci.placeholder(creditor[1:]),
    }  # fmt: skip


class IsoTraffic:
    """Drives transfers, one 0200 each, at one address.

    Args:
        debtors: the cores that send, each on ``links_each`` links.
        payees: whom they pay, at random.
    """

    def __init__(
        self,
        port: int,
        debtors: Sequence[Identity],
        payees: Sequence[Payee],
        book: Book,
        clock: Clock,
        *,
        seed: int,
        in_flight: int = 64,
        links_each: int = 2,
    ) -> None:
        assert debtors
        assert payees
        assert 0 < in_flight < _STANS
        self._port = port
        self._debtors = debtors
        self._payees = [(payee, f"{len(payee.cci):02}{payee.cci}".encode()) for payee in payees]
        self._book = book
        self._clock = clock
        self._rng = random.Random(seed)
        self._in_flight = in_flight
        self._links_each = links_each
        self._templates = self._prepared(payees)
        self._links: list[CoreLink] = []
        self._pending: dict[bytes, _Sent] = {}
        self._number = 0
        self._stamped_at = 0.0
        self._stamp = _Stamp.of(clock)
        self._ends_at = 0.0
        self._over: asyncio.Future[None] | None = None
        self._latencies_ms: list[float] = []
        self.strays = 0

    @property
    def wrong_macs(self) -> int:
        """Messages whose MAC did not hold."""
        return sum(link.wrong_macs for link in self._links)

    async def open(self, *, sign_on: bool) -> None:
        """Open all links.

        Args:
            sign_on: and exchange keys; not at a relay, which knows nothing of it.

        Raises:
            RefusedLink: one of them could not.
        """
        for who in self._debtors:
            for _ in range(self._links_each):
                link = await dial(self._port, who, self._answered, self._lost)
                self._links.append(link)
                if sign_on:
                    await link.sign_on(_Stamp.of(self._clock).sent.decode(), self._number)
                    self._number += 2

    async def run(self, *, seconds: float) -> Round:
        """Keep the asked number in flight for a time, then let them end.

        What has no answer long after that is unknown.
        """
        self._latencies_ms = []
        begun = perf_counter()
        self._ends_at = begun + seconds
        over = self._over = asyncio.get_running_loop().create_future()
        ways = cycle(self._links)
        for _ in range(self._in_flight):
            self._send(next(ways))
        try:
            async with asyncio.timeout(seconds + ANSWER_S_MAX):
                await over
        except TimeoutError:
            self._give_up(list(self._pending))
        elapsed = perf_counter() - begun
        return Round(len(self._latencies_ms), elapsed, self._latencies_ms)

    def close(self) -> None:
        """Close all links."""
        for link in self._links:
            link.close()

    def _prepared(self, payees: Sequence[Payee]) -> dict[tuple[str, str], Template]:
        fees = {payee.participant: payee.fee for payee in payees}
        made = {}
        for who in self._debtors:
            account = cci.compose(who.code[1:], "999", f"{self._rng.randrange(10**12):012}")
            for creditor, fee in fees.items():
                fields = transfer(who.code, creditor, account, fee)
                made[who.code, creditor] = Template(fields, sealed=who.mac != NO_MAC)
        return made

    def _send(self, link: CoreLink) -> None:
        begun = perf_counter()
        if begun >= self._ends_at or not link.is_open:
            self._end_if_idle()
            return
        if begun - self._stamped_at > _STAMP_S:
            self._stamp, self._stamped_at = _Stamp.of(self._clock), begun
        self._number += 1
        stan, rrn = b"%06d" % (self._number % _STANS), b"%012d" % self._number
        payee, account = self._payees[int(self._rng.random() * len(self._payees))]
        cents = AMOUNTS[0] + int(self._rng.random() * (AMOUNTS[1] - AMOUNTS[0]))
        amount = b"%012d" % cents
        code = link.who.code
        self._pending[stan] = _Sent(begun, cents, amount, rrn, code, payee, link)
        stamp = self._stamp
        template = self._templates[code, payee.participant]
        link.send(template.fill(amount, stamp.sent, stan, stamp.local, rrn, account))

    def _answered(self, link: CoreLink, body: bytes) -> None:
        said = elements(body)
        stan = said.get(11, b"")
        sent = self._pending.get(stan)
        if sent is None or sent.link is not link:
            self.strays += 1
            return
        del self._pending[stan]
        reason = _objection(sent, said)
        if not reason:
            self._latencies_ms.append((perf_counter() - sent.begun) * 1000)
        self._note(sent, "refused" if reason else "accepted", reason)
        self._send(link)

    def _lost(self, link: CoreLink) -> None:
        self._give_up([stan for stan, sent in self._pending.items() if sent.link is link])
        self._end_if_idle()

    def _give_up(self, stans: Sequence[bytes]) -> None:
        for stan in stans:
            self._note(self._pending.pop(stan), "unknown", "")

    def _note(self, sent: _Sent, outcome: Outcome, reason: str) -> None:
        minor = sent.cents + sent.payee.fee
        self._book.note(Entry(outcome, "", "", reason, sent.debtor, sent.payee.participant, minor))

    def _end_if_idle(self) -> None:
        if not self._pending and self._over is not None and not self._over.done():
            self._over.set_result(None)


def _objection(sent: _Sent, said: dict[int, bytes]) -> str:
    """Return what an answer says, or has wrong; empty for an approval of what was asked."""
    if said.get(37) != sent.rrn or said.get(4) != sent.amount:
        return "an answer to something else: DE37 or DE4 differs"
    code = said.get(39, b"??")
    if code == APPROVED:
        return ""
    return f"DE39 {code.decode()} DE62 {said.get(62, b'').decode(errors='replace')}"
