"""The operator's routes of the agent lane, against their document."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from runtime.clock import ManualClock
from runtime.files import load_profile
from runtime.http_server import Request, Response
from runtime.mqtt_keys import MqttKeys
from scheme import cci
from scheme.network import AgentGroup, Fleet, Participant
from scheme.wire.agent_digest import sealed
from scheme.wire.agent_payload import Hello, Kind, Operation, Operations, encode
from scheme.wire.iso8583_spec import Fields
from switch.agent_desk import AgentDesk
from switch.agent_store import AgentStore
from switch.edges.agents_api import Account, AgentsApi
from switch.mqtt_users import MqttUsers
from switch.routes import OperatorEdge
from tests.contract.test_openapi import fits
from tests.support.switch_world import START, quiet

_HOST = {"Host": "127.0.0.1:7081"}
DEVICE, PHONE, LONELY = "0992-0001-1", "900000101", "900000202"
ACCOUNT, SECOND = (cci.compose(one, "001", "000000000042") for one in ("971", "002"))
_INSTITUTION = Participant(
    code="0992", name="RED DE AGENTES", kind="acquirer", lane="mqtt", simulated=False
)


class Link:
    """A connection to the broker that stands."""

    view: Mapping[str, Any] = {
        "connected": True,
        "waiting_in": 0,
        "waiting_out": 0,
        "dropped_in": 0,
        "dropped_out": 0,
    }


class Operator:
    """Calls the routes over a desk that nobody answers."""

    def __init__(self, desk: AgentDesk, users: MqttUsers, keys: MqttKeys) -> None:
        self.desk = desk
        self.users = users
        self._keys = keys
        api = AgentsApi(
            desk,
            Link(),
            users=users,
            accounts_of=_accounts,
            member_of=keys.member_of,
            entities=("0002", "0971", "0988"),
        )
        self._edge = OperatorEdge(api.routes(), hosts=frozenset())

    async def get(self, target: str) -> Response:
        path, _, query = target.partition("?")
        pairs = dict(part.split("=", 1) for part in query.split("&") if part)
        return await self._edge.handle(Request("GET", path, pairs, _HOST, b"", "127.0.0.1"))

    async def post(self, path: str, document: object) -> Response:
        headers = {**_HOST, "Content-Type": "application/json"}
        body = json.dumps(document).encode()
        return await self._edge.handle(Request("POST", path, {}, headers, body, "127.0.0.1"))

    async def say(self, *operations: Operation) -> None:
        """Have a terminal say operations; the second one's MAC is wrong."""
        key = self._keys.device_key(DEVICE)
        first, *rest = operations
        await self.desk.receive(DEVICE, encode(Hello(1, 1, 1, int(START.timestamp()))))
        said = (sealed(key, DEVICE, first), *rest)
        await self.desk.receive(DEVICE, encode(Operations(1, said)))


def _accounts(phone: str, entity: str | None) -> list[Account]:
    known = {PHONE: [Account("0971", ACCOUNT), Account("0002", SECOND)]}
    known[LONELY] = [Account("0971", ACCOUNT), Account("0971", ACCOUNT)]
    return [one for one in known.get(phone, ()) if entity in (None, one.entity)]


async def _unanswered(_: Participant, __: Fields) -> Fields | None:
    return None


@asynccontextmanager
async def an_operator(home: Path, *, members_max: int = 5) -> AsyncIterator[Operator]:
    tasks: list[asyncio.Task[Any]] = []
    keys = MqttKeys.open(home)
    failures: list[BaseException] = []
    with quiet():
        store = AgentStore.open(str(home / "agents.db"), on_failure=failures.append)
        desk = AgentDesk(
            handle=_unanswered,
            store=store,
            fleet=Fleet(participant=(_INSTITUTION,), agents=(AgentGroup("0992", 2, 2),)),
            profile=load_profile("peru"),
            clock=ManualClock(START),
            keys=keys.device_key,
            send=lambda _, __: None,
            spawn=lambda work: tasks.append(asyncio.ensure_future(work)),
        )
        await desk.start()
        try:
            yield Operator(desk, MqttUsers(home, members_max=members_max), keys)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await store.drain()
            store.close()
    assert not failures


async def test_terminals_and_what_they_did_fit_their_schemas(tmp_path: Path) -> None:
    at = int(START.timestamp())
    operation = Operation(1, bytes(8), Kind.CASH_IN, 2550, 0, ACCOUNT, "", at, False)
    async with an_operator(tmp_path) as operator:
        await operator.say(operation, Operation(2, bytes(8), Kind.VOID, 0, 0, "", "", 0, False))
        page = fits(await operator.get("/agents?limit=3"), ("GET", "/agents"), 200)
        names = [one["device"] for one in page["devices"]]
        assert names == [DEVICE, "0992-0001-2", "0992-0002-1"]
        rest = await operator.get(f"/agents?after={page['next']}")
        last = fits(rest, ("GET", "/agents"), 200)
        assert ([one["device"] for one in last["devices"]], last["next"]) == (["0992-0002-2"], None)
        one = fits(await operator.get(f"/agents/{DEVICE}"), ("GET", "/agents/{device}"), 200)
        assert (one["session"], one["expected"], one["under_way"]) == (1, 2, 1)
        listed = ("GET", "/agents/{device}/operations")
        await operator.desk._store.drain()
        done = fits(await operator.get(f"/agents/{DEVICE}/operations?limit=1"), listed, 200)
        (row,) = done["operations"]
        assert (row["seq"], row["kind"], row["code"]) == (1, "CASH_IN", "")
        assert ACCOUNT not in row["account"]
        after = await operator.get(f"/agents/{DEVICE}/operations?after={done['next']}")
        assert fits(after, listed, 200) == {"operations": [], "next": None}
        found = fits(await operator.get("/agents/findings"), ("GET", "/agents/findings"), 200)
        assert [(one["seq"], one["code"]) for one in found["findings"]] == [(2, "63")]
        tills = fits(await operator.get("/agents/tills"), ("GET", "/agents/tills"), 200)["tills"]
        assert {one["agent"] for one in tills} == {"0992-0001", "0992-0002"}


@pytest.mark.parametrize(
    ("operation", "target", "status"),
    [
        ("/agents", "/agents?limit=x", 400),
        ("/agents", "/agents?state=online", 400),
        ("/agents/{device}", "/agents/0992-0009-1", 404),
        ("/agents/{device}", "/agents/0992-1-1", 404),
        ("/agents/{device}/operations", "/agents/0992-0009-1/operations", 404),
        ("/agents/{device}/operations", f"/agents/{DEVICE}/operations?after=-1", 400),
        ("/agents/findings", "/agents/findings?limit=1", 400),
    ],
)
async def test_what_cannot_be_asked_is_refused(
    tmp_path: Path, operation: str, target: str, status: int
) -> None:
    async with an_operator(tmp_path) as operator:
        assert fits(await operator.get(target), ("GET", operation), status)["field"]


async def test_a_terminal_is_revoked_at_desk_and_broker_and_taken_again(tmp_path: Path) -> None:
    async with an_operator(tmp_path) as operator:
        for action, is_revoked in (("revoke", True), ("revoke", True), ("restore", False)):
            done = await operator.post(f"/agents/{DEVICE}/{action}", {})
            told = fits(done, ("POST", f"/agents/{{device}}/{action}"), 200)
            assert told == {"device": DEVICE, "revoked": is_revoked}
            shown = json.loads((await operator.get(f"/agents/{DEVICE}")).body)
            assert bool(shown["revoked_ms"]) is is_revoked
            assert MqttUsers(tmp_path).is_revoked(DEVICE) is is_revoked
        path = ("POST", "/agents/{device}/revoke")
        fits(await operator.post("/agents/0992-0009-1/revoke", {}), path, 404)
        fits(await operator.post(f"/agents/{DEVICE}/revoke", {"why": "lost"}), path, 400)
        assert (tmp_path / "mqtt" / "revoked").stat().st_mode & 0o777 == 0o600


async def test_members_are_enrolled_by_phone_or_account(tmp_path: Path) -> None:
    path = ("POST", "/notices/members")
    async with an_operator(tmp_path, members_max=2) as operator:
        by_account = fits(await operator.post(path[1], {"cci": ACCOUNT}), path, 200)
        member = by_account["member"]
        assert by_account["topic"] == f"cq1/m/{member}/n"
        assert by_account["username"] == f"m-{member}"
        by_phone = await operator.post(path[1], {"phone": PHONE, "entity": "0971"})
        assert fits(by_phone, path, 200) == by_account
        # Two entries of one account are no choice.
        assert fits(await operator.post(path[1], {"phone": LONELY}), path, 200) == by_account
        several = fits(await operator.post(path[1], {"phone": PHONE}), path, 409)
        assert (several["field"], several["hint"]) == ("entity", "one of 0002, 0971")
        fits(await operator.post(path[1], {"cci": SECOND}), path, 200)
        third = cci.compose("988", "001", "000000000042")
        fits(await operator.post(path[1], {"cci": third}), path, 409)
        assert len(MqttUsers(tmp_path).members) == 2
        assert (tmp_path / "mqtt" / "members").read_text() == "".join(
            f"{one}\n" for one in sorted(operator.users.members)
        )


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 400, "phone"),
        ({"phone": "12"}, 400, "phone"),
        ({"phone": "900000303"}, 404, "phone"),
        ({"phone": PHONE, "entity": "0988"}, 404, "phone"),
        ({"cci": "1" * 20}, 400, "cci"),
        ({"cci": ACCOUNT, "entity": "0971"}, 400, "cci"),
        ({"cci": cci.compose("111", "001", "000000000042")}, 404, "cci"),
        ({"cci": "0" * 20}, 404, "cci"),
        ({"cci": "\u0661" * 20}, 400, "cci"),
        ({"name": "x"}, 400, "body"),
    ],
)
async def test_a_member_that_cannot_be_enrolled_is_refused(
    tmp_path: Path, body: dict[str, Any], status: int, field: str
) -> None:
    path = ("POST", "/notices/members")
    async with an_operator(tmp_path) as operator:
        refused = fits(await operator.post(path[1], body), path, status)
        assert refused["field"] == field
        assert not operator.users.members
