import msgspec
import pytest

from directory.core.dale import Mismatch
from directory.http_api import RouteHandler, routes
from runtime.http_server import Request
from scheme.people import REFERENCE_PEOPLE
from tests.support.directory_fakes import MemoryDirectoryStore, a_service


@pytest.fixture
def store() -> MemoryDirectoryStore:
    return MemoryDirectoryStore()


@pytest.fixture
async def table(store: MemoryDirectoryStore) -> dict[tuple[str, str], RouteHandler]:
    service = a_service(store)
    await service.seed(REFERENCE_PEOPLE)
    service.look_up("0970", ["+51900000202", "+51900000777"])

    def mismatches() -> list[Mismatch]:
        store.find("900000101")  # Fails as the store does.
        return [Mismatch("900000101", "0970", 0)]

    return routes(service, mismatches)


def a_request(**query: str) -> Request:
    return Request("GET", "/directory/entries", query, {}, b"", "127.0.0.1")


async def test_entries_of_a_phone_are_shown_masked(
    table: dict[tuple[str, str], RouteHandler],
) -> None:
    response = await table["GET", "/directory/entries"](a_request(phone="900000202"), {})
    entries = msgspec.json.decode(response.body)["entries"]
    assert [(one["directory"], one["participant"]) for one in entries] == [
        ("0901", "0002"),
        ("0903", "0971"),
        ("0903", "0988"),
    ]
    shown = entries[1]
    assert shown["cci"] == "971*************0213"
    assert shown["name"] == "S*** D*** D***"
    assert shown["state"] == "ACTIVE"
    assert shown["registered_at"] == "2026-01-15T15:26:05.640000+00:00"
    assert b"97100220030040050213" not in response.body


@pytest.mark.parametrize("query", [{}, {"phone": ""}, {"phone": "123"}])
async def test_without_a_phone_the_field_and_what_to_do_are_named(
    table: dict[tuple[str, str], RouteHandler], query: dict[str, str]
) -> None:
    response = await table["GET", "/directory/entries"](a_request(**query), {})
    problem = msgspec.json.decode(response.body)
    assert (response.status, problem["field"]) == (400, "phone")
    assert problem["hint"]


async def test_a_store_that_fails_is_said_so(
    table: dict[tuple[str, str], RouteHandler], store: MemoryDirectoryStore
) -> None:
    store.is_broken = True
    response = await table["GET", "/directory/entries"](a_request(phone="900000202"), {})
    assert response.status == 503


async def test_quotas_show_who_has_used_how_much(
    table: dict[tuple[str, str], RouteHandler],
) -> None:
    response = await table["GET", "/directory/quotas"](a_request(), {})
    assert msgspec.json.decode(response.body) == {
        "bucket_size": 600,
        "per_minute": 600,
        "quotas": [{"participant": "0970", "tokens": 579, "shut": False}],
    }


async def test_mismatches_of_the_network_are_listed_masked(
    table: dict[tuple[str, str], RouteHandler], store: MemoryDirectoryStore
) -> None:
    response = await table["GET", "/directory/mismatches"](a_request(), {})
    (row,) = msgspec.json.decode(response.body)["mismatches"]
    assert row["participant"] == "0970"
    assert "900000101" not in row["phone"]
    store.is_broken = True
    assert (await table["GET", "/directory/mismatches"](a_request(), {})).status == 503
