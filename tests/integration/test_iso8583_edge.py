"""The ISO 8583 port: sessions, keys, matching, and what becomes of what does not fit."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from runtime.iso8583_client import Refused
from runtime.iso8583_link import recognise
from runtime.iso8583_speech import Speech, brief_answer, network_request
from scheme.errors import NoAnswer, NotConnected
from scheme.network import Participant
from scheme.wire.iso8583_codec import codec
from scheme.wire.iso8583_framing import Framing
from scheme.wire.iso8583_spec import Fields
from scheme.wire.iso8583_tlv import decode_tlv
from tests.support.iso8583_edge import (
    ASCII,
    MEMBERS,
    a_transfer,
    answer_of,
    ask_core,
    edge,
    sign_on,
    until,
)


def _rule(answer: Fields) -> str:
    return decode_tlv(answer["62"], 62)["04"]


@pytest.mark.parametrize("code", sorted(MEMBERS))
async def test_every_variant_exchanges_its_key_signs_on_and_is_answered(
    code: str, tmp_path: Path
) -> None:
    async with edge(tmp_path) as world:
        client = await world.signed_on(code)
        answer = await client.ask(a_transfer(code, 7), answer_s=5)
        assert (answer["t"], answer["39"], answer["11"]) == ("0210", "00", "000007")
        assert world.signed == [(code, True)]
        assert world.woken == [code]
        (link,) = world.links.lanes[code].sessions
        assert link.speech is not None
        assert bool(link.speech.check_value) is (MEMBERS[code].iso8583.mac != "none")


async def test_a_second_link_of_a_participant_shares_its_requests(tmp_path: Path) -> None:
    async with edge(tmp_path) as world:
        held: asyncio.Event = asyncio.Event()

        async def wait(fields: Fields) -> Fields:
            await held.wait()
            return brief_answer(fields, "00")

        await world.signed_on("0991", wait, links=2)
        lane = world.links.lanes["0991"]
        asking = [asyncio.create_task(ask_core(world, "0991", stan)) for stan in range(1, 7)]
        await until(lambda: lane.pending == 6)
        assert [session.pending for session in lane.sessions] == [3, 3]
        held.set()
        assert {answer["39"] for answer in await asyncio.gather(*asking)} == {"00"}


async def test_more_links_than_the_fleet_file_grants_are_refused_and_the_others_are_probed(
    tmp_path: Path,
) -> None:
    async with edge(tmp_path) as world:
        first = await world.signed_on("0975", links=4)
        fifth = world.client("0975")
        await fifth.start()
        await until(lambda: world.counts("0975").get("not_permitted", 0) > 0)
        assert len(world.links.lanes["0975"].sessions) == 4
        assert first.mux.counts["late"] == 0


async def test_without_a_sign_on_nothing_is_answered_but_58(tmp_path: Path) -> None:
    async with edge(tmp_path) as world:
        link = await world.raw()
        link.send(ASCII.encode(a_transfer("0991", 1)))
        assert (await answer_of(link))["39"] == "58"
        link.send(
            ASCII.encode(network_request("301", stan=2, now=world.clock.now(), acquirer="0991"))
        )
        assert (await answer_of(link))["39"] == "58"
        assert (await sign_on(link))["39"] == "00"
        link.send(ASCII.encode(a_transfer("0991", 3)))
        assert (await answer_of(link))["39"] == "00"


async def test_a_mac_is_demanded_before_the_sign_on_where_the_fleet_file_names_one(
    tmp_path: Path,
) -> None:
    async with edge(tmp_path) as world:
        link = await world.raw()
        answer = await sign_on(link, "0975")
        assert answer["39"] == "58"
        assert "key change" in _rule(answer)
        assert world.signed == []


@pytest.mark.parametrize(
    ("spoken", "found"),
    [
        ({"header": "ascii-4"}, "length header is ascii-4, fleet.toml says binary-2"),
        ({"tpdu": "6000000001"}, "TPDU is 6000000001, fleet.toml says none"),
        ({"spec": "packed-1987"}, "table of elements is packed-1987, fleet.toml says ascii-1987"),
    ],
)
async def test_a_caller_that_speaks_otherwise_than_the_fleet_file_says_is_told(
    spoken: dict[str, Any], found: str, tmp_path: Path
) -> None:
    async with edge(tmp_path) as world:
        client = world.client("0991", **spoken)
        await client.start()
        await until(lambda: world.counts("0991").get("other_than_fleet_file", 0) > 0)
        assert found in next(iter(world.links.findings)).explanation
        assert world.links.lanes["0991"].sessions == []


async def test_a_wrong_key_encrypting_key_is_a_bad_mac(tmp_path: Path) -> None:
    async with edge(tmp_path) as world:
        client = world.client("0975", kek=bytes(16))
        await client.start()
        await until(lambda: world.counts("0975").get("bad_mac", 0) > 0)
        assert world.signed == []


async def test_a_bad_mac_is_answered_96_and_the_link_stays(tmp_path: Path) -> None:
    async with edge(tmp_path) as world:
        strays: list[Fields] = []
        client = await world.signed_on("0975", report=lambda _, fields: strays.append(fields))
        (session,) = client.mux.sessions
        forger = Speech("ascii-1987", "aes-cmac", bytes(16))
        forger.adopt(bytes(16))
        session.link.send(forger.write(a_transfer("0975", 9)))
        await until(lambda: client.mux.counts["unmatched"] == 1)
        assert strays[0]["39"] == "96"
        assert "MAC" in _rule(strays[0]) or "DE128" in _rule(strays[0])
        assert world.counts("0975")["bad_mac"] == 1
        assert (await client.ask(a_transfer("0975", 10), answer_s=5))["39"] == "00"


async def test_a_message_without_its_mac_is_not_believed(tmp_path: Path) -> None:
    async with edge(tmp_path) as world:
        client = await world.signed_on("0975")
        (session,) = client.mux.sessions
        session.link.send(ASCII.encode(a_transfer("0975", 9)))
        await until(lambda: world.counts("0975").get("bad_mac") == 1)
        assert "requests" not in world.counts("0975")


async def test_an_answer_from_whoever_has_no_session_key_is_not_believed(tmp_path: Path) -> None:
    async with edge(tmp_path) as world:
        asked: list[Fields] = []

        async def silent(fields: Fields) -> None:
            asked.append(fields)

        await world.signed_on("0975", silent)
        asking = asyncio.create_task(ask_core(world, "0975", 5))
        await until(lambda: bool(asked))
        forger = await world.raw("0975")
        forger.send(
            ASCII.encode({"t": "0800", "7": "1" * 10, "11": "1" * 6, "32": "0975", "70": "101"})
        )
        assert (await answer_of(forger))["39"] == "96"
        forger.send(ASCII.encode(brief_answer({**asked[0], "t": "0200"}, "00")))
        await until(lambda: world.counts("0975").get("not_permitted") == 1)
        assert not asking.done()
        asking.cancel()


async def test_what_breaks_the_table_is_answered_30_and_the_link_stays(tmp_path: Path) -> None:
    async with edge(tmp_path) as world:
        link = await world.raw()
        await sign_on(link)
        body = ASCII.encode(a_transfer("0991", 5))
        link.send(body.replace(b"000000000105", b"00000000010x"))
        link.send(ASCII.encode(a_transfer("0991", 6)))
        answers = [await answer_of(link)]
        if answers[0]["11"] != "000006":
            assert answers[0]["39"] == "30"
            answers.append(await answer_of(link))
        assert answers[-1]["39"] == "00"
        assert world.counts("0991")["bad_format"] == 1


async def test_late_and_repeated_answers_are_known_for_what_they_are(tmp_path: Path) -> None:
    async with edge(tmp_path) as world:
        slow = asyncio.Event()

        async def answer(fields: Fields) -> Fields:
            if fields["11"] == "000001":
                await slow.wait()
            else:
                client.mux.sessions[0].send(brief_answer(fields, "00"))
            return brief_answer(fields, "00")

        client = await world.signed_on("0991", answer)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await ask_core(world, "0991", 1)
        slow.set()
        await until(lambda: world.counts("0991").get("late") == 1)
        await ask_core(world, "0991", 2)
        await until(lambda: world.counts("0991").get("duplicate") == 1)
        assert world.links.lanes["0991"].pending == 0


async def test_a_link_that_drops_after_a_request_was_sent_is_silence(tmp_path: Path) -> None:
    async with edge(tmp_path) as world:
        link = await world.raw()
        await sign_on(link)
        asking = asyncio.create_task(ask_core(world, "0991", 1))
        assert (await answer_of(link))["t"] == "0200"
        link.close()
        with pytest.raises(NoAnswer):
            await asking
        lane = world.links.lanes["0991"]
        assert (lane.pending, lane.sessions) == (0, [])
        assert world.counts("0991")["link_lost"] == 1
        with pytest.raises(NotConnected):
            await ask_core(world, "0991", 2)
        assert world.signed == [("0991", True)]


async def test_an_answer_goes_out_on_another_link_if_its_own_is_gone(tmp_path: Path) -> None:
    async with edge(tmp_path) as world:
        held = asyncio.Event()

        async def wait(_: Participant, fields: Fields) -> Fields:
            await held.wait()
            return brief_answer(fields, "00")

        world.answer = wait
        first, second = await world.raw(), await world.raw()
        await sign_on(first, stan=1)
        await sign_on(second, stan=2)
        first.send(ASCII.encode(a_transfer("0991", 5)))
        await until(lambda: world.counts("0991").get("requests") == 1)
        first.close()
        await until(lambda: world.acceptor.open_links == 1)
        held.set()
        assert (await answer_of(second))["11"] == "000005"


async def test_a_sign_off_ends_the_right_to_send_on_every_link(tmp_path: Path) -> None:
    async with edge(tmp_path) as world:
        client = await world.signed_on("0975", links=2)
        await client.sign_off()
        assert world.signed[-1] == ("0975", False)
        assert world.links.lanes["0975"].sessions == []
        with pytest.raises(NotConnected):
            await ask_core(world, "0975", 1)
        await client.sign_on()
        assert len(world.links.lanes["0975"].sessions) == 2
        assert (await client.ask(a_transfer("0975", 2), answer_s=5))["39"] == "00"


async def test_an_idle_link_is_echoed_and_a_deaf_one_cut(tmp_path: Path) -> None:
    quick = {"echo_idle_s": 0.05, "echo_answer_s": 0.1}
    async with edge(tmp_path, rules=quick) as world:
        client = await world.signed_on("0976")
        await until(lambda: client.mux.sessions[0].received >= 4)
        deaf = await world.raw()
        await sign_on(deaf)
        assert (await answer_of(deaf))["70"] == "301"
        assert await deaf.is_closed()
        assert len(world.links.lanes["0976"].sessions) == 1


async def test_a_client_dials_again_and_goes_on(tmp_path: Path) -> None:
    async with edge(tmp_path) as world:
        client = await world.signed_on("0976")
        world.links.lanes["0976"].sessions[0].link.cut("for a test")
        await until(lambda: not client.mux.sessions)
        async with asyncio.timeout(5):
            await client.ready()
        assert (await client.ask(a_transfer("0976", 2), answer_s=5))["39"] == "00"


async def test_a_link_that_is_closed_as_soon_as_it_is_taken_is_dialled_again(
    tmp_path: Path,
) -> None:
    async with edge(tmp_path, links_max=1) as world:
        first = await world.raw()
        await sign_on(first)
        client = world.client("0976")
        await client.start()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await client.ready()
        first.close()
        async with asyncio.timeout(5):
            await client.ready()


async def test_a_link_that_is_back_after_a_sign_off_does_not_sign_on_by_itself(
    tmp_path: Path,
) -> None:
    async with edge(tmp_path) as world:
        client = await world.signed_on("0976")
        await client.sign_off()
        for link in list(world.acceptor._callers):
            link.cut("for a test")
        await until(lambda: world.acceptor.open_links == 0)
        # Dialled, and its key exchanged, but no more.
        await until(lambda: any(one.sent == 1 for one in world.acceptor._callers.values()))
        assert world.signed[-1] == ("0976", False)
        await client.sign_on()
        async with asyncio.timeout(5):
            await client.ready()


async def test_a_key_can_be_changed_in_the_middle_of_a_session(tmp_path: Path) -> None:
    async with edge(tmp_path) as world:
        client = await world.signed_on("0976")
        (session,) = client.mux.sessions
        await client.change_key(session)
        assert (await client.ask(a_transfer("0976", 2), answer_s=5))["39"] == "00"


async def test_a_network_message_that_is_not_served_is_named(tmp_path: Path) -> None:
    async with edge(tmp_path) as world:
        client = await world.signed_on("0991")
        with pytest.raises(Refused, match="DE62"):
            await client.network("701")
        with pytest.raises(Refused, match="no key"):
            await client.network("101")
        assert world.counts("0991")["bad_format"] == 1
        assert world.counts("0991")["not_permitted"] == 1


async def test_stopping_lets_running_answers_out_and_takes_no_more_links(tmp_path: Path) -> None:
    async with edge(tmp_path) as world:
        held = asyncio.Event()

        async def wait(_: Participant, fields: Fields) -> Fields:
            await held.wait()
            return brief_answer(fields, "00")

        world.answer = wait
        client = await world.signed_on("0991")
        asking = asyncio.create_task(client.ask(a_transfer("0991", 2), answer_s=5))
        await until(lambda: world.counts("0991").get("requests") == 1)
        stopping = asyncio.create_task(world.acceptor.stop(5))
        await asyncio.sleep(0)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", world.port)
        held.set()
        assert (await asking)["39"] == "00"
        await stopping
        assert world.acceptor.open_links == 0


async def test_secrets_are_blanked_in_the_wire_log_and_the_rest_is_exact(tmp_path: Path) -> None:
    async with edge(tmp_path) as world:
        client = await world.signed_on("0976")
        request = a_transfer("0976", 2) | {
            "52": "0123456789ABCDEF",
            "48": "010040975300081234567831004none",
        }
        await client.ask(request, answer_s=5)
        await until(lambda: world.counts("0976").get("answered") == 1)
        kept = await world.wire_log.recent(participant="0976", limit=50)
        names = [one.name for one in kept]
        assert names == ["0800", "0810", "0800", "0810", "0200", "0210"]
        packed = codec("packed-1987")
        shown = packed.decode(kept[4].body)
        assert shown["52"] == "0" * 16
        assert shown["48"] == "010040975300080000000031004none"
        assert shown["4"] == request["4"]
        answered = decode_tlv(packed.decode(kept[1].body)["48"], 48)
        assert set(answered["40"]) == {"0"}
        assert set(answered["41"]) != {"0"}


def test_no_two_framings_begin_alike() -> None:
    body = ASCII.encode(a_transfer("0991", 1))
    packed = codec("packed-1987").encode(a_transfer("0991", 1))
    for header in ("binary-2", "ascii-4"):
        for tpdu in ("", "6000000000"):
            for one in (body, packed):
                found = recognise(Framing(header, tpdu).wrap(one))
                assert found is not None
                assert (found.header, found.tpdu) == (header, tpdu)
