"""Each way real connectors differ is accepted, and each can be emitted."""

import html
import itertools
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from scheme.errors import MalformedMessage
from scheme.messages import AV1, AV3, CT1, CT3, PSR1, PSR2, Message, Reject, SignOff1, SignOn1
from scheme.reasons import ReasonCode
from scheme.wire.tin_json import (
    DEFAULT_VARIANT,
    MESSAGES,
    WireVariant,
    decode,
    decode_any,
    encode,
    peek_name,
)

GOLDEN = Path(__file__).parent.parent / "golden"
NAMES = sorted(path.stem for path in GOLDEN.glob("*.json") if path.stem.split("-")[0] in MESSAGES)


def golden(name: str) -> bytes:
    return (GOLDEN / f"{name}.json").read_bytes().rstrip(b"\n")


def content(name: str, **changes: Any) -> dict[str, Any]:
    inner: dict[str, Any] = next(iter(json.loads(golden(name)).values()))
    return inner | changes


def under(root: str, inner: dict[str, Any]) -> bytes:
    return json.dumps({root: inner}).encode()


def reference(message: type[Message], name: str) -> Message:
    return decode(golden(name), message)


@pytest.mark.parametrize(
    ("root", "name", "message"),
    [
        ("SIGNON1", "SignOn1", SignOn1),
        ("SIGNOF1", "SignOff1", SignOff1),
        ("SIGNOFF1", "SignOff1", SignOff1),
        ("RCTC1", "PSR1", PSR1),
        ("RCTC2", "PSR2", PSR2),
        ("REJECT", "Reject", Reject),
        ("ct1", "CT1-by-cci", CT1),
    ],
)
def test_other_spellings_of_the_root_key_are_read(
    root: str, name: str, message: type[Message]
) -> None:
    body = under(root, content(name))

    assert decode(body, message) == reference(message, name)
    assert decode_any(body) == reference(message, name)
    assert peek_name(body) == message.__name__


@pytest.mark.parametrize("name", NAMES)
def test_a_flat_body_is_read_because_the_path_tells_its_message(name: str) -> None:
    message = MESSAGES[name.split("-")[0]]
    body = json.dumps(content(name)).encode()

    assert decode(body, message) == reference(message, name)
    assert peek_name(body) is None
    with pytest.raises(MalformedMessage) as caught:
        decode_any(body)
    assert (caught.value.field, caught.value.raw) == ("root", None)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda text: html.escape(text, quote=True),
        lambda text: f"<![CDATA[{text}]]>",
        lambda text: f"\n  {html.escape(text)}\n",
    ],
)
def test_json_inside_a_soap_request_is_read(wrap: Any) -> None:
    soap = (
        '<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="urn:s"><s:Body><receive>'
        f"<house>CCE</house><message>{wrap(golden('CT2').decode())}</message>"
        "</receive></s:Body></s:Envelope>"
    ).encode()

    assert encode(decode(soap, MESSAGES["CT2"])) == golden("CT2")
    assert encode(decode_any(soap)) == golden("CT2")


@pytest.mark.parametrize(
    "soap",
    [
        b"<a><b>no json</b></a>",
        b"<a>",
        b'<!DOCTYPE a [<!ENTITY e "{}">]><a>&e;</a>',
        b"<a>" * 40 + b"{}" + b"</a>" * 40,
        b"<a>" + b" " * 70_000 + b"{}</a>",
        b'<?xml version="1.0" encoding="nonsense"?><a>{}</a>',
    ],
)
def test_other_xml_is_malformed(soap: bytes) -> None:
    with pytest.raises(MalformedMessage) as caught:
        decode(soap, CT1)
    assert caught.value.field == "root"


@pytest.mark.parametrize("amount", ["12500", "000012500", "12500 "])
def test_amounts_as_text_are_read(amount: str) -> None:
    message = decode(under("CT1", content("CT1-by-cci", amount=amount)), CT1)

    assert message == reference(CT1, "CT1-by-cci")


@pytest.mark.parametrize("amount", ["12500.0", "1.25e4", "12500.00", "125E2"])
def test_whole_amounts_in_another_notation_are_read(amount: str) -> None:
    body = golden("CT1-by-cci").replace(b'"amount":12500', f'"amount":{amount}'.encode())

    assert decode(body, CT1) == reference(CT1, "CT1-by-cci")


@pytest.mark.parametrize(
    "amount",
    [
        '"125.00"',
        '"1.25e4"',
        '"12 500"',
        '"12,500"',
        '"+12500"',
        '"x"',
        "12500.5",
        "1e400",
        "1e99999999999999999999",
        "1e-400",
        "true",
        "[12500]",
        "-12500",
        "1000000000000",
        "1" * 400,
        '"' + "1" * 400 + '"',
    ],
)
def test_other_amounts_are_refused_without_repeating_them(amount: str) -> None:
    body = golden("CT1-by-cci").replace(b'"amount":12500', f'"amount":{amount}'.encode())

    with pytest.raises(MalformedMessage) as caught:
        decode(body, CT1)

    assert (caught.value.field, caught.value.reason) == ("amount", ReasonCode.FF02)
    assert caught.value.rule in {"whole number of cents", "not negative", "at most 12 digits"}


@pytest.mark.parametrize("name", NAMES)
def test_absent_null_and_empty_mean_the_same(name: str) -> None:
    root = name.split("-")[0]
    inner = content(name)
    empty = {key: "" if value is None else value for key, value in inner.items()}
    omitted = {key: value for key, value in inner.items() if value is not None}

    for form in (empty, omitted):
        assert encode(decode(under(root, form), MESSAGES[root])) == golden(name)


@pytest.mark.parametrize(
    "given",
    [
        {"retrievalReferenceNumber": "011510153042"},
        {"retrievalReferenceNumber": "011510153042", "retrievalReferenteNumber": ""},
        {"retrievalReferenceNumber": "999999999999", "retrievalReferenteNumber": "011510153042"},
    ],
)
@pytest.mark.parametrize(("name", "message"), [("AV3-accepted", AV3), ("CT3", CT3)])
def test_the_retrieval_reference_is_found_under_either_name(
    given: dict[str, str], name: str, message: type[Message]
) -> None:
    inner = content(name)
    del inner["retrievalReferenteNumber"]

    assert decode(under(message.__name__, inner | given), message) == reference(message, name)


def test_an_answer_may_leave_the_retrieval_reference_empty() -> None:
    body = under("CT3", content("CT3", retrievalReferenteNumber=""))

    assert decode(body, CT3).retrievalReferenteNumber is None


def test_trailing_blanks_are_cut() -> None:
    body = under("CT1", content("CT1-by-cci", feeCode="COMM ", trace="000124 "))

    message = decode(body, CT1)

    assert (message.feeCode, message.trace) == ("COMM", "000124")


def test_unknown_fields_are_ignored() -> None:
    more = {"status": None, "responseDate": None, "extension": {"a": [1.5, {}]}}

    assert decode(under("SignOn1", content("SignOn1") | more), SignOn1) == reference(
        SignOn1, "SignOn1"
    )
    assert decode(under("SIGNON1", content("SignOn1") | more), SignOn1) == reference(
        SignOn1, "SignOn1"
    )


@pytest.mark.parametrize(
    "instruction", ["M2026011510161209704", "M" + "1" * 34, "1" * 26, "1" * 31, "1" * 32, "1" * 35]
)
def test_an_instruction_id_is_opaque(instruction: str) -> None:
    assert decode(under("CT3", content("CT3", instructionId=instruction)), CT3).instructionId == (
        instruction
    )


def test_an_amount_in_the_place_of_the_settlement_date_does_not_silence_an_answer() -> None:
    message = decode(under("CT3", content("CT3", settlementDate="51000", trace=124)), CT3)

    assert (message.settlementDate, message.trace, message.amount) == (None, None, 12500)


def test_a_refused_query_may_leave_every_conditional_field_out() -> None:
    inner = {"responseCode": "05", "instructionId": "2026011510153009708191000123"}

    message = decode(under("AV3", inner), AV3)

    assert (message.responseCode, message.reasonCode, message.creditorName) == ("05", None, None)


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (b"", "JSON"),
        (b"nonsense", "JSON"),
        (b"\xff\xfe", "JSON"),
        (b'{"AV1": "\xff"}', "JSON"),
        (b'{"AV1": {"debtorName": "\\ud800"}}', "JSON"),
        (b"[" * 100_000, "JSON"),
        (b'{"AV1":' * 10_000, "JSON"),
        (b"[]", "one JSON object"),
        (b"7", "one JSON object"),
        (b'"AV1"', "one JSON object"),
        (b"{}", "one known root key"),
        (b'{"XX1": {}}', "one known root key"),
        (b'{"XX1": {}, "AV1": {}}', "one known root key"),
        (b'{"AV1": {}, "CT1": {}}', "one known root key"),
        (b'{"AV1": []}', "one JSON object under the root key"),
        (b'{"AV1": "text"}', "one JSON object under the root key"),
    ],
)
def test_what_is_no_message_at_all_is_malformed(body: bytes, rule: str) -> None:
    for read in (decode_any, lambda raw: decode(raw, AV1)):
        with pytest.raises(MalformedMessage) as caught:
            read(body)
        assert (caught.value.field, caught.value.rule) == ("root", rule)
        assert caught.value.raw is None


def test_deep_nesting_in_an_unknown_field_is_malformed() -> None:
    deep = b'{"ET1": {"x": ' + b"[" * 60_000

    with pytest.raises(MalformedMessage):
        decode_any(deep)


def test_another_message_than_the_path_announces_is_malformed() -> None:
    with pytest.raises(MalformedMessage) as caught:
        decode(golden("CT1-by-cci"), AV1)

    assert (caught.value.field, caught.value.rule) == ("root", "AV1 expected here")
    assert (caught.value.name, caught.value.raw) == ("CT1", None)


def test_a_fault_hands_over_what_was_sound_and_never_the_value_at_fault() -> None:
    body = under("CT1", content("CT1-by-cci", debtorName="X" * 141, feeAmount="80", trace="12345A"))

    with pytest.raises(MalformedMessage) as caught:
        decode(body, CT1)

    error = caught.value
    assert (error.name, error.field, error.rule) == ("CT1", "trace", "6 digits")
    assert error.raw is not None
    assert (error.raw["trace"], error.raw["debtorName"]) == (None, None)
    assert (error.raw["feeAmount"], error.raw["debtorCCI"]) == (80, "97000110020030040142")
    assert list(error.raw) == list(CT1.__struct_fields__)
    assert "12345A" not in str(error)


SPELLINGS: tuple[dict[str, str], ...] = (
    {},
    {
        "sign_on": "SIGNON1",
        "status_enquiry": "RCTC1",
        "retrieval_reference": "retrievalReferenceNumber",
    },
)
VARIANTS = [
    msgspec.convert(
        {"absent": absent, "amounts": amounts, "envelope": envelope} | spelling, WireVariant
    )
    for absent, amounts, envelope, spelling in itertools.product(
        ("null", "empty", "omit"), ("number", "text"), ("root", "flat"), SPELLINGS
    )
]


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_every_variant_emitted_is_read_back(variant: WireVariant) -> None:
    for name in NAMES:
        message = MESSAGES[name.split("-")[0]]
        assert encode(decode(encode(reference(message, name), variant), message)) == golden(name)


def test_the_default_variant_spelt_out_emits_the_default_bytes() -> None:
    for name in NAMES:
        message = reference(MESSAGES[name.split("-")[0]], name)
        assert encode(message, WireVariant()) == encode(message, DEFAULT_VARIANT) == golden(name)


def test_variants_look_as_connectors_send_them() -> None:
    loud = WireVariant(sign_on="SIGNON1", status_enquiry="RCTC1", amounts="text", absent="omit")
    roots = {
        next(iter(json.loads(encode(decode(golden(name), MESSAGES[name]), loud))))
        for name in ("SignOn1", "SignOn2", "SignOff1", "SignOff2", "PSR1", "PSR2", "ET1")
    }
    corrected = WireVariant(retrieval_reference="retrievalReferenceNumber", absent="empty")
    ct3 = json.loads(encode(reference(CT3, "CT3"), corrected))["CT3"]
    av1 = json.loads(encode(reference(AV1, "AV1-by-cci"), corrected))["AV1"]
    psr2 = json.loads(encode(reference(PSR2, "PSR2"), loud))["RCTC2"]

    assert roots == {"SIGNON1", "SIGNON2", "SIGNOF1", "SIGNOF2", "RCTC1", "RCTC2", "ET1"}
    assert ct3["retrievalReferenceNumber"] == "011510153042"
    assert ct3["reasonCode"] == ""
    assert "retrievalReferenteNumber" in av1
    assert psr2["amount"] == "30000"
    assert "creditorCreditCard" not in psr2
