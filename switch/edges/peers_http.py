"""Requests to participants over HTTP, and what their answers are worth.

Silence is not refusal: whatever is not a sound answer is ``NoAnswer``; only a connection that was
never established is ``NotConnected``.
"""

from collections.abc import Mapping
from typing import Final

from runtime.http_client import HttpClient
from runtime.signing import SigningQueueFull
from scheme.clock import Clock
from scheme.errors import BadSignature, MalformedMessage, NoAnswer, NotConnected, PeerError
from scheme.ledger import Owed
from scheme.messages import AV2, AV3, CT2, CT3, CTC2, ET1, ET2, Message
from scheme.network import Participant
from scheme.wire import pacs_json
from scheme.wire.tin_json import decode, encode
from switch.core import answers
from switch.envelope import Envelopes, unwrap
from switch.ports import Delivery
from switch.wire_log import WireLog
from switch.wire_names import BASE_PATH, HOUSE

_ANSWER: Final[Mapping[type[Message], type[Message]]] = {AV2: AV3, CT2: CT3, ET1: ET2}
_PATHS: Final[Mapping[str, str]] = {"Reject": "REJECT"}
_OK: Final = range(200, 300)
_HEADERS: Final[Mapping[str, str]] = {"Content-Type": "application/json"}


class HttpPeers:
    """Sends messages to participants and reads their answers.

    Args:
        client: pooled connections.
    """

    def __init__(
        self,
        client: HttpClient,
        *,
        fleet: Mapping[str, Participant],
        envelopes: Envelopes,
        wire_log: WireLog,
        clock: Clock,
    ) -> None:
        self._client = client
        self._fleet = fleet
        self._envelopes = envelopes
        self._log = wire_log
        self._clock = clock
        self._urls: dict[tuple[str, str], str] = {}

    def prepare(self, participant: str, message: Message, subject: str) -> bytes:
        """Return nothing: a creditor on this wire posts only once it is confirmed."""
        return b""

    async def ask(
        self, participant: str, message: Message, subject: str, prepared: bytes = b""
    ) -> Message:
        """Send a message and return its answer (see ``switch.ports.Peers``)."""
        peer = self._fleet[participant]
        kind = type(message)
        expected = _ANSWER[kind]
        document = encode(message, peer.wire)
        status, body = await self._post(peer, kind.__name__, document, subject, expected.__name__)
        if status not in _OK:
            raise NoAnswer(f"HTTP {status}")
        try:
            unwrapped = unwrap(body)
            self._envelopes.check(unwrapped, participant)
            return decode(unwrapped.document, expected)
        except (MalformedMessage, BadSignature) as error:
            raise NoAnswer(str(error)) from error

    async def deliver(self, owed: Owed, *, repeated: bool = False) -> Delivery:
        """Send an owed message's exact bytes, signed anew."""
        peer = self._fleet.get(owed.participant)
        if peer is None or not peer.base_url:
            return Delivery(acknowledged=False, detail="it has no address")
        answer = "CTC2" if owed.message == "CTC1" else f"{owed.message} acknowledged"
        try:
            status, body = await self._post(peer, owed.message, owed.body, owed.subject, answer)
        except PeerError as error:
            return Delivery(acknowledged=False, detail=str(error))
        if status not in _OK:
            return Delivery(acknowledged=False, detail=f"HTTP {status}")
        refused = owed.message == "CTC1" and _is_refusal(body)
        return Delivery(acknowledged=True, refused=refused)

    async def _post(
        self, peer: Participant, name: str, document: bytes, subject: str, answer: str
    ) -> tuple[int, bytes]:
        url = self._url(peer, name)
        try:
            body = await self._envelopes.wrap(document, signed=peer.jws)
        except SigningQueueFull as error:
            raise NotConnected("it could not be signed, so it was not sent") from error
        began_us = self._clock.now_us()
        note = ""
        status, received = 0, b""
        try:
            got = await self._client.post(url, body, _HEADERS)
            status, received = got.status, got.body
        except PeerError as error:
            note = f"{type(error).__name__}: {error}"
            raise
        except BaseException:
            note = "given up at the deadline"
            raise
        finally:
            if self._log.enabled:
                now_us = self._clock.now_us()
                self._log.write(began_us, subject, name, HOUSE, peer.code, body)
                self._log.write(
                    now_us,
                    subject,
                    answer,
                    peer.code,
                    HOUSE,
                    received,
                    status=status,
                    took_us=now_us - began_us,
                    note=note,
                )
        return status, received

    def _url(self, peer: Participant, name: str) -> str:
        url = self._urls.get((peer.code, name))
        if url is not None:
            return url
        if not peer.base_url:
            raise NotConnected("the participant has no address")
        path = pacs_json.PATH if name in pacs_json.NAMES else BASE_PATH
        url = f"{peer.base_url}{path}{_PATHS.get(name, name)}"
        self._urls[peer.code, name] = url
        return url


def _is_refusal(body: bytes) -> bool:
    """Tell whether a CTC2 refuses; an acknowledgement that says nothing does not."""
    if not body.strip():
        return False
    try:
        return decode(unwrap(body).document, CTC2).responseCode == answers.REFUSED
    except (MalformedMessage, BadSignature):
        return False
