from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from participants.links.tin_http import BASE_PATH
from participants.links.tin_http.port import TinPort
from participants.links.tin_http.seal import CLEARING_HOUSE, Seal
from runtime import pki
from runtime.http_server import Drop, Request, Response
from runtime.signing import Keyring, Signer, SigningPool
from scheme.messages import AV3, CT3, SNM981
from scheme.wire import jws
from scheme.wire.jws import TrustedCertificate, thumbprint
from scheme.wire.tin_json import WireVariant, decode, encode
from tests.support.fleet_world import (
    START,
    World,
    a_ct2,
    a_ct5,
    an_account,
    an_av2,
    golden,
)

PLAIN = Seal(None, None, lambda: START)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> pki.Pki:
    folder: Path = tmp_path_factory.mktemp("pki")
    return pki.open_pki(folder, ["0971", "0972", CLEARING_HOUSE], START)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World("0971", [an_account()])
    yield world
    await world.close()


@pytest.fixture
async def signing(world: World, keys: pki.Pki) -> AsyncIterator[TinPort]:
    pool = SigningPool()
    own = keys.identities["0971"]
    trusted = TrustedCertificate.of(keys.identities[CLEARING_HOUSE].certificate, keys.ca)
    seal = Seal(
        Signer(own.key, thumbprint(own.certificate), pool),
        Keyring({CLEARING_HOUSE: trusted}),
        lambda: START,
    )
    yield TinPort("0971", world.office.receivers(), seal)
    pool.close()


def plain(world: World, **variant: object) -> TinPort:
    spoken = msgspec.convert(variant, WireVariant)
    return TinPort("0971", world.office.receivers(), PLAIN, variant=spoken)


async def post(port: TinPort, name: str, body: bytes, method: str = "POST") -> Response:
    return await port.answer(Request(method, BASE_PATH + name, {}, {}, body, "127.0.0.1"))


def signed(keys: pki.Pki, body: bytes, name: str = CLEARING_HOUSE) -> bytes:
    identity = keys.identities[name]
    return jws.sign(body, identity.key, thumbprint(identity.certificate))


async def test_a_plain_query_is_answered_plainly(world: World) -> None:
    answer = await post(plain(world), "AV2", encode(an_av2()))

    assert answer.status == 200
    assert decode(answer.body, AV3) == golden("AV3-accepted", AV3)


async def test_paths_are_taken_in_any_case_and_others_are_unknown(world: World) -> None:
    assert (await post(plain(world), "av2", encode(an_av2()))).status == 200
    assert (await post(plain(world), "AV9", b"{}")).status == 404
    assert (await post(plain(world), "AV2", b"", method="GET")).status == 405


async def test_the_variant_of_the_institution_is_spoken(world: World) -> None:
    port = plain(world, success_status=201, ct5_status=204, envelope="flat", amounts="text")

    taken = await post(port, "CT2", encode(a_ct2()))
    confirmed = await post(port, "CT5", encode(a_ct5()))

    assert taken.status == 201
    assert msgspec.json.decode(taken.body)["amount"] == "12500"
    assert (confirmed.status, confirmed.body) == (204, b"")


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("AV2", {"debtorId": None}, "FF02"),
        ("AV2", {"creditorCCI": "971" + "9" * 17}, "FF02"),
        ("CT2", {"amount": "many"}, "FF02"),
        ("CT2", {"debtorName": None}, "BE08"),
        ("CT2", {"referenceTransactionId": None}, "BE15"),
    ],
)
async def test_a_message_with_a_wrong_field_is_refused_with_its_echo(
    world: World, name: str, changes: dict[str, object], reason: str
) -> None:
    example = an_av2() if name == "AV2" else a_ct2()
    body = msgspec.json.encode({name: msgspec.to_builtins(example) | changes})

    answer = await post(plain(world), name, body)

    refused = decode(answer.body, AV3) if name == "AV2" else decode(answer.body, CT3)
    assert (refused.responseCode, refused.reasonCode) == ("05", reason)
    assert refused.instructionId == example.instructionId
    assert refused.debtorParticipantCode == "0970"


@pytest.mark.parametrize(
    "body", [b"", b"no", b"[]", b'{"AV2":[]}', b'{"AV2":{}}', b'{"CT2":{}}', b"\xff" * 9]
)
async def test_what_cannot_be_echoed_is_a_bad_request(world: World, body: bytes) -> None:
    assert (await post(plain(world), "AV2", body)).status == 400


async def test_half_an_answer_announces_more_than_it_sends(world: World) -> None:
    with pytest.raises(Drop) as cut:
        await post(plain(world), "CT2", encode(a_ct2(amount=6633)))

    head, _, body = cut.value.partial.partition(b"\r\n\r\n")
    announced = int(head.split(b"Content-Length: ")[1])
    assert body.startswith(b'{"CT3":')
    assert len(body) == announced // 2


async def test_a_signed_query_gets_a_signed_answer(signing: TinPort, keys: pki.Pki) -> None:
    answer = await post(signing, "AV2", signed(keys, encode(an_av2())))

    own = TrustedCertificate.of(keys.identities["0971"].certificate, keys.ca)
    sealed = jws.split(answer.body)
    jws.verify(sealed, own, START)
    assert decode(sealed.payload, AV3).responseCode == "00"


async def test_a_signature_that_does_not_hold_is_refused_with_its_code(
    signing: TinPort, keys: pki.Pki
) -> None:
    body = encode(a_ct2())
    torn = signed(keys, body)
    payload = jws.split(signed(keys, encode(a_ct2(amount=1))))
    forged = torn.replace(torn.split(b'"')[3], payload.signing_input.partition(b".")[2], 1)
    cases = {
        "DS0A": [body, forged],
        "DS0D": [signed(keys, body, "0972")],
    }

    for reason, bodies in cases.items():
        for sent in bodies:
            answer = await post(signing, "CT2", sent)
            refused = decode(jws.split(answer.body).payload, CT3)
            assert (refused.responseCode, refused.reasonCode) == ("05", reason)


async def test_a_structure_that_is_no_signature_cannot_be_answered(signing: TinPort) -> None:
    broken = b'{"payload":"!!","protected":"!!","signature":"!!"}'

    assert (await post(signing, "CT2", broken)).status == 400


async def test_a_forged_confirmation_is_not_acknowledged(
    world: World, signing: TinPort, keys: pki.Pki
) -> None:
    await post(signing, "CT2", signed(keys, encode(a_ct2())))

    assert (await post(signing, "CT5", encode(a_ct5()))).status == 400
    assert (await post(signing, "CT5", signed(keys, encode(a_ct5())))).status == 200


async def test_notices_are_taken_without_looking_at_a_signature(
    signing: TinPort, keys: pki.Pki
) -> None:
    notice = encode(golden("SNM981", SNM981))

    assert (await post(signing, "SNM981", notice)).status == 200
    assert (await post(signing, "SNM981", signed(keys, notice, "0972"))).status == 200


async def test_a_plain_institution_reads_a_signed_message_too(world: World, keys: pki.Pki) -> None:
    answer = await post(plain(world), "AV2", signed(keys, encode(an_av2())))

    assert decode(answer.body, AV3).responseCode == "00"


async def test_a_spoilt_signature_does_not_verify(signing: TinPort, keys: pki.Pki) -> None:
    answer = await post(signing, "CT2", signed(keys, encode(a_ct2(amount=6637))))
    own = TrustedCertificate.of(keys.identities["0971"].certificate, keys.ca)

    with pytest.raises(Exception, match="DS0A"):
        jws.verify(jws.split(answer.body), own, START + timedelta(seconds=1))
