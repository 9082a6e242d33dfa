"""The first packet of a client, and the bounds of all others."""

import pytest

from runtime.mqtt_broker import packets
from runtime.mqtt_broker.packets import Connect, Head, MalformedPacket, Will
from scheme.limits import AGENT_PAYLOAD_BYTES_MAX

WILL = Will("cq1/a/d/s", b"gone", 1, True)


def a_connect(*, flags: int = 0xC2, level: int = 4, name: bytes = b"MQTT") -> bytes:
    return (
        len(name).to_bytes(2, "big") + name + bytes([level, flags])
        + b"\x00\x1e\x00\x02id\x00\x04user\x00\x06secret"
    )  # fmt: skip


def test_a_client_says_who_it_is() -> None:
    assert packets.parse_connect(a_connect()) == Connect(
        level=4, username="user", password="secret", clean=True, keepalive_s=30
    )


def test_without_a_name_it_is_nobody() -> None:
    told = packets.parse_connect(b"\x00\x04MQTT\x04\x02\x00\x00\x00\x00")
    assert (told.username, told.password) == ("", "")


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("will", [None, WILL])
def test_the_broker_reads_what_the_door_has_let_in(clean: bool, will: Will | None) -> None:
    told = Connect(
        level=4, username="u" * 200, password="p", clean=clean, keepalive_s=30, will=will
    )

    data = packets.admitted(told)

    head = Head.of(data)
    assert head is not None
    assert (head.kind, head.head_bytes + head.body_bytes) == (packets.CONNECT, len(data))
    again = packets.parse_connect(data[head.head_bytes :])
    assert (again.username, again.clean, again.will) == (told.username, clean, will)
    assert (again.password, again.keepalive_s) == ("", 0)
    assert data.count(b"u" * 200) == 2  # The client id is the name.


@pytest.mark.parametrize(
    "body",
    [
        *(a_connect()[:length] for length in range(len(a_connect()))),
        a_connect() + b"x",
        a_connect(name=b"MQIsdp"),
        a_connect(flags=0xC3),
        a_connect(flags=0xC6),
        a_connect().replace(b"user", b"\xff\xfe\xfd\xfc"),
    ],
)
def test_whatever_is_no_sound_connect_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedPacket):
        packets.parse_connect(body)


def test_another_version_is_told_apart() -> None:
    assert packets.parse_connect(a_connect(level=5)).level == 5


@pytest.mark.parametrize(
    ("data", "head"),
    [
        (b"\xc0\x00", Head(12, 0, 2, 0)),
        (b"\x32\x80\x01", Head(3, 2, 3, 128)),
        (b"\x32\xff\x7f", Head(3, 2, 3, 16_383)),
        (b"\x32", None),
        (b"\x32\x80", None),
    ],
)
def test_a_head_says_how_much_follows(data: bytes, head: Head | None) -> None:
    assert Head.of(data) == head


@pytest.mark.parametrize("data", [b"\x30\xff\xff\x7f", b"\x30\x80\x80\x80\x80"])
def test_a_length_beyond_the_bound_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedPacket):
        Head.of(data)


@pytest.mark.parametrize("kind", [packets.CONNECT, 0, 2, 5, 6, 7, 9, 11, 13, 15])
def test_what_connected_clients_do_not_send_is_malformed(kind: int) -> None:
    with pytest.raises(MalformedPacket):
        Head(kind, 0, 2, 0).check()


def test_qos_2_is_not_served() -> None:
    Head(packets.PUBLISH, 0x03, 2, 0).check()
    with pytest.raises(MalformedPacket):
        Head(packets.PUBLISH, 0x04, 2, 0).check()


@pytest.mark.parametrize("flags", [0, 2])
def test_a_payload_is_what_follows_topic_and_number(flags: int) -> None:
    body = b"\x00\x03a/b" + (b"\x00\x07" if flags else b"") + b"x" * AGENT_PAYLOAD_BYTES_MAX

    head = Head(packets.PUBLISH, flags, 3, len(body))

    assert packets.payload_bytes(head, body) == AGENT_PAYLOAD_BYTES_MAX
    with pytest.raises(MalformedPacket):
        packets.payload_bytes(Head(packets.PUBLISH, flags, 2, 4), body[:4])
