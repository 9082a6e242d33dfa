"""The messages worked out in docs/wire/iso8583.md are what the lane writes, reads and answers."""

import json
import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from runtime.iso8583_speech import brief_answer
from scheme.wire.iso8583_codec import check_mandatory, codec
from scheme.wire.iso8583_framing import Deframer, Framing
from scheme.wire.iso8583_mac import check, key_check_value, seal, unwrap_key, wrap_key
from scheme.wire.iso8583_spec import Fields
from scheme.wire.iso8583_tlv import decode_tlv
from switch.core.iso8583_answers import Told, answer_to, reversal_answer
from switch.core.iso8583_messages import original_data
from tests.support.iso8583_frames import golden_frames

PAGE = (Path(__file__).parents[4] / "docs" / "wire" / "iso8583.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("\n## Worked messages\n")[2].partition("\n## ")[0]
SHOWN: list[tuple[Fields, bytes]] = [
    (json.loads(fields), bytes.fromhex("".join(frame.split())))
    for fields, frame in re.findall(r"```json\n(.+?)```\n\n```text\n(.+?)```", SECTION, re.DOTALL)
]
PLAIN, SEALED = SHOWN[:6], SHOWN[6:]
KEK = bytes(range(16))
KEY = bytes.fromhex("2B7E151628AED2A6ABF7158809CF4F3C")
ASCII = codec("ascii-1987")


def test_there_is_one_of_each_kind() -> None:
    assert [fields["t"] for fields, _ in PLAIN] == ["0800", "0810", "0200", "0210", "0420", "0430"]
    assert [fields["70"] for fields, _ in SEALED] == ["101", "101", "001", "001"]


@pytest.mark.parametrize(("fields", "frame"), SHOWN)
def test_a_frame_has_the_fields_beside_it(fields: Fields, frame: bytes) -> None:
    (body,) = Deframer(Framing("binary-2")).feed(frame)

    assert ASCII.decode(body) == fields
    assert ASCII.encode(fields) == body
    assert check_mandatory(fields) is None


def test_the_answers_are_those_of_the_clearing_house() -> None:
    sign_on, signed_on, order, answer, reversal, kept = (fields for fields, _ in PLAIN)
    subject = decode_tlv(answer["62"], 62)["01"]
    told = Told(
        response_code="00", subject=subject, settlement_date="20260115", parties={"11": "0"}
    )

    assert brief_answer(sign_on, "00") == signed_on
    assert answer_to(order, told) == answer
    assert reversal["90"] == original_data(order)
    assert reversal_answer(reversal, "21", told) == kept


def test_the_golden_answers_are_those_of_the_clearing_house() -> None:
    golden = {name: one["fields"] for name, one in golden_frames().items()}
    order, reversal = golden["0200-40"], golden["0420-full"]
    subject = "2026011508000009750451234567"
    paid = Told(
        response_code="00", subject=subject, settlement_date="20260115", parties={"11": "0"}
    )
    rule = "DE103: no such account"
    refused = Told(response_code="14", reason="AC01", rule=rule, subject=subject)

    assert answer_to(order, paid) == golden["0210-40-approved"]
    assert answer_to(order, refused) == golden["0210-40-refused"]
    assert reversal["90"] == original_data(order)
    assert reversal_answer(reversal, "21", paid) == golden["0430-irrevocable"]
    assert (
        reversal_answer(reversal, "00", replace(paid, response_code="91"))
        == (golden["0430-undone"])
    )


def test_the_packed_frame_is_the_same_transfer() -> None:
    _, _, rest = SECTION.partition("`packed-1987`")
    frame = bytes.fromhex("".join(rest.split("```")[1].removeprefix("text").split()))

    (body,) = Deframer(Framing("ascii-4", "6000000000")).feed(frame)

    assert codec("packed-1987").decode(body) == PLAIN[2][0]


@pytest.mark.parametrize(("shown", "key"), list(zip(SEALED, (KEK, KEK, KEY, KEY), strict=True)))
def test_a_sealed_frame_has_the_code_of_its_key(shown: tuple[Fields, bytes], key: bytes) -> None:
    fields, frame = shown
    bare = {name: value for name, value in fields.items() if name != "128"}

    assert seal(ASCII, bare, "aes-cmac", key) == frame[2:]
    assert check(ASCII, fields, frame[2:], "aes-cmac", key) is None


def test_the_key_change_carries_the_session_key() -> None:
    tags = decode_tlv(SEALED[1][0]["48"], 48)

    assert unwrap_key(KEK, tags["40"], "aes-cmac") == KEY
    assert tags["41"] == key_check_value("aes-cmac", KEY)


@pytest.mark.parametrize("algorithm", ["aes-cmac", "x9.19"])
def test_the_table_of_cryptograms_is_right(algorithm: str) -> None:
    cryptogram, value = wrap_key(KEK, KEY, algorithm), key_check_value(algorithm, KEY)

    assert f"| `{algorithm}` | `{cryptogram}` | `{value}` |" in PAGE
