"""The folder of bulk files, over a real folder of the test's own."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from directory.bulk import BulkFolder
from directory.core.alias import Refusal
from directory.core.registry import Order
from runtime.clock import ManualClock
from scheme.errors import ConfigError, NoAnswer
from scheme.limits import BULK_BYTES_MAX, BULK_UNFINISHED_S
from scheme.reasons import ReasonCode
from tests.support.directory_fakes import lima_clock

NAME = "0970DIRECTORIO202601152300"
RECORDS = (
    "NEWR,B202601152300000970151,97000110020030040142,+51900000101",
    "DEAC,B202601152300000970152,97000110020030041944,+51900000199",
)


def a_file(*rows: str) -> str:
    return "\n".join(["L05,H03,L03,L08", *rows, f"REGISTROS = {len(rows)}", ""])


class Applied:
    """Takes every record, but for the phones it refuses or fails at."""

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.refuses: set[str] = set()
        self.fails: set[str] = set()

    async def __call__(self, order: Order) -> Refusal | None:
        if order.phone in self.fails:
            raise NoAnswer("down")
        self.orders.append(order)
        if order.phone in self.refuses:
            return Refusal(ReasonCode.UREG, "L08", "not registered")
        return None


class Place:
    """A folder and what looks into it."""

    def __init__(self, path: Path) -> None:
        self.path = path / "bulk"
        self.clock: ManualClock = lima_clock("2026-01-15T23:00:00.000")
        self.applied = Applied()
        self.bulk = BulkFolder(
            self.path, self.applied, participants=("0970", "0002"), clock=self.clock
        )
        self.bulk.prepare()

    def put(self, content: str | bytes, name: str = NAME) -> None:
        data = content if isinstance(content, bytes) else content.encode()
        (self.path / f"{name}.csv").write_bytes(data)

    async def answer(self, name: str = NAME) -> list[str]:
        await self.bulk.look()
        return (self.path / f"{name}.ctl").read_text().splitlines()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


async def test_a_complete_file_is_applied_once_and_answered_record_by_record(place: Place) -> None:
    place.applied.refuses.add("900000199")
    place.put(a_file(*RECORDS))
    assert await place.answer() == [
        "B202601152300000970151,ACTC",
        "B202601152300000970152,RJCT,UREG",
        "REGISTROS = 2",
    ]
    await place.bulk.look()
    assert len(place.applied.orders) == 2
    assert sorted(one.suffix for one in place.path.iterdir()) == [".csv", ".ctl"]


async def test_a_file_still_being_written_waits_for_its_last_line(place: Place) -> None:
    whole = a_file(*RECORDS)
    place.put(whole[: whole.index("REGISTROS")])
    await place.bulk.look()
    assert not (place.path / f"{NAME}.ctl").exists()
    place.put(whole)
    assert (await place.answer())[-1] == "REGISTROS = 2"


async def test_a_file_left_without_its_last_line_is_refused_after_a_while(place: Place) -> None:
    place.put("L05,H03,L03,L08\n")
    await place.bulk.look()
    await place.clock.advance(timedelta(seconds=BULK_UNFINISHED_S))
    assert await place.answer() == [
        "ARCHIVO,RJCT,FF02,the last line is REGISTROS = n",
        "REGISTROS = 0",
    ]


async def test_a_file_that_fails_half_way_is_answered_only_when_all_of_it_went(
    place: Place,
) -> None:
    place.applied.fails.add("900000199")
    place.put(a_file(*RECORDS))
    await place.bulk.look()
    assert not (place.path / f"{NAME}.ctl").exists()
    place.applied.fails.clear()
    assert (await place.answer())[-1] == "REGISTROS = 2"


def _columns(place: Place) -> str:
    place.put(a_file(*RECORDS).replace("L08", "L9"))
    return NAME


def _stranger(place: Place) -> str:
    name = NAME.replace("0970", "0989")
    place.put(a_file(*RECORDS), name)
    return name


def _misnamed(place: Place) -> str:
    place.put(a_file(*RECORDS), "registros")
    return "registros"


def _encoding(place: Place) -> str:
    place.put(a_file(*RECORDS).replace("NEWR", "ÑEWR").encode("latin-1"))
    return NAME


def _count(place: Place) -> str:
    place.put(a_file(*RECORDS).replace("= 2", "= 1"))
    return NAME


def _too_long(place: Place) -> str:
    place.put(b" " * (BULK_BYTES_MAX + 1))
    return NAME


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_columns, "FF02,the first line is L05,H03,L03,L08"),
        (_stranger, "DNOR,a registered participant"),
        (_misnamed, "FF02,the name is PARTICIPANTDIRECTORIOyyyyMMddHHmm.csv"),
        (_encoding, "FF02,UTF-8 is needed"),
        (_count, "FF02,REGISTROS is the number of the records"),
        (_too_long, f"FF02,at most {BULK_BYTES_MAX} bytes"),
    ],
)
async def test_nothing_of_a_file_that_is_wrong_as_a_whole_is_applied(
    place: Place, spoil: Callable[[Place], str], said: str
) -> None:
    name = spoil(place)
    assert await place.answer(name) == [f"ARCHIVO,RJCT,{said}", "REGISTROS = 0"]
    assert place.applied.orders == []


async def test_another_participant_s_account_is_refused_in_its_line(place: Place) -> None:
    place.put(a_file(RECORDS[0], "NEWR,B2,97100220030040050213,+51900000202"))
    assert (await place.answer())[:2] == ["B202601152300000970151,ACTC", "B2,RJCT,FF02"]


async def test_a_link_is_not_followed(place: Place, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text(a_file(*RECORDS))
    (place.path / f"{NAME}.csv").symlink_to(tmp_path / "elsewhere")
    await place.bulk.look()
    assert place.applied.orders == []


async def test_a_folder_that_went_away_is_no_end(place: Place) -> None:
    place.path.rmdir()
    await place.bulk.look()
    place.bulk.prepare()
    place.put(a_file())
    assert await place.answer() == ["REGISTROS = 0"]


def test_a_folder_that_cannot_be_made_is_a_setting_to_mend(tmp_path: Path) -> None:
    (tmp_path / "bulk").write_text("a file")
    with pytest.raises(ConfigError, match="bulk: cannot be used"):
        Place(tmp_path)
