import asyncio
import base64
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from directory.qr import QrModule
from runtime.clock import ManualClock
from scheme.people import REFERENCE_PEOPLE
from scheme.wire import emv_qr
from tests.support.directory_fakes import (
    PARTICIPANTS,
    MemoryDirectoryStore,
    a_qr_module,
    a_service,
    lima_clock,
)

CCI = "97100220030040050213"
STATIC = (
    "000201010211263700028001039030220260115097100000123455204482953036045802PE5911SOCIO DOS D"
    "6004Lima80550003ID10144LJzSuSGsy39bzQufE60EJpeIhc7mmF+6yHWwd+QPZV0=6304D314"
)
DYNAMIC = (
    "00020101021226370002800103903022026011509710000012346520448295303604540525.005802PE"
    "5911SOCIO DOS D6004Lima80550003ID10144LJzSuSGsy39bzQufE60EJpeIhc7mmF+6yHWwd+QPZV0=63045F94"
)
YAPE = (
    "0002010102113932ea7874f72c02a0d20639c77ae0ba59445204561153036045802PE5906YAPERO6004Lima"
    "63048D9D"
)
YAPE_LONG = (
    "0002010102113944JkFeONS2eiB1suifMU16Oq+kwtcxUSQ3KswkrAsuKms=5204561153036045802PE5906YAPERO"
    "6004Lima63042A1D"
)
PLIN = (
    "0002015802PE0102115204482953036045912P2P Transfer6004Lima2656"
    "0032f8d9e7dc4b9e9384d598f6f0fb0364dd0116Plin Network P2P6304447F"
)
PLIN_EARLY = (
    "0002015802PE26560116Plin Network P2P0032f8d9e7dc4b9e9384d598f6f0fb0364dd"
    "0102115204482953036045912P2P Transfer6004Lima6304A0E3"
)
LOOK_ALIKE = (
    "0002010102113944JkFeONS2eiB1suifMU16Oq+kwtcxUSQ3KswkrAsuKms=5204482953038405802EC"
    "5911TIENDA DEMO6006Cuenca63045728"
)
GENERATE = {
    "header": {"user": "0971"},
    "data": {
        "qrTipo": "11",
        "idCuenta": CCI,
        "moneda": "604",
        "nombreComerciante": "SOCIO DOS D",
    },
    "type": "TEXT",
}
OK = {"codReturn": "0", "txtReturn": "OK"}


class Caller:
    """A participant that asks for a token before every call, as connectors do."""

    def __init__(self, qr: QrModule, code: str) -> None:
        self.qr = qr
        self.code = code

    async def token(self) -> str:
        headers = {"User": self.code, "Password": "demo"}
        body = msgspec.json.encode({"code": self.code})
        status, answer = await self.qr.handle("/qr/token", headers, body)
        assert status == 200
        return str(msgspec.json.decode(answer)["token"])

    async def call(self, path: str, body: Any, token: str | None = None) -> dict[str, Any]:
        headers = {"Authorization": f"Token {token or await self.token()}"}
        _, answer = await self.qr.handle(path, headers, msgspec.json.encode(body))
        result: dict[str, Any] = msgspec.json.decode(answer)
        return result

    async def read(self, text: str) -> dict[str, Any]:
        return await self.call("/qr/read", {"header": {"user": self.code}, "hash": text})

    async def generate(self, **data: Any) -> dict[str, Any]:
        whole = {**GENERATE, "data": {**GENERATE["data"], **data}}  # type: ignore[dict-item]
        return await self.call("/qr/generate", {**whole, "header": {"user": self.code}})


@pytest.fixture
def clock() -> ManualClock:
    return lima_clock("2026-01-15T10:18:30")


@pytest.fixture
async def store(clock: ManualClock) -> MemoryDirectoryStore:
    made = MemoryDirectoryStore()
    await a_service(made, clock=clock).seed(REFERENCE_PEOPLE)
    return made


@pytest.fixture
def qr(store: MemoryDirectoryStore, clock: ManualClock) -> QrModule:
    return a_qr_module(store, clock)


@pytest.fixture
def payee(qr: QrModule) -> Caller:
    return Caller(qr, "0971")


@pytest.fixture
def payer(qr: QrModule) -> Caller:
    return Caller(qr, "0970")


async def test_the_printed_token_call_gives_a_token(qr: QrModule) -> None:
    headers = {"user": "0971", "password": "demo"}
    status, body = await qr.handle("/qr/token", headers, b'{"code": "0971"}')
    answer = msgspec.json.decode(body)
    assert status == 200
    assert answer == {"header": OK, "code": "0971", "token": answer["token"]}
    assert answer["token"]


async def test_the_printed_generate_call_gives_the_printed_answer(payee: Caller) -> None:
    answer = await payee.call("/qr/generate", GENERATE)
    assert answer == {"header": OK, "hash": STATIC, "idQr": "26011509710000012345"}


async def test_the_printed_cce_qr_reads_as_printed(payer: Caller) -> None:
    assert await payer.read(STATIC) == {
        "header": OK,
        "hash": STATIC,
        "qr": {
            "qrTipo": "11",
            "emisor": "903",
            "idCuenta": CCI,
            "idQr": "26011509710000012345",
            "importe": None,
            "moneda": "604",
            "cantidadPagos": None,
            "fechaVencimiento": None,
            "glosa": None,
            "nombreComerciante": "SOCIO DOS D",
            "fechaRegistro": "20260115",
            "emv": [
                {"tag": "00", "longitud": "02", "valor": "01"},
                {"tag": "01", "longitud": "02", "valor": "11"},
                {"tag": "26", "longitud": "37", "valor": "0002800103903022026011509710000012345"},
                {"tag": "52", "longitud": "04", "valor": "4829"},
                {"tag": "53", "longitud": "03", "valor": "604"},
                {"tag": "58", "longitud": "02", "valor": "PE"},
                {"tag": "59", "longitud": "11", "valor": "SOCIO DOS D"},
                {"tag": "60", "longitud": "04", "valor": "Lima"},
                {
                    "tag": "80",
                    "longitud": "55",
                    "valor": "0003ID10144LJzSuSGsy39bzQufE60EJpeIhc7mmF+6yHWwd+QPZV0=",
                },
                {"tag": "63", "longitud": "04", "valor": "D314"},
            ],
            "info": None,
        },
        "info": None,
    }


async def test_the_printed_yape_qr_reads_as_printed(payer: Caller) -> None:
    assert await payer.read(YAPE) == {
        "header": OK,
        "hash": YAPE,
        "qr": {
            "qrTipo": "11",
            "emisor": "901",
            "idCuenta": "ea7874f72c02a0d20639c77ae0ba5944",
            "idQr": None,
            "importe": None,
            "moneda": "604",
            "cantidadPagos": None,
            "fechaVencimiento": None,
            "glosa": None,
            "nombreComerciante": "YAPERO",
            "fechaRegistro": None,
            "emv": [
                {"tag": "00", "longitud": "02", "valor": "01"},
                {"tag": "01", "longitud": "02", "valor": "11"},
                {"tag": "39", "longitud": "32", "valor": "ea7874f72c02a0d20639c77ae0ba5944"},
                {"tag": "52", "longitud": "04", "valor": "5611"},
                {"tag": "53", "longitud": "03", "valor": "604"},
                {"tag": "58", "longitud": "02", "valor": "PE"},
                {"tag": "59", "longitud": "06", "valor": "YAPERO"},
                {"tag": "60", "longitud": "04", "valor": "Lima"},
                {"tag": "63", "longitud": "04", "valor": "8D9D"},
            ],
            "info": None,
        },
        "info": None,
    }


@pytest.mark.parametrize(
    ("text", "issuer", "token"),
    [
        (YAPE_LONG, "901", "JkFeONS2eiB1suifMU16Oq+kwtcxUSQ3KswkrAsuKms="),
        (PLIN, "902", "f8d9e7dc4b9e9384d598f6f0fb0364dd"),
        (PLIN_EARLY, "902", "f8d9e7dc4b9e9384d598f6f0fb0364dd"),
    ],
)
async def test_every_printed_wallet_qr_gives_its_token(
    payer: Caller, text: str, issuer: str, token: str
) -> None:
    content = (await payer.read(text))["qr"]
    assert (content["emisor"], content["idCuenta"]) == (issuer, token)


async def test_the_printed_dynamic_qr_is_refused_as_printed_after_its_last_day(
    payer: Caller, clock: ManualClock
) -> None:
    content = (await payer.read(DYNAMIC))["qr"]
    assert (content["importe"], content["fechaVencimiento"]) == ("2500", "20260131")
    await clock.advance(timedelta(days=17))
    assert await payer.read(DYNAMIC) == {
        "header": {"codReturn": "QR03", "txtReturn": "QR VENCIDO"},
        "hash": DYNAMIC,
        "qr": None,
        "info": None,
    }


async def test_the_printed_data_call_gives_the_printed_answer(payer: Caller) -> None:
    id_qr = "26011509710000012345"
    body = {"header": {"user": "0970"}, "idCuenta": CCI, "idQr": id_qr}
    assert await payer.call("/qr/data", body) == {
        "header": OK,
        "idCuenta": CCI,
        "idQr": id_qr,
        "qr": {
            "qrTipo": "11",
            "emisor": "903",
            "idCuenta": CCI,
            "idQr": id_qr,
            "importe": None,
            "moneda": "604",
            "cantidadPagos": None,
            "fechaVencimiento": None,
            "glosa": None,
            "nombreComerciante": "SOCIO DOS D",
            "fechaRegistro": "20260115",
            "emv": None,
            "info": None,
        },
    }


async def test_the_data_of_an_unknown_pair_is_unknown(payer: Caller) -> None:
    body = {"header": {"user": "0970"}, "idCuenta": CCI[::-1], "idQr": "26011509710000012345"}
    answer = await payer.call("/qr/data", body)
    assert (answer["header"]["codReturn"], answer["qr"]) == ("QR02", None)


async def test_a_static_qr_is_made_once_for_an_account_and_name(payee: Caller) -> None:
    first, second = await asyncio.gather(
        payee.generate(nombreComerciante="OTRA D"), payee.generate(nombreComerciante="OTRA D")
    )
    assert first == second
    assert first["idQr"] != "26011509710000012345"


async def test_our_own_qr_can_be_read_and_says_what_was_ordered(
    payee: Caller, payer: Caller
) -> None:
    made = await payee.generate(
        qrTipo="12", importe="99", fechaVencimiento="20260116", cantidadPagos="2", glosa="mesa 4"
    )
    assert made["idQr"] == "26011509710000012347"
    assert emv_qr.parse(made["hash"]).sealed_account is not None
    content = (await payer.read(made["hash"]))["qr"]
    assert content["importe"] == "99"
    assert content["cantidadPagos"] == "2"
    assert content["glosa"] == "mesa 4"
    assert {"tag": "54", "longitud": "04", "valor": "0.99"} in content["emv"]


async def test_two_dynamic_qrs_of_the_same_terms_are_two(payee: Caller) -> None:
    first = await payee.generate(qrTipo="12", importe=100)
    second = await payee.generate(qrTipo="12", importe=100)
    assert first["idQr"] != second["idQr"]


@pytest.mark.parametrize("kind", ["TEXT", "EMV", "BASE64"])
async def test_a_qr_comes_as_text_or_as_a_picture(payee: Caller, kind: str) -> None:
    answer = await payee.call("/qr/generate", {**GENERATE, "type": kind})
    if kind == "BASE64":
        assert base64.b64decode(answer["hash"]).startswith(b"\x89PNG")
    else:
        assert answer["hash"] == STATIC


async def test_a_dynamic_qr_is_refused_once_it_was_paid_as_often_as_allowed(
    qr: QrModule, payee: Caller, payer: Caller
) -> None:
    made = await payee.generate(qrTipo="12", cantidadPagos=2)
    for transfer in ("first", "first", "second"):
        assert (await payer.read(made["hash"]))["header"] == OK
        await qr.paid(f"PAGO {made['idQr']}", cci=CCI, transfer_id=transfer)
    assert (await payer.read(made["hash"]))["header"]["codReturn"] == "QR04"


async def test_payments_that_are_not_for_the_qr_s_account_do_not_count(
    qr: QrModule, payee: Caller, payer: Caller
) -> None:
    made = await payee.generate(qrTipo="12", cantidadPagos=1)
    await qr.paid(made["idQr"], cci="97000110020030040142", transfer_id="t")
    await qr.paid("no id at all", cci=CCI, transfer_id="t")
    assert (await payer.read(made["hash"]))["header"] == OK


async def test_an_altered_amount_is_found_out_though_its_crc_is_right(
    payee: Caller, payer: Caller
) -> None:
    made = await payee.generate(qrTipo="12", importe=2500)
    body = made["hash"][:-4].replace("540525.00", "540502.00")
    assert body != made["hash"][:-4]
    answer = await payer.read(body + emv_qr.crc(body))
    assert answer["header"]["codReturn"] == "QR05"


async def test_a_qr_of_another_store_is_unknown(payer: Caller, clock: ManualClock) -> None:
    elsewhere = Caller(a_qr_module(MemoryDirectoryStore(), clock), "0971")
    made = await elsewhere.generate()
    assert (await payer.read(made["hash"]))["header"]["codReturn"] == "QR02"


@pytest.mark.parametrize(
    "text", ["", "x", STATIC[:-1], STATIC[:-4] + "0000", LOOK_ALIKE, "é" * 600]
)
async def test_what_is_no_qr_of_the_network_is_refused_by_tag_and_rule(
    payer: Caller, text: str
) -> None:
    header = (await payer.read(text))["header"]
    assert header["codReturn"] == "QR01"
    assert header["txtReturn"].startswith("FORMATO: hash ")


async def test_a_lower_case_crc_is_accepted(payer: Caller) -> None:
    assert (await payer.read(STATIC[:-4] + "d314"))["header"] == OK


async def test_a_token_expires_as_the_profile_says(payer: Caller, clock: ManualClock) -> None:
    token = await payer.token()
    body = {"header": {"user": "0970"}, "hash": YAPE}
    await clock.advance(timedelta(seconds=299))
    assert (await payer.call("/qr/read", body, token))["header"] == OK
    await clock.advance(timedelta(seconds=1))
    assert (await payer.call("/qr/read", body, token))["header"]["codReturn"] == "QR06"
    assert (await payer.read(YAPE))["header"] == OK


@pytest.mark.parametrize("path", ["/qr/generate", "/qr/read", "/qr/data"])
@pytest.mark.parametrize("header", [None, "", "Token", "Token x", "Bearer x", "Token ñ-a-b-c"])
async def test_without_a_good_token_nothing_is_done(
    qr: QrModule, path: str, header: str | None
) -> None:
    headers = {} if header is None else {"authorization": header}
    status, body = await qr.handle(path, headers, msgspec.json.encode(GENERATE))
    assert status == 401
    assert msgspec.json.decode(body)["header"]["codReturn"] == "QR06"


@pytest.mark.parametrize(
    "headers",
    [{}, {"user": "0971"}, {"user": "0971", "password": "wrong"}, {"password": "demo"},
     {"user": "0971", "password": "\udcff"}],
)  # fmt: skip
async def test_a_wrong_password_gets_no_token(qr: QrModule, headers: dict[str, str]) -> None:
    status, body = await qr.handle("/qr/token", headers, b'{"code":"0971"}')
    answer = msgspec.json.decode(body)
    assert (status, answer["header"]["codReturn"], answer["token"]) == (401, "QR07", None)


async def test_passwords_can_be_set_by_user(
    store: MemoryDirectoryStore, clock: ManualClock
) -> None:
    qr = QrModule(
        store,
        clock=clock,
        token_s=300,
        participants=PARTICIPANTS,
        passwords={"caja": "own"},
        default_password="other",
    )
    for user, password, expected in (
        ("caja", "own", 200),
        ("caja", "other", 401),
        ("0970", "other", 200),
        ("0970", "demo", 401),
    ):
        headers = {"user": user, "password": password}
        status, _ = await qr.handle("/qr/token", headers, b'{"code":"0970"}')
        assert status == expected


async def test_a_participant_nobody_knows_gets_no_token(qr: QrModule) -> None:
    headers = {"user": "0989", "password": "demo"}
    status, _ = await qr.handle("/qr/token", headers, b'{"code":"0989"}')
    assert status == 401


async def test_a_token_is_good_for_its_participant_only(payer: Caller) -> None:
    answer = await payer.call("/qr/read", {"header": {"user": "0971"}, "hash": YAPE})
    assert answer["header"]["txtReturn"] == "FORMATO: header.user: the participant of the token"


async def test_nobody_makes_a_qr_for_another_entity_s_account(payer: Caller) -> None:
    assert (await payer.generate())["header"]["codReturn"] == "QR08"


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (b"", 400, "FORMATO: root: JSON"),
        (b"\xff", 400, "FORMATO: root: JSON"),
        (b"[" * 100_000, 200, "FORMATO: root: another JSON type"),
        (b"[]", 200, "FORMATO: root: another JSON type"),
        (b"{}", 200, "FORMATO: header: mandatory"),
        (b'{"header":{}}', 200, "FORMATO: header.user: mandatory"),
        (b'{"header":{"user":"0970"},"hash":5}', 200, "FORMATO: hash: another JSON type"),
    ],
)
async def test_a_body_that_is_no_call_is_answered_with_field_and_rule(
    payer: Caller, body: bytes, status: int, text: str
) -> None:
    headers = {"Authorization": f"Token {await payer.token()}"}
    found, answer = await payer.qr.handle("/qr/read", headers, body)
    assert (found, msgspec.json.decode(answer)["header"]["txtReturn"]) == (status, text)


async def test_another_path_is_not_found(qr: QrModule) -> None:
    status, _ = await qr.handle("/qr/other", {}, b"{}")
    assert status == 404


async def test_a_store_that_fails_is_answered(payer: Caller, store: MemoryDirectoryStore) -> None:
    token = await payer.token()
    store.is_broken = True
    body = {"header": {"user": "0970"}, "hash": STATIC}
    answer = await payer.call("/qr/read", body, token)
    assert (answer["header"]["codReturn"], answer["hash"]) == ("QR99", STATIC)


@given(st.binary(max_size=100), st.text(max_size=80))
async def test_garbage_gets_an_answer(body: bytes, text: str) -> None:
    qr = a_qr_module(MemoryDirectoryStore(), lima_clock("2026-01-15T10:00:00"))
    token = await Caller(qr, "0970").token()
    for path in ("/qr/token", "/qr/generate", "/qr/read", "/qr/data"):
        status, answer = await qr.handle(path, {"authorization": f"Token {token}"}, body)
        assert status in {200, 400, 401}
        assert msgspec.json.decode(answer)["header"]["codReturn"] != "0"
    encodable = text.encode(errors="ignore").decode()
    answered = await Caller(qr, "0970").read(encodable)
    assert answered["header"]["codReturn"] == "QR01"
