"""What a page in somebody's browser may not do to a port of this machine."""

import pytest

from runtime.http_guard import foreign
from runtime.http_server import Request

OWN = {"Host": "127.0.0.1:7102"}
JSON = {"Content-Type": "application/json; charset=utf-8"}


def asked(method: str, headers: dict[str, str]) -> Request:
    return Request(method, "/control/state", {}, headers, b"", "127.0.0.1")


@pytest.mark.parametrize("host", ["127.0.0.1:7102", "localhost", "LOCALHOST:80", "[::1]:7102"])
def test_its_own_names_are_taken(host: str) -> None:
    assert foreign(asked("GET", {"Host": host, "Origin": "http://localhost:7081"})) is None
    assert foreign(asked("POST", {"Host": host} | JSON)) is None


@pytest.mark.parametrize(
    ("method", "headers", "status", "named"),
    [
        ("GET", {}, 403, "Host"),
        ("GET", {"Host": "evil.example"}, 403, "Host"),
        ("GET", {"Host": "[::1"}, 403, "Host"),
        ("GET", OWN | {"Origin": "https://evil.example"}, 403, "Origin"),
        ("GET", OWN | {"Origin": "null"}, 403, "Origin"),
        ("POST", OWN, 415, "Content-Type"),
        ("POST", OWN | {"Content-Type": "text/plain"}, 415, "Content-Type"),
        ("DELETE", OWN | {"Content-Type": "application/x-www-form-urlencoded"}, 415, "Content-Typ"),
    ],
)
def test_what_may_come_from_a_foreign_page_is_turned_away(
    method: str, headers: dict[str, str], status: int, named: str
) -> None:
    found = foreign(asked(method, headers))

    assert found is not None
    assert found.status == status
    assert found.field.startswith(named)
    assert found.error
    assert found.hint


def test_further_names_can_be_given() -> None:
    request = asked("GET", {"Host": "switch.example:7081"})
    assert foreign(request, frozenset({"switch.example"})) is None
