"""Settings files: whole, checked, or refused with file, key and reason."""

import tomllib
from importlib import resources
from pathlib import Path

import msgspec
import pytest

from chasqui.cli import COMMANDS
from chasqui.settings import COUNTRY_FILE, check_table, read_settings, whereabouts
from scheme.errors import ConfigError


def a_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "chasqui.toml"
    path.write_text(text)
    return path


def test_a_missing_file_is_no_settings_unless_it_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "chasqui.toml"

    assert read_settings(path, commands=COMMANDS, must_exist=False).tables == {}
    with pytest.raises(ConfigError, match=r"chasqui\.toml"):
        read_settings(path, commands=COMMANDS, must_exist=True)


def test_plain_keys_hold_for_all_and_tables_for_one_command(tmp_path: Path) -> None:
    path = a_file(tmp_path, 'lang = "es"\n[up]\ntin_port = 8080\n')

    settings = read_settings(path, commands=COMMANDS, must_exist=True)

    assert settings.config.lang == "es"
    assert settings.tables == {"up": {"tin_port": 8080}}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("nonsense", "chasqui.toml"),
        ('colour = "red"', "colour"),
        ('lang = "fr"', "lang"),
        ('timeout_s = "long"', "timeout_s"),
        ("[fly]\nhigh = true", r"\[fly\]"),
        ("lang = '\udcff'", "chasqui.toml"),
    ],
)
def test_a_wrong_file_is_refused_with_the_key(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "chasqui.toml"
    path.write_bytes(text.encode(errors="surrogateescape"))

    with pytest.raises(ConfigError, match=complaint):
        read_settings(path, commands=COMMANDS, must_exist=True)


@pytest.mark.parametrize(
    ("table", "complaint"), [({"port": 1}, "port"), ({"tin_port": "x"}, "tin_port")]
)
def test_a_table_is_checked_against_the_flags_of_its_command(
    table: dict[str, object], complaint: str
) -> None:
    check_table(Path("f.toml"), "up", {"tin_port": 1}, {"tin_port": int})
    with pytest.raises(ConfigError, match=rf"f\.toml: \[up\]: .*{complaint}"):
        check_table(Path("f.toml"), "up", table, {"tin_port": int})


def test_the_file_that_init_writes_is_good_as_it_is_and_with_every_line_taken_in(
    tmp_path: Path,
) -> None:
    text = (resources.files("chasqui") / "templates" / "chasqui.toml").read_text()
    taken_in = "\n".join(
        line[1:] if line.startswith("#") and not line.startswith(("# ", "#\n")) else line
        for line in text.splitlines()
    )

    assert read_settings(a_file(tmp_path, text), commands=COMMANDS, must_exist=True).tables
    settings = read_settings(a_file(tmp_path, taken_in), commands=COMMANDS, must_exist=True)
    assert settings.config.lang == "es"
    assert len(tomllib.loads(taken_in)["up"]) == 15


def test_a_running_country_is_found_by_the_file_it_wrote(tmp_path: Path) -> None:
    path = tmp_path / COUNTRY_FILE
    path.parent.mkdir()

    assert whereabouts(tmp_path) is None
    path.write_text("half a docum")
    assert whereabouts(tmp_path) is None
    told = {"operator_url": "http://127.0.0.1:1", "tin_url": "", "fleet": "f", "pid": 3}
    path.write_bytes(msgspec.json.encode(told))
    found = whereabouts(tmp_path)
    assert found is not None
    assert found.operator_url == "http://127.0.0.1:1"
