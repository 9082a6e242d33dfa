"""A fake country, and the command line that talks to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chasqui.__main__ import run
from tests.support.fake_country import (
    Chasqui,
    FakeCountry,
    a_participant,
    running,
)


@pytest.fixture
def country() -> Iterator[FakeCountry]:
    with running() as country:
        hook = {"url": country.url}
        everyone = [
            a_participant("0970", **hook),
            a_participant("0971", owed=2, signed_on=False, **hook),
            a_participant("0985", simulated=False, kind="test"),
        ]
        country.on("GET", "/participants", {"participants": everyone})
        country.on("GET", "/returns", {"returns": [], "next": None})
        yield country


@pytest.fixture
def chasqui(
    country: FakeCountry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Chasqui:
    monkeypatch.setenv("LANGUAGE", "en")
    monkeypatch.setenv("CHASQUI_LANG", "en")
    monkeypatch.setenv("CHASQUI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CHASQUI_OPERATOR_URL", country.url)
    monkeypatch.setenv("CHASQUI_TIN_URL", country.url)

    def call(*words: str) -> tuple[int, str, str]:
        code = run(list(words))
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call
