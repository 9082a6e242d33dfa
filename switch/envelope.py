"""Signatures at the switch's edges: who may speak as whom.

A participant acts only as itself: the certificate trusted for a message is that of the
participant named in it (docs/wire/signing.md).
"""

from collections.abc import Mapping

from runtime.signing import Keyring, Signer
from scheme.clock import Clock
from scheme.errors import BadSignature
from scheme.network import Participant
from scheme.reasons import ReasonCode
from scheme.wire import jws


class Unwrapped:
    """A body as received, and its JSON document.

    Attributes:
        document: the payload of a signed body, else the body itself.
        signed: the parts of the signature, or None.
    """

    __slots__ = ("document", "signed")

    def __init__(self, document: bytes, signed: jws.SignedBody | None) -> None:
        self.document = document
        self.signed = signed


def unwrap(body: bytes) -> Unwrapped:
    """Take a body out of its signature, if it has one; the signature is not checked yet.

    Raises:
        BadSignature: DS0B, it looks signed and is not well formed.
    """
    if not jws.looks_signed(body):
        return Unwrapped(body, None)
    signed = jws.split(body)
    return Unwrapped(signed.payload, signed)


class Envelopes:
    """Checks the signatures of participants and signs for the switch.

    Args:
        keyring: certificates trusted, by participant.
        signer: signs as the switch; None where no participant signs.
    """

    def __init__(
        self,
        fleet: Mapping[str, Participant],
        clock: Clock,
        *,
        keyring: Keyring | None,
        signer: Signer | None,
    ) -> None:
        self._fleet = fleet
        self._clock = clock
        self._keyring = keyring
        self._signer = signer

    def check(self, unwrapped: Unwrapped, sender: str | None) -> None:
        """Check that a body comes from its sender as that sender must sign.

        Raises:
            BadSignature: DS0A it is not signed though it must be, or does not verify; DS0D by
                another certificate.
        """
        if unwrapped.signed is None:
            participant = self._fleet.get(sender or "")
            if participant is not None and participant.jws:
                detail = "root: a signature is required of this participant"
                raise BadSignature(ReasonCode.DS0A, detail)
            return
        if self._keyring is None or sender is None:
            detail = "protected: no certificate is trusted for the sender"
            raise BadSignature(ReasonCode.DS0D, detail)
        self._keyring.check(unwrapped.signed, sender, self._clock.now())

    async def wrap(self, document: bytes, *, signed: bool) -> bytes:
        """Return a document as it is sent: signed, or as it is."""
        if not signed or self._signer is None:
            return document
        return await self._signer.sign(document)

    def must_sign(self, participant: str | None) -> bool:
        """Tell whether messages to a participant are always signed."""
        known = self._fleet.get(participant or "")
        return known is not None and known.jws
