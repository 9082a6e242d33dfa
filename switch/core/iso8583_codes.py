"""What the lane's codes are to the clearing house, and where each field stands on the lane.

The codes themselves are what all parties agree on: ``scheme.wire.iso8583_reasons``.
"""

from collections.abc import Mapping
from typing import Final

from scheme.wire.iso8583_reasons import (
    ABOVE_LIMIT,
    APPROVED,
    DUPLICATE,
    EXPIRED_CODE,
    FORMAT_ERROR,
    INVALID_AMOUNT,
    IRREVOCABLE,
    ISSUER_TIMEOUT,
    ISSUER_UNAVAILABLE,
    MAC_ERROR,
    NO_FUNDS,
    NOT_PERMITTED,
    NOT_SIGNED_ON,
    REASONS,
    RESPONSE_CODES,
    TOO_MANY_ATTEMPTS,
    UNABLE_TO_LOCATE,
    UNDECIDED,
    WRONG_CODE,
    reason_of,
    response_code_of,
)

__all__ = [
    "ABOVE_LIMIT",
    "APPROVED",
    "DUPLICATE",
    "ELEMENTS",
    "EXPIRED_CODE",
    "FORMAT_ERROR",
    "INVALID_AMOUNT",
    "IRREVOCABLE",
    "ISSUER_TIMEOUT",
    "ISSUER_UNAVAILABLE",
    "MAC_ERROR",
    "NOT_PERMITTED",
    "NOT_SIGNED_ON",
    "NO_FUNDS",
    "REASONS",
    "RESPONSE_CODES",
    "TOO_MANY_ATTEMPTS",
    "UNABLE_TO_LOCATE",
    "UNDECIDED",
    "UNDONE",
    "WRONG_CODE",
    "in_elements",
    "reason_of",
    "response_code_of",
]

UNDONE: Final = frozenset({APPROVED, UNABLE_TO_LOCATE})
"""Answers to a reversal after which its peer holds nothing of the original."""
ELEMENTS: Final[Mapping[str, str]] = {
    "messageTypeId": "MTI",
    "transactionType": "DE3",
    "amount": "DE4",
    "trace": "DE11",
    "creationTime": "DE12",
    "creationDate": "DE13",
    "channel": "DE18",
    "debtorParticipantCode": "DE32",
    "retrievalReferenteNumber": "DE37",
    "terminalId": "DE41",
    "creditorParticipantCode": "DE48.01",
    "proxyType": "DE48.02",
    "proxyValue": "DE48.03",
    "creditorMobileNumber": "DE48.03",
    "debtorName": "DE48.04",
    "debtorIdCode": "DE48.05",
    "debtorId": "DE48.06",
    "debtorMobileNumber": "DE48.07",
    "creditorName": "DE48.08",
    "debtorTypeOfPerson": "DE48.09",
    "referenceTransactionId": "DE48.10",
    "feeAmount": "DE48.11",
    "applicationCriteria": "DE48.12",
    "sameCustomerFlag": "DE48.13",
    "unstructuredInformation": "DE48.14",
    "currency": "DE49",
    "instructionId": "DE62.01",
    "debtorCCI": "DE102",
    "creditorCCI": "DE103",
    "creditorCreditCard": "DE103",
    "root": "message",
}
"""Where each field of an order or a query stands on this lane."""


def in_elements(explained: str) -> str:
    """Return ``field: rule`` with the field's name on this lane."""
    field, colon, rule = explained.partition(": ")
    return f"{ELEMENTS.get(field, field)}{colon}{rule}"
