"""The lean MQTT client: packets."""

from __future__ import annotations

import random

from loadtests.agents.lean_mqtt import LeanClient, User, packet
from scheme.wire import mqtt_topics

DEVICE = "0992-0001-1"
STATE, DOWN = mqtt_topics.state(DEVICE), mqtt_topics.down(DEVICE)


def test_a_packets_length_takes_as_many_bytes_as_it_needs() -> None:
    assert packet(0xC0, b"") == b"\xc0\x00"
    assert packet(0x30, bytes(127))[:2] == b"\x30\x7f"
    assert packet(0x30, bytes(128))[:3] == b"\x30\x80\x01"
    assert packet(0x30, bytes(16_384))[:4] == b"\x30\x80\x80\x01"


def test_what_comes_in_pieces_is_put_together() -> None:
    heard: list[bytes] = []
    user = User(DEVICE, "", topic=DOWN, will=(STATE, b""))
    client = LeanClient(1, user, chance=random.Random(1), on_message=heard.append)
    topic = DOWN.encode()
    head = len(topic).to_bytes(2, "big") + topic + b"\x00\x07"
    stream = packet(0x32, head + b"one") + packet(0x32, head + bytes(300))
    for at in range(len(stream)):
        client.data_received(stream[at : at + 1])
    assert heard == [b"one", bytes(300)]
    assert client.received == len(stream)
