"""Takes payments for the deferred and the LBTR rail: held and told only once on disk.

A refusal stores nothing: the same key may be tried again, for instance after a funding. A payment
that was accepted is answered the same bytes for ever.
"""

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from scheme import cci as ccis
from scheme.cci import CciCheck
from scheme.clock import Clock, to_ms, wire_date_time
from scheme.ledger import Command, Duplicate, Entry, Instruct, Reserve, Short
from scheme.messages.fields import AMOUNT_MAX
from scheme.network import Participant
from scheme.profile import CURRENCIES, Profile
from switch.core import payment as rules_of
from switch.core import rules
from switch.core.entries import DEFERRED_RAIL, LBTR_RAIL
from switch.core.payment import (
    RAILS,
    PaymentRecord,
    PaymentState,
    pack_payment,
)
from switch.core.payment_messages import status_report
from switch.core.routing import RouteRequest
from switch.core.sessions import NetworkState
from switch.pathfinder import Explained
from switch.payment_ports import (
    Explain,
    Fault,
    PaymentLedger,
    PaymentStore,
    Refused,
    invalid,
    shortage,
)
from switch.ports import Outbox, WindowOf

log = structlog.get_logger()

AUTO: Final = "auto"
ASKED_RAILS: Final = (AUTO, *RAILS)
KEY_CHARACTERS_MAX: Final = 128
DESCRIPTION_CHARACTERS_MAX: Final = 140
_SETTLES_ON: Final = {DEFERRED_RAIL: "deferred", LBTR_RAIL: "national"}


class PaymentOrder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What POST /payments asks for; the amount in minor units."""

    debtor_agent: str
    debtor_cci: str
    creditor_cci: str
    amount: int
    currency: str
    rail: str = AUTO
    description: str = ""


class PaymentDesk:
    """Accepts payments, or says why not.

    Args:
        explain: chooses the rail.
        window_of: the window open now.
        accepted: told of each payment that is on disk, with its entries held.
    """

    def __init__(
        self,
        *,
        ledger: PaymentLedger,
        store: PaymentStore,
        outbox: Outbox,
        fleet: Mapping[str, Participant],
        profile: Profile,
        clock: Clock,
        state: Callable[[], NetworkState],
        explain: Explain,
        window_of: WindowOf,
        accepted: Callable[[PaymentRecord], None],
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._outbox = outbox
        self._fleet = fleet
        self._check = CciCheck(profile.cci.originator)
        self._clock = clock
        self._state = state
        self._explain = explain
        self._window_of = window_of
        self._accepted = accepted
        self._in_flight: dict[str, tuple[str, asyncio.Future[bytes | Refused]]] = {}
        # The loop itself holds its tasks weakly.
        self._tasks: set[asyncio.Task[bytes | Refused]] = set()
        self._is_stopping = False

    def stop(self) -> None:
        """Take no more payments; repeats are still answered."""
        self._is_stopping = True

    async def pay(self, order: PaymentOrder, key: str) -> bytes | Refused:
        """Accept a payment, or repeat what was answered under its key.

        Returns:
            The JSON answer, the same bytes at every repeat; or why it was refused.
        """
        if not 0 < len(key) <= KEY_CHARACTERS_MAX:
            hint = f"send a header of 1 to {KEY_CHARACTERS_MAX} characters, new for each payment"
            return invalid("the idempotency key is missing or too long", "Idempotency-Key", hint)
        order = replace(
            order,
            debtor_cci=ccis.clean(order.debtor_cci),
            creditor_cci=ccis.clean(order.creditor_cci),
        )
        refused = self._unsound(order)
        if refused is not None:
            return refused
        scoped, digest = rules_of.ledger_key(order.debtor_agent, key), _digest(order)
        flight = self._in_flight.get(scoped)
        if flight is not None:
            return await asyncio.shield(flight[1]) if flight[0] == digest else _OTHER_CONTENT
        stored = self._store.payment_by_key(scoped)
        if stored is not None:
            return stored.record.answer if stored.record.digest == digest else _OTHER_CONTENT
        return await self._first(order, key, scoped, digest)

    async def _first(
        self, order: PaymentOrder, key: str, scoped: str, digest: str
    ) -> bytes | Refused:
        outcome: asyncio.Future[bytes | Refused] = asyncio.get_running_loop().create_future()
        self._in_flight[scoped] = (digest, outcome)
        # A task of its own: whoever asked may go away, and a repeat joins it.
        task = asyncio.get_running_loop().create_task(self._accept(order, key, digest))
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._told(scoped, outcome, done))
        return await asyncio.shield(outcome)

    def _told(
        self,
        scoped: str,
        outcome: "asyncio.Future[bytes | Refused]",
        done: "asyncio.Task[bytes | Refused]",
    ) -> None:
        self._tasks.discard(done)
        self._in_flight.pop(scoped, None)
        if outcome.cancelled():
            return
        # What is not known is not answered: the connection closes.
        if done.cancelled() or done.exception() is not None:
            outcome.cancel()
            if not done.cancelled():
                log.error("payment failed", cause=repr(done.exception()), exc_info=done.exception())
        else:
            outcome.set_result(done.result())

    # --- checks, in this order

    def _unsound(self, order: PaymentOrder) -> Refused | None:
        """Refuse what can be told to be wrong without asking anybody."""
        if order.debtor_agent not in self._fleet:
            return Refused(
                fault=Fault.UNKNOWN,
                error="no participant has this code",
                field="debtor_agent",
                hint="GET /participants lists them",
            )
        if order.currency not in CURRENCIES:
            hint = f"one of {', '.join(CURRENCIES)}"
            return invalid("no such currency here", "currency", hint)
        if not 0 < order.amount <= AMOUNT_MAX:
            hint = f"minor units from 1 to {AMOUNT_MAX}"
            return invalid("the amount is out of range", "amount", hint)
        if order.rail not in ASKED_RAILS:
            hint = f"one of {', '.join(ASKED_RAILS)}; the others are sent as AV1 and CT1"
            return invalid("no such rail here", "rail", hint)
        if len(order.description) > DESCRIPTION_CHARACTERS_MAX:
            hint = f"at most {DESCRIPTION_CHARACTERS_MAX} characters"
            return invalid("the description is too long", "description", hint)
        for field, cci in (("debtor_cci", order.debtor_cci), ("creditor_cci", order.creditor_cci)):
            fault = "20 digits" if not ccis.is_well_formed(cci) else ccis.fault(cci, self._check)
            if fault is not None:
                return invalid("this is no CCI", field, fault)
            if ccis.is_placeholder(cci):
                return invalid("this is no CCI", field, "an account is needed, not an alias")
        if ccis.participant_of(order.debtor_cci) != order.debtor_agent:
            hint = f"it belongs to {ccis.participant_of(order.debtor_cci)}"
            return invalid("the account is not one of this institution", "debtor_cci", hint)
        return None

    def _unfit(self, order: PaymentOrder) -> Refused | None:
        """Refuse what is impossible here and now."""
        if self._is_stopping or self._ledger.is_full:
            error = "the clearing house takes nothing new just now"
            return Refused(fault=Fault.BUSY, error=error, field="", hint="try again")
        refusal = rules.debtor_operates(order.debtor_agent, self._state())
        if refusal is not None:
            return Refused(error=refusal.text, field="debtor_agent", hint="", reason=refusal.reason)
        creditor = ccis.participant_of(order.creditor_cci)
        for code, field in ((order.debtor_agent, "debtor_agent"), (creditor, "creditor_cci")):
            participant = self._fleet.get(code)
            if participant is None:
                error = f"{code} takes no part in this network"
                return Refused(error=error, field=field, hint="GET /participants lists them")
            if order.currency not in participant.currencies:
                held = ", ".join(participant.currencies)
                error = f"{code} holds no position in {order.currency}"
                return Refused(error=error, field="currency", hint=f"one of {held}")
        return None

    def _chosen(self, order: PaymentOrder) -> Explained | Refused:
        found = self._explain(
            RouteRequest(
                debtor=order.debtor_agent,
                creditor=ccis.participant_of(order.creditor_cci),
                debtor_cci=order.debtor_cci,
                creditor_cci=order.creditor_cci,
                currency=order.currency,
                minor=order.amount,
                rail=order.rail,
            )
        )
        refusal = found.refusal
        if refusal is not None:
            return Refused(
                error=refusal.text,
                field="amount" if refusal.field == "amount" else "rail",
                hint="considered says what each rail lacks",
                reason=refusal.reason,
                considered=found.considered,
            )
        if found.rail not in RAILS:
            return Refused(
                error=f"the rail is {found.rail}, which does not enter here",
                field="rail",
                hint="send it as AV1 and CT1",
                considered=found.considered,
            )
        return found

    # --- acceptance

    async def _accept(self, order: PaymentOrder, key: str, digest: str) -> bytes | Refused:
        refused = self._unfit(order)
        if refused is not None:
            return refused
        choice = self._chosen(order)
        if isinstance(choice, Refused):
            return choice
        now = self._clock.now()
        record, entries, instruct = self._prepared(order, key, digest, choice)
        short = self._short(entries)
        if short is not None:
            return replace(short, considered=choice.considered)
        debtor = self._fleet[record.debtor_agent]
        owed = status_report(record, PaymentState.ACSP, debtor, now)
        reserve = Reserve(
            transfer_id=record.payment_id,
            key=rules_of.ledger_key(order.debtor_agent, key),
            entries=entries,
            rail=record.rail,
            write_ahead=True,
            state=PaymentState.ACSP,
            record=pack_payment(record),
            debtor_agent=record.debtor_agent,
            creditor_agent=record.creditor_agent,
            currency=record.currency,
            minor=record.amount,
            created_ms=record.created_ms,
            owed=owed,
        )
        batch: tuple[Command, ...] = (reserve,) if instruct is None else (reserve, instruct)
        # Nothing is awaited since the positions were looked at, so the hold cannot be refused:
        # an instruction without its payment would be paid for nothing.
        result, *_ = await self._ledger.apply(batch)
        assert not isinstance(result, Short | Duplicate), "looked at a moment ago"
        log.info("payment accepted", transfer_id=record.payment_id, rail=record.rail)
        self._outbox.take(owed)
        self._accepted(record)
        return record.answer

    def _prepared(
        self, order: PaymentOrder, key: str, digest: str, choice: Explained
    ) -> tuple[PaymentRecord, tuple[Entry, ...], Instruct | None]:
        now = self._clock.now()
        date, time = wire_date_time(now)
        creditor = self._fleet[ccis.participant_of(order.creditor_cci)]
        debtor = self._fleet[order.debtor_agent]
        rail = choice.rail or ""
        is_deferred = rail == DEFERRED_RAIL
        window = self._window_of(_SETTLES_ON[rail], order.currency)
        identity = rules_of.payment_id(debtor.code, key, date, time)
        total = order.amount + choice.fee
        instruct = (
            None
            if is_deferred
            else rules_of.instruct(
                debtor,
                creditor,
                payment=identity,
                currency=order.currency,
                minor=total,
                at_ms=to_ms(now),
            )
        )
        record = PaymentRecord(
            payment_id=identity,
            key=key,
            digest=digest,
            debtor_agent=debtor.code,
            debtor_cci=order.debtor_cci,
            creditor_agent=creditor.code,
            creditor_cci=order.creditor_cci,
            amount=order.amount,
            fee=choice.fee,
            currency=order.currency,
            rail=rail,
            description=order.description,
            window=window.id if is_deferred else "",
            # The LBTR settles on the day, or not at all.
            settlement_date=window.settlement_date if is_deferred else date,
            instruction="" if instruct is None else instruct.instruction_id,
            created_ms=to_ms(now),
        )
        entries = rules_of.entries(
            debtor,
            creditor,
            rail=record.rail,
            currency=record.currency,
            amount=record.amount,
            fee=record.fee,
            window=record.window,
        )
        return replace(record, answer=_answer(record, choice)), entries, instruct

    def _short(self, entries: tuple[Entry, ...]) -> Refused | None:
        """Return which position lacks the money to be held, in the order of the entries."""
        held: dict[Any, int] = {}
        for entry in entries:
            held[entry.debit] = held.get(entry.debit, 0) + entry.minor
        for account, minor in held.items():
            position = self._ledger.position(account)
            available = 0 if position is None else position.available_minor
            if available < minor:
                sponsor = self._fleet[account.owner].sponsor
                return shortage(account, sponsor, available)
        return None


_OTHER_CONTENT: Final = Refused(
    error="the key was used for another payment",
    field="Idempotency-Key",
    hint="send a new key with a new payment",
)


def _digest(order: PaymentOrder) -> str:
    """Return what tells a repeat from another payment: parties, accounts, amount, rail asked."""
    content = (
        order.debtor_agent,
        order.debtor_cci,
        order.creditor_cci,
        order.amount,
        order.currency,
        order.rail,
    )
    return hashlib.sha256(repr(content).encode()).hexdigest()


def _answer(record: PaymentRecord, choice: Explained) -> bytes:
    return msgspec.json.encode(
        {
            "payment_id": record.payment_id,
            "status": PaymentState.ACSP,
            "rail": record.rail,
            "window": record.window or None,
            "settlement_date": record.settlement_date,
            "fee": record.fee,
            "considered": choice.considered,
        }
    )
