"""The notifier's settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from scheme.errors import ConfigError
from switch.notifier.config import NotifierConfig
from switch.notifier.main import EXIT_CONFIG, main


def test_settings_are_read(tmp_path: Path) -> None:
    path = tmp_path / "n.toml"
    path.write_text('home = "h"\nfleet = "f.toml"\nmqtt_port = 1\n')

    assert NotifierConfig.read(path) == NotifierConfig(home="h", fleet="f.toml", mqtt_port=1)


@pytest.mark.parametrize("text", ["", 'home = "h"\nfleet = "f"\nother = 1\n', "home"])
def test_wrong_settings_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "n.toml"
    path.write_text(text)

    with pytest.raises(ConfigError, match=r"n\.toml"):
        NotifierConfig.read(path)


def test_a_process_with_wrong_settings_says_so_and_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--config", str(tmp_path / "none.toml")]) == EXIT_CONFIG
    assert '"event":"failed"' in capsys.readouterr().out
