"""The careful reader of ISO 8583: a message part by part, each with what is wrong with it."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from msgspec import Struct

from scheme.wire.iso8583_spec import MESSAGE_TYPES, PREFIX_DIGITS, Element, IsoSpec

LEFT_OVER: Final = ""
TYPE, BITMAP, SECOND_BITMAP = "t", "p", "1"
_BITMAP_BITS: Final = 64
_BITMAP_BYTES: Final = 8
_HEX: Final = frozenset("0123456789ABCDEF")
_TYPE_DIGITS: Final = 4


class Part(Struct, frozen=True, kw_only=True, gc=False):
    """One stretch of a message, as the careful reader met it.

    Attributes:
        key: ``t``, ``p`` (bitmap), ``1`` (second bitmap), an element, or empty for what follows
            the last one.
        at: offset of its first byte.
        end: offset after its last byte, as far as there is one.
        value: its text; empty where it could not be read.
        rule: what is wrong with it; empty if nothing.
    """

    key: str
    at: int
    end: int
    value: str = ""
    rule: str = ""

    @property
    def field(self) -> str:
        """What a fault calls it."""
        return _FIELD_OF.get(self.key) or f"DE{self.key}"


_FIELD_OF: Final = {TYPE: "MTI", BITMAP: "bitmap", SECOND_BITMAP: "bitmap", LEFT_OVER: "length"}


class _Broken(Exception):
    """The part that is being read breaks a rule, and nothing after it can be told apart."""


class _Wrong(Exception):
    """The part that was read breaks a rule; where the next one begins is known."""


def elements_of(spec: IsoSpec) -> Mapping[int, Element]:
    """Return the elements of a variant by number."""
    return {element.number: element for element in spec.elements}


def walk(message: bytes, spec: IsoSpec) -> list[Part]:
    """Return the parts of a message, up to the first after which no other can be found."""
    return _Walk(message, spec).run()


class _Walk:
    def __init__(self, message: bytes, spec: IsoSpec) -> None:
        self._message = message
        self._spec = spec
        self._elements = elements_of(spec)
        self._at = 0
        self._found: list[Part] = []

    def run(self) -> list[Part]:
        try:
            self._part(TYPE, self._type)
            bits = self._bits(self._part(BITMAP, self._bitmap), 0)
            if bits[:1] == [1]:
                bits += self._bits(self._part(SECOND_BITMAP, self._second), _BITMAP_BITS)
            for number in bits:
                if number != 1:
                    self._part(str(number), partial(self._element, number))
            if self._at < len(self._message):
                self._part(LEFT_OVER, self._rest)
        except _Broken:
            pass  # Its part says why.
        return self._found

    def _part(self, key: str, read: Callable[[], str]) -> str:
        start = self._at
        try:
            value = read()
        except (_Broken, _Wrong) as broken:
            end = max(self._at, min(start + 1, len(self._message)))
            self._found.append(Part(key=key, at=start, end=end, rule=str(broken)))
            if isinstance(broken, _Broken):
                raise
            return ""
        self._found.append(Part(key=key, at=start, end=self._at, value=value))
        return value

    def _take(self, count: int) -> bytes:
        taken = self._message[self._at : self._at + count]
        if len(taken) < count:
            missing = count - len(taken)
            self._at += len(taken)
            if missing == 1:
                raise _Broken("the message ends 1 byte before it does")
            raise _Broken(f"the message ends {missing} bytes before it does")
        self._at += count
        return taken

    def _type(self) -> str:
        kind = self._digits(_TYPE_DIGITS)
        if kind not in MESSAGE_TYPES:
            raise _Wrong(f"one of {', '.join(MESSAGE_TYPES)}")
        return kind

    def _bitmap(self) -> str:
        try:
            return self._binary(_BITMAP_BYTES)
        except _Wrong as wrong:
            raise _Broken(str(wrong)) from wrong

    def _second(self) -> str:
        bitmap = self._bitmap()
        if not int(bitmap, 16):
            # Two ways to write one message would be one too many: a MAC covers the bitmaps.
            raise _Wrong("bit 1 is set only with an element above 64")
        return bitmap

    @staticmethod
    def _bits(bitmap: str, before: int) -> list[int]:
        number = int(bitmap or "0", 16)
        return [
            before + bit for bit in range(1, _BITMAP_BITS + 1) if number >> (_BITMAP_BITS - bit) & 1
        ]

    def _element(self, number: int) -> str:
        element = self._elements.get(number)
        if element is None:
            raise _Broken("no such element in this profile: its bit must be 0")
        length = self._length(element)
        if element.kind == "b":
            return self._binary(length)
        if element.kind == "n":
            return self._digits(length)
        return self._text(length, element.kind)

    def _length(self, element: Element) -> int:
        digits = PREFIX_DIGITS[element.prefix]
        if not digits:
            return element.length
        try:
            length = int(self._digits(digits, of_length=True))
        except _Wrong as wrong:
            raise _Broken(str(wrong)) from wrong
        if not 1 <= length <= element.length:
            raise _Broken(f"its length is from 1 to {element.length}, and says {length}")
        return length

    def _digits(self, count: int, *, of_length: bool = False) -> str:
        encoding = self._spec.lengths if of_length else self._spec.digits
        what = "the digits of its length" if of_length else f"{count} digits"
        if encoding == "ascii":
            text = self._take(count).decode("ascii", "replace")
        else:
            packed = self._take((count + 1) // 2).hex().upper()
            if len(packed) > count and packed[0] != "0":
                raise _Wrong(f"{what}, the first half byte 0")
            text = packed[len(packed) - count :]
        if not (text.isascii() and text.isdigit()):
            raise _Wrong(f"{what}, {'in ASCII' if encoding == 'ascii' else 'packed'}")
        return text

    def _binary(self, size: int) -> str:
        if self._spec.binary == "raw":
            return self._take(size).hex().upper()
        text = self._take(2 * size).decode("ascii", "replace")
        if not _HEX.issuperset(text):
            raise _Wrong(f"{2 * size} hex digits in upper case")
        return text

    def _text(self, count: int, kind: str) -> str:
        text = self._take(count).decode("ascii", "replace")
        if not (text.isascii() and text.isprintable()):
            raise _Wrong("printable ASCII")
        if kind == "an" and not text.replace(" ", "").isalnum():
            raise _Wrong("letters and digits")
        return text

    def _rest(self) -> str:
        count = len(self._message) - self._at
        self._at = len(self._message)
        raise _Broken(f"nothing follows the last element; {count} bytes do")
