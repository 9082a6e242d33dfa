"""ISO 8583 messages to fields and back, compiled from the tables of ``iso8583_spec``.

The fast reader follows a plan made once for each bitmap and gives up, without saying why, at the
first thing that is wrong. Only then does the careful one (``iso8583_walk``) name the element, the
rule and the byte. Tests hold the two, and pyiso8583, against each other.
"""

from collections.abc import Callable, Sequence
from functools import cache, lru_cache
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
)
from scheme.wire.iso8583_walk import Part as Part
from scheme.wire.iso8583_walk import elements_of, walk

MISSING: Final = "it must be there"
"""The rule that an absent element breaks."""
PLANS_KEPT_MAX: Final = 512
"""Bitmaps, and sets of elements, whose plans one codec keeps."""

_DIGITS, _PACKED, _ALNUM, _TEXT, _HEX, _RAW = range(6)
_HEX_DIGITS: Final = "0123456789ABCDEF"
_SECONDARY: Final = frozenset("89ABCDEF")
_BITS: Final = 64
_SECOND_FIRST: Final = 65
_TYPE_DIGITS: Final = 4

# One look-up both checks a length's digits and reads them; 0 stands for what is not a length.
_LENGTHS: Final = {
    f"{length:0{digits}d}": length for digits in (2, 3, 4) for length in range(10 ** min(digits, 3))
}

# Key, form, greatest length (or the fixed one), digits of its prefix as they are read.
_Read = tuple[str, int, int, int]
# Key, form, least length, greatest length, prefixes by length.
_Write = tuple[str, int, int, int, Sequence[bytes]]


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
        self._is_text = (spec.digits, spec.lengths, spec.binary) == ("ascii", "ascii", "hex")
        self._reads: Callable[[str], tuple[_Read, ...] | None]
        self._reads = lru_cache(PLANS_KEPT_MAX)(self._plan_to_read)
        self._writes: Callable[[tuple[str, ...]], tuple[bytes, tuple[_Write, ...]] | None]
        self._writes = lru_cache(PLANS_KEPT_MAX)(self._plan_to_write)

    def decode(self, body: bytes) -> Fields:
        """Return the fields of a message.

        Raises:
            IsoFault: it breaks a rule; the first one that the careful reader meets.
        """
        fields = self._read_text(body) if self._is_text else self._read_bytes(body)
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
        parts = [kind.encode() if self.spec.digits == "ascii" else bytes.fromhex(kind), bitmap]
        add = parts.append
        for key, form, least, most, prefixes in steps:
            value = fields[key]
            length = len(value)
            if not least <= length <= most or not value.isascii() or not _holds(form, value):
                raise self._refusal_of(fields)
            if prefixes:
                add(prefixes[length])
            if form == _PACKED:
                add(bytes.fromhex("0" + value if length & 1 else value))
            elif form == _RAW:
                add(bytes.fromhex(value))
            else:
                add(value.encode())
        return b"".join(parts)

    def _read_text(self, body: bytes) -> Fields | None:
        """Read a variant that is ASCII text throughout."""
        try:
            text = body.decode("ascii")
        except UnicodeDecodeError:
            return None
        kind = text[:4]
        at = 36 if text[4:5] in _SECONDARY and len(text) > 4 else 20
        plan = self._reads(text[4:at])
        if plan is None or kind not in MESSAGE_TYPES or not text.isprintable():
            return None
        fields = {"t": kind}
        digits = []
        for key, form, most, prefix in plan:
            if prefix:
                length = _LENGTHS.get(text[at : at + prefix], 0)
                if not 0 < length <= most:
                    return None
                at += prefix
                end = at + length
            else:
                end = at + most
            value = fields[key] = text[at:end]
            at = end
            if form == _DIGITS:
                digits.append(value)
            elif form != _TEXT and not _holds(form, value):
                return None
        if at != len(text) or not ("".join(digits) or "0").isdigit():
            return None
        return fields

    def _read_bytes(self, body: bytes) -> Fields | None:
        """Read a variant some of which is packed digits or raw bytes."""
        spec = self.spec
        text = body.hex().upper()
        at = 2 if spec.digits == "bcd" else 4
        kind = text[: 2 * at] if spec.digits == "bcd" else body[:at].decode("latin-1")
        size = 8 if spec.binary == "raw" else 16
        first = body[at : at + size]
        bitmap = first.hex().upper() if spec.binary == "raw" else first.decode("latin-1")
        at += size
        if bitmap[:1] and bitmap[0] in _SECONDARY:
            more = body[at : at + size]
            bitmap += more.hex().upper() if spec.binary == "raw" else more.decode("latin-1")
            at += size
        plan = self._reads(bitmap)
        if plan is None or kind not in MESSAGE_TYPES or len(body) < at:
            return None
        fields = {"t": kind}
        for key, form, most, prefix in plan:
            length = most
            if prefix:
                width = (prefix + 1) // 2 if spec.lengths == "bcd" else prefix
                written = body[at : at + width]
                said = written.hex() if spec.lengths == "bcd" else written.decode("latin-1")
                length = _LENGTHS.get(said, 0)
                if not 0 < length <= most:
                    return None
                at += width
            if form == _PACKED:
                end = at + (length + 1) // 2
                value = text[2 * at : 2 * end]
                if length & 1:
                    if value[:1] != "0":
                        return None
                    value = value[1:]
            elif form == _RAW:
                end = at + length // 2
                value = text[2 * at : 2 * end]
            else:
                end = at + length
                value = body[at:end].decode("latin-1")
            if len(value) != length or not value.isascii() or not _holds(form, value):
                return None
            fields[key] = value
            at = end
        return fields if at == len(body) else None

    def _plan_to_read(self, bitmap: str) -> tuple[_Read, ...] | None:
        if len(bitmap) not in (16, 32) or bitmap.strip(_HEX_DIGITS):
            return None
        steps: list[_Read] = []
        for number, bit in enumerate(f"{int(bitmap, 16):0{4 * len(bitmap)}b}", 1):
            if bit == "0" or number == 1:
                continue
            element = self.elements.get(number)
            if element is None:
                return None
            digits = PREFIX_DIGITS[element.prefix]
            steps.append((element.key, self._form(element), self._most(element), digits))
        return tuple(steps)

    def _plan_to_write(self, keys: tuple[str, ...]) -> tuple[bytes, tuple[_Write, ...]] | None:
        by_key = {element.key: element for element in self.elements.values()}
        wanted = [key for key in keys if key != "t"]
        if "t" not in keys or any(key not in by_key for key in wanted):
            return None
        elements = sorted((by_key[key] for key in wanted), key=lambda one: one.number)
        steps = tuple(
            (
                one.key,
                self._form(one),
                self._most(one) if one.prefix == "fixed" else 1,
                self._most(one),
                _prefixes(self.spec, one),
            )
            for one in elements
        )
        return self._bitmap_of([one.number for one in elements]), steps

    def _bitmap_of(self, numbers: Sequence[int]) -> bytes:
        bits = 0
        width = 2 * _BITS if numbers and numbers[-1] >= _SECOND_FIRST else _BITS
        if width > _BITS:
            bits |= 1 << (width - 1)
        for number in numbers:
            bits |= 1 << (width - number)
        raw = bits.to_bytes(width // 8, "big")
        return raw if self.spec.binary == "raw" else raw.hex().upper().encode()

    def _form(self, element: Element) -> int:
        match element.kind:
            case "n":
                return _DIGITS if self.spec.digits == "ascii" else _PACKED
            case "an":
                return _ALNUM
            case "ans":
                return _TEXT
            case "b":
                return _HEX if self.spec.binary == "hex" else _RAW

    def _most(self, element: Element) -> int:
        """Return its greatest length in characters of its text."""
        return 2 * element.length if element.kind == "b" else element.length

    def _refusal_of(self, fields: Fields) -> IsoFault:
        """Return what is wrong with fields that cannot be written."""
        if fields.get("t", "") not in MESSAGE_TYPES:
            return IsoFault("MTI", f"one of {', '.join(MESSAGE_TYPES)}")
        by_key = {element.key: element for element in self.elements.values()}
        for key, value in fields.items():
            if key == "t":
                continue
            element = by_key.get(key)
            if element is None:
                return IsoFault(f"DE{key}", "no such element in this profile", raw=fields)
            rule = self._broken_rule(element, value)
            if rule:
                return IsoFault(element.label, rule, raw=fields)
        raise AssertionError("the careful look found nothing that the fast one refused")

    def _broken_rule(self, element: Element, value: str) -> str:
        most = self._most(element)
        if element.prefix == "fixed" and len(value) != most:
            return f"exactly {most} {_SAID[element.kind]}"
        if not 1 <= len(value) <= most:
            return f"1 to {most} {_SAID[element.kind]}"
        if not value.isascii() or not _holds(self._form(element), value):
            return f"{_SAID[element.kind]} only"
        return ""


_SAID: Final = {
    "n": "digits",
    "an": "letters and digits",
    "ans": "printable ASCII characters",
    "b": "hex digits in upper case",
}


def _holds(form: int, value: str) -> bool:
    """Tell whether an ASCII value has only the characters of its form."""
    if form in (_DIGITS, _PACKED):
        return value.isdigit()
    if form == _TEXT:
        return value.isprintable()
    if form == _ALNUM:
        return value.isalnum() or value.replace(" ", "").isalnum()
    return not value.strip(_HEX_DIGITS)


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
