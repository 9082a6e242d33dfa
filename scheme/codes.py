"""The code tables of the TIN wire (docs/wire/tin-messages.md#codes); reasons are in reasons.py.

Values are text, as on the wire. Tables that are known only in part are mappings of what has been
seen; a value outside them is not malformed.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from scheme.reasons import ReasonCode


class ResponseCode(StrEnum):
    """What an answer says: ``responseCode``, and ``status`` in the session's answers."""

    ACCEPTED = "00"
    REFUSED = "05"
    NOT_FOUND = "99"


class MessageTypeId(StrEnum):
    """Whether an order is sent for the first time."""

    FIRST = "0200"
    RESEND = "0201"


class TransactionType(StrEnum):
    """What kind of transfer an order is; receivers often take only the ordinary one."""

    ORDINARY = "320"
    PAYROLL = "321"
    SEVERANCE = "323"
    CARD_PAYMENT = "325"


class Channel(StrEnum):
    """Where the payer ordered; ``ALIAS`` also means that the payee is named by phone or token."""

    ATM = "02"
    CASH_REGISTER = "04"
    IVR = "07"
    POS = "14"
    WEB = "15"
    ADMINISTRATION = "18"
    NET = "51"
    ALIAS = "52"
    KIOSK = "54"
    INSTITUTION = "56"
    TELLER = "90"
    MOBILE = "91"
    BULK = "99"


class DocumentType(StrEnum):
    """Kind of identity document."""

    VOTER_CARD = "1"
    DNI = "2"
    MILITARY_CARD = "3"
    PASSPORT = "4"
    FOREIGNER_CARD = "5"
    RUC = "6"


class Person(StrEnum):
    """Natural or legal person."""

    NATURAL = "N"
    LEGAL = "J"


class Currency(StrEnum):
    """ISO 4217 numeric codes of the two currencies."""

    PEN = "604"
    USD = "840"


CURRENCY_NAMES: Final[Mapping[str, str]] = MappingProxyType({"604": "PEN", "840": "USD"})
"""Numeric code on the wire to alphabetic code in ``Money``."""
CURRENCY_NUMBERS: Final[Mapping[str, str]] = MappingProxyType({"PEN": "604", "USD": "840"})
"""Alphabetic code in ``Money`` to numeric code on the wire."""


class SameCustomerFlag(StrEnum):
    """Whether payer and payee are one customer; the transaction tax depends on it."""

    SAME = "M"
    OTHER = "O"


class ApplicationCriteria(StrEnum):
    """Plaza of the two accounts, as the tariff sees it."""

    SAME_PLAZA = "M"
    OTHER_PLAZA = "O"
    EXCLUSIVE_PLAZA = "E"


class ProxyType(StrEnum):
    """What a proxy value is; ``O`` is the only one a receiver needs to know."""

    QR_TOKEN = "O"  # noqa: S105 - the code of a kind of token, not a secret
    MOBILE = "M"
    MSISDN = "MSISDN"


class SalaryPaymentIndicator(StrEnum):
    """Kind of pay, for payroll; to be ignored on ordinary transfers."""

    FOURTH_CATEGORY = "4"
    FIFTH_CATEGORY = "5"
    OTHER_TAXABLE = "8"
    OTHER_EXEMPT = "9"


class DirectoryCode(StrEnum):
    """Codes that stand where a participant's would and are none."""

    YAPE = "0901"
    PLIN = "0902"
    CLEARING_HOUSE = "0903"
    ADDRESSEE = "0998"


ALIAS_DIRECTORIES: Final = frozenset(
    {DirectoryCode.YAPE, DirectoryCode.PLIN, DirectoryCode.CLEARING_HOUSE}
)
"""Directories that a query may name as its receiver."""
MANAGER_CODE: Final = "5400"
"""The clearing house as directory manager, in reports to the central bank."""

FEE_CODES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "0101": "ordinary transfer in soles, same plaza",
        "0105": "seen, meaning not public",
        "COMM": "seen, meaning not public",
    }
)
"""Tariff codes seen; the full list is not public."""
FEE_CODE_DEFAULT: Final = "0101"

PURPOSE_CODES: Final[Mapping[str, str]] = MappingProxyType(
    {"OTHR": "other", "ADMG": "administrative management"}
)
"""Purposes seen; the full list is not public."""
PURPOSE_DEFAULT: Final = "OTHR"

CHANNEL_MEANINGS: Final[Mapping[Channel, str]] = MappingProxyType(
    {
        Channel.ATM: "ATM",
        Channel.CASH_REGISTER: "electronic cash register",
        Channel.IVR: "telephone voice system",
        Channel.POS: "POS",
        Channel.WEB: "web",
        Channel.ADMINISTRATION: "administrative terminal",
        Channel.NET: "net, in one list only",
        Channel.ALIAS: "by phone or wallet QR",
        Channel.KIOSK: "kiosk",
        Channel.INSTITUTION: "financial entity",
        Channel.TELLER: "teller window",
        Channel.MOBILE: "mobile banking",
        Channel.BULK: "bulk",
    }
)
"""What each channel is."""

DOCUMENT_MEANINGS: Final[Mapping[DocumentType, str]] = MappingProxyType(
    {
        DocumentType.VOTER_CARD: "LE, old voter card",
        DocumentType.DNI: "DNI",
        DocumentType.MILITARY_CARD: "LM, military card",
        DocumentType.PASSPORT: "passport",
        DocumentType.FOREIGNER_CARD: "CE, foreigner card",
        DocumentType.RUC: "RUC",
    }
)
"""What each document is."""

_FIELD_MAX: Final = 12
# Least and most characters. The old voter card has to be longer than its own field, which nothing
# can be: real connectors refuse every one, and so do we.
_LENGTHS: Final[Mapping[DocumentType, tuple[int, int]]] = MappingProxyType(
    {
        DocumentType.VOTER_CARD: (_FIELD_MAX + 1, _FIELD_MAX + 1),
        DocumentType.DNI: (8, 8),
        DocumentType.MILITARY_CARD: (12, 12),
        DocumentType.PASSPORT: (8, _FIELD_MAX),
        DocumentType.FOREIGNER_CARD: (9, _FIELD_MAX),
        DocumentType.RUC: (11, 11),
    }
)
_DOCUMENT_TYPES: Final[frozenset[str]] = frozenset(DocumentType)
_WITH_LETTERS: Final = frozenset({DocumentType.PASSPORT, DocumentType.FOREIGNER_CARD})


def document_fault(code: str | None, number: str | None) -> ReasonCode | None:
    """Return why a document is refused, or None if it may pass.

    Args:
        code: type of the document, as on the wire.
        number: its number, as on the wire.

    Returns:
        FF02 for a missing type, BE16 for an unknown one, a wrong length or a wrong character.
    """
    if not code:
        return ReasonCode.FF02
    if code not in _DOCUMENT_TYPES:
        return ReasonCode.BE16
    kind = DocumentType(code)
    least, most = _LENGTHS[kind]
    if number is None or not least <= len(number) <= most or not number.isascii():
        return ReasonCode.BE16
    sound = number.isalnum() if kind in _WITH_LETTERS else number.isdigit()
    return None if sound else ReasonCode.BE16
