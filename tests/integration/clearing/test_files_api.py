"""The routes of files and what-if, over a ledger on disk and a real server."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import aiohttp
import msgspec
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from clearing.files_api import file_routes
from clearing.reports_reader import ReportReader
from clearing.what_if import WhatIf
from runtime.clock import ManualClock
from runtime.files import load_profile
from runtime.http_server import GuardedServer
from scheme.batch import Batch
from scheme.ledger import NATIONAL
from scheme.limits import STREAMS_MAX
from scheme.network import Participant
from switch.routes import OperatorEdge
from tests.support.closed_batch import ClosedBatch, movement_of, window_of

BATCH = window_of(NATIONAL)
API = msgspec.json.decode(files("switch.edges").joinpath("openapi.json").read_bytes())


class Port:
    """The operator port with these routes only."""

    def __init__(self, url: str, batch: Batch, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.batch = batch
        self.session = session

    async def get(self, path: str) -> tuple[int, bytes, Mapping[str, str]]:
        async with self.session.get(self.url + path) as answer:
            return answer.status, await answer.read(), answer.headers

    async def problem(self, path: str) -> tuple[int, str]:
        status, body, _ = await self.get(path)
        found = msgspec.json.decode(body)
        assert found["hint"]
        return status, found["field"]


@asynccontextmanager
async def a_port(folder: Path, *, payments: int = 3) -> AsyncIterator[Port]:
    world = await ClosedBatch.in_folder(folder)
    await asyncio.gather(
        *(
            world.pay(f"t{number:04}", "0002", "0003", 1_000 + number, fee=80)
            for number in range(payments)
        )
    )
    batch = await world.close()
    what_if = WhatIf(
        lambda: ReportReader.open(world.path),
        clock=ManualClock(datetime(2026, 11, 23, 20, tzinfo=UTC)),
        profile=load_profile("peru"),
        members={"0002": Participant(code="0002", name="BANCO SIMULADO", kind="bank")},
    )
    routes = file_routes(
        world.ledger,
        open_reader=lambda: ReportReader.open(world.path),
        movement_of=movement_of,
        what_if=what_if,
    )
    server = GuardedServer(OperatorEdge(routes, hosts=frozenset()).handle)
    await server.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield Port(f"http://127.0.0.1:{server.port}", batch, session)
    finally:
        await server.stop(grace_s=0.2)
        await world.end()


async def test_every_file_that_is_listed_is_there(tmp_path: Path) -> None:
    async with a_port(tmp_path) as port:
        status, body, _ = await port.get(f"/batches/{BATCH}/files")
        assert status == 200
        schema = {"$ref": "#/components/schemas/BatchFiles", "components": API["components"]}
        Draft202012Validator(schema).validate(msgspec.json.decode(body))
        listed = msgspec.json.decode(body)["files"]
        kinds = {(one["participant"], one["kind"]) for one in listed}
        for one in listed:
            status, body, headers = await port.get(one["path"])
            assert (status, bool(body)) == (200, True)
            assert one["name"] in headers["Content-Disposition"]
            is_xml = one["kind"].endswith(".xml")
            assert headers["Content-Type"].startswith("application/xml" if is_xml else "text/csv")

    assert {code for code, kind in kinds if kind == "pacs.009.xml"} == {"0002", "0003"}
    assert ("all", "net.csv") in kinds


async def test_a_long_file_comes_in_chunks_and_whole(tmp_path: Path) -> None:
    async with a_port(tmp_path, payments=1_500) as port:
        _, body, headers = await port.get(f"/batches/{BATCH}/files/0002/reconciliation.csv")

    rows = list(csv.DictReader(io.StringIO(body.decode()), delimiter=";"))
    assert headers["Transfer-Encoding"] == "chunked"
    assert [one["instruction_id"] for one in rows] == [f"t{n:04}" for n in range(1_500)]


async def test_the_net_report_of_all_has_a_line_for_each(tmp_path: Path) -> None:
    async with a_port(tmp_path) as port:
        _, everybody, _ = await port.get(f"/batches/{BATCH}/files/all/net.csv")
        _, one, _ = await port.get(f"/batches/{BATCH}/files/0002/net.csv")

    assert len(everybody.splitlines()) == 1 + len(port.batch.participants)
    assert one.splitlines()[1] in everybody.splitlines()


async def test_what_is_not_there_is_told_apart(tmp_path: Path) -> None:
    async with a_port(tmp_path) as port:
        files = f"/batches/{BATCH}/files"
        assert await port.problem("/batches/no-such/files") == (404, "batch")
        assert await port.problem(f"/batches/{window_of('dale')}/files") == (409, "batch")
        for kind in ("reconciliation.csv", "net.csv", "camt.053.xml", "pacs.009.xml"):
            assert await port.problem(f"{files}/0999/{kind}") == (404, "participant")
        assert await port.problem(f"{files}/0987/pacs.009.xml") == (404, "participant")
        assert await port.problem("/settlement/what-if?windows=0") == (400, "windows")
        assert await port.problem("/settlement/what-if?format=png") == (400, "format")


async def test_too_many_downloads_at_once_are_refused_and_end_with_their_readers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, all_open = asyncio.Event(), asyncio.Event()
    opened = 0

    loop = asyncio.get_running_loop()
    threads = ThreadPoolExecutor(STREAMS_MAX + 1)
    loop.set_default_executor(threads)
    original = ReportReader.open.__func__  # type: ignore[attr-defined]

    def slow(path: str) -> ReportReader:
        nonlocal opened
        opened += 1
        if opened == STREAMS_MAX:
            loop.call_soon_threadsafe(all_open.set)
        asyncio.run_coroutine_threadsafe(gate.wait(), loop).result(5)
        found = original(ReportReader, path)
        assert isinstance(found, ReportReader)
        return found

    monkeypatch.setattr(ReportReader, "open", slow)
    async with a_port(tmp_path) as port:
        path = f"/batches/{BATCH}/files/0002/reconciliation.csv"
        running = [asyncio.create_task(port.get(path)) for _ in range(STREAMS_MAX)]
        await all_open.wait()
        status, _, _ = await port.get(path)
        assert status == 503
        gate.set()
        assert [one[0] for one in await asyncio.gather(*running)] == [200] * STREAMS_MAX
        assert (await port.get(path))[0] == 200


async def test_what_if_answers_figures_and_a_picture(tmp_path: Path) -> None:
    async with a_port(tmp_path) as port:
        query = "date=2026-11-23&windows=1,2&fail=0002"
        status, body, _ = await port.get(f"/settlement/what-if?{query}")
        found = msgspec.json.decode(body)
        _, svg, headers = await port.get(f"/settlement/what-if?{query}&format=svg")

    assert status == 200
    assert [(one["windows"], one["offsetting"]) for one in found["scenarios"]] == [
        (1, "multilateral"),
        (2, "multilateral"),
        (1, "none"),
    ]
    total = 3 * 1_080 + 3
    assert found["scenarios"][0]["liquidity"] == found["scenarios"][0]["unpaid"] == total
    assert headers["Content-Type"] == "image/svg+xml"
    assert svg.startswith(b"<?xml")


async def test_a_ledger_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    async with a_port(tmp_path) as port:
        gone = tmp_path / "ledger.db"
        hidden = gone.rename(tmp_path / "hidden.db")
        assert await port.problem("/settlement/what-if") == (503, "ledger")
        hidden.rename(gone)
