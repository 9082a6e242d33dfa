"""The example core as its own process, in the place of 0975 in a country of real processes."""

import ast
import asyncio
import json
import sqlite3
import subprocess
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.country import HURRIED, ROOT, HandStartedCountry, until

PROGRAM = ROOT / "examples" / "iso8583_core.py"
CCI, OPENING = "97500100000000010196", 500_000
INSTITUTIONS = {
    "0002": 'kind = "bank"',
    "0987": 'kind = "sponsor"',
    "0988": 'kind = "emoney"\ncurrencies = ["PEN"]',
}
ENTRY = """
[[participant]]
code = "0975"
name = "COOPAC BAJO PRUEBA"
kind = "coop"
simulated = false
ledger = "dale"
sponsor = "0987"
lane = "iso8583"

[participant.iso8583]
spec = "ascii-1987"
header = "binary-2"
mac = "aes-cmac"
"""


class Line:
    """What lies between the core and the clearing house; it is not always good.

    It hands every order and reversal to the core twice. It can lose the next answer to the core,
    and break instead of passing on the core's next answer to an order.
    """

    def __init__(self, house_port: int) -> None:
        self._house_port = house_port
        self.port = 0
        self.loses = self.breaks = False
        self.lost = 0
        self.said: list[bytes] = []

    async def open(self) -> asyncio.Server:
        server = await asyncio.start_server(self._link, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _link(self, reader: StreamReader, writer: StreamWriter) -> None:
        house_reader, house_writer = await asyncio.open_connection("127.0.0.1", self._house_port)
        with closing(writer), closing(house_writer):
            pumps = [
                asyncio.create_task(self._to_core(house_reader, writer)),
                asyncio.create_task(self._to_house(reader, house_writer)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)

    async def _to_core(self, source: StreamReader, target: StreamWriter) -> None:
        while True:
            frame = await frame_of(source)
            if self.loses and kind_of(frame) == "0210/40":
                self.loses, self.lost = False, self.lost + 1
                continue
            target.write(frame * (2 if kind_of(frame) in {"0200/40", "0420/40"} else 1))

    async def _to_house(self, source: StreamReader, target: StreamWriter) -> None:
        while True:
            frame = await frame_of(source)
            if self.breaks and kind_of(frame) == "0210/40":
                self.breaks = False
                return
            if kind_of(frame) in {"0210/40", "0430/40"}:
                self.said.append(frame)
            target.write(frame)


async def frame_of(source: StreamReader) -> bytes:
    header = await source.readexactly(2)
    return header + await source.readexactly(int.from_bytes(header, "big"))


def kind_of(frame: bytes) -> str:
    """Return the type of a message without DE2, and what it is about."""
    after_bitmap = 22 + 16 * (frame[6:7] in b"89ABCDEF")
    return f"{frame[2:6].decode()}/{frame[after_bitmap : after_bitmap + 2].decode()}"


class Core:
    """The program under test, and what its book says."""

    def __init__(self, home: Path, port: int) -> None:
        self._book, self._log = home / "core.db", home / "core.log"
        key = ("--kek-file", str(home / "keys" / "0975.kek"), "--book", str(self._book))
        self._options = ("--port", str(port), "--patience", "0.4", *key)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            command = [sys.executable, str(PROGRAM), "serve", *self._options]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    async def run(self, *words: str) -> tuple[int | None, Any]:
        command = [sys.executable, str(PROGRAM), *words, *self._options]
        process = await asyncio.create_subprocess_exec(
            *command, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        out, errors = await process.communicate()
        assert out, errors.decode()
        return process.returncode, json.loads(out)

    def _rows(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self._book)) as book:
            return book.execute(sql).fetchall()

    @property
    def balance(self) -> int:
        return int(self._rows(f"SELECT balance FROM accounts WHERE cci = '{CCI}'")[0][0])

    @property
    def states(self) -> list[str]:
        return [state for (state,) in self._rows("SELECT state FROM orders ORDER BY rowid")]


@pytest.fixture
def country(tmp_path: Path) -> Iterator[HandStartedCountry]:
    timers = {**HURRIED, "ct_expiry_s": 1.0}
    made = HandStartedCountry(
        tmp_path / "home", timers=timers, institutions=INSTITUTIONS, customers=2
    )
    made.fleet_file.write_text(made.fleet_file.read_text() + ENTRY)
    with made as one:
        one.start("switch", "participants")
        one.wait_until_open()
        yield one


@pytest.fixture
async def line(country: HandStartedCountry) -> AsyncIterator[Line]:
    one = Line(country.iso8583_port)
    async with await one.open():
        yield one


@pytest.fixture
async def core(country: HandStartedCountry, line: Line) -> AsyncIterator[Core]:
    one = Core(country.home, line.port)
    one.start()
    try:
        await asyncio.to_thread(until, lambda: is_signed_on(country), "0975 signs on")
        yield one
    finally:
        one.kill()


def is_signed_on(country: HandStartedCountry) -> bool:
    found = country.get("/participants")["participants"]
    return any(one["signed_on"] for one in found if one["code"] == "0975")


def test_it_is_small_and_uses_nothing_of_the_project() -> None:
    text = PROGRAM.read_text()
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(text))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported - sys.stdlib_module_names == {"cryptography"}
    assert len(text.splitlines()) < 450


async def test_in_a_real_country_money_moves_once_whatever_the_line_does_and_books_agree(
    country: HandStartedCountry, line: Line, core: Core
) -> None:
    payer, wallet = (
        country.hook(code, "accounts")["accounts"][0]["cci"] for code in ("0002", "0988")
    )
    order = {"debtor": payer, "creditor": {"cci": CCI}, "amount": 1_000}

    paid = await asyncio.to_thread(country.pay, "0002", order)
    assert paid["state"] == "FINAL", paid
    assert core.balance == OPENING + 1_000

    line.loses = True
    code, sent = await core.run("transfer", "--send-to", wallet, "--amount", "25.50")
    assert (code, sent["state"], line.lost) == (0, "FINAL", 1)
    named = ("--stan", sent["stan"], "--rrn", sent["rrn"])
    assert (await core.run("repeat", *named))[1]["answer"] | {"7": ""} == sent["answer"] | {"7": ""}
    code, reversed_ = await core.run("reverse", *named)
    assert (code, reversed_["state"], reversed_["answer"]["39"]) == (0, "FINAL", "21")
    assert core.balance == OPENING + 1_000 - 2_630

    line.breaks = True
    lost = await asyncio.to_thread(country.pay, "0002", order | {"amount": 700})
    assert lost["state"] == "REJECTED", lost
    await asyncio.to_thread(until, lambda: core.states == ["POSTED", "FINAL", "UNDONE"], "undone")
    await asyncio.to_thread(until, lambda: len(line.said) >= 4, "all is answered")
    assert core.balance == OPENING + 1_000 - 2_630
    assert [frame[2:6] for frame in line.said] == [b"0210", b"0210", b"0430", b"0430"]
    assert (line.said[0], line.said[2]) == (line.said[1], line.said[3])

    verdict = await asyncio.to_thread(country.json, "reconcile", "--books", "--skip", "0975")
    assert verdict["equal"], verdict
    kept = [one for one in country.transfers() if one["state"] == "CONFIRMED"]
    came = sum(one["amount"] for one in kept if one["creditor_agent"] == "0975")
    went = sum(one["amount"] + one["fee"] for one in kept if one["debtor_agent"] == "0975")
    assert (len(kept), core.balance) == (2, OPENING + came - went)
