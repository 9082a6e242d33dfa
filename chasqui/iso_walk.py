"""A message of ISO 8583 taken apart for people: part by part, up to the first that is wrong.

The codec is strict and fast and says one fault; whoever looks at a frame wants all that stands
before it as well. Both follow the same tables, and a test holds them together.
"""

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from scheme.wire.iso8583_spec import MESSAGE_TYPES, PREFIX_DIGITS, SPECS, Element, IsoSpec

LEFT_OVER: Final = ""
TYPE, BITMAP, SECOND_BITMAP = "t", "p", "1"
_BITMAP_BITS: Final = 64
_BITMAP_BYTES: Final = 8
_THIRD: Final = 65
_HEX: Final = frozenset("0123456789ABCDEF")
_TYPE_DIGITS: Final = 4


class Stretch(Struct, frozen=True, kw_only=True):
    """Some bytes of a message that belong together.

    Attributes:
        key: ``t``, ``p`` (bitmap), ``1`` (second bitmap), an element's number, or empty for what
            is left over.
        value: what they say; empty where they cannot be read.
        rule: what is wrong with them, or empty.
    """

    key: str
    at: int
    end: int
    value: str = ""
    rule: str = ""


class _Broken(Exception):  # noqa: N818 - the way out of a walk
    """The part that is being read breaks a rule."""


def walk(message: bytes, spec: str) -> list[Stretch]:
    """Return the parts of a message; the last one has a rule if the message breaks it."""
    return _Walk(message, SPECS[spec]).run()


class _Walk:
    def __init__(self, message: bytes, spec: IsoSpec) -> None:
        self._message = message
        self._spec = spec
        self._elements = {element.number: element for element in spec.elements}
        self._at = 0
        self._found: list[Stretch] = []

    def run(self) -> list[Stretch]:
        try:
            self._part(TYPE, self._type)
            bits = self._bits(self._part(BITMAP, self._bitmap), 0)
            if bits[:1] == [1]:
                bits += self._bits(self._part(SECOND_BITMAP, self._bitmap), _BITMAP_BITS)
            for number in bits:
                if number != 1:
                    self._part(str(number), lambda number=number: self._element(number))
            if self._at < len(self._message):
                self._part(LEFT_OVER, self._rest)
        except _Broken:
            pass  # Its stretch says why.
        return self._found

    def _part(self, key: str, read: Callable[[], str]) -> str:
        start = self._at
        try:
            value = read()
        except _Broken as broken:
            end = max(self._at, min(start + 1, len(self._message)))
            self._found.append(Stretch(key=key, at=start, end=end, rule=str(broken)))
            raise
        self._found.append(Stretch(key=key, at=start, end=self._at, value=value))
        return value

    def _take(self, count: int) -> bytes:
        taken = self._message[self._at : self._at + count]
        if len(taken) < count:
            missing = count - len(taken)
            self._at += len(taken)
            raise _Broken(f"the message ends {missing} bytes before it does")
        self._at += count
        return taken

    def _type(self) -> str:
        kind = self._digits(_TYPE_DIGITS)
        if kind not in MESSAGE_TYPES:
            raise _Broken(f"one of {', '.join(MESSAGE_TYPES)}")
        return kind

    def _bitmap(self) -> str:
        return self._binary(_BITMAP_BYTES)

    @staticmethod
    def _bits(bitmap: str, before: int) -> list[int]:
        number = int(bitmap, 16)
        return [
            before + bit
            for bit in range(1, _BITMAP_BITS + 1)
            if number >> (_BITMAP_BITS - bit) & 1
        ]

    def _element(self, number: int) -> str:
        element = self._elements.get(number)
        if number == _THIRD or element is None:
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
        length = int(self._digits(digits, of_length=True))
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
                raise _Broken(f"{what}, the first half byte 0")
            text = packed[len(packed) - count :]
        if not (text.isascii() and text.isdigit()):
            raise _Broken(f"{what}, {'in ASCII' if encoding == 'ascii' else 'packed'}")
        return text

    def _binary(self, size: int) -> str:
        if self._spec.binary == "raw":
            return self._take(size).hex().upper()
        text = self._take(2 * size).decode("ascii", "replace")
        if not _HEX.issuperset(text):
            raise _Broken(f"{2 * size} hex digits in upper case")
        return text

    def _text(self, count: int, kind: str) -> str:
        text = self._take(count).decode("ascii", "replace")
        if not (text.isascii() and text.isprintable()):
            raise _Broken("printable ASCII")
        if kind == "an" and not text.replace(" ", "").isalnum():
            raise _Broken("letters and digits")
        return text

    def _rest(self) -> str:
        count = len(self._message) - self._at
        self._at = len(self._message)
        raise _Broken(f"nothing follows the last element; {count} bytes do")
