"""Money: whole minor units of one currency, and its two spellings.

Decimals exist only while an amount is parsed or printed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from scheme.errors import MalformedMessage

Currency = Literal["PEN", "USD"]
"""The currencies of the network, by their ISO 4217 letters."""

CURRENCY_BY_CODE: Mapping[str, Currency] = {"604": "PEN", "840": "USD"}
"""Letters by the ISO 4217 digits that travel on the wire."""
CODE_BY_CURRENCY: Mapping[str, str] = {"PEN": "604", "USD": "840"}
"""Digits on the wire by letters."""

MINOR_DIGITS_MAX = 12
"""Longest amount of the wire, in digits of minor units."""

_DECIMALS = 2
_PLAIN = re.compile(r"([0-9]+)(?:\.([0-9]{1,2}))?", re.ASCII)
_GROUPED = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]{1,2})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in one currency.

    Attributes:
        minor: whole cents; may be negative, as a position may.
        currency: ISO 4217 letters.
    """

    minor: int
    currency: Currency

    def __post_init__(self) -> None:
        assert type(self.minor) is int, "no floats, no bools: money is counted"
        assert self.currency in CODE_BY_CURRENCY

    def __add__(self, other: "Money") -> "Money":
        assert self.currency == other.currency, "currencies never meet in a sum"
        return Money(self.minor + other.minor, self.currency)

    def __sub__(self, other: "Money") -> "Money":
        assert self.currency == other.currency, "currencies never meet in a difference"
        return Money(self.minor - other.minor, self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.minor, self.currency)

    def __lt__(self, other: "Money") -> bool:
        assert self.currency == other.currency, "currencies have no order"
        return self.minor < other.minor

    def __le__(self, other: "Money") -> bool:
        return not other < self

    def __gt__(self, other: "Money") -> bool:
        return other < self

    def __ge__(self, other: "Money") -> bool:
        return not self < other

    def __str__(self) -> str:
        return f"{self.currency} {format_amount(self)}"


def parse_amount(text: str, currency: Currency) -> Money:
    """Read an amount in major units: ``25``, ``25.5``, ``25.50`` or ``1,005.70``.

    As written in Peru: the point is the decimal sign, and commas are taken only where they
    part whole groups of three. So ``25,50`` is refused rather than read as 2550.

    Raises:
        MalformedMessage: a sign, more than two decimals, too many digits, or anything else.
    """
    digits = text.replace(",", "") if _GROUPED.fullmatch(text) else text
    if _PLAIN.fullmatch(digits) is None:
        raise MalformedMessage("digits with at most two decimals after a point", field="amount")
    if len(digits.partition(".")[0].lstrip("0")) > MINOR_DIGITS_MAX - _DECIMALS:
        raise MalformedMessage(f"at most {MINOR_DIGITS_MAX} digits of cents", field="amount")
    return Money(int(Decimal(digits).scaleb(_DECIMALS)), currency)


def format_amount(money: Money) -> str:
    """Return the amount in major units with two decimals and no grouping: ``25.50``."""
    return f"{Decimal(money.minor).scaleb(-_DECIMALS):.{_DECIMALS}f}"
