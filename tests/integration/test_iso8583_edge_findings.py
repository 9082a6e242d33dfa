"""What does not fit at the ISO 8583 port: counted, kept within bounds, shown without secrets."""

import asyncio
from pathlib import Path

import pytest

from runtime.clock import ManualClock
from runtime.iso8583_speech import brief_answer, network_request
from scheme.errors import NoAnswer
from scheme.network import Participant
from scheme.wire.iso8583_spec import Fields
from scheme.wire.iso8583_tlv import decode_tlv, encode_tlv
from switch.iso8583_links import TOLD_PER_SECOND_MAX
from tests.support.iso8583_edge import ASCII, a_transfer, answer_of, ask_core, edge, sign_on, until
from tests.support.switch_world import START


async def test_what_the_desk_turns_away_for_its_form_is_a_finding(tmp_path: Path) -> None:
    async with edge(tmp_path) as world:

        async def turn_away(member: Participant, fields: Fields) -> Fields:
            assert member.code == "0991"
            return brief_answer(fields, "58", "DE32: not who is signed on")

        world.answer = turn_away
        client = await world.signed_on("0991")
        await client.ask(a_transfer("0975", 3), answer_s=5)
        await until(lambda: world.counts("0991").get("not_permitted") == 1)
        (finding,) = world.links.findings
        assert (finding.message, finding.stan) == ("0200", "000003")
        assert finding.explanation == "DE32: not who is signed on"


@pytest.mark.parametrize(
    ("private", "counted"),
    [
        ({"01": "20260115101500097041", "03": "BE16", "04": "DE48.06: it is not the holder's"}, 0),
        ({"03": "FF02", "04": "DE39: refused by the issuer 0975"}, 0),
        ({"03": "FF02", "04": "DE48.04: mandatory"}, 1),
    ],
)
async def test_anothers_refusal_does_not_make_a_sound_request_a_broken_one(
    private: dict[str, str], counted: int, tmp_path: Path
) -> None:
    async with edge(tmp_path) as world:

        async def turn_away(_: Participant, fields: Fields) -> Fields:
            return brief_answer(fields, "30") | {"62": encode_tlv(private)}

        world.answer = turn_away
        client = await world.signed_on("0991")
        assert (await client.ask(a_transfer("0991", 3), answer_s=5))["39"] == "30"
        await until(lambda: world.counts("0991").get("answered") == 1)
        assert world.counts("0991").get("bad_format", 0) == counted
        assert len(world.links.findings) == counted


async def test_who_never_signs_on_pushes_out_nothing_and_is_one_row(tmp_path: Path) -> None:
    async with edge(tmp_path) as world:
        client = await world.signed_on("0991")
        (session,) = client.mux.sessions
        body = ASCII.encode(a_transfer("0991", 5))
        session.link.send(body.replace(b"000000000105", b"00000000010x"))
        await until(lambda: world.counts("0991").get("bad_format") == 1)
        for _ in range(2):  # Dialling again makes it nobody else.
            stranger = await world.raw()
            for stan in range(60):
                echo = network_request("301", stan=stan, now=START, acquirer="0991")
                stranger.send(ASCII.encode(echo))
            await until(lambda: world.links.strangers["not_permitted"] % 60 == 0)
        await until(lambda: world.links.strangers["not_permitted"] == 120)
        kept, flood = world.links.findings
        assert (kept.participant, kept.kind, kept.count) == ("0991", "bad_format", 1)
        assert (flood.participant, flood.kind, flood.count) == ("", "not_permitted", 120)
        assert flood.address.startswith("127.0.0.1:")
        assert flood.first_us <= flood.at_us


async def test_a_frame_that_is_shown_has_no_secrets_and_nothing_personal(tmp_path: Path) -> None:
    async with edge(tmp_path) as world:
        stranger = await world.raw()
        secrets = {"52": "1122334455667788", "48": encode_tlv({"30": "424242", "04": "NOMBRE"})}
        stranger.send(ASCII.encode(a_transfer("0991", 5, **secrets)))
        assert (await answer_of(stranger))["39"] == "58"
        (row,) = world.links.findings_view(None, 50)
        shown = ASCII.decode(bytes.fromhex(row["frame"]))
        assert (shown["11"], shown["52"]) == ("000005", "0" * 16)
        assert decode_tlv(shown["48"], 48) == {"30": "000000", "04": "000000"}
        assert (shown["102"], shown["103"]) == ("0" * 20, "0" * 20)
        (kept,) = world.links.findings
        assert b"NOMBRE" in bytes.fromhex(kept.frame)


async def test_a_request_without_an_outcome_is_not_answered(tmp_path: Path) -> None:
    async with edge(tmp_path) as world:

        async def silent(_: Participant, __: Fields) -> None:
            return None

        world.answer = silent
        client = await world.signed_on("0991")
        with pytest.raises(NoAnswer, match="no answer within"):
            await client.ask(a_transfer("0991", 3), answer_s=0.05)
        await until(lambda: world.counts("0991").get("requests") == 1)
        assert "answered" not in world.counts("0991")


async def test_an_answer_nobody_asked_for_shifts_nothing(tmp_path: Path) -> None:
    async with edge(tmp_path) as world:
        strays = []

        async def answer(fields: Fields) -> Fields:
            strays.append(fields["11"])
            (session,) = client.mux.sessions
            stray = {"t": "0810", "7": "0115000000", "11": "999999", "70": "301", "39": "00"}
            session.send(stray)
            session.send({**brief_answer(fields, "05"), "11": "888888"})
            return brief_answer(fields, "00")

        client = await world.signed_on("0991", answer)
        for stan in range(1, 21):
            answered = await ask_core(world, "0991", stan)
            assert (answered["11"], answered["39"]) == (f"{stan:06}", "00")
        await until(lambda: world.counts("0991").get("unmatched") == 40)
        assert len(strays) == 20
        assert {one.kind for one in world.links.findings} == {"unmatched"}


async def test_an_unmatched_answer_has_its_near_miss(tmp_path: Path) -> None:
    async with edge(tmp_path) as world:

        async def answer(fields: Fields) -> Fields:
            client.mux.sessions[0].send(brief_answer(fields, "00") | {"37": "OTHER0000001"})
            return brief_answer(fields, "00")

        client = await world.signed_on("0991", answer)
        await ask_core(world, "0991", 5)
        (finding,) = world.links.findings
        assert (finding.kind, finding.stan) == ("unmatched", "000005")
        assert finding.explanation == "no pending request has its DE11, DE37 and DE32"
        kind, _, differs = finding.near.partition(": ")
        assert kind.startswith("0200 with DE11 ")
        assert differs == "DE37 is OTHER0000001, sent was 000000000005"
        assert finding.address.startswith("127.0.0.1:")
        assert b"OTHER0000001" in bytes.fromhex(finding.frame)


async def test_a_flood_of_strays_is_counted_whole_and_told_in_part(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strays = 500
    async with edge(tmp_path, clock=ManualClock(START)) as world:
        link = await world.raw()
        await sign_on(link)
        for stan in range(strays):
            link.send(ASCII.encode(brief_answer(a_transfer("0991", stan), "00")))
        await until(lambda: world.counts("0991").get("unmatched") == strays)
        (row,) = world.links.findings
        assert row.count == strays
    told = capsys.readouterr().out.count("frame did not fit")
    assert told == TOLD_PER_SECOND_MAX


async def test_strays_of_several_requests_say_that_one_of_them_is_shown(tmp_path: Path) -> None:
    async with edge(tmp_path, clock=ManualClock(START)) as world:
        link = await world.raw()
        await sign_on(link)
        for stan in (7, 7):
            link.send(ASCII.encode(brief_answer(a_transfer("0991", stan), "00")))
        await until(lambda: world.counts("0991").get("unmatched") == 2)
        (row,) = world.links.findings_view(None, 50)
        assert (row["count"], row["mixed"], row["stan"]) == (2, False, "000007")
        link.send(ASCII.encode(brief_answer(a_transfer("0991", 8), "00")))
        await until(lambda: world.counts("0991").get("unmatched") == 3)
        (row,) = world.links.findings_view(None, 50)
        assert (row["count"], row["mixed"], row["stan"]) == (3, True, "000008")
        assert world.links.since == START.isoformat()


async def test_a_link_that_is_not_signed_on_is_listed_with_whom_it_named(tmp_path: Path) -> None:
    async with edge(tmp_path) as world:
        link = await world.raw()
        await until(lambda: len(world.links.not_signed_on_view()) == 1)
        assert world.links.not_signed_on_view()[0]["participant"] == ""
        await sign_on(link)
        assert world.links.not_signed_on_view() == []
        off = {"t": "0800", "7": "0115151500", "11": "000002", "32": "0991", "70": "002"}
        link.send(ASCII.encode(off))
        assert (await answer_of(link))["39"] == "00"
        (row,) = world.links.not_signed_on_view()
        assert (row["participant"], row["received"]) == ("0991", 2)


async def test_one_request_that_a_link_took_with_it_is_one(tmp_path: Path) -> None:
    async with edge(tmp_path) as world:
        link = await world.raw()
        await sign_on(link)
        asking = asyncio.ensure_future(ask_core(world, "0991", 5))
        assert (await answer_of(link))["t"] == "0200"
        link.close()
        with pytest.raises(NoAnswer):
            await asking
        await until(lambda: world.counts("0991").get("link_lost") == 1)
        (found,) = world.links.findings
        assert found.explanation.startswith("1 request was sent and not answered: ")


async def test_a_reversal_that_came_first_stands_in_the_timeline_of_its_key(
    tmp_path: Path,
) -> None:
    async with edge(tmp_path, clock=ManualClock(START)) as world:

        async def unknown(_: Participant, fields: Fields) -> Fields:
            return brief_answer(fields, "25")

        world.answer = unknown
        client = await world.signed_on("0991")
        original = f"0200{7:06}0115151500{991:011}{0:011}"
        await client.ask(a_transfer("0991", 9, t="0420", **{"90": original}), answer_s=5)
        key = "iso:0991:20260115:000007:000000000009"
        await until(lambda: world.counts("0991").get("answered") == 1)
        kept = await world.wire_log.find(frozenset({key}), since_us=0)
        assert [one.name for one in kept] == ["0420", "0430"]
