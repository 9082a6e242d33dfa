"""Keeps what terminals and clearing house say: in the wire log, and as JSON for onlookers."""

from collections.abc import Callable, Iterator
from typing import Final

from msgspec import structs

from scheme.clock import Clock
from scheme.errors import MalformedMessage
from scheme.wire.agent_payload import (
    Down,
    Operations,
    Up,
    Verdicts,
    decode_down,
    decode_up,
    encode,
)
from scheme.wire.agent_view import named_payload
from scheme.wire.mqtt_topics import DOWN, UP, mirror
from switch.core.agent_subjects import MQTT, operation_subject
from switch.wire_log import WireLog
from switch.wire_names import HOUSE

Publish = Callable[[str, bytes], object]
_ALONE: Final = 1


class AgentWire:
    """Takes note of payloads, and never fails for what is in them.

    A payload of several operations or verdicts is kept as it came, and each of them once more as
    it would have been said alone, under its own subject: so the timeline of a transfer has its
    operation and its verdict, and not those of fifty others.

    Args:
        publish: says something on a topic, for the mirror; None: there is none.
    """

    def __init__(self, wire_log: WireLog, clock: Clock, publish: Publish | None = None) -> None:
        self._log = wire_log
        self._clock = clock
        self._publish = publish

    def heard(self, device: str, payload: bytes) -> None:
        """Note what a terminal said."""
        self._mirror(device, UP, payload)
        if self._log.enabled:
            self._keep(device, payload, device, HOUSE)

    def said(self, device: str, payload: bytes) -> None:
        """Note what a terminal was told."""
        self._mirror(device, DOWN, payload)
        if self._log.enabled:
            self._keep(device, payload, HOUSE, device)

    def _mirror(self, device: str, direction: str, payload: bytes) -> None:
        if self._publish is not None:
            named = named_payload(payload, is_up=direction == UP)
            self._publish(mirror(device, direction), named)

    def _keep(self, device: str, payload: bytes, sender: str, receiver: str) -> None:
        now_us = self._clock.now_us()
        try:
            message = decode_up(payload) if receiver == HOUSE else decode_down(payload)
        except MalformedMessage as fault:
            self._log.write(now_us, "", MQTT, sender, receiver, payload, note=str(fault))
            return
        name = f"{MQTT} {type(message).__name__}"
        parts = list(_parts(message))
        if len(parts) != _ALONE:
            self._log.write(now_us, "", name, sender, receiver, payload)
        for seq, part in parts:
            body = payload if len(parts) == _ALONE else encode(part)
            self._log.write(now_us, operation_subject(device, seq), name, sender, receiver, body)


def _parts(message: Up | Down) -> Iterator[tuple[int, Operations | Verdicts]]:
    """Yield what a message says of each operation, by sequence number."""
    if isinstance(message, Operations):
        for operation in message.operations:
            yield operation.seq, structs.replace(message, operations=(operation,))
    elif isinstance(message, Verdicts):
        for verdict in message.verdicts:
            yield verdict.seq, structs.replace(message, verdicts=(verdict,))
