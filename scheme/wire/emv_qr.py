"""The strings inside payment QR codes: build and parse (docs/wire/qr.md).

Three schemes share one format, tag-length-value with a CRC at the end: the clearing house's own
(CCE) and the wallets Yape and Plin. None of them shows the account: a token, or a sealed block,
stands for it, and only the QR module or the directory can turn that into a CCI.
"""

import binascii
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct

from scheme.errors import MalformedMessage
from scheme.limits import QR_CHARACTERS_MAX
from scheme.money import (
    CODE_BY_CURRENCY,
    CURRENCY_BY_CODE,
    Currency,
    Money,
    format_amount,
    parse_amount,
)

_FORMAT = "00"
_INITIATION = "01"
_NETWORK = "26"
_YAPE_TOKEN = "39"  # noqa: S105 - a tag, no secret
_CATEGORY = "52"
_CURRENCY = "53"
_AMOUNT = "54"
_COUNTRY = "58"
_NAME = "59"
_CITY = "60"
_CRC = "63"
_PRIVATE = "80"

_STATIC = "11"
_DYNAMIC = "12"
_PERU = "PE"
_LIMA = "Lima"
_PERSON_TO_PERSON = "4829"
_YAPE_CATEGORY = "5611"
_YAPE_NAME = "YAPERO"
_PLIN_NAME = "P2P Transfer"
_PLIN_NETWORK = "Plin Network P2P"
_CCE_POINTER = "80"
_CCE_ISSUER = "903"
_CCE_PRIVATE_ID = "ID1"

_HEAD_CHARACTERS = 4
_CRC_CHARACTERS = 8
_VALUE_CHARACTERS_MAX = 99
_CRC_START = 0xFFFF

_TWO_DIGITS = re.compile(r"[0-9]{2}", re.ASCII)
_HEX_TOKEN = re.compile(r"[0-9A-Fa-f]{32}", re.ASCII)
_BASE64_32_BYTES = re.compile(r"[A-Za-z0-9+/]{43}=", re.ASCII)
_ID_QR = re.compile(r"[0-9]{20}", re.ASCII)
_CRC_HEX = re.compile(r"[0-9A-Fa-f]{4}", re.ASCII)


class QrScheme(StrEnum):
    """Whose QR it is."""

    CCE = "CCE"
    YAPE = "YAPE"
    PLIN = "PLIN"


class PlinOrder(StrEnum):
    """The two orders of tags in which Plin QRs are printed; both are in use."""

    TEMPLATE_LAST = "template_last"
    TEMPLATE_EARLY = "template_early"


class Tag(NamedTuple):
    """One element as it stands in the string; ``length`` as printed, two digits."""

    tag: str
    length: str
    value: str


class QrCode(Struct, frozen=True, kw_only=True):
    """What a QR says.

    Attributes:
        issuer: ``901`` Yape, ``902`` Plin, ``903`` the clearing house.
        is_dynamic: made for one sale, rather than printed once for many.
        token: stands for the account at a wallet; None for CCE.
        id_qr: identifies a CCE QR in payments; None for wallets.
        sealed_account: opaque block of a CCE QR; never the CCI itself.
        amount: None if the payer chooses it.
        name: the holder as printed, or the wallet's constant.
        tags: every top-level element in the order found, CRC included.
    """

    scheme: QrScheme
    issuer: str
    is_dynamic: bool
    token: str | None
    id_qr: str | None
    sealed_account: str | None
    currency: Currency
    amount: Money | None
    name: str
    tags: tuple[Tag, ...]


def crc(text: str) -> str:
    """Return the CRC-16/CCITT-FALSE of a text in four upper-case hexadecimal digits."""
    return f"{binascii.crc_hqx(text.encode(), _CRC_START):04X}"


def parse(text: str) -> QrCode:
    """Read a QR string, its tags in any order and unknown ones ignored.

    Raises:
        MalformedMessage: ``field`` names the tag (``26/01`` for a nested one), ``qr`` the whole.
    """
    if len(text) > QR_CHARACTERS_MAX:
        raise _fault("qr", f"at most {QR_CHARACTERS_MAX} characters")
    # Also keeps terminal escapes and lone surrogates out of everything behind.
    if not text.isprintable():
        raise _fault("qr", "printable characters only")
    _check_crc(text)
    elements = _elements(text)
    tags = _by_tag(elements, "")
    _require(tags, _FORMAT, "01")
    _require(tags, _COUNTRY, _PERU)
    return _recognise(tags, tuple(elements))


def build_cce(
    *,
    id_qr: str,
    sealed_account: str,
    name: str,
    currency: Currency = "PEN",
    is_dynamic: bool = False,
    amount: Money | None = None,
) -> str:
    """Return a QR of the clearing house.

    Args:
        id_qr: 20 digits.
        sealed_account: 44 base64 characters (32 bytes).
        amount: only for a dynamic one.

    Raises:
        MalformedMessage: the name is empty, too long or not printable.
    """
    assert _ID_QR.fullmatch(id_qr)
    assert _BASE64_32_BYTES.fullmatch(sealed_account)
    assert amount is None or (is_dynamic and amount.minor > 0 and amount.currency == currency)
    if not name.isprintable():
        raise _fault(_NAME, "printable characters only")
    network = _join((("00", _CCE_POINTER), ("01", _CCE_ISSUER), ("02", id_qr)))
    private = _join((("00", _CCE_PRIVATE_ID), ("01", sealed_account)))
    price = () if amount is None else ((_AMOUNT, format_amount(amount)),)
    return _seal(
        (
            (_FORMAT, "01"),
            (_INITIATION, _DYNAMIC if is_dynamic else _STATIC),
            (_NETWORK, network),
            (_CATEGORY, _PERSON_TO_PERSON),
            (_CURRENCY, CODE_BY_CURRENCY[currency]),
            *price,
            (_COUNTRY, _PERU),
            (_NAME, name),
            (_CITY, _LIMA),
            (_PRIVATE, private),
        )
    )


def build_yape(token: str) -> str:
    """Return a Yape QR for a token of 32 hexadecimal digits or 44 base64 characters."""
    assert _is_token(token)
    return _seal(
        (
            (_FORMAT, "01"),
            (_INITIATION, _STATIC),
            (_YAPE_TOKEN, token),
            (_CATEGORY, _YAPE_CATEGORY),
            (_CURRENCY, CODE_BY_CURRENCY["PEN"]),
            (_COUNTRY, _PERU),
            (_NAME, _YAPE_NAME),
            (_CITY, _LIMA),
        )
    )


def build_plin(token: str, order: PlinOrder = PlinOrder.TEMPLATE_LAST) -> str:
    """Return a Plin QR for a token of 32 hexadecimal digits, in either order in use."""
    assert _HEX_TOKEN.fullmatch(token)
    start = ((_FORMAT, "01"), (_COUNTRY, _PERU))
    initiation = (_INITIATION, _STATIC)
    sale = (
        (_CATEGORY, _PERSON_TO_PERSON),
        (_CURRENCY, CODE_BY_CURRENCY["PEN"]),
        (_NAME, _PLIN_NAME),
        (_CITY, _LIMA),
    )
    if order is PlinOrder.TEMPLATE_LAST:
        network = _join((("00", token), ("01", _PLIN_NETWORK)))
        return _seal((*start, initiation, *sale, (_NETWORK, network)))
    network = _join((("01", _PLIN_NETWORK), ("00", token)))
    return _seal((*start, (_NETWORK, network), initiation, *sale))


def _fault(tag: str, rule: str) -> MalformedMessage:
    return MalformedMessage(rule, field=tag)


def _check_crc(text: str) -> None:
    body, mark, printed = text[:-_CRC_CHARACTERS], text[-_CRC_CHARACTERS:-4], text[-4:]
    if mark != _CRC + "04" or _CRC_HEX.fullmatch(printed) is None:
        raise _fault(_CRC, "the last tag, four hexadecimal digits")
    covered = body + mark
    # Names with accents are printed in either encoding; the CRC tells which, and we need not.
    sums = {crc(covered)}
    if not covered.isascii():
        latin = covered.encode("latin-1", errors="replace")
        sums.add(f"{binascii.crc_hqx(latin, _CRC_START):04X}")
    if printed.upper() not in sums:
        raise _fault(_CRC, "the CRC of everything before it")


def _elements(text: str) -> list[Tag]:
    """Cut the string into elements, lengths counted in characters, else in UTF-8 bytes.

    Issuers disagree on what the length of a name with accents counts.
    """
    try:
        return _cut_whole(text)
    except MalformedMessage:
        if text.isascii():
            raise
        # Latin-1 maps bytes to characters one to one, so the same cutter serves.
        raw = text.encode().decode("latin-1")
        # Heads are digits, so no value begins or ends inside a character.
        return [
            element._replace(value=element.value.encode("latin-1").decode())
            for element in _cut_whole(raw)
        ]


def _cut_whole(text: str) -> list[Tag]:
    elements = _cut(text, "")
    # The text ends like a CRC; that must not be the end of another element's value.
    if elements[-1].tag != _CRC:
        raise _fault(_CRC, "the last tag")
    return elements


def _cut(text: str, prefix: str) -> list[Tag]:
    elements: list[Tag] = []
    position = 0
    while position < len(text):
        tag = text[position : position + 2]
        length = text[position + 2 : position + _HEAD_CHARACTERS]
        if _TWO_DIGITS.fullmatch(tag) is None:
            raise _fault(prefix.rstrip("/") or "qr", "tags of two digits")
        if _TWO_DIGITS.fullmatch(length) is None:
            raise _fault(prefix + tag, "a length of two digits")
        start = position + _HEAD_CHARACTERS
        position = start + int(length)
        if position > len(text):
            raise _fault(prefix + tag, "a length that ends inside the text")
        elements.append(Tag(tag, length, text[start:position]))
    return elements


def _by_tag(elements: Iterable[Tag], prefix: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for element in elements:
        # With two of a kind, two readers could pay two people.
        if element.tag in values:
            raise _fault(prefix + element.tag, "once only")
        values[element.tag] = element.value
    return values


def _nested(tags: Mapping[str, str], tag: str) -> dict[str, str]:
    prefix = tag + "/"
    return _by_tag(_cut(tags[tag], prefix), prefix)


def _require(tags: Mapping[str, str], tag: str, value: str) -> None:
    if tags.get(tag) != value:
        raise _fault(tag, f"must be {value}")


def _recognise(tags: Mapping[str, str], elements: tuple[Tag, ...]) -> QrCode:
    network = _nested(tags, _NETWORK) if _NETWORK in tags else {}
    if network.get("00") == _CCE_POINTER and network.get("01") == _CCE_ISSUER:
        return _cce(tags, network, elements)
    if network.get("01") == _PLIN_NETWORK:
        return _wallet(QrScheme.PLIN, network.get("00", ""), tags, elements)
    if _YAPE_TOKEN in tags:
        _require(tags, _NAME, _YAPE_NAME)
        return _wallet(QrScheme.YAPE, tags[_YAPE_TOKEN], tags, elements)
    raise _fault(_NETWORK, "tag 26 of CCE or Plin, or tag 39 of Yape")


def _cce(tags: Mapping[str, str], network: Mapping[str, str], elements: tuple[Tag, ...]) -> QrCode:
    id_qr = network.get("02", "")
    if _ID_QR.fullmatch(id_qr) is None:
        raise _fault(_NETWORK + "/02", "20 digits")
    if not tags.get(_NAME):
        raise _fault(_NAME, "mandatory")
    currency = _currency(tags)
    return QrCode(
        scheme=QrScheme.CCE,
        issuer=_CCE_ISSUER,
        is_dynamic=_is_dynamic(tags),
        token=None,
        id_qr=id_qr,
        sealed_account=_sealed_account(tags),
        currency=currency,
        amount=_amount(tags, currency),
        name=tags[_NAME],
        tags=elements,
    )


def _wallet(
    scheme: QrScheme, token: str, tags: Mapping[str, str], elements: tuple[Tag, ...]
) -> QrCode:
    is_plin = scheme is QrScheme.PLIN
    if not (_HEX_TOKEN.fullmatch(token) if is_plin else _is_token(token)):
        rule = "32 hexadecimal digits" if is_plin else "32 hexadecimal or 44 base64 characters"
        raise _fault(_NETWORK + "/00" if is_plin else _YAPE_TOKEN, rule)
    currency = _currency(tags)
    if currency != "PEN":
        raise _fault(_CURRENCY, f"must be {CODE_BY_CURRENCY['PEN']}")
    return QrCode(
        scheme=scheme,
        issuer="902" if is_plin else "901",
        is_dynamic=_is_dynamic(tags),
        token=token,
        id_qr=None,
        sealed_account=None,
        currency=currency,
        amount=_amount(tags, currency),
        name=tags.get(_NAME, ""),
        tags=elements,
    )


def _is_token(text: str) -> bool:
    return bool(_HEX_TOKEN.fullmatch(text) or _BASE64_32_BYTES.fullmatch(text))


def _is_dynamic(tags: Mapping[str, str]) -> bool:
    initiation = tags.get(_INITIATION)
    if initiation not in {_STATIC, _DYNAMIC}:
        raise _fault(_INITIATION, f"{_STATIC} static or {_DYNAMIC} dynamic")
    return initiation == _DYNAMIC


def _currency(tags: Mapping[str, str]) -> Currency:
    currency = CURRENCY_BY_CODE.get(tags.get(_CURRENCY, ""))
    if currency is None:
        raise _fault(_CURRENCY, " or ".join(CURRENCY_BY_CODE))
    return currency


def _amount(tags: Mapping[str, str], currency: Currency) -> Money | None:
    text = tags.get(_AMOUNT)
    if text is None:
        return None
    if "," in text:
        raise _fault(_AMOUNT, "no grouping")
    try:
        amount = parse_amount(text, currency)
    except MalformedMessage as error:
        raise _fault(_AMOUNT, error.rule) from error
    if amount.minor == 0:
        raise _fault(_AMOUNT, "above zero")
    return amount


def _sealed_account(tags: Mapping[str, str]) -> str | None:
    """Return the sealed block, or None: id_qr and the account find the QR without it."""
    if _PRIVATE not in tags:
        return None
    sealed = _nested(tags, _PRIVATE).get("01", "")
    if _BASE64_32_BYTES.fullmatch(sealed) is None:
        raise _fault(_PRIVATE + "/01", "44 base64 characters")
    return sealed


def _join(pairs: Iterable[tuple[str, str]]) -> str:
    return "".join(_element(tag, value) for tag, value in pairs)


def _element(tag: str, value: str) -> str:
    if not 0 < len(value) <= _VALUE_CHARACTERS_MAX:
        raise _fault(tag, f"1 to {_VALUE_CHARACTERS_MAX} characters")
    return f"{tag}{len(value):02}{value}"


def _seal(pairs: Iterable[tuple[str, str]]) -> str:
    text = _join(pairs) + _CRC + "04"
    return text + crc(text)
