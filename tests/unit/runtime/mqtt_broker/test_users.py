"""Who may connect, as the home's files say it."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from runtime.mqtt_broker.users import Users
from runtime.mqtt_keys import MqttKeys
from scheme.limits import MEMBERS_ENROLLED_MAX
from scheme.network import Fleet
from tests.support.mqtt import FLEET, list_users

KEYS = MqttKeys(bytes(32))
DECLARED = {"switch", "notifier", "watch", "i-0002", "i-0992"} | {
    f"0992-000{agent}-{device}" for agent in (1, 2, 3, 4) for device in (1, 2)
}


def the_users(home: Path) -> Users:
    return Users(home, Fleet.parse(FLEET), KEYS)


def test_the_fleet_and_our_services_are_known_without_any_file(tmp_path: Path) -> None:
    assert the_users(tmp_path).names == DECLARED


@pytest.mark.parametrize(
    ("lines", "members"),
    [
        (["0123456789ab", "ba9876543210"], {"m-0123456789ab", "m-ba9876543210"}),
        (["0123456789AB", "short", "switch", "0123456789ab ", "+", ""], {"m-0123456789ab"}),
    ],
)
def test_members_are_known_once_they_are_listed(
    tmp_path: Path, lines: Sequence[str], members: set[str]
) -> None:
    users = the_users(tmp_path)
    list_users(tmp_path, "members", lines)

    assert users.look()
    assert users.names == DECLARED | members
    assert not users.look()


def test_the_revoked_are_not_known_until_they_are_restored(tmp_path: Path) -> None:
    list_users(tmp_path, "revoked", ["0992-0001-1", "i-0002", "nobody"])
    users = the_users(tmp_path)
    assert users.names == DECLARED - {"0992-0001-1", "i-0002"}

    (tmp_path / "mqtt" / "revoked").unlink()
    assert users.look()
    assert users.names == DECLARED


def test_a_list_that_says_the_same_changes_nobody(tmp_path: Path) -> None:
    list_users(tmp_path, "members", ["0123456789ab"])
    users = the_users(tmp_path)
    list_users(tmp_path, "members", ["0123456789ab", "0123456789ab"])

    assert not users.look()


def test_no_more_members_than_the_limit(tmp_path: Path) -> None:
    list_users(tmp_path, "members", [f"{n:012x}" for n in range(MEMBERS_ENROLLED_MAX + 1)])

    assert len(the_users(tmp_path).names) == len(DECLARED) + MEMBERS_ENROLLED_MAX


@pytest.mark.parametrize(
    ("username", "password", "right"),
    [
        ("switch", KEYS.password("switch"), True),
        ("switch", KEYS.password("notifier"), False),
        ("switch", "", False),
        ("stranger", KEYS.password("stranger"), False),
        ("", KEYS.password(""), False),
        ("switch", "señal", False),
    ],
)
def test_name_and_password_must_both_be_right(
    tmp_path: Path, username: str, password: str, right: bool
) -> None:
    assert the_users(tmp_path).are(username, password) is right
