"""The generator against the bare relay, and against servers that fail it."""

import asyncio
import io
import random
from pathlib import Path

import msgspec
import pytest

from loadtests.bench.child import Child, NotReady
from loadtests.bench.documents import ANY_PAYEE, documents
from loadtests.bench.main import main
from loadtests.bench.orders import FEE, Debtor, Plain
from loadtests.bench.traffic import BASE_PATH, Book, Entry, Traffic
from runtime.clock import SystemClock
from runtime.http_server import Drop, GuardedServer, Request, Response


def the_debtors() -> list[Debtor]:
    return [
        Debtor(code, [ANY_PAYEE], random.Random(int(code)), envelope=Plain())
        for code in ("0980", "0981")
    ]


async def test_transfers_cross_the_bare_relay(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Child("stub", ("-m", "loadtests.bench.stub"), core=None, log=log) as stub:
        creditor = str(stub.ready()["port"])
        with Child("relay", ("-m", "loadtests.bench.relay", creditor), core=None, log=log) as relay:
            port = relay.ready()["port"]
            assert isinstance(port, int)
            book = Book()
            traffic = Traffic(port, the_debtors(), book, SystemClock(), in_flight=4)
            done = await traffic.run(transfers=40)
            traffic.close()
            assert relay.rss_bytes() > 1_000_000
    assert done.transfers == len(done.latencies_ms) == 40
    assert book.outcomes == {"accepted": 40}
    assert book.paid.total() == book.received["0971"] > 40 * FEE


class ClearingHouse:
    """Accepts everything, but fails the first orders."""

    def __init__(self, *, failing: int, status: int | None = None) -> None:
        self._failing = failing
        self._status = status
        self._fixed = documents(SystemClock().now())
        self.orders: list[dict[str, object]] = []

    async def handle(self, request: Request) -> Response:
        if request.path != BASE_PATH + "CT1":
            return Response(body=self._fixed.av3)
        self.orders.append(msgspec.json.decode(request.body)["CT1"])
        if len(self.orders) > self._failing:
            return Response(body=self._fixed.ct3)
        if self._status is None:
            raise Drop
        return Response(self._status)


async def test_a_lost_verification_is_none_of_the_transfers_asked_for() -> None:
    house = ClearingHouse(failing=0)
    lost: list[Request] = []

    async def handle(request: Request) -> Response:
        if request.path == BASE_PATH + "AV1" and len(lost) < 2:
            lost.append(request)
            raise Drop
        return await house.handle(request)

    server = GuardedServer(handle)
    await server.start()
    book = Book()
    traffic = Traffic(server.port, the_debtors(), book, SystemClock(), in_flight=1)
    done = await traffic.run(transfers=3)
    traffic.close()
    await server.stop(grace_s=0.1)
    assert (done.transfers, book.lost_verifications) == (3, 2)
    assert book.outcomes == {"accepted": 3}


@pytest.mark.parametrize("status", [None, 500])
async def test_a_lost_answer_is_asked_for_again_and_entered_once(status: int | None) -> None:
    house = ClearingHouse(failing=2, status=status)
    server = GuardedServer(house.handle)
    await server.start()
    file = io.StringIO()
    book = Book(file=file)
    traffic = Traffic(server.port, the_debtors(), book, SystemClock(), in_flight=1, patience_s=10.0)
    await traffic.run(transfers=1)
    traffic.close()
    await server.stop(grace_s=0.1)
    assert [one["messageTypeId"] for one in house.orders] == ["0200", "0201", "0201"]
    assert len({one["referenceTransactionId"] for one in house.orders}) == 1
    assert book.outcomes == {"accepted": 1}
    line = msgspec.json.decode(file.getvalue(), type=Entry)
    assert (line.outcome, line.debtor, line.creditor) == ("accepted", "0980", "0971")


async def test_without_patience_a_lost_answer_is_unknown() -> None:
    house = ClearingHouse(failing=99)
    server = GuardedServer(house.handle)
    await server.start()
    book = Book()
    traffic = Traffic(server.port, the_debtors(), book, SystemClock(), in_flight=1)
    done = await traffic.run(transfers=2)
    traffic.close()
    await server.stop(grace_s=0.1)
    assert done.transfers == 0
    assert book.outcomes == {"unknown": 2}
    assert not book.paid


async def test_a_refusal_is_entered_with_its_reason() -> None:
    async def refuse(_: Request) -> Response:
        return Response(body=b'{"AV4":{"responseCode":"05","reasonCode":"DNOR"}}')

    server = GuardedServer(refuse)
    await server.start()
    book = Book()
    traffic = Traffic(server.port, the_debtors(), book, SystemClock(), in_flight=1)
    await traffic.run(transfers=3)
    traffic.close()
    await server.stop(grace_s=0.1)
    assert book.outcomes == {"refused": 3}
    assert book.reasons == {"DNOR": 3}


async def test_a_closing_load_fails_who_waits() -> None:
    asked = asyncio.Event()

    async def silent(_: Request) -> Response:
        asked.set()
        await asyncio.Event().wait()
        return Response()

    server = GuardedServer(silent)
    await server.start()
    book = Book()
    traffic = Traffic(server.port, the_debtors(), book, SystemClock(), in_flight=1)
    running = asyncio.create_task(traffic.run(transfers=1, seconds=0.1))
    await asked.wait()
    traffic.close()
    await running
    assert book.lost_verifications == 1
    await server.stop(grace_s=0.05)


def test_a_process_that_does_not_start_is_told_with_its_own_words(tmp_path: Path) -> None:
    command = ("-c", "raise SystemExit('no room')")
    with (
        Child("broken", command, core=None, log=tmp_path / "log") as child,
        pytest.raises(NotReady, match=r"broken did not start(?s:.*)no room"),
    ):
        child.ready()


@pytest.mark.parametrize(
    "arguments", [["--modes", "fast"], ["--pairs", "0"], ["--seconds", "long"]]
)
def test_wrong_options_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(arguments)
    assert refused.value.code == 2


def test_a_country_that_is_not_there_is_said(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    nowhere = ["--url", "http://127.0.0.1:1", "--operator-url", "http://127.0.0.1:1"]
    code = main([*nowhere, "--book", str(tmp_path / "book.jsonl")])
    assert code == 3
    assert "127.0.0.1:1" in capsys.readouterr().out
