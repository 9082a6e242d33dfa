"""Tagged values of DE48 and DE62: whole, or refused with the name of element and tag."""

import random
import string

import pytest

from scheme.wire.iso8583_codec import IsoFault
from scheme.wire.iso8583_tlv import VALUE_CHARACTERS_MAX, decode_tlv, encode_tlv, printable

PRINTABLE = string.ascii_letters + string.digits + string.punctuation + " "
WHOLE = "04005JUANA0500120600812345678"
ENDS = ("04005JUANA", "04005JUANA050012")
"""Where it may be cut, because a value ends there."""


@pytest.mark.parametrize("seed", range(50))
def test_what_is_written_is_read_again(seed: int) -> None:
    rng = random.Random(seed)
    tags = rng.sample([f"{tag:02}" for tag in range(100)], rng.randrange(12))
    values = {tag: "".join(rng.choices(PRINTABLE, k=rng.randrange(60))) for tag in tags}

    assert decode_tlv(encode_tlv(values), 48) == values


def test_nothing_is_no_values() -> None:
    assert decode_tlv("", 62) == {}
    assert encode_tlv({}) == ""


@pytest.mark.parametrize("cut", range(1, len(WHOLE)))
def test_every_truncation_names_the_element(cut: int) -> None:
    text = WHOLE[:cut]
    if text in ENDS:
        assert decode_tlv(text, 48)
        return
    with pytest.raises(IsoFault) as caught:
        decode_tlv(text, 48)
    assert caught.value.field.startswith("DE48")


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("x4005JUANA", "DE62"),
        (" 4005JUANA", "DE62"),
        ("\u0660\u0664005JUANA", "DE62"),
        ("04 05JUANA", "DE62.04"),
        ("04+05JUANA", "DE62.04"),
        ("040_5JUANA", "DE62.04"),
        ("04999JUANA", "DE62.04"),
        ("04006JUANA", "DE62.04"),
        ("04001J04001J", "DE62.04"),
        ("04001J0", "DE62"),
    ],
)
def test_a_broken_tag_is_named(text: str, field: str) -> None:
    with pytest.raises(IsoFault) as caught:
        decode_tlv(text, 62)
    assert caught.value.field == field
    assert "JUANA" not in str(caught.value)


def test_a_value_fills_the_element_and_no_more() -> None:
    assert len(encode_tlv({"01": "x" * VALUE_CHARACTERS_MAX})) == 999
    with pytest.raises(IsoFault, match="tag 01"):
        encode_tlv({"01": "x" * (VALUE_CHARACTERS_MAX + 1)})


@pytest.mark.parametrize(
    ("text", "carried"),
    [
        ("JUANA QUISPE", "JUANA QUISPE"),
        ("MUÑOZ PEÑA", "MUNOZ PENA"),
        ("Josué Güere", "Josue Guere"),
        ("a\tb", "a?b"),
        ("10 €", "10 ?"),
        ("株", "?"),
    ],
)
def test_text_is_carried_as_printable_ascii(text: str, carried: str) -> None:
    assert printable(text) == carried
