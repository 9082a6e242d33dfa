"""The example connector as its own process, before a scripted clearing house and the real one."""

import ast
import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from runtime.http_server import GuardedServer, Request, Response
from scheme.cci import has_valid_check_digits
from scheme.messages import AV3, CT1, CT3, CTC2, ET2, PSR1
from scheme.wire.tin_json import decode
from tests.support.example_coop import (
    BASE,
    CCI,
    OPENING,
    OTHER_CCI,
    PROGRAM,
    ROOT,
    Connector,
    House,
    Json,
    free_port,
    started,
    until,
)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def house() -> AsyncIterator[House]:
    one = House()
    await one.server.start()
    yield one
    await one.server.stop(grace_s=0.1)


@pytest.fixture
async def coop(
    house: House, http: aiohttp.ClientSession, tmp_path: Path
) -> AsyncIterator[Connector]:
    one = Connector(tmp_path, house.url, http)
    await one.start()
    yield one
    one.kill()


@pytest.fixture
def golden() -> Callable[..., Json]:
    """Return messages like the printed examples, to coop 0985, each pair under an id of its own."""

    def message(name: str, number: int = 1, **changes: object) -> Json:
        document: Json = json.loads((ROOT / "tests" / "golden" / f"{name}.json").read_text())
        told = document[name]
        told["creditorParticipantCode"] = "0985"
        if "creditorCCI" in told:
            told["creditorCCI"] = CCI
        id_name = "referenceInstructionId" if name == "CTC1" else "instructionId"
        told[id_name] = f"20260115101612097041910{number:05}"
        told |= changes
        return document

    return message


Golden = Callable[..., Json]


def test_it_is_small_and_uses_nothing_of_the_project() -> None:
    text = PROGRAM.read_text()
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(text))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported - sys.stdlib_module_names == {"aiohttp"}
    assert len(text.splitlines()) < 200


def test_its_accounts_are_invented_and_well_formed() -> None:
    assert all(has_valid_check_digits(one) and one.startswith("985999") for one in (CCI, OTHER_CCI))


async def test_it_signs_on_and_answers_an_echo(
    coop: Connector, house: House, golden: Golden
) -> None:
    await until(lambda: house.bodies("SignOn1"))
    told = json.loads(house.bodies("SignOn1")[0])["SignOn1"]
    assert told["participantCode"] == "0985"
    echo = {"ET1": golden("ET1")["ET1"] | {"participantCode": "0985"}}
    assert (await coop.tell(echo, ET2)).status == "00"
    assert (await coop.send(golden("SNM982")))[0] == 200


async def test_a_query_names_the_holder(coop: Connector, golden: Golden) -> None:
    av3 = await coop.tell(golden("AV2"), AV3)
    assert (av3.responseCode, av3.creditorName) == ("00", "SOCIA CONECTOR EJEMPLO")
    unknown = await coop.tell(golden("AV2", creditorCCI="98599900000000030318"), AV3)
    assert (unknown.responseCode, unknown.reasonCode, unknown.creditorName) == ("05", "AC01", None)


async def test_an_order_is_credited_by_its_confirmation_and_once(
    coop: Connector, golden: Golden
) -> None:
    ct3 = await coop.tell(golden("CT2"), CT3)
    assert ct3.responseCode == "00"
    assert await coop.balance() == OPENING
    for _ in range(2):
        assert (await coop.send(golden("CT5")))[0] == 200
    assert await coop.balance() == OPENING + 12_500
    assert await coop.states() == ["HELD", "FINAL"]


async def test_what_it_cannot_take_is_refused_and_not_credited(
    coop: Connector, golden: Golden
) -> None:
    faults: list[tuple[str, Json]] = [
        ("AC14", {"transactionType": "325"}),
        ("FF02", {"creditorParticipantCode": "0971"}),
        ("AC01", {"creditorCCI": "98599900000000030318"}),
        ("AC11", {"currency": "840"}),
        ("AM01", {"amount": 0}),
    ]
    for number, (reason, changes) in enumerate(faults):
        ct3 = await coop.tell(golden("CT2", number, **changes), CT3)
        assert (ct3.responseCode, ct3.reasonCode) == ("05", reason)
        assert (await coop.send(golden("CT5", number, **changes)))[0] in {200, 409}
    assert (await coop.tell(golden("CT2", 0), CT3)).reasonCode == "AM05"
    assert await coop.balance() == OPENING
    assert set(await coop.states()) == {"REJECTED"}


async def test_a_confirmation_that_differs_or_of_no_order_credits_nothing(
    coop: Connector, golden: Golden
) -> None:
    await coop.tell(golden("CT2"), CT3)
    await coop.send(golden("CT5", amount=12_501))
    assert (await coop.send(golden("CT5", 2)))[0] == 500
    assert await coop.balance() == OPENING


async def test_a_cancellation_undoes_a_hold_but_never_a_credit(
    coop: Connector, golden: Golden
) -> None:
    await coop.tell(golden("CT2", 1), CT3)
    assert (await coop.tell(golden("CTC1", 1), CTC2)).responseCode == "00"
    assert (await coop.send(golden("CT5", 1)))[0] == 409
    await coop.tell(golden("CT2", 2), CT3)
    await coop.send(golden("CT5", 2))
    ctc2 = await coop.tell(golden("CTC1", 2), CTC2)
    assert (ctc2.responseCode, ctc2.reasonCode) == ("05", "FF07")
    assert (await coop.tell(golden("CTC1", 3), CTC2)).responseCode == "00"
    assert (await coop.tell(golden("CT2", 3), CT3)).reasonCode == "AM05"
    assert await coop.balance() == OPENING + 12_500


async def test_a_hold_survives_a_kill_and_is_credited_once_by_enquiry_or_confirmation(
    coop: Connector, house: House, golden: Golden
) -> None:
    ct2 = golden("CT2")["CT2"]
    found = {"amount": 12_500, "instructionId": ct2["instructionId"]}
    house.says["PSR1"] = [None, {"responseCode": "99"}, found | {"responseCode": "00"}]
    assert (await coop.tell({"CT2": ct2}, CT3)).responseCode == "00"
    coop.kill()
    await coop.start()
    await until(lambda: len(house.bodies("PSR1")) >= 3)
    psr1 = decode(house.bodies("PSR1")[0], PSR1)
    assert psr1.instructionId == ct2["instructionId"]
    assert psr1.originalCreationTime == ct2["creationTime"]
    await until(is_settled(coop))
    assert await coop.balance() == OPENING + 12_500
    assert (await coop.send(golden("CT5")))[0] == 200
    coop.kill()
    await coop.start()
    assert await coop.balance() == OPENING + 12_500
    assert await coop.states() == ["HELD", "FINAL"]


def is_settled(coop: Connector) -> Callable[[], Any]:
    async def settled() -> bool:
        return (await coop.states())[-1] in {"FINAL", "REJECTED"}

    return settled


async def test_a_hold_is_given_up_when_the_enquiry_says_so(
    coop: Connector, house: House, golden: Golden
) -> None:
    house.says["PSR1"] = [{"responseCode": "05", "reasonCode": "DS24"}]
    await coop.tell(golden("CT2"), CT3)
    await until(is_settled(coop))
    assert await coop.states() == ["HELD", "REJECTED"]
    assert await coop.balance() == OPENING


def verified(house: House) -> None:
    instruction = "2026011510153009858191000123"
    payee = {"creditorName": "SOCIO DOS", "creditorCCI": "97100220030040050213"}
    accepted = {"responseCode": "00", "instructionId": instruction, "sameCustomerFlag": "O"}
    house.says["AV1"] = [payee | accepted]


async def test_a_payment_is_sent_again_until_its_outcome_is_known_and_debited_once(
    coop: Connector, house: House
) -> None:
    verified(house)
    done = {"responseCode": "00", "instructionId": "2026011510161209854191000124"}
    house.says["CT1"] = [None, None, done]
    code, said = await coop.pay("--amount", "25.50")
    assert (code, said["state"]) == (3, "PENDING")
    account = await coop.account()
    assert (account["balance"], account["available"]) == (OPENING, OPENING - 2_630)
    await until(is_settled(coop))
    orders = [decode(body, CT1) for body in house.bodies("CT1")]
    assert [one.messageTypeId for one in orders[:3]] == ["0200", "0201", "0201"]
    assert len({(one.trace, one.referenceTransactionId, one.amount) for one in orders}) == 1
    assert orders[0].transactionReference is not None
    assert await coop.balance() == OPENING - 2_630


async def test_a_refused_payment_takes_nothing(coop: Connector, house: House) -> None:
    verified(house)
    house.says["CT1"] = [{"responseCode": "05", "reasonCode": "AC07", "instructionId": ""}]
    code, said = await coop.pay("--amount", "25.50")
    assert (code, said["state"], said["reason_code"]) == (1, "REJECTED", "AC07")
    account = await coop.account()
    assert (account["balance"], account["available"]) == (OPENING, OPENING)


async def test_money_that_is_not_there_is_not_sent(coop: Connector, house: House) -> None:
    verified(house)
    assert await coop.run_pay("--amount", "4999.21") == (1, "", "not enough funds\n")
    assert not house.bodies("CT1")


async def test_a_refused_verification_ends_before_an_order_is_sent(
    coop: Connector, house: House
) -> None:
    house.says["AV1"] = [{"responseCode": "05", "reasonCode": "AC01"}]
    assert await coop.pay() == (3, {"state": "NOT_SENT", "reason_code": "AC01"})
    assert not house.bodies("CT1")


@pytest.mark.parametrize(
    "arguments",
    [
        *(("--amount", one) for one in ("x", "0", "-5", "0.001", "1.005", "25,50", "30000.01")),
        *(("--amount", one) for one in ("1e3", "1_0", "nan", " 1", "1.", ".5", "999999")),
        ("--from", "98599900000000030318"),
    ],
    ids=" ".join,
)
async def test_what_cannot_be_sent_is_told_in_a_line_and_nothing_is_asked(
    arguments: tuple[str, str], house: House, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    code, out, errors = await Connector(tmp_path, house.url, http).run_pay(*arguments)
    assert (code, out, len(errors.splitlines())) == (2, "", 1)
    assert arguments[0] in errors
    assert house.heard == []


@pytest.mark.parametrize(("typed", "cents"), [("0.01", 1), ("4999.2", 499_920), ("07", 700)])
async def test_an_amount_in_soles_is_sent_to_the_cent(
    typed: str, cents: int, coop: Connector, house: House
) -> None:
    verified(house)
    house.says["CT1"] = [{"responseCode": "00", "instructionId": "2026011510161209854191000124"}]
    code, said = await coop.pay("--amount", typed)
    assert (code, said["state"]) == (0, "FINAL")
    assert decode(house.bodies("CT1")[0], CT1).amount == cents


class Bank:
    """Bank 0970, played by the test: it takes every order, and sends one when told to."""

    def __init__(self, switch: str, http: aiohttp.ClientSession) -> None:
        self.switch = switch
        self._http = http
        self.server = GuardedServer(self._handle)

    async def _handle(self, request: Request) -> Response:
        name = request.path.removeprefix(BASE)
        asked = json.loads(request.body)
        answer = {"AV2": "AV3", "CT2": "CT3"}.get(name)
        if answer is None:
            return Response()
        told = {"responseCode": "00", "creditorName": "SOCIA UNO", "creditorId": "00000101"}
        told |= {"creditorIdCode": "2", "sameCustomerFlag": "O"}
        told |= {"responseDate": "20261123", "responseTime": "101613"}
        return Response(body=json.dumps({answer: asked[name] | told}).encode())

    async def ask(self, name: str, message: Json) -> Json:
        url = f"{self.switch}{BASE}{name}"
        async with self._http.post(url, json={name: message}) as answer:
            (said,) = (await answer.json()).values()
            return dict(said)

    async def pay(self, golden: Golden, number: int) -> Json:
        numbered = {"trace": f"{number:06}", "creationTime": "101530"}
        av1 = json.loads((ROOT / "tests" / "golden" / "AV1-by-cci.json").read_text())["AV1"]
        ct1 = json.loads((ROOT / "tests" / "golden" / "CT1-by-cci.json").read_text())["CT1"]
        payee = {"creditorParticipantCode": "0985", "creditorCCI": CCI}
        av4 = await self.ask("AV1", av1 | payee | numbered)
        assert av4["responseCode"] == "00", av4
        reference = {"referenceTransactionId": av4["instructionId"]}
        return await self.ask("CT1", ct1 | payee | numbered | reference)


@pytest.fixture
async def country(
    http: aiohttp.ClientSession, tmp_path: Path
) -> AsyncIterator[tuple[Bank, Connector, str]]:
    """Start the real clearing house with the connector and a bank; return its operator API too."""
    tin, operator = free_port(), free_port()
    bank = Bank(f"http://127.0.0.1:{tin}", http)
    coop = Connector(tmp_path, bank.switch, http)
    await bank.server.start()
    here = f"http://127.0.0.1:{coop.port}"
    fleet = [
        {"code": "0970", "kind": "load", "url": f"http://127.0.0.1:{bank.server.port}"},
        {"code": "0985", "kind": "test", "url": here, "control_url": here},
    ]
    lines = []
    for one in fleet:
        fields = one | {"name": f"PRUEBA {one['code']}"}
        lines += ["[[participant]]", *(f'{key} = "{value}"' for key, value in fields.items())]
        lines += ["simulated = false", 'currencies = ["PEN"]']
    (tmp_path / "fleet.toml").write_text("\n".join(lines))
    settings = {"home": tmp_path / "home", "fleet": tmp_path / "fleet.toml"}
    config = "".join(f'{key} = "{value}"\n' for key, value in settings.items())
    config += f"tin_port = {tin}\noperator_port = {operator}\n"
    (tmp_path / "switch.toml").write_text(config)
    command = [sys.executable, "-m", "switch", "--config", str(tmp_path / "switch.toml")]
    switch = started(command, tmp_path / "switch.log")
    operator_url = f"http://127.0.0.1:{operator}"
    try:
        await until(lambda: is_ready(http, operator_url))
        await coop.start()
        sign_on = {"participantCode": "0970", "trace": "000001"}
        moment = {"creationDate": "20260115", "creationTime": "080005"}
        assert (await bank.ask("SignOn1", sign_on | moment))["status"] == "00"
        await until(lambda: signed_on(http, operator_url))
        yield bank, coop, operator_url
    finally:
        coop.kill()
        switch.terminate()
        switch.wait()
        await bank.server.stop(grace_s=0.1)


async def is_ready(http: aiohttp.ClientSession, operator_url: str) -> bool:
    try:
        async with http.get(f"{operator_url}/readyz") as answer:
            return answer.status == 200
    except aiohttp.ClientConnectionError:
        return False


async def signed_on(http: aiohttp.ClientSession, operator_url: str) -> bool:
    async with http.get(f"{operator_url}/participants") as answer:
        return all(one["signed_on"] for one in (await answer.json())["participants"])


async def test_with_the_real_clearing_house_every_book_is_equal_also_after_a_kill(
    country: tuple[Bank, Connector, str], golden: Golden
) -> None:
    bank, coop, operator_url = country
    for number in range(3):
        assert (await bank.pay(golden, number))["responseCode"] == "00"
    # Its confirmation may have come already or not: either way it is credited once.
    coop.kill()
    await coop.start()
    await until(lambda: has(coop, OPENING + 3 * 12_500))
    code, said = await coop.pay("--to", "97000110020030040142", "--amount", "25.50")
    assert (code, said["state"]) == (0, "FINAL"), said
    assert await coop.balance() == OPENING + 3 * 12_500 - 2_630
    reconcile = [sys.executable, "-m", "chasqui", "--operator-url", operator_url, "reconcile"]
    process = await asyncio.create_subprocess_exec(
        *reconcile, "--books", "--skip", "0970", "--json", stdout=subprocess.PIPE, cwd=ROOT
    )
    out, _ = await process.communicate()
    verdict = json.loads(out)
    assert (process.returncode, verdict["equal"], verdict["compared"]) == (0, True, 4), verdict


async def has(coop: Connector, balance: int) -> bool:
    return await coop.balance() == balance
