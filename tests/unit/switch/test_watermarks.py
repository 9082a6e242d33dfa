"""What participants are told about their prefund."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runtime.clock import ManualClock
from scheme.batch import Batch, BatchRow, Counted, Outcome
from scheme.ledger import DALE, NATIONAL, Owed, SetAlert
from scheme.network import Participant
from switch.core.notices import NoticeHead
from switch.watermarks import Watermarks
from tests.support.ledger_fakes import MemoryLedger, a_reserve, an_account, an_entry, an_opening

AT = datetime(2026, 1, 15, 21, 36, tzinfo=UTC)
COOP = Participant(code="0970", name="COOPAC SIMULADA UNO", kind="coop", port=1)
TIERED = Participant(code="0971", name="COOP DOS", kind="coop", ledger=DALE, sponsor="0987", port=1)
SILENT = Participant(code="0002", name="BANK", kind="bank")
SPONSOR = Participant(code="0987", name="SPONSOR", kind="sponsor", port=1)
FLEET = {one.code: one for one in (COOP, TIERED, SILENT, SPONSOR)}
GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "SNM999.json"


class Outbox:
    def __init__(self) -> None:
        self.taken: list[Owed] = []

    def take(self, owed: tuple[Owed, ...]) -> None:
        self.taken += owed


class World:
    def __init__(self) -> None:
        self.ledger = MemoryLedger()
        self.outbox = Outbox()
        self.spawned: list[Any] = []
        self.watermarks = Watermarks(
            ledger=self.ledger,
            outbox=self.outbox,  # type: ignore[arg-type]
            fleet=FLEET,
            clock=ManualClock(AT),
            head=lambda code: NoticeHead(AT, code, 107),
            since_opening=lambda _: -300,
            spawn=self.spawned.append,
        )


@pytest.fixture
async def world() -> World:
    world = World()
    await world.ledger.apply(
        (
            an_opening("0970", 1_000, low=500, high=600),
            an_opening("0002", 0),
            an_opening("0987", 0, ledger=NATIONAL),
            an_opening("0987", 0, ledger=DALE),
            an_opening("0971", 50, cap=400, low=200, high=300, ledger=DALE),
        )
    )
    return world


def told(owed: Owed) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.json.decode(owed.body)
    return document[owed.message]  # type: ignore[no-any-return]


def row(code: str, **figures: Any) -> BatchRow:
    known: dict[str, Any] = {
        "opening": 100_000_000,
        "sent": Outcome(Counted(1_440, 86_400_000), Counted(21, 1_350_000)),
        "received": Outcome(Counted(1_020, 61_200_000), Counted(14, 910_000)),
        "net": -25_200_000,
        "funded": Counted(1, 40_000_000),
        "drawn": Counted(),
        "new_opening": 114_800_000,
        "fees_due": 0,
    }
    return BatchRow(participant=code, name=code, **(known | figures))


def batch(*rows: BatchRow, ledger: str = NATIONAL) -> Batch:
    return Batch(
        batch=f"{ledger}-PEN-20260115-1",
        cycle=ledger,
        ledger=ledger,
        currency="PEN",
        settlement_date="20260115",
        number=1,
        cut_off="20260115163515",
        opened_at="20260114163515",
        closed_at="20260115163516",
        next_window=f"{ledger}-PEN-20260116-1",
        participants=rows,
        gross=Counted(),
        net_sum=0,
    )


async def test_a_closed_window_is_told_with_all_its_fields_right(world: World) -> None:
    (owed,) = world.watermarks.on_window(batch(row("0970")), "20260116")

    assert (owed.participant, owed.message) == ("0970", "SNM999")
    assert owed.body == GOLDEN.read_bytes().strip()
    assert len(told(owed)) == 28


async def test_only_who_listens_is_told_and_the_sponsors_mirror_is_not(world: World) -> None:
    rows = (row("0002"), row("0970"), row("0987"), row("9999"))
    national = world.watermarks.on_window(batch(*rows), "20260116")
    dale = world.watermarks.on_window(batch(row("0971"), row("0987"), ledger=DALE), "20260116")

    assert [one.participant for one in national] == ["0970", "0987"]
    assert [one.participant for one in dale] == ["0971"]


async def test_a_coops_line_counts_as_its_prefund(world: World) -> None:
    rows = row("0971", opening=50, new_opening=-20)
    (owed,) = world.watermarks.on_window(batch(rows, ledger=DALE), "20260116")

    assert told(owed)["previousOpeningPrefundedBalance"] == 450
    assert told(owed)["newOpeningPrefundedBalance"] == 380


async def test_a_low_prefund_is_told_once_with_the_windows_opening(world: World) -> None:
    await world.ledger.apply((a_reserve("t-1", an_entry("0970", "0002", 600)),))
    position = world.ledger.position(an_account("0970"))
    assert position is not None
    world.watermarks.on_low(position)
    for work in world.spawned:
        await work

    notice = told(world.outbox.taken[0])
    assert notice["availablePrefundBalanceStatus"] == "LOW"
    assert (notice["openingPrefundedBalance"], notice["availablePrefundedBalance"]) == (1_300, 400)
    assert any(isinstance(one, SetAlert) for one in world.ledger.applied)
    after = world.ledger.position(an_account("0970"))
    assert after is not None
    assert after.alerted


async def test_a_movement_is_told_with_the_balances_before_and_after(world: World) -> None:
    before = world.ledger.position(an_account("0971", DALE))
    assert before is not None
    after = msgspec.structs.replace(before, balance_minor=80)

    (owed,) = world.watermarks.on_movement(before, after)

    notice = told(owed)
    assert notice["previousPrefundedBalance"] == 450
    assert notice["newPrefundedBalance"] == 480
