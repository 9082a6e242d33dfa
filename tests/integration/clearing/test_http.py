"""Routes of windows, batches and money: held against the document that describes them."""

import json
from collections.abc import AsyncIterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from clearing.http_api import routes
from runtime.http_server import Request, Response
from scheme.batch import encode_batch
from tests.support.settlement_world import ClearingWorld, clearing_world, rules

_DOCUMENT: Final[Mapping[str, Any]] = json.loads(
    files("switch.edges").joinpath("openapi.json").read_bytes()
)
MONDAY = "national-PEN-20261123-1"


class Port:
    """Clearing's routes, as an operator calls them."""

    def __init__(self, world: ClearingWorld) -> None:
        self.world = world
        self._routes = routes(world.service, world.ledger)

    async def get(self, path: str, *, status: int = 200, query: str = "", **params: str) -> Any:
        pairs = dict(part.split("=", 1) for part in query.split("&") if part)
        request = Request("GET", path, pairs, {}, b"", "127.0.0.1")
        return self._fits(await self._routes["GET", path](request, params), "get", path, status)

    async def post(
        self, path: str, content: object = None, *, status: int = 200, key: str = "", **params: str
    ) -> Any:
        headers = {"Idempotency-Key": key} if key else {}
        sent = json.dumps(content).encode()
        request = Request("POST", path, {}, headers, sent, "127.0.0.1")
        return self._fits(await self._routes["POST", path](request, params), "post", path, status)

    @staticmethod
    def _fits(response: Response, method: str, path: str, status: int) -> Any:
        assert response.status == status, response.body
        answer = _DOCUMENT["paths"][path][method]["responses"][str(status)]
        if "$ref" in answer:
            answer = _DOCUMENT["components"]["responses"][answer["$ref"].rpartition("/")[2]]
        schema = answer["content"]["application/json"]["schema"]
        shown = json.loads(response.body)
        whole = {**schema, "components": _DOCUMENT["components"]}
        Draft202012Validator(whole).validate(shown)
        return shown


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[Port]:
    profile = rules(approvals=2, cap=500, current=0, fund=900)
    async with clearing_world(tmp_path, profile) as world:
        yield Port(world)


async def test_a_window_is_closed_approved_and_settled_over_the_port(port: Port) -> None:
    await port.world.pay("0002", "0003", 1_000)
    await port.world.pay("0002", "0011", 400)
    shown = await port.get("/windows/{id}", id=MONDAY)
    assert (shown["state"], shown["tallies"][0]["net"]) == ("OPEN", -1_400)
    early = await port.get("/batches/{id}", status=409, id=MONDAY)
    assert early["error"] == "the window is not closed yet: it is OPEN"

    closing = await port.post("/windows/{id}/close", status=202, id=MONDAY)
    assert closing["state"] == "CLOSING"
    twice = await port.post("/windows/{id}/close", status=409, id=MONDAY)
    assert twice["error"] == "the window is CLOSING already"
    await port.world.turn()

    path = "/batches/{id}/approve"
    await port.post(path, {"as": "ROSA"}, id=MONDAY)
    assert (await port.post(path, {"as": "ROSA"}, status=409, id=MONDAY))["field"] == "as"
    assert (await port.post(path, {"as": ""}, status=400, id=MONDAY))["field"] == "as"
    assert (await port.post(path, {"name": "X"}, status=400, id=MONDAY))["hint"]
    await port.post(path, {"as": "LUIS"}, id=MONDAY)
    await port.world.turn()
    queue = await port.get("/lbtr/queue")
    assert [one["instruction"] for one in queue["queue"]] == [f"{MONDAY}:top:0002"]

    await port.world.wait_out(MONDAY)
    batch = await port.get("/batches/{id}", id=MONDAY)
    assert batch["settlement"]["state"] == "PARTIAL"
    assert batch["settlement"]["bearers"][1] == {
        "participant": "guarantee",
        "by": "guarantee_fund",
        "for": "0002",
        "minor": 400,
    }
    assert [one["as"] for one in batch["settlement"]["approvals"]] == ["ROSA", "LUIS"]
    assert len(batch["settlement"]["instructions"]) == 5
    assert batch["batch"] == json.loads(encode_batch(port.world.batch(MONDAY)))
    await port.post("/batches/{id}/retry", status=409, id=MONDAY)


async def test_a_failed_settlement_is_taken_up_again_over_the_port(tmp_path: Path) -> None:
    async with clearing_world(tmp_path, rules(cap=500, current=0)) as world:
        port = Port(world)
        await world.pay("0002", "0003", 1_400)
        await world.until("16:35:15")
        await world.wait_out(MONDAY)
        assert (await port.get("/windows/{id}", id=MONDAY))["state"] == "FAILED"

        path = "/lbtr/{ledger}/{code}/deposit"
        money = {"currency": "PEN", "amount": 400}
        moved = await port.post(path, money, key="k", ledger="lbtr", code="0002")
        assert moved["account"]["balance"] == 400
        assert await port.post(path, money, key="k", ledger="lbtr", code="0002") == moved
        answer = await port.post("/batches/{id}/retry", id=MONDAY)
        assert answer["settlement"]["round"] == 2
        await world.wait_out(MONDAY)
        assert (await port.get("/windows/{id}", id=MONDAY))["state"] == "SETTLED"


async def test_lists_are_newest_first_and_narrowed(port: Port) -> None:
    await port.post("/windows/{id}/close", status=202, id=MONDAY)
    await port.world.turn()

    every = await port.get("/windows")
    national = await port.get("/windows", query="cycle=national&currency=PEN")
    batches = await port.get("/batches")

    assert len(every["windows"]) == 6
    assert [one["window"] for one in national["windows"]] == [
        "national-PEN-20261123-2",
        MONDAY,
    ]
    assert [one["window"] for one in batches["batches"]] == [MONDAY]
    assert (await port.get("/windows", status=400, query="state=DONE"))["field"] == "state"
    assert (await port.get("/windows", status=400, query="x=1"))["field"] == "x"
    assert (await port.get("/windows", query="state=FAILED"))["windows"] == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "/windows/{id}"),
        ("get", "/batches/{id}"),
        ("post", "/windows/{id}/close"),
        ("post", "/batches/{id}/retry"),
    ],
)
async def test_what_is_not_there_is_404(method: str, path: str, port: Port) -> None:
    answer = await getattr(port, method)(path, status=404, id="nothing")

    assert set(answer) == {"error", "field", "hint"}


async def test_accounts_of_money_are_listed_without_the_contra_account(port: Port) -> None:
    accounts = (await port.get("/lbtr"))["accounts"]

    names = {(one["ledger"], one["account"]) for one in accounts}
    assert {("lbtr", "0002"), ("lbtr", "0002:prefund"), ("lbtr", "guarantee")} <= names
    assert {("sponsor", "0970"), ("sponsor", "0987"), ("sponsor", "settlement")} <= names
    assert not {("lbtr", "lbtr"), ("national", "0002")} & names


@pytest.mark.parametrize(
    ("ledger", "code", "amount", "key", "status", "field"),
    [
        ("national", "0002", 1, "k", 404, "code"),
        ("lbtr", "0970", 1, "k", 404, "code"),
        ("lbtr", "settlement", 1, "k", 404, "code"),
        ("lbtr", "0002", 0, "k", 400, "amount"),
        ("lbtr", "0002", 1, "", 400, "Idempotency-Key"),
        ("lbtr", "0002", 1, "k", 409, "amount"),
    ],
)
async def test_a_withdrawal_that_cannot_be_says_why(
    ledger: str, code: str, amount: int, key: str, status: int, field: str, port: Port
) -> None:
    refused = await port.post(
        "/lbtr/{ledger}/{code}/withdrawal",
        {"currency": "PEN", "amount": amount},
        status=status,
        key=key,
        ledger=ledger,
        code=code,
    )

    assert refused["field"] == field


async def test_positions_of_one_ledger_are_listed_on_demand(port: Port) -> None:
    own = (await port.get("/positions"))["positions"]
    deferred = (await port.get("/positions", query="ledger=deferred"))["positions"]

    ledgers = {one["participant"]: one["ledger"] for one in own}
    assert ledgers == {
        **dict.fromkeys(("0002", "0003", "0011", "0987"), "national"),
        **dict.fromkeys(("0970", "0971"), "dale"),
    }
    assert {one["participant"] for one in deferred} == {"0002", "0003", "0011", "0987"}
    await port.get("/positions", status=400, query="ledger=other")


async def test_a_coop_is_funded_from_its_account_with_its_sponsor(port: Port) -> None:
    body = {"currency": "PEN", "amount": 70}
    moved = await port.post("/positions/{code}/funding", body, key="k", code="0970")

    assert moved["position"]["balance"] == 70
    assert port.world.money("0970:prefund", "sponsor") == 70
    assert port.world.money("0970", "sponsor") == 430


async def test_a_drawdown_of_what_is_still_in_settlement_is_refused(port: Port) -> None:
    await port.world.pay("0003", "0002", 900)
    body = {"currency": "PEN", "amount": 1_500}
    refused = await port.post("/positions/{code}/drawdown", body, status=409, key="k", code="0002")

    assert refused["error"].startswith("the prefund is in settlement")
    assert refused["hint"] == "at most 1000 now"
