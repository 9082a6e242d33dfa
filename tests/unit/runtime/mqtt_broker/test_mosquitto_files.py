"""What is written for Mosquitto."""

import hashlib
from base64 import b64decode
from pathlib import Path

import pytest

from runtime.mqtt_broker.mosquitto_files import MosquittoFiles, Tls, hashed, rights
from scheme.errors import ConfigError


def test_each_user_has_the_lines_of_the_one_table() -> None:
    assert list(rights("0992-0001-1")) == [
        "user 0992-0001-1",
        "topic write cq1/a/0992-0001-1/u",
        "topic write cq1/a/0992-0001-1/s",
        "topic read cq1/a/0992-0001-1/d",
    ]
    assert list(rights("m-0123456789ab")) == [
        "user m-0123456789ab",
        "topic read cq1/m/0123456789ab/n",
    ]
    assert list(rights("watch")) == ["user watch", "topic read cq1/#"]


def test_a_hash_is_derived_from_the_password_and_a_salt_of_its_own() -> None:
    _, kind, iterations, salt, derived = hashed("secret").split("$")

    again = hashlib.pbkdf2_hmac("sha512", b"secret", b64decode(salt), int(iterations))
    assert (kind, b64decode(derived)) == ("7", again)
    assert hashed("secret") != hashed("secret")


def test_the_files_are_their_owners_and_hold_no_password(tmp_path: Path) -> None:
    files = MosquittoFiles(tmp_path / "mqtt")
    files.write_users([("b", "secret-b"), ("a", "secret-a")])
    first = (tmp_path / "mqtt" / "passwd").read_text()
    files.write_users([("a", "secret-a")])
    second = (tmp_path / "mqtt" / "passwd").read_text()

    assert [line.split(":")[0] for line in first.splitlines()] == ["a", "b"]
    assert second == first.splitlines(keepends=True)[0]
    assert "secret" not in first
    assert {one.stat().st_mode & 0o777 for one in (tmp_path / "mqtt").iterdir()} == {0o600}


def test_the_settings_let_nobody_in_without_a_name(tmp_path: Path) -> None:
    tls = Tls(
        host="192.0.2.7", port=7085, authority=Path("/c"), certificate=Path("/s"), key=Path("/k")
    )
    files = MosquittoFiles(tmp_path)
    files.write_settings(host="127.0.0.1", port=7084, tls=tls, connections_max=9)

    lines = files.settings.read_text().splitlines()
    assert "allow_anonymous false" in lines
    plain, other = lines.index("listener 7084 127.0.0.1"), lines.index("listener 7085 192.0.2.7")
    for listener in (lines[plain:other], lines[other:]):
        assert "use_username_as_clientid true" in listener
        assert "max_connections 9" in listener
    assert "keyfile /k" in lines[other:]


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "mqtt").write_text("in the way")

    with pytest.raises(ConfigError, match="cannot be written"):
        MosquittoFiles(tmp_path / "mqtt").write_users([])
