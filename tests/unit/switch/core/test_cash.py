"""The life of a withdrawal: the table of legal moves, ids, entries."""

import itertools

import pytest

from scheme.errors import IllegalEvent
from scheme.ledger import DALE, NATIONAL
from scheme.network import Participant
from switch.core.cash import (
    POSTED,
    REVERSAL_SUFFIX,
    TRANSITIONS,
    CashRecord,
    CashState,
    Event,
    IssuerApproved,
    IssuerDeclined,
    IssuerSilent,
    IssuerUnreachable,
    MachineGaveUp,
    ReversalRefused,
    ReversalTaken,
    advance,
    after_reversal,
    approval_code,
    cash_entries,
    cash_id,
    ledgers_between,
    pack_cash,
    unpack_cash,
)
from switch.core.records import is_cash

EVENTS: tuple[Event, ...] = (
    IssuerApproved(""),
    IssuerDeclined("51", "FF07"),
    IssuerUnreachable(),
    IssuerSilent(),
    MachineGaveUp(was_asked=True),
    ReversalTaken(),
    ReversalRefused(),
)


def a_coop(code: str, sponsor: str = "0987") -> Participant:
    return Participant(code=code, name="SIMULADA", kind="coop", ledger=DALE, sponsor=sponsor)


def a_bank(code: str) -> Participant:
    return Participant(code=code, name="SIMULADA", kind="bank")


@pytest.mark.parametrize(("state", "event"), [*itertools.product(CashState, EVENTS)])
def test_only_what_the_table_allows_moves(state: CashState, event: Event) -> None:
    target = TRANSITIONS.get((state, type(event)))
    if target is None:
        with pytest.raises(IllegalEvent):
            advance(state, event)
    else:
        assert advance(state, event) is target


def test_nothing_leads_out_of_what_was_posted_but_a_dispute() -> None:
    out = {target for (state, _), target in TRANSITIONS.items() if state in POSTED}
    assert out == {CashState.APPROVED, CashState.DISPUTED_POSTED}


def test_one_that_nobody_was_asked_about_ends_at_once() -> None:
    event = MachineGaveUp(was_asked=False)
    assert advance(CashState.AUTHORISING, event) is CashState.CANCELLED


def test_a_reversal_after_an_approval_keeps_it_posted() -> None:
    owed = "W1" + REVERSAL_SUFFIX
    assert after_reversal(owed, refused=False) is CashState.APPROVED
    assert after_reversal(owed, refused=True) is CashState.DISPUTED_POSTED
    assert after_reversal("W1:0420", refused=True) is None


def test_ids_are_in_the_order_of_time_and_known_as_cash() -> None:
    first = cash_id("0991", "iso:1", "20260115", "120000")
    later = cash_id("0991", "iso:0", "20260115", "120001")
    assert first < later
    assert is_cash(first)
    assert len(first) == 33
    assert len(approval_code(first)) == 6


@pytest.mark.parametrize(
    ("issuer", "acquirer", "ways"),
    [
        (a_bank("0002"), a_bank("0991"), [(NATIONAL, "0002", "0991")]),
        (
            a_coop("0975"),
            a_bank("0991"),
            [(DALE, "0975", "0987"), (NATIONAL, "0987", "0991")],
        ),
        (a_coop("0975"), a_bank("0987"), [(DALE, "0975", "0987")]),
        (a_coop("0975"), a_coop("0976"), [(DALE, "0975", "0976")]),
        (
            a_coop("0975"),
            a_coop("0976", "0988"),
            [(DALE, "0975", "0987"), (NATIONAL, "0987", "0988"), (DALE, "0988", "0976")],
        ),
    ],
)
def test_the_issuer_pays_by_the_legs_of_an_immediate_transfer(
    issuer: Participant, acquirer: Participant, ways: list[tuple[str, str, str]]
) -> None:
    windows = {ledger: f"{ledger}-1" for ledger in ledgers_between(issuer, acquirer)}
    entries = cash_entries(issuer, acquirer, currency="PEN", amount=5, windows=windows)
    assert [(one.debit.ledger, one.debit.owner, one.credit.owner) for one in entries] == ways
    assert {one.kind for one in entries} == {"principal"}
    assert [one.window for one in entries] == [f"{ledger}-1" for ledger, _, _ in ways]


def test_a_record_is_read_as_it_was_written() -> None:
    record = CashRecord(
        transfer_id="W1",
        key="k",
        content="c",
        acquirer="0991",
        issuer="0975",
        account="1",
        phone="",
        machine="ATM",
        amount=5,
        currency="PEN",
        created_ms=1,
        windows={"national": "w"},
        sent=b"\x00",
    )
    assert unpack_cash(pack_cash(record)) == record
