"""ISO 8583 requests made at the command line, in the place of a core or a cash machine."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from gettext import gettext as _
from typing import Final

from msgspec import Struct, structs

from chasqui.exits import Misused
from scheme.cci import clean, is_well_formed, participant_of
from scheme.clock import lima
from scheme.wire.iso8583_reversal import replacement
from scheme.wire.iso8583_spec import Fields
from scheme.wire.iso8583_tlv import decode_tlv, encode_tlv

ECHO: Final = "echo"
REVERSAL: Final = "reversal"
RAW: Final = "raw"
PROCESSING_CODES: Final[Mapping[str, str]] = {
    "transfer": "400000",
    "verify": "330000",
    "withdraw": "010000",
    "deposit": "210000",
    "balance": "310000",
}
KINDS: Final = (*PROCESSING_CODES, ECHO, REVERSAL, RAW)
_CURRENCY_CODES: Final[Mapping[str, str]] = {"PEN": "604", "USD": "840"}
_WITH_AMOUNT: Final = frozenset({"transfer", "withdraw", "deposit"})
_WITH_CREDITOR: Final = frozenset({"transfer", "verify", "deposit"})
_OF_A_CARD: Final = frozenset({"withdraw", "balance"})
_PHONE_DIGITS: Final = 9
_STAN_DIGITS: Final = 6
_PARTIES: Final = "48"
_REPEATED: Final[Mapping[str, str]] = {"0200": "0201", "0420": "0421"}
_WITHOUT_MAC: Final = frozenset({"64", "128"})
# Invented, like everybody here: what a core says of the debtor.
_DEBTOR: Final[Mapping[str, str]] = {
    "04": "SOCIA PRUEBA DE ENLACE",
    "05": "2",
    "06": "00000001",
    "09": "N",
}
_TERMINAL: Final = f"{'PRUEBA01':<8}"
_PLACE: Final = f"{'CHASQUI':<15}"
_NO_FORWARDER: Final = "0" * 11


class Wish(Struct, frozen=True, kw_only=True):
    """What somebody wants to send.

    Attributes:
        code: participant in whose name it goes out.
        kind: one of ``KINDS``, but raw.
        of: kind of the request that a reversal is about.
        debtor, creditor: accounts; the creditor may be a phone at ``entity``.
        amount, dispensed: in cents.
        stan, rrn: of the request, or of the one that a reversal is about; empty: new ones.
        is_repeated: it says that it was sent before.
        extra: elements, or tags such as ``48.14``, that replace ours; an empty one leaves it out.
    """

    code: str
    kind: str
    of: str = "transfer"
    debtor: str = ""
    creditor: str = ""
    entity: str = ""
    amount: int | None = None
    dispensed: int | None = None
    currency: str = "PEN"
    card: str = ""
    phone: str = ""
    one_time_code: str = ""
    stan: str = ""
    rrn: str = ""
    is_repeated: bool = False
    extra: tuple[tuple[str, str], ...] = ()


def request_of(wish: Wish, now: datetime) -> Fields:
    """Return the request, without its MAC.

    Raises:
        Misused: something that this kind of request needs is missing, or is wrong.
    """
    wish = _as_typed(wish)
    if wish.kind == ECHO:
        fields = {"t": "0800", **_stamp(wish, now), "32": wish.code, "70": "301"}
    elif wish.kind == REVERSAL:
        fields = _reversal(wish, now)
    else:
        fields = _financial(wish, now)
    if wish.is_repeated:
        fields["t"] = _REPEATED.get(fields["t"], fields["t"])
    return ordered(_with_extra(fields, wish.extra))


def _as_typed(wish: Wish) -> Wish:
    """Return a wish with its numbers as they travel, however people group them."""
    card, stan = clean(wish.card), clean(wish.stan)
    if card and not _is_number(card):
        raise Misused(_("the digits of a card are needed"), field="--card")
    if stan and not (_is_number(stan) and len(stan) <= _STAN_DIGITS):
        raise Misused(_("a number of at most 6 digits is needed"), field="--stan")
    return structs.replace(wish, card=card, stan=stan and stan.zfill(_STAN_DIGITS))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def ordered(fields: Fields) -> Fields:
    """Return fields in the order in which they are written."""
    return {"t": fields["t"]} | {key: fields[key] for key in sorted(fields.keys() - {"t"}, key=int)}


def parse_extra(words: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Read ``N=VALUE`` and ``N.TAG=VALUE``.

    Raises:
        Misused: it is not of that form.
    """
    found = []
    for word in words:
        key, equals, value = word.partition("=")
        element, point, tag = key.partition(".")
        fine = equals and _is_element(element) and (not point or (tag.isdigit() and len(tag) == 2))
        if not (fine or (key == "t" and equals)):
            raise Misused(
                _("{word!r} is no element: say it as 4=000000002550 or 48.14=text").format(
                    word=word
                ),
                field="--field",
            )
        found.append((key, value))
    return tuple(found)


def _is_element(text: str) -> bool:
    return text.isascii() and text.isdigit() and 2 <= int(text) <= 128 and text not in _WITHOUT_MAC


def _financial(wish: Wish, now: datetime) -> Fields:
    fields: Fields = {"t": "0200", "3": PROCESSING_CODES[wish.kind], **_stamp(wish, now)}
    fields |= _moment(now) | {
        "32": wish.code,
        "37": wish.rrn or _new_rrn(now, fields["11"]),
        "49": _CURRENCY_CODES[wish.currency],
    }
    if wish.kind in _WITH_AMOUNT:
        fields |= {"4": _cents(wish.amount, "--amount"), "41": _TERMINAL, "42": _PLACE}
    tags: dict[str, str] = {}
    if wish.kind in _WITH_CREDITOR:
        tags |= _creditor(wish, fields)
    if wish.kind == "transfer":
        fields["102"] = _account(wish.debtor, "--from")
    if wish.kind in {"transfer", "verify"}:
        tags |= _DEBTOR
    if wish.kind in _OF_A_CARD:
        tags |= _holder(wish, fields)
    if tags:
        fields[_PARTIES] = encode_tlv(dict(sorted(tags.items())))
    return fields


def _creditor(wish: Wish, fields: Fields) -> dict[str, str]:
    """Name the creditor by an account, or by a phone and the entity where it is paid."""
    if is_well_formed(wish.creditor):
        fields["103"] = wish.creditor
        return {"01": wish.entity or participant_of(wish.creditor)}
    if not _is_phone(wish.creditor):
        raise Misused(_("an account of 20 digits, or a phone, is needed"), field="--to")
    if not wish.entity:
        raise Misused(_("a phone needs the entity where it is paid"), field="--entity")
    return {"01": wish.entity, "02": "P", "03": wish.creditor}


def _holder(wish: Wish, fields: Fields) -> dict[str, str]:
    """Name whose money is wanted: by a card, an account, or a phone and its one-time code."""
    if wish.card:
        fields["2"] = wish.card
        return {}
    if wish.phone:
        return {"30": wish.one_time_code, "31": wish.phone}
    if not wish.debtor:
        raise Misused(
            _("a card is needed, or a phone (--phone) with its code (--code)"), field="--card"
        )
    fields["102"] = _account(wish.debtor, "--from")
    return {"01": wish.entity or participant_of(wish.debtor)}


def _reversal(wish: Wish, now: datetime) -> Fields:
    """Undo a request that this participant sent today."""
    if not (wish.stan and wish.rrn):
        raise Misused(
            _("a reversal needs --stan and --rrn of the request that it is about"), field="--stan"
        )
    stamp = _stamp(wish, now)
    original = f"0200{wish.stan}{stamp['7']}{wish.code:0>11}{_NO_FORWARDER}"
    fields: Fields = {"t": "0420", "3": PROCESSING_CODES[wish.of], **stamp, **_moment(now)}
    fields |= {
        "4": _cents(wish.amount, "--amount"),
        "32": wish.code,
        "37": wish.rrn,
        "49": _CURRENCY_CODES[wish.currency],
        "90": original,
    }
    if wish.dispensed is not None:
        fields["95"] = replacement(wish.dispensed)
    return fields


def _stamp(wish: Wish, now: datetime) -> Fields:
    """Return DE7 and DE11: a new number unless one was asked for."""
    number = wish.stan or f"{now.timestamp() * 1000 % 1_000_000:06.0f}"[-6:]
    return {"7": now.astimezone(UTC).strftime("%m%d%H%M%S"), "11": number}


def _moment(now: datetime) -> Fields:
    local = lima(now)
    return {"12": local.strftime("%H%M%S"), "13": local.strftime("%m%d")}


def _new_rrn(now: datetime, stan: str) -> str:
    """Return the usual twelve: last digit of the year, day of the year, hour, number."""
    return f"{lima(now):%Y%j%H}"[3:] + stan


def _cents(minor: int | None, flag: str) -> str:
    if minor is None:
        raise Misused(_("an amount is needed"), field=flag)
    return f"{minor:012}"


def _account(cci: str, flag: str) -> str:
    if not is_well_formed(cci):
        raise Misused(_("an account of 20 digits is needed"), field=flag)
    return cci


def _is_phone(text: str) -> bool:
    return len(text) == _PHONE_DIGITS and text.isascii() and text.isdigit() and text[0] == "9"


def _with_extra(fields: Fields, extra: Sequence[tuple[str, str]]) -> Fields:
    changed = dict(fields)
    for key, value in extra:
        element, _point, tag = key.partition(".")
        if tag:
            tags = decode_tlv(changed.get(element, ""), int(element)) | {tag: value}
            changed[element] = encode_tlv({one: text for one, text in tags.items() if text})
        else:
            changed[element] = value
    return {key: value for key, value in changed.items() if value}
