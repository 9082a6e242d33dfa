"""No identifier of a person is shown, whatever the shape of what carries it."""

import base64
import json
from pathlib import Path

import pytest

from scheme.masking import (
    mask_card,
    mask_cci,
    mask_display_name,
    mask_document,
    mask_message,
    mask_name,
    mask_phone,
    mask_text,
    mask_token,
)

GOLDEN = Path(__file__).parents[2] / "golden"
PERSONAL = [
    "SOCIA", "PRUEBA", "SOCIO", "DEMO ENSAYO", "900000101", "900000202", "900000299", "00000101",
    "00000202", "97000110020030040142", "97100220030040050213",
    "ea7874f72c02a0d20639c77ae0ba5944",
]  # fmt: skip
ORDER = {
    "debtorName": "SOCIA UNO DEMO PRUEBA",
    "debtorId": "00000101",
    "debtorCCI": "97000110020030040142",
    "amount": 12500,
    "instructionId": "2026011510161209704191000124",
}


@pytest.mark.parametrize(
    ("phone", "shown"),
    [("900000101", "90*****01"), ("+51900000101", "+5190*****01"), ("12345", "*****"), ("", "")],
)
def test_a_phone_shows_its_ends(phone: str, shown: str) -> None:
    assert mask_phone(phone) == shown


def test_each_kind_of_number_has_its_mask() -> None:
    assert mask_cci("97000110020030040142") == "970*************0142"
    assert mask_document("00000101") == "******01"
    assert mask_card("4000001234567899") == "400000******7899"
    assert mask_token("ea7874f72c02a0d20639c77ae0ba5944") == "ea78****"
    assert mask_token("short") == "****"


def test_names_show_initials() -> None:
    assert mask_name("SOCIA UNO DEMO PRUEBA") == "S*** U*** D*** P***"
    assert mask_name("  ") == ""


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("SOCIA UNO DEMO PRUEBA", "SOCIA UNO D."),
        ("MARIA DE LOS ANGELES DEMO PRUEBA", "MARIA DE LOS ANGELES D."),
        ("SOCIA DEMO PRUEBA", "SOCIA D."),
        ("SOCIA DEMO", "SOCIA D."),
        ("SOCIA", "SOCIA"),
        ("", ""),
        ("  SOCIA   ÑUÑEZ ", "SOCIA Ñ."),
    ],
)
def test_directories_show_given_names_and_an_initial(name: str, shown: str) -> None:
    assert mask_display_name(name) == shown


def golden_files() -> list[Path]:
    return sorted(GOLDEN.glob("*.json"))


@pytest.mark.parametrize("path", golden_files(), ids=lambda path: path.stem)
def test_no_example_of_the_wire_shows_a_person(path: Path) -> None:
    text = path.read_text()
    for shown in (json.dumps(mask_message(json.loads(text))), mask_text(text)):
        assert [one for one in PERSONAL if one in shown] == []


@pytest.mark.parametrize("path", golden_files(), ids=lambda path: path.stem)
def test_no_torn_example_shows_a_person(path: Path) -> None:
    text = path.read_text()
    for end in range(0, len(text), 7):
        shown = mask_text(text[:end])
        assert [one for one in PERSONAL if one in shown] == []


def test_what_is_not_personal_stays() -> None:
    shown = mask_message({"CT1": ORDER})["CT1"]
    assert shown["amount"] == 12500
    assert shown["instructionId"] == ORDER["instructionId"]


def test_absent_fields_stay_absent() -> None:
    shown = mask_message({"debtorName": None, "Present": True, "BankCode": ["0971"]})
    assert shown == {"debtorName": None, "Present": True, "BankCode": ["0971"]}


def test_a_personal_field_of_the_wrong_type_is_masked_still() -> None:
    shown = mask_message({"debtorId": 101, "debtorName": ["SOCIA UNO"], "phones": ["+51900000101"]})
    assert shown == {"debtorId": "***", "debtorName": ["S*** U***"],
                     "phones": ["+5190*****01"]}  # fmt: skip


def test_spelling_of_capitals_does_not_matter() -> None:
    assert mask_message({"DEBTORNAME": "SOCIA", "debtorCci": "9" * 20}) == {
        "DEBTORNAME": "S***",
        "debtorCci": "999*************9999",
    }


def test_the_account_in_a_registration_is_masked_as_an_account() -> None:
    shown = mask_message({"FinInstnId": {"Nm": "97000110020030040142", "Othr": {"Id": "0970"}}})
    assert shown == {"FinInstnId": {"Nm": "970*************0142", "Othr": {"Id": "0970"}}}


def test_the_original_of_a_reject_is_masked_inside() -> None:
    refused = {"Reject": {"originalMessage": json.dumps({"CT1": ORDER}), "trace": "000131"}}
    shown = mask_message(refused)["Reject"]
    inner = json.loads(shown["originalMessage"])["CT1"]
    assert inner["debtorName"] == "S*** U*** D*** P***"
    assert inner["amount"] == 12500
    assert shown["trace"] == "000131"


def test_a_torn_original_is_masked_too() -> None:
    torn = json.dumps({"Reject": {"originalMessage": json.dumps({"CT1": ORDER})}})[:95]
    assert "SOCIA" in torn
    assert "SOCIA" not in mask_text(torn)


def test_a_signed_message_shows_its_masked_payload() -> None:
    payload = base64.urlsafe_b64encode(json.dumps({"CT1": ORDER}).encode()).decode().rstrip("=")
    signed = {"payload": payload, "protected": "x", "signature": "y"}
    assert mask_message(signed)["payload"]["CT1"]["debtorId"] == "******01"
    assert payload not in mask_text(json.dumps(signed))


@pytest.mark.parametrize("payload", ["!!!", "W10", "bm90IGpzb24", 7, None])
def test_a_payload_that_is_no_message_is_not_shown(payload: object) -> None:
    shown = mask_message({"payload": payload, "protected": "x", "signature": "y"})
    assert shown["payload"].endswith("****")


def test_answers_of_the_qr_module_are_masked() -> None:
    shown = mask_message(
        {
            "hash": "000201010211...",
            "token": "demo-token-0971",
            "qr": {
                "idCuenta": "97100220030040050213",
                "nombreComerciante": "SOCIO DOS D",
                "emv": [{"tag": "59", "longitud": "11", "valor": "SOCIO DOS D"}],
            },
        }
    )
    assert shown == {
        "hash": "0002****",
        "token": "****",
        "qr": {
            "idCuenta": "971*************0213",
            "nombreComerciante": "S*** D*** D***",
            "emv": [{"tag": "59", "longitud": "11", "valor": "SOCI****"}],
        },
    }


def test_long_numbers_in_free_text_are_hidden() -> None:
    assert mask_text("llamar al 900000101 hoy") == "llamar al 90*****01 hoy"
    assert mask_message({"unstructuredInformation": "PAGO 900000101"}) == {
        "unstructuredInformation": "PAGO 90*****01"
    }


def test_nesting_beyond_reason_is_cut_not_followed() -> None:
    message: dict[str, object] = {"debtorName": "SOCIA"}
    for _ in range(50):
        message = {"x": message}
    assert "SOCIA" not in str(mask_message(message))
    assert "SOCIA" not in mask_text("[" * 5000 + '"debtorName":"SOCIA')


def test_a_nested_object_in_a_personal_field_is_searched_by_its_own_names() -> None:
    deep: object = "SOCIA"
    for _ in range(50):
        deep = [deep]
    shown = mask_message({"debtorName": {"debtorId": "00000101"}, "creditorName": deep})
    assert shown["debtorName"] == {"debtorId": "******01"}
    assert "SOCIA" not in str(shown)


def test_originals_within_originals_come_to_an_end() -> None:
    text = json.dumps({"CT1": ORDER})
    for _ in range(9):
        text = json.dumps({"originalMessage": text})
    assert "SOCIA" not in mask_text(text)
    assert "SOCIA" not in mask_text(text[:-1])


def test_a_json_text_or_number_alone_is_free_text() -> None:
    assert mask_text('"900000101"') == '"90*****01"'
    assert mask_text("900000101") == "90*****01"
