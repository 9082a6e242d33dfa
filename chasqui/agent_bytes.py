"""Bytes on the wire per operation of a terminal, as they were sent and received."""

from collections.abc import Sequence
from gettext import gettext as _
from typing import Final

from msgspec import Struct

from chasqui.output import table
from runtime.mqtt_client import packet_bytes
from scheme.errors import MalformedMessage
from scheme.wire import mqtt_topics
from scheme.wire.agent_payload import Operations, Verdicts, decode_down, decode_up

_QOS: Final = 1
_PUBACK_BYTES: Final = 4


class Spread(Struct, frozen=True):
    """Bytes of one thing, over all operations."""

    least: float
    mean: float
    most: float


class Bytes(Struct, frozen=True, kw_only=True):
    """Bytes per operation.

    Attributes:
        operation, verdict: their share of the payload they came in.
        both: of payloads; packets: the same as MQTT packets with topic and acknowledgement.
        payloads_all, packets_all: everything that was said, greetings, repeats and digests too,
            divided by the operations.
    """

    operation: Spread
    verdict: Spread
    both: Spread
    packets: Spread
    payloads_all: float
    packets_all: float


class ByteCounter:
    """Counts what one terminal sends and receives.

    Args:
        device: whose topics the packets carry.
    """

    def __init__(self, device: str) -> None:
        self._topics = {True: mqtt_topics.up(device), False: mqtt_topics.down(device)}
        self._shares: dict[bool, dict[int, tuple[float, float]]] = {True: {}, False: {}}
        self._payloads = 0
        self._packets = 0

    def count(self, is_up: bool, payload: bytes) -> None:
        """Take one payload; of what is repeated, the first one is an operation's own."""
        packet = packet_bytes(self._topics[is_up], len(payload), _QOS) + _PUBACK_BYTES
        self._payloads += len(payload)
        self._packets += packet
        numbers = _numbers(is_up, payload)
        for seq in numbers:
            share = (len(payload) / len(numbers), packet / len(numbers))
            self._shares[is_up].setdefault(seq, share)

    def result(self) -> Bytes | None:
        """Return the bytes per operation; None while none has its verdict."""
        ups, downs = self._shares[True], self._shares[False]
        both = sorted(ups.keys() & downs.keys())
        if not both:
            return None
        return Bytes(
            operation=_spread([ups[seq][0] for seq in both]),
            verdict=_spread([downs[seq][0] for seq in both]),
            both=_spread([ups[seq][0] + downs[seq][0] for seq in both]),
            packets=_spread([ups[seq][1] + downs[seq][1] for seq in both]),
            payloads_all=round(self._payloads / len(both), 1),
            packets_all=round(self._packets / len(both), 1),
        )


def print_bytes(found: Bytes) -> None:
    """Print the table of bytes per operation."""
    rows = [
        (_("operation, payload"), found.operation),
        (_("verdict, payload"), found.verdict),
        (_("both, payload"), found.both),
        (_("both, MQTT packets with topic and acknowledgement"), found.packets),
    ]
    cells = [(name, *(f"{one:.0f}" for one in _values(spread))) for name, spread in rows]
    cells += [
        (_("with greetings, repeats and digests: payload"), "", f"{found.payloads_all:.0f}", ""),
        (_("with greetings, repeats and digests: packets"), "", f"{found.packets_all:.0f}", ""),
    ]
    table((_("Bytes per operation"), _("min"), _("mean"), _("max")), cells, right="lrrr")


def _numbers(is_up: bool, payload: bytes) -> list[int]:
    try:
        message = decode_up(payload) if is_up else decode_down(payload)
    except MalformedMessage:
        return []
    match message:
        case Operations(operations=rows):
            return [one.seq for one in rows]
        case Verdicts(verdicts=rows):
            return [one.seq for one in rows]
        case _:
            return []


def _values(spread: Spread) -> tuple[float, float, float]:
    return (spread.least, spread.mean, spread.most)


def _spread(values: Sequence[float]) -> Spread:
    mean = sum(values) / len(values)
    return Spread(round(min(values), 1), round(mean, 1), round(max(values), 1))
