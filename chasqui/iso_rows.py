"""The rows by which a frame is explained: names, masked values, and what they mean."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from gettext import gettext as _
from typing import Final

from msgspec import Struct

from chasqui.iso_meanings import CURRENCIES, network_name, operation_name, response_meaning
from chasqui.language import N_
from chasqui.output import amount_text
from chasqui.told import told
from scheme.wire.iso8583_codec import IsoFault, Part
from scheme.wire.iso8583_spec import ELEMENTS, Fields
from scheme.wire.iso8583_tlv import decode_tlv
from scheme.wire.iso8583_view import HIDDEN, SECRET, masked_value

TYPE, BITMAP, SECOND_BITMAP, LEFT_OVER = "t", "p", "1", ""
"""Keys of the parts that are no elements."""
RULE: Final = "DE62.04"
"""Where an answer says which rule was broken, in a text of the country."""
_RAW_BYTES: Final = 6
"""Bytes of a part that are shown; more would fill the screen, and say nothing."""

NAMES: Final[Mapping[str, str]] = {
    TYPE: N_("Message type"),
    BITMAP: N_("Bitmap"),
    SECOND_BITMAP: N_("Second bitmap"),
    LEFT_OVER: N_("Left over"),
    "2": N_("Card number"),
    "3": N_("Processing code"),
    "4": N_("Amount"),
    "7": N_("Transmission date and time, UTC"),
    "11": N_("STAN"),
    "12": N_("Time at the terminal"),
    "13": N_("Date at the terminal"),
    "15": N_("Settlement date"),
    "18": N_("Merchant type"),
    "22": N_("Entry mode"),
    "25": N_("Condition"),
    "32": N_("Acquirer"),
    "33": N_("Forwarding institution"),
    "37": N_("Retrieval reference (RRN)"),
    "38": N_("Authorization"),
    "39": N_("Response code"),
    "41": N_("Terminal"),
    "42": N_("Merchant"),
    "43": N_("Place"),
    "48": N_("Parties"),
    "49": N_("Currency"),
    "52": N_("PIN block"),
    "53": N_("Security control"),
    "54": N_("Additional amounts"),
    "62": N_("Routing and result"),
    "64": N_("MAC"),
    "70": N_("Network function"),
    "90": N_("Original request"),
    "95": N_("Replacement amounts"),
    "102": N_("Debtor's account"),
    "103": N_("Creditor's account"),
    "128": N_("MAC"),
}
TAGS: Final[Mapping[str, Mapping[str, str]]] = {
    "48": {
        "01": N_("Entity"),
        "02": N_("Kind of alias"),
        "03": N_("Alias"),
        "04": N_("Debtor's name"),
        "05": N_("Kind of the debtor's document"),
        "06": N_("Debtor's document"),
        "07": N_("Debtor's phone"),
        "08": N_("Creditor's name"),
        "09": N_("Kind of person"),
        "10": N_("Verification"),
        "11": N_("Interbank fee"),
        "12": N_("Plaza"),
        "13": N_("Same customer"),
        "14": N_("Description"),
        "15": N_("Kind of the creditor's document"),
        "16": N_("Creditor's document"),
        "30": N_("One-time code"),
        "31": N_("Member's phone"),
        "40": N_("Key under the key-encrypting key"),
        "41": N_("Key check value"),
    },
    "62": {
        "01": N_("Instruction id"),
        "02": N_("Rail"),
        "03": N_("Reason"),
        "04": N_("Field and rule"),
        "05": N_("Original result"),
        "06": N_("Debtor's institution"),
        "07": N_("Notice"),
        "08": N_("Text of the notice"),
        "20": N_("Last movements"),
    },
}
_ACCOUNTS: Final = frozenset({"102", "103"})
_TIME: Final = "12"
_LEAP_YEAR: Final = 2000
_OUTSIDE: Final = frozenset({TYPE, BITMAP, SECOND_BITMAP})
_PERSONAL: Final = frozenset({"2", "48", *_ACCOUNTS, *SECRET})


class Row(Struct, frozen=True, kw_only=True):
    """One line of an explanation.

    Attributes:
        at: offset of its first byte in the frame; None of a tag inside an element.
        element: ``MTI``, ``DE4``, ``DE48.01``, ``TPDU`` ...
        raw: its first bytes in hex; stars where they would say what the value hides.
        note: what it means, or what is wrong with it.
    """

    at: int | None
    element: str
    name: str
    raw: str
    value: str
    note: str = ""


def rows_of(part: Part, raw: bytes, start: int, fields: Fields) -> list[Row]:
    """Return the row of a part, and one for each tag inside it.

    Args:
        raw: the whole message.
        start: offset of the message in the frame.
        fields: what else could be read, for amounts in their currency.
    """
    key = part.key
    inside = raw[part.at : part.end]
    name = _(NAMES[key]) if key in NAMES else ""
    if part.rule:
        # What cannot be read may hold anything: a card, a name, half a key.
        shown = hex_text(inside) if key in _OUTSIDE else HIDDEN
        note = told(part.rule)
        return [
            Row(
                at=start + part.at,
                element=part.field,
                name=name,
                raw=shown,
                value="",
                note=note,
            )
        ]
    row = Row(
        at=start + part.at,
        element=part.field,
        name=name,
        raw=HIDDEN if key in _PERSONAL or _is_telling(key, part.value) else hex_text(inside),
        value="" if key in TAGS else masked_value(key, part.value),
        note=_note(key, part, fields),
    )
    return [row, *(_tag_rows(key, part.value) if key in TAGS else ())]


def hex_text(raw: bytes) -> str:
    """Return the first bytes in hex, with a mark if there are more."""
    shown = raw[:_RAW_BYTES].hex().upper()
    return shown if len(raw) <= _RAW_BYTES else f"{shown}\N{HORIZONTAL ELLIPSIS}"


def _is_telling(key: str, value: str) -> bool:
    """Tell whether a value is shown otherwise than it came, so that its bytes must not be."""
    return key in ELEMENT_KEYS and masked_value(key, value) != value


ELEMENT_KEYS: Final = frozenset(element.key for element in ELEMENTS)


def _tag_rows(key: str, text: str) -> Sequence[Row]:
    try:
        tags = decode_tlv(text, int(key))
    except IsoFault as fault:
        return [Row(at=None, element=fault.field, name="", raw="", value="", note=told(fault.rule))]
    return [
        Row(
            at=None,
            element=f"DE{key}.{tag}",
            name=_(TAGS[key][tag]) if tag in TAGS[key] else "",
            raw="",
            value=masked_value(f"{key}.{tag}", value),
        )
        for tag, value in tags.items()
    ]


def _note(key: str, part: Part, fields: Fields) -> str:
    value = part.value
    match key:
        case "t":
            return _(TYPES[value]) if value in TYPES else ""
        case "p" | "1":
            return _elements(value, 64 if key == "1" else 0)
        case "4":
            return amount_text(int(value), CURRENCIES.get(fields.get("49", "604"), "PEN"))
        case "12" | "13" | "15":
            return _moment(key, value)
        case "49":
            return CURRENCIES.get(value, "")
        case "90":
            return _original(value)
        case "64" | "128":
            return _("over the {count} bytes before it").format(count=part.at)
        case _:
            return _MEANINGS[key](value) if key in _MEANINGS else ""


def _moment(key: str, value: str) -> str:
    """Return what is wrong with a date or a time; the table takes any digits."""
    # The year is not said: the 29th of February may be meant.
    text = f"{_LEAP_YEAR}0101{value}" if key == _TIME else f"{_LEAP_YEAR}{value}000000"
    try:
        datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return _("no time hhmmss") if key == _TIME else _("no date MMDD")
    return ""


def _elements(bitmap: str, before: int) -> str:
    number = int(bitmap, 16)
    return " ".join(
        str(before + bit) for bit in range(1, 65) if number >> (64 - bit) & 1 and before + bit > 1
    )


def _original(value: str) -> str:
    return _("{message}, STAN {stan}, of {code}").format(
        message=value[:4], stan=value[4:10], code=value[20:31].lstrip("0") or "-"
    )


_MEANINGS: Final[Mapping[str, Callable[[str], str]]] = {
    "3": operation_name,
    "39": response_meaning,
    "70": network_name,
}
"""What says the meaning of a code, by element."""
TYPES: Final[Mapping[str, str]] = {
    "0200": N_("request"),
    "0201": N_("request, repeated"),
    "0210": N_("answer"),
    "0420": N_("reversal"),
    "0421": N_("reversal, repeated"),
    "0430": N_("answer to a reversal"),
    "0800": N_("network request"),
    "0810": N_("network answer"),
}
