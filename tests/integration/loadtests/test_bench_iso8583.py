"""The benchmark's lane of ISO 8583: cores beside the bare relay, failing peers, one tiny run."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest

from loadtests.bench import iso8583_links, measure
from loadtests.bench.child import unpin_self
from loadtests.bench.iso8583_country import payees
from loadtests.bench.iso8583_frames import HEADER_BYTES, STAN_AT, answer_to, framed, split
from loadtests.bench.iso8583_link import CoreLink, Identity, RefusedLink, dial
from loadtests.bench.iso8583_run import start_relay
from loadtests.bench.iso8583_traffic import IsoTraffic
from loadtests.bench.main import main
from loadtests.bench.orders import FEE
from loadtests.bench.traffic import Book
from runtime.clock import SystemClock
from scheme.wire.iso8583_codec import codec
from scheme.wire.iso8583_mac import check, mac_of, seal, wrap_key
from scheme.wire.iso8583_tlv import encode_tlv

SPEC = "ascii-1987"
MAC = "aes-cmac"
KEK, KEY = bytes(range(16)), bytes(range(16, 32))

# What a peer does with a body: its answers, or None to end the link.
Answers = Callable[[bytes], list[bytes] | None]


@asynccontextmanager
async def peer(answers: Answers) -> AsyncIterator[int]:
    """Serve a switch's place; give its port."""

    writers: list[asyncio.StreamWriter] = []
    ends: list[asyncio.Event] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        ends.append(end := asyncio.Event())
        rest = b""
        while data := await reader.read(65536):
            frames, rest = split(rest + data)
            said = [answers(frame[HEADER_BYTES:]) for frame in frames]
            if None in said:
                break
            writer.writelines(framed(body) for bodies in said if bodies for body in bodies)
        writer.close()
        end.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        for end in ends:
            await end.wait()
    for writer in writers:
        await writer.wait_closed()


def a_load(port: int, book: Book, who: Identity | None = None, **more: int) -> IsoTraffic:
    debtors = [who or Identity(code="0941")]
    told = payees(3, 1, FEE)
    return IsoTraffic(port, debtors, told, book, SystemClock(), seed=1, **({"in_flight": 2} | more))


def approve(body: bytes) -> list[bytes]:
    return [answer_to(body, {}, sealed=False)]


async def test_transfers_cross_the_bare_relay(tmp_path: Path) -> None:
    with ExitStack() as stack:
        relay, port = start_relay(stack, tmp_path, None)
        book = Book()
        traffic = a_load(port, book, in_flight=8)
        await traffic.open(sign_on=False)
        done = await traffic.run(seconds=0.2)
        traffic.close()
        assert relay.cpu_s() > 0
    assert done.transfers == len(done.latencies_ms) == book.outcomes["accepted"] > 50
    assert set(book.outcomes) == {"accepted"}
    assert book.paid.total() == book.received.total() > done.transfers * FEE
    assert set(book.received) == {"0951", "0952"}
    assert traffic.strays == 0


async def test_answers_in_any_order_find_their_requests() -> None:
    kept: list[bytes] = []

    def backwards(body: bytes) -> list[bytes]:
        kept.extend(approve(body))
        if len(kept) < 4:
            return []
        said = kept[::-1]
        kept.clear()
        return said

    book = Book()
    async with peer(backwards) as port:
        traffic = a_load(port, book, in_flight=4, links_each=1)
        await traffic.open(sign_on=False)
        running = asyncio.create_task(traffic.run(seconds=0.1))
        await asyncio.sleep(0.2)
        traffic.close()
        await running
    assert book.outcomes["accepted"] >= 4
    assert not book.reasons


def refuse(body: bytes) -> list[bytes]:
    return [approve(body)[0].replace(b"BENCH100", b"BENCH151")]


def approve_another_amount(body: bytes) -> list[bytes]:
    said, at = approve(body)[0], STAN_AT - HEADER_BYTES - 22
    return [said[:at] + b"9" + said[at + 1 :]]


@pytest.mark.parametrize(
    ("answers", "reason"),
    [(refuse, "DE39 51"), (approve_another_amount, "DE37 or DE4 differs")],
)
async def test_an_answer_that_does_not_approve_what_was_asked_is_a_refusal(
    answers: Answers, reason: str
) -> None:
    book = Book()
    async with peer(answers) as port:
        traffic = a_load(port, book)
        await traffic.open(sign_on=False)
        await traffic.run(seconds=0.05)
        traffic.close()
    assert set(book.outcomes) == {"refused"}
    assert all(reason in told for told in book.reasons)


async def test_a_lost_link_leaves_its_transfers_unknown() -> None:
    book = Book()
    async with peer(lambda _: None) as port:
        traffic = a_load(port, book)
        await traffic.open(sign_on=False)
        done = await traffic.run(seconds=5.0)
    assert done.transfers == 0
    assert book.outcomes == {"unknown": 2}


async def test_an_answer_to_nothing_is_counted_and_disturbs_nobody() -> None:
    book = Book()
    async with peer(lambda body: approve(body) * 2) as port:
        traffic = a_load(port, book)
        await traffic.open(sign_on=False)
        done = await traffic.run(seconds=0.05)
        traffic.close()
    assert book.outcomes == {"accepted": done.transfers}
    assert traffic.strays > 0


def a_switch_with_macs(heard: list[str], *, wrong: bool = False) -> Answers:
    spoken = codec(SPEC)

    def answers(body: bytes) -> list[bytes]:
        fields = spoken.decode(body)
        function = fields.get("70", fields["t"])
        heard.append(function)
        under = KEK if function == "101" else KEY
        assert check(spoken, fields, body, MAC, under) is None
        if fields["t"] == "0200":
            said = answer_to(body, {}, sealed=True)
            mac = mac_of(MAC, KEY, said).hex().upper().encode()
            return [said + (b"0" * 16 if wrong else mac)]
        kept = {key: fields[key] for key in ("7", "11", "32", "70")}
        answer = {"t": "0810", **kept, "39": "00"}
        if function == "101":
            answer["48"] = encode_tlv({"40": wrap_key(KEK, KEY, MAC), "41": "000000"})
        return [seal(spoken, answer, MAC, under)]

    return answers


async def test_a_core_with_macs_changes_its_key_then_signs_on_then_seals_everything() -> None:
    heard: list[str] = []
    book = Book()
    async with peer(a_switch_with_macs(heard)) as port:
        traffic = a_load(port, book, Identity(code="0941", mac=MAC, kek=KEK), links_each=1)
        await traffic.open(sign_on=True)
        done = await traffic.run(seconds=0.05)
        traffic.close()
    assert heard[:3] == ["101", "001", "0200"]
    assert book.outcomes == {"accepted": done.transfers}
    assert traffic.wrong_macs == 0


async def test_a_wrong_mac_is_no_answer() -> None:
    book = Book()
    async with peer(a_switch_with_macs([], wrong=True)) as port:
        traffic = a_load(port, book, Identity(code="0941", mac=MAC, kek=KEK), links_each=1)
        await traffic.open(sign_on=True)
        running = asyncio.create_task(traffic.run(seconds=0.01))
        await asyncio.sleep(0.1)
        wrong_macs = traffic.wrong_macs
        traffic.close()
        await running
    assert wrong_macs == book.outcomes["unknown"] == 2


def nobody(_: object, __: bytes = b"") -> None:
    """Take no notice."""


@pytest.mark.parametrize("code", ["58", None])
async def test_a_core_that_may_not_sign_on_says_so(code: str | None) -> None:
    spoken = codec(SPEC)

    def turn_away(body: bytes) -> list[bytes] | None:
        if code is None:
            return None
        return [spoken.encode(spoken.decode(body) | {"t": "0810", "39": code})]

    async with peer(turn_away) as port:
        link: CoreLink = await dial(port, Identity(code="0941"), nobody, nobody)
        with pytest.raises(RefusedLink, match=r"0941: (DE70 001: DE39 58|cut)"):
            await link.sign_on("0115153000", 1)
        link.close()


async def test_a_switch_that_is_not_there_is_said() -> None:
    with pytest.raises(RefusedLink, match="0941"):
        await dial(1, Identity(code="0941"), nobody, nobody)


def test_a_tiny_run_from_core_to_core_finds_figures_and_equal_books(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # How `python -m` starts it, another lane's tiny run shows.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(iso8583_links, "_SETTLE_S", 0.05)
    monkeypatch.setattr(measure, "_SETTLE_S", 0.05)
    output = tmp_path / "bench.json"
    options = ["--pairs", "1", "--seconds", "0.1", "--in-flight", "8", "--no-startup"]
    options += ["--modes", "iso8583_mac,iso8583_links", "--iso8583-links", "24"]
    try:
        code = main([*options, "--output", str(output)])
    finally:
        unpin_self()
    said = capsys.readouterr().out
    assert code == 0, said
    assert "equal to the ledger" in said
    assert "24 links signed on" in said
    report = json.loads(output.read_text())
    figures, held = report["modes"]["iso8583_mac"], report["checks"]["iso8583_mac"]
    for name in ("transfers_per_s", "p50_ms", "cpu_us_per_transfer", "baseline_cpu_us", "ratio"):
        assert figures[name] > 0
    assert held["holds"]
    assert held["accepted"] >= figures["transfers"]
    links = report["modes"]["iso8583_links"]
    assert (links["links"], links["lost"]) == (24, 0)
    assert links["after_mb"] >= links["before_mb"] * 0.9


def test_the_codec_is_measured_beside_its_reference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "bench.json"
    options = ["--modes", "iso8583_codec", "--no-startup", "--output", str(output)]
    assert main(options) == 0
    figures = json.loads(output.read_text())["modes"]["iso8583_codec"]
    assert figures["elements"] == 16
    assert figures["ratio"] > 1
    assert "pyiso8583" in capsys.readouterr().out
