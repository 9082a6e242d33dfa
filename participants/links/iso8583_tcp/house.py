"""ClearingHouse over the ISO 8583 lane: queries, orders and the session; the rest as before."""

from typing import Any, Protocol, TypeVar, cast

from participants.core import iso8583_debtor as outgoing
from participants.core.qr_reading import QrReading, QrRefused
from participants.links.iso8583_tcp.line import Line
from scheme.clock import Clock, wire_date_time
from scheme.errors import NotConnected
from scheme.messages import (
    AV1,
    CT1,
    ET1,
    ET2,
    Message,
    SignOff1,
    SignOff2,
    SignOn1,
    SignOn2,
)
from scheme.messages.conditions import ACCEPTED
from scheme.messages.proxy import (
    ProxyLookup,
    ProxyLookupResponse,
    ProxyRegistration,
    ProxyRegistrationResponse,
)
from scheme.wire.tin_json import decode, encode

M = TypeVar("M", bound=Message)


class Elsewhere(Protocol):
    """What does not travel on the lane: the directory and the QR module."""

    async def look_up(self, lookup: ProxyLookup) -> ProxyLookupResponse:
        """Ask the directory."""

    async def register(self, order: ProxyRegistration) -> ProxyRegistrationResponse:
        """Have an alias registered, amended or deactivated."""

    async def read_qr(self, text: str) -> QrReading | QrRefused:
        """Have a QR's text read."""


class LaneHouse:
    """The clearing house as an institution of the lane reaches it.

    An order is kept as the CT1 that it stands for, so that what is repeated is the same order.

    Args:
        line: its links.
        elsewhere: carries what the lane does not.
    """

    def __init__(self, line: Line, elsewhere: Elsewhere, clock: Clock) -> None:
        self._line = line
        self._elsewhere = elsewhere
        self._clock = clock

    def encode(self, message: Message) -> bytes:
        """Return the bytes under which a message is kept."""
        return encode(message)

    async def ask(self, message: Message, expected: type[M]) -> M:
        """Send a message and return its answer.

        Raises:
            PeerError: no sound answer came; NotConnected: nothing was sent.
        """
        match message:
            case AV1():
                answer = await self._line.ask(outgoing.query(message, self._clock.now()))
                found: Message = outgoing.found(message, answer)
            case CT1():
                answer = await self._line.ask(outgoing.order(message, self._clock.now()))
                found = outgoing.result(message, answer, self._clock.now())
            case SignOn1() | SignOff1() | ET1():
                found = await self._session(message)
            case _:
                raise NotConnected(f"{type(message).__name__} does not travel on this lane")
        assert isinstance(found, expected)
        return found

    async def send(self, name: str, body: bytes, trace: str, expected: type[M]) -> M:
        """Send a message kept earlier and return its answer; raises as ``ask`` does."""
        assert name == CT1.__name__, "only orders are kept"
        return await self.ask(decode(body, CT1), expected)

    async def look_up(self, lookup: ProxyLookup) -> ProxyLookupResponse:
        """Ask the directory, beside the lane."""
        return await self._elsewhere.look_up(lookup)

    async def register(self, order: ProxyRegistration) -> ProxyRegistrationResponse:
        """Have an alias registered, amended or deactivated, beside the lane."""
        return await self._elsewhere.register(order)

    async def read_qr(self, text: str) -> QrReading | QrRefused:
        """Have a QR's text read, beside the lane."""
        return await self._elsewhere.read_qr(text)

    async def _session(self, asked: SignOn1 | SignOff1 | ET1) -> Message:
        kind: type[Any]
        match asked:
            case SignOn1():
                kind = SignOn2
                await self._line.sign_on()
            case SignOff1():
                kind = SignOff2
                await self._line.sign_off()
            case ET1():
                kind = ET2
                await self._line.echo()
        date, time = wire_date_time(self._clock.now())
        answer = kind(
            participantCode=asked.participantCode,
            responseDate=date,
            responseTime=time,
            status=ACCEPTED,
            trace=asked.trace,
        )
        return cast("Message", answer)
