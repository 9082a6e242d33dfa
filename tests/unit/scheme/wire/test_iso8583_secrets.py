"""What of a message may be kept."""

import pytest

from scheme.wire.iso8583_codec import IsoFault, codec
from scheme.wire.iso8583_secrets import for_log, for_log_refused
from scheme.wire.iso8583_spec import SPECS, Fields
from scheme.wire.iso8583_tlv import encode_tlv
from tests.support.iso8583_edge import a_transfer

PIN, CODE, KEY = "0123456789ABCDEF", "73519246", "5A" * 16
CARD, SHOWN = "9709751234567890", "9709750000007890"


def _with_secrets() -> Fields:
    parties = {"01": "0975", "30": CODE, "31": "987654321", "40": KEY, "41": "A1B2C3"}
    return a_transfer("0975", 7) | {"2": CARD, "48": encode_tlv(parties), "52": PIN}


@pytest.mark.parametrize("spec", SPECS)
def test_a_message_without_secrets_is_kept_as_it_is(spec: str) -> None:
    fields = a_transfer("0975", 7) | {"48": encode_tlv({"01": "0975", "04": "SOCIO 30 40"})}
    body = codec(spec).encode(fields)
    assert for_log(codec(spec), fields, body) == body


@pytest.mark.parametrize("spec", SPECS)
def test_secrets_are_zeros_and_everything_else_is_exact(spec: str) -> None:
    fields = _with_secrets()
    spoken = codec(spec)
    body = spoken.encode(fields)
    kept = for_log(spoken, fields, body)
    assert len(kept) == len(body)
    blanked = {"01": "0975", "30": "0" * 8, "31": "987654321", "40": "0" * 32, "41": "A1B2C3"}
    assert spoken.decode(kept) == fields | {
        "2": SHOWN,
        "52": "0" * 16,
        "48": encode_tlv(blanked),
    }


@pytest.mark.parametrize("spec", SPECS)
def test_a_message_that_cannot_be_read_gives_no_secret_away(spec: str) -> None:
    spoken = codec(spec)
    body = spoken.encode(_with_secrets())
    pin = PIN.encode() if spoken.spec.binary == "hex" else bytes.fromhex(PIN)
    for end in range(len(body)):
        kept = for_log_refused(spoken, body[:end])
        assert len(kept) == end
        assert CODE.encode() not in kept
        assert KEY.encode() not in kept
        assert pin not in kept
        assert CARD.encode() not in kept
        assert bytes.fromhex(CARD) not in kept


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize(
    ("card", "shown"),
    [
        ("4000000000000000019", "4000000000000000019"),
        ("4111119876543211234", "4111110000000001234"),
        ("4111117771234", "4111110001234"),
        ("123456789012", "0" * 12),
        ("1", "0"),
    ],
)
def test_of_a_card_the_first_six_and_last_four_digits_are_kept(
    spec: str, card: str, shown: str
) -> None:
    spoken, fields = codec(spec), a_transfer("0975", 7) | {"2": card}
    body = spoken.encode(fields)
    kept = for_log(spoken, fields, body)
    assert len(kept) == len(body)
    assert spoken.decode(kept) == fields | {"2": shown}


def test_of_a_message_that_cannot_be_read_what_was_read_is_kept() -> None:
    spoken = codec("ascii-1987")
    body = spoken.encode(a_transfer("0975", 7))
    cut = body[:60]
    with pytest.raises(IsoFault):
        spoken.decode(cut)
    kept = for_log_refused(spoken, cut)
    assert kept[:36] == body[:36]
    assert kept != cut


def test_a_message_that_is_refused_for_something_else_is_kept_like_any_other() -> None:
    spoken = codec("ascii-1987")
    fields = _with_secrets()
    body = spoken.encode(fields)
    assert for_log_refused(spoken, body) == for_log(spoken, fields, body)


def test_parties_that_cannot_be_told_apart_are_not_kept_if_they_may_hold_a_secret() -> None:
    spoken = codec("ascii-1987")
    fields = a_transfer("0975", 7) | {"48": "30008735192"}
    kept = spoken.decode(for_log(spoken, fields, spoken.encode(fields)))
    assert set(kept["48"]) == {"0"}
