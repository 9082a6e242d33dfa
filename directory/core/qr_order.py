"""What a participant may have put into a QR: the checks of the generate call."""

from msgspec import Struct

from directory.core.qr import QrRefusal, QrResult
from directory.core.qr_calls import GenerateData, Written
from scheme import cci as account
from scheme.clock import parse_wire
from scheme.money import CURRENCY_BY_CODE, MINOR_DIGITS_MAX, Currency

_STATIC, _DYNAMIC = "11", "12"
_NAME_CHARACTERS_MAX = 99
_GLOSS_CHARACTERS_MAX = 140
_MINOR_MAX = 10**MINOR_DIGITS_MAX - 1
_PAYMENTS_MAX = 9999


class QrOrder(Struct, frozen=True, kw_only=True):
    """A QR as ordered, checked. The last four are of a dynamic one; see ``QrRecord``."""

    is_dynamic: bool
    cci: str
    currency: Currency
    name: str
    minor: int | None = None
    expires: str | None = None
    payments_max: int | None = None
    gloss: str | None = None


def order_of(data: GenerateData, *, owner: str, today: str) -> QrOrder | QrRefusal:
    """Check the data of a generate call.

    Args:
        owner: the participant that asks; the account must be its own.
        today: ``yyyyMMdd``, Lima local.
    """
    kind = str(data.qr_tipo)
    currency = CURRENCY_BY_CODE.get(str(data.moneda))
    name = data.nombre_comerciante
    if kind not in {_STATIC, _DYNAMIC}:
        return _no("qrTipo", f"{_STATIC} static or {_DYNAMIC} dynamic")
    if currency is None:
        return _no("moneda", " or ".join(CURRENCY_BY_CODE))
    if not account.is_well_formed(data.id_cuenta) or account.is_placeholder(data.id_cuenta):
        return _no("idCuenta", "a CCI of 20 digits")
    if account.participant_of(data.id_cuenta) != owner:
        return QrRefusal(QrResult.NOT_YOURS)
    if not (0 < len(name) <= _NAME_CHARACTERS_MAX and name.isprintable()):
        return _no("nombreComerciante", f"1 to {_NAME_CHARACTERS_MAX} printable characters")
    plain = QrOrder(is_dynamic=False, cci=data.id_cuenta, currency=currency, name=name)
    if kind == _DYNAMIC:
        return _dynamic(plain, data, today)
    terms = (data.importe, data.fecha_vencimiento, data.cantidad_pagos, data.glosa)
    if any(one not in {None, ""} for one in terms):
        return _no("importe", "it, fechaVencimiento, cantidadPagos and glosa only with qrTipo 12")
    return plain


def _dynamic(plain: QrOrder, data: GenerateData, today: str) -> QrOrder | QrRefusal:
    minor = _count(data.importe, "importe", _MINOR_MAX)
    payments_max = _count(data.cantidad_pagos, "cantidadPagos", _PAYMENTS_MAX)
    expires = _last_day(data.fecha_vencimiento, today)
    gloss = data.glosa or None
    for one in (minor, payments_max, expires):
        if isinstance(one, QrRefusal):
            return one
    assert not isinstance(minor, QrRefusal)
    assert not isinstance(payments_max, QrRefusal)
    assert not isinstance(expires, QrRefusal)
    if gloss is not None and (len(gloss) > _GLOSS_CHARACTERS_MAX or not gloss.isprintable()):
        return _no("glosa", f"at most {_GLOSS_CHARACTERS_MAX} printable characters")
    return QrOrder(
        is_dynamic=True,
        cci=plain.cci,
        currency=plain.currency,
        name=plain.name,
        minor=minor,
        expires=expires,
        payments_max=payments_max,
        gloss=gloss,
    )


def _count(written: Written | None, field: str, highest: int) -> int | QrRefusal | None:
    text = "" if written is None else str(written)
    if not text:
        return None
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(highest))
    if not is_number or not 0 < int(text) <= highest:
        return _no(field, f"a whole number from 1 to {highest}")
    return int(text)


def _last_day(written: Written | None, today: str) -> str | QrRefusal | None:
    text = "" if written is None else str(written)
    if not text:
        return None
    is_date = text.isascii() and text.isdigit() and len(text) == len(today)
    if not is_date or parse_wire(text, "000000") is None or text < today:
        return _no("fechaVencimiento", "yyyyMMdd, today or later")
    return text


def _no(field: str, rule: str) -> QrRefusal:
    return QrRefusal(QrResult.FORMAT, f"data.{field}: {rule}")
