"""When the rail of the central bank closes, and whose payments it drops then."""

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from clearing.holiday_table import calendar
from clearing.lbtr import Lbtr
from runtime.clock import ManualClock
from runtime.files import load_profile
from scheme.ledger import LBTR
from tests.support.ledger_fakes import MemoryLedger, a_settle, an_instruct, an_opening

PROFILE = load_profile("peru")


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}-05:00").astimezone(UTC)


def lbtr(now: str, ledger: MemoryLedger | None = None, *, hours: bool = True) -> Lbtr:
    profile = PROFILE if hours else replace(PROFILE, rails=replace(PROFILE.rails, hours={}))
    return Lbtr(
        ledger or MemoryLedger(),
        profile=profile,
        calendar=calendar(PROFILE.windows, 2026),
        clock=ManualClock(at(now)),
    )


@pytest.mark.parametrize(
    ("now", "closes"),
    [
        ("2026-11-23T17:59:59", "2026-11-23T18:00:00"),
        ("2026-11-23T18:00:00", "2026-11-24T18:00:00"),
        ("2026-11-27T18:00:00", "2026-11-30T18:00:00"),
        ("2026-12-07T19:00:00", "2026-12-10T18:00:00"),
    ],
)
def test_it_closes_on_business_days(now: str, closes: str) -> None:
    assert lbtr(now).next_closing() == at(closes)


async def test_a_rail_without_hours_never_closes() -> None:
    always = lbtr("2026-11-23T12:00:00", hours=False)

    assert always.next_closing() is None
    await always.drop_late()


async def test_only_customers_payments_of_before_the_closing_are_dropped() -> None:
    ledger = MemoryLedger()
    before, after = (int(at(f"2026-11-23T{hour}:00:00").timestamp() * 1000) for hour in (17, 19))
    asked = an_instruct("early", "0002", "0003", 5, kind="customer")
    await ledger.apply(
        (
            an_opening("0002", 0, ledger=LBTR),
            an_opening("0003", 0, ledger=LBTR),
            replace(asked, at_ms=before),
            replace(asked, instruction_id="pay-in", kind="pay_in", at_ms=before),
            replace(asked, instruction_id="late", at_ms=after),
        )
    )
    rail = lbtr("2026-11-23T20:00:00", ledger)
    ended: list[str] = []
    rail.on_ended = lambda one: ended.append(f"{one.instruction_id} {one.state}")

    assert await rail.pump() == 0
    await rail.drop_late()

    assert ended == ["early DROPPED"]
    assert [one.instruction_id for one in ledger.instructions()] == ["pay-in", "late"]


async def test_settlement_goes_before_customers_payments_that_came_first() -> None:
    ledger = MemoryLedger()
    asked = an_instruct("customer", "0002", "0003", 9, kind="customer")
    await ledger.apply(
        (
            an_opening("0002", 5, ledger=LBTR),
            an_opening("0003", 0, ledger=LBTR),
            asked,
            replace(asked, instruction_id="pay-in", kind="pay_in", minor=5),
        )
    )

    assert await lbtr("2026-11-23T12:00:00", ledger).pump() == 1
    assert [one.instruction_id for one in ledger.instructions()] == ["customer"]


async def test_what_settles_wakes_who_waits_for_money() -> None:
    ledger = MemoryLedger()
    await ledger.apply(
        (
            an_opening("0002", 5, ledger=LBTR),
            an_opening("0003", 0, ledger=LBTR),
            an_instruct("one", "0002", "0003", 5),
        )
    )
    rail = lbtr("2026-11-23T12:00:00", ledger)
    woken: list[bool] = []
    rail.on_moved = lambda: woken.append(True)

    assert await rail.pump() == 1
    assert await rail.pump() == 0
    assert woken == [True]
    assert await ledger.apply((a_settle("one"),))
