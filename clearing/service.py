"""Clearing as the switch and its operator see it: positions, funding, windows, audit."""

import hashlib
from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import Struct

from clearing.core.audit import Audit
from clearing.core.position import funded
from clearing.core.window import Window, parse_cut_off, window_at
from clearing.ports import LedgerStore, NoticeOfMovement
from scheme.clock import Clock, to_ms
from scheme.ledger import (
    FUNDING_ACCOUNT,
    Account,
    Duplicate,
    Entry,
    Move,
    OpenPosition,
    Position,
    Short,
)
from scheme.network import Fleet, Participant
from scheme.profile import Profile

MOVEMENT_MINOR_MAX = 10**15
"""Largest funding or drawdown: far from where sums would leave 64 bits."""
KEY_CHARACTERS_MAX = 128
"""Longest idempotency key."""

_DIGEST_CHARACTERS = 64


class Movement(StrEnum):
    """The two ways money moves between a position and the central bank."""

    FUNDING = "funding"
    DRAWDOWN = "drawdown"


class Fault(StrEnum):
    """Whose fault a refusal is."""

    INVALID = "invalid"
    UNKNOWN = "unknown"
    CONFLICT = "conflict"


class Refusal(Struct, frozen=True, kw_only=True):
    """A lawful "no" to an operator.

    Attributes:
        error: what happened; field: where; hint: what to do next.
    """

    fault: Fault
    error: str
    field: str
    hint: str


class ClearingService:
    """Opens the fleet's positions and moves money between them and the central bank.

    Args:
        notice_of_movement: builds the SNM998 owed for a movement; written with it.
    """

    def __init__(
        self,
        ledger: LedgerStore,
        *,
        fleet: Fleet,
        profile: Profile,
        clock: Clock,
        notice_of_movement: NoticeOfMovement,
    ) -> None:
        self._ledger = ledger
        self._participants = fleet.by_code()
        self._prefund = profile.prefund
        self._cut_off = parse_cut_off(profile.windows.cut_off)
        self._clock = clock
        self._notice_of_movement = notice_of_movement
        self._windows: dict[tuple[str, str], Window] = {}

    async def open_positions(self) -> None:
        """Open, with its first prefund, every position of the fleet that does not exist yet."""
        await self._ledger.apply(tuple(self._openings()))

    def window(self, ledger: str, currency: str) -> Window:
        """Return the window open now. If the clock goes back, the window does not."""
        return self._window(ledger, currency, self._clock.now())

    def positions(self) -> tuple[Position, ...]:
        """Return the participants' positions, sorted; the contra accounts are left out."""
        every = (one for one in self._ledger.positions() if one.account.owner != FUNDING_ACCOUNT)
        return tuple(
            sorted(every, key=lambda p: (p.account.owner, p.account.ledger, p.account.currency))
        )

    async def audit(self) -> Audit:
        """Recount the ledger from its rows."""
        return await self._ledger.audit()

    async def move(
        self, movement: Movement, code: str, currency: str, minor: int, key: str
    ) -> bytes | Refusal:
        """Fund or draw down a position; a repeat of the same request changes nothing.

        Args:
            minor: amount in minor units.
            key: idempotency key of the request.

        Returns:
            The JSON answer ``{"position": ...}``; to a repeat the one given first, byte for
            byte.
        """
        refusal = self._check(code, currency, minor, key)
        if refusal is not None:
            return refusal
        account = self._account(self._participants[code], currency)
        before = self._ledger.position(account)
        assert before is not None, "every position of the fleet is open"
        delta = minor if movement is Movement.FUNDING else -minor
        after = funded(before, delta)
        answer = msgspec.json.encode({"position": position_view(after)})
        digest = _digest(movement, account, minor)
        command = Move(
            movement_id=f"move:{key}",
            entry=self._entry(movement, account, minor),
            # The answer is kept beside the digest, so that a repeat can be given it again.
            digest=digest + answer.decode(),
            at_ms=to_ms(self._clock.now()),
            owed=self._notice_of_movement(before, after),
        )
        (result,) = await self._ledger.apply((command,))
        match result:
            case Short(available_minor=available):
                return _too_much(available)
            case Duplicate(record=record):
                kept = record.decode()
                if kept[:_DIGEST_CHARACTERS] != digest:
                    return _OTHER_CONTENT
                return kept[_DIGEST_CHARACTERS:].encode()
            case _:
                return answer

    def _check(self, code: str, currency: str, minor: int, key: str) -> Refusal | None:
        participant = self._participants.get(code)
        if participant is None:
            return _UNKNOWN_PARTICIPANT
        if currency not in participant.currencies:
            held = ", ".join(participant.currencies)
            return _invalid("no position in this currency", "currency", f"one of {held}")
        if not 0 < minor <= MOVEMENT_MINOR_MAX:
            hint = f"minor units from 1 to {MOVEMENT_MINOR_MAX}"
            return _invalid("the amount is out of range", "amount", hint)
        if not 0 < len(key) <= KEY_CHARACTERS_MAX:
            hint = f"send a header of 1 to {KEY_CHARACTERS_MAX} characters, new for each movement"
            return _invalid("the idempotency key is missing or too long", "Idempotency-Key", hint)
        return None

    def _openings(self) -> Iterator[OpenPosition]:
        now = self._clock.now()
        prefund = self._prefund
        for participant in self._participants.values():
            for currency in participant.currencies:
                minor = participant.prefund.get(currency, prefund.minor.get(currency, 0))
                yield OpenPosition(
                    account=self._account(participant, currency),
                    prefund_minor=minor,
                    low_minor=minor * prefund.low_percent // 100,
                    high_minor=minor * prefund.high_percent // 100,
                    cap_minor=prefund.cap_minor.get(currency, 0),
                    window=self._window(participant.ledger, currency, now).id,
                    at_ms=to_ms(now),
                )

    def _window(self, ledger: str, currency: str, now: datetime) -> Window:
        window = self._windows.get((ledger, currency))
        if window is None or now >= window.closes_at:
            window = window_at(now, self._cut_off, ledger=ledger, currency=currency)
            self._windows[ledger, currency] = window
        return window

    def _entry(self, movement: Movement, account: Account, minor: int) -> Entry:
        contra = Account(ledger=account.ledger, currency=account.currency, owner=FUNDING_ACCOUNT)
        funding = movement is Movement.FUNDING
        return Entry(
            kind=movement.value,
            debit=contra if funding else account,
            credit=account if funding else contra,
            minor=minor,
            window=self.window(account.ledger, account.currency).id,
        )

    @staticmethod
    def _account(participant: Participant, currency: str) -> Account:
        return Account(ledger=participant.ledger, currency=currency, owner=participant.code)


def position_view(position: Position) -> dict[str, Any]:
    """Return a position as the operator API shows it; amounts in minor units."""
    return {
        "ledger": position.account.ledger,
        "currency": position.account.currency,
        "participant": position.account.owner,
        "balance": position.balance_minor,
        "reserved": position.reserved_minor,
        "available": position.available_minor,
        "low": position.low_minor,
        "high": position.high_minor,
        "cap": position.cap_minor,
        "alerted": position.alerted,
    }


_UNKNOWN_PARTICIPANT = Refusal(
    fault=Fault.UNKNOWN,
    error="no participant has this code",
    field="code",
    hint="GET /participants lists them",
)
_OTHER_CONTENT = Refusal(
    fault=Fault.CONFLICT,
    error="this key was used for another movement",
    field="Idempotency-Key",
    hint="send a new key with a new movement",
)


def _invalid(error: str, field: str, hint: str) -> Refusal:
    return Refusal(fault=Fault.INVALID, error=error, field=field, hint=hint)


def _too_much(available_minor: int) -> Refusal:
    return Refusal(
        fault=Fault.CONFLICT,
        error="a drawdown takes at most what is neither reserved nor credit",
        field="amount",
        hint=f"at most {max(available_minor, 0)} now",
    )


def _digest(movement: Movement, account: Account, minor: int) -> str:
    content = f"{movement}|{account.ledger}|{account.currency}|{account.owner}|{minor}"
    return hashlib.sha256(content.encode()).hexdigest()
