"""What operators ask: lists, one transfer with its timeline, and what is stuck.

Everything of a person is masked here, whatever the store holds in full.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from scheme.clock import Clock, from_ms, to_ms
from scheme.errors import BadSignature
from scheme.masking import mask_message, mask_text
from scheme.wire import jws
from scheme.wire.agent_view import masked_payload
from scheme.wire.iso8583_spec import MESSAGE_TYPES
from scheme.wire.iso8583_view import masked_message
from switch.cash_view import cash_decision, cash_details, cash_line
from switch.core.agent_subjects import MQTT, subject_of_cash, subject_of_order
from switch.core.cash import CashState, unpack_cash
from switch.core.payment import PAYMENT_STATES
from switch.core.records import (
    TransferRecord,
    VerificationRecord,
    is_cash,
    unpack_tombstone,
    unpack_transfer,
)
from switch.core.reversal import REVERSAL
from switch.core.routing import told
from switch.core.transfer import TransferState
from switch.flight import Attempt, Flight
from switch.payment_view import as_decision, as_transfer_line
from switch.ports import EntryRow, OwedRow, TransferFilter, TransferRow
from switch.wire_log import WireMessage
from switch.wire_names import HOUSE

_CONFIRMATION: Final = "CT5"
_CANCELLATIONS: Final = ("CTC1", REVERSAL)
_MARGIN_US: Final = 60_000_000
_UNREAD_FRAME: Final = "ISO 8583"
"""Name of a message of that lane whose type could not be read."""

Row = dict[str, Any]


class Rows(Protocol):
    """The reads a query needs; ``switch.store.SqliteStore`` has them."""

    def transfers(self, wanted: TransferFilter, *, limit: int) -> Sequence[TransferRow]:
        """Return a page of transfers, youngest first."""

    def row(self, transfer_id: str) -> TransferRow | None:
        """Return one transfer as a list shows it."""

    def entries(self, transfer_id: str) -> Sequence[EntryRow]:
        """Return the entries posted for a transfer."""

    def owed(
        self,
        *,
        subject: str | None = None,
        messages: Sequence[str] = (),
        others_than: Sequence[str] = (),
        parked: bool | None = None,
    ) -> Sequence[OwedRow]:
        """Return what is owed, oldest first, narrowed by what is given."""

    def in_states(self, states: Sequence[str]) -> Sequence[TransferRow]:
        """Return transfers in any of these states, oldest first."""

    def verification(self, instruction_id: str) -> VerificationRecord | None:
        """Return a verification by the id it was issued."""


class Timeline(Protocol):
    """Finds messages in the wire log."""

    async def find(self, subjects: frozenset[str], *, since_us: int) -> list[WireMessage]:
        """Return the messages of some subjects since an instant, in order of time."""

    async def recent(self, *, participant: str | None, limit: int) -> list[WireMessage]:
        """Return the last messages of one participant or of all, the newest last."""


class Queries:
    """Answers operators from the store, the wire log and what is in memory.

    Args:
        in_flight: orders without an outcome on disk.
        attempts: owed messages in memory, with how often each was tried.
    """

    def __init__(
        self,
        store: Rows,
        wire_log: Timeline,
        *,
        clock: Clock,
        in_flight: Callable[[], Sequence[Flight]],
        attempts: Callable[[], Iterable[Attempt]],
    ) -> None:
        self._store = store
        self._wire_log = wire_log
        self._clock = clock
        self._in_flight = in_flight
        self._attempts = attempts

    def transfers(self, wanted: TransferFilter, *, limit: int) -> Row:
        """Return a page of transfers, youngest first, and the cursor of the next one."""
        rows = self._store.transfers(wanted, limit=limit)
        last = rows[-1] if len(rows) == limit else None
        cursor = None if last is None else f"{last.created_ms}.{last.transfer_id}"
        return {"transfers": [_line(row) for row in rows], "next": cursor}

    async def transfer(self, instruction: str) -> Row | None:
        """Return one transfer or verification with its timeline; None if it is unknown."""
        row = self._store.row(instruction)
        if row is not None:
            return await self._one(row)
        flight = next(
            (f for f in self._in_flight() if f.record.instruction_id == instruction), None
        )
        if flight is not None:
            return await self._flying(flight)
        verification = self._store.verification(instruction)
        return None if verification is None else await self._verified(verification)

    async def _one(self, row: TransferRow) -> Row:
        line = _line(row)
        subjects = {row.transfer_id}
        record = None if row.state in PAYMENT_STATES else _record(row)
        if record is not None:
            subjects |= {
                record.ct1.referenceTransactionId,
                record.cancellation_id,
                subject_of_order(record),
            } - {""}
            line |= _details(record)
        elif is_cash(row.transfer_id):
            line |= cash_details(row)
            subjects |= {subject_of_cash(unpack_cash(row.record))} - {""}
        attempts = {attempt.owed.owed_id: attempt for attempt in self._attempts()}
        return {
            "transfer": line,
            "timeline": await self._timeline(subjects, row.created_ms),
            "entries": [entry_view(entry) for entry in self._store.entries(row.transfer_id)],
            "owed": [
                self._owed(one, attempts) for one in self._store.owed(subject=row.transfer_id)
            ],
            **_decision(row, record),
        }

    async def _flying(self, flight: Flight) -> Row:
        record = flight.record
        line = {
            "instruction_id": record.instruction_id,
            "state": flight.state,
            "response_code": None,
            "reason_code": None,
            "created_at": from_ms(record.created_ms).isoformat(),
            **_details(record),
        }
        subjects = {
            record.instruction_id,
            record.ct1.referenceTransactionId,
            subject_of_order(record),
        } - {""}
        timeline = await self._timeline(subjects, record.created_ms)
        return {
            "transfer": line,
            "timeline": timeline,
            "entries": [],
            "owed": [],
            "decision": {
                "rule": "",
                "decided_by": "",
                "rail": record.rail,
                "considered": told(record.explanation),
            },
            "explanation": "in flight: no outcome is on disk yet",
        }

    async def _verified(self, record: VerificationRecord) -> Row:
        line = {
            "instruction_id": record.instruction_id,
            "state": "VERIFIED" if record.binding is not None else "REFUSED",
            "response_code": record.response_code,
            "reason_code": record.reason or None,
            "debtor_agent": record.content[0],
            "creditor_agent": record.content[1],
            "created_at": from_ms(record.created_ms).isoformat(),
        }
        return {
            "transfer": line,
            "timeline": await self._timeline({record.instruction_id}, record.created_ms),
            "entries": [],
            "owed": [],
            "decision": {
                "rule": record.rule,
                "decided_by": "",
                "rail": None,
                "considered": [],
            },
            "explanation": record.rule,
        }

    async def _timeline(self, subjects: set[str], created_ms: int) -> list[Row]:
        # The verification came up to a binding's life before the order.
        since_us = created_ms * 1000 - 900_000_000 - _MARGIN_US
        found = await self._wire_log.find(frozenset(subjects), since_us=since_us)
        return [_message(message) for message in found]

    async def wire(self, *, participant: str | None, limit: int) -> Row:
        """Return the last messages on the wire, also those that belong to no transfer."""
        found = await self._wire_log.recent(participant=participant, limit=limit)
        # Hundreds of bodies to decode and mask would hold up the transfers that are under way.
        return {"messages": await asyncio.to_thread(lambda: [_message(one) for one in found])}

    def stuck(self) -> Row:
        """Return what is not finished, by kind, each with its age."""
        attempts = {attempt.owed.owed_id: attempt for attempt in self._attempts()}

        def owed(rows: Sequence[OwedRow]) -> list[Row]:
            return [self._owed(one, attempts) for one in rows]

        # Each kind has a page of its own: a peer's many notices must not hide a confirmation.
        store, transfer_messages = self._store, (_CONFIRMATION, *_CANCELLATIONS)
        return {
            "in_flight": [self._in_flight_row(flight) for flight in self._in_flight()]
            + [self._stuck_row(row) for row in store.in_states((CashState.AUTHORISING,))],
            "expired_uncancelled": [
                self._stuck_row(row) for row in store.in_states((TransferState.EXPIRED,))
            ],
            "ct5_owed": owed(store.owed(messages=(_CONFIRMATION,), parked=False)),
            "notices_owed": owed(store.owed(others_than=transfer_messages, parked=False)),
            "parked": owed(store.owed(parked=True)),
            "disputed": [
                self._stuck_row(row)
                for row in store.in_states((TransferState.DISPUTED, CashState.DISPUTED_POSTED))
            ],
        }

    def _owed(self, row: OwedRow, attempts: Mapping[str, Attempt]) -> Row:
        owed = row.owed
        attempt = attempts.get(owed.owed_id)
        return {
            "owed_id": owed.owed_id,
            "instruction_id": owed.subject or None,
            "participant": owed.participant,
            "message": owed.message,
            "age_s": self._age_s(owed.due_ms),
            "attempts": 0 if attempt is None else attempt.attempts,
            "parked": row.parked_ms is not None,
        }

    def _in_flight_row(self, flight: Flight) -> Row:
        record = flight.record
        return {
            "instruction_id": record.instruction_id,
            "participant": record.creditor_agent,
            "message": flight.state,
            "age_s": self._age_s(record.created_ms),
            "attempts": 1,
        }

    def _stuck_row(self, row: TransferRow) -> Row:
        return {
            "instruction_id": row.transfer_id,
            # Whose answer is missing: of cash it is the issuer that pays.
            "participant": row.debtor_agent if is_cash(row.transfer_id) else row.creditor_agent,
            "message": row.state,
            "age_s": self._age_s(row.decided_ms or row.created_ms),
            "attempts": 0,
        }

    def _age_s(self, since_ms: int) -> float:
        return max(0.0, round((to_ms(self._clock.now()) - since_ms) / 1000, 1))


def _record(row: TransferRow) -> TransferRecord | None:
    if row.state == TransferState.TOMBSTONE or is_cash(row.transfer_id):
        return None
    return unpack_transfer(row.record)


def _line(row: TransferRow) -> Row:
    if row.state in PAYMENT_STATES:
        return as_transfer_line(row)
    if is_cash(row.transfer_id):
        return cash_line(row)
    record = _record(row)
    decided = row.decided_ms or (record.decided_ms if record is not None else 0)
    return {
        "instruction_id": row.transfer_id,
        "state": row.state,
        "response_code": _response_code(row, record),
        "reason_code": row.reason or None,
        "debtor_agent": row.debtor_agent,
        "creditor_agent": row.creditor_agent,
        "amount": row.minor,
        "fee": 0 if record is None else record.ct1.feeAmount,
        "currency": row.currency,
        "created_at": from_ms(row.created_ms).isoformat(),
        "decided_at": from_ms(decided).isoformat() if decided else None,
        "elapsed_ms": decided - row.created_ms if decided else None,
        "rail": None if record is None else record.rail,
        "window": None if record is None else record.window or record.network_window or None,
        "network_window": None if record is None else record.network_window or None,
        "verification_id": None if record is None else record.ct1.referenceTransactionId,
    }


def _response_code(row: TransferRow, record: TransferRecord | None) -> str | None:
    if record is not None:
        return record.response_code or None
    return "05" if row.state == TransferState.TOMBSTONE else None


def _details(record: TransferRecord) -> Row:
    ct1 = record.ct1
    return {
        "debtor_agent": ct1.debtorParticipantCode,
        "creditor_agent": record.creditor_agent,
        "amount": ct1.amount,
        "fee": ct1.feeAmount,
        "verification_id": ct1.referenceTransactionId,
        "reference": ct1.transactionReference,
        "channel": ct1.channel,
        "settlement_date": record.settlement_date,
        "window": record.window or record.network_window,
        "network_window": record.network_window or None,
        "rail": record.rail,
        "requested_creditor": record.requested_creditor,
        "cancellation_id": record.cancellation_id or None,
    }


def _decision(row: TransferRow, record: TransferRecord | None) -> Row:
    if row.state in PAYMENT_STATES:
        return as_decision(row)
    if is_cash(row.transfer_id):
        return cash_decision(row)
    if record is None and (tombstone := unpack_tombstone(row.record)).reason:
        # It came by another wire, and was refused before it was a transfer.
        return {
            "decision": {
                "rule": tombstone.rule,
                "decided_by": "clearing_house",
                "rail": None,
                "considered": [],
            },
            "explanation": f"decided by the clearing house: {tombstone.rule}",
        }
    if record is None:
        text = "a tombstone: asked about, and not known; it is never issued or posted"
        return {
            "decision": {
                "rule": "tombstone",
                "decided_by": "clearing_house",
                "rail": None,
                "considered": [],
            },
            "explanation": text,
        }
    by = record.decided_by.replace("_", " ")
    text = f"decided by the {by}" + (f": {record.rule}" if record.rule else "")
    return {
        "decision": {
            "rule": record.rule,
            "decided_by": record.decided_by,
            "rail": record.rail,
            "considered": told(record.explanation),
        },
        "explanation": text,
    }


def entry_view(entry: EntryRow) -> Row:
    """Return one posted entry as operators see it."""
    return {
        "kind": entry.kind,
        "ledger": entry.ledger,
        "currency": entry.currency,
        "debit": entry.debit,
        "credit": entry.credit,
        "amount": entry.minor,
        "window": entry.window,
        "posted_at": from_ms(entry.posted_ms).isoformat(),
    }


def _message(message: WireMessage) -> Row:
    body = _shown_body(message)
    return {
        "at": from_ms(message.at_us // 1000).isoformat(),
        "at_us": message.at_us,
        "subject": message.subject or None,
        "message": message.name,
        "from": _party(message, message.sender),
        "to": _party(message, message.receiver),
        "http_status": message.status or None,
        "ms": round(message.took_us / 1000, 2) if message.took_us else None,
        "bytes": len(message.body),
        "signed": jws.looks_signed(message.body),
        **_codes(body),
        "body": body,
        "note": message.note or None,
    }


def _shown_body(message: WireMessage) -> Any:
    if message.name in MESSAGE_TYPES or message.name == _UNREAD_FRAME:
        return _masked_frame(message)
    if message.name.startswith(MQTT):
        return _masked_payload(message)
    return masked_body(message.body)


def _party(message: WireMessage, name: str) -> str:
    """Return whom a list names: for a field agent's terminal its institution."""
    return name.partition("-")[0] if message.name.startswith(MQTT) else name


def _masked_payload(message: WireMessage) -> Row:
    """Return what a field agent's terminal said or was told, under the message's name."""
    is_up = message.receiver == HOUSE
    device = message.sender if is_up else message.receiver
    fields = masked_payload(message.body, is_up=is_up)
    return {fields.pop("message", MQTT): {"device": device, **fields}}


def _masked_frame(message: WireMessage) -> Row | None:
    """Return a frame of ISO 8583 under its type, as ``masked_body`` does with a root key."""
    fields = masked_message(message.body)
    return None if fields is None else {message.name: fields}


def _codes(body: Any) -> Row:
    """Return the response and reason code that a decoded message, sound or not, states."""
    content = next(iter(body.values()), None) if isinstance(body, dict) else None
    fields = content if isinstance(content, dict) else {}
    verdicts = fields.get("verdicts")
    if isinstance(verdicts, list) and len(verdicts) == 1 and isinstance(verdicts[0], dict):
        fields = {"responseCode": verdicts[0].get("code"), "reasonCode": verdicts[0].get("reason")}
    response, reason = fields.get("responseCode") or fields.get("status"), fields.get("reasonCode")
    return {
        "response_code": response if isinstance(response, str) else None,
        "reason_code": reason if reason and isinstance(reason, str) else None,
    }


def masked_body(body: bytes) -> Any:
    """Return a body as people may see it: decoded and masked, or masked text."""
    if not body.strip():
        return None
    document = body
    if jws.looks_signed(body):
        try:
            document = jws.split(body).payload
        except BadSignature:
            return mask_text(body.decode("utf-8", "replace"))
    try:
        decoded = msgspec.json.decode(document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return mask_text(document.decode("utf-8", "replace"))
    if not isinstance(decoded, dict):
        return mask_text(document.decode("utf-8", "replace"))
    return mask_message(decoded)
