"""What the load writes on the lane of ISO 8583, read by others; and how it cuts and answers."""

import iso8583
import pytest

from loadtests.bench.iso8583_frames import (
    STAN_AT,
    STAN_DIGITS,
    Template,
    answer_to,
    elements,
    framed,
    split,
)
from loadtests.bench.iso8583_traffic import transfer
from scheme import cci
from scheme.wire.iso8583_codec import codec
from scheme.wire.iso8583_spec import pyiso8583_spec

SPEC = "ascii-1987"
DEBTOR_ACCOUNT = cci.compose("941", "999", "000000000001")
PAYEE = cci.compose("951", "999", "000000000002")
MAC = b"0123456789ABCDEF"


def a_request(*, sealed: bool = False) -> bytes:
    template = Template(transfer("0941", "0951", DEBTOR_ACCOUNT, 80), sealed=sealed)
    local = (b"103000", b"0115")
    account = f"20{PAYEE}".encode()
    body = template.fill(b"000000001250", b"0115153000", b"000007", local, b"000000000007", account)
    return body + MAC if sealed else body


def read(body: bytes) -> dict[str, str]:
    fields, _ = iso8583.decode(body, pyiso8583_spec(SPEC))
    return {key: text for key, text in fields.items() if text and key not in ("h", "p", "1")}


def test_a_filled_template_is_the_message_it_was_made_from_with_its_changes() -> None:
    expected = transfer("0941", "0951", DEBTOR_ACCOUNT, 80) | {
        "4": "000000001250",
        "7": "0115153000",
        "11": "000007",
        "12": "103000",
        "13": "0115",
        "37": "000000000007",
        "103": PAYEE,
    }
    assert read(a_request()) == expected
    assert codec(SPEC).decode(a_request()) == expected


def test_a_sealed_template_leaves_room_for_its_mac_alone() -> None:
    fields = read(a_request(sealed=True))
    assert fields["128"] == MAC.decode()
    assert {key for key in fields if key != "128"} == set(read(a_request()))


def test_the_trace_number_of_requests_and_answers_stands_where_the_relay_looks() -> None:
    for body in (a_request(), answer_to(a_request(), {}, sealed=False)):
        assert framed(body)[STAN_AT : STAN_AT + STAN_DIGITS] == b"000007"


def test_an_answer_echoes_approves_and_says_nothing_of_the_parties() -> None:
    asked, said = read(a_request()), read(answer_to(a_request(), {}, sealed=False))
    assert said["t"] == "0210"
    assert (said["39"], len(said["38"])) == ("00", 6)
    echoed = {"3", "4", "7", "11", "12", "13", "32", "37", "41", "42", "49", "102", "103"}
    assert {key: said[key] for key in echoed} == {key: asked[key] for key in echoed}
    assert set(said) == echoed | {"t", "38", "39"}


def test_a_verification_is_answered_with_the_holder_of_the_account() -> None:
    asked = read(a_request()) | {"3": "330000"}
    del asked["4"], asked["102"]
    said = read(answer_to(codec(SPEC).encode(asked), {48: b"00908004SOCI"}, sealed=False))
    assert said["48"] == "08004SOCI"


@pytest.mark.parametrize(("asked", "answered"), [("0420", "0430"), ("0421", "0430")])
def test_a_reversal_is_granted(asked: str, answered: str) -> None:
    body = asked.encode() + a_request()[4:]
    said = read(answer_to(body, {48: b"00908004SOCI"}, sealed=False))
    assert (said["t"], said["39"]) == (answered, "00")
    assert "48" not in said


def test_an_echo_is_answered_sealed_with_one_bitmap() -> None:
    body = codec(SPEC).encode({"t": "0800", "7": "0115153000", "11": "000009", "70": "301"})
    said = read(answer_to(body, {}, sealed=True) + MAC)
    assert (said["t"], said["70"], said["11"], said["39"]) == ("0810", "301", "000009", "00")
    assert said["128"] == MAC.decode()


@pytest.mark.parametrize("cut", range(len(framed(a_request())) + 1))
def test_a_stream_cut_anywhere_gives_the_same_frames(cut: int) -> None:
    stream = framed(a_request()) * 2
    first, rest = split(stream[:cut])
    then, left = split(rest + stream[cut:])
    assert first + then == [framed(a_request())] * 2
    assert left == b""


def test_elements_are_given_as_they_are_written() -> None:
    found = elements(a_request())
    assert found[4] == b"000000001250"
    assert found[103] == f"20{PAYEE}".encode()
    assert max(found) == 103
