"""The coops' network over real sockets and a real directory file (docs/wire/network.md)."""

import json
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from runtime.clock import SystemClock
from runtime.pki import Pki, client_context, open_pki, server_context
from scheme.errors import NoAnswer
from scheme.limits import NETWORK_REQUESTS_KEPT_MAX, NETWORK_SESSIONS_PER_COOP_MAX
from scheme.wire import jws
from switch.core.network_sessions import MemberKey
from tests.support.network_wire import Network, Served, a_request_id, served

PAGE = Path(__file__).resolve().parents[2] / "docs" / "wire" / "network.md"
CCI = "97000110020030040142"


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path) as made:
        await made.network.open()
        yield made


@pytest.fixture
def network(place: Served) -> Network:
    return place.network


def a_registration(**changes: Any) -> dict[str, Any]:
    said = {
        "requestId": a_request_id(9000),
        "action": "NEWR",
        "phone": "+51900000101",
        "cci": CCI,
        "displayName": "SOCIA UNO D.",
        "holderType": "N",
    }
    return said | changes


def examples() -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Return the page's calls: path, question and answer."""
    text = PAGE.read_text(encoding="utf-8")
    found = re.findall(
        r"<!-- call (\w+) -->\s+```json\n(.*?)```\s+```json\n(.*?)```", text, re.DOTALL
    )
    return [(call, json.loads(asked), json.loads(said)) for call, asked, said in found]


async def test_the_examples_of_the_page_hold(tmp_path: Path) -> None:
    async with served(tmp_path) as place:
        network = place.network
        shown = examples()
        assert [call for call, _, _ in shown] == ["session", "aliases", "lookups"]
        for call, asked, expected in shown:
            said = await network.call(call, asked)
            assert said.status == 200
            got = said.document
            if call == "session":
                network.token = got["token"]
                assert set(got) == set(expected)
                continue
            if call == "aliases":
                assert re.fullmatch(r"R\d{14}0970\d{6}", got["registrationId"])
                got |= {"registrationId": expected["registrationId"]}
            assert got == expected


async def test_an_alias_of_two_coops_is_offered_at_both(place: Served) -> None:
    question = a_registration(phone="+51900000202")
    assert (await place.network.call("aliases", question)).document["status"] == "ACTC"
    lookup = {"requestId": a_request_id(1), "phones": ["+51900000202"]}
    (result,) = (await place.network.call("lookups", lookup)).document["results"]
    inside = [one["code"] for one in result["entities"] if one["route"] == "network"]
    assert inside == ["0970", "0971"]


async def test_a_national_directory_that_is_down_makes_the_answer_partial(place: Served) -> None:
    place.national.failure = NoAnswer("down")
    lookup = {"requestId": a_request_id(1), "phones": ["+51900000202"]}
    said = (await place.network.call("lookups", lookup)).document
    assert said["partial"]
    codes = [one["code"] for one in said["results"][0]["entities"]]
    assert codes == ["0971"]


async def test_a_registration_repeated_gets_the_same_bytes_also_after_a_restart(
    tmp_path: Path,
) -> None:
    async with served(tmp_path) as place:
        await place.network.open()
        first = await place.network.call("aliases", a_registration())
        again = await place.network.call("aliases", a_registration())
        assert first.body == again.body
        other = await place.network.call("aliases", a_registration(action="DEAC"))
        assert other.fault == (409, "requestId")
    async with served(tmp_path) as place:
        await place.network.open()
        assert (await place.network.call("aliases", a_registration())).body == first.body
        renewed = a_registration(requestId=a_request_id(9001))
        refused = (await place.network.call("aliases", renewed)).document
        assert (refused["status"], refused["reason"]) == ("RJCT", "IREG")
        lookup = {"requestId": a_request_id(9000), "phones": ["+51900000101"]}
        assert (await place.network.call("lookups", lookup)).fault == (409, "requestId")


async def test_so_many_answers_are_kept_for_a_coop_and_the_oldest_go(tmp_path: Path) -> None:
    async with served(tmp_path) as place:
        for number in range(1, NETWORK_REQUESTS_KEPT_MAX + 65):
            await place.index.keep_answer("0970", a_request_id(number), b"d", b"a")
        assert place.index.answered("0970", a_request_id(64)) is None
        assert place.index.answered("0970", a_request_id(65)) is not None


async def test_a_message_is_answered_in_the_name_of_the_session_s_coop(place: Served) -> None:
    network = place.network
    first = await network.message("ct1", b"{}", a_request_id(500))
    again = await network.message("ct1", b"{}", a_request_id(500))
    assert first.body == again.body
    assert place.messages.came == [("ct1", "0970")]
    assert (await network.message("ct1", b"{ }", a_request_id(500))).fault[0] == 409
    assert (await network.message("ct1", b"{}")).document["times"] == 2


async def test_what_had_no_good_answer_may_be_asked_again_under_its_id(place: Served) -> None:
    place.messages.status = 503
    await place.network.message("ct1", b"{}", a_request_id(500))
    await place.network.message("ct1", b"{}", a_request_id(500))
    assert len(place.messages.came) == 2


async def test_a_session_that_expires_between_query_and_order_is_said_and_renewed(
    place: Served,
) -> None:
    network = place.network
    assert (await network.message("AV1", b"{}")).status == 200
    await network.clock.advance(timedelta(seconds=900))
    said = await network.message("CT1", b"{}", a_request_id(500))
    assert said.fault == (401, "Authorization")
    assert said.document["error"] == "the session has expired"
    await network.open()
    assert (await network.message("CT1", b"{}", a_request_id(500))).status == 200


async def test_a_coop_with_too_many_sessions_loses_its_oldest(network: Network) -> None:
    oldest = network.token
    for _ in range(NETWORK_SESSIONS_PER_COOP_MAX):
        await network.open()
    assert (await network.message("ET1", b"{}")).status == 200
    network.token = oldest
    assert (await network.message("ET1", b"{}")).fault == (401, "Authorization")


async def test_only_a_coop_of_the_network_gets_a_session(network: Network) -> None:
    assert (await network.open("0988")).fault == (403, "participant")
    assert (await network.open("0989")).fault == (403, "participant")


@pytest.mark.parametrize("header", ["", "token-1", "Bearer token-99", "Bearer "])
async def test_without_a_session_nothing_is_answered(network: Network, header: str) -> None:
    network.token = ""
    for path in ("aliases", "lookups", "messages/CT1"):
        assert (await network.call(path, {}, {"Authorization": header})).fault == (
            401,
            "Authorization",
        )


@pytest.mark.parametrize(
    ("call", "content", "field"),
    [
        ("aliases", b"nonsense", "body"),
        ("aliases", b"\xff", "body"),
        ("aliases", a_registration(action="NEW"), "action"),
        ("aliases", a_registration(phone="900000101"), "phone"),
        ("aliases", a_registration(requestId="1"), "requestId"),
        ("aliases", a_registration(more="1"), "more"),
        ("aliases", {"requestId": a_request_id(1)}, "action"),
        ("aliases", a_registration(displayName="N" * 141), "displayName"),
        ("aliases", a_registration(holderType="X"), "holderType"),
        ("lookups", {"requestId": a_request_id(1), "phones": []}, "phones"),
        ("lookups", {"requestId": a_request_id(1), "phones": ["+51900000101"] * 101}, "phones"),
        ("lookups", {"requestId": a_request_id(1), "phones": ["+51900000101", 5]}, "phones[1]"),
        ("lookups", {"requestId": a_request_id(1), "phones": ["x"]}, "phones[0]"),
        ("session", {"requestId": a_request_id(1), "participant": "0970"}, "keyId"),
        ("session", {"requestId": "x", "participant": "0970", "keyId": "k"}, "requestId"),
        (
            "session",
            {"requestId": a_request_id(1), "participant": "0970", "keyId": "k" * 65},
            "keyId",
        ),
    ],
)
async def test_bad_input_names_the_field(
    network: Network, call: str, content: object, field: str
) -> None:
    assert (await network.call(call, content)).fault == (400, field)


async def test_a_message_needs_an_id_of_its_own(network: Network) -> None:
    said = await network.call("messages/CT1", b"{}")
    assert said.fault == (400, "Network-Request-Id")


async def test_used_up_quotas_are_said_and_not_remembered(place: Served) -> None:
    network = place.network
    for start in (1000, 2000):
        phones = [f"+5190000{start + n}" for n in range(20)]
        await network.call("lookups", {"requestId": network.new_id(), "phones": phones})
    question = {"requestId": a_request_id(700), "phones": ["+51900000202"]}
    assert (await network.call("lookups", question)).fault == (429, "phones")
    await network.clock.advance(timedelta(minutes=1))
    assert (await network.call("lookups", question)).status == 200


async def test_other_paths_methods_hosts_and_types_are_turned_away(network: Network) -> None:
    assert (await network.call("other", {})).fault == (404, "path")
    assert (await network.call("session", {}, method="GET")).fault == (405, "method")
    assert (await network.call("session", {}, {"Host": "evil.example"})).fault == (403, "Host")
    assert (await network.call("session", {}, {"Content-Type": "text/plain"})).fault == (
        415,
        "Content-Type",
    )


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    # Valid by the machine's clock, which is what TLS looks at.
    names = ["0970", "0971", "switch"]
    return open_pki(tmp_path_factory.mktemp("pki"), names, SystemClock().now())


async def test_over_tls_a_session_is_the_certificate_s_and_its_token_works_with_no_other(
    keys: Pki, tmp_path: Path
) -> None:
    identities = keys.identities
    tls = server_context(identities["switch"], clients=[keys.ca_path])
    ids = {code: jws.thumbprint(identities[code].certificate) for code in ("0970", "0971")}
    members = {
        code: MemberKey(identities[code].certificate.public_bytes(Encoding.DER), key_id)
        for code, key_id in ids.items()
    }
    own, other = (client_context([keys.ca_path], identities[code]) for code in ("0970", "0971"))
    nobody = client_context([keys.ca_path])
    async with served(tmp_path, tls=tls, keys=members) as place:
        network = place.network
        assert (await network.open(key_id=ids["0970"], tls=nobody)).fault == (401, "certificate")
        assert (await network.open(key_id=ids["0970"], tls=other)).fault == (401, "certificate")
        assert (await network.open(key_id=ids["0971"], tls=own)).fault == (401, "keyId")
        assert (await network.open(key_id=ids["0970"], tls=own)).status == 200
        lookup = {"requestId": a_request_id(1), "phones": ["+51900000202"]}
        assert (await network.call("lookups", lookup, tls=own)).status == 200
        stolen = await network.call("lookups", lookup, tls=other)
        assert stolen.fault == (401, "Authorization")
