"""Passwords and keys of the agent lane, derived from one key of the home."""

from pathlib import Path

import pytest

from runtime.mqtt_keys import VARIABLE, MqttKeys
from scheme.errors import ConfigError


def test_every_process_of_a_home_derives_the_same(tmp_path: Path) -> None:
    ours, theirs = MqttKeys.open(tmp_path), MqttKeys.open(tmp_path)

    assert ours.password("switch") == theirs.password("switch")
    assert ours.device_key("0992-0001-1") == theirs.device_key("0992-0001-1")
    assert ours.member_of("0" * 20) == theirs.member_of("0" * 20)
    assert (tmp_path / "keys" / "mqtt.key").stat().st_mode & 0o777 == 0o600


def test_another_home_derives_others(tmp_path: Path) -> None:
    ours, theirs = MqttKeys.open(tmp_path / "a"), MqttKeys.open(tmp_path / "b")

    assert ours.password("switch") != theirs.password("switch")


def test_names_and_purposes_do_not_meet() -> None:
    keys = MqttKeys(bytes(32))

    assert keys.password("a") != keys.password("b")
    assert keys.device_key("a")[:18] not in (keys.password("a").encode(), keys.device_key("b")[:18])
    assert len(keys.device_key("a")) == 32
    assert len(keys.password("a")) == 24
    assert int(keys.member_of("a"), 16) >= 0
    assert len(keys.member_of("a")) == 12


def test_the_environment_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "00" * 32)
    assert MqttKeys.open(tmp_path).password("a") == MqttKeys(bytes(32)).password("a")

    monkeypatch.setenv(VARIABLE, "zz")
    with pytest.raises(ConfigError, match=VARIABLE):
        MqttKeys.open(tmp_path)
