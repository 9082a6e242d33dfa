"""Who may speak as whom: signatures, the shared token, and the variants of real connectors."""

import base64
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from runtime.http_server import Request, Response
from runtime.pki import Pki, open_pki
from scheme.messages import AV2, CT2
from scheme.wire import jws
from scheme.wire.tin_json import WireVariant, decode, encode
from switch.wire_log import WireMessage
from switch.wire_names import BASE_PATH
from tests.support.switch_wire import Wire, wired
from tests.support.switch_world import START, accept_order, accept_query, golden

ALL_SIGN = {code: {"jws": True} for code in ("0970", "0971")}


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return open_pki(tmp_path_factory.mktemp("pki"), ["switch", "0970", "0971"], START)


def sign(body: bytes, code: str, pki: Pki) -> bytes:
    own = pki.identities[code]
    return jws.sign(body, own.key, jws.thumbprint(own.certificate))


def signing_creditor(pki: Pki, as_code: str = "0971") -> Any:
    """A creditor's agent that opens what the switch signed and signs its own answers."""
    trusted = jws.TrustedCertificate.of(pki.identities["switch"].certificate, pki.ca)

    def behave(request: Request) -> Response:
        parts = jws.split(request.body)
        jws.verify(parts, trusted, START)
        if request.path == f"{BASE_PATH}AV2":
            answer = encode(accept_query(decode(parts.payload, AV2)))
        else:
            answer = encode(accept_order(decode(parts.payload, CT2)))
        return Response(body=sign(answer, as_code, pki))

    return behave


async def test_signed_orders_cross_the_wire_signed_on_every_leg(tmp_path: Path, pki: Pki) -> None:
    async with wired(tmp_path, pki=pki, changes=ALL_SIGN) as wire:
        wire.creditor.behaviours = {name: signing_creditor(pki) for name in ("AV2", "CT2")}
        av4 = await wire.post("AV1", sign(golden("AV1-by-cci"), "0970", pki))
        assert av4.code == ("00", None)
        ct4 = await wire.post("CT1", sign(golden("CT1-by-cci"), "0970", pki))
        assert ct4.code == ("00", None)
        trusted = jws.TrustedCertificate.of(pki.identities["switch"].certificate, pki.ca)
        jws.verify(jws.split(ct4.body), trusted, START)
        await wire.until(lambda: wire.creditor.count("CT5") == 1)
        confirmed = dict(wire.creditor.taken)["CT5"]
        jws.verify(jws.split(confirmed), trusted, START)
        again = await wire.post("CT1", sign(golden("CT1-by-cci"), "0970", pki))
        assert jws.split(again.body).payload == jws.split(ct4.body).payload


def spoilt(pki: Pki) -> dict[str, tuple[bytes, str]]:
    """Return bodies that must not be believed, and the code of each."""
    body = golden("AV1-by-cci")
    good = json.loads(sign(body, "0970", pki))
    other = base64.urlsafe_b64encode(body.replace(b"000123", b"000124")).rstrip(b"=").decode()
    return {
        "not signed": (body, "DS0A"),
        "another payload": (json.dumps(good | {"payload": other}).encode(), "DS0A"),
        "no signature": (json.dumps({k: good[k] for k in ("payload", "protected")}).encode(), ""),
        "not base64": (json.dumps(good | {"signature": "***"}).encode(), "DS0B"),
        "no header": (json.dumps(good | {"protected": "e30"}).encode(), "DS0B"),
        "of another participant": (sign(body, "0971", pki), "DS0D"),
    }


async def test_what_is_not_soundly_signed_is_refused_and_the_refusal_is_signed(
    tmp_path: Path, pki: Pki
) -> None:
    async with wired(tmp_path, pki=pki, changes=ALL_SIGN) as wire:
        for what, (body, reason) in spoilt(pki).items():
            got = await wire.post("AV1", body)
            assert jws.looks_signed(got.body), what
            code, said = got.code
            assert code == "05", what
            assert said in ((reason,) if reason else ("DS0A", "DS0B")), what
            field, _, rule = got.explain.partition(": ")
            assert field in ("root", "payload", "protected", "signature"), what
            assert rule, what
        assert wire.creditor.count("AV2") == 0


async def last_messages(wire: Wire, participant: str | None = None) -> list[WireMessage]:
    """Return what is kept, without the notices of the start."""
    kept = await wire.wire_log.recent(participant=participant, limit=50)
    return [one for one in kept if not one.name.startswith("SNM")]


async def test_what_was_not_taken_is_found_among_the_last_messages(
    tmp_path: Path, pki: Pki
) -> None:
    async with wired(tmp_path, pki=pki, changes={"0971": {"jws": True}}) as wire:
        malformed = with_root("CT1-by-cci", "CT1", amount="a lot")
        refused = await wire.post("CT1", malformed)
        badly_signed = sign(golden("AV1-by-cci"), "0971", pki)
        await wire.post("AV1", badly_signed)
        rejected = await wire.post("PSR1", b"\x00 no message \xff")
        found = await last_messages(wire)
        assert [(one.name, one.sender, one.status) for one in found] == [
            ("CT1", "0970", 0),
            ("CT4", "CCE", 200),
            ("AV1", "0970", 0),
            ("AV4", "CCE", 200),
            ("PSR1", "", 0),
            ("Reject", "CCE", 400),
        ]
        assert [one.body for one in found[::2]] == [
            malformed,
            badly_signed,
            b"\x00 no message \xff",
        ]
        assert found[1].body == refused.body
        assert found[1].note == refused.explain
        assert found[5].note == rejected.explain
        assert all(one.note for one in found[1::2])
        assert await last_messages(wire, "0970") == found[:4]


@pytest.mark.parametrize("name", ["CT1", "PSR1", "ET1", "SignOn1", "SignOff1"])
async def test_each_message_is_believed_only_from_the_participant_it_names(
    tmp_path: Path, pki: Pki, name: str
) -> None:
    body = golden({"CT1": "CT1-by-cci"}.get(name, name))
    wrong = "0970" if name == "PSR1" else "0971"
    async with wired(tmp_path, pki=pki, changes=ALL_SIGN) as wire:
        got = await wire.post(name, sign(body, wrong, pki))
        assert got.code == ("05", "DS0D")
        assert (await wire.post(name, body)).code == ("05", "DS0A")
        state = wire.world.house.sessions.state
        assert state.session("0970").signed_on


async def test_a_certificate_outside_its_validity_is_ds0d(tmp_path: Path, pki: Pki) -> None:
    late = START + timedelta(days=365 * 30)
    async with wired(tmp_path, pki=pki, changes=ALL_SIGN, start=late) as wire:
        got = await wire.post("ET1", sign(golden("ET1"), "0970", pki))
        assert got.code == ("05", "DS0D")


async def test_a_flat_answer_of_a_peer_that_must_sign_is_silence(tmp_path: Path, pki: Pki) -> None:
    async with wired(tmp_path, pki=pki, changes=ALL_SIGN) as wire:
        wire.creditor.behaviours["AV2"] = lambda request: Response(
            body=encode(accept_query(decode(jws.split(request.body).payload, AV2)))
        )
        assert (await wire.post("AV1", sign(golden("AV1-by-cci"), "0970", pki))).code == (
            "05",
            "AB05",
        )


async def test_a_participant_that_need_not_sign_may(tmp_path: Path, pki: Pki) -> None:
    async with wired(tmp_path, pki=pki) as wire:
        assert (await wire.post("ET1", golden("ET1"))).body.startswith(b'{"ET2"')
        signed = await wire.post("ET1", sign(golden("ET1"), "0970", pki))
        assert jws.looks_signed(signed.body)
        assert signed.code == ("00", None)


async def test_the_token_is_asked_of_the_unsigned_only(tmp_path: Path, pki: Pki) -> None:
    async with wired(tmp_path, pki=pki, token="sesame") as wire:
        for shown in ({}, {"Authorization": "Bearer no"}, {"Authorization": "Bearer sésame"}):
            got = await wire.post("ET1", golden("ET1"), shown)
            assert got.code == ("05", "DS0A")
            assert "Authorization" in got.explain
        shown = {"Authorization": "Bearer sesame"}
        assert (await wire.post("ET1", golden("ET1"), shown)).code == ("00", None)
        assert (await wire.post("ET1", sign(golden("ET1"), "0970", pki))).code == ("00", None)


# Variants of real connectors, on the way in and on the way out.


def with_root(name: str, root: str | None, **changes: Any) -> bytes:
    ((_, fields),) = json.loads(golden(name)).items()
    fields |= changes
    return json.dumps(fields if root is None else {root: fields}).encode()


VARIANTS = [
    ("SIGNON", with_root("SignOn1", "SIGNON1"), "00"),
    ("signon1", with_root("SignOn1", "SignOn1"), "00"),
    ("SignOn1", with_root("SignOn1", "SIGNON1"), "00"),
    ("RCTC1", with_root("PSR1", "RCTC1"), "99"),
    ("PSR1", with_root("PSR1", None), "99"),
    ("ET1", with_root("ET1", None), "00"),
    ("AV1", with_root("AV1-by-cci", None), "00"),
    ("AV1", with_root("AV1-by-cci", "AV1", debtorPhoneNumber="", trace="000124"), "00"),
    ("AV1", with_root("AV1-by-cci", "AV1", terminalId="SIM1  ", trace="000125"), "00"),
    ("CT1", with_root("CT1-by-cci", "CT1", amount="12500", feeAmount="80", feeCode="0101 "), "00"),
    ("SIGNOF", with_root("SignOff1", "SIGNOF1"), "00"),
]


async def test_every_documented_variant_is_taken(tmp_path: Path) -> None:
    async with wired(tmp_path) as wire:
        for name, body, code in VARIANTS:
            got = await wire.post(name, body)
            assert (got.status, got.code[0]) == (200, code), (name, body, got.explain)


@pytest.mark.parametrize(
    ("variant", "status", "starts"),
    [
        (WireVariant(success_status=201), 201, b'{"ET2":{"participantCode":"0970"'),
        (WireVariant(envelope="flat"), 200, b'{"participantCode":"0970"'),
    ],
)
async def test_a_participant_is_answered_in_its_own_variant(
    tmp_path: Path, variant: WireVariant, status: int, starts: bytes
) -> None:
    async with wired(tmp_path, changes={"0970": {"wire": variant}}) as wire:
        got = await wire.post("ET1", golden("ET1"))
        assert got.status == status
        assert got.body.startswith(starts)


async def test_what_crossed_the_wire_is_in_its_log_byte_for_byte(tmp_path: Path) -> None:
    async with wired(tmp_path) as wire:
        await wire.post("AV1", golden("AV1-by-cci"))
        got = await wire.post("CT1", golden("CT1-by-cci"))
        await wire.until(lambda: wire.creditor.count("CT5") == 1)
        order = got.content["instructionId"]
        await wire.world.settle()
        await wire.until(lambda: wire.world.state(order) == "CONFIRMED")
        kept = await wire.wire_log.find(frozenset({order}), since_us=0)
        by_name = {one.name: one for one in kept}
        assert set(by_name) == {"CT1", "CT2", "CT3", "CT4", "CT5", "CT5 acknowledged"}
        assert by_name["CT1"].body == golden("CT1-by-cci")
        assert by_name["CT4"].body == got.body
        assert by_name["CT4"].status == 200
        assert (by_name["CT2"].sender, by_name["CT2"].receiver) == ("CCE", "0971")
        verified = await wire.wire_log.find(
            frozenset({got.content["instructionId"], "2026011510153009708191000123"}), since_us=0
        )
        assert {"AV1", "AV2", "AV3", "AV4"} <= {one.name for one in verified}
