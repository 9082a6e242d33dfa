"""What proves an operation and a session: nothing can be changed without being noticed."""

import hashlib
import hmac
import json
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import asdict, replace

from scheme.wire.agent_digest import (
    digest_of,
    is_genuine,
    mac_of,
    sealed,
    verdict_mac,
    voucher_of,
)
from scheme.wire.agent_payload import (
    Agreement,
    Closing,
    Items,
    Operation,
    Operations,
    Verdict,
    Verdicts,
    decode_down,
    decode_up,
)

GOLDEN = Path(__file__).parents[3] / "golden" / "agents"
KEY = bytes(range(32))
DEVICE = "0992-0001-1"


def golden(name: str) -> Any:
    payload = bytes.fromhex(json.loads((GOLDEN / f"{name}.json").read_text())["payload"])
    return (decode_up if name.startswith("up-") else decode_down)(payload)


def ended() -> list[tuple[Operation, Verdict]]:
    operations = golden("up-operations-every-kind")
    verdicts = golden("down-verdicts-every-kind")
    assert isinstance(operations, Operations)
    assert isinstance(verdicts, Verdicts)
    return list(zip(operations.operations, verdicts.verdicts, strict=True))


OPERATION = ended()[0][0]


def test_the_golden_operations_are_genuine_and_their_macs_are_of_plain_msgpack() -> None:
    for operation, _ in ended():
        assert is_genuine(KEY, DEVICE, operation)
        fields = list(asdict(operation).values())
        covered = msgspec.msgpack.encode([DEVICE, [*fields[:-1], b""]])
        assert operation.mac == hmac.digest(KEY, covered, hashlib.sha256)[:8]


@pytest.mark.parametrize(
    "changed",
    [
        {"seq": 2},
        {"op_id": bytes(8)},
        {"kind": 2},
        {"minor": 15001},
        {"currency": 1},
        {"account": "97100220030040050214"},
        {"entity": "0971"},
        {"at": 1768482001},
        {"offline": False},
    ],
)
def test_a_change_of_any_field_breaks_the_mac(changed: dict[str, Any]) -> None:
    other = replace(OPERATION, **changed)
    assert not is_genuine(KEY, DEVICE, other)
    assert mac_of(KEY, DEVICE, other) != OPERATION.mac


def test_every_field_is_among_those_that_the_mac_covers() -> None:
    covered = {"seq", "op_id", "kind", "minor", "currency", "account", "entity", "at", "offline"}
    assert set(Operation.__struct_fields__) == covered | {"mac"}


def test_another_terminal_key_or_mac_is_not_genuine() -> None:
    assert not is_genuine(KEY, "0992-0001-2", OPERATION)
    assert not is_genuine(bytes(32), DEVICE, OPERATION)
    for mac in (b"", OPERATION.mac[:7], bytes(8)):
        assert not is_genuine(KEY, DEVICE, replace(OPERATION, mac=mac))
    assert sealed(KEY, DEVICE, replace(OPERATION, mac=b"")) == OPERATION


@pytest.mark.parametrize(
    ("mac", "code"),
    [
        ("0000000000ffffff", "0000-0000"),
        ("ffffffffff000000", "ZZZZ-ZZZZ"),
        ("0000000001000000", "0000-0001"),
        ("5c53674a6acf8e8f", "BH9P-EJKA"),
    ],
)
def test_a_voucher_is_the_first_five_bytes_of_the_mac_in_crockfords_digits(
    mac: str, code: str
) -> None:
    assert voucher_of(replace(OPERATION, mac=bytes.fromhex(mac))) == code


def test_the_digest_of_the_golden_session_is_that_of_closing_and_agreement() -> None:
    told = digest_of(KEY, DEVICE, ended())
    for name in ("up-closing", "down-agreement"):
        message = golden(name)
        assert isinstance(message, Closing | Agreement)
        assert (message.count, message.total, message.xor) == told


def test_the_order_of_operations_makes_no_difference_to_a_digest() -> None:
    shuffled = ended()
    random.Random(5).shuffle(shuffled)
    assert digest_of(KEY, DEVICE, shuffled) == digest_of(KEY, DEVICE, ended())


def test_a_digest_of_nothing_is_nothing() -> None:
    assert digest_of(KEY, DEVICE, ()) == (0, 0, bytes(8))


@pytest.mark.parametrize("place", range(8))
def test_a_changed_missing_or_doubled_verdict_changes_the_digest(place: int) -> None:
    sound = ended()
    operation, verdict = sound[place]
    code = "14" if verdict.code == "00" else "00"
    turned = [*sound[:place], (operation, replace(verdict, code=code)), *sound[place + 1 :]]
    for other in (turned, sound[:place] + sound[place + 1 :], [*sound, sound[place]]):
        assert digest_of(KEY, DEVICE, other) != digest_of(KEY, DEVICE, sound)
    assert digest_of(KEY, DEVICE, turned)[2] != digest_of(KEY, DEVICE, sound)[2]


def test_only_applied_operations_count_in_the_total() -> None:
    applied = [one.minor for one, verdict in ended() if verdict.code == "00"]
    assert digest_of(KEY, DEVICE, ended())[:2] == (8, sum(applied))


def test_what_people_read_in_a_verdict_is_not_part_of_its_mac() -> None:
    operation, verdict = ended()[2]
    reworded = replace(verdict, note="other words", reference="other", reason="")
    assert verdict_mac(KEY, DEVICE, operation, reworded) == verdict_mac(
        KEY, DEVICE, operation, verdict
    )
    other_device = verdict_mac(KEY, "0992-0001-2", operation, verdict)
    assert other_device != verdict_mac(KEY, DEVICE, operation, verdict)


def test_items_after_a_difference_show_which_verdict_it_is() -> None:
    told = golden("up-items")
    assert isinstance(told, Items)
    differing = [
        operation.seq
        for (operation, verdict), (seq, mac) in zip(ended(), told.items, strict=False)
        if verdict_mac(KEY, DEVICE, operation, verdict) != mac
    ]
    assert differing == [3]
