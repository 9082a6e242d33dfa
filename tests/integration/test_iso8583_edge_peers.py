"""What the clearing house asks over ISO 8583, what it owes, and what answers are worth."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from runtime.iso8583_speech import brief_answer
from scheme.errors import NoAnswer, NotConnected
from scheme.ledger import Owed
from scheme.messages import AV2, AV3, CT2, CT3, ET1, ET2
from scheme.wire.iso8583_codec import codec
from scheme.wire.iso8583_spec import Fields
from scheme.wire.iso8583_tlv import decode_tlv, encode_tlv
from scheme.wire.tin_json import decode
from switch.core.cash import REVERSAL_SUFFIX
from switch.core.iso8583_messages import reversal_of
from switch.edges.iso8583_peers import Iso8583Cores
from switch.lane_peers import LanePeers
from switch.ports import Delivery
from tests.support.iso8583_edge import EdgeWorld, a_transfer, edge
from tests.support.switch_world import golden

SUBJECT = "2026011510150009704110000123"


class Core:
    """A core that answers as it is told.

    Attributes:
        taken: what it was asked.
        code: DE39 of its answers; None leaves them out.
    """

    def __init__(self, code: str | None = "00") -> None:
        self.taken: list[Fields] = []
        self.code = code

    async def answer(self, fields: Fields) -> Fields | None:
        self.taken.append(fields)
        if self.code is None:
            return None
        answer = brief_answer(fields, self.code)
        if fields.get("3") == "330000":
            answer["48"] = encode_tlv({"08": "SOCIO DOS DEMO ENSAYO"})
        return answer


async def _core(world: EdgeWorld, code: str = "0975", says: str | None = "00") -> Core:
    core = Core(says)
    await world.signed_on(code, core.answer)
    return core


def _ct2() -> CT2:
    return decode(golden("CT2"), CT2)


def _owed(world: EdgeWorld, message: str = "0420", code: str = "0975") -> Owed:
    spoken = codec(world.members[code].iso8583.spec)
    reversal = reversal_of(a_transfer("0970", 5), now=world.clock.now())
    return Owed(
        owed_id=f"{SUBJECT}:{message}",
        participant=code,
        message=message,
        body=spoken.encode(reversal) if message == "0420" else golden(message),
        subject=SUBJECT,
        due_ms=1_800_000_000_000,
    )


async def test_a_query_is_asked_as_a_verification(tmp_path: Path) -> None:
    async with edge(tmp_path) as world:
        core = await _core(world)
        av3 = await world.peers.ask("0975", decode(golden("AV2"), AV2), SUBJECT)
        assert isinstance(av3, AV3)
        assert (av3.responseCode, av3.creditorName) == ("00", "SOCIO DOS DEMO ENSAYO")
        assert core.taken[0]["3"] == "330000"


@pytest.mark.parametrize(("said", "expected"), [("00", ("00", None)), ("14", ("05", "AC01"))])
async def test_an_order_leaves_exactly_as_it_was_prepared(
    said: str, expected: tuple[str, str | None], tmp_path: Path
) -> None:
    async with edge(tmp_path) as world:
        core = await _core(world, says=said)
        prepared = world.peers.prepare("0975", _ct2(), SUBJECT)
        ct3 = await world.peers.ask("0975", _ct2(), SUBJECT, prepared)
        assert isinstance(ct3, CT3)
        assert (ct3.responseCode, ct3.reasonCode) == expected
        (taken,) = core.taken
        mac = {"64", "128"}
        sent = {key: value for key, value in taken.items() if key not in mac}
        assert sent == codec("ascii-1987").decode(prepared)


async def test_every_request_has_a_stan_of_its_own(tmp_path: Path) -> None:
    async with edge(tmp_path) as world:
        spoken = codec("ascii-1987")
        stans = {
            spoken.decode(world.peers.prepare("0975", _ct2(), SUBJECT))["11"] for _ in range(5)
        }
        assert len(stans) == 5


async def test_without_a_link_nobody_is_connected(tmp_path: Path) -> None:
    async with edge(tmp_path) as world:
        with pytest.raises(NotConnected):
            await world.peers.ask("0975", _ct2(), SUBJECT)
        with pytest.raises(NotConnected):
            await world.peers.ask("9999", _ct2(), SUBJECT, b"0200")


async def test_an_answer_that_leaves_it_open_is_silence(tmp_path: Path) -> None:
    async with edge(tmp_path) as world:
        await _core(world, says="68")
        with pytest.raises(NoAnswer, match="DE39"):
            await world.peers.ask("0975", _ct2(), SUBJECT)


@pytest.mark.parametrize(
    ("says", "rule", "differs"),
    [
        ({"4": "000000000001"}, "DE4: another amount", "DE4 is 000000000001, sent was "),
        ({"49": "840"}, "DE49: another currency", "DE49 is 840, sent was 604"),
        ({"62": encode_tlv({"01": "7" * 28})}, "DE62.01: another order", "DE62.01 is 7777777"),
        ({"39": "68"}, "DE39: 68 does not say whether it was posted", ""),
    ],
)
async def test_an_answer_that_does_not_fit_its_request_is_a_finding_and_stands_in_the_timeline(
    says: Fields, rule: str, differs: str, tmp_path: Path
) -> None:
    async with edge(tmp_path) as world:

        async def answer(fields: Fields) -> Fields:
            return brief_answer(fields, "00") | says

        await world.signed_on("0975", answer)
        with pytest.raises(NoAnswer):
            await world.peers.ask("0975", _ct2(), SUBJECT)
        assert world.counts("0975")["unfit_answer"] == 1
        (row,) = world.links.findings_view("0975", 50)
        assert (row["kind"], row["message"], row["explanation"]) == ("unfit_answer", "0210", rule)
        assert row["near"].startswith("0200 with DE11 ")
        assert differs in row["near"]
        assert row["address"].startswith("127.0.0.1:")
        assert codec("ascii-1987").decode(bytes.fromhex(row["frame"]))["t"] == "0210"
        kept = await world.wire_log.find(frozenset({SUBJECT}), since_us=0)
        assert [(one.name, one.note) for one in kept] == [
            ("0200", ""),
            ("0210", f"unfit answer: {rule}"),
        ]


async def test_an_issuers_unfit_answer_is_a_finding_and_cash_judges_it_itself(
    tmp_path: Path,
) -> None:
    async with edge(tmp_path) as world:

        async def answer(fields: Fields) -> Fields:
            return brief_answer(fields, "00") | {"4": "000000000001"}

        await world.signed_on("0975", answer)
        cores = Iso8583Cores(world.peers)
        prepared = cores.prepare("0975", a_transfer("0991", 0, **{"3": "010000"}))
        assert (await cores.ask("0975", prepared, SUBJECT))["39"] == "00"
        (found,) = world.links.findings
        assert (found.kind, found.explanation) == ("unfit_answer", "DE4: another amount")


async def test_what_is_owed_to_a_participant_without_a_link_says_so(tmp_path: Path) -> None:
    async with edge(tmp_path) as world:
        delivery = await world.peers.deliver(_owed(world))
        assert (delivery.acknowledged, delivery.detail) == (False, "no link is signed on")


async def test_an_echo_is_an_echo_on_this_lane_too(tmp_path: Path) -> None:
    async with edge(tmp_path) as world:
        await _core(world)
        et2 = await world.peers.ask("0975", decode(golden("ET1"), ET1), "")
        assert isinstance(et2, ET2)
        assert et2.status == "00"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("00", (True, False)),
        ("25", (True, False)),
        ("21", (True, True)),
        ("05", (True, True)),
    ],
)
async def test_a_reversal_is_owed_until_it_is_answered(
    said: str, expected: tuple[bool, bool], tmp_path: Path
) -> None:
    async with edge(tmp_path) as world:
        core = await _core(world, says=said)
        delivery = await world.peers.deliver(_owed(world))
        assert (delivery.acknowledged, delivery.refused) == expected
        assert core.taken[0]["t"] == "0420"


async def test_an_issuer_that_forgot_what_it_had_approved_gives_nothing_back(
    tmp_path: Path,
) -> None:
    async with edge(tmp_path) as world:
        await _core(world, says="25")
        owed = replace(_owed(world), owed_id="W1" + REVERSAL_SUFFIX)
        delivery = await world.peers.deliver(owed)
        assert (delivery.acknowledged, delivery.refused) == (True, True)


async def test_a_repeat_says_so_and_is_otherwise_the_same(tmp_path: Path) -> None:
    async with edge(tmp_path) as world:
        core = await _core(world, "0976")
        owed = _owed(world, code="0976")
        await world.peers.deliver(owed)
        await world.peers.deliver(owed, repeated=True)
        first, again = core.taken
        assert (first["t"], again["t"]) == ("0420", "0421")
        assert first["90"] == again["90"]
        changed = {key for key in first if first[key] != again[key]}
        assert changed <= {"t", "64", "128"}


async def test_a_reversal_of_before_its_core_changed_its_table_is_still_delivered(
    tmp_path: Path,
) -> None:
    async with edge(tmp_path) as world:
        core = await _core(world, "0976")
        ascii_body = _owed(world, code="0975").body
        owed = _owed(world, code="0976")
        moved = Owed(
            owed_id=owed.owed_id,
            participant="0976",
            message="0420",
            body=ascii_body,
            subject=SUBJECT,
            due_ms=0,
        )
        assert (await world.peers.deliver(moved)).acknowledged
        assert core.taken[0]["11"] == "000005"


@pytest.mark.parametrize("code", ["0975", "9999"])
async def test_what_cannot_be_delivered_stays_owed(code: str, tmp_path: Path) -> None:
    async with edge(tmp_path) as world:
        owed = _owed(world)
        away = Owed(
            owed_id="x", participant=code, message="0420", body=owed.body, subject="", due_ms=0
        )
        delivery = await world.peers.deliver(away)
        assert not delivery.acknowledged
        assert delivery.detail


async def test_a_notice_goes_by_link_to_whoever_has_no_address(tmp_path: Path) -> None:
    async with edge(tmp_path) as world:
        notices = []

        async def answer(fields: Fields) -> Fields:
            notices.append(fields)
            return brief_answer(fields, "00")

        await world.signed_on("0975", answer)
        delivery = await world.peers.deliver(_owed(world, "SNM971"))
        assert delivery.acknowledged
        told = decode_tlv(notices[0]["62"], 62)
        assert told["07"] == "SNM971"
        assert "eventCode" in told["08"]


async def test_cash_asks_with_fields_and_is_answered_with_fields(tmp_path: Path) -> None:
    async with edge(tmp_path) as world:
        core = await _core(world)
        cores = Iso8583Cores(world.peers)
        asked = a_transfer("0991", 0, **{"3": "010000", "2": "9709750000000001"})
        prepared = cores.prepare("0975", asked)
        answer = await cores.ask("0975", prepared, SUBJECT)
        assert answer["39"] == "00"
        (taken,) = core.taken
        assert (taken["33"], taken["11"]) == ("9999", answer["11"])
        assert taken["11"] != "000000"


async def test_a_request_and_its_answer_are_kept_under_their_order(tmp_path: Path) -> None:
    async with edge(tmp_path) as world:
        await _core(world)
        await world.peers.ask("0975", _ct2(), SUBJECT)
        kept = await world.wire_log.find(frozenset({SUBJECT}), since_us=0)
        assert [(one.name, one.sender) for one in kept] == [("0200", "CCE"), ("0210", "0975")]
        assert kept[1].took_us > 0


async def test_a_request_given_up_is_kept_too(tmp_path: Path) -> None:
    async with edge(tmp_path) as world:
        await _core(world, says=None)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await world.peers.ask("0975", _ct2(), SUBJECT)
        kept = await world.wire_log.find(frozenset({SUBJECT}), since_us=0)
        assert [one.note for one in kept] == ["", "given up at the deadline"]


class _Http:
    """The other lane's peers, which only remember."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def prepare(self, participant: str, message: Any, subject: str) -> bytes:
        self.seen.append(f"prepare {participant}")
        return b""

    async def ask(self, participant: str, message: Any, subject: str, prepared: bytes = b"") -> Any:
        self.seen.append(f"ask {participant}")
        return message

    async def deliver(self, owed: Owed, *, repeated: bool = False) -> Delivery:
        self.seen.append(f"deliver {owed.message}>{owed.participant}")
        return Delivery(acknowledged=True)


async def test_each_is_spoken_to_on_its_lane(tmp_path: Path) -> None:
    async with edge(tmp_path) as world:
        http = _Http()
        core = await _core(world)
        lanes = LanePeers(http, world.peers, world.members)
        assert lanes.prepare("0975", _ct2(), SUBJECT)
        assert lanes.prepare("0971", _ct2(), SUBJECT) == b""
        await lanes.ask("0975", _ct2(), SUBJECT)
        await lanes.ask("0971", _ct2(), SUBJECT)
        await lanes.deliver(_owed(world))
        await lanes.deliver(_owed(world, "SNM971"))
        assert http.seen == ["prepare 0971", "ask 0971"]
        assert [one["t"] for one in core.taken] == ["0200", "0420", "0800"]


async def test_a_core_that_listens_over_http_too_gets_its_notices_there(tmp_path: Path) -> None:
    async with edge(tmp_path) as world:
        http = _Http()
        listening = {code: _with_port(one) for code, one in world.members.items()}
        lanes = LanePeers(http, world.peers, listening)
        await lanes.deliver(_owed(world, "SNM971"))
        assert http.seen == ["deliver SNM971>0975"]


def _with_port(one: Any) -> Any:
    return replace(one, port=7112)
