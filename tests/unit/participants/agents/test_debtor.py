from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from participants.agents.debtor import PaymentRequest
from participants.core.book import DebitOrder, DebitState
from participants.core.payment_result import PaymentResult
from participants.core.qr_reading import QrReading, QrRefused
from scheme.errors import BadSignature, NoAnswer, NotConnected
from scheme.messages import AV1, CT1, SNM971
from scheme.messages.proxy import Alias, DirectoryAnswer, DirectoryEntry, ProxyLookupResponse
from scheme.reasons import ReasonCode
from scheme.wire import tin_json
from tests.support.clearing_house import accepted, refused_query, result
from tests.support.fleet_world import (
    CREDITOR_CCI,
    DEBTOR_CCI,
    PROFILE,
    SILENCE,
    World,
    an_account,
    golden,
    started,
)

PAYEE_PHONE = "900000202"
OPENING = 1_000_000


@pytest.fixture
async def world() -> AsyncIterator[World]:
    payer = an_account(cci=DEBTOR_CCI, participant="0970", phone="900000101", balance=OPENING)
    world = World("0970", [payer])
    world.house.will("AV1", lambda asked: accepted(asked, cci=CREDITOR_CCI, code="0971"))
    world.house.will("CT1", result)
    yield world
    await world.close()


def found(*directories: tuple[str, tuple[str, ...] | None]) -> ProxyLookupResponse:
    alias = Alias(value="+51" + PAYEE_PHONE)
    return ProxyLookupResponse(
        recipient="0970",
        status="ACTC",
        directories=tuple(
            DirectoryAnswer(
                directory=code,
                entries=(DirectoryEntry(alias=alias, present="true", bank_codes=banks),),
            )
            for code, banks in directories
        ),
    )


def to_cci(world: World, **changes: Any) -> PaymentRequest:
    said: dict[str, Any] = {
        "payer": world.account(DEBTOR_CCI),
        "cci": CREDITOR_CCI,
        "amount": 12_500,
        "currency": "PEN",
    }
    return PaymentRequest(**(said | changes))


def to_phone(world: World, **changes: Any) -> PaymentRequest:
    return to_cci(world, **({"cci": None, "phone": PAYEE_PHONE, "amount": 4_000} | changes))


async def pay(world: World, request: PaymentRequest) -> PaymentResult:
    return await world.office.debtor.pay(request)


def money(world: World) -> tuple[int, int]:
    account = world.account(DEBTOR_CCI)
    return account.balance - OPENING, account.held


def sent(world: World, name: str) -> list[Any]:
    return [message for asked, message in world.house.asked if asked == name]


async def test_a_payment_by_cci_debits_amount_and_fee(world: World) -> None:
    ended = await pay(world, to_cci(world))

    assert (ended.state, ended.response_code) == ("FINAL", "00")
    assert [leg.message for leg in ended.legs] == ["AV1", "AV4", "CT1", "CT4"]
    assert (ended.amount, ended.fee) == (12_500, PROFILE.fees.plaza["M"].flat["PEN"])
    assert money(world) == (-12_580, 0)
    assert "SOCIO DOS" not in str(ended.creditor)


async def test_the_query_and_order_are_those_of_the_examples(world: World) -> None:
    world.account(DEBTOR_CCI).name = "SOCIA UNO DEMO PRUEBA"
    world.account(DEBTOR_CCI).document = "00000101"
    await pay(world, to_cci(world, description="PAGO DE ENSAYO"))
    passing = {
        "creationDate", "creationTime", "retrievalReferenteNumber", "trace",
        "transactionReference", "referenceTransactionId", "creditorMobileNumber",
    }  # fmt: skip

    for name, kind in (("AV1-by-cci", AV1), ("CT1-by-cci", CT1)):
        example = golden(name, kind)
        ours = sent(world, name.partition("-")[0])[0]
        for field in set(kind.__struct_fields__) - passing:
            assert getattr(ours, field) == getattr(example, field), field


async def test_the_order_leaves_only_once_the_debit_is_on_disk(world: World) -> None:
    world.books.is_slow = True
    paying = await started(pay(world, to_cci(world)))
    assert world.house.names() == ["AV1"]
    assert world.account(DEBTOR_CCI).held == 12_580

    world.books.flush()
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert world.house.names() == ["AV1", "CT1"]
    world.books.flush()
    await paying


async def test_an_order_has_a_new_trace_and_the_querys_reference(world: World) -> None:
    await pay(world, to_cci(world))

    query, order = sent(world, "AV1")[0], sent(world, "CT1")[0]
    assert order.trace != query.trace
    assert order.retrievalReferenteNumber == query.retrievalReferenteNumber


async def test_a_phone_is_looked_up_and_paid_without_fee(world: World) -> None:
    world.house.directory = found(("0903", ("0971", "0988")), ("0901", None))

    ended = await pay(world, to_phone(world))

    query, order = sent(world, "AV1")[0], sent(world, "CT1")[0]
    assert [one.code for one in ended.candidates] == ["0971", "0988", "0901"]
    assert ended.chosen == "0971"
    assert (query.channel, query.creditorCCI) == ("52", "97199999999999999999")
    assert query.creditorMobileNumber == PAYEE_PHONE
    assert (order.creditorCCI, order.feeAmount) == (CREDITOR_CCI, 0)
    assert money(world) == (-4_000, 0)


async def test_a_directory_can_be_chosen_in_place_of_an_entity(world: World) -> None:
    world.house.directory = found(("0903", ("0971",)), ("0901", None))

    ended = await pay(world, to_phone(world, entity="0901"))

    query = sent(world, "AV1")[0]
    assert (query.creditorParticipantCode, query.creditorCCI) == ("0901", "901" + "9" * 17)
    assert ended.chosen == "0901"


@pytest.mark.parametrize(
    ("directory", "changes", "field"),
    [
        (found(), {}, "creditor"),
        (found(("0903", ())), {}, "creditor"),
        (found(("0903", ("0970",))), {}, "creditor"),
        (found(("0903", ("0971",))), {"entity": "0988"}, "entity"),
    ],
)
async def test_a_phone_that_leads_nowhere_is_not_paid(
    world: World, directory: ProxyLookupResponse, changes: dict[str, Any], field: str
) -> None:
    world.house.directory = directory

    ended = await pay(world, to_phone(world, **changes))

    assert (ended.state, ended.field) == ("NOT_SENT", field)
    assert world.house.names() == ["prxy.003"]


async def test_lookups_are_counted_and_a_transfer_forgives(world: World) -> None:
    world.house.directory = found()
    for _ in range(PROFILE.directory.payer_lookups_max - 1):
        await pay(world, to_phone(world))
    world.house.directory = found(("0903", ("0971",)))
    assert (await pay(world, to_phone(world))).state == "FINAL"
    world.house.directory = found()
    for _ in range(PROFILE.directory.payer_lookups_max):
        await pay(world, to_phone(world))
    asked = len(sent(world, "prxy.003"))

    blocked = await pay(world, to_phone(world))

    assert blocked.explanation == (
        f"too many lookups: blocked for {PROFILE.directory.payer_block_minutes} minutes;"
        " only waiting helps"
    )
    assert len(sent(world, "prxy.003")) == asked


@pytest.mark.parametrize(
    ("reading", "code", "channel", "token", "narrative"),
    [
        ("903", "0971", "91", None, "26011509710000012345"),
        ("901", "0901", "52", "ea7874f72c02a0d20639c77ae0ba5944", None),
    ],
)
async def test_a_qr_is_paid(
    world: World, reading: str, code: str, channel: str, token: str | None, narrative: str | None
) -> None:
    world.house.qr = QrReading(
        issuer=reading,
        account=token or CREDITOR_CCI,
        qr_id=narrative,
        amount=2_500,
        currency="604",
    )

    ended = await pay(world, to_cci(world, cci=None, qr="0002...", amount=None))

    query, order = sent(world, "AV1")[0], sent(world, "CT1")[0]
    assert ended.state == "FINAL"
    assert (query.creditorParticipantCode, query.channel) == (code, channel)
    assert (query.proxyValue, query.proxyType) == (token, "O" if token else None)
    assert (order.amount, order.feeAmount) == (2_500, 0)
    assert order.unstructuredInformation == narrative


async def test_a_qr_that_is_refused_or_disagrees_is_not_paid(world: World) -> None:
    world.house.qr = QrRefused("QR03", "QR VENCIDO")
    refused = await pay(world, to_cci(world, cci=None, qr="0002..."))
    world.house.qr = QrReading(
        issuer="903", account=CREDITOR_CCI, qr_id="x", amount=2_500, currency="604"
    )
    other = await pay(world, to_cci(world, cci=None, qr="0002...", amount=2_501))

    assert "QR03" in refused.explanation
    assert (other.state, other.field) == ("NOT_SENT", "amount")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount": OPENING}, "amount"),
        ({"amount": PROFILE.limits.tin_max["PEN"] + 1}, "amount"),
        ({"currency": "USD"}, "currency"),
        ({"cci": "97000110020030041944"}, "creditor"),
        ({"cci": "98912300000000000050"}, "creditor"),
        ({"cci": CREDITOR_CCI[:-1] + "4"}, "creditor"),
    ],
)
async def test_what_the_institution_itself_refuses_is_not_sent(
    world: World, changes: dict[str, Any], field: str
) -> None:
    ended = await pay(world, to_cci(world, **changes))

    assert (ended.state, ended.not_sent_because, ended.field) == (
        "NOT_SENT", "refused_here", field,
    )  # fmt: skip
    assert world.house.names() == []


@pytest.mark.parametrize("amount", [99, PROFILE.limits.alias_max["PEN"] + 1])
async def test_limits_of_aliases_hold(world: World, amount: int) -> None:
    world.house.directory = found(("0903", ("0971",)))

    assert (await pay(world, to_phone(world, amount=amount))).field == "amount"


async def test_the_days_limit_counts_orders_that_are_pending(world: World) -> None:
    world.house.directory = found(("0903", ("0971",)))
    world.house.will("CT1", SILENCE)
    most = PROFILE.limits.alias_max["PEN"]
    running = [
        await started(pay(world, to_phone(world, amount=most)))
        for _ in range(PROFILE.limits.alias_day_max["PEN"] // most)
    ]

    assert (await pay(world, to_phone(world, amount=100))).field == "amount"
    for task in running:
        task.cancel()


async def test_two_payments_cannot_spend_the_same_money(world: World) -> None:
    world.account(DEBTOR_CCI).balance = 13_000
    first, second = await asyncio.gather(pay(world, to_cci(world)), pay(world, to_cci(world)))

    assert {first.state, second.state} == {"FINAL", "NOT_SENT"}
    assert world.account(DEBTOR_CCI).balance == 420


async def test_a_suspended_system_stops_payments(world: World) -> None:
    world.institution.session.hear(golden("SNM971", SNM971, newServiceStatus="SUSPENDED"))

    assert (await pay(world, to_cci(world))).state == "NOT_SENT"


async def test_a_refused_verification_moves_nothing(world: World) -> None:
    world.house.will("AV1", lambda asked: refused_query(asked, "AC07"))

    ended = await pay(world, to_cci(world))

    assert (ended.state, ended.response_code, ended.reason_code) == ("REJECTED", "05", "AC07")
    assert money(world) == (0, 0)


async def test_a_verification_without_answer_is_not_repeated(world: World) -> None:
    world.house.will("AV1", NoAnswer("reset"))

    ended = await pay(world, to_cci(world))

    assert (ended.state, ended.not_sent_because) == ("NOT_SENT", "no_answer")
    assert world.house.names() == ["AV1"]


async def test_a_refused_order_gives_the_money_back(world: World) -> None:
    world.house.will("CT1", lambda asked: result(asked, "05", "AC01"))

    ended = await pay(world, to_cci(world))

    assert (ended.state, ended.reason_code) == ("REJECTED", "AC01")
    assert money(world) == (0, 0)


def repeats(world: World) -> list[str]:
    return [order.messageTypeId for order in sent(world, "CT1")]


async def test_an_unanswered_order_is_repeated_as_0201_and_changed_in_nothing_else(
    world: World,
) -> None:
    world.house.will("CT1", NoAnswer("reset"), result)
    paying = await started(pay(world, to_cci(world)))
    await world.clock.advance(timedelta(seconds=1))

    assert (await paying).state == "FINAL"
    assert repeats(world) == ["0200", "0201"]
    first, second = (tin_json.encode(order) for order in sent(world, "CT1"))
    assert second == first.replace(b"0200", b"0201", 1)
    assert money(world) == (-12_580, 0)


@pytest.mark.parametrize(
    "answer",
    [SILENCE, NoAnswer("half"), BadSignature(ReasonCode.DS0A, "forged")],
    ids=["silence", "broken", "forged"],
)
async def test_an_order_without_a_sound_answer_stays_pending_until_there_is_one(
    world: World, answer: object
) -> None:
    world.house.will("CT1", answer, answer, answer, answer, result)
    paying = await started(pay(world, to_cci(world)))
    while not paying.done():
        await world.clock.advance(timedelta(seconds=1))
    ended = await paying

    assert ended.state == "PENDING"
    assert money(world) == (0, 12_580)
    await world.clock.advance(timedelta(seconds=60))
    assert repeats(world) == ["0200", *["0201"] * 4]
    assert money(world) == (-12_580, 0)


async def test_an_order_that_never_left_gives_the_money_back(world: World) -> None:
    world.house.will("CT1", NotConnected("refused"))
    paying = await started(pay(world, to_cci(world)))
    await world.clock.advance(timedelta(seconds=2))

    assert (await paying).state == "NOT_SENT"
    assert money(world) == (0, 0)


async def test_a_reference_unknown_to_a_repeat_was_never_executed(world: World) -> None:
    world.house.will("CT1", NoAnswer("crash"), lambda asked: result(asked, "05", "BE15"))
    paying = await started(pay(world, to_cci(world)))
    await world.clock.advance(timedelta(seconds=1))

    assert (await paying).state == "REJECTED"
    assert money(world) == (0, 0)


@pytest.mark.parametrize("reason", ["AM05", "DS0A"])
async def test_a_repeat_refused_for_itself_says_nothing_of_the_first(
    world: World, reason: str
) -> None:
    world.house.will(
        "CT1",
        NoAnswer("lost"),
        lambda asked: result(asked, "05", reason, instructionId=""),
        result,
    )
    paying = await started(pay(world, to_cci(world)))
    await world.clock.advance(timedelta(seconds=2))

    assert (await paying).state == "FINAL"


async def test_the_result_of_another_amount_is_not_believed(world: World) -> None:
    world.house.will("CT1", lambda asked: result(asked, amount=1), result)
    paying = await started(pay(world, to_cci(world)))
    await world.clock.advance(timedelta(seconds=1))

    assert (await paying).state == "FINAL"
    assert len(repeats(world)) == 2


async def test_a_pending_order_is_taken_up_after_a_restart(world: World) -> None:
    world.house.will("CT1", SILENCE)
    paying = await started(pay(world, to_cci(world)))
    order = world.books.changes[-1].debit
    assert isinstance(order, DebitOrder)
    paying.cancel()
    again = World(
        "0970",
        [an_account(cci=DEBTOR_CCI, participant="0970", balance=OPENING, held=12_580)],
        pending=[order],
    )
    again.house.will("CT1", result)

    again.office.debtor.resume()
    await again.clock.advance(timedelta(seconds=0.1))
    await again.clock.advance(timedelta(seconds=2))

    assert repeats(again) == ["0201"]
    assert money(again) == (-12_580, 0)
    last = again.books.changes[-1].debit
    assert last is not None
    assert last.state is DebitState.FINAL
    await again.close()
