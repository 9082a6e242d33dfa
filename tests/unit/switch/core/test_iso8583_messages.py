"""A creditor's core is asked by 0200, its 0210 is believed only about what it was asked."""

from typing import Any

import pytest
from msgspec.structs import replace

from scheme.errors import NoAnswer
from scheme.messages import AV2, AV3, CT2, CT3
from scheme.network import ISO8583_SPECS
from scheme.reasons import ReasonCode
from scheme.wire.iso8583_codec import codec
from scheme.wire.iso8583_spec import Fields
from scheme.wire.iso8583_tlv import encode_tlv
from scheme.wire.tin_json import decode, encode
from switch.core.iso8583_codes import UNDECIDED, response_code_of
from switch.core.iso8583_messages import (
    DEPOSIT_PURPOSE,
    original_data,
    reply_of,
    request_for,
    reversal_of,
)
from tests.support.iso8583_mapping import NOW, changed, lane_fleet, tags
from tests.support.switch_world import golden

CREDITOR = lane_fleet()["0976"]
CT2_ASKED = decode(golden("CT2"), CT2)
AV2_ASKED = decode(golden("AV2"), AV2)


def asked(message: AV2 | CT2 = CT2_ASKED) -> Fields:
    return request_for(message, stan=77, now=NOW, creditor=CREDITOR)


def answered(message: AV2 | CT2 = CT2_ASKED, **elements: str) -> Fields:
    request = asked(message)
    parties = encode_tlv({"08": "SOCIO DOS", "13": "O", "15": "2", "16": "00000202"})
    kept = {key: value for key, value in request.items() if key != "62"}
    given = {"t": "0210", "de39": "00", "de48": parties} | elements
    return changed(kept, **given)


def test_an_order_becomes_a_request() -> None:
    fields = asked()

    assert {key: value for key, value in fields.items() if key not in ("48", "62")} == {
        "t": "0200",
        "3": "400000",
        "4": "000000012500",
        "7": "0115151613",
        "11": "000077",
        "12": "101612",
        "13": "0115",
        "15": "0115",
        "32": "0970",
        "33": "9999",
        "37": "011510153042",
        "41": "SIM00001",
        "49": "604",
        "102": CT2_ASKED.debtorCCI,
        "103": CT2_ASKED.creditorCCI,
    }
    assert tags(fields, "48") == {
        "01": "0976",
        "04": "SOCIA UNO DEMO PRUEBA",
        "05": "2",
        "06": "00000101",
        "07": "900000101",
        "08": "SOCIO DOS DEMO ENSAYO",
        "09": "N",
        "11": "80",
        "12": "M",
        "13": "O",
        "14": "PAGO DE ENSAYO",
    }
    assert tags(fields) == {"01": CT2_ASKED.instructionId, "06": "0970"}


def test_a_query_becomes_a_request_without_money() -> None:
    fields = asked(AV2_ASKED)

    assert fields["3"] == "330000"
    assert fields["103"] == AV2_ASKED.creditorCCI
    assert not {"4", "15", "102"} & set(fields)


def test_cash_handed_in_becomes_a_deposit() -> None:
    assert asked(replace(CT2_ASKED, purposeCode=DEPOSIT_PURPOSE))["3"] == "210000"


def test_what_an_order_leaves_out_stays_out() -> None:
    bare = {"creditorName": None, "sameCustomerFlag": None, "unstructuredInformation": None}
    ct2 = replace(CT2_ASKED, debtorMobileNumber=None, **bare)

    assert set(tags(asked(ct2), "48")) == {"01", "04", "05", "06", "09", "11", "12"}


def test_what_a_query_leaves_out_stays_out() -> None:
    bare = {"debtorName": None, "creditorMobileNumber": None, "creditorCCI": None}
    fields = asked(replace(AV2_ASKED, channel="52", **bare))

    assert not {"02", "03", "04"} & set(tags(fields, "48"))
    assert "103" not in fields


@pytest.mark.parametrize("spec", ISO8583_SPECS)
@pytest.mark.parametrize(
    "message",
    [
        CT2_ASKED,
        AV2_ASKED,
        replace(CT2_ASKED, debtorName="ÑANDÚ " * 23, unstructuredInformation="€" * 140),
        replace(CT2_ASKED, amount=10**12 - 1, feeAmount=10**15 - 1, creditorName="x" * 140),
        replace(CT2_ASKED, retrievalReferenteNumber="0115-01530/2", terminalId="T\u00f1"),
        replace(CT2_ASKED, creditorCCI=None, creditorCreditCard="1" * 20, transactionType="325"),
        replace(AV2_ASKED, channel="52", creditorMobileNumber="900000202"),
        replace(AV2_ASKED, channel="52", proxyValue="x" * 2048, proxyType="O"),
        replace(AV2_ASKED, channel="52", proxyValue="ea7874f7", proxyType="O"),
    ],
)
def test_every_message_can_be_said_on_the_lane(message: AV2 | CT2, spec: str) -> None:
    spoken = codec(spec)
    fields = asked(message)

    assert spoken.decode(spoken.encode(fields)) == fields


@pytest.mark.parametrize(
    ("changes", "alias"),
    [
        ({"creditorMobileNumber": "900000202"}, ("P", "900000202")),
        ({"proxyValue": "ea78", "proxyType": "O"}, ("Q", "ea78")),
        ({"proxyValue": "x" * 2048, "proxyType": "O"}, (None, None)),
    ],
)
def test_the_alias_it_was_found_by_is_told(
    changes: dict[str, Any], alias: tuple[str | None, str | None]
) -> None:
    given = {"channel": "52", "creditorMobileNumber": None} | changes
    told = tags(asked(replace(AV2_ASKED, **given)), "48")

    assert (told.get("02"), told.get("03")) == alias


def test_an_approval_becomes_an_authorisation() -> None:
    ct3 = reply_of(CT2_ASKED, answered())

    assert (ct3.responseCode, ct3.reasonCode) == ("00", None)
    assert (ct3.instructionId, ct3.amount) == (CT2_ASKED.instructionId, CT2_ASKED.amount)
    assert decode(encode(ct3), CT3) == ct3


def test_an_approved_query_names_the_holder() -> None:
    av3 = reply_of(AV2_ASKED, answered(AV2_ASKED))

    assert (av3.creditorName, av3.creditorIdCode, av3.creditorId) == ("SOCIO DOS", "2", "00000202")
    assert av3.sameCustomerFlag == "O"
    assert decode(encode(av3), AV3) == av3


def test_a_core_may_keep_the_holders_document_to_itself() -> None:
    av3 = reply_of(AV2_ASKED, answered(AV2_ASKED, de48=encode_tlv({"08": "SOCIO DOS"})))

    assert (av3.creditorName, av3.creditorId) == ("SOCIO DOS", "00000000")
    assert decode(encode(av3), AV3) == av3


@pytest.mark.parametrize("message", [CT2_ASKED, AV2_ASKED])
@pytest.mark.parametrize("reason", ReasonCode)
def test_every_reason_of_a_refusal_arrives(message: AV2 | CT2, reason: ReasonCode) -> None:
    code = response_code_of(reason)
    told = encode_tlv({"01": message.instructionId, "03": str(reason)})

    reply = reply_of(message, answered(message, de39=code, de62=told))

    assert (reply.responseCode, reply.reasonCode) == ("05", reason)
    assert decode(encode(reply), type(reply)) == reply


def test_a_refusal_without_a_reason_means_what_its_code_means() -> None:
    assert reply_of(CT2_ASKED, answered(de39="14", de48="")).reasonCode == "AC01"
    assert reply_of(CT2_ASKED, answered(de39="05", de48="")).reasonCode == "FF07"


@pytest.mark.parametrize("code", sorted(UNDECIDED))
def test_what_is_neither_approval_nor_refusal_is_silence(code: str) -> None:
    with pytest.raises(NoAnswer, match="DE39"):
        reply_of(CT2_ASKED, answered(de39=code))


@pytest.mark.parametrize(
    ("elements", "element"),
    [
        ({"t": "0430"}, "MTI"),
        ({"de39": ""}, "DE39"),
        ({"de4": "000000012501"}, "DE4"),
        ({"de49": "840"}, "DE49"),
        ({"de103": "97600100000000401499"}, "DE103"),
        ({"de62": encode_tlv({"01": "another"})}, "DE62.01"),
        ({"de62": "nonsense"}, "DE62"),
    ],
)
@pytest.mark.parametrize("code", ["00", "14"])
def test_an_answer_about_something_else_is_silence(
    elements: dict[str, str], element: str, code: str
) -> None:
    with pytest.raises(NoAnswer, match=element):
        reply_of(CT2_ASKED, answered(CT2_ASKED, **({"de39": code} | elements)))


@pytest.mark.parametrize(
    ("parties", "element"),
    [
        ({}, "DE48.08"),
        ({"08": "  "}, "DE48.08"),
        ({"08": "x" * 141}, "DE48.08"),
        ({"08": "SOCIO", "13": "X"}, "DE48.13"),
        ({"08": "SOCIO", "13": "MM"}, "DE48.13"),
        ({"08": "SOCIO", "15": "22", "16": "1"}, "DE48.15"),
        ({"08": "SOCIO", "15": "2", "16": "1" * 13}, "DE48.16"),
    ],
)
def test_an_approved_query_that_names_nobody_is_silence(
    parties: dict[str, str], element: str
) -> None:
    with pytest.raises(NoAnswer, match=element):
        reply_of(AV2_ASKED, answered(AV2_ASKED, de48=encode_tlv(parties)))


def test_an_answer_may_leave_out_what_it_echoes() -> None:
    bare = {"t": "0210", "39": "00"}

    assert reply_of(CT2_ASKED, bare).responseCode == "00"


@pytest.mark.parametrize("spec", ISO8583_SPECS)
def test_a_reversal_names_the_exact_request(spec: str) -> None:
    sent = asked()
    spoken = codec(spec)

    fields = reversal_of(sent, now=NOW)

    assert fields["90"] == "0200" + "000077" + "0115151613" + "00000000970" + "00000009999"
    for key in ("3", "4", "11", "12", "13", "32", "37", "41", "49", "102", "103", "62"):
        assert fields[key] == sent[key]
    assert not {"48", "52", "64", "95", "128"} & set(fields)
    assert spoken.decode(spoken.encode(fields)) == fields
    assert len(original_data(sent)) == 42


def test_a_repeated_reversal_differs_by_its_type_only() -> None:
    first, again = (reversal_of(asked(), now=NOW, repeated=repeated) for repeated in (False, True))

    assert (first["t"], again["t"]) == ("0420", "0421")
    assert first | {"t": ""} == again | {"t": ""}


def test_a_reversal_takes_no_secret_along() -> None:
    sent = asked() | {"52": "0011223344556677", "128": "AAAAAAAAAAAAAAAA"}

    assert not {"52", "128", "48"} & set(reversal_of(sent, now=NOW))


def test_a_partial_reversal_says_what_stays_paid() -> None:
    fields = reversal_of(asked(), now=NOW, dispensed=5000)

    assert fields["95"] == "000000005000" + "000000000000C00000000C00000000"
