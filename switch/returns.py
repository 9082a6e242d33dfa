"""Returns: part or all of a settled transfer goes back, in a window of the dispute cycle.

What was posted stays posted; a return is a new posting the other way, agreed between the two
institutions before an operator enters it. The interbank fee was earned and is not returned.
"""

import asyncio
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import structlog
from msgspec import Struct

from scheme.clock import Clock, from_ms, to_ms, wire_date
from scheme.ledger import DALE, DEFERRED, NATIONAL, SPONSOR, Account, Oppose, PutFact, Short
from scheme.network import Participant
from switch.core.entries import PRINCIPAL
from switch.core.payment import PAYMENT_STATES, RETURN_FACT, PaymentState, return_id, unpack_payment
from switch.core.payment_messages import Returned, payment_return
from switch.core.records import unpack_transfer
from switch.core.transfer import TransferState
from switch.payment_ports import (
    Fault,
    OppositionRow,
    PaymentLedger,
    PaymentStore,
    Refused,
    invalid,
    shortage,
)
from switch.payments import KEY_CHARACTERS_MAX
from switch.ports import EntryRow, Outbox, TransferRow, WindowOf

log = structlog.get_logger()

_CYCLES: Final = {NATIONAL: "national-dispute", DALE: "dale-dispute", DEFERRED: "deferred"}
"""Where each ledger's returns settle: an exchange cycle takes its own."""
_RETURNABLE: Final = frozenset({TransferState.POSTED, TransferState.CONFIRMED, PaymentState.ACSC})
_REASON: Final = re.compile(r"[A-Z0-9]{4}")


class ReturnOrder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What POST /transfers/{id}/returns asks for.

    Attributes:
        amount: minor units.
        reason: four characters of ISO 20022's return reasons, e.g. ``FOCR``, ``DUPL``.
    """

    amount: int
    reason: str


class ReturnRecord(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """What the switch remembers of a return beside its posting."""

    digest: str
    returned: Returned
    answer: bytes


class ReturnDesk:
    """Posts returns, or says why not; a refusal stores nothing."""

    def __init__(
        self,
        *,
        ledger: PaymentLedger,
        store: PaymentStore,
        outbox: Outbox,
        fleet: Mapping[str, Participant],
        clock: Clock,
        window_of: WindowOf,
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._outbox = outbox
        self._fleet = fleet
        self._clock = clock
        self._window_of = window_of
        # One at a time: what is left of a transfer is read from the disk.
        self._turn = asyncio.Lock()
        # The loop itself holds its tasks weakly.
        self._tasks: set[asyncio.Task[bytes | Refused]] = set()

    async def give_back(self, transfer_id: str, order: ReturnOrder, key: str) -> bytes | Refused:
        """Return part of a transfer, or repeat what was answered under the key.

        Returns:
            The JSON answer, the same bytes at every repeat; or why it was refused.
        """
        if not 0 < len(key) <= KEY_CHARACTERS_MAX:
            hint = f"send a header of 1 to {KEY_CHARACTERS_MAX} characters, new for each return"
            return invalid("the idempotency key is missing or too long", "Idempotency-Key", hint)
        if order.amount <= 0:
            return invalid("the amount is out of range", "amount", "above zero, in minor units")
        if _REASON.fullmatch(order.reason) is None:
            hint = "four characters of ISO 20022's return reasons, e.g. FOCR or DUPL"
            return invalid("this is no reason code", "reason", hint)
        # Shielded: whoever asked may go away, and a return is posted whole with its messages.
        work = asyncio.get_running_loop().create_task(self._in_turn(transfer_id, order, key))
        self._tasks.add(work)
        work.add_done_callback(self._tasks.discard)
        return await asyncio.shield(work)

    async def _in_turn(self, transfer_id: str, order: ReturnOrder, key: str) -> bytes | Refused:
        async with self._turn:
            return await self._give_back(transfer_id, order, return_id(transfer_id, key))

    async def _give_back(
        self, transfer_id: str, order: ReturnOrder, identity: str
    ) -> bytes | Refused:
        digest = hashlib.sha256(f"{transfer_id}|{order.amount}".encode()).hexdigest()
        known = self._store.fact(RETURN_FACT + identity)
        if known is not None:
            record = msgspec.msgpack.decode(known, type=ReturnRecord)
            return record.answer if record.digest == digest else _OTHER_CONTENT
        row = self._store.row(transfer_id)
        if row is None:
            return _UNKNOWN
        if row.state not in _RETURNABLE:
            return _NOT_SETTLED
        principal = [one for one in self._store.entries(transfer_id) if one.kind == PRINCIPAL]
        is_payment = row.state == PaymentState.ACSC
        if not principal or (is_payment and unpack_payment(row.record).instruction):
            # Between current accounts only their owners move money; a sponsor's leg alone,
            # taken back, would leave it with the sponsor.
            return _NOTHING_MOVED
        left = min(one.minor for one in principal) - self._store.opposed_minor(transfer_id)
        if order.amount > left:
            error = "no more can be returned than is left of the transfer"
            return Refused(error=error, field="amount", hint=f"at most {max(left, 0)} now")
        short = self._short(principal, order.amount)
        if short is not None:
            return short
        return await self._post(row, principal, order, identity, digest, left - order.amount)

    def _short(self, principal: Sequence[EntryRow], minor: int) -> Refused | None:
        """Return which position cannot give back what it got."""
        net: dict[Account, int] = {}
        for one in principal:
            for owner, sign in ((one.credit, -1), (one.debit, 1)):
                account = Account(ledger=one.ledger, currency=one.currency, owner=owner)
                net[account] = net.get(account, 0) + sign * minor
        for account, change in net.items():
            position = self._ledger.position(account)
            available = 0 if position is None else position.available_minor
            if change < 0 and available < -change:
                member = self._fleet.get(account.owner)
                return shortage(account, "" if member is None else member.sponsor, available)
        return None

    async def _post(
        self,
        row: TransferRow,
        principal: Sequence[EntryRow],
        order: ReturnOrder,
        identity: str,
        digest: str,
        left: int,
    ) -> bytes:
        now = self._clock.now()
        opened = {
            ledger: self._window_of(_CYCLES[ledger], row.currency)
            for ledger in dict.fromkeys(one.ledger for one in principal)
            if ledger != SPONSOR
        }
        dates = [one.settlement_date for one in opened.values()]
        returned = Returned(
            return_id=identity,
            transfer_id=row.transfer_id,
            **_parties(row),
            amount=order.amount,
            currency=row.currency,
            reason=order.reason,
            settlement_date=max(dates, default="") or wire_date(now),
            at_ms=to_ms(now),
        )
        windows = {ledger: one.id for ledger, one in opened.items()}
        answer = msgspec.json.encode({**return_view(returned), "left": left, "windows": windows})
        agents = [self._fleet[code] for code in self._both(row) if code in self._fleet]
        owed = tuple(one for agent in agents for one in payment_return(returned, agent, now))
        oppose = Oppose(
            transfer_id=identity,
            opposite_of=row.transfer_id,
            minor=order.amount,
            windows=windows,
            at_ms=to_ms(now),
            owed=owed,
        )
        record = ReturnRecord(digest=digest, returned=returned, answer=answer)
        fact = PutFact(name=RETURN_FACT + identity, value=msgspec.msgpack.encode(record))
        # Nothing is awaited since the positions were looked at, so it cannot be refused.
        result, _ = await self._ledger.apply((oppose, fact))
        assert not isinstance(result, Short), "looked at a moment ago"
        log.info("transfer returned", transfer_id=row.transfer_id, return_id=identity)
        self._outbox.take(owed)
        return answer

    @staticmethod
    def _both(row: TransferRow) -> Sequence[str]:
        return tuple(dict.fromkeys((row.creditor_agent, row.debtor_agent)))

    def of_transfer(self, transfer_id: str) -> dict[str, Any] | None:
        """Return the returns of one transfer, oldest first; None if it is unknown."""
        if self._store.row(transfer_id) is None:
            return None
        return {"returns": [_row_view(one) for one in self._store.returns_of(transfer_id)]}

    def page(self, after: tuple[int, str], *, limit: int) -> dict[str, Any]:
        """Return a page of all returns, oldest first, and the cursor of the next one."""
        rows = self._store.returns(after, limit=limit)
        last = rows[-1] if len(rows) == limit else None
        cursor = None if last is None else f"{last.at_ms}.{last.return_id}"
        return {"returns": [_row_view(one) for one in rows], "next": cursor}


def return_view(returned: Returned) -> dict[str, Any]:
    """Return a return as the operator is shown it; no account is told."""
    return {
        "return_id": returned.return_id,
        "transfer_id": returned.transfer_id,
        "debtor_agent": returned.debtor_agent,
        "creditor_agent": returned.creditor_agent,
        "amount": returned.amount,
        "currency": returned.currency,
        "reason": returned.reason,
        "settlement_date": returned.settlement_date,
        "at": from_ms(returned.at_ms).isoformat(),
    }


def _row_view(row: OppositionRow) -> dict[str, Any]:
    if row.record is not None:
        return return_view(msgspec.msgpack.decode(row.record, type=ReturnRecord).returned)
    # One that was posted by other means: the ledger knows what moved, and no more.
    return {
        "return_id": row.return_id,
        "transfer_id": row.transfer_id,
        "amount": row.amount,
        "at": from_ms(row.at_ms).isoformat(),
    }


def _parties(row: TransferRow) -> dict[str, str]:
    if row.state in PAYMENT_STATES:
        payment = unpack_payment(row.record)
        debtor, creditor = payment.debtor_cci, payment.creditor_cci
    else:
        ct1 = unpack_transfer(row.record).ct1
        debtor, creditor = ct1.debtorCCI, ct1.creditorCCI or ct1.creditorCreditCard or ""
    return {
        "debtor_agent": row.debtor_agent,
        "debtor_account": debtor,
        "creditor_agent": row.creditor_agent,
        "creditor_account": creditor,
    }


_UNKNOWN: Final = Refused(
    fault=Fault.UNKNOWN,
    error="no transfer has this id",
    field="id",
    hint="GET /transfers and GET /payments list them",
)
_NOT_SETTLED: Final = Refused(
    error="only a settled transfer can be returned",
    field="id",
    hint="GET /transfers/{id} says where it stands",
)
_NOTHING_MOVED: Final = Refused(
    error="no position of the clearing house moved for it",
    field="id",
    hint="send a new payment the other way",
)
_OTHER_CONTENT: Final = Refused(
    error="the key was used for another return",
    field="Idempotency-Key",
    hint="send a new key with a new return",
)
