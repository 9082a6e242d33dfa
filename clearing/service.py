"""Clearing as the switch and its operator see it: positions, windows, settlement, audit."""

import hashlib
from collections.abc import Callable, Sequence
from datetime import date
from enum import StrEnum
from typing import Any

import msgspec

from clearing.accounts import openings
from clearing.core.audit import Audit
from clearing.core.position import funded
from clearing.core.window import Window
from clearing.holiday_table import calendar
from clearing.lbtr import Lbtr
from clearing.ports import LedgerStore, NoticeOfMovement
from clearing.refusals import Fault, Refusal, conflict, invalid, unknown
from clearing.windows import NoticesOfWindow, WindowKeeper
from scheme.clock import Clock, to_ms
from scheme.ledger import (
    DALE,
    FUNDING_ACCOUNT,
    MONEY_OF,
    NATIONAL,
    Account,
    Duplicate,
    Entry,
    Move,
    Owed,
    Position,
    Result,
    Short,
    prefund_owner,
)
from scheme.limits import LEDGER_SUM_MINOR_MAX
from scheme.network import Fleet, Participant
from scheme.profile import Profile
from scheme.standing import Instruction

__all__ = ["ClearingService", "Fault", "Movement", "Refusal", "position_view"]

MOVEMENT_MINOR_MAX = 10**15
"""Largest funding or drawdown: far from where sums would leave 64 bits."""
KEY_CHARACTERS_MAX = 128
"""Longest idempotency key."""

_DIGEST_CHARACTERS = 64


class Movement(StrEnum):
    """The two ways money moves between a position and the central bank."""

    FUNDING = "funding"
    DRAWDOWN = "drawdown"


class Cash(StrEnum):
    """The two ways money enters and leaves the ledgers of money."""

    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"


class ClearingService:
    """Opens the fleet's positions, moves money, and keeps windows and their settlement.

    Args:
        notice_of_movement: builds the SNM998 owed for a movement; written with it.
        notices_of_window: builds the SNM999 owed for a closed window; written with its batch.

    Attributes:
        windows: the keeper of the windows.
        lbtr: the ledgers of money; ``pump`` it after instructions were queued.
        on_settled_cycle: told the end of an exchange cycle, once it is on disk: its window, and
            the orders that were unwound.
        on_instruction_ended: told of customers' payments that were settled or dropped.
        on_owed: told of messages that are owed from now on.
    """

    def __init__(
        self,
        ledger: LedgerStore,
        *,
        fleet: Fleet,
        profile: Profile,
        clock: Clock,
        notice_of_movement: NoticeOfMovement,
        notices_of_window: NoticesOfWindow = lambda _, __: (),
    ) -> None:
        self._ledger = ledger
        self._participants = fleet.by_code()
        self._profile = profile
        self._clock = clock
        self._notice_of_movement = notice_of_movement
        self._calendar = calendar(profile.windows, clock.now().year)
        self.lbtr = Lbtr(ledger, profile=profile, calendar=self._calendar, clock=clock)
        members = self._participants.values()
        self.windows = WindowKeeper(
            ledger,
            self.lbtr,
            names={one.code: one.name for one in members},
            currencies=sorted({currency for one in members for currency in one.currencies}),
            sponsors={one.code: one.sponsor for one in members if one.is_tiered},
            profile=profile,
            calendar=self._calendar,
            clock=clock,
            notices=notices_of_window,
        )
        self.on_settled_cycle: Callable[[str, frozenset[str]], None] | None = None
        self.on_instruction_ended: Callable[[Instruction], None] | None = None
        self.on_owed: Callable[[Sequence[Owed]], None] | None = None
        self.windows.batches.on_settled = self._settled_cycle
        self.windows.on_owed = self._owed
        self.lbtr.on_ended = self._instruction_ended

    async def start(self) -> None:
        """Open windows and positions that are not open yet; what a crash left goes on in run()."""
        await self.windows.open_all()
        await self._ledger.apply(
            tuple(
                openings(
                    self._participants,
                    self._profile,
                    window=lambda ledger, currency: self.window(ledger, currency).id,
                    at_ms=to_ms(self._clock.now()),
                )
            )
        )

    async def run(self) -> None:
        """Keep windows, settlements and queues for ever; cancelled at the end."""
        await self.windows.run()

    def window(self, cycle: str, currency: str) -> Window:
        """Return the window open now. If the clock goes back, the window does not."""
        return self.windows.window(cycle, currency)

    def is_business_day(self, day: date) -> bool:
        """Tell whether banks and the central bank work on this day."""
        return self._calendar.is_business_day(day)

    def since_opening(self, account: Account) -> int:
        """Return what the window open now has changed on a position so far."""
        window = self.window(account.ledger, account.currency).id
        return sum(
            one.closing_minor - one.opening_minor
            for one in self._ledger.tallies(window)
            if one.account == account
        )

    def positions(self, ledger: str = "") -> tuple[Position, ...]:
        """Return positions, sorted; the contra accounts are left out.

        Args:
            ledger: all of one ledger; empty: each participant's own prefunded position.
        """
        return tuple(
            sorted(
                (one for one in self._ledger.positions() if self._is_listed(one.account, ledger)),
                key=lambda p: (p.account.owner, p.account.ledger, p.account.currency),
            )
        )

    async def audit(self) -> Audit:
        """Recount the ledger from its rows."""
        return await self._ledger.audit()

    async def move(
        self, movement: Movement, code: str, currency: str, minor: int, key: str
    ) -> bytes | Refusal:
        """Fund or draw down a position; a repeat of the same request changes nothing.

        The money comes from, or goes to, the participant's current account in the ledger of
        money, in the same moment.

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
        if self._is_too_full(account, minor):
            return _TOO_FULL
        answer = msgspec.json.encode({"position": position_view(after)})
        command = Move(
            movement_id=f"move:{key}",
            entries=self._entries(movement, account, minor),
            # The answer is kept beside the digest, so that a repeat can be given it again.
            digest=_digest(movement, account, minor) + answer.decode(),
            at_ms=to_ms(self._clock.now()),
            owed=self._notice_of_movement(before, after),
        )
        (result,) = await self._ledger.apply((command,))
        await self.lbtr.pump()  # A drawdown may cover what waits for it.
        return _answered(result, command.digest, account)

    async def move_cash(
        self, cash: Cash, ledger: str, code: str, currency: str, minor: int, key: str
    ) -> bytes | Refusal:
        """Bring money to a current account from outside, or take it away.

        Returns:
            The JSON answer ``{"account": ...}``, as ``move`` does.
        """
        account = Account(ledger=ledger, currency=currency, owner=code)
        before = self._ledger.position(account)
        if ledger not in MONEY_OF.values() or code not in self._participants or before is None:
            return unknown("no such current account", "code", "GET /lbtr lists them")
        refusal = _wrong_request(minor, key)
        if refusal is not None:
            return refusal
        is_deposit = cash is Cash.DEPOSIT
        after = funded(before, minor if is_deposit else -minor)
        if self._is_too_full(account, minor):
            return _TOO_FULL
        answer = msgspec.json.encode({"account": position_view(after)})
        kind = Movement.FUNDING if is_deposit else Movement.DRAWDOWN
        command = Move(
            movement_id=f"cash:{key}",
            entries=(_entry(kind, account, minor, ""),),
            digest=_digest(cash, account, minor) + answer.decode(),
            at_ms=to_ms(self._clock.now()),
        )
        (result,) = await self._ledger.apply((command,))
        await self.lbtr.pump()
        return _answered(result, command.digest, account)

    def _is_too_full(self, account: Account, minor: int) -> bool:
        """Tell whether a movement could take a sum out of the ledger's range."""
        contra = Account(ledger=account.ledger, currency=account.currency, owner=FUNDING_ACCOUNT)
        sums = (self._ledger.position(one) for one in (account, contra))
        return any(
            abs(one.balance_minor) + minor > LEDGER_SUM_MINOR_MAX for one in sums if one is not None
        )

    def _settled_cycle(self, window: str, unwound: frozenset[str]) -> None:
        if self.on_settled_cycle is not None:
            self.on_settled_cycle(window, unwound)

    def _instruction_ended(self, instruction: Instruction) -> None:
        if self.on_instruction_ended is not None:
            self.on_instruction_ended(instruction)

    def _owed(self, owed: Sequence[Owed]) -> None:
        if self.on_owed is not None:
            self.on_owed(owed)

    def _is_listed(self, account: Account, ledger: str) -> bool:
        if account.owner == FUNDING_ACCOUNT:
            return False
        if ledger:
            return account.ledger == ledger
        member = self._participants.get(account.owner)
        own = (NATIONAL, DALE) if member is None else (member.ledger,)
        return account.ledger in own

    def _check(self, code: str, currency: str, minor: int, key: str) -> Refusal | None:
        participant = self._participants.get(code)
        if participant is None:
            return _UNKNOWN_PARTICIPANT
        if currency not in participant.currencies:
            held = ", ".join(participant.currencies)
            return invalid("no position in this currency", "currency", f"one of {held}")
        return _wrong_request(minor, key)

    def _entries(self, movement: Movement, account: Account, minor: int) -> tuple[Entry, ...]:
        window = self.window(account.ledger, account.currency).id
        money = MONEY_OF[account.ledger]
        current = Account(ledger=money, currency=account.currency, owner=account.owner)
        prefund = Account(
            ledger=money, currency=account.currency, owner=prefund_owner(account.owner)
        )
        funding = movement is Movement.FUNDING
        linked = Entry(
            kind=movement.value,
            debit=current if funding else prefund,
            credit=prefund if funding else current,
            minor=minor,
            window="",
        )
        return (_entry(movement, account, minor, window), linked)

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


_TOO_FULL = conflict(
    "the ledger can keep no larger sum", "amount", "a smaller amount, or a drawdown first"
)
_UNKNOWN_PARTICIPANT = unknown(
    "no participant has this code", "code", "GET /participants lists them"
)
_OTHER_CONTENT = conflict(
    "this key was used for another movement",
    "Idempotency-Key",
    "send a new key with a new movement",
)


def _wrong_request(minor: int, key: str) -> Refusal | None:
    if not 0 < minor <= MOVEMENT_MINOR_MAX:
        hint = f"minor units from 1 to {MOVEMENT_MINOR_MAX}"
        return invalid("the amount is out of range", "amount", hint)
    if not 0 < len(key) <= KEY_CHARACTERS_MAX:
        hint = f"send a header of 1 to {KEY_CHARACTERS_MAX} characters, new for each movement"
        return invalid("the idempotency key is missing or too long", "Idempotency-Key", hint)
    return None


def _answered(result: Result, digest: str, account: Account) -> bytes | Refusal:
    """Return what a movement is answered: anew, as before, or why not."""
    match result:
        case Short(account=short, available_minor=available):
            return _too_much(short, account, available)
        case Duplicate(record=record):
            kept = record.decode()
            if kept[:_DIGEST_CHARACTERS] != digest[:_DIGEST_CHARACTERS]:
                return _OTHER_CONTENT
            return kept[_DIGEST_CHARACTERS:].encode()
        case _:
            return digest[_DIGEST_CHARACTERS:].encode()


def _entry(movement: Movement, account: Account, minor: int, window: str) -> Entry:
    contra = Account(ledger=account.ledger, currency=account.currency, owner=FUNDING_ACCOUNT)
    funding = movement is Movement.FUNDING
    return Entry(
        kind=movement.value,
        debit=contra if funding else account,
        credit=account if funding else contra,
        minor=minor,
        window=window,
    )


def _too_much(short: Account, asked: Account, available_minor: int) -> Refusal:
    hint = f"at most {max(available_minor, 0)} now"
    if short == asked:
        error = "a drawdown takes at most what is neither reserved nor credit"
    elif short.owner == asked.owner:
        error = "the current account that pays for it has too little"
    else:
        error = "the prefund is in settlement: less of it is there than the position says"
    return conflict(error, "amount", hint)


def _digest(movement: StrEnum, account: Account, minor: int) -> str:
    content = f"{movement}|{account.ledger}|{account.currency}|{account.owner}|{minor}"
    return hashlib.sha256(content.encode()).hexdigest()
