"""What the country says, in the reader's language.

The clearing house, the institutions and the settings' checks speak English: their texts are data
that travel and are kept. Here a text is matched with the template it was made from
(``chasqui.told_texts``), and the template's translation is filled with what stood in its slots.
A text that matches none is shown as it came.
"""

import re
from collections.abc import Mapping
from functools import cache
from gettext import gettext as _
from typing import NamedTuple

from chasqui.output import amount_text

_SLOT = re.compile(r"\{(\w+)\}")
_DIGITS = frozenset({"count", "least", "most", "minor", "limit", "number"})
"""Slots that only a number fills: others of the same words are other texts."""
_WORDS = frozenset({"code", "currency", "message", "one", "other", "status"})
"""Slots that one word or code fills."""
_QUOTED = frozenset({"field", "given", "place", "wanted"})
"""Slots filled by what msgspec puts between backticks."""
_SPEAKING = frozenset({"cause", "rule", "what"})
"""Slots filled by texts that have templates themselves."""
_ANYTHING = ".+?"
_UP_TO_A_COLON = r"(?:(?!: ).)+?"
"""Tried first: a colon separates fields from what is said of them."""
_MINOR = "minor"
"""A slot with an amount in minor units; people are shown the currency's."""
_SEPARATOR = ": "


class Found(NamedTuple):
    """A template, and what stands in its slots."""

    template: str
    slots: dict[str, str]


class _Patterns(NamedTuple):
    ours: Mapping[str, str]
    constants: frozenset[str]
    narrow: tuple[tuple[str, re.Pattern[str]], ...]
    wide: tuple[tuple[str, re.Pattern[str]], ...]


def told(text: str, *, currency: str | None = None) -> str:
    """Return a text of the country in the language in use, line by line.

    Args:
        currency: of the amounts in it, where the caller knows; they are then shown in soles or
            dollars instead of cents.
    """
    return "\n".join(_line(line, currency) for line in text.split("\n"))


def find(text: str) -> Found | None:
    """Return the template that a text was made from, without the fields named before it."""
    known = _patterns()
    stripped = text.strip()
    if stripped in known.constants:
        return Found(stripped, {})
    return _match(stripped, known.narrow) or _match(stripped, known.wide)


def _line(line: str, currency: str | None) -> str:
    text = line.strip()
    if not text:
        return line
    indent = line[: len(line) - len(line.lstrip())]
    return indent + (_whole(text, currency) or text)


def _whole(text: str, currency: str | None) -> str | None:
    """Translate a text, also one that stands behind fields, paths or codes and colons."""
    known = _patterns()
    if text in known.constants:
        return _(known.ours.get(text, text))
    found = _match(text, known.narrow)
    if found is not None:
        return _filled(found, currency)
    head, separator, rest = text.partition(_SEPARATOR)
    if separator and (translated := _whole(rest, currency)) is not None:
        return head + separator + translated
    found = _match(text, known.wide)
    return None if found is None else _filled(found, currency)


def _filled(found: Found, currency: str | None) -> str:
    slots = {name: _slot(name, value, currency) for name, value in found.slots.items()}
    ours = _patterns().ours
    return _(ours.get(found.template, found.template)).format_map(slots)


def _slot(name: str, value: str, currency: str | None) -> str:
    if name == _MINOR and currency is not None:
        return amount_text(int(value), currency)
    return told(value, currency=currency) if name in _SPEAKING else value


def _match(text: str, patterns: tuple[tuple[str, re.Pattern[str]], ...]) -> Found | None:
    for template, pattern in patterns:
        matched = pattern.fullmatch(text)
        if matched is not None:
            return Found(template, matched.groupdict())
    return None


@cache
def _patterns() -> _Patterns:
    """Compile the templates once, when the first text has to be shown; the most telling first."""
    from chasqui.told_texts import OUR_OWN, TEMPLATES  # Late: most commands are told nothing.

    slotted = sorted((one for one in TEMPLATES if _SLOT.search(one)), key=_telling, reverse=True)
    return _Patterns(
        ours=OUR_OWN,
        constants=frozenset(TEMPLATES) - frozenset(slotted),
        narrow=tuple((one, _compiled(one, _UP_TO_A_COLON)) for one in slotted),
        wide=tuple((one, _compiled(one, _ANYTHING)) for one in slotted),
    )


def _telling(template: str) -> int:
    return len(_SLOT.sub("", template))


def _compiled(template: str, anything: str) -> re.Pattern[str]:
    parts = _SLOT.split(template)
    last = len(parts) - 2
    # Literals and names of slots take turns.
    pattern = "".join(
        re.escape(part)
        if index % 2 == 0
        else f"(?P<{part}>{_filling(part, _ANYTHING if index == last and parts[0] else anything)})"
        for index, part in enumerate(parts)
    )
    return re.compile(pattern)


def _filling(slot: str, anything: str) -> str:
    if slot in _DIGITS:
        return "[0-9.,]+"
    if slot in _QUOTED:
        return "`[^`]+`"
    return r"\w+" if slot in _WORDS else anything
