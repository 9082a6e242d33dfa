"""What an operator asks and does: lists, one transfer, what is stuck, and who is let in."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from runtime.files import load_profile
from runtime.http_server import Request
from scheme.ledger import StrikeOff
from switch.desk import OperatorDesk
from switch.edges.operator_api import OperatorApi
from switch.ports import Delivery
from switch.queries import Queries
from switch.routes import OperatorEdge
from switch.wire_log import WireLog
from tests.support.switch_world import World, fleet, golden, refuse_order, world

ORDER = "2026011510161209704191000124"
JSON = {"Host": "127.0.0.1:7081", "Content-Type": "application/json"}


class Operator:
    """An operator at the port of one clearing house."""

    def __init__(self, one: World, wire_log: WireLog, *, token: str = "") -> None:
        self.world = one
        self.wire_log = wire_log
        house = one.house
        queries = Queries(
            one.store,
            wire_log,
            clock=one.clock,
            in_flight=lambda: house.router.in_flight,
            attempts=house.outbox.attempts,
        )
        desk = OperatorDesk(
            fleet=fleet(),
            profile=load_profile("peru"),
            sessions=house.sessions,
            store=one.store,
            queries=queries,
            outbox=house.outbox,
            echoes=house.echoes,
            waits=house.waits,
        )
        self.edge = OperatorEdge(
            OperatorApi(desk, fleet()).routes(), hosts=frozenset({"switch.test"}), token=token
        )

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] = JSON,
        query: Mapping[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Send a request; return status and document."""
        raw = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        request = Request(method, path, query or {}, headers, raw, "127.0.0.1")
        response = await self.edge.handle(request)
        return response.status, json.loads(response.body)

    async def get(self, path: str, **query: str) -> Any:
        """Return the document of a path that is there."""
        status, document = await self.call("GET", path, query=query)
        assert status == 200, document
        return document


@pytest.fixture
async def operator(tmp_path: Path) -> AsyncIterator[Operator]:
    async with world(tmp_path) as one:
        wire_log = WireLog(tmp_path / "wire", clock=one.clock, bytes_max=2**20)
        yield Operator(one, wire_log)
        await wire_log.close()


async def expire_one(one: World, number: int = 0) -> str:
    one.peers.on_ct2.append(asyncio.get_running_loop().create_future())
    av4 = await one.verify(trace=f"{number:06}")
    sent = one.start(one.ct1(av4.instructionId, trace=f"{number:06}"))
    await one.settle()
    (flight,) = one.house.router.in_flight
    await one.advance(8)
    await sent
    await one.settle()
    return flight.record.instruction_id


# Who is let in.


@pytest.mark.parametrize(
    ("headers", "status", "field"),
    [
        ({"Host": "evil.example"}, 403, "Host"),
        ({"Host": "127.0.0.1.evil.example"}, 403, "Host"),
        ({"Host": "[::1"}, 403, "Host"),
        ({"Host": ""}, 403, "Host"),
        ({"Host": "localhost:7081", "Origin": "https://evil.example"}, 403, "Origin"),
        ({"Host": "localhost:7081", "Origin": "null"}, 403, "Origin"),
        ({"Host": "localhost:7081", "Origin": "http://["}, 403, "Origin"),
        ({"Host": "localhost:7081", "Origin": "file://"}, 403, "Origin"),
    ],
)
async def test_a_foreign_page_can_neither_read_nor_act(
    operator: Operator, headers: dict[str, str], status: int, field: str
) -> None:
    json_too = headers | {"Content-Type": "application/json"}
    for method, path in (("GET", "/participants"), ("POST", "/notices/971")):
        got, document = await operator.call(method, path, headers=json_too)
        assert (got, document["field"]) == (status, field)
        assert document["error"]
        assert document["hint"]


@pytest.mark.parametrize("host", ["127.0.0.1:7081", "localhost", "[::1]:7081", "switch.test:1"])
async def test_its_own_names_are_let_in(operator: Operator, host: str) -> None:
    headers = {"Host": host, "Origin": f"http://{host}"}
    assert (await operator.call("GET", "/healthz", headers=headers))[0] == 200


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded"])
async def test_actions_take_json_only(operator: Operator, kind: str) -> None:
    headers = {"Host": "localhost", "Content-Type": kind}
    status, document = await operator.call(
        "POST", "/notices/971", {"status": "SUSPENDED"}, headers=headers
    )
    assert (status, document["field"]) == (415, "Content-Type")
    assert not operator.world.house.sessions.state.suspended


async def test_a_token_is_asked_of_everyone_but_the_probes(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        log = WireLog(tmp_path / "wire", clock=one.clock, bytes_max=2**20)
        operator = Operator(one, log, token="sesame")
        assert (await operator.call("GET", "/participants"))[0] == 401
        assert (await operator.call("GET", "/healthz"))[0] == 200
        wrong = {"Host": "localhost", "Authorization": "Bearer \udcff"}
        assert (await operator.call("GET", "/stuck", headers=wrong))[0] == 401
        shown = {"Host": "localhost", "Authorization": "Bearer sesame"}
        assert (await operator.call("GET", "/stuck", headers=shown))[0] == 200
        await log.close()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/participants/0999", 404),
        ("GET", "/transfers/unknown", 404),
        ("DELETE", "/transfers", 405),
        ("POST", "/participants", 405),
        ("GET", "/notices/971", 405),
        ("POST", "/participants/0999/block", 404),
    ],
)
async def test_what_is_not_there_is_said_with_what_to_do(
    operator: Operator, method: str, path: str, status: int
) -> None:
    got, document = await operator.call(method, path, {"blocked": True})
    assert got == status
    assert document["error"]
    assert document["hint"]


BAD_REQUESTS: list[tuple[str, str, Any, dict[str, str], str]] = [
    ("GET", "/transfers", None, {"limit": "0"}, "limit"),
    ("GET", "/transfers", None, {"limit": "501"}, "limit"),
    ("GET", "/transfers", None, {"limit": "-1"}, "limit"),
    ("GET", "/transfers", None, {"limit": "ten"}, "limit"),
    ("GET", "/transfers", None, {"amount": "9" * 40}, "amount"),
    ("GET", "/transfers", None, {"state": "LOST"}, "state"),
    ("GET", "/transfers", None, {"since": "yesterday"}, "since"),
    ("GET", "/transfers", None, {"until": "2026-01-15T10:00:00"}, "until"),
    ("GET", "/transfers", None, {"after": "x"}, "after"),
    ("GET", "/transfers", None, {"after": "².x"}, "after"),
    ("GET", "/transfers", None, {"after": "9" * 40 + ".x"}, "after"),
    ("GET", "/transfers", None, {"foo": "1"}, "foo"),
    ("GET", "/wire", None, {"state": "POSTED"}, "state"),
    ("GET", "/wire", None, {"limit": "0"}, "limit"),
    ("GET", "/wire", None, {"limit": "501"}, "limit"),
    ("GET", "/wire", None, {"limit": "few"}, "limit"),
    ("POST", "/participants/0971/block", b"{", {}, "body"),
    ("POST", "/participants/0971/block", b"", {}, "body"),
    ("POST", "/participants/0971/block", {"blocked": "yes"}, {}, "blocked"),
    ("POST", "/participants/0971/block", {"blocked": True, "x": 1}, {}, "body"),
    ("POST", "/notices/971", {"status": "OFF"}, {}, "status"),
    ("POST", "/notices/981", {"text": ""}, {}, "text"),
    ("POST", "/notices/981", {"text": "x" * 4_001}, {}, "text"),
    ("POST", "/stuck/resend", {}, {}, "owed_id"),
    ("POST", "/stuck/resend", {"owed_id": "x", "participant": "0971"}, {}, "owed_id"),
]


@pytest.mark.parametrize("row", BAD_REQUESTS, ids=lambda row: f"{row[1]}-{row[4]}")
async def test_a_bad_request_names_its_field(
    operator: Operator, row: tuple[str, str, Any, dict[str, str], str]
) -> None:
    method, path, body, query, field = row
    status, document = await operator.call(method, path, body, query=query)
    assert (status, document["field"]) == (400, field), document


# What is seen.


async def test_participants_are_listed_with_their_standing(operator: Operator) -> None:
    await operator.call("POST", "/participants/0971/block", {"blocked": True})
    listed = (await operator.get("/participants"))["participants"]
    assert [(one["code"], one["signed_on"], one["blocked"]) for one in listed] == [
        ("0970", True, False),
        ("0971", True, True),
        ("0988", True, False),
        ("0002", True, False),
    ]
    assert (await operator.get("/participants/0971"))["blocked"]
    again = await operator.call("POST", "/notices/972", {"participant": "0971", "blocked": True})
    assert not again[1]["changed"]


async def test_readiness_waits_for_nobody_who_is_not_simulated(operator: Operator) -> None:
    assert (await operator.get("/readyz"))["ready"]


async def test_transfers_are_paged_youngest_first_without_gap_or_repeat(
    operator: Operator,
) -> None:
    one = operator.world
    for number in range(7):
        await one.pay(av_trace=f"{number:06}", trace=f"{number:06}", amount=100 + number)
        await one.clock.advance(timedelta(seconds=number % 2))
    seen: list[str] = []
    after = ""
    while True:
        page = await operator.get("/transfers", limit="2", **({"after": after} if after else {}))
        seen += [row["instruction_id"] for row in page["transfers"]]
        after = page["next"]
        if after is None:
            break
    assert len(seen) == len(set(seen)) == 7
    whole = (await operator.get("/transfers"))["transfers"]
    assert [row["instruction_id"] for row in whole] == seen
    assert [row["created_at"] for row in whole] == sorted(
        (row["created_at"] for row in whole), reverse=True
    )


async def test_transfers_are_filtered(operator: Operator) -> None:
    one = operator.world
    one.peers.on_ct2.append(refuse_order("AC01"))
    await one.pay(av_trace="000001", trace="000001", amount=101)
    await one.pay(av_trace="000002", trace="000002", amount=102)
    await one.settle()

    async def amounts(**query: str) -> list[int]:
        rows = (await operator.get("/transfers", **query))["transfers"]
        return [row["amount"] for row in rows]

    assert await amounts(reason="AC01") == [101]
    assert await amounts(state="CONFIRMED") == [102]
    assert await amounts(amount="102") == [102]
    assert sorted(await amounts(participant="0971")) == [101, 102]
    assert await amounts(debtor="0971") == []
    assert sorted(await amounts(creditor="0971", since="2026-01-15T10:15:00-05:00")) == [101, 102]
    assert await amounts(until="2026-01-15T10:15:00-05:00") == []


async def test_one_transfer_is_shown_whole_and_without_anything_of_a_person(
    operator: Operator,
) -> None:
    await operator.world.pay()
    await operator.world.settle()
    shown = await operator.get(f"/transfers/{ORDER}")
    assert shown["transfer"]["state"] == "CONFIRMED"
    assert shown["transfer"]["verification_id"] == "2026011510153009708191000123"
    assert [entry["kind"] for entry in shown["entries"]] == ["principal", "interbank_fee"]
    text = json.dumps(shown)
    for secret in ("97100220030040050213", "900000202", "SOCIO DOS", "00000101"):
        assert secret not in text
    verified = await operator.get("/transfers/2026011510153009708191000123")
    assert verified["transfer"]["state"] == "VERIFIED"


async def test_a_tombstone_and_an_order_in_flight_are_shown_too(operator: Operator) -> None:
    one = operator.world
    await one.ask("2026011510140009704191000777")
    shown = await operator.get("/transfers/2026011510140009704191000777")
    assert shown["transfer"]["state"] == "TOMBSTONE"
    assert len((await operator.get("/transfers"))["transfers"]) == 1
    one.peers.on_ct2.append(asyncio.get_running_loop().create_future())
    one.disk.shut()
    one.disk.release()
    waiting = one.start(one.ct1((await one.verify()).instructionId))
    await asyncio.sleep(0)
    await one.settle()
    assert (await operator.get(f"/transfers/{ORDER}"))["transfer"]["state"] == "RESERVED"
    waiting.cancel()


async def test_the_last_messages_are_listed_masked_whatever_they_belong_to(
    operator: Operator,
) -> None:
    ((root, fields),) = json.loads(golden("CT1-by-cci")).items()
    odd = json.dumps({root: fields | {"responseCode": ["05"], "reasonCode": 5}}).encode()
    at_us = operator.world.clock.now_us()
    log = operator.wire_log
    log.write(at_us, ORDER, "CT1", "0970", "CCE", odd)
    log.write(
        at_us + 2_500, "", "Reject", "CCE", "", b"", status=400, took_us=2_500, note="root: x"
    )
    order, rejected = (await operator.get("/wire"))["messages"]
    assert (order["subject"], order["message"], order["from"]) == (ORDER, "CT1", "0970")
    assert (order["response_code"], order["reason_code"]) == (None, None)
    for secret in ("97100220030040050213", "00000101"):
        assert secret not in json.dumps(order)
    assert (rejected["subject"], rejected["note"], rejected["body"]) == (None, "root: x", None)
    assert (rejected["http_status"], rejected["ms"], rejected["to"]) == (400, 2.5, "")
    assert (await operator.get("/wire", participant="0970", limit="1"))["messages"] == [order]
    assert (await operator.get("/wire", participant="9999"))["messages"] == []
    assert (await operator.get("/wire", participant="", limit="1"))["messages"] == [rejected]


# What is stuck.


async def test_what_is_stuck_is_listed_by_kind_with_its_age(operator: Operator) -> None:
    one = operator.world
    one.peers.acknowledge = lambda _: Delivery(acknowledged=False)
    await one.pay(av_trace="000500", trace="000500")
    expired = await expire_one(one)
    one.peers.on_ct2.append(asyncio.get_running_loop().create_future())
    waiting = one.start(one.ct1((await one.verify(trace="000501")).instructionId))
    await one.advance(2)
    await one.house.sessions.announce("AVISO", ["0988"])
    await one.advance(1)
    stuck = await operator.get("/stuck")
    assert [row["instruction_id"] for row in stuck["expired_uncancelled"]] == [expired]
    assert [(row["message"], row["participant"]) for row in stuck["ct5_owed"]] == [("CT5", "0971")]
    assert stuck["ct5_owed"][0]["age_s"] == 11.0
    assert stuck["ct5_owed"][0]["attempts"] > 1
    assert [row["message"] for row in stuck["notices_owed"]] == ["SNM981"]
    assert [row["age_s"] for row in stuck["in_flight"]] == [3.0]
    assert (stuck["parked"], stuck["disputed"]) == ([], [])
    waiting.cancel()


async def test_a_disputed_transfer_is_shown_to_a_person(operator: Operator) -> None:
    one = operator.world
    one.peers.acknowledge = lambda _: Delivery(acknowledged=True, refused=True)
    expired = await expire_one(one)
    stuck = await operator.get("/stuck")
    assert [row["instruction_id"] for row in stuck["disputed"]] == [expired]


@pytest.mark.parametrize("by", ["owed_id", "participant"])
async def test_a_parked_message_is_sent_again_by_hand(operator: Operator, by: str) -> None:
    one = operator.world
    one.peers.acknowledge = lambda _: Delivery(acknowledged=False)
    await one.pay()
    await one.settle()
    owed_id = f"{ORDER}:CT5"
    one.house.outbox.close()  # As after 24 hours: nothing in memory tries it any more.
    await one.ledger.apply((StrikeOff(owed_ids=(owed_id,), parked=True, at_ms=1),))
    one.house.outbox = one.house._make_outbox()
    one.house.outbox.start()
    renewed = Operator(one, operator.wire_log)
    assert [row["owed_id"] for row in (await renewed.get("/stuck"))["parked"]] == [owed_id]
    one.peers.acknowledge = lambda _: Delivery(acknowledged=True)
    await one.advance(3_600)
    assert one.state(ORDER) == "POSTED"
    wanted = {"owed_id": owed_id} if by == "owed_id" else {"participant": "0971"}
    assert await renewed.call("POST", "/stuck/resend", wanted) == (200, {"resent": 1})
    await one.settle()
    assert one.state(ORDER) == "CONFIRMED"
    assert (await renewed.get("/stuck"))["parked"] == []
    status, _ = await renewed.call("POST", "/stuck/resend", {"owed_id": owed_id})
    assert status == 404


async def test_notices_are_sent_to_those_named_or_to_all(operator: Operator) -> None:
    assert await operator.call("POST", "/notices/981", {"text": "AVISO"}) == (200, {"sent": 4})
    named = {"text": "AVISO", "participants": ["0988"]}
    assert await operator.call("POST", "/notices/981", named) == (200, {"sent": 1})
    status, document = await operator.call("POST", "/notices/971", {"status": "SUSPENDED"})
    assert (status, document["changed"]) == (200, True)
    assert (await operator.call("POST", "/notices/971", {"status": "SUSPENDED"}))[1] == {
        "status": "SUSPENDED",
        "changed": False,
    }
    await operator.world.settle()
    told = [owed.message for owed in operator.world.peers.delivered]
    assert (told.count("SNM981"), told.count("SNM971")) == (5, 4)


# Reads stay short however much there is.


@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.reserved(),
        lambda store: store.in_states(("EXPIRED", "DISPUTED")),
        lambda store: store.owed_to("0971", limit=10),
        lambda store: store.transfer_by_key("0970:x"),
        lambda store: store.is_issued("x"),
        lambda store: store.latest_verification("x"),
        lambda store: store.entries("x"),
    ],
)
async def test_reads_use_an_index(operator: Operator, call: Any) -> None:
    connection = operator.world.store._connection
    texts: list[str] = []
    connection.set_trace_callback(texts.append)
    call(operator.world.store)
    connection.set_trace_callback(None)
    for text in texts:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}")]
        # Over a view it is the few rows that the searches below it have found.
        few = ("SCAN CONSTANT ROW", "SCAN entries")
        scans = [step for step in plan if step.startswith("SCAN") and step not in few]
        assert not scans, (text, plan)
