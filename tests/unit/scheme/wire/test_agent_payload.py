"""Payloads of the agent lane: golden bytes, bounds, and what a hostile terminal may send."""

import json
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from scheme.errors import MalformedMessage
from scheme.limits import AGENT_BATCH_MAX, AGENT_PAYLOAD_BYTES_MAX
from scheme.wire.agent_payload import (
    AGENT_DATA_MAX,
    NOTE_CHARACTERS_MAX,
    Agreement,
    Closing,
    Down,
    Fault,
    Hello,
    Items,
    Kind,
    Missing,
    Operation,
    Operations,
    Presence,
    Row,
    Up,
    Verdict,
    Verdicts,
    Welcome,
    WrongVersion,
    as_json,
    decode_down,
    decode_presence,
    decode_up,
    encode,
    encode_presence,
    payloads,
)

GOLDEN = Path(__file__).parents[3] / "golden" / "agents"
NAMES = sorted(path.stem for path in GOLDEN.glob("*.json") if not path.stem.startswith("state"))
UPS = (Hello, Operations, Closing, Items)
DOWNS = (Welcome, Verdicts, Agreement, Items, Missing, Fault)
SEEDS, MUTATIONS = 20, 500
"""Together 10,000 mutations."""

pack = msgspec.msgpack.encode
an_operation = [1, b"\xa1" * 8, 1, 15000, 0, "97100220030040050213", "", 1768482000, True, b"m" * 8]
a_verdict = [1, "00", "", "2026", "", []]


def golden(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text())
    return loaded


def raw(name: str) -> bytes:
    return bytes.fromhex(golden(name)["payload"])


def decoder(name: str) -> Callable[[bytes], Up | Down]:
    return decode_up if name.startswith("up-") else decode_down


def with_element(place: int, value: object) -> bytes:
    """Return two operations, of which the second has another element."""
    broken = list(an_operation)
    broken[place] = value
    return pack([1, [1, 17, [an_operation, broken]]])


def test_every_message_and_kind_has_golden_bytes() -> None:
    told = {(name.split("-")[0], golden(name)["json"]["message"]) for name in NAMES}
    assert told == {("up", one.__name__) for one in UPS} | {("down", one.__name__) for one in DOWNS}
    kinds = {one["kind"] for one in golden("up-operations-every-kind")["json"]["operations"]}
    assert kinds == set(Kind)


@pytest.mark.parametrize("name", NAMES)
def test_golden_bytes_survive_decoding_and_encoding(name: str) -> None:
    message = decoder(name)(raw(name))
    assert encode(message) == raw(name)
    assert json.loads(as_json(message)) == golden(name)["json"]


@pytest.mark.parametrize("name", NAMES)
def test_every_truncation_is_malformed(name: str) -> None:
    payload = raw(name)
    for length in range(len(payload)):
        with pytest.raises(MalformedMessage):
            decoder(name)(payload[:length])


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_garbled_payload_is_a_message_or_malformed_and_nothing_else(seed: int) -> None:
    rng = random.Random(seed)
    originals = [raw(name) for name in NAMES]
    for _ in range(MUTATIONS):
        body = bytearray(rng.choice(originals))
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(body))
            match rng.randrange(4):
                case 0:
                    body[at] = rng.randrange(256)
                case 1:
                    body[at:at] = bytes((rng.choice((0x91, 0x9F, 0xC0, 0xC4, 0xCB, 0xD9, 0xDF)),))
                case 2:
                    del body[at : at + rng.randint(1, 8)]
                    body = body or bytearray(1)
                case _:
                    body[at] ^= 1 << rng.randrange(8)
        for decode in (decode_up, decode_down):
            with suppress(MalformedMessage):
                read = decode(bytes(body))
                assert decode(encode(read)) == read
                as_json(read)


@given(st.binary(max_size=200))
def test_chance_bytes_are_malformed_or_a_message(body: bytes) -> None:
    for decode in (decode_up, decode_down, decode_presence):
        with suppress(MalformedMessage):
            decode(body)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_newer_writer_adds_at_the_end_is_passed_over(name: str) -> None:
    version, (tag, *fields) = msgspec.msgpack.decode(raw(name))
    newer = pack([version, [tag, *fields, {"new": [1.5, None]}, "more"], "and more"])
    assert decoder(name)(newer) == decoder(name)(raw(name))


def test_elements_added_to_operations_verdicts_and_rows_are_passed_over() -> None:
    read = decode_up(pack([1, [1, 17, [[*an_operation, 7, "x"]]]]))
    assert read == decode_up(pack([1, [1, 17, [an_operation]]]))
    row = [1768482000, -5, "RETIRO"]
    newer = decode_down(pack([1, [1, 17, [[*a_verdict[:5], [[*row, "x"]], "y"]]]]))
    assert newer == decode_down(pack([1, [1, 17, [[*a_verdict[:5], [row]]]]]))


def test_optional_elements_at_the_end_may_be_missing() -> None:
    shortest = decode_down(pack([1, [1, 17, [[1, "00"]]]]))
    assert shortest == Verdicts(17, (Verdict(1, "00"),))
    unsealed = decode_up(pack([1, [1, 17, [an_operation[:-1]]]]))
    assert isinstance(unsealed, Operations)
    assert unsealed.operations[0].mac == b""


@pytest.mark.parametrize(
    ("place", "value", "field"),
    [
        (0, 0, "seq"),
        (0, 10**11 + 1, "seq"),
        (0, 2**64 - 1, "seq"),
        (0, -1, "seq"),
        (1, b"\xa1" * 7, "op_id"),
        (1, b"\xa1" * 9, "op_id"),
        (1, "text8678", "op_id"),
        (2, int(max(Kind)) + 1, "kind"),
        (2, 1.0, "kind"),
        (2, float("nan"), "kind"),
        (2, True, "kind"),
        (3, -1, "minor"),
        (3, 10**12 + 1, "minor"),
        (3, None, "minor"),
        (4, 2, "currency"),
        (5, "1" * 21, "account"),
        (5, b"12345678901234567890", "account"),
        (6, "12345", "entity"),
        (7, -1, "at"),
        (7, 253_402_300_800, "at"),
        (7, 1e300, "at"),
        (8, 1, "offline"),
        (9, b"m" * 9, "mac"),
        (9, [b"m" * 8], "mac"),
    ],
)
def test_an_element_out_of_its_bounds_is_named(place: int, value: object, field: str) -> None:
    with pytest.raises(MalformedMessage) as caught:
        decode_up(with_element(place, value))
    assert caught.value.field == f"operations.1.{field}"
    assert caught.value.rule.startswith("Expected")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([1, [0, 17, 1]], "next: missing"),
        ([1, [0]], "session: missing"),
        ([1, [1, 17, [an_operation[:3]]]], "operations.0.minor: missing"),
        ([1, [1, 17, [7]]], "operations.0: Expected `array`, got `int`"),
        ([1, [1, 17, {}]], "operations: Expected `array`, got `object`"),
        ([1, [1, 2**31 + 1, []]], "session: Expected `int` <= 2147483648"),
        ([1, [3, 17, [[0, b"x" * 8]]]], "items.0.0: Expected `int` >= 1"),
        ([1, [3, 17, [[1, b"x"]]]], "items.0.1: Expected `bytes` of length >= 8"),
        ([1, [3, 17, [[1]]]], "items.0: Expected `array` of length 2, got 1"),
        ([1, [8, 17]], "message: one of the types 0, 1, 2, 3"),
        ([1, [-1, 17]], "message: one of the types 0, 1, 2, 3"),
        ([1, []], "message: an array that begins with its type, a number"),
        ([1, ["0"]], "message: an array that begins with its type, a number"),
        ([1, [False]], "message: an array that begins with its type, a number"),
        ([1, {}], "message: an array that begins with its type, a number"),
        ([1, 0], "message: an array that begins with its type, a number"),
        ([1], "root: a MessagePack array: version, message"),
        ([1.0, [0, 17, 1, 1, 1]], "root: a MessagePack array: version, message"),
        ({}, "root: a MessagePack array: version, message"),
        ("hola", "root: a MessagePack array: version, message"),
    ],
)
def test_what_is_wrong_is_said_with_field_and_rule(content: object, said: str) -> None:
    with pytest.raises(MalformedMessage) as caught:
        decode_up(pack(content))
    assert str(caught.value) == said
    assert not isinstance(caught.value, WrongVersion)


@pytest.mark.parametrize("version", [0, 2, 2**64 - 1, -1])
def test_another_version_is_told_apart_whatever_follows(version: int) -> None:
    for rest in ([0, 17, 1, 1, 1], {"all": "new"}, None):
        for decode in (decode_up, decode_down):
            with pytest.raises(WrongVersion) as caught:
                decode(pack([version, rest]))
            assert caught.value.field == "version"


def test_bytes_behind_a_message_are_malformed() -> None:
    for name in NAMES:
        with pytest.raises(MalformedMessage):
            decoder(name)(raw(name) + b"\x00")


def test_a_payload_is_taken_at_the_limit_of_its_bytes_and_not_one_beyond() -> None:
    body = pack([1, [0, 17, 1, 9, 1768482600]])
    filled = AGENT_PAYLOAD_BYTES_MAX - len(body) - 3
    fits = b"\x93" + body[1:] + b"\xc5" + filled.to_bytes(2, "big") + bytes(filled)
    assert len(fits) == AGENT_PAYLOAD_BYTES_MAX
    assert decode_up(fits) == decode_up(body)
    beyond = fits[:-filled] + bytes(filled + 1)
    with pytest.raises(MalformedMessage, match=f"at most {AGENT_PAYLOAD_BYTES_MAX} bytes"):
        decode_up(beyond)


@pytest.mark.parametrize("depth", [100, 2_000, 16_000])
@pytest.mark.parametrize("opening", [b"\x91", b"\x81\x01"])
@pytest.mark.parametrize(
    "before",
    [
        b"",
        bytes.fromhex("9201"),
        bytes.fromhex("9201930111 91"),
        bytes.fromhex("9201930111 91 96 01 a23030 a0 a0 a0"),
        bytes.fromhex("9201 96 00 01 01 01 01"),
    ],
)
def test_endless_nesting_is_malformed_or_passed_over(
    depth: int, opening: bytes, before: bytes
) -> None:
    bomb = before + opening * (depth // len(opening)) + b"\xc0"
    for decode in (decode_up, decode_down, decode_presence):
        with suppress(MalformedMessage):
            decode(bomb)
    if depth > 1_000:
        with pytest.raises(MalformedMessage):
            decode_up(bomb)


@pytest.mark.parametrize("head", ["ddffffffff", "dfffffffff", "c6ffffffff", "dbffffffff"])
@pytest.mark.parametrize("before", ["", "9201", "9201930111", "9201930311", "9201930111919601"])
def test_a_length_that_nothing_follows_reserves_no_memory(head: str, before: str) -> None:
    for decode in (decode_up, decode_down):
        with pytest.raises(MalformedMessage):
            decode(bytes.fromhex(before + head))


def test_text_that_is_no_text_is_malformed() -> None:
    operations = pack([1, [1, 17, [an_operation]]])
    for broken in (b"\xff" * 20, b"\xed\xa0\x80" + b"1" * 17, b"\xc0\x80" + b"1" * 18):
        with pytest.raises(MalformedMessage, match="UTF-8"):
            decode_up(operations.replace(b"97100220030040050213", broken))


def test_data_of_a_verdict_is_amounts_or_rows_and_nothing_else() -> None:
    rows: tuple[object, ...] = ([1], [1, 2, 3], [-1, 2, "x"], [1, 10**12 + 1, "x"])
    for wrong in (2.5, "x", None, {}, b"x", *rows):
        with pytest.raises(MalformedMessage) as caught:
            decode_down(pack([1, [1, 17, [[*a_verdict[:5], [1, wrong]]]]]))
        assert caught.value.field.startswith("verdicts.0.data.1")
    full = decode_down(pack([1, [1, 17, [[*a_verdict[:5], [1] * AGENT_DATA_MAX]]]]))
    assert isinstance(full, Verdicts)
    with pytest.raises(MalformedMessage):
        decode_down(pack([1, [1, 17, [[*a_verdict[:5], [1] * (AGENT_DATA_MAX + 1)]]]]))


def test_a_batch_holds_as_many_as_the_limit_and_not_one_more() -> None:
    full = pack([1, [1, 17, [an_operation] * AGENT_BATCH_MAX]])
    assert len(decode_up(full).operations) == AGENT_BATCH_MAX  # type: ignore[union-attr]
    with pytest.raises(MalformedMessage) as caught:
        decode_up(pack([1, [1, 17, [an_operation] * (AGENT_BATCH_MAX + 1)]]))
    assert caught.value.field == "operations"


def _long_verdict(seq: int) -> Verdict:
    row = Row(253_402_300_799, -(10**12), "\N{GRINNING FACE}" * 40)
    note = "\N{GRINNING FACE}" * NOTE_CHARACTERS_MAX
    return Verdict(10**11 - seq, "00", "AC01", "x" * 40, note, (row,) * AGENT_DATA_MAX)


def test_a_list_goes_out_in_payloads_that_can_be_taken() -> None:
    """The longest verdict alone fits; fifty of them make fifty payloads, and no empty one."""
    longest = tuple(_long_verdict(seq) for seq in range(50))
    sent = payloads(Verdicts(17, longest))
    assert max(map(len, sent)) <= AGENT_PAYLOAD_BYTES_MAX
    assert tuple(one for body in sent for one in decode_down(body).verdicts) == longest  # type: ignore[union-attr]
    items = tuple((seq, seq.to_bytes(8, "big")) for seq in range(1, 3001))
    listed = [decode_up(body) for body in payloads(Items(17, items))]
    assert tuple(one for part in listed for one in part.items) == items  # type: ignore[union-attr]
    assert payloads(Items(17, ())) == (encode(Items(17, ())),)


def test_a_note_is_cut_before_it_is_sent_and_taken_whole() -> None:
    short = Verdict(1, "30", "FF02", "", "x" * NOTE_CHARACTERS_MAX)
    longer = replace(short, note=short.note + "y")
    assert payloads(Verdicts(17, (longer,))) == (encode(Verdicts(17, (short,))),)
    assert decode_down(encode(Verdicts(17, (longer,)))) == Verdicts(17, (longer,))


def test_a_list_of_two_hundred_operations_is_sent_in_as_few_batches_as_possible() -> None:
    operation = decode_up(raw("up-operations-cash-in")).operations[0]  # type: ignore[union-attr]
    queued = tuple(replace(operation, seq=seq) for seq in range(1, 201))
    sent = [decode_up(body) for body in payloads(Operations(17, queued))]
    assert [len(one.operations) for one in sent] == [50, 50, 50, 50]  # type: ignore[union-attr]
    assert tuple(one for part in sent for one in part.operations) == queued  # type: ignore[union-attr]


def test_presence_survives_and_another_version_or_state_does_not() -> None:
    for name, online in (("state-online", True), ("state-offline", False)):
        told = golden(name)
        assert encode_presence(online=online, at=1768482600).hex() == told["payload"]
        presence = decode_presence(bytes.fromhex(told["payload"]))
        assert presence == Presence(1, int(online), 1768482600)
        assert told["json"] == msgspec.structs.asdict(presence)
    with pytest.raises(WrongVersion):
        decode_presence(pack([2, 1, 1768482600]))
    for wrong in (b"", pack([1, 2, 5]), pack([1, True, 5]), pack([1, 1]), pack([1, 1, -1])):
        with pytest.raises(MalformedMessage):
            decode_presence(wrong)


@given(
    st.builds(
        Operation,
        st.integers(1, 10**11),
        st.binary(min_size=8, max_size=8),
        st.sampled_from([int(kind) for kind in Kind]),
        st.integers(0, 10**12),
        st.integers(0, 1),
        st.text(max_size=20).filter(lambda text: text.isprintable()),
        st.text(max_size=4).filter(lambda text: text.isprintable()),
        st.integers(0, 253_402_300_799),
        st.booleans(),
        st.binary(max_size=8),
    )
)
def test_any_operation_within_its_bounds_survives(operation: Operation) -> None:
    assert decode_up(encode(Operations(2**31, (operation,)))) == Operations(2**31, (operation,))
