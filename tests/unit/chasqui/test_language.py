"""The language that is chosen, and the catalogue behind it."""

import re
from importlib import resources
from pathlib import Path

import click
import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po

from chasqui import language, library_words
from chasqui.language import LOCALE_FOLDER, choose

PO = LOCALE_FOLDER / "es" / "LC_MESSAGES" / "messages.po"
MO = PO.with_suffix(".mo")
KEYWORDS = {"_": None, "N_": None, "NN_": (1, 2)}
PLACEHOLDER = re.compile(r"\{[^}]*\}")
FLAG = re.compile(r"--[a-z-]+")


def the_catalogue() -> Catalog:
    with PO.open("rb") as file:
        return read_po(file, locale="es")


def texts(one: object) -> tuple[str, ...]:
    return tuple(one) if isinstance(one, list | tuple) else (str(one),)


@pytest.mark.parametrize(
    ("argv", "environ", "setting", "chosen"),
    [
        (["send", "--lang", "es"], {"CHASQUI_LANG": "en"}, "en", "es"),
        (["--lang=en"], {"LANG": "es_PE.UTF-8"}, "es", "en"),
        ([], {"CHASQUI_LANG": "es", "LANG": "en_US"}, "en", "es"),
        ([], {"LANG": "en_US.UTF-8"}, "es", "es"),
        ([], {"LC_ALL": "es_PE.UTF-8", "LANG": "en_US"}, "", "es"),
        ([], {"LC_ALL": "", "LANG": "es_PE"}, "", "es"),
        ([], {"LANG": "qu_PE"}, "", "en"),
        ([], {}, "", "en"),
        (["--lang", "fr"], {}, "", "en"),
        (["--lang"], {}, "", "en"),
    ],
)
def test_the_language_is_the_flags_then_the_variables_then_the_settings_then_the_locales(
    argv: list[str], environ: dict[str, str], setting: str, chosen: str
) -> None:
    assert choose(argv, environ, setting) == chosen


def test_every_text_of_the_source_is_in_the_catalogue_and_no_other() -> None:
    package = Path(str(resources.files("chasqui")))
    found = {
        texts(message)
        for _path, _line, message, _comments, _context in extract_from_dir(
            package, [("**.py", "python")], keywords=KEYWORDS
        )
    }
    known = {texts(one.id) for one in the_catalogue() if one.id}
    assert found == known


def test_every_text_has_its_spanish() -> None:
    missing = [one.id for one in the_catalogue() if one.id and not all(texts(one.string))]
    assert missing == []


def test_no_translation_is_a_guess() -> None:
    assert [one.id for one in the_catalogue() if one.fuzzy] == []


def test_placeholders_and_flags_are_the_same_in_both_languages() -> None:
    for one in the_catalogue():
        if not one.id:
            continue
        for english, spanish in zip(texts(one.id), texts(one.string), strict=True):
            for pattern in (PLACEHOLDER, FLAG):
                assert sorted(pattern.findall(english)) == sorted(pattern.findall(spanish)), english


def test_the_compiled_catalogue_is_in_step() -> None:
    with MO.open("rb") as file:
        compiled = {texts(one.id): texts(one.string) for one in read_mo(file) if one.id}
    written = {texts(one.id): texts(one.string) for one in the_catalogue() if one.id}
    assert compiled == written, "compile it: docs/howto/command-line.md"


def test_the_words_marked_for_the_library_are_still_its_own() -> None:
    source = "".join(path.read_text() for path in sorted(Path(click.__file__).parent.glob("*.py")))
    marked = [*library_words.WORDS, *(text for pair in library_words.PLURALS for text in pair)]
    assert [text for text in marked if f'"{text}"' not in source] == []


def test_a_language_in_use_is_what_texts_come_in(monkeypatch: pytest.MonkeyPatch) -> None:
    from gettext import gettext

    monkeypatch.setenv("LANGUAGE", "en")
    language.use("es")
    assert gettext("Nothing is stuck.") == "No hay nada sin terminar."
    language.use("en")
    assert gettext("Nothing is stuck.") == "Nothing is stuck."
