"""A coop's way through its network: sessions, merged answers, registrations."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from participants.core.candidates import Candidate, candidates
from participants.links.network_http.client import NetworkClient
from runtime.http_client import HttpAnswer
from scheme.errors import MalformedMessage, NoAnswer
from scheme.messages import ET1, ET2
from scheme.messages.proxy import Alias, ProxyLookup, ProxyRegistration
from scheme.wire.tin_json import encode
from tests.support.fleet_world import ScriptedHouse, golden

LOOKUP = ProxyLookup(
    sender="0970", created="", lookup_id="1", aliases=(Alias(value="+51900000202"),)
)
REGISTRATION = ProxyRegistration(
    sender="0970",
    business_message_id="B",
    msg_id="M",
    created="",
    action="NEWR",
    alias=Alias(value="+51900000101"),
    cci="97000110020030040142",
    registration_id="R",
)


class Network:
    """Answers calls in turn; sessions it always opens."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, Any]] = []
        self.calls: list[tuple[str, dict[str, Any], str]] = []
        self.opened = 0

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> HttpAnswer:
        call = url.rpartition("/")[2]
        self.calls.append((call, msgspec.json.decode(body), headers.get("Authorization", "")))
        if call == "session":
            self.opened += 1
            return HttpAnswer(200, b'{"token":"t-%d"}' % self.opened)
        status, document = self.answers.pop(0)
        return HttpAnswer(status, msgspec.json.encode(document))

    async def close(self) -> None:
        pass


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def house() -> ScriptedHouse:
    return ScriptedHouse()


@pytest.fixture
def client(network: Network, house: ScriptedHouse) -> NetworkClient:
    numbers = itertools.count(1)
    return NetworkClient(
        "0970", "key", "http://network/", network, house, lambda: f"id-{next(numbers)}"
    )


def found(*entities: tuple[str, str], partial: bool = False) -> dict[str, Any]:
    named = [{"code": code, "directory": directory, "route": ""} for code, directory in entities]
    results = [{"phone": "+51900000202", "entities": named}]
    return {"requestId": "1", "partial": partial, "results": results}


async def test_a_merged_answer_names_entities_and_wallets_as_the_directory_does(
    client: NetworkClient, network: Network
) -> None:
    entities = (("0971", "0903"), ("0988", "0903"), ("0901", "0901"), ("0902", "0902"))
    network.answers = [(200, found(*entities, partial=True))]
    answer = await client.look_up(LOOKUP)
    assert candidates(answer, "900000202") == tuple(Candidate(*one) for one in entities)
    assert [call for call, _, _ in network.calls] == ["session", "lookups"]
    _, asked, authorization = network.calls[1]
    assert asked["phones"] == ["+51900000202"]
    assert authorization == "Bearer t-1"


async def test_a_phone_that_nobody_knows_has_no_candidates(
    client: NetworkClient, network: Network
) -> None:
    network.answers = [(200, found())]
    answer = await client.look_up(LOOKUP)
    assert answer.status == "ACTC"
    assert candidates(answer, "900000202") == ()


async def test_a_session_is_kept_and_renewed_when_it_has_ended(
    client: NetworkClient, network: Network
) -> None:
    network.answers = [(200, found()), (401, {}), (200, found())]
    await client.look_up(LOOKUP)
    await client.look_up(LOOKUP)
    calls = [call for call, _, _ in network.calls]
    assert calls == ["session", "lookups", "lookups", "session", "lookups"]
    assert network.calls[2][1] == network.calls[4][1], "the same call, under the same id"
    assert network.calls[4][2] == "Bearer t-2"


async def test_a_used_up_quota_refuses_the_lookup(client: NetworkClient, network: Network) -> None:
    network.answers = [(429, {})]
    answer = await client.look_up(LOOKUP)
    assert (answer.status, answer.reason) == ("RJCT", "FF07")


@pytest.mark.parametrize(("status", "reason"), [("ACTC", None), ("RJCT", "IREG")])
async def test_a_registration_has_the_network_s_outcome(
    client: NetworkClient, network: Network, status: str, reason: str | None
) -> None:
    said = {"status": status, "registrationId": "R1"} | ({"reason": reason} if reason else {})
    network.answers = [(200, said)]
    done = await client.register(REGISTRATION)
    assert (done.status, done.reason, done.registration_id) == (status, reason, "R1")
    asked = network.calls[1][1]
    assert (asked["action"], asked["cci"]) == ("NEWR", "97000110020030040142")


async def test_what_is_pending_or_no_answer_is_silence(
    client: NetworkClient, network: Network
) -> None:
    network.answers = [(200, {"status": "PENDING", "registrationId": "R1"}), (503, {}), (200, [])]
    with pytest.raises(NoAnswer, match="PENDING"):
        await client.register(REGISTRATION)
    with pytest.raises(NoAnswer, match="503"):
        await client.look_up(LOOKUP)
    with pytest.raises(MalformedMessage):
        await client.look_up(LOOKUP)


async def test_messages_of_the_wire_go_the_old_way(
    client: NetworkClient, network: Network, house: ScriptedHouse
) -> None:
    house.will("ET1", lambda _: golden("ET2", ET2))
    asked = golden("ET1", ET1)
    assert await client.ask(asked, ET2) == golden("ET2", ET2)
    assert client.encode(asked) == encode(asked)
    await client.send("ET1", encode(asked), "000001", ET2)
    assert house.names() == ["ET1", "ET1"]
    assert network.calls == []
