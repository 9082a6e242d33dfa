"""What a link writes: the bytes that were prepared, or the fields under its MAC."""

from runtime.iso8583_speech import Speech
from scheme.wire.iso8583_codec import codec
from tests.support.iso8583_frames import golden_frames

KEY = bytes(range(16))
FIELDS = {
    key: value
    for key, value in golden_frames()["0200-40"]["fields"].items()
    if key not in {"64", "128"}
}


def test_what_was_encoded_before_is_written_as_it_is() -> None:
    encoded = codec("ascii-1987").encode(FIELDS)
    assert Speech("ascii-1987").write(FIELDS, encoded) is encoded
    assert Speech("ascii-1987").write(FIELDS) == encoded


def test_under_a_session_key_the_fields_are_sealed_whatever_was_encoded_before() -> None:
    encoded = codec("ascii-1987").encode(FIELDS)
    speech = Speech("ascii-1987", "aes-cmac", KEY)
    speech.adopt(KEY)
    body = speech.write(FIELDS, encoded)
    assert body == speech.write(FIELDS)
    assert body != encoded
    assert speech.read(body).items() >= FIELDS.items()
