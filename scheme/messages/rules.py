"""What each field of a message must look like, read off the Structs.

The lenient reader checks with it, the field tables of docs/wire/tin-messages.md print it and the
tests walk it, so that a field's rule is written once: in its Struct.
"""

from typing import Any, Final

import msgspec
from msgspec import inspect

from scheme.messages.fields import Fault, Message
from scheme.reasons import ReasonCode

DIGITS: Final = "n"
LETTERS: Final = "a"
CENTS: Final = "num"

_MISSING: Final = {
    "debtorName": ReasonCode.BE08,
    "referenceTransactionId": ReasonCode.BE15,
}


class FieldRule(msgspec.Struct, frozen=True, kw_only=True):
    """The rule of one field.

    Attributes:
        kind: ``n`` digits, ``a`` letters, ``an`` text, ``num`` a number of cents.
        least, most: length of a text, or value of a number.
        is_required: the sender always emits it.
        may_be_none: readers take it as null: optional, or an echo inside an answer.
        meaning: what it is, in a few words.
    """

    name: str
    kind: str
    least: int
    most: int
    is_required: bool
    may_be_none: bool
    meaning: str

    @property
    def may_be_empty(self) -> bool:
        """Tell whether the empty text is a value: something a refusal may not know."""
        return self.kind != CENTS and self.least == 0

    @property
    def text(self) -> str:
        """Say the rule in plain words, without any value."""
        if self.kind == CENTS:
            return "whole number of cents"
        unit = {DIGITS: "digit", LETTERS: "letter"}.get(self.kind, "character")
        plural = unit if self.most == 1 else unit + "s"
        return (
            f"{self.most} {plural}" if self.least == self.most else f"at most {self.most} {plural}"
        )

    def fault(self, value: object) -> Fault | None:
        """Check one value, already normalised: absent is ``None``, an amount an ``int``."""
        if value is None:
            if self.may_be_none or self.may_be_empty:
                return None
            return Fault(self.name, "mandatory", _MISSING.get(self.name, ReasonCode.FF02))
        if self.kind == CENTS:
            return self._cents_fault(value)
        if not isinstance(value, str):
            return Fault(self.name, "text")
        if not self.least <= len(value) <= self.most:
            return Fault(self.name, self.text)
        if self.kind == DIGITS and not (value.isascii() and value.isdigit()):
            return Fault(self.name, self.text)
        return None

    def _cents_fault(self, value: object) -> Fault | None:
        if type(value) is not int:
            return Fault(self.name, self.text)
        if value < self.least:
            return Fault(self.name, "not negative")
        if value > self.most:
            return Fault(self.name, f"at most {len(str(self.most))} digits")
        return None


def rules_of(message: type[Message]) -> tuple[FieldRule, ...]:
    """Return the rules of a message's fields, in the order of the wire."""
    described = inspect.type_info(message)
    assert isinstance(described, inspect.StructType)
    return tuple(_rule(field) for field in described.fields)


def _rule(field: inspect.Field) -> FieldRule:
    variants = field.type.types if isinstance(field.type, inspect.UnionType) else (field.type,)
    described = next(v for v in variants if isinstance(v, inspect.Metadata))
    least, most = _bounds(described.type)
    extra: dict[str, Any] = described.extra or {}
    return FieldRule(
        name=field.name,
        kind=extra["kind"],
        least=least,
        most=most,
        is_required=field.required,
        may_be_none=len(variants) > 1,
        meaning=(described.extra_json_schema or {})["description"],
    )


def _bounds(described: inspect.Type) -> tuple[int, int]:
    if isinstance(described, inspect.StrType):
        least, most = described.min_length, described.max_length
    else:
        assert isinstance(described, inspect.IntType)
        least, most = described.ge, described.le
    assert least is not None, "every field of the wire is bounded"
    assert most is not None, "every field of the wire is bounded"
    return least, most
