"""QRs of the clearing house: what is registered of each, and when one may still be paid."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from scheme.money import Currency, Money
from scheme.wire import emv_qr

ID_QR_CHARACTERS = 20
"""An idQr: ``yyMMdd``, the participant's four digits and ten more."""
NUMBER_MAX = 10**10 - 1
"""Highest of the ten digits at the end of an idQr."""

_SEAL = b"seal|"
_TOKEN = b"token|"
_TOKEN_PREFIX = "chasqui"  # noqa: S105 - a mark, no secret
_TOKEN_PARTS = 4


class QrResult(StrEnum):
    """The ``codReturn`` of the QR module (docs/wire/qr-module.md#results)."""

    OK = "0"
    FORMAT = "QR01"
    UNKNOWN = "QR02"
    EXPIRED = "QR03"
    USED_UP = "QR04"
    ALTERED = "QR05"
    BAD_TOKEN = "QR06"  # noqa: S105 - a code
    BAD_CREDENTIALS = "QR07"
    NOT_YOURS = "QR08"
    UNAVAILABLE = "QR99"


TEXTS: Mapping[QrResult, str] = {
    QrResult.OK: "OK",
    QrResult.FORMAT: "FORMATO",
    QrResult.UNKNOWN: "QR DESCONOCIDO",
    QrResult.EXPIRED: "QR VENCIDO",
    QrResult.USED_UP: "QR YA PAGADO",
    QrResult.ALTERED: "QR ALTERADO",
    QrResult.BAD_TOKEN: "TOKEN DESCONOCIDO O VENCIDO",
    QrResult.BAD_CREDENTIALS: "USUARIO O CLAVE INCORRECTOS",
    QrResult.NOT_YOURS: "CUENTA DE OTRA ENTIDAD",
    QrResult.UNAVAILABLE: "SERVICIO NO DISPONIBLE",
}
"""The ``txtReturn`` of each result, in the language of the wire."""


class QrRefusal(Struct, frozen=True):
    """A call's result other than success; ``detail`` names the field and the rule."""

    code: QrResult
    detail: str = ""


class QrRecord(Struct, frozen=True, kw_only=True):
    """One registered QR.

    Attributes:
        sealed: the 44 characters of its private template, which prove that we made it.
        minor: amount asked, None if the payer chooses it.
        expires: last day it can be paid, ``yyyyMMdd`` Lima local, or None.
        payments_max: how often it may be paid, or None.
        registered: day it was made, ``yyyyMMdd``.
    """

    id_qr: str
    is_dynamic: bool
    cci: str
    currency: Currency
    name: str
    sealed: str
    minor: int | None = None
    expires: str | None = None
    payments_max: int | None = None
    gloss: str | None = None
    registered: str


def compose_id_qr(date: str, participant: str, number: int) -> str:
    """Return an idQr.

    Args:
        date: ``yyyyMMdd``.
        number: at most ten digits.
    """
    assert 0 < number <= NUMBER_MAX
    id_qr = f"{date[2:]}{participant}{number:010}"
    assert len(id_qr) == ID_QR_CHARACTERS
    return id_qr


def seal(key: bytes, id_qr: str, cci: str, *, is_dynamic: bool) -> str:
    """Return the authentication code of a QR: 32 bytes in base64, made with the store's key."""
    content = f"{id_qr}|{cci}|{int(is_dynamic)}".encode()
    return base64.b64encode(hmac.digest(key, _SEAL + content, hashlib.sha256)).decode()


def text_of(record: QrRecord) -> str:
    """Return the string inside the QR.

    Raises:
        MalformedMessage: the holder's name does not fit.
    """
    price = None if record.minor is None else Money(record.minor, record.currency)
    return emv_qr.build_cce(
        id_qr=record.id_qr,
        sealed_account=record.sealed,
        name=record.name,
        currency=record.currency,
        is_dynamic=record.is_dynamic,
        amount=price,
    )


def judge(record: QrRecord | None, code: emv_qr.QrCode, *, payments: int, today: str) -> QrResult:
    """Return whether a QR of the clearing house may be paid now.

    Args:
        record: what is registered under its idQr, or None.
        code: the string as read.
        payments: how often it was paid.
        today: ``yyyyMMdd``, Lima local.
    """
    if record is None:
        return QrResult.UNKNOWN
    if not _agrees(record, code):
        return QrResult.ALTERED
    if record.expires is not None and today > record.expires:
        return QrResult.EXPIRED
    if record.payments_max is not None and payments >= record.payments_max:
        return QrResult.USED_UP
    return QrResult.OK


def _agrees(record: QrRecord, code: emv_qr.QrCode) -> bool:
    # The CRC protects against smudges only: whoever changes an amount computes a new one.
    amount = None if code.amount is None else code.amount.minor
    return (
        code.is_dynamic == record.is_dynamic
        and code.sealed_account is not None
        and hmac.compare_digest(code.sealed_account, record.sealed)
        and code.name == record.name
        and code.currency == record.currency
        and amount == record.minor
    )


def id_qr_in(narrative: str | None) -> str | None:
    """Return the idQr that a payment's narrative starts with or wraps in text, or None."""
    for word in (narrative or "").replace("/", " ").replace(":", " ").split():
        if len(word) == ID_QR_CHARACTERS and word.isascii() and word.isdigit():
            return word
    return None


def make_token(key: bytes, participant: str, expires_ms: int) -> str:
    """Return a token of the QR module: it says itself whose it is and until when."""
    content = f"{_TOKEN_PREFIX}-{participant}-{expires_ms:x}"
    return f"{content}-{_token_code(key, content)}"


def token_owner(key: bytes, token: str, now_ms: int) -> str | None:
    """Return the participant a token was made for, or None if it is not ours or expired."""
    parts = token.split("-")
    if len(parts) != _TOKEN_PARTS or not token.isascii():
        return None
    content = "-".join(parts[:-1])
    if not hmac.compare_digest(_token_code(key, content), parts[-1]):
        return None
    return parts[1] if now_ms < int(parts[2], 16) else None


def _token_code(key: bytes, content: str) -> str:
    return hmac.digest(key, _TOKEN + content.encode(), hashlib.sha256).hex()[:32]


REFERENCE_STATIC = QrRecord(
    id_qr="26011509710000012345",
    is_dynamic=False,
    cci="97100220030040050213",
    currency="PEN",
    name="SOCIO DOS D",
    sealed="LJzSuSGsy39bzQufE60EJpeIhc7mmF+6yHWwd+QPZV0=",
    registered="20260115",
)
"""The printed example of a static QR, registered so that it can be scanned and paid."""
REFERENCE_DYNAMIC = QrRecord(
    id_qr="26011509710000012346",
    is_dynamic=True,
    cci=REFERENCE_STATIC.cci,
    currency="PEN",
    name=REFERENCE_STATIC.name,
    sealed=REFERENCE_STATIC.sealed,
    minor=2500,
    expires="20260131",
    payments_max=1,
    registered="20260115",
)
"""The printed example of a dynamic QR: S/ 25.00, payable until the end of January 2026."""
