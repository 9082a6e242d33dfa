"""Payments: their states, their ids, their entries, and what is owed about them."""

from __future__ import annotations

import msgspec
import pytest

from scheme.errors import IllegalEvent, MalformedMessage
from scheme.ledger import Entry
from scheme.masking import mask_message
from scheme.messages.payment import FIToFICstmrCdtTrf, FIToFIPmtStsRpt
from scheme.network import Participant
from scheme.wire import pacs_json
from switch.core.payment import (
    TRANSITIONS,
    Event,
    PaymentFailed,
    PaymentSettled,
    PaymentState,
    advance,
    ended,
    entries,
    instruct,
    pack_payment,
    payment_id,
    return_id,
    unpack_payment,
)
from switch.core.payment_messages import credit_transfer, status_report
from tests.support.payment_messages import CREDITOR, NOW, a_payment, a_status, a_transfer

BANK = Participant(code="0002", name="Bank", kind="bank")
OTHER = Participant(code="0003", name="Other", kind="bank")
SPONSOR = Participant(code="0987", name="Sponsor", kind="sponsor")
COOP = Participant(code="0970", name="Coop", kind="coop", ledger="dale", sponsor="0987")
SISTER = Participant(code="0971", name="Sister", kind="coop", ledger="dale", sponsor="0987")
EVENTS: tuple[Event, ...] = (PaymentSettled(), PaymentFailed("why"))


@pytest.mark.parametrize("state", list(PaymentState))
@pytest.mark.parametrize("event", EVENTS)
def test_only_what_is_open_ends_and_only_once(state: PaymentState, event: Event) -> None:
    if state is PaymentState.ACSP:
        assert advance(state, event) is TRANSITIONS[state, type(event)]
    else:
        with pytest.raises(IllegalEvent):
            advance(state, event)


def test_an_end_says_why_and_when() -> None:
    state, record = ended(a_payment(), PaymentFailed("short"), 9)
    assert (state, record.why, record.ended_ms) == (PaymentState.RJCT, "short", 9)
    assert unpack_payment(pack_payment(record)) == record


def test_ids_are_the_same_for_the_same_key_and_leave_room_for_a_messages_id() -> None:
    one = payment_id("0970", "k", "20261123", "100000")
    assert one == payment_id("0970", "k", "20261123", "100000")
    assert one != payment_id("0971", "k", "20261123", "100000")
    assert len(one) == 33
    assert return_id("t", "k") == return_id("t", "k") != return_id("u", "k")


def _legs(found: tuple[Entry, ...]) -> list[tuple[str, str, str, int, str]]:
    return [
        (one.debit.ledger, one.debit.owner, one.credit.owner, one.minor, one.window)
        for one in found
        if one.kind == "principal"
    ]


@pytest.mark.parametrize(
    ("rail", "debtor", "creditor", "expected"),
    [
        ("deferred", BANK, OTHER, [("deferred", "0002", "0003", 100, "w")]),
        (
            *("deferred", COOP, BANK),
            [("sponsor", "0970", "0987", 100, ""), ("deferred", "0987", "0002", 100, "w")],
        ),
        (
            *("deferred", BANK, COOP),
            [("deferred", "0002", "0987", 100, "w"), ("sponsor", "0987", "0970", 100, "")],
        ),
        (
            *("deferred", COOP, SISTER),
            [("sponsor", "0970", "0987", 100, ""), ("sponsor", "0987", "0971", 100, "")],
        ),
        ("lbtr", BANK, OTHER, []),
        ("lbtr", COOP, BANK, [("sponsor", "0970", "0987", 100, "")]),
        ("lbtr", COOP, SPONSOR, [("sponsor", "0970", "0987", 100, "")]),
    ],
)
def test_the_debtors_own_position_comes_first(
    rail: str, debtor: Participant, creditor: Participant, expected: list[object]
) -> None:
    found = entries(debtor, creditor, rail=rail, currency="PEN", amount=100, fee=7, window="w")
    assert _legs(found) == expected
    assert [one.minor for one in found if one.kind == "interbank_fee"] == [7] * len(expected)


def test_the_lbtr_is_instructed_only_between_two_that_settle() -> None:
    def instructed(debtor: Participant, creditor: Participant) -> tuple[str, str] | None:
        one = instruct(debtor, creditor, payment="P", currency="PEN", minor=5, at_ms=1)
        return None if one is None else (one.debit.owner, one.credit.owner)

    assert instructed(BANK, OTHER) == ("0002", "0003")
    assert instructed(COOP, BANK) == ("0987", "0002")
    assert instructed(COOP, SISTER) is None
    assert instructed(COOP, SPONSOR) is None


def test_messages_say_the_payment_whole() -> None:
    (transfer,) = a_transfer().CdtTrfTxInf
    assert (transfer.InstdAmt.Amt, transfer.IntrBkSttlmAmt.Amt) == ("50000.00", "50000.40")
    assert transfer.IntrBkSttlmDt == "2026-11-23"
    (status,) = a_status("RJCT", why="too late").TxInfAndSts
    (reason,) = status.StsRsnInf
    assert (reason.Rsn.Cd, reason.AddtlInf) == ("ED05", "too late")
    assert a_transfer(description="").CdtTrfTxInf[0].RmtInf is None


def test_each_message_has_an_id_of_its_own_and_repeats_it() -> None:
    ids = {a_status(one).GrpHdr.MsgId for one in PaymentState} | {a_transfer().GrpHdr.MsgId}
    assert len(ids) == 4
    assert all(len(one) <= 35 for one in ids)


def test_nothing_is_owed_to_who_listens_nowhere() -> None:
    assert status_report(a_payment(), PaymentState.ACSP, BANK, NOW) == ()
    assert credit_transfer(a_payment(), OTHER, NOW) == ()


def test_accounts_are_masked_wherever_a_message_is_shown() -> None:
    (owed,) = credit_transfer(a_payment(), CREDITOR, NOW)
    assert owed.participant == "0971"
    shown = str(mask_message(msgspec.json.decode(owed.body)))
    assert a_payment().debtor_cci not in shown
    assert a_payment().creditor_cci not in shown


@pytest.mark.parametrize("length", range(0, 200, 7))
def test_every_truncation_is_malformed(length: int) -> None:
    (owed,) = credit_transfer(a_payment(), CREDITOR, NOW)
    with pytest.raises(MalformedMessage):
        pacs_json.decode(owed.body[:length], FIToFICstmrCdtTrf)
    with pytest.raises(MalformedMessage):
        pacs_json.decode(owed.body, FIToFIPmtStsRpt)
