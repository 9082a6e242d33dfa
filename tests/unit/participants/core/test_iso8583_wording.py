from __future__ import annotations

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from participants.core import iso8583_creditor as incoming
from participants.core import iso8583_debtor as outgoing
from participants.core import iso8583_wording as iso
from participants.core.book import AccountStatus
from scheme.cci import placeholder
from scheme.errors import NoAnswer
from scheme.messages import AV1, CT1
from scheme.reasons import ReasonCode
from scheme.wire import iso8583_reasons as codes
from scheme.wire.iso8583_codec import Codec
from scheme.wire.iso8583_spec import SPECS
from tests.support.fleet_world import CREDITOR_CCI, START, an_account, golden
from tests.support.lane_fleet import SUBJECT, a_request, a_reversal

LAST_DAY = datetime(2026, 12, 31, 23, 0, tzinfo=UTC)


def test_a_repeat_has_the_key_of_its_request_and_a_reversal_names_it() -> None:
    sent = a_request("40")

    assert iso.key_of(sent | {"t": "0201", "7": "0115151699"}) == iso.key_of(sent)
    assert iso.original_key(a_reversal(sent, e11="000777")) == iso.key_of(sent)
    assert iso.key_of(a_request("40", e13="0116")) != iso.key_of(sent)


def test_every_reason_has_a_code_that_is_a_refusal() -> None:
    for reason in ReasonCode:
        answer = iso.refusal_of(a_request("40"), reason)
        assert len(answer["39"]) == 2
        assert iso.is_refusal(answer)
        assert iso.reason_behind(answer) == reason


@pytest.mark.parametrize("code", ["68", "96", "58", "09", ""])
def test_some_codes_alone_leave_the_outcome_open(code: str) -> None:
    answer = iso.answer_to(a_request("40"), code)

    assert not iso.is_refusal(answer)
    with pytest.raises(NoAnswer):
        outgoing.result(golden("CT1-by-cci", CT1), answer, START)


def test_a_code_without_a_reason_has_its_usual_one() -> None:
    assert iso.reason_behind({"t": "0210", "39": "14"}) == ReasonCode.AC01
    assert iso.reason_behind({"t": "0210", "39": "05"}) == ReasonCode.FF07


@pytest.mark.parametrize("reason", ReasonCode)
def test_codes_and_reasons_are_those_of_the_clearing_house(reason: ReasonCode) -> None:
    answer = iso.refusal_of(a_request("40"), reason)
    bare = {"t": "0210", "39": answer["39"]}

    assert answer["39"] == codes.response_code_of(reason)
    assert iso.reason_behind(bare) == codes.reason_of(answer["39"])


def test_a_reason_of_a_cores_own_is_passed_on_as_it_is() -> None:
    bare = {"t": "0210", "39": "14"}
    assert iso.reason_behind(bare | {"62": iso.tagged({"03": "ZZ99"})}) == "ZZ99"


def test_the_year_of_a_day_is_the_closer_one() -> None:
    assert iso.year_of("0101", LAST_DAY) == "20270101"
    assert iso.year_of("1231", START) == "20251231"
    assert iso.year_of("0115", START) == "20260115"


def test_amounts_of_accounts_read_back() -> None:
    for minor in (0, 1, 250_000, -3):
        assert iso.available_in(iso.account_amount("604", minor)) == minor
    assert iso.available_in("") is None


def test_an_order_is_the_same_request_when_it_is_repeated() -> None:
    message = golden("CT1-by-cci", CT1)
    first = outgoing.order(message, START)
    again = outgoing.order(replace(message, messageTypeId="0201"), LAST_DAY)

    assert (first["t"], again["t"]) == ("0200", "0201")
    told = {key for key in first if first[key] != again[key]}
    assert told == {"t", "7"}
    assert iso.tags(first, "48")["10"] == message.referenceTransactionId
    assert int(first["4"]) == message.amount
    assert (first["102"], first["103"]) == (message.debtorCCI, message.creditorCCI)


def test_a_query_by_alias_carries_no_account() -> None:
    asked = golden("AV1-by-phone", AV1, channel="52", creditorMobileNumber="900000202",
                   creditorCCI=placeholder("0971"))  # fmt: skip
    fields = outgoing.query(asked, START)

    assert "103" not in fields
    parties = iso.tags(fields, "48")
    assert (parties["01"], parties["02"], parties["03"]) == (
        asked.creditorParticipantCode, "P", "900000202",
    )  # fmt: skip


def test_a_found_account_becomes_an_av4() -> None:
    asked = golden("AV1-by-cci", AV1)
    told = {"08": "SOCIO DOS", "13": "O", "01": "0971"}
    answer = iso.answer_to(outgoing.query(asked, START), "00", subject=SUBJECT, parties=told)
    found = outgoing.found(asked, answer | {"103": CREDITOR_CCI})

    assert (found.responseCode, found.instructionId) == ("00", SUBJECT)
    assert (found.creditorName, found.creditorCCI, found.creditorParticipantCode) == (
        "SOCIO DOS", CREDITOR_CCI, "0971",
    )  # fmt: skip


def test_an_account_behind_an_alias_names_its_institution_by_itself() -> None:
    asked = golden("AV1-by-phone", AV1)
    approved = iso.answer_to(outgoing.query(asked, START), "00", subject=SUBJECT)

    assert outgoing.found(asked, approved | {"103": CREDITOR_CCI}).creditorParticipantCode == "0971"
    nowhere = outgoing.found(asked, approved | {"103": placeholder("0971")})
    assert nowhere.creditorParticipantCode == asked.creditorParticipantCode


def test_a_query_by_token_or_without_any_alias_says_so() -> None:
    by_token = golden("AV1-by-qr", AV1)
    alone = golden("AV1-by-phone", AV1, creditorMobileNumber=None)

    told = iso.tags(outgoing.query(by_token, START), "48")
    assert (told["02"], told["03"]) == ("Q", by_token.proxyValue)
    assert "02" not in iso.tags(outgoing.query(alone, START), "48")


def test_an_answer_that_names_no_id_or_is_none_is_no_answer() -> None:
    asked = golden("AV1-by-cci", AV1)
    approved = iso.answer_to(outgoing.query(asked, START), "00")

    with pytest.raises(NoAnswer, match="found under no id"):
        outgoing.found(asked, approved)
    with pytest.raises(NoAnswer, match="MTI"):
        outgoing.found(asked, approved | {"t": "0430"})


def test_tags_that_cannot_be_read_count_as_absent() -> None:
    assert iso.tags({"48": "01999X"}, "48") == {}


@pytest.mark.parametrize(
    ("status", "minor", "reason"),
    [
        (AccountStatus.BLOCKED, 100, ReasonCode.AC06),
        (AccountStatus.CLOSED, 100, ReasonCode.AC07),
        (AccountStatus.ACTIVE, 0, ReasonCode.AM01),
        (AccountStatus.ACTIVE, 100, None),
    ],
)
def test_cash_is_refused_by_the_state_of_the_account(
    status: str, minor: int, reason: ReasonCode | None
) -> None:
    assert incoming.cash_refusal(an_account(status=status), "604", minor) == reason


def test_a_result_becomes_a_ct4() -> None:
    message = golden("CT1-by-cci", CT1)
    sent = outgoing.order(message, START)
    paid = outgoing.result(
        message, iso.answer_to(sent, "00", subject=SUBJECT, more={"15": "0115"}), START
    )
    refused = outgoing.result(message, iso.refusal_of(sent, ReasonCode.AC07), START)

    assert (paid.responseCode, paid.instructionId, paid.settlementDate) == (
        "00", SUBJECT, "20260115",
    )  # fmt: skip
    assert (refused.responseCode, refused.reasonCode) == ("05", "AC07")


def test_a_request_to_a_core_is_the_order_it_stands_for() -> None:
    order = incoming.order_of(a_request("40"), START)

    assert (order.amount, order.feeAmount, order.interbankSettlementAmount) == (12_500, 80, 12_580)
    assert (order.debtorParticipantCode, order.instructionId) == ("0970", SUBJECT)
    assert (order.channel, order.referenceTransactionId) == ("91", SUBJECT)
    by_phone = a_request("33", e48=iso.tagged({"02": "P", "03": "900000202"}))
    assert incoming.query_of(by_phone, START).channel == "52"


def test_a_card_is_a_bin_and_the_accounts_own_digits() -> None:
    account = an_account()

    assert incoming.card_of(account, ("970971",)) == "970971" + account.cci[8:18]
    assert incoming.card_of(account, ()) == ""


@pytest.mark.parametrize("spec", sorted(SPECS))
def test_what_is_said_fits_the_tables(spec: str) -> None:
    spoken = Codec(SPECS[spec])
    sent = outgoing.order(golden("CT1-by-cci", CT1), START)
    for fields in (
        outgoing.query(golden("AV1-by-cci", AV1), START),
        sent,
        iso.answer_to(a_request("40"), "00", subject=SUBJECT, parties={"08": "X"}),
        iso.refusal_of(a_request("40"), ReasonCode.AM05, rule="DE11: known"),
        iso.answer_to(a_reversal(a_request("40")), "25"),
    ):
        assert spoken.decode(spoken.encode(fields)) == fields
