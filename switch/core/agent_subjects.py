"""What an operation of a field agent is called in the wire log, and how a transfer finds it."""

from switch.core.cash import CashRecord
from switch.core.records import TransferRecord

MQTT = "MQTT"
"""Begins the name of every message of that lane in the wire log."""
_REFERENCE_DIGITS = 12
_SEQUENCE_STEP = 1_000_000


def operation_subject(device: str, seq: int) -> str:
    """Return what the messages about one operation are kept under."""
    return f"{device}/{seq}"


def subject_of_order(record: TransferRecord) -> str:
    """Return the operation that an order may have been, as its numbers say."""
    ct1 = record.ct1
    return _subject(ct1.debtorParticipantCode, ct1.retrievalReferenteNumber, ct1.trace)


def subject_of_cash(record: CashRecord) -> str:
    """Return the operation that a withdrawal may have been, as its numbers say."""
    _, _, numbers = record.key.rpartition(f":{record.acquirer}:")
    trace, _, reference = numbers.partition(":")[2].partition(":")
    return _subject(record.acquirer, reference, trace)


def _subject(institution: str, reference: str | None, trace: str | None) -> str:
    """Read back DE37 (agent, terminal, millions) and DE11 (the rest) of an agent's request."""
    text, rest = reference or "", trace or ""
    if len(text) != _REFERENCE_DIGITS or not (text + rest).isdigit() or not rest:
        return ""
    seq = int(text[6:]) * _SEQUENCE_STEP + int(rest)
    return operation_subject(f"{institution}-{text[:4]}-{int(text[4:6])}", seq)
