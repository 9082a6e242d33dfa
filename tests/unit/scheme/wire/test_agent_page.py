"""docs/wire/mqtt.md says what the code does: a terminal can be written from it alone."""

import hashlib
import hmac
import json
import re
from pathlib import Path
from typing import Any, Final, get_args

import msgspec
import pytest
from msgspec import Struct, inspect
from msgspec.structs import asdict, replace

from runtime.files import load_profile
from runtime.mqtt_keys import MqttKeys
from scheme import limits
from scheme.wire import mqtt_topics
from scheme.wire.agent_digest import digest_of, sealed, verdict_mac, voucher_of
from scheme.wire.agent_payload import (
    NOTE_CHARACTERS_MAX,
    VERSION,
    Down,
    Kind,
    Operation,
    Operations,
    Presence,
    Row,
    Up,
    Verdict,
    Verdicts,
    decode_down,
    decode_up,
    encode,
)
from switch.agent_desk import BAD_MAC
from switch.agent_terminal import AGAIN, REVOKED
from switch.core import agent_limits
from switch.core.iso8583_codes import (
    ABOVE_LIMIT,
    DUPLICATE,
    FORMAT_ERROR,
    INVALID_AMOUNT,
    NOT_PERMITTED,
)
from switch.edges.agent_mqtt import INBOX_PER_DEVICE_MAX

ROOT: Final = Path(__file__).parents[4]
PAGE: Final = (ROOT / "docs" / "wire" / "mqtt.md").read_text(encoding="utf-8")
GOLDEN: Final = ROOT / "tests" / "golden" / "agents"
KEY: Final = bytes(range(32))
DEVICE: Final = "0992-0001-1"
MOMENT_MAX: Final = 253_402_300_799
OPERATION_AND_VERDICT_BYTES_MAX: Final = 200
STRUCTS: Final = {one.__name__: one for one in (*get_args(Up), *get_args(Down), Presence)}


def section(heading: str) -> str:
    """Return what stands below a heading of any level, to the next one."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", PAGE, re.MULTILINE | re.S)
    assert found, heading
    return found.group(1)


def tables(text: str) -> list[list[list[str]]]:
    """Return the tables of a text: rows of cells, without their heads."""
    found = re.findall(r"(?:^\|.*\n)+", text + "\n", re.MULTILINE)
    return [
        [[cell.strip() for cell in line.strip("|").split("|")] for line in one.splitlines()[2:]]
        for one in found
    ]


def golden(name: str) -> Any:
    payload = bytes.fromhex(json.loads((GOLDEN / f"{name}.json").read_text())["payload"])
    return (decode_up if name.startswith("up-") else decode_down)(payload)


def format_of(kind: inspect.Type) -> str:
    """Return how the page writes the format of a field."""
    match kind:
        case inspect.IntType(ge=0, le=high) if high == MOMENT_MAX:
            return "moment"
        case inspect.IntType(ge=low, le=high, lt=below):
            top = below - 1 if below is not None else high
            return "int" if low is None else f"int {low}..{'' if top is None else top}"
        case inspect.StrType(min_length=low, max_length=high):
            return f"text {high}" if low == high else f"text ..{high}"
        case inspect.BytesType(min_length=low, max_length=high):
            return f"bytes {high}" if low == high else f"bytes ..{high}"
        case inspect.BoolType():
            return "bool"
        case inspect.VarTupleType(item_type=inner, max_length=high):
            pairs = " pairs" if isinstance(inner, inspect.TupleType) else ""
            of = " of int" if isinstance(inner, inspect.IntType) else ""
            count = f"of 0..{high}{pairs}" if high is not None else f"of{pairs}"
            return f"list {count}" if pairs or high is not None else f"list{of}"
        case _:
            raise AssertionError(kind)


def fields_of(kind: type[Struct]) -> list[tuple[str, str]]:
    about = inspect.type_info(kind)
    assert isinstance(about, inspect.StructType)
    return [
        (one.name if one.required else f"{one.name} *", format_of(one.type)) for one in about.fields
    ]


def told_fields(table: list[list[str]]) -> list[tuple[str, str]]:
    return [(row[0], row[1]) for row in table]


@pytest.mark.parametrize("name", STRUCTS)
def test_every_message_has_its_fields_with_their_bounds(name: str) -> None:
    table = tables(section(name))[0]
    wanted = fields_of(STRUCTS[name])
    if name == "Presence":
        wanted[0] = ("version", "int")
        assert table[0][2] == f"`{VERSION}`"
    assert told_fields(table) == wanted


def test_what_is_listed_inside_messages_has_its_fields_too() -> None:
    assert told_fields(tables(section("Operations"))[1]) == fields_of(Operation)
    _, verdict, row = tables(section("Verdicts"))
    assert told_fields(verdict) == fields_of(Verdict)
    assert told_fields(row) == fields_of(Row)
    assert f"S cuts it to {NOTE_CHARACTERS_MAX} characters" in section("Verdicts")


def test_types_and_kinds_have_their_numbers() -> None:
    rows = tables(section("Payloads"))[1]
    for place, union in ((0, Up), (2, Down)):
        told = {
            int(row[place].strip("`")): (re.match(r"\[?(\w+)", row[place + 1]) or row)[1]
            for row in rows
            if row[place]
        }
        kinds = {one.__struct_config__.tag: one.__name__ for one in get_args(union)}
        assert told == kinds
    kinds_told = {int(row[0].strip("`")): row[1] for row in tables(section("Operations"))[2]}
    assert kinds_told == {int(kind): kind.name for kind in Kind}


def test_every_example_is_the_golden_message_it_says() -> None:
    shown = re.findall(
        r"^`((?:up|down)-[a-z-]+)`[^\n]*:\n\n```text\n(.*?)```\n\n```json\n(.*?)```",
        PAGE,
        re.MULTILINE | re.S,
    )
    assert {STRUCTS[json.loads(body)["message"]] for _, _, body in shown} == {
        *get_args(Up),
        *get_args(Down),
    }
    for name, hex_digits, body in shown:
        told = json.loads((GOLDEN / f"{name}.json").read_text())
        assert "".join(hex_digits.split()) == told["payload"], name
        assert json.loads(body) == told["json"], name
    for name in ("state-online", "state-offline"):
        assert json.loads((GOLDEN / f"{name}.json").read_text())["payload"] in section("Presence")


def test_the_topics_and_who_may_what_are_those_of_the_broker() -> None:
    users = {
        "the terminal": DEVICE,
        "`switch`": mqtt_topics.SWITCH,
        "`notifier`": mqtt_topics.NOTIFIER,
        "that member": f"{mqtt_topics.MEMBER_PREFIX}8641503d7f6e",
        "that institution": f"{mqtt_topics.INSTITUTION_PREFIX}0971",
        "nobody but `watch`": None,
    }
    everybody = {*filter(None, users.values()), "0992-0001-2", "m-000000000000", "i-0970"}
    told = []
    for cell, writes, reads, _ in tables(section("Topics"))[0]:
        topic = cell.partition(",")[0].strip("`")
        told.append(topic)
        for word, allowed in ((writes, mqtt_topics.writable), (reads, mqtt_topics.readable)):
            may = {
                user
                for user in everybody
                if any(mqtt_topics.covers(one, topic) for one in allowed(user))
            }
            assert may == {users[word]} - {None}, (topic, word)
        assert any(mqtt_topics.covers(one, topic) for one in mqtt_topics.readable("watch"))
    assert told == [
        mqtt_topics.up(DEVICE),
        mqtt_topics.down(DEVICE),
        mqtt_topics.state(DEVICE),
        mqtt_topics.mirror(DEVICE, mqtt_topics.UP),
        mqtt_topics.member("8641503d7f6e"),
        mqtt_topics.institution("0971"),
    ]


def test_the_derived_passwords_and_keys_are_right() -> None:
    rows = {row[0]: row[2].strip("`") for row in tables(section("Who speaks"))[1]}
    keys = MqttKeys(KEY)
    assert rows["password"] == keys.password(DEVICE)
    assert rows["key"] == keys.device_key(DEVICE).hex()
    assert rows["member"] == keys.member_of("97100220030040050213")


def test_a_reader_can_recompute_mac_and_voucher_from_the_page() -> None:
    """With nothing but the standard library's HMAC, the example's bytes and the key."""
    text = section("Codes")
    key = bytes.fromhex(re.search(r"Key `([0-9a-f]{64})`", text)[1])  # type: ignore[index]
    block = re.search(r"```text\n(.*?)```", text, re.S)[1]  # type: ignore[index]
    shown = dict(re.findall(r"^(\w+) +(\S+)$", block, re.MULTILINE))
    covered = bytes.fromhex(shown["covered"])
    assert key == KEY
    assert hmac.new(key, covered, hashlib.sha256).hexdigest() == shown["hmac"]
    assert shown["mac"] == shown["hmac"][:16]
    digits = re.search(r"`(0123456789[A-Z]+)`", text)[1]  # type: ignore[index]
    number = int(shown["mac"][:10], 16)
    code = "".join(digits[number >> shift & 31] for shift in range(35, -1, -5))
    assert shown["voucher"] == f"{code[:4]}-{code[4:]}"
    operation = golden("up-operations-cash-in").operations[0]
    device, fields = msgspec.msgpack.decode(covered)
    assert (device, fields) == (DEVICE, [*list(asdict(operation).values())[:-1], b""])
    assert operation.mac.hex() == shown["mac"]
    assert voucher_of(operation) == shown["voucher"]


def test_a_reader_can_recompute_the_digest_from_the_page() -> None:
    *rows, (_, sums, mixed) = tables(section("Codes"))[0]
    xor = count = total = 0
    operations = golden("up-operations-every-kind").operations
    verdicts = golden("down-verdicts-every-kind").verdicts
    for row, operation, verdict in zip(rows, operations, verdicts, strict=False):
        covered, told = (bytes.fromhex(cell.strip("`")) for cell in row[1:])
        assert hmac.digest(KEY, covered, hashlib.sha256)[:8] == told
        device, seq, op_id, code, minor = msgspec.msgpack.decode(covered)
        assert (device, seq, op_id) == (DEVICE, int(row[0]), operation.op_id)
        assert (code, minor) == (verdict.code, operation.minor)
        xor ^= int.from_bytes(told, "big")
        count, total = count + 1, total + (minor if code == "00" else 0)
    assert sums == f"count {count}, total {total}, XOR"
    assert mixed.strip("`") == f"{xor:016x}"
    ended = list(zip(operations[:3], verdicts[:3], strict=True))
    assert digest_of(KEY, DEVICE, ended) == (count, total, xor.to_bytes(8, "big"))
    differing = golden("up-closing-differs")
    taken_as_applied = verdict_mac(KEY, DEVICE, operations[2], Verdict(3, "00")).hex()
    assert f"total {differing.total} and XOR `{differing.xor.hex()}`" in section("Codes")
    assert f"show `{taken_as_applied}` for number 3" in section("Codes")


def test_the_limits_are_those_of_the_code_and_the_profile() -> None:
    told = {row[0]: row[1] for row in tables(section("Limits"))[0]}
    rules = load_profile("peru").agents
    assert told == {
        "payload": f"{limits.AGENT_PAYLOAD_BYTES_MAX} bytes",
        "payloads of a terminal waiting at S": str(INBOX_PER_DEVICE_MAX),
        "operations, or verdicts, in a payload": str(limits.AGENT_BATCH_MAX),
        "held behind a gap": str(limits.AGENT_HELD_MAX),
        "gaps told at once": str(limits.AGENT_RANGES_MAX),
        "hours from an operation to its arrival (`agents.offline_s`)": (
            f"{rules.offline_s / 3600:g}"
        ),
        "operations made alone, of an agent in a day (`agents.offline_count`)": str(
            rules.offline_count
        ),
        "their amount (`agents.offline_minor`)": priced(rules.offline_minor),
        "one operation (`agents.operation_max`)": priced(rules.operation_max),
        "the agent's float (`agents.float_minor`)": priced(rules.float_minor),
        "kept by the broker for a client that is away": (
            f"{limits.MQTT_QUEUED_PER_CLIENT_MAX} messages"
        ),
        "silence of a client (keep-alive), advised": f"{limits.MQTT_KEEPALIVE_S} s",
    }
    *first, last = (f"{wait:g}" for wait in limits.AGENT_RETRY_S)
    waits = f"after {', '.join(first)} and {last} s, then every {last} s"
    assert waits in " ".join(section("A session").split())
    assert f"({rules.skew_s:g} s) from the future" in section("A session")


def test_the_codes_of_the_lane_are_all_there() -> None:
    told = [row[0].strip("`") for row in tables(section("Verdict codes"))[0]]
    ours = {ABOVE_LIMIT, DUPLICATE, FORMAT_ERROR, INVALID_AMOUNT, NOT_PERMITTED, BAD_MAC, REVOKED}
    limits_ = {
        agent_limits.NO_FLOAT,
        agent_limits.OVER_COUNT,
        agent_limits.TOO_OLD,
        agent_limits.WRONG_CLOCK,
    }
    assert told == sorted({"00"} | ours | limits_)
    assert f"more than once in {AGAIN.total_seconds():g} s" in " ".join(
        section("A session").split()
    )


def priced(amounts: dict[str, int]) -> str:
    return f"S/ {amounts['PEN'] / 100:,.2f}, US$ {amounts['USD'] / 100:,.2f}"


def packet_bytes(payload: int, direction: str) -> int:
    """Return the bytes of a PUBLISH at QoS 1 and of its PUBACK."""
    topic = mqtt_topics.up(DEVICE) if direction == "u" else mqtt_topics.down(DEVICE)
    rest = 2 + len(topic) + 2 + payload
    return 1 + (1 if rest < 128 else 2) + rest + 4


def row_of(operation: Operation, verdict: Verdict, *, session: int = 17) -> list[int]:
    """Return one row of the page's table: alone, and each one's share in a batch of fifty."""
    asked = len(encode(Operations(session, (operation,))))
    told = len(encode(Verdicts(session, (verdict,))))
    every = range(1, limits.AGENT_BATCH_MAX + 1)
    asked_all = len(encode(Operations(session, tuple(replace(operation, seq=i) for i in every))))
    told_all = len(encode(Verdicts(session, tuple(replace(verdict, seq=i) for i in every))))
    shared = (asked_all + told_all, packet_bytes(asked_all, "u") + packet_bytes(told_all, "d"))
    packets = packet_bytes(asked, "u") + packet_bytes(told, "d")
    return [asked, told, asked + told, packets, *(-(-one // len(every)) for one in shared)]


def told_bytes() -> dict[str, list[int]]:
    rows = tables(section("Bytes"))[0]
    return {row[0]: [int(cell) for cell in row[1:] if cell] for row in rows}


@pytest.mark.parametrize("kind", ["cash-in", "cash-out"])
@pytest.mark.parametrize("offline", [False, True])
def test_an_operation_and_its_verdict_take_the_bytes_that_the_page_tells(
    kind: str, offline: bool
) -> None:
    operation = replace(golden(f"up-operations-{kind}").operations[0], offline=offline)
    row = row_of(sealed(KEY, DEVICE, operation), golden(f"down-verdicts-{kind}").verdicts[0])
    assert row == told_bytes()[f"{kind}, {'offline' if offline else 'live'}"]
    together, in_a_batch = row[2], row[4]
    assert max(together, in_a_batch) <= OPERATION_AND_VERDICT_BYTES_MAX


def test_even_the_longest_operation_and_refusal_stay_below_the_limit() -> None:
    most = 10**11
    operation = Operation(
        most, bytes(8), Kind.CASH_OUT, 10**12, 1, "9" * 20, "9999", MOMENT_MAX, True, bytes(8)
    )
    verdict = Verdict(most, "94", "AM05", f"W{'0' * 32}", "x" * NOTE_CHARACTERS_MAX)
    row = row_of(operation, verdict, session=2**31)
    assert row[:4] == told_bytes()["the longest there can be, refused"]
    assert row[2] <= OPERATION_AND_VERDICT_BYTES_MAX
