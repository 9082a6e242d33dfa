"""Readers and writers of ISO 8583 messages, made from the table: one for each set of elements.

A message with given bits set is read by straight-line code without a loop or a look into the
table, which takes a third of the time. That code is Python source, generated here from numbers and
names of the table alone and compiled once; nothing that came over a wire is ever part of it.

A reader tells only whether a message is sound; what is wrong, the careful reader finds.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from scheme.wire.iso8583_spec import PREFIX_DIGITS, Element, Fields, IsoSpec, Kind

Reader = Callable[[str, str, str, int], Fields | None]
"""From message type, body as text, body as hex digits and its bytes: fields, or None if unsound."""
Writer = Callable[[str, Fields], bytes]
"""From message type and fields: the message. Raises ValueError if one of them does not fit."""

_BITMAP_BYTES: Final = 8
_PRIMARY_BITS: Final = 64
_HEX_DIGITS: Final = "0123456789ABCDEF"


def _is_alnum(text: str) -> bool:
    return text.isalnum() or text.replace(" ", "").isalnum()


def _is_hex(text: str) -> bool:
    # What is left between the ends begins with something else.
    return not text.strip(_HEX_DIGITS)


HOLDS: Final[Mapping[Kind, Callable[[str], bool]]] = {
    "n": str.isdecimal,
    "an": _is_alnum,
    "ans": str.isprintable,
    "b": _is_hex,
}
"""Whether a text has only characters of a kind; of ASCII, which is for others to make sure."""

# One look-up both checks a length's digits and reads them; 0 stands for what is not a length.
_LENGTHS: Final = {
    f"{length:0{digits}d}": length for digits in (2, 3, 4) for length in range(10 ** min(digits, 3))
}
_TESTS: Final[Mapping[Kind, str]] = {
    "n": "{}.isdecimal()",
    "an": "is_alnum({})",
    "ans": "{}.isprintable()",
    "b": "is_hex({})",
}


def characters_of(element: Element) -> int:
    """Return the length of an element's text; of a variable one at most."""
    return 2 * element.length if element.kind == "b" else element.length


def is_coded(spec: IsoSpec, element: Element) -> bool:
    """Return whether a variant writes an element as half a byte for each character."""
    if element.kind == "n":
        return spec.digits == "bcd"
    return element.kind == "b" and spec.binary == "raw"


def is_text(spec: IsoSpec) -> bool:
    """Return whether all of a variant's messages are ASCII text."""
    return (spec.digits, spec.lengths, spec.binary) == ("ascii", "ascii", "hex")


def bitmap_of(numbers: Sequence[int]) -> str:
    """Return the bitmap of elements in order: 16 hex digits, or 32 with one above 64."""
    is_long = bool(numbers) and numbers[-1] > _PRIMARY_BITS
    width = _PRIMARY_BITS * (2 if is_long else 1)
    bits = sum(1 << (width - number) for number in ((1, *numbers) if is_long else numbers))
    return f"{bits:0{width // 4}X}"


def head_bytes(spec: IsoSpec, elements: Sequence[Element]) -> int:
    """Return how many bytes message type and bitmaps take before these elements."""
    bitmaps = 2 if elements and elements[-1].number > _PRIMARY_BITS else 1
    of_type = 4 if spec.digits == "ascii" else 2
    return of_type + bitmaps * _BITMAP_BYTES * (1 if spec.binary == "raw" else 2)


def compile_reader(spec: IsoSpec, elements: Sequence[Element]) -> Reader:
    """Return a reader of messages with exactly these elements, in order."""
    reader: Reader = _compiled("read(kind, text, coded, size)", _Reading(spec).lines(elements))
    return reader


def compile_writer(spec: IsoSpec, elements: Sequence[Element]) -> Writer:
    """Return a writer of messages with exactly these elements, in order."""
    tables = {
        f"p{element.number}": _prefixes(spec, element)
        for element in elements
        if element.prefix != "fixed"
    }
    writer: Writer = _compiled("write(kind, fields)", _writing(spec, elements), **tables)
    return writer


def _prefixes(spec: IsoSpec, element: Element) -> tuple[str, ...] | tuple[bytes, ...]:
    """Return an element's length as it is written, by length."""
    digits = PREFIX_DIGITS[element.prefix]
    width = digits if spec.lengths == "ascii" else digits + digits % 2
    texts = tuple(f"{length:0{width}d}" for length in range(element.length + 1))
    if is_text(spec):
        return texts
    return tuple(map(str.encode if spec.lengths == "ascii" else bytes.fromhex, texts))


def _compiled(signature: str, lines: Iterator[str], **known: object) -> Any:
    source = "\n    ".join([f"def {signature}:", *lines])
    names: dict[str, Any] = {
        "lengths": _LENGTHS,
        "is_alnum": _is_alnum,
        "is_hex": _is_hex,
        "unhex": bytes.fromhex,
        **known,
    }
    exec(compile(source, "<iso8583>", "exec"), names)  # noqa: S102 - see the module's docstring
    return names[signature.partition("(")[0]]


class _Reading:
    """Writes the source of one reader.

    Attributes:
        base: name of the variable that counts bytes read, empty while all is at a known place.
        offset: bytes since it was set.
    """

    def __init__(self, spec: IsoSpec) -> None:
        self.spec = spec
        self.base = ""
        self.offset = 0
        self._values: dict[str, str] = {}

    def lines(self, elements: Sequence[Element]) -> Iterator[str]:
        self.offset = head_bytes(self.spec, elements)
        for row in _rows(elements):
            if row[0].prefix != "fixed":
                yield from self._variable(row[0])
            elif row[0].kind == "n":
                yield from self._digits(row)
            else:
                yield from self._fixed(row[0])
        yield f"if {self._at(self.offset)} != size: return None"
        values = "".join(f', "{key}": {value}' for key, value in self._values.items())
        yield f'return {{"t": kind{values}}}'

    def _at(self, offset: int) -> str:
        return f"{self.base} + {offset}" if self.base else str(offset)

    def _hex_at(self, offset: int) -> str:
        return f"{self.base} + {self.base} + {offset}" if self.base else str(offset)

    def _cut(self, start: int, end: int, *, coded: bool, pad: int = 0) -> str:
        """Return the expression for the text between two offsets."""
        if coded:
            return f"coded[{self._hex_at(2 * start + pad)}:{self._hex_at(2 * end)}]"
        return f"text[{self._at(start)}:{self._at(end)}]"

    def _digits(self, row: Sequence[Element]) -> Iterator[str]:
        """Test all in a row at once: the pads between packed digits are digits too."""
        coded = self.spec.digits == "bcd"
        start = self.offset
        for element in row:
            size = (element.length + 1) // 2 if coded else element.length
            pad = element.length % 2 if coded else 0
            if pad:
                place = f"{self._hex_at(2 * self.offset)}:{self._hex_at(2 * self.offset + 1)}"
                yield f'if coded[{place}] != "0": return None'
            end = self.offset + size
            self._values[element.key] = self._cut(self.offset, end, coded=coded, pad=pad)
            self.offset = end
        yield f"if not {self._cut(start, self.offset, coded=coded)}.isdecimal(): return None"

    def _fixed(self, element: Element) -> Iterator[str]:
        coded = is_coded(self.spec, element)
        end = self.offset + (element.length if coded else characters_of(element))
        value = self._cut(self.offset, end, coded=coded)
        # Bytes are upper-case hex digits to people; of digits, only these bytes need the step.
        yield from self._tested(element, f"{value}.upper()" if coded else value)
        self.offset = end

    def _variable(self, element: Element) -> Iterator[str]:
        coded = is_coded(self.spec, element)
        packed = self.spec.lengths == "bcd"
        digits = PREFIX_DIGITS[element.prefix]
        mark = self.offset + ((digits + 1) // 2 if packed else digits)
        start, end = f"s{element.number}", f"e{element.number}"
        yield f"n = lengths.get({self._cut(self.offset, mark, coded=packed)}, 0)"
        yield f"if not 0 < n <= {element.length}: return None"
        yield f"{start} = {self._at(mark)}"
        if coded:
            yield f"{end} = {start} + (n + 1) // 2"
            yield f'if n & 1 and coded[2 * {start}:2 * {start} + 1] != "0": return None'
            value = f"coded[2 * {end} - n:2 * {end}]"
        else:
            yield f"{end} = {start} + n"
            value = f"text[{start}:{end}]"
        yield from self._tested(element, value)
        self.base, self.offset = end, 0

    def _tested(self, element: Element, value: str) -> Iterator[str]:
        name = f"v{element.number}"
        yield f"{name} = {value}"
        yield f"if not {_TESTS[element.kind].format(name)}: return None"
        self._values[element.key] = name


def _rows(elements: Sequence[Element]) -> list[list[Element]]:
    """Return elements in order, those together that are digits of fixed length."""
    rows: list[list[Element]] = []
    was_digits = False
    for element in elements:
        is_digits = element.kind == "n" and element.prefix == "fixed"
        if is_digits and was_digits:
            rows[-1].append(element)
        else:
            rows.append([element])
        was_digits = is_digits
    return rows


def _writing(spec: IsoSpec, elements: Sequence[Element]) -> Iterator[str]:
    """Write the source of one writer: take the values, test them, join them."""
    for element in elements:
        yield f'v{element.number} = fields["{element.key}"]'
    for element in elements:
        yield f"if {_wrong_length(element)}: raise ValueError"
    parts: list[str] = []
    for row in _rows(elements):
        first = row[0]
        value = f"v{first.number}"
        if len(row) > 1:
            value = f"r{first.number}"
            yield f'{value} = f"{"".join(f"{{v{one.number}}}" for one in row)}"'
        yield f"if not {_TESTS[first.kind].format(value)}: raise ValueError"
        parts += _parts_of(spec, row, value)
    yield from _joined(spec, elements, parts)


def _wrong_length(element: Element) -> str:
    length = f"len(v{element.number})"
    most = characters_of(element)
    return f"{length} != {most}" if element.prefix == "fixed" else f"not 0 < {length} <= {most}"


def _parts_of(spec: IsoSpec, row: Sequence[Element], value: str) -> Iterator[str]:
    """Yield the expressions of what a tested row becomes: text, or bytes if the variant has any."""
    first = row[0]
    if first.prefix != "fixed":
        yield f"p{first.number}[len({value})]"
    if not is_coded(spec, first):
        # Text beyond ASCII, digits of other scripts among it, is refused where it becomes bytes.
        yield value if is_text(spec) else f'{value}.encode("ascii")'
    elif first.prefix != "fixed":
        yield f'unhex("0" + {value} if len({value}) & 1 else {value})'
    else:
        padded = (("0" if characters_of(one) % 2 else "") + f"{{v{one.number}}}" for one in row)
        yield f'unhex(f"{"".join(padded)}")'


def _joined(spec: IsoSpec, elements: Sequence[Element], parts: Sequence[str]) -> Iterator[str]:
    bitmap = bitmap_of([element.number for element in elements])
    if is_text(spec):
        joined = "".join(f"{{{part}}}" for part in ("kind", *parts)).replace("}", "}" + bitmap, 1)
        yield f'return f"{joined}".encode("ascii")'
        return
    head = bytes.fromhex(bitmap) if spec.binary == "raw" else bitmap.encode()
    kind = 'kind.encode("ascii")' if spec.digits == "ascii" else "unhex(kind)"
    yield f"return b''.join(({', '.join((kind, repr(head), *parts))},))"
