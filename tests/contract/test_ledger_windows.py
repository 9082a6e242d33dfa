"""What every ledger promises about windows, what they count, and their batches."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from clearing.ledger_sqlite import SqliteLedger
from clearing.ports import LedgerStore
from scheme.ledger import (
    ACCEPTED,
    APPLIED,
    DALE,
    DEFERRED,
    LBTR,
    NATIONAL,
    SPONSOR,
    Command,
    Duplicate,
    Move,
    Result,
    Short,
)
from scheme.limits import LEDGER_AMOUNT_MINOR_MAX, LEDGER_SUM_MINOR_MAX
from scheme.standing import Tally
from tests.support.ledger_fakes import (
    WINDOW,
    MemoryLedger,
    a_close_window,
    a_move,
    a_post,
    a_refuse,
    a_release,
    a_reserve,
    an_account,
    an_advance_window,
    an_entry,
    an_open_window,
    an_opening,
    an_oppose,
    window_of,
)

NEXT = window_of(NATIONAL, number=2)
ORDERS = window_of(DEFERRED)


@pytest.fixture(params=["sqlite", "memory"])
async def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LedgerStore]:
    store: SqliteLedger | MemoryLedger
    if request.param == "memory":
        store = MemoryLedger()
    else:
        store = SqliteLedger.open(str(tmp_path / "ledger.db"), on_failure=_impossible, now_ms=0)
    await store.apply((an_opening("0970", 1_000), an_opening("0002", 1_000)))
    await store.apply((an_open_window(),))
    yield store
    await store.drain()
    audit = await store.audit()
    assert audit.clean, audit.differences
    store.close()


def _impossible(error: BaseException) -> None:
    raise AssertionError from error


async def one(ledger: LedgerStore, command: Command) -> Result:
    (result,) = await ledger.apply((command,))
    return result


def tally(ledger: LedgerStore, owner: str, window: str = WINDOW, book: str = NATIONAL) -> Tally:
    account = an_account(owner, book)
    (found,) = [one for one in ledger.tallies(window) if one.account == account]
    return found


def sent(found: Tally) -> tuple[int, int, int, int]:
    return (
        found.sent_accepted,
        found.sent_accepted_minor,
        found.sent_rejected,
        found.sent_rejected_minor,
    )


def received(found: Tally) -> tuple[int, int, int, int]:
    return (
        found.received_accepted,
        found.received_accepted_minor,
        found.received_rejected,
        found.received_rejected_minor,
    )


def states(ledger: LedgerStore) -> list[tuple[str, str]]:
    return [(one.window, one.state) for one in ledger.windows()]


BOTH = (an_entry("0970", "0002", 100), an_entry("0970", "0002", 8, kind="interbank_fee"))


async def test_a_transfer_counts_once_with_its_fee_in_its_value(ledger: LedgerStore) -> None:
    await ledger.apply((a_reserve("t-1", *BOTH), a_reserve("t-2", *BOTH), a_post("t-1")))

    assert sent(tally(ledger, "0970")) == (1, 108, 0, 0)
    assert received(tally(ledger, "0002")) == (1, 108, 0, 0)
    assert tally(ledger, "0970").closing_minor == 892
    assert await ledger.recount_window(WINDOW) == ledger.tallies(WINDOW)


async def test_a_rejection_counts_for_the_creditor_only_if_he_may_have_seen_it(
    ledger: LedgerStore,
) -> None:
    await ledger.apply(
        (
            a_reserve("t-1", *BOTH),
            a_release("t-1"),
            a_reserve("t-2", *BOTH),
            a_release("t-2", was_received=False),
            a_refuse("t-3", *BOTH),
            a_refuse("t-4"),
        )
    )

    assert sent(tally(ledger, "0970")) == (0, 0, 3, 324)
    assert received(tally(ledger, "0002")) == (0, 0, 1, 108)
    assert await ledger.recount_window(WINDOW) == ledger.tallies(WINDOW)


async def test_a_sponsor_that_passes_money_on_counts_once_each_way(ledger: LedgerStore) -> None:
    await ledger.apply(
        (
            an_opening("0970", 500, ledger=DALE),
            an_opening("0971", 0, ledger=DALE),
            an_opening("0987", 0, ledger=DALE, cap=1_000),
        )
    )
    legs = (
        an_entry("0970", "0987", 100, ledger=DALE),
        an_entry("0970", "0987", 8, kind="interbank_fee", ledger=DALE),
        an_entry("0987", "0971", 100, ledger=DALE),
        an_entry("0987", "0971", 8, kind="interbank_fee", ledger=DALE),
    )
    await ledger.apply((a_reserve("t-1", *legs), a_post("t-1")))

    through = tally(ledger, "0987", window_of(DALE), DALE)
    assert (sent(through), received(through)) == ((1, 108, 0, 0), (1, 108, 0, 0))
    assert through.net_minor == 0


async def test_prefund_funding_and_drawdown_are_told_apart(ledger: LedgerStore) -> None:
    await ledger.apply((a_move("m-1", "lbtr", "0970", 70), a_move("m-2", "0970", "lbtr", 30)))

    found = tally(ledger, "0970")
    assert (found.opening_minor, found.funded, found.funded_minor) == (1_000, 1, 70)
    assert (found.drawn, found.drawn_minor, found.closing_minor) == (1, 30, 1_040)
    assert await ledger.recount_window(WINDOW) == ledger.tallies(WINDOW)


async def test_what_a_later_window_received_is_not_drawn_while_an_earlier_one_owes(
    ledger: LedgerStore,
) -> None:
    prefund = "0970:prefund"
    await ledger.apply(
        (
            an_opening("0970", 0, ledger=LBTR),
            an_opening(prefund, 1_000, ledger=LBTR),
            an_opening("0002:prefund", 1_000, ledger=LBTR),
            a_reserve("t-1", an_entry("0970", "0002", 300)),
            a_post("t-1"),
            an_open_window(NEXT),
            a_reserve("t-2", an_entry("0002", "0970", 300, window=NEXT)),
            a_post("t-2"),
        )
    )

    def drawdown(name: str, minor: int) -> Move:
        entries = (
            an_entry("0970", "lbtr", minor, kind="drawdown", window=NEXT),
            an_entry(prefund, "0970", minor, kind="drawdown", ledger=LBTR),
        )
        return Move(movement_id=name, entries=entries, digest="d", at_ms=4)

    short = Short(an_account(prefund, LBTR), 700)
    assert await one(ledger, drawdown("m-1", 701)) == short
    assert await one(ledger, drawdown("m-1", 700)) == APPLIED
    assert isinstance(await one(ledger, drawdown("m-1", 700)), Duplicate)


async def test_what_is_taken_back_counts_as_sent_by_who_gives_it(ledger: LedgerStore) -> None:
    await ledger.apply((a_reserve("t-1", *BOTH), a_post("t-1"), an_oppose("o-1", "t-1", 40)))

    assert sent(tally(ledger, "0002")) == (1, 40, 0, 0)
    assert received(tally(ledger, "0970")) == (1, 40, 0, 0)
    assert await ledger.recount_window(WINDOW) == ledger.tallies(WINDOW)


async def test_who_must_give_back_needs_the_money(ledger: LedgerStore) -> None:
    await ledger.apply((a_reserve("t-1", *BOTH), a_post("t-1")))
    await one(ledger, a_reserve("t-2", an_entry("0002", "0970", 1_100)))

    assert await one(ledger, an_oppose("o-1", "t-1", 40)) == Short(an_account("0002"), 8)
    assert await one(ledger, an_oppose("o-1", "t-1", 8)) == APPLIED


async def test_orders_of_the_cycles_count_when_they_are_accepted(ledger: LedgerStore) -> None:
    await ledger.apply(
        (
            an_opening("0987", 0, ledger=DEFERRED, cap=500),
            an_opening("0002", 0, ledger=DEFERRED, cap=500),
            an_opening("0970", 300, ledger=SPONSOR),
            an_opening("0987", 0, ledger=SPONSOR, cap=500),
            an_open_window(ORDERS, cycle=DEFERRED),
        )
    )
    legs = (
        an_entry("0970", "0987", 100, ledger=SPONSOR),
        an_entry("0987", "0002", 100, ledger=DEFERRED),
    )
    for name in ("p-1", "p-2"):
        await one(ledger, a_reserve(name, *legs, state=ACCEPTED, rail=DEFERRED))
    before = ledger.tallies(ORDERS)

    assert sent(tally(ledger, "0987", ORDERS, DEFERRED)) == (2, 200, 0, 0)
    assert [held.transfer_id for held in ledger.held_in(ORDERS)] == ["p-1", "p-2"]
    assert ledger.held_in(ORDERS)[0].entries == legs

    # The batch is made while they are held, and nothing that ends them changes it.
    await ledger.apply((an_advance_window("CLOSING", ORDERS), a_close_window(ORDERS)))
    await ledger.apply((a_post("p-1"), a_release("p-2")))
    assert ledger.tallies(ORDERS) == before
    assert await ledger.recount_window(ORDERS) == before
    assert ledger.held_in(ORDERS) == ()


async def test_a_transfer_without_interbank_money_holds_and_counts_nothing(
    ledger: LedgerStore,
) -> None:
    before = ledger.tallies(WINDOW)
    on_us = a_reserve("t-1")
    on_us = type(on_us)(
        **{name: getattr(on_us, name) for name in on_us.__struct_fields__} | {"entries": ()}
    )

    await ledger.apply((on_us, a_post("t-1")))
    await ledger.drain()

    assert await one(ledger, on_us) == Duplicate("t-1", b"posted")
    assert ledger.tallies(WINDOW) == before


async def test_a_window_that_was_never_opened_counts_too(ledger: LedgerStore) -> None:
    elsewhere = an_entry("0970", "0002", 5, window="national-PEN-20300101-1")

    await ledger.apply((a_reserve("t-1", elsewhere), a_post("t-1")))

    assert sent(tally(ledger, "0970", "national-PEN-20300101-1")) == (1, 5, 0, 0)
    assert ledger.window("national-PEN-20300101-1") is None


async def test_a_window_waits_for_its_transfers_and_says_when_they_are_over(
    ledger: LedgerStore,
) -> None:
    told: list[str] = []
    ledger.on_released = told.append
    await ledger.apply((a_reserve("t-1"), a_reserve("t-2"), an_open_window(NEXT)))
    await one(ledger, an_advance_window("CLOSING"))
    stand = ledger.window(WINDOW)
    assert stand is not None
    assert (stand.state, stand.held) == ("CLOSING", 2)

    await one(ledger, a_reserve("t-3", an_entry("0970", "0002", 1, window=NEXT)))
    await ledger.apply((a_release("t-3"), a_post("t-1")))
    with pytest.raises(AssertionError, match="still hold"):
        await ledger.apply((a_close_window(),))
    assert told == []

    await one(ledger, a_release("t-2"))
    assert told == [WINDOW]


async def test_a_batch_is_made_once_and_hands_its_balances_on(ledger: LedgerStore) -> None:
    await ledger.apply((a_reserve("t-1", *BOTH), a_post("t-1"), an_open_window(NEXT)))
    await one(ledger, a_reserve("t-2", an_entry("0970", "0002", 1, window=NEXT)))
    await one(ledger, an_advance_window("CLOSING"))
    openings = tuple((one.account, one.closing_minor) for one in ledger.tallies(WINDOW))
    close = a_close_window(WINDOW, NEXT, *openings, batch=b'{"batch":1}')

    assert await one(ledger, close) == APPLIED
    again = a_close_window(WINDOW, NEXT, *openings, batch=b'{"batch":2}')
    assert await one(ledger, again) == Duplicate(WINDOW, b'{"batch":1}')
    await ledger.drain()
    assert await one(ledger, again) == Duplicate(WINDOW, b'{"batch":1}')

    assert ledger.batch(WINDOW) == b'{"batch":1}'
    assert ledger.batch(NEXT) is None
    assert tally(ledger, "0970", NEXT).opening_minor == 892
    assert await ledger.recount_window(NEXT) == ledger.tallies(NEXT)
    assert states(ledger) == [(WINDOW, "CLOSED"), (NEXT, "OPEN")]


@pytest.mark.parametrize(
    "command",
    [
        a_reserve("t-9"),
        a_move("m-9", "lbtr", "0970", 1),
        an_opening("0971", 1),
        an_advance_window("OPEN"),
        an_advance_window("CLOSING"),
        an_advance_window("CLOSING", "unknown-1"),
        a_close_window("unknown-1"),
    ],
)
async def test_nothing_enters_a_window_that_has_its_batch(
    ledger: LedgerStore, command: Command
) -> None:
    await ledger.apply((an_advance_window("CLOSING"), a_close_window()))
    before = ledger.tallies(WINDOW)

    with pytest.raises(AssertionError):
        await ledger.apply((command,))

    assert ledger.tallies(WINDOW) == before


async def test_a_late_refusal_is_remembered_and_counts_nowhere(ledger: LedgerStore) -> None:
    await ledger.apply((an_advance_window("CLOSING"), a_close_window()))
    before = ledger.tallies(WINDOW)

    assert await one(ledger, a_refuse("t-1", *BOTH)) == APPLIED

    assert ledger.tallies(WINDOW) == before
    assert await one(ledger, a_refuse("t-2", key="key-t-1")) == Duplicate("t-1", b"refused")


@pytest.mark.parametrize("end", ["SETTLED", "PARTIAL"])
async def test_a_window_at_its_end_is_read_like_any_other(ledger: LedgerStore, end: str) -> None:
    await ledger.apply((a_reserve("t-1", *BOTH), a_post("t-1"), an_open_window(NEXT)))
    await ledger.apply((an_advance_window("CLOSING"), a_close_window()))
    before = ledger.tallies(WINDOW)
    await one(ledger, an_advance_window("SETTLING", record=b"half"))
    await one(ledger, an_advance_window("FAILED"))
    assert ledger.past_windows(9) == ()
    await one(ledger, an_advance_window("SETTLING"))
    await one(ledger, an_advance_window(end, record=b"whole"))
    await ledger.drain()

    stand = ledger.window(WINDOW)
    assert stand is not None
    assert (stand.state, stand.record, stand.closed_ms) == (end, b"whole", 7)
    assert ledger.past_windows(9) == (stand,)
    assert states(ledger) == [(NEXT, "OPEN")]
    assert ledger.tallies(WINDOW) == before
    assert await ledger.recount_window(WINDOW) == before
    assert await one(ledger, an_open_window()) == APPLIED, "opened again, it stays as it is"
    assert ledger.window(WINDOW) == stand


async def test_a_note_is_decided_at_once(ledger: LedgerStore) -> None:
    assert ledger.note((an_open_window(NEXT), a_reserve("t-1"))) == [APPLIED, APPLIED]

    assert states(ledger) == [(WINDOW, "OPEN"), (NEXT, "OPEN")]
    assert await one(ledger, a_reserve("t-1")) == Duplicate("t-1", b"reserved")


async def test_sums_that_would_leave_their_range_are_refused_before_anything_changes(
    ledger: LedgerStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert LEDGER_SUM_MINOR_MAX + 8 * LEDGER_AMOUNT_MINOR_MAX < 2**63
    monkeypatch.setattr("clearing.core.tally.LEDGER_SUM_MINOR_MAX", 2_500)
    await ledger.apply((a_reserve("t-1", an_entry("0970", "0002", 300)),))
    before = (ledger.tallies(WINDOW), ledger.positions())
    every: tuple[Command, ...] = (
        a_reserve("t-2", an_entry("0970", "0002", 201)),
        a_refuse("t-2", an_entry("0970", "0002", 201)),
        a_move("m-2", "lbtr", "0970", 201),
        an_opening("0003", 201),
        a_reserve("t-2", an_entry("0970", "0002", LEDGER_AMOUNT_MINOR_MAX + 1)),
    )

    for command in every:
        with pytest.raises(AssertionError, match=r"LEDGER_SUM_MINOR_MAX|range"):
            await ledger.apply((command,))

    assert (ledger.tallies(WINDOW), ledger.positions()) == before
    await ledger.apply((a_post("t-1"), a_move("m-1", "lbtr", "0970", 200)))


async def test_a_funding_in_two_ledgers_is_whole_or_not_at_all(ledger: LedgerStore) -> None:
    await ledger.apply(
        (
            an_opening("0970", 50, ledger=LBTR),
            an_opening("0970:prefund", 1_000, ledger=LBTR),
        )
    )

    def funding(name: str, minor: int) -> Move:
        own = an_entry("0970", "0970:prefund", minor, kind="funding", ledger=LBTR)
        entries = (an_entry("lbtr", "0970", minor, kind="funding"), own)
        return Move(movement_id=name, entries=entries, digest="d", at_ms=4)

    assert await one(ledger, funding("m-1", 51)) == Short(an_account("0970", LBTR), 50)
    assert await one(ledger, funding("m-2", 50)) == APPLIED
    prefund = ledger.position(an_account("0970:prefund", LBTR))
    assert prefund is not None
    assert prefund.balance_minor == 1_050
