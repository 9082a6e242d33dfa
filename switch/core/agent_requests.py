"""An operation of a field agent as the 0200 that a machine would send, and its verdict.

Trace, reference and day are a pure function of terminal, sequence number and the moment at which
the operation was first on disk: asked again at any time it has the same key, and moves money once.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from scheme import cci
from scheme.clock import parse_wire, to_ms, wire_date_time
from scheme.errors import MalformedMessage
from scheme.money import CODE_BY_CURRENCY
from scheme.network import Participant
from scheme.reasons import ReasonCode
from scheme.wire.agent_digest import APPLIED
from scheme.wire.agent_payload import (
    AGENT_DATA_MAX,
    CASH_TAKEN,
    CURRENCIES,
    MOVES_MONEY,
    Kind,
    Operation,
    Row,
    Verdict,
)
from scheme.wire.iso8583_spec import Fields
from scheme.wire.iso8583_statement import STATEMENT_TAG, sound_rows
from scheme.wire.iso8583_tlv import decode_tlv, encode_tlv
from switch.core.agent_limits import refused
from switch.core.iso8583_codes import DUPLICATE, FORMAT_ERROR, INVALID_AMOUNT, NOT_PERMITTED
from switch.core.iso8583_messages import PHONE
from switch.core.iso8583_requests import BALANCE, DEPOSIT, STATEMENT, WITHDRAWAL

COOP: Final = "coop"
_PROCESSING: Final[Mapping[int, str]] = {
    **dict.fromkeys(CASH_TAKEN, f"{DEPOSIT}0000"),
    Kind.CASH_OUT: f"{WITHDRAWAL}0000",
    Kind.BALANCE: f"{BALANCE}0000",
    Kind.STATEMENT: f"{STATEMENT}0000",
}
NARRATIVES: Final[Mapping[int, str]] = {
    Kind.CASH_IN: "DEPOSITO EN AGENTE",
    Kind.CREDIT_PAYMENT: "PAGO DE CREDITO",
    Kind.CONTRIBUTION: "APORTE",
    Kind.TRANSFER: "TRANSFERENCIA EN AGENTE",
}
"""What the payee reads, by kind."""
_BY_PHONE: Final = frozenset((Kind.CASH_IN, Kind.TRANSFER))
_TO_COOPS: Final = frozenset((Kind.CREDIT_PAYMENT, Kind.CONTRIBUTION))
_PHONE_DIGITS: Final = 9
_AGENT_PLACE: Final = "6010"
_KEYED_IN: Final = "010"
_TRACES: Final = 1_000_000
_TERMINAL_CHARACTERS: Final = 8
_NOTE_MAX: Final = 140
_REFERENCE_MAX: Final = 40
_ROW_TEXT_MAX: Final = 40
_CODE_CHARACTERS: Final = 2
_ENTITY_CHARACTERS: Final = 4
_AMOUNT_CHARACTERS: Final = 20
"""Of DE54: account and amount type, currency, sign, twelve digits; one after the other."""
_LEDGER_TYPE: Final = "01"
_AVAILABLE_TYPE: Final = "02"
_MINOR_MAX: Final = 10**12
_OURS: Final = frozenset(("63", DUPLICATE))
"""Said of a payload, not of an operation: the terminal would send the number again as another."""
_REFUSED: Final = "05"


def request_of(
    operation: Operation,
    device: str,
    acquirer: Participant,
    received: datetime,
    fleet: Mapping[str, Participant],
) -> Fields | Verdict:
    """Return the request that an operation is, or the verdict on one that cannot be one."""
    return form_fault(operation, fleet) or fields_of(operation, device, acquirer, received)


def form_fault(operation: Operation, fleet: Mapping[str, Participant]) -> Verdict | None:
    """Return the verdict on an operation that has not the form of its kind."""
    kind, account = operation.kind, operation.account
    is_phone = _is_digits(account, _PHONE_DIGITS)
    if kind in MOVES_MONEY and operation.minor == 0:
        return refused(operation, INVALID_AMOUNT, ReasonCode.AM01, "minor: above zero")
    if kind in _BY_PHONE:
        if not is_phone and not cci.is_well_formed(account):
            rule = "account: a CCI of 20 digits or a phone of 9"
            return refused(operation, FORMAT_ERROR, ReasonCode.FF02, rule)
        if is_phone and not operation.entity:
            rule = "entity: mandatory with a phone"
            return refused(operation, FORMAT_ERROR, ReasonCode.FF02, rule)
    elif not cci.is_well_formed(account):
        rule = "account: a CCI of 20 digits"
        return refused(operation, FORMAT_ERROR, ReasonCode.FF02, rule)
    if operation.entity and not _is_digits(operation.entity, _ENTITY_CHARACTERS):
        rule = "entity: four digits, or empty with a CCI"
        return refused(operation, FORMAT_ERROR, ReasonCode.FF02, rule)
    # It is the entity that an operation is routed by, so what is checked below must be the same.
    if operation.entity and not is_phone and operation.entity != cci.participant_of(account):
        rule = "entity: that of the CCI, or empty"
        return refused(operation, FORMAT_ERROR, ReasonCode.FF02, rule)
    if kind in _TO_COOPS:
        keeper = fleet.get(cci.participant_of(account))
        if keeper is None or keeper.kind != COOP:
            rule = "account: a member's of a cooperative"
            return refused(operation, NOT_PERMITTED, ReasonCode.FF07, rule)
    return None


def fields_of(
    operation: Operation, device: str, acquirer: Participant, received: datetime
) -> Fields:
    """Return the request that an operation of sound form is.

    Args:
        received: when it was first put on disk, not when it is asked for: its key's day.
    """
    _, agent, number = device.split("-")
    date, time = wire_date_time(received)
    fields: Fields = {
        "t": "0200",
        "3": _PROCESSING[operation.kind],
        "7": f"{received.astimezone(UTC):%m%d%H%M%S}",
        "11": f"{operation.seq % _TRACES:06}",
        "12": time,
        "13": date[4:],
        "18": _AGENT_PLACE,
        "22": _KEYED_IN,
        "32": acquirer.code,
        "37": f"{agent}{int(number):02}{operation.seq // _TRACES:06}",
        "41": f"A{agent}{number}".ljust(_TERMINAL_CHARACTERS),
        "49": CODE_BY_CURRENCY[CURRENCIES[operation.currency]],
    }
    if operation.kind in MOVES_MONEY:
        fields["4"] = f"{operation.minor:012}"
    if operation.kind in CASH_TAKEN:
        return fields | _payee(operation)
    return fields | {"102": operation.account}


def _payee(operation: Operation) -> Fields:
    parties = {"01": operation.entity} if operation.entity else {}
    parties["14"] = NARRATIVES[operation.kind]
    if _is_digits(operation.account, _PHONE_DIGITS):
        return {"48": encode_tlv(parties | {"02": PHONE, "03": operation.account})}
    return {"48": encode_tlv(parties), "103": operation.account}


def institution_of(operation: Operation) -> str:
    """Return whose answer an operation waits for, as far as it can be told from it."""
    if cci.is_well_formed(operation.account):
        return cci.participant_of(operation.account)
    return operation.entity


def is_outcome(answer: Fields | None) -> bool:
    """Tell whether an answer states what became of the request."""
    return answer is not None and len(answer.get("39", "")) == _CODE_CHARACTERS


def verdict_of(operation: Operation, answer: Fields) -> Verdict:
    """Return the verdict that an answer is; it has a DE39 (``is_outcome``)."""
    try:
        private = decode_tlv(answer.get("62", ""), 62)
    except MalformedMessage:
        private = {}  # What counts is DE39; the rest explains it.
    code = _REFUSED if answer["39"] in _OURS else answer["39"]
    return Verdict(
        seq=operation.seq,
        code=code,
        reason=private.get("03", "")[:_ENTITY_CHARACTERS],
        reference=private.get("01", "")[:_REFERENCE_MAX],
        note=private.get("04", "")[:_NOTE_MAX],
        data=_data(operation, answer, private) if code == APPLIED else (),
    )


def _data(
    operation: Operation, answer: Fields, private: Mapping[str, str]
) -> tuple[int | Row, ...]:
    if operation.kind == Kind.BALANCE:
        return _balance(answer.get("54", ""))
    if operation.kind == Kind.STATEMENT:
        found = sound_rows(private.get(STATEMENT_TAG, ""))
        rows = [_row(one.at, one.minor, one.text) for one in found]
        return tuple(one for one in rows if one is not None)[:AGENT_DATA_MAX]
    return ()


def _balance(text: str) -> tuple[int, ...]:
    """Return what may be spent and what is booked; an issuer may tell the first one only."""
    amounts: dict[str, int] = {}
    for start in range(0, len(text) - _AMOUNT_CHARACTERS + 1, _AMOUNT_CHARACTERS):
        kind, sign, digits = text[start + 2 : start + 4], text[start + 7], text[start + 8 :][:12]
        if sign in "CD" and _is_digits(digits, 12):
            amounts[kind] = int(digits) if sign == "C" else -int(digits)
    available = amounts.get(_AVAILABLE_TYPE, amounts.get(_LEDGER_TYPE))
    if available is None:
        # Of a type that we do not know: whatever it is, it is the only amount there is.
        available = next(iter(amounts.values()), None)
    if available is None:
        return ()
    return available, amounts.get(_LEDGER_TYPE, available)


def _row(minute: str, minor: int, text: str) -> Row | None:
    at = parse_wire(f"20{minute[:6]}", f"{minute[6:]}00")
    if at is None or abs(minor) > _MINOR_MAX:
        return None
    return Row(to_ms(at) // 1000, minor, text[:_ROW_TEXT_MAX])


def _is_digits(text: str, count: int) -> bool:
    return len(text) == count and text.isascii() and text.isdigit()
