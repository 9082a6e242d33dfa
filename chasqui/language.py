"""The language of what people read: Spanish or English, through gettext.

The message ids are English. Click's own words ("Usage:", "Missing option ...") are looked up in
the same domain, so one catalogue holds both.
"""

import gettext
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

LANGUAGES = ("es", "en")
DOMAIN = "messages"
"""Click looks its words up in this domain, the default one of the standard library."""
LOCALE_FOLDER = Path(__file__).parent / "locale"
_DEFAULT = "en"
_LOCALE_VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")


def N_(text: str) -> str:  # noqa: N802 - gettext's usual name for "translate this later"
    """Mark a text for the catalogue; it is translated when it is shown."""
    return text


def NN_(one: str, many: str) -> tuple[str, str]:  # noqa: N802 - as above
    """Mark a text that has a plural."""
    return one, many


def choose(argv: Sequence[str], environ: Mapping[str, str], setting: str = "") -> str:
    """Return ``es`` or ``en``: the flag, CHASQUI_LANG, the settings file, then the locale.

    Args:
        argv: arguments as typed; looked at before anything is parsed, because usage errors
            are translated too.
        setting: ``lang`` of the settings file, or empty.
    """
    wishes = [_flag(argv), environ.get("CHASQUI_LANG", ""), setting]
    locale = next((environ[name] for name in _LOCALE_VARIABLES if environ.get(name)), "")
    wishes.append(locale[:2].lower())
    return next((wish for wish in wishes if wish in LANGUAGES), _DEFAULT)


def use(language: str) -> None:
    """Show everything from now on in ``language``."""
    # gettext reads LANGUAGE at each look-up: the only switch that click's words follow too.
    os.environ["LANGUAGE"] = language
    gettext.bindtextdomain(DOMAIN, str(LOCALE_FOLDER))


def _flag(argv: Sequence[str]) -> str:
    for index, word in enumerate(argv):
        if word.startswith("--lang="):
            return word.partition("=")[2]
        if word == "--lang" and index + 1 < len(argv):
            return argv[index + 1]
    return ""
