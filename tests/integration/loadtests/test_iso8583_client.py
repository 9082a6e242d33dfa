"""The blocking client of load generators, against the port it is made for."""

import asyncio
import random
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from loadtests.iso8583_client import BlockingClient
from runtime.clock import SystemClock
from runtime.iso8583_conversation import NotGranted, turned_down
from runtime.iso8583_speech import brief_answer
from scheme.errors import NoAnswer, NotConnected
from scheme.limits import ISO_PENDING_PER_LINK_MAX
from scheme.network import Participant
from scheme.wire.iso8583_codec import IsoFault
from scheme.wire.iso8583_spec import Fields
from tests.support.iso8583_edge import MEMBERS, EdgeWorld, a_transfer, ask_core, edge, until

ROOT = Path(__file__).resolve().parents[3]
KINDS = ("threads", *(("gevent",) if find_spec("gevent") else ()))
"""Greenlets too where Locust, and so gevent, is installed."""

aside = asyncio.to_thread


@asynccontextmanager
async def dialling(world: EdgeWorld, code: str, **changes: Any) -> AsyncIterator[BlockingClient]:
    """Dial without signing on; hang up in the end."""
    respond = changes.pop("respond", turned_down)
    dialled = world.dialled(code, answer_s=5.0, **changes)
    client = await aside(lambda: BlockingClient(dialled, SystemClock(), respond=respond))
    with client:
        yield client


@asynccontextmanager
async def signed_on(world: EdgeWorld, code: str, **changes: Any) -> AsyncIterator[BlockingClient]:
    """Dial and sign on."""
    async with dialling(world, code, **changes) as client:
        await aside(client.sign_on)
        yield client


@pytest.mark.parametrize("code", sorted(MEMBERS))
async def test_in_every_variant_it_signs_on_echoes_asks_and_signs_off(
    code: str, tmp_path: Path
) -> None:
    async with edge(tmp_path) as world, signed_on(world, code) as client:
        await aside(client.echo)
        answer = await aside(lambda: client.ask(a_transfer(code, 7), answer_s=5))
        assert (answer["t"], answer["39"], answer["11"]) == ("0210", "00", "000007")
        await aside(client.sign_off)
        assert world.signed == [(code, True), (code, False)]


async def test_answers_in_any_order_go_to_the_requests_they_belong_to(tmp_path: Path) -> None:
    everybody = asyncio.Event()
    arrived: list[asyncio.Event] = []

    async def shuffled(_: Participant, fields: Fields) -> Fields:
        arrived.append(mine := asyncio.Event())
        if len(arrived) == 16:
            everybody.set()
        await mine.wait()
        return brief_answer(fields, "00")

    async with edge(tmp_path) as world, signed_on(world, "0975") as client:
        world.answer = shuffled
        asked = [a_transfer("0975", stan) for stan in range(1, 17)]
        for one in asked:
            await aside(client.send, one)
        async with asyncio.timeout(5):
            await everybody.wait()
        random.Random(4).shuffle(arrived)
        for held in arrived:
            held.set()
        answers = await aside(lambda: [client.answer(one, answer_s=5) for one in asked])
        assert [one["11"] for one in answers] == [one["11"] for one in asked]
        assert [one["4"] for one in answers] == [one["4"] for one in asked]
        assert not client.counts


@pytest.mark.parametrize("kind", KINDS)
async def test_many_workers_share_one_link(kind: str, tmp_path: Path) -> None:
    async with edge(tmp_path) as world:
        program = (sys.executable, "-m", "tests.support.shared_link", kind, str(world.port))
        process = await asyncio.create_subprocess_exec(
            *program, "16", "8", cwd=ROOT, stdout=PIPE, stderr=PIPE
        )
        async with asyncio.timeout(20):
            said, wrong = await process.communicate()
        assert (said, wrong) == (b"128 answered\n", b"")


async def test_who_thinks_answers_echoes_and_turns_orders_down(tmp_path: Path) -> None:
    quick = {"echo_idle_s": 0.05, "echo_answer_s": 0.1}
    async with edge(tmp_path, rules=quick) as world, signed_on(world, "0991") as client:
        listening = asyncio.create_task(aside(lambda: client.listen(0.4)))
        answer = await ask_core(world, "0991", 5)
        assert (answer["39"], answer["11"]) == ("91", "000005")
        await listening
        assert len(world.links.lanes["0991"].sessions) == 1


async def test_who_has_books_answers_orders_itself(tmp_path: Path) -> None:
    def approve(fields: Fields) -> Fields:
        return brief_answer(fields, "00")

    async with edge(tmp_path) as world, signed_on(world, "0976", respond=approve) as client:
        listening = asyncio.create_task(aside(lambda: client.listen(0.2)))
        assert (await ask_core(world, "0976", 5))["39"] == "00"
        await listening


async def test_a_silent_request_is_taken_back_until_an_answer_is_final(tmp_path: Path) -> None:
    heard: list[Fields] = []
    said = iter((None, None, "91", "00"))

    async def at_last(_: Participant, fields: Fields) -> Fields | None:
        heard.append(fields)
        code = next(said)
        return None if code is None else brief_answer(fields, code)

    async with edge(tmp_path) as world, signed_on(world, "0975") as client:
        world.answer = at_last
        order = a_transfer("0975", 7)
        with pytest.raises(NoAnswer, match=r"no answer within 0\.05 s"):
            await aside(lambda: client.ask(order, answer_s=0.05))
        undone = await aside(lambda: client.reverse(order, answer_s=0.05, dispensed=1))
        assert (undone["t"], undone["39"]) == ("0430", "00")
        assert [one["t"] for one in heard] == ["0200", "0420", "0421", "0421"]
        assert {one["90"][:20] for one in heard[1:]} == {"0200000007" + order["7"]}
        assert heard[-1]["95"] == "000000000001000000000000C00000000C00000000"


async def test_a_reversal_that_nobody_answers_is_given_up_loudly(tmp_path: Path) -> None:
    async def silent(_: Participant, __: Fields) -> None:
        return None

    async with edge(tmp_path) as world, signed_on(world, "0991") as client:
        world.answer = silent
        with pytest.raises(NoAnswer, match="not reversed in 2 tries"):
            await aside(lambda: client.reverse(a_transfer("0991", 7), answer_s=0.02, tries=2))


async def test_an_answer_too_late_is_counted_and_is_nobody_elses(tmp_path: Path) -> None:
    late = asyncio.Event()

    async def slow(_: Participant, fields: Fields) -> Fields:
        if fields["11"] == "000001":
            await late.wait()
        return brief_answer(fields, "00")

    async with edge(tmp_path) as world, signed_on(world, "0991") as client:
        world.answer = slow
        with pytest.raises(NoAnswer):
            await aside(lambda: client.ask(a_transfer("0991", 1), answer_s=0.02))
        late.set()
        answer = await aside(lambda: client.ask(a_transfer("0991", 2), answer_s=5))
        await aside(lambda: client.listen(0.05))
        assert answer["11"] == "000002"
        assert dict(client.counts) == {"unmatched": 1}


def _other_key(client: BlockingClient) -> None:
    with pytest.raises(IsoFault, match="does not verify"):
        client.sign_on()


def _without_sign_on(client: BlockingClient) -> None:
    with pytest.raises(NotGranted, match="58"):
        client.echo()


def _too_many(client: BlockingClient) -> None:
    client.sign_on()
    for stan in range(1, ISO_PENDING_PER_LINK_MAX + 1):
        client.send(a_transfer("0991", stan))
    with pytest.raises(NotConnected, match=f"at most {ISO_PENDING_PER_LINK_MAX}"):
        client.send(a_transfer("0991", stan + 1))


@pytest.mark.parametrize(
    ("code", "changes", "attempt"),
    [
        ("0975", {"kek": bytes(16)}, _other_key),
        ("0991", {}, _without_sign_on),
        ("0991", {}, _too_many),
    ],
)
async def test_what_cannot_be_says_why(
    code: str,
    changes: dict[str, Any],
    attempt: Callable[[BlockingClient], None],
    tmp_path: Path,
) -> None:
    async with edge(tmp_path) as world, dialling(world, code, **changes) as client:
        await aside(attempt, client)


async def test_a_link_that_ends_tells_who_waits_and_takes_nothing_more(tmp_path: Path) -> None:
    async with edge(tmp_path) as world, signed_on(world, "0991") as client:
        lane = world.links.lanes["0991"]

        async def hang_up(_: Participant, __: Fields) -> None:
            lane.sessions[0].link.cut("given up")

        world.answer = hang_up
        with pytest.raises(NoAnswer):
            await aside(lambda: client.ask(a_transfer("0991", 1), answer_s=5))
        await until(lambda: not lane.sessions)
        with pytest.raises(NotConnected):
            client.send(a_transfer("0991", 2))


async def test_nothing_that_listens_is_no_connection(tmp_path: Path) -> None:
    async with edge(tmp_path) as world:
        dialled = world.dialled("0991", port=1)
        with pytest.raises(NotConnected):
            BlockingClient(dialled, SystemClock())
