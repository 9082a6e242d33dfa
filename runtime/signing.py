"""Signing in threads, verifying on the loop: the shell around ``scheme.wire.jws``."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from scheme.errors import BadSignature, ChasquiError
from scheme.limits import SIGNING_QUEUE_MAX
from scheme.reasons import ReasonCode
from scheme.wire import jws

_THREADS = 2


class SigningQueueFull(ChasquiError):
    """More messages wait to be signed than is allowed; this one was not signed."""


class SigningPool:
    """Two threads that sign for every party of a process. Closed by whoever made it.

    One pool for all, so that its bound is the process's.

    Args:
        pending_max: messages waiting or being signed; one more is refused.
    """

    def __init__(self, *, pending_max: int = SIGNING_QUEUE_MAX) -> None:
        assert pending_max > 0
        self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="signing")
        self._pending = 0
        self._pending_max = pending_max

    async def run(self, work: Callable[[], bytes]) -> bytes:
        """Run one signature in a thread.

        Raises:
            SigningQueueFull: the queue is at its bound.
        """
        if self._pending >= self._pending_max:
            raise SigningQueueFull(f"{self._pending_max} messages are waiting to be signed")
        self._pending += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self._pending -= 1

    def close(self) -> None:
        """Give up what has not begun, and wait for what has."""
        self._executor.shutdown(wait=True, cancel_futures=True)


class Signer:
    """Signs the messages of one party.

    Args:
        key: its private key.
        x5t: thumbprint of the certificate that belongs to the key.
        pool: shared by the signers of the process.
    """

    def __init__(self, key: RSAPrivateKey, x5t: str, pool: SigningPool) -> None:
        self._key = key
        self._x5t = x5t
        self._pool = pool

    async def sign(self, payload: bytes) -> bytes:
        """Return the signed message for a JSON document.

        Raises:
            SigningQueueFull: too many messages are waiting.
        """
        return await self._pool.run(lambda: jws.sign(payload, self._key, self._x5t))


class Keyring:
    """The certificate trusted for each party, and nobody else's.

    Args:
        certificates: by participant code, or ``switch``.
    """

    def __init__(self, certificates: Mapping[str, jws.TrustedCertificate]) -> None:
        self._certificates = dict(certificates)

    def trust(self, participant: str, certificate: jws.TrustedCertificate) -> None:
        """Trust a certificate from now on, in place of the one before."""
        self._certificates[participant] = certificate

    def check(self, signed: jws.SignedBody, participant: str, now: datetime) -> None:
        """Check that a message, already taken apart, was signed by a participant.

        On the loop: it takes 20 microseconds, less than a hop to a thread.

        Raises:
            BadSignature: DS0D for the certificate, also of an unknown participant; DS0A for
                the signature.
        """
        certificate = self._certificates.get(participant)
        if certificate is None:
            raise BadSignature(
                ReasonCode.DS0D, "protected: no certificate is trusted for the participant"
            )
        jws.verify(signed, certificate, now)

    def verify(self, body: bytes, participant: str, now: datetime) -> bytes:
        """Return the JSON document of a signed message from a participant known beforehand.

        Raises:
            BadSignature: DS0B for the structure, DS0D for the certificate, DS0A for the
                signature.
        """
        signed = jws.split(body)
        self.check(signed, participant, now)
        return signed.payload
