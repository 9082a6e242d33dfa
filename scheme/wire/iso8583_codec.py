"""ISO 8583 messages to fields and back, compiled from the tables of ``iso8583_spec``.

The fast reader follows a plan made once for each bitmap and gives up, without saying why, at the
first thing that is wrong. Only then does the careful one (``iso8583_walk``) name the element, the
rule and the byte. Tests hold the two, and pyiso8583, against each other.

Elements of fixed length and one kind that stand in a row are one step of a plan: they are read,
checked and written at once, which takes half the time of one by one.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from itertools import accumulate
from typing import Final

from scheme.errors import MalformedMessage
from scheme.wire.iso8583_spec import (
    MANDATORY,
    MESSAGE_TYPES,
    PREFIX_DIGITS,
    SPECS,
    Element,
    Fields,
    IsoSpec,
    Kind,
)
from scheme.wire.iso8583_walk import Part as Part
from scheme.wire.iso8583_walk import elements_of, walk

"""The rule that an absent element breaks."""
PLANS_KEPT_MAX: Final = 512
"""Bitmaps, and sets of elements, whose plans one codec keeps."""
MISSING: Final = "it must be there"

_HEX_DIGITS: Final = "0123456789ABCDEF"
_BITMAP_DIGITS: Final = 16
_PRIMARY_BITS: Final = 64
_SECONDARY: Final = frozenset("89ABCDEF")
"""First digits of a bitmap that a second one follows."""

# One look-up both checks a length's digits and reads them; 0 stands for what is not a length.
_LENGTHS: Final = {
    f"{length:0{digits}d}": length for digits in (2, 3, 4) for length in range(10 ** min(digits, 3))
}


def _is_alnum(text: str) -> bool:
    return text.isalnum() or text.replace(" ", "").isalnum()


def _is_hex(text: str) -> bool:
    # What is left between the ends begins with something else.
    return not text.strip(_HEX_DIGITS)


_Holds = Callable[[str], bool]
_HOLDS: Final[Mapping[Kind, _Holds]] = {
    # Of ASCII, as both readers and the writer have made sure.
    "n": str.isdecimal,
    "an": _is_alnum,
    "ans": str.isprintable,
    "b": _is_hex,
}


# Plain tuples: one with names takes four times as long to take apart.
_Read = tuple[str, tuple[str, ...], tuple[slice, ...], bool, _Holds, int, int]
"""A step of reading.

Key; keys of elements in a row, and the place of each in the text of all, or both empty; whether
the text is hex digits of bytes, without a pad; its kind's test; bytes of its length, negative if
they are packed, 0 if it is fixed; characters of the text, with such a length at most.
"""
_Write = tuple[str, tuple[str, ...], list[int], bool, _Holds, int, int, tuple[bytes, ...]]
"""A step of writing.

Key; keys of elements in a row, and the length of each, or both empty; whether the text is hex
digits of bytes; its kind's test; least and most characters; its length as written, by length.
"""


class IsoFault(MalformedMessage):
    """An ISO 8583 frame or message breaks a rule of its wire.

    Args:
        field: ``DE4``, ``MTI``, ``bitmap``, ``length``, ``TPDU`` or ``MAC``.
        rule: the rule that was broken, without the value received.
        at: offset of the byte where it shows; None if no bytes were read.
        raw: elements that could be read all the same, for an answer; ``t`` with them.
    """

    def __init__(
        self, field: str, rule: str, at: int | None = None, *, raw: Fields | None = None
    ) -> None:
        super().__init__(rule, field=field, name=(raw or {}).get("t"), raw=raw)
        self.at = at


class Codec:
    """Reads and writes the messages of one variant.

    Args:
        spec: the variant.
    """

    def __init__(self, spec: IsoSpec) -> None:
        self.spec = spec
        self.elements = elements_of(spec)
        self._by_key = {element.key: element for element in spec.elements}
        self._has_bytes = (spec.digits, spec.lengths, spec.binary) != ("ascii", "ascii", "hex")
        self._type_bytes = 4 if spec.digits == "ascii" else 2
        self._reads = lru_cache(PLANS_KEPT_MAX)(self._plan_to_read)
        self._writes = lru_cache(PLANS_KEPT_MAX)(self._plan_to_write)

    def decode(self, body: bytes) -> Fields:
        """Return the fields of a message.

        Raises:
            IsoFault: it breaks a rule; the first one that the careful reader meets.
        """
        fields = self._read(body)
        if fields is None:
            raise _fault_in(self.walk(body))
        return fields

    def walk(self, body: bytes) -> list[Part]:
        """Return the parts of a message, sound or not, as far as they can be told apart."""
        return walk(body, self.spec)

    def encode(self, fields: Fields) -> bytes:
        """Return a message's bytes.

        Raises:
            IsoFault: an element is unknown or does not fit its row of the table.
        """
        plan = self._writes(tuple(fields))
        kind = fields.get("t", "")
        if plan is None or kind not in MESSAGE_TYPES:
            raise self._refusal_of(fields)
        bitmap, steps = plan
        head = kind.encode() if self.spec.digits == "ascii" else bytes.fromhex(kind)
        try:
            return b"".join(_written(fields, steps, [head, bitmap]))
        except ValueError as error:
            raise self._refusal_of(fields) from error

    def _read(self, body: bytes) -> Fields | None:
        """Return the fields, or None if anything at all is wrong."""
        # Every byte stays one character; those beyond ASCII become none that any kind may hold.
        text = body.decode("ascii", "surrogateescape")
        coded = body.hex().upper() if self._has_bytes else ""
        at = self._type_bytes
        kind = text[:4] if self.spec.digits == "ascii" else coded[:4]
        is_raw = self.spec.binary == "raw"
        start, digits = (2 * at, coded) if is_raw else (at, text)
        is_long = digits[start : start + 1] in _SECONDARY
        size = 2 * _BITMAP_DIGITS if is_long else _BITMAP_DIGITS
        plan = self._reads(digits[start : start + size])
        if plan is None or kind not in MESSAGE_TYPES:
            return None
        fields = {"t": kind}
        at += size // 2 if is_raw else size
        return fields if _is_read(fields, text, coded, at, plan) else None

    def _plan_to_read(self, bitmap: str) -> tuple[_Read, ...] | None:
        """Return the steps behind a bitmap; None if no message may have it."""
        if len(bitmap) not in (_BITMAP_DIGITS, 2 * _BITMAP_DIGITS) or not _is_hex(bitmap):
            return None
        if len(bitmap) > _BITMAP_DIGITS and not int(bitmap[_BITMAP_DIGITS:], 16):
            return None
        bits = f"{int(bitmap, 16):0{4 * len(bitmap)}b}"
        numbers = [number for number, bit in enumerate(bits, 1) if bit == "1" and number != 1]
        if any(number not in self.elements for number in numbers):
            return None
        return tuple(self._read_step(row) for row in self._rows(numbers))

    def _read_step(self, row: Sequence[Element]) -> _Read:
        first = row[0]
        prefix = PREFIX_DIGITS[first.prefix]
        if self.spec.lengths == "bcd":
            prefix = -((prefix + 1) // 2)
        lengths = [_characters(element) for element in row]
        ends = list(accumulate(lengths))
        cuts = tuple(slice(end - length, end) for end, length in zip(ends, lengths, strict=True))
        keys = tuple(element.key for element in row) if len(row) > 1 else ()
        is_coded = self._is_coded(first)
        return first.key, keys, cuts, is_coded, _HOLDS[first.kind], prefix, ends[-1]

    def _plan_to_write(self, keys: tuple[str, ...]) -> tuple[bytes, tuple[_Write, ...]] | None:
        """Return the bitmap of elements and the steps behind it; None if one is unknown."""
        numbers = sorted(self._by_key[key].number for key in keys if key in self._by_key)
        if "t" not in keys or len(numbers) + 1 != len(keys):
            return None
        return self._bitmap_of(numbers), tuple(map(self._write_step, self._rows(numbers)))

    def _write_step(self, row: Sequence[Element]) -> _Write:
        first = row[0]
        most = _characters(first)
        least = most if first.prefix == "fixed" else 1
        keys = tuple(element.key for element in row) if len(row) > 1 else ()
        lengths = [_characters(element) for element in row]
        prefixes = _prefixes(self.spec, first)
        is_coded = self._is_coded(first)
        return first.key, keys, lengths, is_coded, _HOLDS[first.kind], least, most, prefixes

    def _rows(self, numbers: Sequence[int]) -> list[list[Element]]:
        """Return elements in order, those together that one step can take."""
        rows: list[list[Element]] = []
        for number in numbers:
            element = self.elements[number]
            if rows and self._can_follow(rows[-1][-1], element):
                rows[-1].append(element)
            else:
                rows.append([element])
        return rows

    def _can_follow(self, one: Element, other: Element) -> bool:
        if one.prefix != "fixed" or other.prefix != "fixed" or one.kind != other.kind:
            return False
        # A pad between two of them belongs to neither.
        return not (self._is_coded(one) and (_characters(one) % 2 or _characters(other) % 2))

    def _is_coded(self, element: Element) -> bool:
        if element.kind == "n":
            return self.spec.digits == "bcd"
        return element.kind == "b" and self.spec.binary == "raw"

    def _bitmap_of(self, numbers: Sequence[int]) -> bytes:
        is_long = bool(numbers) and numbers[-1] > _PRIMARY_BITS
        width = _PRIMARY_BITS * (2 if is_long else 1)
        bits = sum(1 << (width - number) for number in ((1, *numbers) if is_long else numbers))
        raw = bits.to_bytes(width // 8, "big")
        return raw if self.spec.binary == "raw" else raw.hex().upper().encode()

    def _refusal_of(self, fields: Fields) -> IsoFault:
        """Return what is wrong with fields that cannot be written."""
        if fields.get("t", "") not in MESSAGE_TYPES:
            return IsoFault("MTI", f"one of {', '.join(MESSAGE_TYPES)}")
        for key, value in fields.items():
            if key == "t":
                continue
            element = self._by_key.get(key)
            if element is None:
                return IsoFault(f"DE{key}", "no such element in this profile", raw=fields)
            rule = _broken_rule(element, value)
            if rule:
                return IsoFault(element.label, rule, raw=fields)
        raise AssertionError("the careful look found nothing that the fast one refused")


_SAID: Final = {
    "n": "digits",
    "an": "letters and digits",
    "ans": "printable ASCII characters",
    "b": "hex digits in upper case",
}


def _characters(element: Element) -> int:
    """Return the length of its text; of a variable one at most."""
    return 2 * element.length if element.kind == "b" else element.length


def _broken_rule(element: Element, value: str) -> str:
    """Return the rule that a text breaks as an element; empty if it fits."""
    most = _characters(element)
    if element.prefix == "fixed" and len(value) != most:
        return f"exactly {most} {_SAID[element.kind]}"
    if not 1 <= len(value) <= most:
        return f"1 to {most} {_SAID[element.kind]}"
    if not value.isascii() or not _HOLDS[element.kind](value):
        return f"{_SAID[element.kind]} only"
    return ""


def _is_read(fields: Fields, text: str, coded: str, at: int, plan: tuple[_Read, ...]) -> bool:
    """Read the elements from ``at`` on into ``fields``; return whether all of it was sound.

    A stretch that is cut short shows at the end: the message is too short for it.
    """
    for key, keys, cuts, is_coded, holds, prefix, most in plan:
        length = most
        if prefix:
            mark = at + abs(prefix)
            written = text[at:mark] if prefix > 0 else coded[2 * at : 2 * mark]
            length = _LENGTHS.get(written, 0)
            if not 0 < length <= most:
                return False
            at = mark
        if is_coded:
            start = 2 * at
            at += (length + 1) // 2
            value = coded[2 * at - length : 2 * at]
            if length & 1 and coded[start : start + 1] != "0":
                return False
        else:
            value = text[at : at + length]
            at += length
        if not holds(value):
            return False
        if keys:
            fields.update(zip(keys, map(value.__getitem__, cuts), strict=True))
        else:
            fields[key] = value
    return at == len(text)


def _written(fields: Fields, steps: tuple[_Write, ...], parts: list[bytes]) -> list[bytes]:
    """Add the bytes of all elements.

    Raises:
        ValueError: one does not fit; which one, and why, ``_broken_rule`` knows.
    """
    for key, keys, lengths, is_coded, holds, least, most, prefixes in steps:
        if keys:
            values = [fields[one] for one in keys]
            if list(map(len, values)) != lengths:
                raise ValueError(key)
            value = "".join(values)
        else:
            value = fields[key]
            if not least <= len(value) <= most:
                raise ValueError(key)
            if prefixes:
                parts.append(prefixes[len(value)])
        if not holds(value):
            raise ValueError(key)
        # What is not ASCII, digits of other scripts among it, cannot be written.
        if is_coded:
            parts.append(bytes.fromhex("0" + value if len(value) & 1 else value))
        else:
            parts.append(value.encode("ascii"))
    return parts


def _prefixes(spec: IsoSpec, element: Element) -> tuple[bytes, ...]:
    """Return the written length prefix by length; nothing for a fixed length."""
    digits = PREFIX_DIGITS[element.prefix]
    if not digits:
        return ()
    if spec.lengths == "ascii":
        return tuple(f"{length:0{digits}d}".encode() for length in range(element.length + 1))
    width = 2 * ((digits + 1) // 2)
    return tuple(bytes.fromhex(f"{length:0{width}d}") for length in range(element.length + 1))


def _fault_in(parts: Sequence[Part]) -> IsoFault:
    wrong = next((one for one in parts if one.rule), None)
    assert wrong is not None, "the careful reader finds a fault where the fast one gave up"
    read = {one.key: one.value for one in parts if not one.rule and one.key not in ("p", "1")}
    return IsoFault(wrong.field, wrong.rule, wrong.at, raw=read)


@cache
def codec(spec: str) -> Codec:
    """Return the codec of a variant.

    Raises:
        KeyError: there is no such variant.
    """
    return Codec(SPECS[spec])


def check_mandatory(fields: Fields) -> IsoFault | None:
    """Return the first rule about the elements that a message must have that this one breaks.

    What a message is about says DE70 of a network message, and of all others the first two digits
    of DE3.
    """
    by_subject = MANDATORY.get(fields["t"])
    if by_subject is None:
        return IsoFault("MTI", f"one of {', '.join(MESSAGE_TYPES)}", raw=fields)
    is_network = fields["t"].startswith("08")
    key = "70" if is_network else "3"
    said = fields.get(key)
    if said is None:
        return IsoFault(f"DE{key}", MISSING, raw=fields)
    needed = by_subject.get(said if is_network else said[:2])
    if needed is None:
        return IsoFault(f"DE{key}", f"one of {', '.join(by_subject)}", raw=fields)
    for one in needed.all_of:
        if one not in fields:
            return IsoFault(f"DE{one}", MISSING, raw=fields)
    if needed.one_of and not any(one in fields for one in needed.one_of):
        named = " or ".join(f"DE{one}" for one in needed.one_of)
        return IsoFault(f"DE{needed.one_of[0]}", f"{named} must be there", raw=fields)
    return None
