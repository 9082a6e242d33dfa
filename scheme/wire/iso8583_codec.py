"""ISO 8583 messages to fields and back, compiled from the tables of ``iso8583_spec``.

The fast readers (``iso8583_compiled``) are made once for each bitmap and give up, without saying
why, at the first thing that is wrong. Only then does the careful one (``iso8583_walk``) name the
element, the rule and the byte. Tests hold the two, and pyiso8583, against each other.
"""

from collections.abc import Iterable
from functools import cache
from typing import Final

from scheme.errors import MalformedMessage
from scheme.wire.iso8583_compiled import (
    HOLDS,
    Reader,
    Writer,
    bitmap_of,
    characters_of,
    compile_reader,
    compile_writer,
    is_text,
)
from scheme.wire.iso8583_spec import MANDATORY, MESSAGE_TYPES, SPECS, Element, Fields, IsoSpec
from scheme.wire.iso8583_walk import Part as Part
from scheme.wire.iso8583_walk import elements_of, walk

COMPILED_MAX: Final = 512
"""Bitmaps that one codec makes a reader for, and a writer.

Far more than a network uses. Who invents more of them is read all the same, the careful way: what
is compiled is never thrown away for it, or every message of his would cost a compilation.
"""
ORDERS_MAX: Final = 4096
"""Orders of keys in ``Fields`` that one codec remembers the writer of."""
MISSING: Final = "it must be there"

_BITMAP_DIGITS: Final = 16
_SECONDARY: Final = frozenset("89ABCDEF")
"""First digits of a bitmap that a second one follows."""
_BITMAPS: Final = frozenset({"p", "1"})
"""Keys of the parts that the bitmaps are."""


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
        self._is_text = is_text(spec)
        self._type_bytes = 4 if spec.digits == "ascii" else 2
        self._readers: dict[str, Reader] = {}
        self._writers: dict[str, Writer] = {}
        self._writers_by_order: dict[tuple[str, ...], Writer] = {}

    def decode(self, body: bytes) -> Fields:
        """Return the fields of a message.

        Raises:
            IsoFault: it breaks a rule; the first one that the careful reader meets.
        """
        # Every byte stays one character; those beyond ASCII become none that any kind may hold.
        text = body.decode("ascii", "surrogateescape")
        coded = "" if self._is_text else body.hex()
        kind = text[:4] if self.spec.digits == "ascii" else coded[:4]
        at = self._type_bytes
        if self.spec.binary == "raw":
            bitmaps = coded[2 * at : 2 * at + 2 * _BITMAP_DIGITS].upper()
        else:
            bitmaps = text[at : at + 2 * _BITMAP_DIGITS]
        if bitmaps[:1] not in _SECONDARY:
            bitmaps = bitmaps[:_BITMAP_DIGITS]
        reader = self._readers.get(bitmaps)
        if reader is not None and kind in MESSAGE_TYPES:
            fields = reader(kind, text, coded, len(body))
            if fields is not None:
                return fields
        return self._decode_carefully(body)

    def walk(self, body: bytes) -> list[Part]:
        """Return the parts of a message, sound or not, as far as they can be told apart."""
        return walk(body, self.spec)

    def encode(self, fields: Fields) -> bytes:
        """Return a message's bytes.

        Raises:
            IsoFault: the type or an element is unknown, or does not fit its row of the table.
        """
        kind = fields.get("t", "")
        if kind not in MESSAGE_TYPES:
            raise self._refusal_of(fields)
        order = tuple(fields)
        try:
            writer = self._writers_by_order.get(order) or self._writer_for(order)
            return writer(kind, fields)
        except ValueError as error:
            raise self._refusal_of(fields) from error

    def _decode_carefully(self, body: bytes) -> Fields:
        """Read a message that is wrong, or the first one of its bitmap."""
        parts = self.walk(body)
        fields = {one.key: one.value for one in parts if not one.rule and one.key not in _BITMAPS}
        for part in parts:
            if part.rule:
                raise IsoFault(part.field, part.rule, part.at, raw=fields)
        bitmap = "".join(one.value for one in parts if one.key in _BITMAPS)
        if bitmap not in self._readers and len(self._readers) < COMPILED_MAX:
            self._readers[bitmap] = compile_reader(self.spec, self._in_order(fields))
        return fields

    def _writer_for(self, order: tuple[str, ...]) -> Writer:
        """Return the writer for a set of elements; made, if there is none yet.

        Raises:
            ValueError: one of them is unknown.
        """
        elements = self._in_order(order)
        if len(elements) + 1 != len(order):
            raise ValueError("an unknown element")
        bitmap = bitmap_of([element.number for element in elements])
        writer = self._writers.get(bitmap)
        if writer is None:
            writer = compile_writer(self.spec, elements)
            if len(self._writers) < COMPILED_MAX:
                self._writers[bitmap] = writer
        if len(self._writers_by_order) < ORDERS_MAX:
            self._writers_by_order[order] = writer
        return writer

    def _in_order(self, keys: Iterable[str]) -> list[Element]:
        found = [self._by_key[key] for key in keys if key in self._by_key]
        return sorted(found, key=lambda element: element.number)

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


def _broken_rule(element: Element, value: str) -> str:
    """Return the rule that a text breaks as an element; empty if it fits."""
    most = characters_of(element)
    if element.prefix == "fixed" and len(value) != most:
        return f"exactly {most} {_SAID[element.kind]}"
    if not 1 <= len(value) <= most:
        return f"1 to {most} {_SAID[element.kind]}"
    if not value.isascii() or not HOLDS[element.kind](value):
        return f"{_SAID[element.kind]} only"
    return ""


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
    if needed.one_of and fields.keys().isdisjoint(needed.one_of):
        named = " or ".join(f"DE{one}" for one in needed.one_of)
        return IsoFault(f"DE{needed.one_of[0]}", f"{named} must be there", raw=fields)
    return None
