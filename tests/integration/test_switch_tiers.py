"""Coops behind a sponsor: entries in both ledgers or in none, on real SQLite."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from runtime.files import load_profile
from scheme.errors import NotConnected
from scheme.ledger import DALE
from scheme.messages import AV2, CT4, CT5
from scheme.profile import Profile
from scheme.wire.tin_json import decode
from switch.core.records import unpack_transfer
from switch.core.routing import told
from tests.support.switch_world import (
    PREFUND,
    World,
    fixed_window,
    refuse_order,
    tiered_fleet,
    world,
)

NATIONAL_WINDOW, DALE_WINDOW = fixed_window("national", "PEN").id, fixed_window(DALE, "PEN").id
COOP, OTHER_COOP, BANK, SPONSOR = "0970", "0971", "0002", "0987"
BANK_CCI = "00200120030040050213"
TOTAL = 12_580


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, members=tiered_fleet()) as made:
        yield made


async def send(one: World, debtor: str, creditor: str, **changes: Any) -> tuple[CT4, str]:
    """Verify and order from one to another; return the outcome and the header."""
    cci = {COOP: None, OTHER_COOP: None}.get(creditor, f"{creditor[1:]}00120030040050213")
    parties: dict[str, Any] = {"debtorParticipantCode": debtor, "creditorParticipantCode": creditor}
    if cci is not None:
        parties["creditorCCI"] = cci
    trace = changes.pop("av_trace", "000123")
    av4 = await one.verify(trace=trace, **parties)
    assert av4.responseCode == "00", av4
    answer = await one.send(one.ct1(av4.instructionId, **parties, **changes))
    await one.settle()
    return decode(answer.body, CT4), answer.explain


def moved(one: World, transfer: str) -> list[tuple[str, str, str, int, str]]:
    """Return the posted entries: ledger, from, to, amount, window."""
    return [
        (row.ledger, row.debit, row.credit, row.minor, row.window)
        for row in one.store.entries(transfer)
    ]


def considered(one: World, transfer: str) -> dict[str, str]:
    row = one.store.row(transfer)
    assert row is not None
    return {str(r["rail"]): str(r["rule"]) for r in told(unpack_transfer(row.record).explanation)}


def untouched(one: World) -> bool:
    """Tell that nothing is held or moved anywhere."""
    return all(
        position.reserved_minor == 0 and position.balance_minor in (0, PREFUND)
        for position in one.ledger.positions()
        if position.account.owner != "lbtr"
    )


async def test_coop_to_coop_stays_in_the_network(one: World) -> None:
    ct4, _ = await send(one, COOP, OTHER_COOP)
    assert (ct4.responseCode, ct4.settlementDate) == ("00", "20260116")
    assert moved(one, ct4.instructionId) == [
        (DALE, COOP, OTHER_COOP, 12_500, DALE_WINDOW),
        (DALE, COOP, OTHER_COOP, 80, DALE_WINDOW),
    ]
    assert (one.balance(COOP, DALE), one.balance(OTHER_COOP, DALE)) == (-TOTAL, TOTAL)
    assert one.balance(SPONSOR) == PREFUND
    assert considered(one, ct4.instructionId)["network"] == "taken"
    await one.audited()


async def test_coop_to_bank_moves_both_ledgers(one: World) -> None:
    ct4, _ = await send(one, COOP, BANK)
    assert (ct4.responseCode, ct4.settlementDate) == ("00", "20260115")
    assert moved(one, ct4.instructionId) == [
        (DALE, COOP, SPONSOR, 12_500, DALE_WINDOW),
        (DALE, COOP, SPONSOR, 80, DALE_WINDOW),
        ("national", SPONSOR, BANK, 12_500, NATIONAL_WINDOW),
        ("national", SPONSOR, BANK, 80, NATIONAL_WINDOW),
    ]
    assert (one.balance(COOP, DALE), one.balance(SPONSOR, DALE)) == (-TOTAL, TOTAL)
    assert (one.balance(SPONSOR), one.balance(BANK)) == (PREFUND - TOTAL, PREFUND + TOTAL)
    await one.audited()


async def test_bank_to_coop_moves_both_ledgers(one: World) -> None:
    ct4, _ = await send(one, BANK, COOP)
    assert [entry[:4] for entry in moved(one, ct4.instructionId)] == [
        ("national", BANK, SPONSOR, 12_500),
        ("national", BANK, SPONSOR, 80),
        (DALE, SPONSOR, COOP, 12_500),
        (DALE, SPONSOR, COOP, 80),
    ]
    await one.audited()


@pytest.mark.parametrize(("debtor", "creditor"), [(COOP, SPONSOR), (SPONSOR, COOP)])
async def test_a_coop_and_its_own_sponsor_need_no_national_money(
    one: World, debtor: str, creditor: str
) -> None:
    ct4, _ = await send(one, debtor, creditor)
    assert {entry[0] for entry in moved(one, ct4.instructionId)} == {DALE}
    assert one.balance(SPONSOR) == PREFUND
    await one.audited()


async def test_a_refused_order_leaves_both_ledgers_as_they_were(one: World) -> None:
    for number, behaviour in enumerate((refuse_order("AC01"), NotConnected("gone"))):
        one.peers.on_ct2.append(behaviour)
        ct4, _ = await send(one, COOP, BANK, av_trace=f"00080{number}", trace=f"00090{number}")
        assert ct4.responseCode == "05"
    assert untouched(one)
    await one.ledger.drain()
    (sent,) = (one_ for one_ in one.ledger.tallies(DALE_WINDOW) if one_.account.owner == COOP)
    assert (sent.sent_rejected, sent.sent_rejected_minor) == (2, 2 * TOTAL)
    (got,) = (one_ for one_ in one.ledger.tallies(NATIONAL_WINDOW) if one_.account.owner == BANK)
    # Whoever could not be reached has received nothing.
    assert (got.received_rejected, got.received_rejected_minor) == (1, TOTAL)
    await one.audited()


async def test_an_exhausted_line_is_named_and_nothing_is_held(tmp_path: Path) -> None:
    async with world(tmp_path, members=tiered_fleet(), line=TOTAL - 1) as one:
        ct4, explain = await send(one, COOP, BANK)
        assert (ct4.responseCode, ct4.reasonCode) == ("05", "FF07")
        assert explain == "amount: the line of 0970 with its sponsor 0987 does not cover it"
        assert considered(one, ct4.instructionId)["tin"] == "line_short"
        assert not one.peers.orders()
        assert untouched(one)
        await one.audited()


async def test_a_sponsors_exhausted_prefund_is_named_and_nothing_is_held(tmp_path: Path) -> None:
    async with world(tmp_path, members=tiered_fleet(), prefund=TOTAL - 1) as one:
        ct4, explain = await send(one, COOP, BANK)
        assert (ct4.responseCode, ct4.reasonCode) == ("05", "FF07")
        assert explain == "amount: the prefund of 0987, sponsor of 0970, does not cover it"
        assert considered(one, ct4.instructionId)["tin"] == "sponsor_prefund_short"
        assert one.available(COOP, DALE) == PREFUND
        inside, _ = await send(one, COOP, OTHER_COOP, av_trace="000777", trace="000778")
        assert inside.responseCode == "00"
        await one.audited()


async def test_a_sponsor_signed_off_stops_what_leaves_and_enters_the_network(one: World) -> None:
    parties = {"debtorParticipantCode": COOP, "creditorParticipantCode": BANK}
    quoted = await one.verify(**parties, creditorCCI=BANK_CCI)
    await one.house.sessions.sign(SPONSOR, on=False)
    order = one.ct1(quoted.instructionId, **parties, creditorCCI=BANK_CCI)
    answer = await one.send(order)
    assert decode(answer.body, CT4).reasonCode == "FF07"
    assert answer.explain == (
        "debtorParticipantCode: 0987, sponsor of 0970, is not signed on;"
        " the rail deferred would carry it: POST /payments"
    )
    entering = await one.verify(debtorParticipantCode=BANK, creditorParticipantCode=COOP)
    assert (entering.responseCode, entering.reasonCode) == ("05", "FF07")
    inside, _ = await send(one, COOP, OTHER_COOP, av_trace="000777", trace="000778")
    assert inside.responseCode == "00"


async def test_a_preference_sends_coops_outside(one: World) -> None:
    await one.house.preferences.put(COOP, OTHER_COOP, ["tin"])
    ct4, _ = await send(one, COOP, OTHER_COOP, feeAmount=0)
    assert [entry[:3] for entry in moved(one, ct4.instructionId)] == [
        (DALE, COOP, SPONSOR),
        (DALE, SPONSOR, OTHER_COOP),
    ]
    assert considered(one, ct4.instructionId)["network"] == "not_preferred"
    await one.audited()


def by_sponsor() -> Profile:
    profile = load_profile("peru")
    return replace(profile, network=replace(profile.network, addressing="sponsor"))


async def test_outside_a_coop_may_be_called_by_its_sponsor(tmp_path: Path) -> None:
    async with world(tmp_path, members=tiered_fleet(), profile=by_sponsor()) as one:
        ct4, _ = await send(one, COOP, BANK)
        assert ct4.debtorParticipantCode == COOP
        (av2,) = (message for _, message in one.peers.sent if isinstance(message, AV2))
        (ct2,) = one.peers.orders()
        (ct5,) = (decode(o.body, CT5) for o in one.peers.delivered if o.message == "CT5")
        told_as = {one_.debtorParticipantCode for one_ in (av2, ct2, ct5)}
        assert told_as == {SPONSOR}
        psr2 = await one.ask(ct4.instructionId, asker=BANK)
        assert (psr2.responseCode, psr2.debtorParticipantCode) == ("00", SPONSOR)
        # The same order again, whichever road it would take, is a repeat: the key is the coop's.
        assert one.store.transfer_by_key(f"{COOP}:{one.peers.orders()[0].referenceTransactionId}")
        inside, _ = await send(one, COOP, OTHER_COOP, av_trace="000777", trace="000778")
        assert inside.responseCode == "00"
        assert one.peers.orders()[-1].debtorParticipantCode == COOP


async def test_what_was_held_in_both_ledgers_ends_with_a_crash(tmp_path: Path) -> None:
    async with world(tmp_path, members=tiered_fleet()) as before:
        before.peers.on_ct2.append(never())
        quoted = await before.verify(
            debtorParticipantCode=COOP, creditorParticipantCode=BANK, creditorCCI=BANK_CCI
        )
        waiting = before.start(
            before.ct1(quoted.instructionId, creditorParticipantCode=BANK, creditorCCI=BANK_CCI)
        )
        await before.settle()
        assert before.available(COOP, DALE) == PREFUND - TOTAL
        assert before.available(SPONSOR) == PREFUND - TOTAL
        waiting.cancel()
    async with world(tmp_path, members=tiered_fleet()) as after:
        assert after.expired_at_start == 1
        assert untouched(after)
        await after.audited()


def never() -> "asyncio.Future[Any]":
    return asyncio.get_running_loop().create_future()
