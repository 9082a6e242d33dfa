"""Signing and verifying for one institution, or neither where its wire is plain."""

from collections.abc import Callable
from datetime import datetime

from runtime.signing import Keyring, Signer, SigningQueueFull
from scheme.errors import BadSignature, NotConnected
from scheme.reasons import ReasonCode
from scheme.wire import jws

CLEARING_HOUSE = "switch"
"""Under this name the clearing house's certificate is kept."""


class Seal:
    """What a wire does to a body before it leaves and after it came.

    Args:
        signer: signs; None leaves bodies plain.
        keyring: knows the clearing house's certificate.
        now: the present instant, for a certificate's validity.
    """

    def __init__(
        self, signer: Signer | None, keyring: Keyring | None, now: Callable[[], datetime]
    ) -> None:
        assert (signer is None) == (keyring is None)
        self._signer = signer
        self._keyring = keyring
        self._now = now

    @property
    def is_on(self) -> bool:
        """Whether messages are signed."""
        return self._signer is not None

    async def close(self, body: bytes) -> bytes:
        """Return a body as it leaves.

        Raises:
            NotConnected: it could not be signed, so it does not leave.
        """
        if self._signer is None:
            return body
        try:
            return await self._signer.sign(body)
        except SigningQueueFull as error:
            raise NotConnected(str(error)) from error

    def open(self, body: bytes) -> bytes:
        """Return the JSON document of a body that came from the clearing house.

        Raises:
            BadSignature: it is not signed by the clearing house, where it has to be.
        """
        if self._keyring is None:
            # A plain institution takes a signed message too: it just has nothing to check it by.
            return jws.split(body).payload if jws.looks_signed(body) else body
        if not jws.looks_signed(body):
            raise BadSignature(ReasonCode.DS0A, "the message is not signed")
        return self._keyring.verify(body, CLEARING_HOUSE, self._now())

    @staticmethod
    def peek(body: bytes) -> bytes:
        """Return the JSON document of a body without trusting it, for the echo of a refusal."""
        try:
            return jws.split(body).payload if jws.looks_signed(body) else body
        except BadSignature:
            return b""
