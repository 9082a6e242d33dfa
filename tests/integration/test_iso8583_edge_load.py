"""The ISO 8583 port under load and under abuse: shuffled answers, slow ends, too many of them."""

import asyncio
import random
from pathlib import Path

import pytest

from runtime.iso8583_link import SLOW_WRITER
from runtime.iso8583_speech import brief_answer
from scheme.errors import NotConnected
from scheme.limits import ISO_PENDING_PER_LINK_MAX, ISO_REQUESTS_PER_LINK_MAX
from scheme.network import Participant
from scheme.wire.iso8583_codec import codec
from scheme.wire.iso8583_spec import SPECS, Fields
from tests.support.iso8583_edge import EdgeWorld, RawLink, a_transfer, edge, member, until

ASCII = codec("ascii-1987")
REQUESTS = 2_000
IN_FLIGHT = 64


class Shuffled:
    """Answers requests in an order of chance, a handful at a time."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._waiting: list[asyncio.Future[None]] = []

    async def turn(self) -> None:
        """Wait for one's turn."""
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(mine)
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_later(0.002, self._let_go)
        await mine

    def _let_go(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._random.shuffle(waiting)
        for one in waiting:
            one.set_result(None)


@pytest.mark.parametrize("code", ["0991", "0976"])
async def test_shuffled_answers_find_their_requests(code: str, tmp_path: Path) -> None:
    shuffled = Shuffled(seed=20)
    async with edge(tmp_path) as world:

        async def answer(fields: Fields) -> Fields:
            await shuffled.turn()
            return brief_answer(fields, "00")

        await world.signed_on(code, answer, links=2)
        amounts = await _ask_all(world, code)
        assert amounts == {stan: f"{100 + stan:012}" for stan in range(1, REQUESTS + 1)}
        counts = world.counts(code)
        assert counts["out_of_order"] > REQUESTS // 4
        assert {"late", "unmatched", "duplicate"}.isdisjoint(counts)
        assert world.links.lanes[code].pending == 0


async def test_the_client_too_matches_by_what_answers_say(tmp_path: Path) -> None:
    shuffled = Shuffled(seed=21)
    async with edge(tmp_path) as world:

        async def answer(_: Participant, fields: Fields) -> Fields:
            await shuffled.turn()
            return brief_answer(fields, "00")

        world.answer = answer
        client = await world.signed_on("0975", links=3)
        slots = asyncio.Semaphore(IN_FLIGHT)

        async def one(stan: int) -> None:
            async with slots:
                said = await client.ask(a_transfer("0975", stan), answer_s=10)
            assert said["4"] == f"{100 + stan:012}"

        await asyncio.gather(*(one(stan) for stan in range(1, REQUESTS // 4)))
        assert client.mux.counts["out_of_order"] > 0
        assert client.mux.counts["unmatched"] == 0


async def _ask_all(world: EdgeWorld, code: str) -> dict[int, str]:
    slots = asyncio.Semaphore(IN_FLIGHT)
    told: dict[int, str] = {}
    spoken = codec(world.members[code].iso8583.spec)

    async def one(stan: int) -> None:
        async with slots:
            prepared = spoken.encode(a_transfer("0970", stan))
            told[stan] = (await world.peers.ask_prepared(code, prepared, ""))["4"]

    async with asyncio.timeout(20):
        await asyncio.gather(*(one(stan) for stan in range(1, REQUESTS + 1)))
    return told


async def _sign_on(link: RawLink, code: str = "0991") -> None:
    link.send(
        ASCII.encode({"t": "0800", "7": "0115151500", "11": "1" * 6, "32": code, "70": "001"})
    )
    body = await link.receive()
    assert body is not None
    assert ASCII.decode(body)["39"] == "00"


async def test_a_slow_writer_is_cut_and_the_others_go_on(tmp_path: Path) -> None:
    async with edge(tmp_path) as world:
        client = await world.signed_on("0991")
        slow = await world.raw()
        await _sign_on(slow)
        link = world.links.lanes["0991"].sessions[1].link
        link.frame_s_max = 0.05
        slow.writer.write(slow.framing.wrap(ASCII.encode(a_transfer("0991", 1)))[:-1])
        assert await slow.is_closed()
        await until(lambda: world.counts("0991").get("half_frame") == 1)
        assert SLOW_WRITER in next(reversed(world.links.findings)).explanation
        assert (await client.ask(a_transfer("0991", 2), answer_s=5))["39"] == "00"


async def test_half_frames_of_two_links_do_not_mix(tmp_path: Path) -> None:
    async with edge(tmp_path) as world:
        one, other = await world.raw(), await world.raw()
        for link in (one, other):
            await _sign_on(link)
        first = one.framing.wrap(ASCII.encode(a_transfer("0991", 1)))
        second = one.framing.wrap(ASCII.encode(a_transfer("0991", 2)))
        one.writer.write(first[:30])
        other.writer.write(second[:50])
        await asyncio.sleep(0.01)
        one.writer.write(first[30:])
        other.writer.write(second[50:])
        answers = [await one.receive(), await other.receive()]
        stans = [ASCII.decode(body)["11"] for body in answers if body is not None]
        assert stans == ["000001", "000002"]


async def test_a_frame_that_ends_in_the_middle_is_dropped_with_its_link(tmp_path: Path) -> None:
    async with edge(tmp_path) as world:
        link = await world.raw()
        await _sign_on(link)
        whole = link.framing.wrap(ASCII.encode(a_transfer("0991", 1)))
        link.writer.write(whole[: len(whole) // 2])
        link.writer.write_eof()
        assert await link.is_closed()
        await until(lambda: world.acceptor.open_links == 0)
        assert "requests" not in world.counts("0991")


@pytest.mark.parametrize("header", [b"\x00\x00", b"\xff\xff"])
async def test_a_length_that_cannot_be_cuts_the_link_and_is_explained(
    header: bytes, tmp_path: Path
) -> None:
    async with edge(tmp_path) as world:
        link = await world.raw()
        await _sign_on(link)
        link.writer.write(header)
        assert await link.is_closed()
        assert world.counts("0991")["bad_length"] == 1
        assert next(iter(world.links.findings)).explanation.startswith("length")


@pytest.mark.parametrize("spec", SPECS)
async def test_mutated_and_truncated_frames_bring_nothing_down(spec: str, tmp_path: Path) -> None:
    rng = random.Random(8583)
    spoken = codec(spec)
    whole = spoken.encode(a_transfer("0991", 5) | {"48": "010040975", "52": "0123456789ABCDEF"})
    frames = [whole[:end] for end in range(1, len(whole))]
    for _ in range(1_000):
        mutant = bytearray(whole)
        for _ in range(rng.randrange(1, 4)):
            mutant[rng.randrange(len(mutant))] = rng.randrange(256)
        frames.append(bytes(mutant))
    async with edge(tmp_path, {"0991": member("0991", spec=spec)}) as world:
        client = await world.signed_on("0991")
        (session,) = client.mux.sessions
        for frame in frames:
            session.link.send(frame)
            if rng.random() < 0.05:
                await asyncio.sleep(0)
        assert (await client.ask(a_transfer("0991", 999), answer_s=5))["39"] == "00"
        assert world.counts("0991")["bad_format"] >= len(whole) - 1
        kept = await world.wire_log.recent(participant="0991", limit=500)
        assert not any(b"0123456789ABCDEF" in one.body for one in kept)


async def test_a_slow_reader_is_cut(tmp_path: Path) -> None:
    async with edge(tmp_path) as world:

        async def long(_: Participant, fields: Fields) -> Fields:
            return {**brief_answer(fields, "00"), "54": "0" * 120, "62": "9" * 900}

        world.answer = long
        link = await world.raw()
        await _sign_on(link)
        frame = link.framing.wrap(ASCII.encode(a_transfer("0991", 1)))

        async def flood() -> None:
            while True:
                link.writer.write(frame * 100)
                await asyncio.sleep(0)

        flooding = asyncio.create_task(flood())
        await until(lambda: world.acceptor.open_links == 0)
        flooding.cancel()


async def test_a_link_with_too_many_requests_is_not_read_for_now(tmp_path: Path) -> None:
    async with edge(tmp_path) as world:
        held = asyncio.Event()

        async def wait(_: Participant, fields: Fields) -> Fields:
            await held.wait()
            return brief_answer(fields, "00")

        world.answer = wait
        link = await world.raw()
        await _sign_on(link)
        asked = ISO_REQUESTS_PER_LINK_MAX + 300
        for stan in range(asked):
            link.send(ASCII.encode(a_transfer("0991", stan)))
        (session,) = world.links.lanes["0991"].sessions
        await until(lambda: session.running == ISO_REQUESTS_PER_LINK_MAX)
        await asyncio.sleep(0.02)
        assert session.running == ISO_REQUESTS_PER_LINK_MAX
        held.set()
        stans = set()
        for _ in range(asked):
            body = await link.receive()
            assert body is not None
            stans.add(ASCII.decode(body)["11"])
        assert len(stans) == asked


async def test_a_peer_that_answers_nothing_counts_as_unreachable_at_the_limit(
    tmp_path: Path,
) -> None:
    async with edge(tmp_path) as world:
        link = await world.raw()
        await _sign_on(link)
        lane = world.links.lanes["0991"]
        for stan in range(ISO_PENDING_PER_LINK_MAX):
            lane.send(a_transfer("0970", stan))
        with pytest.raises(NotConnected, match="does not answer"):
            lane.send(a_transfer("0970", 999_999))


async def test_a_link_beyond_the_limit_takes_the_place_of_the_oldest_not_signed_on(
    tmp_path: Path,
) -> None:
    async with edge(tmp_path, links_max=3) as world:
        first = await world.raw()
        await _sign_on(first)
        second, third = await world.raw(), await world.raw()
        await until(lambda: world.acceptor.open_links == 3)
        fourth = await world.raw()
        assert await second.is_closed()
        assert world.acceptor.open_links == 3
        await _sign_on(third)
        await _sign_on(fourth)


async def test_links_that_sign_on_are_never_shut_out_by_those_that_do_not(tmp_path: Path) -> None:
    async with edge(tmp_path, links_max=4) as world:
        for _ in range(12):
            await world.raw()
        await _sign_on(await world.raw())
        await until(lambda: world.acceptor.open_links == 4)


async def test_links_beyond_the_limit_are_closed_at_once(tmp_path: Path) -> None:
    async with edge(tmp_path, links_max=2) as world:
        for _ in range(2):
            await _sign_on(await world.raw())
        assert await (await world.raw()).is_closed()
        assert world.acceptor.open_links == 2


async def test_a_link_that_does_not_sign_on_is_cut(tmp_path: Path) -> None:
    async with edge(tmp_path, sign_on_s_max=0.1) as world:
        link = await world.raw()
        assert await link.is_closed()
