"""What a core is told says the outcome, and the same outcome at every repeat."""

import msgspec
import pytest
from msgspec.structs import replace

from scheme.messages import AV4, CT4
from scheme.network import ISO8583_SPECS
from scheme.reasons import ReasonCode
from scheme.wire.iso8583_codec import codec
from scheme.wire.tin_json import WireVariant, decode, encode
from switch.core import rules
from switch.core.iso8583_answers import (
    Told,
    answer_to,
    refusal,
    reversal_answer,
    told_of_order,
    told_of_query,
)
from switch.core.iso8583_codes import response_code_of
from tests.support.iso8583_mapping import a_reversal, a_transfer, a_verification, any_transfer, tags
from tests.support.switch_world import golden

PAID = decode(golden("CT4"), CT4)
FOUND = decode(golden("AV4-by-phone"), AV4)
VARIANTS = (
    WireVariant(),
    WireVariant(absent="empty"),
    WireVariant(absent="omit"),
    WireVariant(amounts="text"),
    WireVariant(envelope="flat"),
    WireVariant(envelope="flat", absent="omit"),
)


def refused(reason: str) -> CT4:
    return replace(PAID, responseCode="05", reasonCode=reason)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_posted_order_is_approved(variant: WireVariant) -> None:
    asked = a_transfer(de103=PAID.creditorCCI or "")
    fields = answer_to(asked, told_of_order(encode(PAID, variant), ""))

    assert fields["t"] == "0210"
    assert fields["39"] == "00"
    assert fields["38"] == PAID.instructionId[-6:]
    assert fields["15"] == "0115"
    assert tags(fields) == {"01": PAID.instructionId}
    assert tags(fields, "48") == {"11": str(PAID.feeAmount)}
    for key in ("3", "4", "7", "11", "12", "13", "32", "37", "41", "49", "102", "103"):
        assert fields[key] == asked[key]


def test_the_account_that_was_paid_is_told() -> None:
    fields = answer_to(a_transfer(de103=""), told_of_order(encode(PAID), ""))

    assert fields["103"] == PAID.creditorCCI


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("fee", "told"), [(80, "80"), (0, "0")])
def test_the_fee_that_was_charged_is_told(variant: WireVariant, fee: int, told: str) -> None:
    asked = a_transfer({"11": ""})
    fields = answer_to(asked, told_of_order(encode(replace(PAID, feeAmount=fee), variant), ""))

    assert tags(fields, "48") == {"11": told}


def test_a_refusal_tells_of_no_fee() -> None:
    assert "48" not in answer_to(a_transfer(), told_of_order(encode(refused("AC01")), ""))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("reason", ReasonCode)
def test_every_reason_is_told_with_its_element(reason: ReasonCode, variant: WireVariant) -> None:
    told = told_of_order(encode(refused(str(reason)), variant), "creditorCCI: some rule")

    fields = answer_to(a_transfer(), told)

    assert fields["39"] == response_code_of(reason)
    assert "38" not in fields
    assert tags(fields) == {
        "01": PAID.instructionId,
        "03": str(reason),
        "04": "DE103: some rule",
    }


def test_a_creditors_own_reason_is_passed_on() -> None:
    fields = answer_to(a_transfer(), told_of_order(encode(refused("ZZ99")), "root: its own"))

    assert fields["39"] == "57"
    assert (tags(fields)["03"], tags(fields)["04"]) == ("ZZ99", "message: its own")


def test_other_content_is_said_of_the_trace() -> None:
    body = encode(replace(refused("AM05"), instructionId="", settlementDate=None))

    fields = answer_to(a_transfer(), told_of_order(body, rules.OTHER_CONTENT.header))

    assert fields["39"] == "94"
    assert tags(fields)["04"].startswith("DE11: ")
    assert "15" not in fields


@pytest.mark.parametrize("seed", range(50))
@pytest.mark.parametrize("spec", ISO8583_SPECS)
def test_a_repeat_is_answered_by_the_same_bytes(seed: int, spec: str) -> None:
    spoken, asked = codec(spec), any_transfer(seed)
    body = encode(PAID if seed % 2 else refused("AC01"))
    first, again = asked | {"t": "0200"}, asked | {"t": "0201"}

    answers = [
        spoken.encode(answer_to(one, told_of_order(body, "creditorCCI: a rule")))
        for one in (first, again)
    ]

    assert answers[0] == answers[1]
    assert spoken.decode(answers[0])["t"] == "0210"


def test_a_found_account_is_told() -> None:
    fields = answer_to(a_verification(de103=""), told_of_query(FOUND, ""))

    assert fields["39"] == "00"
    assert fields["103"] == FOUND.creditorCCI
    assert tags(fields) == {"01": FOUND.instructionId}
    assert tags(fields, "48") == {
        "01": FOUND.creditorParticipantCode,
        "08": FOUND.creditorName,
        "13": FOUND.sameCustomerFlag,
        "15": FOUND.creditorIdCode,
        "16": FOUND.creditorId,
    }


def test_an_account_that_is_not_found_is_refused() -> None:
    av4 = replace(FOUND, responseCode="05", reasonCode="CH11")

    fields = answer_to(a_verification(), told_of_query(av4, rules.UNKNOWN_ALIAS.header))

    assert fields["39"] == "56"
    assert tags(fields)["03"] == "CH11"
    assert tags(fields)["04"].startswith("DE48.03: ")
    assert "48" not in fields


def test_a_refusal_without_a_reason_is_told_as_general() -> None:
    av4 = replace(FOUND, responseCode="05", reasonCode=None, instructionId="")

    assert answer_to(a_verification(), told_of_query(av4, ""))["39"] == "57"


def test_a_long_rule_is_cut_and_made_printable() -> None:
    fields = refusal(a_transfer(), "30", ReasonCode.FF02, "DE48: ñ" + "x" * 900)

    assert len(tags(fields)["04"]) == 200
    assert codec("ascii-1987").encode(fields)


@pytest.mark.parametrize("spec", ISO8583_SPECS)
def test_a_posted_order_is_irrevocable(spec: str) -> None:
    spoken = codec(spec)
    fields = reversal_answer(a_reversal(a_transfer()), "21", told_of_order(encode(PAID), ""))

    assert (fields["t"], fields["39"]) == ("0430", "21")
    assert tags(fields)["05"] == "00" + PAID.instructionId
    assert tags(fields)["03"] == "FF07"
    assert "DE90" in tags(fields)["04"]
    assert "38" not in fields
    assert spoken.decode(spoken.encode(fields)) == fields


def test_an_undone_order_says_what_it_is_answered() -> None:
    original = told_of_order(encode(refused("DS24")), "")

    fields = reversal_answer(a_reversal(a_transfer()), "00", original)

    assert (fields["t"], fields["39"]) == ("0430", "00")
    assert tags(fields)["05"] == "57" + PAID.instructionId
    assert "38" not in fields


def test_an_unknown_original_is_not_found() -> None:
    fields = reversal_answer(a_reversal(a_transfer(), t="0421"), "25", None)

    assert (fields["t"], fields["39"]) == ("0430", "25")
    assert set(tags(fields)) == {"03", "04"}


def test_an_approval_of_cash_has_its_own_code_and_elements() -> None:
    told = Told(
        response_code="00", subject="W2026", authorization="A1B2C3", extra={"54": "balance"}
    )

    fields = answer_to(a_transfer(), told)

    assert (fields["38"], fields["54"]) == ("A1B2C3", "balance")


def test_an_approval_of_nothing_on_record_says_no_more() -> None:
    fields = answer_to(a_transfer(), Told(response_code="00"))

    assert fields["39"] == "00"
    assert not {"15", "38", "48", "62"} & set(fields)


def test_only_what_counts_of_the_answer_is_read() -> None:
    with pytest.raises(msgspec.DecodeError):
        told_of_order(b"nonsense", "")
