"""``qr`` and ``jws``."""

import json
from pathlib import Path

import pytest

from chasqui.exits import ExitCode
from tests.support.fake_country import (
    PAYEE_CCI,
    Chasqui,
    FakeCountry,
)

CCE_QR = (
    "000201010211263700028001039030220260115097100000123455204482953036045802PE5911SOCIO DOS D"
    "6004Lima80550003ID10144LJzSuSGsy39bzQufE60EJpeIhc7mmF+6yHWwd+QPZV0=6304D314"
)


def test_qr_of_an_account_comes_from_the_qr_module(
    chasqui: Chasqui, country: FakeCountry, tmp_path: Path
) -> None:
    account = {"name": "SOCIO DOS D", "cci": PAYEE_CCI, "participant": "0971"}
    country.on("GET", f"/control/accounts/{PAYEE_CCI}", account)
    fine = {"codReturn": "0", "txtReturn": "OK"}
    country.on("POST", "/qr/token", {"header": fine, "code": "0971", "token": "abc"})
    made = {"header": fine, "hash": CCE_QR, "idQr": "26011509710000012345"}
    country.on("POST", "/qr/generate", made)
    png, svg = tmp_path / "a.png", tmp_path / "a.svg"

    code, out, _err = chasqui(
        "qr", PAYEE_CCI, "--amount", "25", "--png", str(png), "--svg", str(svg)
    )

    assert code == ExitCode.DONE
    assert CCE_QR in out
    asked = country.last("/qr/generate")
    assert asked.headers["authorization"] == "Token abc"
    assert (asked.body["data"]["qrTipo"], asked.body["data"]["importe"]) == ("12", "2500")
    assert png.read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in svg.read_bytes()


def test_qr_of_a_wallet_carries_its_token(chasqui: Chasqui, tmp_path: Path) -> None:
    fleet = Path(__file__).parents[3] / "participants" / "fleet.toml"
    told = {"operator_url": "", "tin_url": "", "fleet": str(fleet), "pid": 1}
    path = tmp_path / "home" / "run" / "country.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(told))

    code, out, _err = chasqui("qr", "900000202", "--wallet", "yape", "--json")
    nobody, _out, err = chasqui("qr", "900000101", "--wallet", "plin")

    assert code == ExitCode.DONE
    assert "YAPERO" in json.loads(out)["text"]
    assert nobody == ExitCode.USAGE
    assert "no such wallet" in err


def test_a_qr_text_is_checked_before_it_is_drawn(chasqui: Chasqui) -> None:
    good, _out, _err = chasqui("qr", CCE_QR)
    bad, _out, err = chasqui("qr", CCE_QR[:-1] + "5")

    assert (good, bad) == (ExitCode.DONE, ExitCode.USAGE)
    assert "tag 63" in err


def test_a_message_signed_by_hand_verifies(
    chasqui: Chasqui, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = tmp_path / "et1.json"
    message.write_text('{"ET1": {"participantCode": "0970"}}\n')

    code, signed, _err = chasqui("jws", "sign", str(message), "--as", "0970")
    body = tmp_path / "signed.json"
    body.write_text(signed)
    verified, payload, _err = chasqui("jws", "verify", str(body), "--from", "0970")
    stranger, _out, err = chasqui("jws", "verify", str(body), "--from", "0971")

    assert (code, verified) == (ExitCode.DONE, ExitCode.DONE)
    assert json.loads(payload) == {"ET1": {"participantCode": "0970"}}
    assert stranger == ExitCode.REFUSED
    assert "DS0D" in err


def test_a_code_that_nobody_has_gets_no_key(chasqui: Chasqui, tmp_path: Path) -> None:
    message = tmp_path / "et1.json"
    message.write_text("{}")

    code, _out, err = chasqui("jws", "sign", str(message), "--as", "9999")

    assert code == ExitCode.USAGE
    assert "There is no participant 9999." in err
    assert not (tmp_path / "home" / "pki").exists()


def test_a_verification_in_json_says_whether_it_holds(chasqui: Chasqui, tmp_path: Path) -> None:
    message = tmp_path / "et1.json"
    message.write_text('{"ET1": {}}')
    signed = tmp_path / "signed.json"
    signed.write_text(chasqui("jws", "sign", str(message), "--as", "0970")[1])

    _code, out, _err = chasqui("jws", "verify", str(signed), "--from", "0970", "--json")
    assert json.loads(out) == {"holds": True, "payload": '{"ET1": {}}'}

    code, out, _err = chasqui("jws", "verify", str(signed), "--from", "0971", "--json")
    assert (code, json.loads(out)["holds"]) == (ExitCode.REFUSED, False)
