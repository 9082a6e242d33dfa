"""The table of the clearing house's answers, row by row, over real sockets.

docs/wire/tin-messages.md#answers-of-the-clearing-house. After every row positions are exact.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runtime.http_server import Drop, Response
from scheme.messages import CT1
from scheme.wire.tin_json import decode
from tests.support.switch_wire import Answered, Wire, accept, wired
from tests.support.switch_world import PREFUND, golden

REFERENCE = "2026011510153009708191000123"


@pytest.fixture
async def wire(tmp_path: Path) -> AsyncIterator[Wire]:
    async with wired(tmp_path) as made:
        yield made
        await made.world.settle()
        await made.world.audited()


def document(name: str, **changes: Any) -> bytes:
    """Return an example with some fields changed; ``...`` takes a field away."""
    ((root, fields),) = json.loads(golden(name)).items()
    fields = {k: v for k, v in (fields | changes).items() if v is not ...}
    return json.dumps({root: fields}).encode()


def av1(**changes: Any) -> bytes:
    return document("AV1-by-cci", **changes)


def ct1(**changes: Any) -> bytes:
    return document("CT1-by-cci", **changes)


async def verified(wire: Wire) -> None:
    assert (await wire.post("AV1", av1())).code == ("00", None)


def nothing_moved(wire: Wire) -> None:
    assert wire.world.available("0970") == wire.world.balance("0970") == PREFUND
    assert wire.world.balance("0971") == PREFUND


async def test_the_examples_of_the_wire_cross_it(wire: Wire) -> None:
    av4 = await wire.post("AV1", golden("AV1-by-cci"))
    expected = json.loads(golden("AV4-by-cci"))["AV4"]
    of_the_creditor = ("creditorAddressLine", "creditorMobileNumber")
    assert av4.status == 200
    assert {k: v for k, v in av4.content.items() if k not in of_the_creditor} == {
        k: v for k, v in expected.items() if k not in of_the_creditor
    }
    ct4 = await wire.post("CT1", golden("CT1-by-cci"))
    expected = json.loads(golden("CT4"))["CT4"] | {"responseTime": "101500"}
    assert ct4.content == expected
    await wire.until(lambda: wire.creditor.count("CT5") == 1)
    sent = dict(wire.creditor.taken)
    assert json.loads(sent["AV2"]) == json.loads(golden("AV2"))
    assert json.loads(sent["CT2"]) == json.loads(golden("CT2"))
    assert json.loads(sent["CT5"])["CT5"] == json.loads(golden("CT5"))["CT5"] | {
        "responseTime": "101500"
    }
    assert wire.world.balance("0970") == PREFUND - 12_580
    assert wire.world.balance("0971") == PREFUND + 12_580


# Not a message.


NOT_MESSAGES = (
    b"",
    b"{",
    b"hello",
    b"[]",
    b"null",
    b'"AV1"',
    b'{"AV9":{}}',
    b'{"AV1":[]}',
    b'{"AV1":{}, "CT1":{}}',
    b"\xff\xfe\x00",
    b'{"CT1":' + b"[" * 20_000,
)


@pytest.mark.parametrize("name", ["AV1", "CT1", "PSR1", "ET1", "SignOn1", "SignOff1"])
async def test_what_is_no_message_is_rejected(wire: Wire, name: str) -> None:
    for body in NOT_MESSAGES:
        got = await wire.post(name, body)
        assert (got.status, got.root, got.code) == (400, "Reject", ("05", "FF02")), body
        assert got.explain.startswith("root: ")


async def test_a_message_on_the_path_of_another_is_rejected(wire: Wire) -> None:
    got = await wire.post("AV1", ct1())
    assert (got.status, got.root, got.code) == (400, "Reject", ("05", "FF02"))


async def test_a_body_over_the_limit_is_413(wire: Wire) -> None:
    got = await wire.post("CT1", b"{" + b" " * 1_048_576)
    assert got.status == 413
    assert got.explain.startswith("body: the body is longer than ")
    nothing_moved(wire)


async def test_a_slow_client_is_408(tmp_path: Path) -> None:
    async with wired(tmp_path, body_s_max=0.05) as wire:
        reader, writer = await asyncio.open_connection("127.0.0.1", wire.port)
        writer.write(b"POST /ssv2/payment-api/v3.5.0/CT1 HTTP/1.1\r\nHost: x\r\n")
        writer.write(b"Content-Length: 100\r\n\r\n{")
        answer = await reader.read(1_000)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"\r\nX-Chasqui-Error: body: the body took too long to arrive\r\n" in answer
        writer.close()
        await writer.wait_closed()


# Readable, but one field is wrong: (message, changes, reason, field named).

FIELD_ROWS: list[tuple[str, dict[str, Any], str, str]] = [
    ("AV1", {"trace": ...}, "FF02", "trace"),
    ("AV1", {"trace": None}, "FF02", "trace"),
    ("AV1", {"trace": ""}, "FF02", "trace"),
    ("AV1", {"trace": 123}, "FF02", "trace"),
    ("AV1", {"trace": "00012x"}, "FF02", "trace"),
    ("AV1", {"trace": "0001234"}, "FF02", "trace"),
    ("AV1", {"creditorCCI": "9710022003004005021"}, "FF02", "creditorCCI"),
    ("AV1", {"creditorCCI": "9710022003004005021x"}, "FF02", "creditorCCI"),
    ("AV1", {"creditorCCI": None}, "FF02", "creditorCCI"),
    ("AV1", {"currency": "999"}, "FF02", "currency"),
    ("AV1", {"channel": "52", "creditorCCI": "9" * 20}, "FF02", "creditorMobileNumber"),
    ("AV1", {"debtorName": "X" * 141}, "FF02", "debtorName"),
    ("AV1", {"creationDate": "20261399"}, "FF02", "creationDate"),
    ("AV1", {"creationTime": "250000"}, "FF02", "creationTime"),
    ("AV1", {"transactionType": "325"}, "FF02", "creditorCCI"),
    ("CT1", {"amount": -1}, "FF02", "amount"),
    ("CT1", {"amount": 1.5}, "FF02", "amount"),
    ("CT1", {"amount": "12.50"}, "FF02", "amount"),
    ("CT1", {"amount": True}, "FF02", "amount"),
    ("CT1", {"amount": 10**12}, "FF02", "amount"),
    ("CT1", {"amount": 10**40}, "FF02", "amount"),
    ("CT1", {"amount": None}, "FF02", "amount"),
    ("CT1", {"amount": 0}, "AM01", "amount"),
    ("CT1", {"feeAmount": -1}, "FF02", "feeAmount"),
    ("CT1", {"creditorCCI": "971" + "9" * 17}, "FF02", "creditorCCI"),
    ("CT1", {"debtorCCI": "1"}, "FF02", "debtorCCI"),
    ("CT1", {"messageTypeId": "0400"}, "FF02", "messageTypeId"),
    ("CT1", {"applicationCriteria": "Z"}, "FF02", "applicationCriteria"),
    ("CT1", {"debtorName": None}, "BE08", "debtorName"),
    ("CT1", {"referenceTransactionId": ...}, "BE15", "referenceTransactionId"),
    ("CT1", {"referenceTransactionId": ""}, "BE15", "referenceTransactionId"),
    ("PSR1", {"instructionId": "X" * 36}, "FF02", "instructionId"),
    ("ET1", {"creationDate": "2026"}, "FF02", "creationDate"),
    ("SignOn1", {"trace": None}, "FF02", "trace"),
    ("SignOff1", {"participantCode": "97"}, "FF02", "participantCode"),
]
EXAMPLES = {"AV1": "AV1-by-cci", "CT1": "CT1-by-cci"}
ANSWERS = {
    "AV1": "AV4",
    "CT1": "CT4",
    "PSR1": "PSR2",
    "ET1": "ET2",
    "SignOn1": "SignOn2",
    "SignOff1": "SignOff2",
}


async def test_a_wrong_field_is_refused_in_the_messages_own_answer(wire: Wire) -> None:
    await verified(wire)
    for name, changes, reason, field in FIELD_ROWS:
        got = await wire.post(name, document(EXAMPLES.get(name, name), **changes))
        row = (name, changes)
        assert (got.status, got.root, got.code) == (200, ANSWERS[name], ("05", reason)), row
        assert got.explain.startswith(f"{field}: "), (row, got.explain)
        assert "\n" not in got.explain
    nothing_moved(wire)
    assert wire.creditor.count("CT2") == 0
    # None of it was that order's outcome: the sound order still goes through.
    assert (await wire.post("CT1", ct1())).code == ("00", None)


# Who may pay whom: what is done before, the message, reason, field named.

Arrange = Callable[[Wire], Awaitable[object]]


async def as_it_is(_: Wire) -> None:
    """Change nothing."""


async def suspended(wire: Wire) -> None:
    await wire.world.house.sessions.suspend(suspended=True)


def signed_off(code: str) -> Arrange:
    return lambda wire: wire.world.house.sessions.sign(code, on=False)


def blocked(code: str) -> Arrange:
    return lambda wire: wire.world.house.sessions.block(code, blocked=True)


async def late(wire: Wire) -> None:
    await wire.world.clock.advance(timedelta(seconds=901))


async def poor(wire: Wire) -> None:
    for position in list(wire.world.ledger._state.positions.values()):
        if position.account.owner == "0970":
            spent = msgspec.structs.replace(
                position, reserved_minor=position.balance_minor - 12_579
            )
            wire.world.ledger._state.positions[position.account] = spent


RULE_ROWS: list[tuple[Arrange, str, dict[str, Any], str, str]] = [
    (as_it_is, "AV1", {"debtorParticipantCode": "0999"}, "DNOR", "debtorParticipantCode"),
    (as_it_is, "CT1", {"debtorParticipantCode": "0999"}, "DNOR", "debtorParticipantCode"),
    (as_it_is, "AV1", {"creditorCCI": "97100220030040050114"}, "AM05", "referenceTransactionId"),
    (suspended, "AV1", {"trace": "000900"}, "FF07", "root"),
    (suspended, "CT1", {}, "FF07", "root"),
    (signed_off("0970"), "AV1", {"trace": "000900"}, "DNOR", "debtorParticipantCode"),
    (signed_off("0970"), "CT1", {}, "DNOR", "debtorParticipantCode"),
    (blocked("0970"), "AV1", {"trace": "000900"}, "DNOR", "debtorParticipantCode"),
    (blocked("0970"), "CT1", {}, "DNOR", "debtorParticipantCode"),
    (as_it_is, "CT1", {"referenceTransactionId": "7" * 28}, "BE15", "referenceTransactionId"),
    (late, "CT1", {}, "BE15", "referenceTransactionId"),
    (as_it_is, "CT1", {"debtorId": "00000102"}, "FF02", "debtorId"),
    (as_it_is, "CT1", {"debtorIdCode": "1"}, "FF02", "debtorIdCode"),
    (as_it_is, "CT1", {"creditorCCI": "97100220030040050114"}, "FF02", "creditorCCI"),
    (as_it_is, "CT1", {"creditorParticipantCode": "0988"}, "FF02", "creditorParticipantCode"),
    (as_it_is, "CT1", {"currency": "840"}, "FF02", "currency"),
    (as_it_is, "AV1", {"trace": "000900", "creditorParticipantCode": "0998"}, "FF07",
     "creditorParticipantCode"),
    (as_it_is, "AV1", {"trace": "000900", "creditorParticipantCode": "0970"}, "FF07",
     "creditorParticipantCode"),
    (signed_off("0971"), "AV1", {"trace": "000900"}, "FF07", "creditorParticipantCode"),
    (signed_off("0971"), "CT1", {}, "FF07", "creditorParticipantCode"),
    (blocked("0971"), "AV1", {"trace": "000900"}, "FF07", "creditorParticipantCode"),
    (blocked("0971"), "CT1", {}, "FF07", "creditorParticipantCode"),
    (as_it_is, "CT1", {"amount": 3_000_001}, "FF07", "amount"),
    (as_it_is, "AV1", {"trace": "000900", "creditorParticipantCode": "0988"}, "AB05",
     "creditorParticipantCode"),
]  # fmt: skip


@pytest.mark.parametrize(
    "row", RULE_ROWS, ids=lambda row: f"{row[1]}-{row[3]}-{row[4]}-{len(row[2])}"
)
async def test_a_rule_that_is_broken_is_answered_with_its_code(
    wire: Wire, row: tuple[Arrange, str, dict[str, Any], str, str]
) -> None:
    arrange, name, changes, reason, field = row
    await verified(wire)
    await arrange(wire)
    got = await wire.post(name, document(EXAMPLES[name], **changes))
    assert (got.status, got.root, got.code) == (200, ANSWERS[name], ("05", reason))
    assert got.explain.startswith(f"{field}: ")
    assert wire.creditor.count("CT2") == 0
    nothing_moved(wire)
    assert (await wire.post(name, document(EXAMPLES[name], **changes))).code == got.code


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("AV1-by-phone", {"creditorMobileNumber": "900000299"}),
        ("AV1-by-qr", {"proxyValue": "00ff"}),
    ],
)
async def test_an_unknown_alias_is_ch11(wire: Wire, name: str, changes: dict[str, Any]) -> None:
    got = await wire.post("AV1", document(name, **changes))
    assert (got.status, got.code) == (200, ("05", "CH11"))
    assert got.explain.split(":")[0] in changes


async def test_a_short_prefund_is_ff07_and_nothing_is_held(wire: Wire) -> None:
    await verified(wire)
    await poor(wire)
    got = await wire.post("CT1", ct1())
    assert (got.status, got.code) == (200, ("05", "FF07"))
    assert got.explain.startswith("amount: ")
    assert wire.world.available("0970") == 12_579
    assert wire.creditor.count("CT2") == 0


async def test_an_overloaded_house_refuses_before_anything_is_reserved(wire: Wire) -> None:
    await verified(wire)
    wire.world.house.router._in_flight_max = 0
    got = await wire.post("CT1", ct1())
    assert (got.status, got.code) == (200, ("05", "FF07"))
    wire.world.house.verifier._in_flight_max = 0
    assert (await wire.post("AV1", av1(trace="000901"))).code == ("05", "FF07")
    nothing_moved(wire)


# What the creditor's agent does.


def refused(message: str, reason: str) -> Callable[[Any], Response]:
    def behave(request: Any) -> Response:
        accepted = accept(request)
        fields = next(iter(msgspec.json.decode(accepted.body).values()))
        fields |= {"responseCode": "05", "reasonCode": reason}
        return Response(body=msgspec.json.encode({message: fields}))

    return behave


async def test_the_creditors_refusal_is_passed_on_with_its_reason(wire: Wire) -> None:
    wire.creditor.behaviours["AV2"] = refused("AV3", "AC06")
    got = await wire.post("AV1", av1())
    assert (got.status, got.code) == (200, ("05", "AC06"))
    del wire.creditor.behaviours["AV2"]
    assert (await wire.post("AV1", av1(trace="000777"))).code == ("00", None)
    wire.creditor.behaviours["CT2"] = refused("CT3", "AC07")
    got = await wire.post("CT1", ct1(referenceTransactionId=REFERENCE[:-6] + "000777"))
    assert (got.status, got.code) == (200, ("05", "AC07"))
    assert got.explain.startswith("creditorCCI: ")
    assert not [owed for owed in wire.world.owed() if not owed.startswith("SNM")]
    nothing_moved(wire)


@pytest.mark.parametrize(
    ("reason", "field"),
    [
        ("AC01", "creditorCCI"),
        ("AC11", "currency"),
        ("BE16", "debtorId"),
        ("CH11", "creditorMobileNumber"),
        ("FF07", "transactionType"),
        ("RR04", "root"),
    ],
)
async def test_the_creditors_refusal_names_the_field_its_reason_speaks_of(
    wire: Wire, reason: str, field: str
) -> None:
    wire.creditor.behaviours["AV2"] = refused("AV3", reason)
    got = await wire.post("AV1", av1())
    assert got.explain == f"{field}: refused by the creditor's agent"


def half(_: Any) -> Response:
    raise Drop(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"CT3":{"debtorPar')


def reset(_: Any) -> Response:
    raise Drop


def unsure(request: Any) -> Response:
    fields = next(iter(msgspec.json.decode(accept(request).body).values()))
    return Response(body=msgspec.json.encode({"CT3": fields | {"responseCode": "77"}}))


def of_another(request: Any) -> Response:
    fields = next(iter(msgspec.json.decode(accept(request).body).values()))
    return Response(body=msgspec.json.encode({"CT3": fields | {"instructionId": "OTHER"}}))


async def silent(_: Any) -> Response:
    await asyncio.get_running_loop().create_future()
    raise AssertionError


BROKEN = {
    "silent": silent,
    "garbage": lambda _: Response(body=b"\x00\xff garbage"),
    "empty": lambda _: Response(body=b""),
    "no content": lambda _: Response(204),
    "half": half,
    "reset": reset,
    "500": lambda _: Response(500),
    "404": lambda _: Response(404, b"{}"),
    "redirect": lambda _: Response(302, headers=(("Location", "/elsewhere"),)),
    "huge": lambda _: Response(body=b" " * 100_000),
    "unknown code": unsure,
    "of another order": of_another,
    "another message": lambda r: Response(body=r.body),
}


@pytest.mark.parametrize("what", sorted(BROKEN))
async def test_a_broken_answer_is_silence_until_the_expiry(wire: Wire, what: str) -> None:
    await verified(wire)
    wire.creditor.behaviours["CT2"] = BROKEN[what]
    sent = asyncio.create_task(wire.post("CT1", ct1()))
    got = await wire.expire(sent)
    assert (got.status, got.code) == (200, ("05", "AB05"))
    assert got.explain.startswith("creditorParticipantCode: ")
    await wire.until(lambda: wire.creditor.count("CTC1") == 1)
    nothing_moved(wire)
    del wire.creditor.behaviours["CT2"]
    asked = document("PSR1", instructionId=got.content["instructionId"])
    assert (await wire.post("PSR1", asked)).code == ("05", "DS24")
    assert (await wire.post("CT1", ct1(messageTypeId="0201"))).body == got.body


async def test_a_creditor_that_cannot_be_reached_refuses_at_once(tmp_path: Path) -> None:
    async with wired(tmp_path) as wire:
        await verified(wire)
        member = wire.world.house._fleet["0971"]
        wire.world.house._fleet["0971"] = msgspec.structs.replace(member, url="http://127.0.0.1:1")  # type: ignore[index]
        got = await wire.post("CT1", ct1())
        assert (got.status, got.code) == (200, ("05", "AB05"))
        assert not [owed for owed in wire.world.owed() if owed.startswith("CTC1")]
        nothing_moved(wire)


async def test_a_failure_of_ours_after_the_reservation_is_500_without_a_message(
    wire: Wire,
) -> None:
    await verified(wire)

    async def bug(*_: object) -> Any:
        raise RuntimeError("a bug")

    wire.world.house.router._creditors._peers = type("Broken", (), {"ask": bug})()
    got = await wire.post("CT1", ct1())
    assert (got.status, got.body) == (500, b"")
    instruction = wire.world.house.router.in_flight[0].record.instruction_id
    assert (await wire.post("PSR1", document("PSR1", instructionId=instruction))).code == (
        "99",
        None,
    )


async def test_a_client_that_goes_away_leaves_its_order_on_its_way(wire: Wire) -> None:
    await verified(wire)
    go = asyncio.Event()

    async def slow(request: Any) -> Response:
        await go.wait()
        return accept(request)

    wire.creditor.behaviours["CT2"] = slow
    sent = asyncio.create_task(wire.post("CT1", ct1()))
    await wire.until(lambda: wire.creditor.count("CT2") == 1)
    sent.cancel()
    go.set()
    await wire.until(lambda: wire.creditor.count("CT5") == 1)
    again: Answered = await wire.post("CT1", ct1(messageTypeId="0201"))
    assert again.code == ("00", None)
    assert wire.creditor.count("CT2") == 1
    assert wire.world.balance("0971") == PREFUND + 12_580


async def test_paths_and_methods_that_are_not_served_say_what_is(tmp_path: Path) -> None:
    async with wired(tmp_path) as wire:
        assert (await wire.post("AV9", b"{}")).status == 404
        async with wire._session.get(f"http://127.0.0.1:{wire.port}/") as response:
            assert response.status == 405
            assert "error" in await response.json()


async def test_a_stopping_house_takes_no_new_orders_but_answers_repeats_and_enquiries(
    tmp_path: Path,
) -> None:
    async with wired(tmp_path) as wire:
        await verified(wire)
        paid = await wire.post("CT1", ct1())
        wire.world.house.stop()
        assert (await wire.post("CT1", ct1(messageTypeId="0201"))).body == paid.body
        assert (await wire.post("CT1", ct1(referenceTransactionId="1" * 28))).status == 503
        assert (await wire.post("AV1", av1(trace="000777"))).status == 503
        assert (await wire.post("PSR1", golden("PSR1"))).status == 200
        assert (await wire.post("ET1", golden("ET1"))).code == ("00", None)


def test_the_orders_of_the_examples_belong_together() -> None:
    assert decode(golden("CT1-by-cci"), CT1).referenceTransactionId == REFERENCE
