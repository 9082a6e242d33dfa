"""What cash at machines needs of the outside: the issuers' cores."""

from typing import Protocol

Fields = dict[str, str]
"""Data elements by number, as text; ``t`` is the message type."""


class Cores(Protocol):
    """Requests to institutions on the ISO 8583 lane, and their answers."""

    def prepare(self, participant: str, fields: Fields) -> bytes:
        """Return the exact request that ``ask`` will send, with its own STAN, without its MAC.

        Raises:
            NotConnected: no link of the participant is signed on, so nothing can be prepared.
        """

    async def ask(self, participant: str, prepared: bytes, subject: str) -> Fields:
        """Send a prepared request and return its answer; the caller guards the wait.

        Raises:
            NotConnected: the participant cannot have seen it.
            NoAnswer: it may have, and no sound answer came.
        """
