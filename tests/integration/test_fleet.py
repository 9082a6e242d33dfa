"""A fleet over real sockets and a real disk, against a small clearing house."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from scheme.errors import NoAnswer
from scheme.messages import AV3, CT1, CT3, CTC2, ET1, ET2, SNM982, SignOn1
from scheme.wire import tin_json
from tests.support.clearing_house import ClearingHouse, accepted, result
from tests.support.fleet_process import Hook, running, settings
from tests.support.fleet_world import (
    CREDITOR_CCI,
    DEBTOR_CCI,
    a_ct2,
    a_ct5,
    a_ctc1,
    a_psr2,
    an_av2,
    golden,
)

OPENING = 2_500_000
TO_CCI = {"debtor": DEBTOR_CCI, "creditor": {"cci": CREDITOR_CCI}, "amount": 12_500}


@pytest.fixture
async def house() -> AsyncIterator[ClearingHouse]:
    house = ClearingHouse()
    house.answers["AV1"] = lambda asked: accepted(asked, cci=CREDITOR_CCI, code="0971")
    house.answers["CT1"] = result
    await house.start()
    yield house
    await house.stop()


@pytest.fixture
async def hook(house: ClearingHouse, tmp_path: Path) -> AsyncIterator[Hook]:
    async with running(settings(tmp_path, house, hurried=True)) as hook:
        await house.until("SignOn1", 3)
        # The answers are noted a moment after they were given.
        async with asyncio.timeout(5):
            for code in hook.ports:
                while not (await hook.get(code, "state"))["signed_on"]:
                    pass
        yield hook


async def test_every_institution_signs_on_with_its_own_request_id(
    house: ClearingHouse, hook: Hook
) -> None:
    asked = [message for message in house.received if isinstance(message, SignOn1)]

    assert {message.participantCode for message in asked} == {"0002", "0970", "0971"}
    for message, request_id in zip(house.received, house.request_ids, strict=True):
        assert isinstance(message, SignOn1)
        assert request_id == message.participantCode[1:] + message.trace


async def test_an_incoming_transfer_is_verified_held_and_credited(
    house: ClearingHouse, hook: Hook
) -> None:
    port = hook.ports["0971"]

    found = tin_json.decode((await house.post(port, an_av2())).body, AV3)
    taken = tin_json.decode((await house.post(port, a_ct2())).body, CT3)
    before = await hook.balance("0971", CREDITOR_CCI)
    confirmed = await house.post(port, a_ct5())
    again = await house.post(port, a_ct5())

    assert found == golden("AV3-accepted", AV3)
    assert taken.responseCode == "00"
    assert before == OPENING
    assert (confirmed.status, confirmed.body, again.status) == (200, b"", 200)
    assert await hook.balance("0971", CREDITOR_CCI) == OPENING + 12_500
    moved = (await hook.get("0971", "movements"))["movements"]
    assert [(one["state"], one["role"], one["settlement"]) for one in moved] == [
        ("FINAL", "creditor", 12_580)
    ]


async def test_a_cancelled_order_is_never_credited(house: ClearingHouse, hook: Hook) -> None:
    port = hook.ports["0971"]
    await house.post(port, a_ct2())

    cancelled = tin_json.decode((await house.post(port, a_ctc1())).body, CTC2)

    assert cancelled.responseCode == "00"
    assert (await house.post(port, a_ct5())).status == 409
    assert await hook.balance("0971", CREDITOR_CCI) == OPENING


async def test_an_unconfirmed_order_is_asked_about_and_credited_once(
    house: ClearingHouse, hook: Hook
) -> None:
    house.answers["PSR1"] = lambda _: a_psr2("00")
    await house.post(hook.ports["0971"], a_ct2())

    await house.until("PSR1")
    # Whichever of the two is handled first: there is one credit.
    await house.post(hook.ports["0971"], a_ct5())

    assert await hook.balance("0971", CREDITOR_CCI) == OPENING + 12_500


async def test_notices_and_echoes_are_answered(house: ClearingHouse, hook: Hook) -> None:
    port = hook.ports["0970"]
    off = golden("SNM982", SNM982, participantIdentification="0971", participantStatus="OFF")

    assert (await house.post(port, off)).status == 200
    echoed = tin_json.decode((await house.post(port, golden("ET1", ET1))).body, ET2)
    foreign = golden("ET1", ET1, participantCode="0971")
    refused = tin_json.decode((await house.post(port, foreign)).body, ET2)

    assert (echoed.status, refused.status, refused.reasonCode) == ("00", "05", "FF02")
    told = await hook.post("0970", "payments", TO_CCI)
    assert told["state"] == "NOT_SENT"
    assert "signed off" in told["explanation"]


async def test_a_payment_moves_money_and_is_made_once_per_key(
    house: ClearingHouse, hook: Hook
) -> None:
    key = {"Idempotency_Key": "k-1"}
    paid, joined = await asyncio.gather(
        hook.post("0970", "payments", TO_CCI, **key), hook.post("0970", "payments", TO_CCI, **key)
    )
    later = await hook.post("0970", "payments", TO_CCI, **key)
    other = await hook.call("POST", "0970", "payments", TO_CCI | {"amount": 1}, **key)

    assert paid["state"] == joined["state"] == later["state"] == "FINAL"
    assert paid["instruction_id"] == later["instruction_id"]
    assert house.names().count("CT1") == 1
    assert other[0] == 409
    assert await hook.balance("0970", DEBTOR_CCI) == OPENING - 12_580


async def test_every_book_recounts_clean_and_knows_what_moved(
    house: ClearingHouse, hook: Hook
) -> None:
    await house.post(hook.ports["0971"], a_ct2())
    await house.post(hook.ports["0971"], a_ct5())
    await hook.post("0970", "payments", TO_CCI)

    for code, postings in (("0970", 1), ("0971", 1), ("0002", 0)):
        found = await hook.get(code, "audit")
        assert (found["clean"], found["differences"]) == (True, [])
        assert found["postings"] == postings
        assert found["accounts"] > 0


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Content-Type": "text/plain"}, 415),
    ],
)
async def test_a_page_of_another_site_cannot_act(
    house: ClearingHouse, hook: Hook, headers: dict[str, str], status: int
) -> None:
    spelt = {name.replace("-", "_"): value for name, value in headers.items()}
    answered, said = await hook.call("POST", "0970", "payments", TO_CCI, **spelt)

    assert (answered, said["field"]) == (status, next(iter(headers)))
    assert "CT1" not in house.names()


async def test_a_phone_is_looked_up_and_paid(house: ClearingHouse, hook: Hook) -> None:
    house.entries["900000202"] = [("0903", ("0971", "0988")), ("0901", None)]

    looked_up = await hook.post("0970", "lookups", {"payer": "900000101", "phone": "900000202"})
    paid = await hook.post(
        "0970", "payments",
        {"debtor": "900000101", "creditor": {"phone": "+51 900-000-202"}, "amount": 2_550},
    )  # fmt: skip

    assert looked_up["state"] == "found"
    assert looked_up["candidates"][2] == {"code": "0901", "directory": "0901"}
    assert (paid["state"], paid["chosen"], paid["fee"]) == ("FINAL", "0971", 0)
    assert [leg["message"] for leg in paid["legs"]] == [
        "prxy.003", "prxy.004", "AV1", "AV4", "CT1", "CT4",
    ]  # fmt: skip
    assert paid["legs"][0]["from"] == "0970"


async def test_a_qr_is_read_and_paid(house: ClearingHouse, hook: Hook) -> None:
    house.qr = [
        b'{"header":{"codReturn":"0","txtReturn":"OK"},"code":"0970","token":"t"}',
        b'{"header":{"codReturn":"0"},"qr":{"emisor":"901","idCuenta":"abc","moneda":"604"}}',
    ]

    paid = await hook.post(
        "0970", "payments",
        {"debtor": "900000101", "creditor": {"qr": "000201..."}, "amount": 300},
    )  # fmt: skip

    assert (paid["state"], paid["chosen"]) == ("FINAL", "0901")


async def test_an_order_without_answer_is_pending_until_a_repeat_is_answered(
    house: ClearingHouse, hook: Hook
) -> None:
    answers = iter([None, None, result])

    def late(asked: CT1) -> object:
        answer = next(answers)
        return answer(asked) if answer else None

    house.answers["CT1"] = late  # type: ignore[assignment]
    told = await hook.post("0970", "payments", TO_CCI)
    held = await hook.get("0970", f"accounts/{DEBTOR_CCI}")
    await house.until("CT1", 3)
    async with asyncio.timeout(5):
        while (await hook.get("0970", "movements"))["movements"][-1]["state"] != "FINAL":
            pass

    assert told["state"] == "PENDING"
    assert (held["held"], held["available"]) == (12_580, OPENING - 12_580)
    assert await hook.balance("0970", DEBTOR_CCI) == OPENING - 12_580
    orders = [body for body in house.bodies if b'"CT1"' in body]
    assert orders[0].replace(b"0200", b"0201", 1) == orders[1] == orders[2]


@pytest.mark.parametrize(
    ("cents", "status", "body"),
    [(32, 200, b"<html>"), (34, 500, b""), (36, 400, b'{"code":"TL0001"'), (52, 201, b'{"CT3"')],
)
async def test_magic_amounts_spoil_answers(
    house: ClearingHouse, hook: Hook, cents: int, status: int, body: bytes
) -> None:
    answer = await house.post(hook.ports["0971"], a_ct2(amount=6600 + cents))

    assert answer.status == status
    assert answer.body.startswith(body)


@pytest.mark.parametrize("cents", [33, 35])
async def test_magic_amounts_cut_answers(house: ClearingHouse, hook: Hook, cents: int) -> None:
    with pytest.raises(NoAnswer):
        await house.post(hook.ports["0971"], a_ct2(amount=6600 + cents))


@pytest.mark.parametrize(
    ("path", "content", "status", "field"),
    [
        ("payments", TO_CCI | {"amount": 0}, 400, "amount"),
        ("payments", TO_CCI | {"amount": "x"}, 400, "amount"),
        ("payments", TO_CCI | {"debtor": "900000202"}, 404, "debtor"),
        ("payments", TO_CCI | {"creditor": {}}, 400, "creditor"),
        ("payments", TO_CCI | {"creditor": {"cci": CREDITOR_CCI[:-1] + "0"}}, 400, "creditor.cci"),
        ("payments", TO_CCI | {"creditor": {"phone": "123"}}, 400, "creditor.phone"),
        ("payments", TO_CCI | {"creditor": {"qr": "hello"}}, 400, "creditor.qr"),
        ("payments", TO_CCI | {"currency": "EUR"}, 400, "currency"),
        ("payments", TO_CCI | {"description": "x" * 141}, 400, "description"),
        ("payments", [], 400, None),
        ("lookups", {"payer": "900000101", "phone": "12"}, 400, "phone"),
        ("session", {"action": "dance"}, 400, "action"),
        ("nothing", {}, 404, None),
        ("accounts", {}, 405, None),
    ],
)
async def test_a_bad_call_names_its_field(
    hook: Hook, path: str, content: object, status: int, field: str | None
) -> None:
    answered, said = await hook.call("POST", "0970", path, content)

    assert (answered, said.get("field")) == (status, field)
    assert said["error"]


async def test_the_session_can_be_closed_opened_and_tested(
    house: ClearingHouse, hook: Hook
) -> None:
    for action in ("signoff", "signon", "echo"):
        said = await hook.post("0970", "session", {"action": action})
        assert said == {"response_code": "00", "reason_code": None}

    off = await hook.post("0970", "session", {"action": "signoff"})
    assert off["response_code"] == "00"
    assert (await hook.get("0970", "state"))["signed_on"] is False
    answer = await house.post(hook.ports["0970"], a_ct2(creditorParticipantCode="0970"))
    assert tin_json.decode(answer.body, CT3).reasonCode == "FF07"


async def test_accounts_are_listed_in_pages(hook: Hook) -> None:
    first = await hook.get("0970", "accounts?limit=1")
    rest = await hook.get("0970", f"accounts?after={first['next']}")

    ccis = [one["cci"] for one in first["accounts"] + rest["accounts"]]
    assert len(first["accounts"]) == 1
    assert ccis == sorted(set(ccis))
    assert DEBTOR_CCI in ccis
    assert rest["next"] is None


async def test_the_accounts_of_a_phone_are_listed_alone(hook: Hook) -> None:
    everyone = await hook.get("0970", "accounts?limit=500")
    phone = next(one["phone"] for one in everyone["accounts"] if one["cci"] == DEBTOR_CCI)

    found = await hook.get("0970", f"accounts?phone={phone}")
    nobody = await hook.get("0970", "accounts?phone=900099999")

    ccis = [one["cci"] for one in everyone["accounts"] if one["phone"] == phone]
    assert [one["cci"] for one in found["accounts"]] == ccis
    assert nobody == {"accounts": [], "next": None}
