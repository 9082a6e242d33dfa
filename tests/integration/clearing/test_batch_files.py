"""The files of a batch, made from a ledger on disk, agree with the batch to the cent."""

import csv
import io
from collections.abc import AsyncIterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
import xmlschema

from clearing import reports
from clearing.reports_reader import ReportReader
from scheme import limits
from scheme.batch import Batch, BatchRow, Settlement
from scheme.ledger import DALE, DEFERRED, NATIONAL
from scheme.wire.iso20022 import instruction
from scheme.wire.settlement_csv import COLUMNS
from tests.support.closed_batch import DAY_MS, NOON_MS, ClosedBatch, movement_of

DOCS = Path(__file__).resolve().parents[3] / "docs" / "wire"
STATEMENT_SCHEMA = xmlschema.XMLSchema(DOCS / "camt.053.subset.xsd")
INSTRUCTION_SCHEMA = xmlschema.XMLSchema(DOCS / "pacs.009.subset.xsd")
CAMT = "{urn:iso:std:iso:20022:tech:xsd:camt.053.001.08}"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ClosedBatch]:
    world = await ClosedBatch.in_folder(tmp_path)
    try:
        yield world
    finally:
        await world.end()


def minor(text: str) -> int:
    return int(text.replace(".", ""))


def reconciliation(world: ClosedBatch, batch: Batch, code: str) -> list[dict[str, str]]:
    reader = ReportReader.open(world.path)
    try:
        body = b"".join(reports.reconciliation(reader.moved(batch, code), movement_of))
    finally:
        reader.close()
    return list(csv.DictReader(io.StringIO(body.decode()), delimiter=";"))


def statement(world: ClosedBatch, batch: Batch, row: BatchRow) -> ElementTree.Element:
    reader = ReportReader.open(world.path)
    try:
        entries = reader.entries(batch, row.participant)
        body = b"".join(reports.statement(batch, row, entries))
    finally:
        reader.close()
    STATEMENT_SCHEMA.validate(io.BytesIO(body))
    return ElementTree.fromstring(body)


def agrees(rows: list[dict[str, str]], row: BatchRow) -> None:
    """Assert that a file counts and sums to what the batch says of its participant."""
    for sign, outcome in (("-", row.sent), ("+", row.received)):
        for state, counted in (("approved", outcome.accepted), ("rejected", outcome.rejected)):
            lines = [r for r in rows if r["fee_sign"] == sign and r["state"] == state]
            values = [minor(one["amount"]) + minor(one["fee"]) for one in lines]
            assert (len(lines), sum(values)) == (counted.count, counted.value), (sign, state)


def statement_agrees(found: ElementTree.Element, row: BatchRow) -> None:
    entries = found.findall(f".//{CAMT}Ntry")
    sums = {"CRDT": [0, 0], "DBIT": [0, 0]}
    for one in entries:
        way = one.findtext(f"{CAMT}CdtDbtInd")
        assert way is not None
        sums[way][0] += 1
        sums[way][1] += minor(one.findtext(f"{CAMT}Amt") or "")
    for way, name in (("CRDT", "TtlCdtNtries"), ("DBIT", "TtlDbtNtries")):
        total = found.find(f".//{CAMT}{name}")
        assert total is not None
        assert int(total.findtext(f"{CAMT}NbOfNtries") or "") == sums[way][0]
        assert minor(total.findtext(f"{CAMT}Sum") or "") == sums[way][1]
    opening, closing = found.findall(f".//{CAMT}Bal")
    assert minor(opening.findtext(f"{CAMT}Amt") or "") == abs(row.opening)
    change = sums["CRDT"][1] - sums["DBIT"][1]
    assert minor(closing.findtext(f"{CAMT}Amt") or "") == abs(row.opening + change)


async def a_day(world: ClosedBatch) -> None:
    await world.pay("t1", "0002", "0003", 10_000, fee=80)
    await world.pay("t2", "0003", "0002", 5_000)
    await world.pay("t3", "0002", "0003", 700, fee=80, end="reject")
    await world.pay("t4", "0002", "0003", 800, end="unseen")
    await world.pay("t5", "0002", "0003", 900, end="refuse")
    await world.pay("t6", "0003", "0002", 11, end="reject")
    await world.give_back("r1", "t1", 3_000)
    await world.fund("0002", 40_000)
    await world.fund("0003", 500, drawdown=True)


async def test_every_file_agrees_with_the_batch(world: ClosedBatch) -> None:
    await a_day(world)
    batch = await world.close()

    for row in batch.participants:
        agrees(reconciliation(world, batch, row.participant), row)
        statement_agrees(statement(world, batch, row), row)


async def test_a_page_never_parts_a_transfer(
    world: ClosedBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    await a_day(world)
    batch = await world.close()

    for lines in (3, 4, 5):
        monkeypatch.setattr("clearing.reports_reader.REPORT_PAGE_LINES", lines)
        for row in batch.participants:
            agrees(reconciliation(world, batch, row.participant), row)
            statement_agrees(statement(world, batch, row), row)
    assert limits.REPORT_PAGE_LINES > 16


async def test_a_line_has_the_columns_of_a_reconciliation_file(world: ClosedBatch) -> None:
    await a_day(world)
    batch = await world.close()

    rows = {one["instruction_id"]: one for one in reconciliation(world, batch, "0002")}

    assert tuple(rows["t1"]) == COLUMNS
    assert rows["t1"]["receiver_entity"] == "0003"
    assert (rows["t1"]["amount"], rows["t1"]["fee"], rows["t1"]["fee_sign"]) == (
        "100.00",
        "0.80",
        "-",
    )
    assert rows["t4"]["state"] == rows["t5"]["state"] == "rejected"
    assert (rows["r1"]["process_code"], rows["r1"]["amount"]) == ("RTRN", "30.00")
    assert rows["r1"]["origin_cci"] == rows["t1"]["receiver_account"]


async def test_what_no_receiver_saw_is_in_the_senders_file_only(world: ClosedBatch) -> None:
    await a_day(world)
    batch = await world.close()

    ids = [one["instruction_id"] for one in reconciliation(world, batch, "0003")]

    assert "t3" in ids
    assert not {"t4", "t5"} & set(ids)


async def test_who_passes_money_on_has_a_line_for_each_way(world: ClosedBatch) -> None:
    await world.pay("d1", "0970", "0971", 2_000, fee=50, ledger=DALE, through="0987")
    batch = await world.close(DALE)

    sponsor = reconciliation(world, batch, "0987")

    assert sorted(one["fee_sign"] for one in sponsor) == ["+", "-"]
    for row in batch.participants:
        agrees(reconciliation(world, batch, row.participant), row)
        statement_agrees(statement(world, batch, row), row)


async def test_orders_of_a_cycle_are_in_its_files_before_they_are_posted(
    world: ClosedBatch,
) -> None:
    await world.pay("P1", "0002", "0003", 2_000, fee=40, ledger=DEFERRED, end="hold")
    await world.pay("P2", "0003", "0002", 500, fee=40, ledger=DEFERRED, end="hold")
    batch = await world.close(DEFERRED)

    for row in batch.participants:
        agrees(reconciliation(world, batch, row.participant), row)
        statement_agrees(statement(world, batch, row), row)


async def test_a_file_of_nothing_is_its_header(world: ClosedBatch) -> None:
    batch = await world.close()

    assert reconciliation(world, batch, "0002") == []
    statement_agrees(statement(world, batch, batch.participants[0]), batch.participants[0])


async def test_instructions_of_a_batch_sum_to_zero(world: ClosedBatch) -> None:
    await a_day(world)
    batch = await world.close()
    settlement = Settlement(state="CLOSED")

    total = 0
    for row in batch.participants:
        order = reports.pay_order(row, settlement)
        if order is None:
            assert row.net == 0
            continue
        body = instruction(batch, order)
        INSTRUCTION_SCHEMA.validate(io.BytesIO(body))
        assert (b"<MmbId>CCE</MmbId>" in body.split(b"</Dbtr>")[0]) == (order.net > 0)
        total += order.net
    assert total == 0


async def test_payments_of_a_day_come_in_order_and_whole(world: ClosedBatch) -> None:
    await world.pay("late", "0002", "0003", 100, fee=5, at_ms=NOON_MS + 2)
    await world.pay("early", "0003", "0002", 7, at_ms=NOON_MS + 1)
    await world.pay("before", "0003", "0002", 7, at_ms=DAY_MS - 1)
    await world.pay("no", "0003", "0002", 7, end="reject")
    await world.give_back("r1", "late", 30)
    await world.fund("0002", 900)
    await world.pay("d1", "0970", "0971", 2_000, fee=50, ledger=DALE, through="0987")

    reader = ReportReader.open(world.path)
    until = DAY_MS + 86_400_000
    national = [p for page in reader.payments(NATIONAL, "PEN", DAY_MS, until) for p in page]
    dale = [p for page in reader.payments(DALE, "PEN", DAY_MS, until) for p in page]
    reader.close()

    assert national == [
        (NOON_MS, "0003", "0002", 30),
        (NOON_MS + 1, "0003", "0002", 7),
        (NOON_MS + 2, "0002", "0003", 105),
    ]
    assert dale == [(NOON_MS, "0970", "0971", 2_050)]
