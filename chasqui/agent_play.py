"""Playing a terminal: what it is asked for at the counter, alone or live."""

import random
from collections.abc import Callable, Sequence
from gettext import gettext as _
from typing import Final

from msgspec import Struct

from chasqui.agent_counter import Counter
from chasqui.agent_receipts import ReceiptRow, receipt_row
from chasqui.agent_sync import SessionResult
from chasqui.agent_words import stop_text
from chasqui.answers import Account, Participant
from chasqui.country import Country
from chasqui.exits import ExitCode, Failure, Misused, Refused
from chasqui.output import span
from participants.core.agent_book import Entry, Wish
from participants.core.agent_limits import Stop, StopReason
from scheme.wire.agent_payload import MOVES_MONEY, Kind

_INSTITUTIONS: Final = 6
_ACCOUNTS: Final = 25
"""Of each institution, as many as are wanted for a day at one counter."""
_CURRENCY: Final = "PEN"
_SHARES: Final = {
    Kind.CASH_IN: 4,
    Kind.CASH_OUT: 3,
    Kind.CREDIT_PAYMENT: 1,
    Kind.CONTRIBUTION: 1,
    Kind.TRANSFER: 2,
    Kind.BALANCE: 1,
    Kind.STATEMENT: 1,
}
_MINOR: Final = {"least": 10, "most": 60, "step": 100}


class Neighbours(Struct, frozen=True):
    """The accounts of those who come to a counter.

    Attributes:
        members: of cores on ISO 8583, who can be paid out; coops: of cooperatives.
    """

    anyone: tuple[Account, ...]
    members: tuple[Account, ...]
    coops: tuple[Account, ...]


class LiveResult(Struct, frozen=True):
    """How long live operations took, in milliseconds."""

    count: int
    p50_ms: float
    p99_ms: float


class PlayResult(Struct, frozen=True, kw_only=True):
    """What came of playing a terminal.

    Attributes:
        made: how many operations; stopped: why it made no more, or empty.
        receipts: the first ones.
        duplicated, lost, moved: payloads that the rehearsal spoilt.
    """

    made: int
    stopped: str
    receipts: tuple[ReceiptRow, ...]
    duplicated: int = 0
    lost: int = 0
    moved: int = 0
    live: LiveResult | None = None
    session: SessionResult


def neighbours(country: Country) -> Neighbours:
    """Find accounts of the running country.

    Raises:
        Misused: there are none.
    """
    found: dict[str, list[Account]] = {"anyone": [], "members": [], "coops": []}
    asked = 0
    for one in sorted(country.participants(), key=_cores_first):
        if not (one.hook_url and one.signed_on) or one.kind == "acquirer":
            continue
        accounts = _accounts(country, one)
        found["anyone"] += accounts
        found["members"] += accounts if _is_core(one) else []
        found["coops"] += accounts if one.kind == "coop" else []
        asked += bool(accounts)
        if asked == _INSTITUTIONS:
            break
    if not found["anyone"]:
        raise Misused(
            _("Nobody here has an account in {currency}.").format(currency=_CURRENCY),
            _("See how the institutions stand: chasqui participants"),
        )
    return Neighbours(**{name: tuple(rows) for name, rows in found.items()})


def wishes(found: Neighbours, kinds: Sequence[Kind], chance: random.Random) -> Callable[[], Wish]:
    """Return what makes up the next wish of somebody at the counter.

    Raises:
        Misused: nobody can ask for any of these kinds.
    """
    whose = {kind: rows for kind in kinds if (rows := _whose(found, kind))}
    if not whose:
        raise Misused(
            _("No institution here serves these kinds."),
            _("See how the institutions stand: chasqui participants"),
        )
    weights = [_SHARES[kind] for kind in whose]

    def following() -> Wish:
        (kind,) = chance.choices(list(whose), weights)
        account = chance.choice(whose[kind])
        minor = chance.randint(_MINOR["least"], _MINOR["most"]) * _MINOR["step"]
        return Wish(kind=kind, minor=minor if kind in MOVES_MONEY else 0, account=account.cci)

    return following


async def play_alone(
    counter: Counter, following: Callable[[], Wish], *, count: int, seconds: int
) -> tuple[list[Entry], Stop | None]:
    """Make operations as if the terminal had been alone for so long; nobody waits.

    A session comes first, as nobody works alone without limits that were told.
    """
    await counter.connect()
    await counter.settle(counter.within_s)
    await counter.disconnect()
    now = int(counter.clock.now().timestamp())
    await counter.agent.backdate(seconds)
    made: list[Entry] = []
    for number in range(count):
        at = now - seconds + (number + 1) * seconds // count
        entry = await counter.agent.make(following(), offline=True, at=at)
        if isinstance(entry, Stop):
            return made, entry
        made.append(entry)
    return made, None


class Live(Struct):
    """Live operations so far.

    Attributes:
        stopped: why no more were made, or empty; exit_code: how a command ends with that.
    """

    made: list[Entry] = []
    times: list[float] = []
    stopped: str = ""
    exit_code: ExitCode = ExitCode.DONE

    @property
    def latencies(self) -> LiveResult | None:
        """How long they took."""
        return _latencies(self.times)


async def play_live(counter: Counter, following: Callable[[], Wish], *, count: int) -> Live:
    """Make live operations one after the other, each when the last one has its verdict.

    A connection that is lost is waited for; what came of it is told in the result.
    """
    await counter.connect()
    live = Live()
    try:
        while len(live.made) < count and not live.stopped:
            live.stopped = await _one_live(counter, following(), live)
    except Refused as error:
        live.stopped = f"{error.message} {error.hint}".strip()
        live.exit_code = ExitCode.REFUSED
    else:
        live.exit_code = ExitCode.UNKNOWN if live.stopped else ExitCode.DONE
    return live


async def _one_live(counter: Counter, wish: Wish, live: Live) -> str:
    """Make one, and return why there can be no more after it."""
    start = counter.clock.now_us()
    entry = await counter.agent.make(wish, offline=False)
    while isinstance(entry, Stop):
        if entry.reason is not StopReason.NO_LINK or not await counter.in_session(counter.within_s):
            return stop_text(entry, wish.currency)
        start = counter.clock.now_us()
        entry = await counter.agent.make(wish, offline=False)
    live.made.append(entry)
    is_told = await counter.wait(counter.agent.verdict(entry.seq), counter.within_s)
    live.made[-1] = counter.terminal.entry(entry.seq) or entry
    if not is_told:
        text = _("Operation {seq} has no verdict after {span}.")
        return text.format(seq=entry.seq, span=span(counter.within_s))
    live.times.append((counter.clock.now_us() - start) / 1000)
    return ""


def receipts(device: str, made: Sequence[Entry], most: int) -> tuple[ReceiptRow, ...]:
    """Return the first receipts as they were handed out, before anything was sent."""
    return tuple(receipt_row(device, entry) for entry in made[:most])


def _latencies(times: list[float]) -> LiveResult | None:
    if not times:
        return None
    ranked = sorted(times)
    last = len(ranked) - 1
    return LiveResult(
        len(ranked), round(ranked[last // 2], 2), round(ranked[round(last * 0.99)], 2)
    )


def _whose(found: Neighbours, kind: Kind) -> tuple[Account, ...]:
    if kind in {Kind.CASH_OUT, Kind.BALANCE, Kind.STATEMENT}:
        return found.members
    return found.coops if kind in {Kind.CREDIT_PAYMENT, Kind.CONTRIBUTION} else found.anyone


def _accounts(country: Country, one: Participant) -> list[Account]:
    try:
        rows = list(country.accounts(one, limit=_ACCOUNTS))
    except Failure:
        return []  # Not there just now: others are.
    return [row for row in rows if row.currency == _CURRENCY]


def _is_core(one: Participant) -> bool:
    return one.lane == "iso8583" and one.kind == "coop"


def _cores_first(one: Participant) -> tuple[bool, bool, str]:
    return (not _is_core(one), one.kind != "coop", one.code)
