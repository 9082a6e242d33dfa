"""The generator's HTTP, byte by byte."""

import pytest

from loadtests.bench.lean_http import BrokenLink, _Reader, answer, request


def test_a_message_is_whole_however_it_was_cut() -> None:
    message = answer(b'{"a":1}')
    for cut in range(len(message)):
        reader = _Reader()
        first = reader.feed(message[:cut])
        assert first is None
        found = reader.feed(message[cut:])
        assert found is not None
        assert found[1] == b'{"a":1}'


def test_messages_behind_one_another_come_one_by_one() -> None:
    reader = _Reader()
    first = reader.feed(answer(b"1") + answer(b"22") + answer(b"333")[:-1])
    second = reader.feed(b"")
    assert reader.feed(b"") is None
    third = reader.feed(b"3")
    assert [found[1] for found in (first, second, third) if found] == [b"1", b"22", b"333"]


def test_no_length_is_no_body() -> None:
    found = _Reader().feed(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert found is not None
    assert found[1] == b""


def test_a_length_that_is_no_number_breaks_the_link() -> None:
    with pytest.raises(BrokenLink):
        _Reader().feed(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n")


def test_a_request_announces_its_length() -> None:
    assert b"Content-Length: 4\r\n\r\nbody" in request("/x", b"body", request_id="1")
