"""Why an answer matches no request."""

from scheme.wire.iso8583_explain import nearest
from tests.support.iso8583_frames import golden_frames

GOLDEN = golden_frames()
REQUEST = GOLDEN["0200-40"]["fields"]
ANSWER = GOLDEN["0210-40-approved"]["fields"]
ECHO = GOLDEN["0800-301"]["fields"]


def test_nothing_is_near_where_nothing_waits() -> None:
    assert nearest(ANSWER, []) == ""


def test_the_request_that_is_most_alike_is_named_with_what_differs() -> None:
    pending = [ECHO, REQUEST | {"11": "000777", "37": "601513000777"}, REQUEST]
    told = nearest(ANSWER | {"37": "601513000129"}, pending)
    assert told == "0200 with DE11 000123: DE37 is 601513000129, sent was 601513000123"


def test_an_element_that_is_left_out_is_named() -> None:
    answer = {key: value for key, value in ANSWER.items() if key != "32"}
    assert nearest(answer, [REQUEST]).endswith("DE32 is missing, sent was 0975")


def test_answers_of_a_session_are_compared_by_time_and_trace() -> None:
    answer = GOLDEN["0810-301"]["fields"] | {"7": "0115130001"}
    told = nearest(answer, [REQUEST, ECHO])
    assert told == "0800 with DE11 000001: DE7 is 0115130001, sent was 0115130000"


def test_an_answer_of_another_kind_is_said_to_be_one() -> None:
    assert "it answers another kind of message than 0200" in nearest(
        GOLDEN["0810-301"]["fields"], [REQUEST]
    )
