"""Each participant is spoken to on the wire that its lane names."""

from collections.abc import Mapping
from typing import Final

from scheme.ledger import Owed
from scheme.messages import Message
from scheme.network import Participant
from switch.core.reversal import REVERSAL
from switch.ports import Delivery, Peers

ISO8583: Final = "iso8583"


class LanePeers:
    """Hands every message on to the wire of its participant.

    Args:
        http: whoever is not of the ISO 8583 lane, and the notices of those that listen there too.
        iso: participants of that lane.
    """

    def __init__(self, http: Peers, iso: Peers, fleet: Mapping[str, Participant]) -> None:
        self._http = http
        self._iso = iso
        self._fleet = fleet
        self._on_iso = frozenset(code for code, one in fleet.items() if one.lane == ISO8583)

    def prepare(self, participant: str, message: Message, subject: str) -> bytes:
        """Return the exact request to a single-message creditor (see ``switch.ports.Peers``)."""
        if participant in self._on_iso:
            return self._iso.prepare(participant, message, subject)
        return self._http.prepare(participant, message, subject)

    async def ask(
        self, participant: str, message: Message, subject: str, prepared: bytes = b""
    ) -> Message:
        """Send a message and return its answer (see ``switch.ports.Peers``)."""
        peers = self._iso if participant in self._on_iso else self._http
        return await peers.ask(participant, message, subject, prepared)

    async def deliver(self, owed: Owed, *, repeated: bool = False) -> Delivery:
        """Send an owed message: a reversal by links, the rest by HTTP where somebody listens."""
        code = owed.participant
        # A reversal speaks of a 0200: it can go no other way, whatever the lane is called today.
        is_iso = owed.message == REVERSAL or (
            code in self._on_iso and not self._fleet[code].base_url
        )
        peers = self._iso if is_iso else self._http
        return await peers.deliver(owed, repeated=repeated)
