"""Prints the tables of docs/wire/tin-messages.md from the Structs and code tables themselves.

    python -m tools.print_wire_tables --write    put them into the page
    python -m tools.print_wire_tables            print them

The page's own words stand outside the two markers and are not touched.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from scheme import codes, validation
from scheme.messages.rules import CENTS, FieldRule, rules_of
from scheme.reasons import MEANINGS
from scheme.wire.tin_json import MESSAGES

PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "wire" / "tin-messages.md"
BEGIN: Final = "<!-- printed by tools/print_wire_tables.py: begin -->"
END: Final = "<!-- printed by tools/print_wire_tables.py: end -->"

_SECTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "Account query": ("AV1", "AV2", "AV3", "AV4"),
    "Credit transfer": ("CT1", "CT2", "CT3", "CT4", "CT5"),
    "Cancellation and enquiry": ("CTC1", "CTC2", "PSR1", "PSR2"),
    "Session": ("ET1", "ET2", "SignOn1", "SignOn2", "SignOff1", "SignOff2"),
    "Notices": (
        "Reject",
        "SNM971",
        "SNM972",
        "SNM981",
        "SNM982",
        "SNM993",
        "SNM998",
        "SNM999",
    ),
}
_PAYEE: Final = frozenset({"creditorCCI", "creditorCreditCard"})
_ALIAS: Final = frozenset({"creditorMobileNumber", "proxyValue", "proxyType"})
_FOUND: Final = frozenset({"creditorName", "creditorId", "creditorIdCode", "sameCustomerFlag"})
_REASON: Final = frozenset({"reasonCode"})
_CONDITIONAL: Final[Mapping[str, frozenset[str]]] = {
    "AV1": _PAYEE | _ALIAS,
    "AV2": _PAYEE | _ALIAS,
    "AV3": _PAYEE | _FOUND | _REASON,
    "AV4": _PAYEE | _FOUND | _REASON,
    "CT1": _PAYEE,
    "CT2": _PAYEE,
    "CT3": _PAYEE | _REASON,
    "CT4": _PAYEE | _REASON,
    "CT5": _PAYEE,
}
_SURE: Final[Mapping[str, str]] = {
    "AV1": "names (2), lengths (inferred), M/O (2)",
    "AV2": "names (3), lengths (1), M/O (2)",
    "AV3": "names (3), lengths (1), M/O (2)",
    "AV4": "names (2), lengths (inferred), M/O (2)",
    "CT1": "names (2), lengths (inferred), M/O (2)",
    "CT2": "names (3), lengths (1), M/O (2)",
    "CT3": "names (3), lengths (1), M/O (2)",
    "CT4": "names (2), lengths (inferred), M/O (2)",
    "CT5": "names (3), lengths (1), M/O (2)",
    "Reject": "names (1), M/O (1), lengths (ours)",
}
_SURE_BY_PREFIX: Final[Mapping[str, str]] = {
    "SNM": "names (1), M/O (1), lengths (ours)",
    "CTC": "names (2), lengths (inferred), M/O (1)",
    "PSR": "names (2), lengths (inferred), M/O (1)",
    "ET": "names (2), lengths (inferred), M/O (2)",
    "Sig": "names (2), lengths (inferred), M/O (2)",
}


def tables() -> str:
    """Return everything between the markers of the page."""
    lines = [
        *_field_tables(),
        *_validation_table(),
        *_code_tables(),
    ]
    return "\n".join(lines).rstrip() + "\n"


def page_with_tables(page: str) -> str:
    """Return the page with the present tables between its markers."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n\n{tables()}\n{END}{tail}"


def _field_tables() -> Iterator[str]:
    for title, names in _SECTIONS.items():
        yield from ("", f"## {title}")
        for name in names:
            message = MESSAGES[name]
            purpose = (message.__doc__ or "").splitlines()[0].rstrip(".")
            yield from ("", f"### {name}", "", f"{purpose}. Sure: {_sure(name)}.", "")
            yield from ("| # | Field | Type | M/O | Meaning |", "|--:|---|---|:-:|---|")
            for number, rule in enumerate(rules_of(message), start=1):
                need = _need(name, rule)
                yield f"| {number} | {rule.name} | {_type(rule)} | {need} | {rule.meaning} |"


def _validation_table() -> Iterator[str]:
    yield from ("", "## Validation order", "")
    yield "How a receiver looks at a query and at an order (1); the first failure answers."
    yield from ("", "| # | Must hold | Code | AV2 | CT2 |", "|--:|---|---|:-:|:-:|")
    for number, step in enumerate(validation.RECEIVER_ORDER, start=1):
        applies = ["x" if flag else "" for flag in (step.in_query, step.in_order)]
        reasons = ", ".join(step.reasons)
        yield f"| {number} | {step.text} | {reasons} | {applies[0]} | {applies[1]} |"


def _code_tables() -> Iterator[str]:
    yield from ("", "## Codes")
    tables: tuple[tuple[str, Iterable[tuple[str, str]]], ...] = (
        ("Reason codes", MEANINGS.items()),
        ("Channels", codes.CHANNEL_MEANINGS.items()),
        ("Documents", codes.DOCUMENT_MEANINGS.items()),
        ("Tariff codes", codes.FEE_CODES.items()),
        ("Purposes", codes.PURPOSE_CODES.items()),
        ("Currencies", codes.CURRENCY_NAMES.items()),
    )
    for title, table in tables:
        yield from ("", f"### {title}", "", "| Code | Meaning |", "|---|---|")
        for code, meaning in table:
            yield f"| {code} | {meaning} |"


def _type(rule: FieldRule) -> str:
    if rule.kind == CENTS:
        return f"num {len(str(rule.most))}"
    return f"{rule.kind}={rule.most}" if rule.least == rule.most else f"{rule.kind}..{rule.most}"


def _need(name: str, rule: FieldRule) -> str:
    if rule.is_required:
        return "E" if rule.may_be_none else "M"
    return "C" if rule.name in _CONDITIONAL.get(name, _REASON) else "O"


def _sure(name: str) -> str:
    if name in _SURE:
        return _SURE[name]
    return next(sure for prefix, sure in _SURE_BY_PREFIX.items() if name.startswith(prefix))


def main() -> None:
    """Print the tables, or write them into the page with ``--write``."""
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(page_with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print(tables())


if __name__ == "__main__":
    main()
