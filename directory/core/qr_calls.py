"""The calls of the QR module as they stand in JSON (docs/wire/qr-module.md#calls)."""

from msgspec import Struct

from directory.core.qr import TEXTS, QrRecord, QrResult
from scheme.money import CODE_BY_CURRENCY
from scheme.wire.emv_qr import QrCode

Written = str | int
"""A field that callers write as text or as a number."""


class TokenCall(Struct, frozen=True):
    """Body of the token call."""

    code: str


class CallHeader(Struct, frozen=True):
    """Header of every other call: the participant's code."""

    user: str


class GenerateData(Struct, frozen=True, rename="camel"):
    """What a QR shall say; the last four only for a dynamic one, ``importe`` in cents."""

    qr_tipo: Written
    id_cuenta: str
    moneda: Written
    nombre_comerciante: str
    importe: Written | None = None
    fecha_vencimiento: Written | None = None
    cantidad_pagos: Written | None = None
    glosa: str | None = None


class GenerateCall(Struct, frozen=True):
    """Body of the generate call."""

    header: CallHeader
    data: GenerateData
    type: str


class ReadCall(Struct, frozen=True):
    """Body of the read call."""

    header: CallHeader
    hash: str


class DataCall(Struct, frozen=True, rename="camel"):
    """Body of the data call."""

    header: CallHeader
    id_cuenta: str
    id_qr: str


class ResultHeader(Struct, frozen=True, rename="camel"):
    """Header of every answer; ``codReturn`` 0 is success."""

    cod_return: str
    txt_return: str


class TokenAnswer(Struct, frozen=True):
    """Answer of the token call."""

    header: ResultHeader
    code: str | None
    token: str | None


class GenerateAnswer(Struct, frozen=True, rename="camel"):
    """Answer of the generate call: the string, or an image in base64."""

    header: ResultHeader
    hash: str | None
    id_qr: str | None


class EmvTag(Struct, frozen=True):
    """One element of the string."""

    tag: str
    longitud: str
    valor: str


class QrContent(Struct, frozen=True, rename="camel", kw_only=True):
    """What a QR says, all in text; ``idCuenta`` is a CCI or a wallet's token."""

    qr_tipo: str
    emisor: str
    id_cuenta: str
    id_qr: str | None
    importe: str | None
    moneda: str
    cantidad_pagos: str | None
    fecha_vencimiento: str | None
    glosa: str | None
    nombre_comerciante: str
    fecha_registro: str | None
    emv: tuple[EmvTag, ...] | None
    info: None = None


class ReadAnswer(Struct, frozen=True):
    """Answer of the read call."""

    header: ResultHeader
    hash: str | None
    qr: QrContent | None
    info: None = None


class DataAnswer(Struct, frozen=True, rename="camel"):
    """Answer of the data call."""

    header: ResultHeader
    id_cuenta: str | None
    id_qr: str | None
    qr: QrContent | None


Answer = TokenAnswer | GenerateAnswer | ReadAnswer | DataAnswer


def result(code: QrResult, detail: str = "") -> ResultHeader:
    """Return the header of an answer; ``detail`` names the field and the rule."""
    return ResultHeader(code, f"{TEXTS[code]}: {detail}" if detail else TEXTS[code])


def registered_content(record: QrRecord, emv: tuple[EmvTag, ...] | None) -> QrContent:
    """Return what a registered QR says."""
    return QrContent(
        qr_tipo="12" if record.is_dynamic else "11",
        emisor="903",
        id_cuenta=record.cci,
        id_qr=record.id_qr,
        importe=_text(record.minor),
        moneda=CODE_BY_CURRENCY[record.currency],
        cantidad_pagos=_text(record.payments_max),
        fecha_vencimiento=record.expires,
        glosa=record.gloss,
        nombre_comerciante=record.name,
        fecha_registro=record.registered,
        emv=emv,
    )


def wallet_content(code: QrCode) -> QrContent:
    """Return what a wallet's QR says; only its directory knows the account behind the token."""
    assert code.token is not None
    return QrContent(
        qr_tipo="12" if code.is_dynamic else "11",
        emisor=code.issuer,
        id_cuenta=code.token,
        id_qr=None,
        importe=_text(code.amount.minor if code.amount is not None else None),
        moneda=CODE_BY_CURRENCY[code.currency],
        cantidad_pagos=None,
        fecha_vencimiento=None,
        glosa=None,
        nombre_comerciante=code.name,
        fecha_registro=None,
        emv=emv_tags(code),
    )


def emv_tags(code: QrCode) -> tuple[EmvTag, ...]:
    """Return every element of a string, in the order found."""
    return tuple(EmvTag(one.tag, one.length, one.value) for one in code.tags)


def _text(value: int | None) -> str | None:
    return None if value is None else str(value)
