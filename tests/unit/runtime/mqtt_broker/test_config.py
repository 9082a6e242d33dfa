"""Settings of the broker's process."""

from pathlib import Path

import pytest

from runtime.mqtt_broker.config import Config
from scheme.errors import ConfigError


def test_two_keys_are_enough(tmp_path: Path) -> None:
    path = tmp_path / "broker.toml"
    path.write_text('home = "h"\nfleet = "f.toml"\n')

    told = Config.read(path)

    assert (told.kind, told.host, told.port, told.tls_port) == ("embedded", "127.0.0.1", 7084, 0)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('host = "0.0.0.0"', "not loopback"),
        ('kind = "rabbit"', "kind"),
        ("port = 70000", "port"),
        ("connections_max = 0", "connections_max"),
        ('unknown = "x"', "unknown"),
        ("not toml", "broker.toml"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "broker.toml"
    path.write_text(f'home = "h"\nfleet = "f.toml"\n{line}\n')

    with pytest.raises(ConfigError, match=said):
        Config.read(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="none"):
        Config.read(tmp_path / "none.toml")
