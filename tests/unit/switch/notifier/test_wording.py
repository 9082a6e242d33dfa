"""What notices say, and what none of them may."""

from __future__ import annotations

import string
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from scheme.cci import compose
from scheme.reasons import ReasonCode
from switch.core.records import TransferRecord, pack
from switch.notifier import texts
from switch.notifier.events import AlertRow, Parties, ReturnRow, TransferRow, parties_of
from switch.notifier.texts import Text
from switch.notifier.wording import Wording
from tests.support.notice_world import AT_MS, CREDITOR, DEBTOR, MINOR, ORDER, member_of, record_of
from tests.support.settlement_world import FLEET

WORDING = Wording(FLEET.by_code(), member_of)


def a_row(**changes: Any) -> TransferRow:
    row = TransferRow(7, "t-1", "POSTED", "", "0002", "0003", "PEN", MINOR, AT_MS, record_of("t-1"))
    return replace(row, **changes)


def said(row: TransferRow, parties: Parties | None = None) -> list[dict[str, Any]]:
    messages = WORDING.of_transfer(row, parties or parties_of(row))
    return [msgspec.json.decode(message.payload) for message in messages]


@pytest.mark.parametrize("state", ["POSTED", "REJECTED"])
def test_no_notice_tells_a_phone_a_document_or_a_whole_account(state: str) -> None:
    order = replace(ORDER, debtorCCI=DEBTOR, creditorCCI=CREDITOR)
    record = TransferRecord(
        ct1=order,
        instruction_id="t-1",
        requested_creditor="0003",
        creditor_agent="0003",
        settlement_date="20261123",
        window="w",
        created_ms=1,
    )
    row = a_row(state=state, reason="AC01", record=pack(record))
    back = ReturnRow(-1, "r-1", 5, AT_MS, row)
    parties = parties_of(row)
    told = [*WORDING.of_transfer(row, parties), *WORDING.of_return(back, parties)]

    text = b"".join(one.payload for one in told).decode()

    assert told
    secrets = (order.debtorMobileNumber, order.creditorMobileNumber, order.debtorId)
    for secret in (*secrets, DEBTOR, CREDITOR, order.debtorName, order.creditorName):
        assert secret
        assert secret not in text


def test_the_other_side_is_named_as_directories_show_it() -> None:
    debit, credit = said(a_row())

    assert debit["with"] == {"institution": "BANK B", "name": "SOCIO DOS D."}
    assert credit["with"] == {"institution": "BANK A", "name": "SOCIA UNO D."}


def test_an_institution_that_left_the_fleet_is_named_by_its_code() -> None:
    assert said(a_row(creditor_agent="0999"))[0]["with"]["institution"] == "0999"


def test_a_code_of_an_institutions_own_is_told_as_it_is() -> None:
    (notice,) = said(a_row(state="REJECTED", reason="ZZ99"))

    assert notice["reason"]["code"] == "ZZ99"
    assert notice["reason"]["es"] == texts.OTHER_REASON.es


def test_dollars_and_cents_are_written_out() -> None:
    notice = said(a_row(currency="USD", minor=5))[0]

    assert (notice["amount"], notice["currency"]) == ("0.05", "USD")
    assert "US$ 0.05" in notice["es"]


def test_one_who_pays_himself_is_told_twice_with_two_ids() -> None:
    row = a_row()
    notices = said(row, Parties(DEBTOR, DEBTOR))

    assert [one["id"] for one in notices] == ["t-1:debit", "t-1:credit"]


def test_only_an_institutions_own_prefund_is_told() -> None:
    low = AlertRow("national", "PEN", "0002", 50, 100, 1)

    (message,) = WORDING.of_alert(low, 3, AT_MS)

    assert message.topic == "cq1/i/0002/n"
    assert msgspec.json.decode(message.payload)["id"] == "0002:national:PEN:3:low_prefund"
    assert not list(WORDING.of_alert(replace(low, ledger="lbtr"), 3, AT_MS))
    assert not list(WORDING.of_alert(replace(low, owner="0002:prefund"), 3, AT_MS))


@pytest.mark.parametrize(
    "name", [one for one in dir(texts) if isinstance(getattr(texts, one), Text)]
)
def test_both_languages_say_the_same_things(name: str) -> None:
    text: Text = getattr(texts, name)

    def named(one: str) -> set[str | None]:
        return {field for _, field, _, _ in string.Formatter().parse(one)}

    assert named(text.es) == named(text.en)


def test_every_reason_has_words_in_both_languages() -> None:
    assert texts.REASONS.keys() == {code.value for code in ReasonCode}
    assert all(one.es and one.en for one in texts.REASONS.values())


def test_a_card_is_nobodys_account() -> None:
    order = replace(ORDER, creditorCCI=None, creditorCreditCard="4000000000000002")
    record = msgspec.msgpack.decode(record_of("t-1"), type=TransferRecord)
    row = a_row(record=pack(replace(record, ct1=order)))

    assert parties_of(row).creditor_account == ""
    assert compose("002", "001", f"{1:012}") == DEBTOR


def test_thousands_are_set_apart_in_sentences_and_not_in_figures() -> None:
    low = AlertRow("national", "PEN", "0002", 123_456_789, 200_000_000, 1)

    (message,) = WORDING.of_alert(low, 3, AT_MS)

    told = msgspec.json.decode(message.payload)
    assert "S/ 1,234,567.89" in told["en"]
    assert told["balance"] == "1234567.89"
