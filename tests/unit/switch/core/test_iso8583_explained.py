"""Frames explained to operators: told apart by their bytes, masked, and why they break."""

import pytest

from scheme.network import Iso8583
from scheme.wire.iso8583_codec import codec
from scheme.wire.iso8583_framing import Framing
from scheme.wire.iso8583_spec import SPECS
from scheme.wire.iso8583_tlv import encode_tlv
from switch.core.iso8583_explained import explained
from tests.support.iso8583_edge import a_transfer

PARTIES = encode_tlv({"01": "0975", "04": "SOCIO UNO DEMO", "30": "73519246", "31": "987654321"})
FIELDS = a_transfer("0975", 7) | {"48": PARTIES, "52": "0123456789ABCDEF"}
FRAMINGS = [Framing("binary-2"), Framing("ascii-4"), Framing("ascii-4", "6000000000")]


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("framing", FRAMINGS)
def test_any_frame_is_recognised_by_its_bytes(spec: str, framing: Framing) -> None:
    shown = explained(framing.wrap(codec(spec).encode(FIELDS)))
    assert (shown["spec"], shown["header"], shown["tpdu"]) == (spec, framing.header, framing.tpdu)
    assert shown["fault"] == ""
    assert {"length", "MTI", "bitmap", "DE4", "DE48.01"} <= {row["field"] for row in shown["rows"]}


@pytest.mark.parametrize("spec", SPECS)
def test_a_message_without_its_header_is_explained_too(spec: str) -> None:
    shown = explained(codec(spec).encode(FIELDS))
    assert (shown["spec"], shown["header"], shown["fault"]) == (spec, "", "")


@pytest.mark.parametrize("spec", SPECS)
def test_what_identifies_a_person_and_what_is_secret_is_masked_at_every_length(spec: str) -> None:
    body = codec(spec).encode(FIELDS)
    pin = "0123456789ABCDEF"
    hidden = ("73519246", "987654321", "SOCIO UNO", "97600100000000000202", pin)
    for end in range(1, len(body) + 1):
        text = str(explained(body[:end], spec=spec))
        for secret in hidden:
            assert secret not in text
            assert secret.encode().hex().upper() not in text


@pytest.mark.parametrize(
    ("frame", "spoken", "fault"),
    [
        (b"\x00\x01" + codec("ascii-1987").encode(FIELDS), Iso8583(), "length: it says 1, "),
        (b"ABCD0800", Iso8583(header="ascii-4"), "length: it says no number, 4 bytes follow"),
        (codec("ascii-1987").encode(FIELDS)[:30], None, "bitmap: "),
        (b"\xff", None, "MTI: "),
    ],
)
def test_what_is_wrong_is_named(frame: bytes, spoken: Iso8583 | None, fault: str) -> None:
    assert explained(frame, spoken)["fault"].startswith(fault)
