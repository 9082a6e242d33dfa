"""A day's payments replayed under other rules: what they would have needed, and who would lose.

Pure and in one pass: a scenario sees every payment once, in the order in which they were posted,
and keeps figures per participant only, so a million payments need no more memory than ten.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from clearing.core.failure import UNWOUND, remedy
from scheme.batch import Bearer
from scheme.ledger import GUARANTEE_ACCOUNT

DAY_MS: Final = 86_400_000
NONE: Final = "none"
MULTILATERAL: Final = "multilateral"
OFFSETTING: Final = (NONE, MULTILATERAL)
WINDOWS_MAX: Final = 96
"""Most windows in a day: one each quarter of an hour."""
UNCOVERED: Final = "uncovered"
"""What nobody bears: the rules were exhausted."""

Payment = tuple[int, str, str, int]
"""Milliseconds since the epoch, who pays, who is paid, minor units."""


class Rules(Struct, frozen=True, kw_only=True):
    """The rules of one replay.

    Attributes:
        windows: how many equal windows the day has.
        offsetting: ``multilateral``: each window settles by its nets; ``none``: every payment
            settles by itself.
        cap_minor: most a participant may have paid out more than it received since its last
            settlement; None: no cap. A payment beyond it is blocked, and the next one is tried.
        failing: who pays nothing in, or empty.
        on_failure: the cycle's rules, in their order.
        guarantee_minor: the guarantee fund at the start of the day.
        sponsors: sponsor by coop.
    """

    windows: int = 1
    offsetting: str = MULTILATERAL
    cap_minor: int | None = None
    failing: str = ""
    on_failure: tuple[str, ...] = ()
    guarantee_minor: int = 0
    sponsors: dict[str, str] = {}


class Needs(Struct, frozen=True, kw_only=True):
    """What a participant came to; minor units.

    Attributes:
        sent, received: of payments that were not blocked; net: received less sent.
        paid_in: sum of its net debits, window by window; 0 without netting.
        liquidity: money it has to have at the start of the day, if what it is paid serves again:
            its deepest point after a window's end; without netting after any payment.
        peak: most that others waited for from it at one moment, before it was settled; 0 without
            netting, where nobody waits.
        blocked: how many of its payments the cap blocked; blocked_minor: their value.
    """

    participant: str
    sent: int
    received: int
    paid_in: int
    liquidity: int
    peak: int
    blocked: int
    blocked_minor: int

    @property
    def net(self) -> int:
        """Received less sent."""
        return self.received - self.sent


class Outlook(Struct, frozen=True, kw_only=True):
    """What a day comes to under one set of rules.

    Attributes:
        participants: by code.
        payments, gross: number and value of what was not blocked.
        blocked, blocked_minor: of what the cap blocked.
        paid_in, liquidity: of all participants together.
        peak: the largest of their peaks.
        unpaid: what the failing participant did not pay in, all windows together.
        bearers: who bears it; ``uncovered`` where the rules are exhausted.
    """

    rules: Rules
    participants: tuple[Needs, ...]
    payments: int
    gross: int
    blocked: int
    blocked_minor: int
    paid_in: int
    liquidity: int
    peak: int
    unpaid: int
    bearers: tuple[Bearer, ...]


class Replay:
    """One scenario, fed with the day's payments in order.

    Args:
        start_ms: when the day begins.
    """

    def __init__(self, rules: Rules, start_ms: int) -> None:
        assert 0 < rules.windows <= WINDOWS_MAX
        assert rules.offsetting in OFFSETTING
        self._rules = rules
        self._start_ms = start_ms
        self._windows = rules.windows if rules.offsetting == MULTILATERAL else 1
        self._ends_ms = start_ms  # Of the present window: the first payment opens one.
        self._index: dict[str, int] = {}
        self._net: list[int] = []
        self._sent: list[int] = []
        self._received: list[int] = []
        self._received_before: list[int] = []
        self._peak: list[int] = []
        self._paid_in: list[int] = []
        self._settled: list[int] = []
        self._deepest: list[int] = []
        self._blocked: list[int] = []
        self._blocked_minor: list[int] = []
        self._payments = 0
        self._orders: dict[str, int] = {}  # Of the failing one, by creditor.
        self._fund = rules.guarantee_minor
        self._unpaid = 0
        self._borne: dict[tuple[str, str], int] = {}

    def feed(self, payments: Iterable[Payment]) -> None:
        """Replay some payments; those of a later day than the last window belong to it."""
        index, net, sent, received = self._index, self._net, self._sent, self._received
        peak, cap, failing = self._peak, self._rules.cap_minor, self._rules.failing
        for at_ms, debit, credit, minor in payments:
            if at_ms >= self._ends_ms:
                self._turn(at_ms)
            payer = index.get(debit)
            if payer is None:
                payer = self._add(debit)
            payee = index.get(credit)
            if payee is None:
                payee = self._add(credit)
            stand = net[payer] - minor
            if cap is not None and -stand > cap:
                self._blocked[payer] += 1
                self._blocked_minor[payer] += minor
                continue
            net[payer] = stand
            net[payee] += minor
            sent[payer] += minor
            received[payee] += minor
            if -stand > peak[payer]:
                peak[payer] = -stand
            self._payments += 1
            if debit == failing:
                self._orders[credit] = self._orders.get(credit, 0) + minor

    def outlook(self) -> Outlook:
        """Settle the last window and return what the day came to."""
        self._settle()
        is_gross = self._rules.offsetting == NONE
        needed = self._peak if is_gross else self._deepest
        peaks = [0] * len(self._peak) if is_gross else self._peak
        rows = tuple(
            Needs(
                participant=code,
                sent=self._sent[at],
                received=self._received[at],
                paid_in=self._paid_in[at],
                liquidity=needed[at],
                peak=peaks[at],
                blocked=self._blocked[at],
                blocked_minor=self._blocked_minor[at],
            )
            for code, at in sorted(self._index.items())
        )
        failing = self._rules.failing
        return Outlook(
            rules=self._rules,
            participants=rows,
            payments=self._payments,
            gross=sum(self._sent),
            blocked=sum(self._blocked),
            blocked_minor=sum(self._blocked_minor),
            paid_in=sum(self._paid_in),
            liquidity=sum(needed),
            peak=max(peaks, default=0),
            unpaid=self._unpaid,
            bearers=tuple(
                Bearer(participant=code, by=by, failing=failing, minor=minor)
                for (code, by), minor in sorted(self._borne.items())
            ),
        )

    def _add(self, code: str) -> int:
        at = self._index[code] = len(self._net)
        for figures in (
            self._net,
            self._sent,
            self._received,
            self._received_before,
            self._peak,
            self._paid_in,
            self._settled,
            self._deepest,
            self._blocked,
            self._blocked_minor,
        ):
            figures.append(0)
        return at

    def _turn(self, at_ms: int) -> None:
        """Settle the present window and open the one of this moment."""
        self._settle()
        number = (at_ms - self._start_ms) * self._windows // DAY_MS
        # Rounded up: a window ends at the first whole millisecond that belongs to the next.
        self._ends_ms = self._start_ms - (-(number + 1) * DAY_MS // self._windows)

    def _settle(self) -> None:
        """End a window: net debtors pay in, net creditors are paid, all begin from zero."""
        if self._rules.offsetting == NONE:
            return  # Everything is settled payment by payment; the day is one.
        self._fail()
        for at, minor in enumerate(self._net):
            if minor < 0:
                self._paid_in[at] -= minor
            self._settled[at] += minor
            self._deepest[at] = max(self._deepest[at], -self._settled[at])
            self._net[at] = 0
        self._received_before[:] = self._received
        self._orders.clear()

    def _fail(self) -> None:
        """Let the failing participant's pay-in be borne as the rules say."""
        failing = self._rules.failing
        at = self._index.get(failing)
        if at is None or self._net[at] >= 0:
            return
        unpaid = -self._net[at]
        self._unpaid += unpaid
        received = {
            code: self._received[i] - self._received_before[i]
            for code, i in self._index.items()
            if code != failing
        }
        found = remedy(
            {failing: unpaid},
            self._rules.on_failure,
            available=lambda owner: self._fund if owner == GUARANTEE_ACCOUNT else unpaid,
            received=received,
            sponsors=self._rules.sponsors,
        )
        if found is None:
            self._bear(UNCOVERED, UNCOVERED, unpaid)
            return
        if found.unwound:
            self._unwind()
            return
        for one in found.bearers:
            if one.participant == GUARANTEE_ACCOUNT:
                self._fund -= one.minor
            self._bear(one.participant, one.by, one.minor)

    def _unwind(self) -> None:
        """Give the failing participant's own orders back; the others settle what is left."""
        failing = self._rules.failing
        for code, minor in self._orders.items():
            self._net[self._index[code]] -= minor
            self._net[self._index[failing]] += minor
        self._bear(failing, UNWOUND, sum(self._orders.values()))

    def _bear(self, code: str, by: str, minor: int) -> None:
        self._borne[code, by] = self._borne.get((code, by), 0) + minor


def scenarios(
    windows: Sequence[int], rules: Rules, *, with_gross: bool = True
) -> tuple[Rules, ...]:
    """Return the rules to compare: each number of windows, and no netting beside them."""
    gross = replace(rules, windows=1, offsetting=NONE, failing="")
    if rules.offsetting == NONE:
        return (gross,)
    compared = tuple(replace(rules, windows=number) for number in windows)
    return (*compared, gross) if with_gross else compared


def replay(
    payments: Iterable[Sequence[Payment]], rules: Iterable[Rules], start_ms: int
) -> tuple[Outlook, ...]:
    """Return what a day comes to under each of the rules.

    Args:
        payments: in the order of their posting, some at a time.
    """
    replays = [Replay(one, start_ms) for one in rules]
    for some in payments:
        for one in replays:
            one.feed(some)
    return tuple(one.outlook() for one in replays)
