from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from participants.core.qr_reading import QrReading, QrRefused
from participants.links.tin_http.client import TinClient
from participants.links.tin_http.seal import CLEARING_HOUSE, Seal
from runtime import pki
from runtime.http_client import HttpAnswer
from runtime.signing import Keyring, Signer, SigningPool
from scheme.errors import BadSignature, MalformedMessage, NoAnswer, NotConnected
from scheme.messages import CT1, CT4, ET1, ET2, PSR1, PSR2
from scheme.messages.proxy import ProxyLookup, ProxyRegistration
from scheme.wire import jws
from scheme.wire.jws import TrustedCertificate, thumbprint
from scheme.wire.proxy_json import decode_proxy
from scheme.wire.tin_json import WireVariant, encode
from tests.support.fleet_world import GOLDEN, START, golden

READ = (
    b'{"header":{"codReturn":"0","txtReturn":"OK"},"hash":"x","qr":{"emisor":"903",'
    b'"idCuenta":"97100220030040050213","idQr":"26011509710000012345","importe":"99",'
    b'"moneda":"604","emv":[]}}'
)
TOKEN = b'{"header":{"codReturn":"0","txtReturn":"OK"},"code":"0970","token":"t-1"}'


class Wire:
    """An HTTP client that answers in turn and keeps what was posted."""

    def __init__(self, *answers: bytes | HttpAnswer) -> None:
        self.answers = list(answers)
        self.posted: list[tuple[str, bytes, dict[str, str]]] = []

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> HttpAnswer:
        self.posted.append((url, body, dict(headers)))
        answer = self.answers.pop(0)
        return answer if isinstance(answer, HttpAnswer) else HttpAnswer(200, answer)

    async def close(self) -> None:
        pass


def a_client(wire: Wire, seal: Seal | None = None, **changes: object) -> TinClient:
    plain = Seal(None, None, lambda: START)
    return TinClient(
        "0970",
        "http://house/",
        wire,
        seal or plain,
        lambda: "000777",
        **changes,  # type: ignore[arg-type]
    )


async def test_a_message_goes_to_the_path_of_its_name_under_its_trace() -> None:
    wire = Wire(encode(golden("ET2", ET2)))
    asked = golden("ET1", ET1)

    assert await a_client(wire, token="secret").ask(asked, ET2) == golden("ET2", ET2)

    url, body, headers = wire.posted[0]
    assert url == "http://house/ssv2/payment-api/v3.5.0/ET1"
    assert body == encode(asked)
    assert headers["request-id"] == "970" + asked.trace
    assert headers["Authorization"] == "Bearer secret"


async def test_an_enquiry_has_a_trace_of_its_own() -> None:
    wire = Wire(encode(golden("PSR2", PSR2)))

    await a_client(wire).ask(golden("PSR1", PSR1), PSR2)

    assert wire.posted[0][2]["request-id"] == "970000777"


async def test_the_variant_is_spoken() -> None:
    client = a_client(Wire(), variant=WireVariant(absent="omit"))

    assert b"null" not in client.encode(golden("CT1-by-cci", CT1))


@pytest.mark.parametrize("status", [400, 404, 500, 302])
async def test_anything_but_success_is_no_answer(status: int) -> None:
    wire = Wire(HttpAnswer(status, encode(golden("CT4", CT4))))

    with pytest.raises(NoAnswer):
        await a_client(wire).send("CT1", b"{}", "000001", CT4)


async def test_an_answer_of_another_kind_is_malformed() -> None:
    with pytest.raises(MalformedMessage):
        await a_client(Wire(encode(golden("ET2", ET2)))).send("CT1", b"{}", "000001", CT4)


async def test_the_directory_is_asked() -> None:
    lookup = decode_proxy((GOLDEN / "prxy.003.json").read_bytes())
    assert isinstance(lookup, ProxyLookup)
    wire = Wire((GOLDEN / "prxy.004-found.json").read_bytes())

    found = await a_client(wire).look_up(lookup)

    assert found.status == "ACTC"
    url, body, headers = wire.posted[0]
    assert url == "http://house/directory/lookups"
    assert decode_proxy(body) == lookup
    assert headers["Message"] == "/NoYamlValidation"


async def test_an_echoed_question_is_no_answer_of_the_directory() -> None:
    question = (GOLDEN / "prxy.003.json").read_bytes()
    lookup = decode_proxy(question)
    assert isinstance(lookup, ProxyLookup)

    with pytest.raises(MalformedMessage):
        await a_client(Wire(question)).look_up(lookup)


async def test_a_qr_is_read_under_a_fresh_token() -> None:
    wire = Wire(TOKEN, READ)

    reading = await a_client(wire).read_qr("0002...")

    assert reading == QrReading(
        issuer="903",
        account="97100220030040050213",
        qr_id="26011509710000012345",
        amount=99,
        currency="604",
    )
    assert wire.posted[0][2]["password"] == "demo"
    assert wire.posted[1][2]["Authorization"] == "Token t-1"


async def test_the_qr_modules_refusal_is_told_whatever_the_status() -> None:
    no = HttpAnswer(401, b'{"header":{"codReturn":"QR01","txtReturn":"NO"}}')

    assert await a_client(Wire(no)).read_qr("0002...") == QrRefused("QR01", "NO")
    expired = b'{"header":{"codReturn":"QR03","txtReturn":"VENCIDO"},"qr":null}'
    assert await a_client(Wire(TOKEN, expired)).read_qr("0002...") == QrRefused("QR03", "VENCIDO")


@pytest.mark.parametrize("body", [b"", b"<html>", READ.replace(b'"99"', b'"x"')])
async def test_a_garbled_answer_of_the_qr_module_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedMessage):
        await a_client(Wire(TOKEN, body)).read_qr("0002...")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> pki.Pki:
    folder: Path = tmp_path_factory.mktemp("pki")
    return pki.open_pki(folder, ["0970", CLEARING_HOUSE], START)


def a_seal(keys: pki.Pki, pool: SigningPool) -> Seal:
    own, house = keys.identities["0970"], keys.identities[CLEARING_HOUSE]
    trusted = TrustedCertificate.of(house.certificate, keys.ca)
    signer = Signer(own.key, thumbprint(own.certificate), pool)
    return Seal(signer, Keyring({CLEARING_HOUSE: trusted}), lambda: START)


async def test_a_signing_institution_signs_and_believes_only_the_clearing_house(
    keys: pki.Pki,
) -> None:
    pool = SigningPool()
    answer = encode(golden("CT4", CT4))
    house, own = keys.identities[CLEARING_HOUSE], keys.identities["0970"]
    good = jws.sign(answer, house.key, thumbprint(house.certificate))
    forged = jws.sign(answer, own.key, thumbprint(own.certificate))
    wire = Wire(good, forged, answer)
    client = a_client(wire, a_seal(keys, pool))

    assert await client.send("CT1", b'{"CT1":{}}', "000001", CT4) == golden("CT4", CT4)
    for _ in range(2):
        with pytest.raises(BadSignature):
            await client.send("CT1", b'{"CT1":{}}', "000001", CT4)

    sent = jws.split(wire.posted[0][1])
    jws.verify(sent, TrustedCertificate.of(own.certificate, keys.ca), START)
    assert sent.payload == b'{"CT1":{}}'
    pool.close()


async def test_what_cannot_be_signed_does_not_leave(keys: pki.Pki) -> None:
    pool = SigningPool(pending_max=1)
    wire = Wire()
    client = a_client(wire, a_seal(keys, pool))
    pool._pending = 1

    with pytest.raises(NotConnected):
        await client.ask(golden("ET1", ET1), ET2)

    assert wire.posted == []
    pool.close()


async def test_a_registration_goes_to_the_directory_and_nothing_else_answers_it() -> None:
    order = decode_proxy((GOLDEN / "prxy.001-new.json").read_bytes())
    assert isinstance(order, ProxyRegistration)
    refused = (GOLDEN / "prxy.002-refused.json").read_bytes()
    wire = Wire(refused, (GOLDEN / "prxy.004-found.json").read_bytes())
    client = a_client(wire)

    done = await client.register(order)

    assert (done.status, done.reason) == ("RJCT", "IREG")
    url, body, headers = wire.posted[0]
    assert url == "http://house/directory/registrations"
    assert decode_proxy(body) == order
    assert headers["Message"] == "/ProxyRegistrationV01"
    with pytest.raises(MalformedMessage):
        await client.register(order)
