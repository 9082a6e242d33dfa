"""The operator API's document: sound, complete, and true of what the routes answer."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, cast

import pytest
import structlog
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from openapi_spec_validator import validate

from clearing.files_api import file_routes
from clearing.http_api import routes as clearing_routes
from clearing.reports_reader import ReportReader
from clearing.service import ClearingService
from clearing.what_if import WhatIf
from directory.core.dale import Mismatch
from directory.http_api import routes as directory_routes
from directory.wire import DirectoryWire
from runtime.files import load_profile
from runtime.http_server import Request, Response
from scheme.clock import wire_date
from scheme.network import Fleet
from switch.cash_codes import CodeBook
from switch.core.cash import CashState
from switch.core.payment import PaymentState
from switch.core.transfer import TransferState
from switch.desk import OperatorDesk
from switch.edges.agents_api import AgentDesk, AgentsApi, Link
from switch.edges.cash_api import CashApi
from switch.edges.iso8583_api import Iso8583Api
from switch.edges.operator_api import OperatorApi
from switch.edges.routing_api import RoutingApi
from switch.iso8583_links import IsoLinks
from switch.movements import movement_of
from switch.mqtt_users import MqttUsers
from switch.ports import Delivery
from switch.queries import Queries
from switch.routes import OperatorEdge, Routes
from switch.slow_rails import SlowRails
from switch.wire_log import WireLog
from tests.support.directory_fakes import MemoryDirectoryStore, a_service, golden
from tests.support.switch_world import ScriptedPeers, World, fleet, refuse_order, world

_DOCUMENT: Final[Mapping[str, Any]] = json.loads(
    files("switch.edges").joinpath("openapi.json").read_bytes()
)
_OPERATIONS: Final = {
    (method.upper(), path): operation
    for path, item in _DOCUMENT["paths"].items()
    for method, operation in item.items()
}
_HOST: Final = {"Host": "127.0.0.1:7081"}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    structlog.configure(processors=[_drop])
    yield
    structlog.reset_defaults()


def _drop(*_: object) -> Any:
    raise structlog.DropEvent


class Country:
    """The operator port over a small clearing house, and what is behind it."""

    def __init__(self, edge: OperatorEdge, routes: Routes, house: World) -> None:
        self.routes = routes
        self.world = house
        self._edge = edge

    async def get(self, target: str, **headers: str) -> Response:
        path, _, query = target.partition("?")
        pairs = dict(part.split("=", 1) for part in query.split("&") if part)
        return await self._send("GET", path, pairs, b"", _HOST | headers)

    async def post(self, path: str, document: object, **headers: str) -> Response:
        sent = _HOST | {"Content-Type": "application/json"}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self._send("POST", path, {}, json.dumps(document).encode(), sent | named)

    async def put(self, path: str, document: object, **headers: str) -> Response:
        sent = _HOST | {"Content-Type": "application/json"} | headers
        return await self._send("PUT", path, {}, json.dumps(document).encode(), sent)

    async def _send(
        self, method: str, path: str, query: Mapping[str, str], body: bytes, headers: Any
    ) -> Response:
        return await self._edge.handle(Request(method, path, query, headers, body, "127.0.0.1"))


@asynccontextmanager
async def a_country(folder: Path, peers: ScriptedPeers | None = None) -> AsyncIterator[Country]:
    """Join the three route tables as the switch's main does."""
    async with world(folder, peers=peers) as made:
        house, members = made.house, fleet()
        log = WireLog(folder / "wire", clock=made.clock, bytes_max=1 << 20)
        at_us = int(made.clock.now().timestamp() * 1_000_000)
        log.write(at_us, "2026011510153009708191000123", "AV1", "0970", "CCE", b'{"AV1":{}}')
        queries = Queries(
            made.store,
            log,
            clock=made.clock,
            in_flight=lambda: house.router.in_flight,
            attempts=house.outbox.attempts,
        )
        desk = OperatorDesk(
            fleet=members,
            profile=load_profile("peru"),
            sessions=house.sessions,
            store=made.store,
            queries=queries,
            outbox=house.outbox,
            echoes=house.echoes,
            waits=house.waits,
        )
        clearing = ClearingService(
            made.ledger,
            fleet=Fleet(participant=tuple(members.values())),
            profile=load_profile("peru"),
            clock=made.clock,
            notice_of_movement=lambda _, __: (),
        )
        await clearing.start()
        directory = a_service(MemoryDirectoryStore())
        await DirectoryWire(directory).answer(golden("prxy.001-new"))
        rails = SlowRails(
            ledger=made.ledger,
            store=made.store,
            outbox=house.outbox,
            fleet=members,
            profile=load_profile("peru"),
            clock=made.clock,
            state=lambda: house.sessions.state,
            explain=house.pathfinder.explain,
            window_of=clearing.window,
            pump=lambda: None,
            spawn=lambda _: None,
        )
        routes = {
            **rails.routes(),
            **OperatorApi(desk, members).routes(),
            **RoutingApi(
                pathfinder=house.pathfinder,
                breakers=house.breakers,
                preferences=house.preferences,
                fleet=members,
            ).routes(),
            **clearing_routes(clearing, made.ledger),
            **_file_routes(made, folder),
            **_iso8583_routes(made),
            **_cash_routes(made),
            **_agents_routes(folder),
            **directory_routes(directory, lambda: (Mismatch("900000101", "0970", 0),)),
        }
        yield Country(OperatorEdge(routes, hosts=frozenset({"198.51.100.7"})), routes, made)
        await log.close()


def _file_routes(made: World, folder: Path) -> Routes:
    def open_reader() -> ReportReader:
        return ReportReader.open(str(folder / "ledger.db"))

    what_if = WhatIf(open_reader, clock=made.clock, profile=load_profile("peru"), members=fleet())
    return file_routes(
        made.ledger, open_reader=open_reader, movement_of=movement_of, what_if=what_if
    )


def _iso8583_routes(made: World) -> Routes:
    members = fleet(**{"0988": {"lane": "iso8583"}})
    links = IsoLinks(members, made.clock)
    stray = {"t": "0210", "11": "000007", "32": "0970", "37": "RRN000000007", "39": "00"}
    links.lanes["0988"].take(stray, b"")
    links.note("bad_length", "", "length: 1 to 4096 bytes")
    return Iso8583Api(links, is_signed_on=lambda _: True, fleet=members).routes()


def _cash_routes(made: World) -> Routes:
    # What they answer is held against the document in test_cash_api.
    return CashApi(cast(CodeBook, None), made.store).routes()


def _agents_routes(folder: Path) -> Routes:
    # What they answer is held against the document in test_agents_api.
    return AgentsApi(
        cast(AgentDesk, None),
        cast(Link, None),
        users=MqttUsers(folder),
        accounts_of=lambda _, __: (),
        member_of=str,
        entities=(),
    ).routes()


def fits(response: Response, operation: tuple[str, str], status: int) -> Any:
    """Return an answer's document, having held it against the schema of its operation."""
    assert response.status == status, response.body
    answer = _OPERATIONS[operation]["responses"][str(status)]
    if "$ref" in answer:
        answer = _DOCUMENT["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    schema = answer["content"]["application/json"]["schema"]
    document = json.loads(response.body)
    whole = {**schema, "components": _DOCUMENT["components"]}
    Draft202012Validator(whole).validate(document)
    return document


def test_the_document_is_sound_openapi() -> None:
    validate(_DOCUMENT)


async def test_every_route_is_documented_and_every_documented_route_is_served(
    tmp_path: Path,
) -> None:
    async with a_country(tmp_path) as country:
        served = {(method, path) for method, path in country.routes}
    assert served == set(_OPERATIONS)


def test_every_operation_has_its_own_id() -> None:
    ids = [operation["operationId"] for operation in _OPERATIONS.values()]
    assert len(ids) == len(set(ids))


def test_every_schema_is_used() -> None:
    text = json.dumps(_DOCUMENT)
    for name in _DOCUMENT["components"]["schemas"]:
        assert f'"#/components/schemas/{name}"' in text, name


def test_the_states_are_those_of_the_table() -> None:
    states = _DOCUMENT["components"]["schemas"]["TransferState"]["enum"]
    assert states == [*dict.fromkeys([*TransferState, *PaymentState, *CashState])]
    assert _DOCUMENT["components"]["schemas"]["CashState"]["enum"] == [*CashState]


async def test_it_is_served_as_it_is_written(tmp_path: Path) -> None:
    async with a_country(tmp_path) as country:
        served = fits(await country.get("/openapi.json"), ("GET", "/openapi.json"), 200)
    assert served == _DOCUMENT


async def test_what_is_read_fits_its_schema(tmp_path: Path) -> None:
    async with a_country(tmp_path) as country:
        await country.world.pay()
        await country.world.settle()
        for path in ("/healthz", "/readyz", "/participants", "/positions", "/audit", "/stuck"):
            fits(await country.get(path), ("GET", path), 200)
        fits(await country.get("/participants/0970"), ("GET", "/participants/{code}"), 200)
        fits(await country.get("/directory/quotas"), ("GET", "/directory/quotas"), 200)
        path = "/directory/mismatches"
        assert fits(await country.get(path), ("GET", path), 200)["mismatches"]
        last = fits(await country.get("/wire?participant=0970&limit=5"), ("GET", "/wire"), 200)
        assert [one["message"] for one in last["messages"]] == ["AV1"]
        entries = await country.get("/directory/entries?phone=900000101")
        assert fits(entries, ("GET", "/directory/entries"), 200)["entries"]


async def test_transfers_fit_their_schema_in_every_end(tmp_path: Path) -> None:
    peers = ScriptedPeers()
    async with a_country(tmp_path, peers) as country:
        peers.on_ct2.append(refuse_order("AC01"))
        await country.world.pay()
        paid = await country.world.pay(av_trace="000125", trace="000126")
        await country.world.settle()
        page = fits(await country.get("/transfers?limit=1"), ("GET", "/transfers"), 200)
        assert page["transfers"][0]["instruction_id"] == paid.instructionId
        rest = await country.get(f"/transfers?after={page['next']}&reason=AC01&participant=0970")
        assert len(fits(rest, ("GET", "/transfers"), 200)["transfers"]) == 1
        one = await country.get(f"/transfers/{paid.instructionId}")
        detail = fits(one, ("GET", "/transfers/{instruction}"), 200)
        assert {entry["kind"] for entry in detail["entries"]} == {"principal", "interbank_fee"}
        # Whoever compares all books need not ask for each transfer.
        quoted = detail["transfer"]["verification_id"]
        assert page["transfers"][0]["verification_id"] == quoted
        assert quoted


async def test_a_verification_fits_the_schema_of_a_transfer(tmp_path: Path) -> None:
    async with a_country(tmp_path) as country:
        av4 = await country.world.verify()
        await country.world.settle()
        one = await country.get(f"/transfers/{av4.instructionId}")
        detail = fits(one, ("GET", "/transfers/{instruction}"), 200)
        assert detail["transfer"]["state"] == "VERIFIED"
        assert [message["message"] for message in detail["timeline"]] == ["AV1"]


async def test_an_order_in_flight_fits_the_schema(tmp_path: Path) -> None:
    peers = ScriptedPeers()
    async with a_country(tmp_path, peers) as country, asyncio.TaskGroup() as group:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        peers.on_ct2.append(answer)
        paying = group.create_task(country.world.pay())
        await country.world.settle()
        stuck = fits(await country.get("/stuck"), ("GET", "/stuck"), 200)
        (row,) = stuck["in_flight"]
        one = await country.get(f"/transfers/{row['instruction_id']}")
        detail = fits(one, ("GET", "/transfers/{instruction}"), 200)
        assert detail["transfer"]["state"] == "RESERVED"
        answer.set_result(refuse_order("AC01"))
        assert (await paying).responseCode == "05"


async def test_what_is_owed_fits_its_schema_and_can_be_resent(tmp_path: Path) -> None:
    peers = ScriptedPeers()
    peers.acknowledge = lambda _: Delivery(acknowledged=False)
    operation = ("POST", "/stuck/resend")
    async with a_country(tmp_path, peers) as country:
        await country.world.pay()
        await country.world.settle()
        stuck = fits(await country.get("/stuck"), ("GET", "/stuck"), 200)
        (owed,) = stuck["ct5_owed"]
        sent = await country.post("/stuck/resend", {"owed_id": owed["owed_id"]})
        assert fits(sent, operation, 200) == {"resent": 1}
        fits(await country.post("/stuck/resend", {"participant": "0971"}), operation, 200)
        fits(await country.post("/stuck/resend", {"owed_id": "none"}), operation, 404)
        fits(await country.post("/stuck/resend", {}), operation, 400)


async def test_money_moved_by_an_operator_fits_its_schema(tmp_path: Path) -> None:
    fund = ("POST", "/positions/{code}/funding")
    body = {"currency": "PEN", "amount": 100}
    async with a_country(tmp_path) as country:
        path = "/positions/0970/funding"
        first = await country.post(path, body, Idempotency_Key="a")
        fits(first, fund, 200)
        assert (await country.post(path, body, Idempotency_Key="a")).body == first.body
        fits(await country.post(path, body | {"amount": 7}, Idempotency_Key="a"), fund, 409)
        fits(await country.post(path, body), fund, 400)
        fits(await country.post("/positions/9999/funding", body, Idempotency_Key="b"), fund, 404)
        draw = await country.post("/positions/0970/drawdown", body, Idempotency_Key="c")
        fits(draw, ("POST", "/positions/{code}/drawdown"), 200)


@pytest.mark.parametrize(
    ("operation", "path", "body"),
    [
        ("/participants/{code}/block", "/participants/0971/block", {"blocked": True}),
        ("/notices/971", "/notices/971", {"status": "SUSPENDED"}),
        ("/notices/972", "/notices/972", {"participant": "0971", "blocked": True}),
        ("/notices/981", "/notices/981", {"text": "MANTENIMIENTO", "participants": ["0970"]}),
    ],
)
async def test_actions_fit_their_schemas(
    operation: str, path: str, body: dict[str, Any], tmp_path: Path
) -> None:
    async with a_country(tmp_path) as country:
        fits(await country.post(path, body), ("POST", operation), 200)
        fits(await country.post(path, {"nonsense": 1}), ("POST", operation), 400)
        plain = await country.post(path, body, Content_Type="text/plain")
        fits(plain, ("POST", operation), 415)


@pytest.mark.parametrize(
    ("operation", "target", "status"),
    [
        ("/participants/{code}", "/participants/9999", 404),
        ("/transfers", "/transfers?limit=501", 400),
        ("/transfers", "/transfers?state=NOWHERE", 400),
        ("/transfers/{instruction}", "/transfers/unheard", 404),
        ("/wire", "/wire?limit=501", 400),
        ("/directory/entries", "/directory/entries?phone=1", 400),
    ],
)
async def test_refusals_fit_their_schemas(
    operation: str, target: str, status: int, tmp_path: Path
) -> None:
    async with a_country(tmp_path) as country:
        refused = fits(await country.get(target), ("GET", operation), status)
        assert refused["field"]


async def test_a_foreign_page_is_refused_as_documented(tmp_path: Path) -> None:
    async with a_country(tmp_path) as country:
        foreign = await country.get("/participants", Origin="http://evil.example")
        fits(foreign, ("GET", "/participants"), 403)


async def test_routing_fits_its_schemas(tmp_path: Path) -> None:
    async with a_country(tmp_path) as country:
        await country.world.pay()
        operation = ("GET", "/routes")
        carried = await country.get("/routes?from=0970&to=0971&amount=2550")
        assert fits(carried, operation, 200)["rail"] == "tin"
        large = await country.get("/routes?from=0970&to=0971&amount=99999999&currency=USD&rail=tin")
        assert fits(large, operation, 200)["refused"]["rule"] == "above_limit"
        fits(await country.get("/breakers"), ("GET", "/breakers"), 200)
        force = ("POST", "/breakers/{code}/{rail}")
        opened = await country.post("/breakers/0971/tin", {"state": "open"})
        assert fits(opened, force, 200)["forced"]
        fits(await country.post("/breakers/0971/lbtr", {"state": "open"}), force, 400)
        fits(await country.post("/breakers/0971/tin", {"state": "ajar"}), force, 400)
        fits(await country.post("/breakers/9999/tin", {"state": "open"}), force, 404)
        put, wish = ("PUT", "/preferences"), {"debtor": "0970", "creditor": "0971"}
        preferred = await country.put("/preferences", wish | {"rails": ["deferred"]})
        fits(preferred, put, 200)
        kept = fits(await country.get("/preferences"), ("GET", "/preferences"), 200)
        assert kept["preferences"] == [wish | {"rails": ["deferred"]}]
        fits(await country.put("/preferences", wish | {"rails": ["pigeon"]}), put, 400)
        fits(await country.put("/preferences", wish | {"rails": ["tin", "tin"]}), put, 400)
        fits(await country.put("/preferences", {"debtor": "0970"}), put, 400)
        stranger = {"debtor": "9999", "creditor": "0971", "rails": []}
        fits(await country.put("/preferences", stranger), put, 404)


@pytest.mark.parametrize(
    ("query", "field", "status"),
    [
        ("from=0970&to=0971", "amount", 400),
        ("from=0970&to=0971&amount=0", "amount", 400),
        ("from=0970&to=0971&amount=1.5", "amount", 400),
        ("from=0970&to=0971&amount=1&currency=EUR", "currency", 400),
        ("from=0970&to=0971&amount=1&rail=pigeon", "rail", 400),
        ("from=0970&to=0971&amount=1&rial=tin", "rial", 400),
        ("to=0971&amount=1", "from", 400),
        ("from=0970&to=9710&amount=1", "to", 404),
        ("from=0970&to=97100220030040050213&amount=1", "", 200),
        ("from=0970&to=9710022003004005021x&amount=1", "to", 400),
    ],
)
async def test_a_route_that_cannot_be_asked_for_names_its_field(
    query: str, field: str, status: int, tmp_path: Path
) -> None:
    async with a_country(tmp_path) as country:
        answer = fits(await country.get(f"/routes?{query}"), ("GET", "/routes"), status)
        assert answer.get("field", "") == field


async def test_a_day_replayed_fits_its_schema(tmp_path: Path) -> None:
    operation = ("GET", "/settlement/what-if")
    async with a_country(tmp_path) as country:
        await country.world.pay()
        await country.world.settle()
        day = wire_date(country.world.clock.now())
        answer = await country.get(f"/settlement/what-if?date={day}&fail=0970&cap=99999999")
        found = fits(answer, operation, 200)
        assert [one["payments"] for one in found["scenarios"]] == [1, 1, 1, 1]
        assert found["scenarios"][0]["bearers"]
        fits(await country.get("/settlement/what-if?cap=-1"), operation, 400)


async def test_the_iso8583_lane_fits_its_schemas(tmp_path: Path) -> None:
    decode = ("POST", "/iso8583/decode")
    async with a_country(tmp_path) as country:
        links = fits(await country.get("/iso8583/links"), ("GET", "/iso8583/links"), 200)
        (lane,) = links["participants"]
        assert (lane["participant"], lane["counts"]["unmatched"]) == ("0988", 1)
        assert links["strangers"] == {"bad_length": 1}
        path = "/iso8583/findings"
        found = fits(await country.get(f"{path}?limit=5"), ("GET", path), 200)["findings"]
        assert [one["kind"] for one in found] == ["bad_length", "unmatched"]
        mine = fits(await country.get(f"{path}?participant=0988"), ("GET", path), 200)["findings"]
        assert [one["stan"] for one in mine] == ["000007"]
        fits(await country.get(f"{path}?limit=201"), ("GET", path), 400)
        fits(await country.get(f"{path}?state=new"), ("GET", path), 400)
        example = _OPERATIONS[decode]["requestBody"]["content"]["application/json"]["example"]
        shown = fits(await country.post("/iso8583/decode", example), decode, 200)
        assert (shown["header"], shown["fault"]) == ("binary-2", "")
        for body, status in (
            ({"hex": "zz"}, 400),
            ({"hex": ""}, 400),
            ({"hex": "30", "spec": "ebcdic"}, 400),
            ({"hex": "30", "participant": "0970"}, 404),
            ({"hex": "30", "participant": "0988"}, 200),
        ):
            fits(await country.post("/iso8583/decode", body), decode, status)
