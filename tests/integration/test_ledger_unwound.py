"""An order of an exchange cycle that is given back: counted once, and with lines of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from clearing.ledger_sqlite import SqliteLedger
from scheme.ledger import ACCEPTED, DEFERRED, SPONSOR, OpenWindow
from tests.support.ledger_fakes import (
    a_release,
    a_reserve,
    an_account,
    an_entry,
    an_opening,
    window_of,
)


def _impossible(error: BaseException) -> None:
    raise AssertionError from error


@pytest.mark.parametrize("together", [True, False])
async def test_an_unwound_order_to_a_coop_leaves_every_position_as_it_was(
    tmp_path: Path, *, together: bool
) -> None:
    ledger = SqliteLedger.open(str(tmp_path / "ledger.db"), on_failure=_impossible, now_ms=7)
    window = OpenWindow(
        window=window_of(DEFERRED),
        cycle=DEFERRED,
        currency="PEN",
        settlement_date="20261123",
        number=1,
        opens_ms=0,
        closes_ms=100,
    )
    openings = (
        an_opening("0813", 0, cap=1_000, ledger=DEFERRED),
        an_opening("0987", 0, cap=1_000, ledger=DEFERRED),
        an_opening("0987", 0, cap=1_000, ledger=SPONSOR),
        an_opening("0970", 0, ledger=SPONSOR),
    )
    await ledger.apply((window, *openings))
    entries = (
        an_entry("0813", "0987", 500, ledger=DEFERRED),
        an_entry("0813", "0987", 40, ledger=DEFERRED, kind="interbank_fee"),
        an_entry("0987", "0970", 500, ledger=SPONSOR),
        an_entry("0987", "0970", 40, ledger=SPONSOR, kind="interbank_fee"),
    )
    order = a_reserve("p-1", *entries, state=ACCEPTED, rail="deferred", write_ahead=True)
    commands = (order, a_release("p-1"))

    if together:
        await ledger.apply(commands)
    else:
        for command in commands:
            await ledger.apply((command,))

    counted = {one.account.owner: one for one in ledger.tallies(window.window)}
    assert counted["0813"].sent_accepted_minor == 540
    assert counted["0987"].received_accepted_minor == 540
    assert all(not one.balance_minor and not one.reserved_minor for one in ledger.positions())
    assert await ledger.recount_window(window.window) == ledger.tallies(window.window)
    audit = await ledger.audit()
    assert audit.clean, audit
    assert an_account("0970", SPONSOR) in {one.account for one in ledger.positions()}
    ledger.close()
