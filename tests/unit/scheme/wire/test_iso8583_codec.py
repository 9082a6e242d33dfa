"""Fields to bytes and back, as the tables and pyiso8583 have it, and every fault by its name."""

import random
from typing import Any

import pytest

from scheme.wire import iso8583_codec
from scheme.wire.iso8583_codec import Codec, IsoFault, check_mandatory, codec
from scheme.wire.iso8583_compiled import compile_reader
from scheme.wire.iso8583_spec import (
    ELEMENTS,
    MANDATORY,
    MESSAGE_TYPES,
    SPECS,
    Fields,
    IsoSpec,
)
from tests.support.iso8583_frames import (
    a_message,
    a_mutation,
    bodies,
    golden_frames,
    reference_decoding,
    reference_encoding,
)

GOLDEN = golden_frames()
ASCII, PACKED = "ascii-1987", "packed-1987"
ECHO: Fields = {"t": "0800", "7": "0115130000", "11": "000001", "70": "301"}
MUTATIONS = 5_000
MESSAGES = 300


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("name", GOLDEN)
def test_golden_messages_are_read_and_written(name: str, spec: str) -> None:
    fields, body = GOLDEN[name]["fields"], bytes.fromhex(GOLDEN[name][spec])

    for _ in range(2):  # By the careful reader, and then by the one that was made meanwhile.
        assert codec(spec).decode(body) == fields
    assert codec(spec).encode(fields) == body
    assert reference_encoding(fields, spec) == body


def test_golden_messages_have_every_element_and_type() -> None:
    seen = {key for one in GOLDEN.values() for key in one["fields"]}
    assert seen == {"t"} | {element.key for element in ELEMENTS}
    assert {one["fields"]["t"] for one in GOLDEN.values()} == set(MESSAGE_TYPES)


@pytest.mark.parametrize("spec", SPECS)
def test_any_message_is_what_the_reference_makes_of_it(spec: str) -> None:
    rng = random.Random(8583)
    for _ in range(MESSAGES):
        fields = a_message(rng)
        body = codec(spec).encode(fields)
        assert body == reference_encoding(fields, spec)
        assert codec(spec).decode(body) == fields == reference_decoding(body, spec)


@pytest.mark.parametrize("spec", SPECS)
def test_every_truncation_is_a_fault_at_a_byte_that_is_there(spec: str) -> None:
    for body in bodies(spec):
        for length in range(len(body)):
            with pytest.raises(IsoFault) as caught:
                codec(spec).decode(body[:length])
            assert caught.value.at is not None
            assert 0 <= caught.value.at <= length


@pytest.mark.parametrize("spec", SPECS)
def test_a_mutation_is_a_fault_or_the_one_way_to_write_what_it_says(spec: str) -> None:
    rng = random.Random(1987)
    originals = bodies(spec)
    for _ in range(MUTATIONS):
        body = a_mutation(rng, rng.choice(originals))
        expected = reference_decoding(body, spec)
        try:
            fields = codec(spec).decode(body)
        except IsoFault:
            continue
        assert fields == expected, "what the reference refuses is refused"
        assert codec(spec).encode(fields) == body


@pytest.mark.parametrize("spec", SPECS)
def test_fast_and_careful_readers_agree_on_every_mutation(spec: str) -> None:
    rng = random.Random(64)
    spoken = codec(spec)
    for body in bodies(spec):
        keys = spoken.decode(body).keys()
        reader = compile_reader(SPECS[spec], [one for one in ELEMENTS if one.key in keys])
        head = _head_bytes(spec, keys)
        for _ in range(60):
            # The type and the bitmap stay: they choose the reader.
            mutated = body[:head] + a_mutation(rng, body[head:])
            parts = spoken.walk(mutated)
            sound = not any(part.rule for part in parts)
            read = {part.key: part.value for part in parts if part.key not in {"p", "1"}}
            text = mutated.decode("ascii", "surrogateescape")
            kind = read["t"]
            fast = reader(kind, text, mutated.hex().upper(), len(mutated))
            assert fast == (read if sound else None)


def _head_bytes(spec: str, keys: Any) -> int:
    bitmaps = 2 if any(key != "t" and int(key) > 64 for key in keys) else 1
    return 4 + 16 * bitmaps if spec == ASCII else 2 + 8 * bitmaps


def _ascii(**changes: str) -> bytes:
    return codec(ASCII).encode(GOLDEN["0200-40"]["fields"] | changes)


BODY = _ascii()
PACKED_BODY = codec(PACKED).encode(GOLDEN["0200-40"]["fields"])
AT = {part.key: part.at for part in codec(ASCII).walk(BODY)}
PACKED_AT = {part.key: part.at for part in codec(PACKED).walk(PACKED_BODY)}


@pytest.mark.parametrize(
    ("body", "field", "rule", "at"),
    [
        (b"", "MTI", "the message ends 4 bytes before it does", 0),
        (b"02", "MTI", "the message ends 2 bytes before it does", 0),
        (b"020", "MTI", "the message ends 1 byte before it does", 0),
        (b"02A0" + BODY[4:], "MTI", "4 digits, in ASCII", 0),
        (b"0100" + BODY[4:], "MTI", f"one of {', '.join(MESSAGE_TYPES)}", 0),
        (BODY[:4] + b"g" + BODY[5:], "bitmap", "16 hex digits in upper case", 4),
        (BODY[:4] + b"f" + BODY[5:], "bitmap", "16 hex digits in upper case", 4),
        (BODY[:20] + b"-" + BODY[21:], "bitmap", "16 hex digits in upper case", 20),
        (b"0800" + b"80" + b"0" * 30, "bitmap", "bit 1 is set only with an element above 64", 20),
        (
            b"0800" + b"80" + b"0" * 14 + b"8" + b"0" * 15,
            "DE65",
            "no such element in this profile: its bit must be 0",
            36,
        ),
        (
            b"0800" + b"08" + b"0" * 14 + b"12345",
            "DE5",
            "no such element in this profile: its bit must be 0",
            20,
        ),
        (BODY.replace(b"000000015000", b"00000001500O"), "DE4", "12 digits, in ASCII", AT["4"]),
        (
            BODY.replace(b"040975", b"120975"),
            "DE32",
            "its length is from 1 to 11, and says 12",
            AT["32"],
        ),
        (
            BODY.replace(b"040975", b"000975"),
            "DE32",
            "its length is from 1 to 11, and says 0",
            AT["32"],
        ),
        (
            BODY.replace(b"040975", b"+40975"),
            "DE32",
            "the digits of its length, in ASCII",
            AT["32"],
        ),
        (BODY.replace(b"TERM0001", b"TERM\x00001"), "DE41", "printable ASCII", AT["41"]),
        (BODY.replace(b"601513000123", b"6015130*0123"), "DE37", "letters and digits", AT["37"]),
        (BODY.replace(b"PAGO", "PÁG".encode()), "DE48", "printable ASCII", AT["48"]),
        (BODY + b"00", "length", "nothing follows the last element; 2 bytes do", len(BODY)),
    ],
)
def test_what_is_wrong_is_named_by_element_rule_and_byte(
    body: bytes, field: str, rule: str, at: int
) -> None:
    with pytest.raises(IsoFault) as caught:
        codec(ASCII).decode(body)
    fault = caught.value
    assert (fault.field, fault.rule, fault.at) == (field, rule, at)
    assert str(fault) == f"{field}: {rule}"


@pytest.mark.parametrize(
    ("at", "byte", "field", "rule"),
    [
        (0, 0x0A, "MTI", "4 digits, packed"),
        (PACKED_AT["4"], 0x1A, "DE4", "12 digits, packed"),
        (PACKED_AT["22"], 0x10, "DE22", "3 digits, the first half byte 0"),
        (PACKED_AT["32"], 0xA4, "DE32", "the digits of its length, packed"),
    ],
)
def test_packed_digits_are_digits_with_a_zero_before_an_odd_number(
    at: int, byte: int, field: str, rule: str
) -> None:
    body = bytearray(PACKED_BODY)
    body[at] = byte
    with pytest.raises(IsoFault) as caught:
        codec(PACKED).decode(bytes(body))
    assert (caught.value.field, caught.value.rule) == (field, rule)


def test_a_fault_keeps_the_elements_that_could_be_read() -> None:
    body = _ascii().replace(b"000000015000", b"00000001500O")

    with pytest.raises(IsoFault) as caught:
        codec(ASCII).decode(body)

    fields = dict(GOLDEN["0200-40"]["fields"])
    del fields["4"]
    assert caught.value.raw == fields
    assert caught.value.name == "0200"


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize(
    ("changes", "field", "rule"),
    [
        ({"t": "0100"}, "MTI", f"one of {', '.join(MESSAGE_TYPES)}"),
        ({"1": "0"}, "DE1", "no such element in this profile"),
        ({"65": "0"}, "DE65", "no such element in this profile"),
        ({"011": "000001"}, "DE011", "no such element in this profile"),
        ({"p": "00"}, "DEp", "no such element in this profile"),
        ({"11": "12345"}, "DE11", "exactly 6 digits"),
        ({"11": "12345A"}, "DE11", "digits only"),
        ({"11": "١٢٣٤٥٦"}, "DE11", "digits only"),
        ({"32": ""}, "DE32", "1 to 11 digits"),
        ({"32": "1" * 12}, "DE32", "1 to 11 digits"),
        ({"38": "ABC-DE"}, "DE38", "letters and digits only"),
        ({"48": "x" * 1000}, "DE48", "1 to 999 printable ASCII characters"),
        ({"48": "MUÑOZ"}, "DE48", "printable ASCII characters only"),
        ({"48": "A\nB"}, "DE48", "printable ASCII characters only"),
        ({"64": "00112233445566gg"}, "DE64", "hex digits in upper case only"),
        ({"64": "00 1122334455667"}, "DE64", "hex digits in upper case only"),
        ({"64": "0011"}, "DE64", "exactly 16 hex digits in upper case"),
    ],
)
def test_what_does_not_fit_the_table_is_not_written(
    spec: str, changes: Fields, field: str, rule: str
) -> None:
    with pytest.raises(IsoFault) as caught:
        codec(spec).encode(ECHO | changes)
    assert (caught.value.field, caught.value.rule) == (field, rule)
    assert caught.value.at is None


def test_fields_without_a_type_are_not_written() -> None:
    with pytest.raises(IsoFault, match=r"^MTI: "):
        codec(ASCII).encode({"11": "000001"})


@pytest.mark.parametrize("spec", SPECS)
def test_every_length_is_taken_up_to_its_bound(spec: str) -> None:
    fields = {"t": "0200"}
    for element in ELEMENTS:
        fields[element.key] = "0" * element.length * (2 if element.kind == "b" else 1)
    body = codec(spec).encode(fields)
    assert codec(spec).decode(body) == fields


@pytest.mark.parametrize("spec", SPECS.values(), ids=list(SPECS))
def test_more_bitmaps_than_are_compiled_for_are_read_and_written_all_the_same(
    spec: IsoSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(iso8583_codec, "COMPILED_MAX", 3)
    monkeypatch.setattr(iso8583_codec, "ORDERS_MAX", 2)
    spoken = Codec(spec)
    for one in GOLDEN.values():
        for _ in range(2):
            assert spoken.decode(spoken.encode(one["fields"])) == one["fields"]


@pytest.mark.parametrize("digits", ["ascii", "bcd"])
@pytest.mark.parametrize("lengths", ["ascii", "bcd"])
@pytest.mark.parametrize("binary", ["hex", "raw"])
def test_a_further_variant_is_a_row_of_the_table(digits: Any, lengths: Any, binary: Any) -> None:
    spoken = Codec(IsoSpec(name="mixed", digits=digits, lengths=lengths, binary=binary))
    rng = random.Random(3)
    for _ in range(20):
        fields = a_message(rng)
        body = spoken.encode(fields)
        assert spoken.decode(body) == spoken.decode(body) == fields
        with pytest.raises(IsoFault):
            spoken.decode(body[:-1])


def test_there_is_one_codec_for_a_variant_and_none_for_another() -> None:
    assert codec(ASCII) is codec(ASCII)
    with pytest.raises(KeyError):
        codec("ebcdic-1987")


@pytest.mark.parametrize("name", GOLDEN)
def test_a_golden_message_has_what_it_must_have(name: str) -> None:
    assert check_mandatory(GOLDEN[name]["fields"]) is None


@pytest.mark.parametrize("name", GOLDEN)
def test_a_mandatory_element_that_is_missing_is_named(name: str) -> None:
    fields: Fields = GOLDEN[name]["fields"]
    selector = fields.get("70") or fields["3"][:2]
    wanted = MANDATORY[fields["t"]][selector]
    for key in wanted.all_of:
        fault = check_mandatory({one: value for one, value in fields.items() if one != key})
        assert (fault and fault.field, fault and fault.rule) == (f"DE{key}", "it must be there")
    if wanted.one_of:
        fault = check_mandatory(
            {one: value for one, value in fields.items() if one not in wanted.one_of}
        )
        assert fault is not None
        assert fault.field == f"DE{wanted.one_of[0]}"


@pytest.mark.parametrize(
    ("changes", "field"), [({"70": "999"}, "DE70"), ({"t": "0200", "3": "990000"}, "DE3")]
)
def test_what_is_offered_by_nobody_is_a_fault_of_what_asks_for_it(
    changes: Fields, field: str
) -> None:
    fault = check_mandatory(ECHO | changes)
    assert fault is not None
    assert fault.field == field
