"""Signing in threads with a bound; verifying against the certificate of one participant."""

import asyncio
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from runtime.pki import Pki, open_pki
from runtime.signing import Keyring, Signer, SigningPool, SigningQueueFull
from scheme.errors import BadSignature
from scheme.reasons import ReasonCode
from scheme.wire import jws

NOW = datetime(2026, 1, 15, 15, 0, tzinfo=UTC)
PAYLOAD = b'{"ET1":{"participantCode":"0970"}}'


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return open_pki(tmp_path_factory.mktemp("pki"), ["0970", "0971"], NOW)


@pytest.fixture
def pool() -> Iterator[SigningPool]:
    pool = SigningPool(pending_max=2)
    yield pool
    pool.close()


def signer(pki: Pki, name: str, pool: SigningPool) -> Signer:
    identity = pki.identities[name]
    return Signer(identity.key, jws.thumbprint(identity.certificate), pool)


def trusted(pki: Pki, name: str) -> jws.TrustedCertificate:
    return jws.TrustedCertificate.of(pki.identities[name].certificate, pki.ca)


def reason(keyring: Keyring, body: bytes, participant: str) -> ReasonCode:
    with pytest.raises(BadSignature) as caught:
        keyring.verify(body, participant, NOW)
    return caught.value.reason


async def test_what_a_party_signs_the_keyring_verifies(pki: Pki, pool: SigningPool) -> None:
    body = await signer(pki, "0970", pool).sign(PAYLOAD)
    assert Keyring({"0970": trusted(pki, "0970")}).verify(body, "0970", NOW) == PAYLOAD


async def test_a_participant_acts_only_as_itself(pki: Pki, pool: SigningPool) -> None:
    keyring = Keyring({name: trusted(pki, name) for name in ("0970", "0971")})
    body = await signer(pki, "0971", pool).sign(PAYLOAD)
    assert reason(keyring, body, "0970") is ReasonCode.DS0D


async def test_a_participant_without_a_certificate_is_not_trusted(
    pki: Pki, pool: SigningPool
) -> None:
    body = await signer(pki, "0971", pool).sign(PAYLOAD)
    assert reason(Keyring({}), body, "0971") is ReasonCode.DS0D


def test_a_body_that_is_not_signed_is_a_structure_fault() -> None:
    assert reason(Keyring({}), PAYLOAD, "0970") is ReasonCode.DS0B


async def test_a_new_certificate_takes_the_place_of_the_old(pki: Pki, pool: SigningPool) -> None:
    keyring = Keyring({"0970": trusted(pki, "0970")})
    body = await signer(pki, "0970", pool).sign(PAYLOAD)
    keyring.trust("0970", trusted(pki, "0971"))
    assert reason(keyring, body, "0970") is ReasonCode.DS0D


async def test_the_queue_has_a_bound_and_frees_its_places(pool: SigningPool) -> None:
    go = threading.Event()

    def work() -> bytes:
        go.wait()
        return b"done"

    waiting = [asyncio.create_task(pool.run(work)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(SigningQueueFull):
        await pool.run(work)
    go.set()
    assert await asyncio.gather(*waiting) == [b"done", b"done"]
    assert await pool.run(work) == b"done"


async def test_a_failing_signature_frees_its_place(pool: SigningPool) -> None:
    def fails() -> bytes:
        raise ValueError("no key")

    for _ in range(5):
        with pytest.raises(ValueError, match="no key"):
            await pool.run(fails)
