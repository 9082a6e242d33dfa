"""The clearing house's messages equal the documents of the wire, field by field."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from scheme.messages import AV1, AV2, AV3, CT1, CT2, Message
from scheme.wire.tin_json import MESSAGES, decode, encode
from switch.core import answers
from switch.core.records import TransferRecord
from tests.support.switch_world import golden

NOW = datetime(2026, 1, 15, 15, 16, 13, tzinfo=UTC)
QUERY_ID = "2026011510153009708191000123"
ORDER_ID = "2026011510161209704191000124"


def fields(name: str) -> dict[str, Any]:
    ((_, content),) = json.loads(golden(name)).items()
    return dict(content)


def said(message: Message) -> dict[str, Any]:
    ((_, content),) = json.loads(encode(message)).items()
    return dict(content)


def a_record(**changes: Any) -> TransferRecord:
    ct1 = replace(decode(golden("CT1-by-cci"), CT1), **changes)
    return TransferRecord(
        ct1=ct1,
        instruction_id=ORDER_ID,
        requested_creditor="0971",
        creditor_agent="0971",
        settlement_date="20260115",
        window="w",
        created_ms=1,
    )


def an_av2(debtor: str = "0970") -> AV2:
    av1 = decode(golden("AV1-by-cci"), AV1)
    return answers.account_query(
        av1,
        debtor=debtor,
        creditor="0971",
        cci=av1.creditorCCI,
        instruction=QUERY_ID,
        branch="1001",
    )


def test_av1_becomes_av2() -> None:
    assert said(an_av2()) == fields("AV2")


def test_av3_becomes_av4() -> None:
    av3 = decode(golden("AV3-accepted"), AV3)
    assert said(answers.account_found(an_av2(), av3, debtor="0970")) == fields("AV4-by-cci")


def test_what_the_payer_said_is_never_taken_from_the_creditor() -> None:
    spoilt = replace(
        decode(golden("AV3-accepted"), AV3),
        debtorParticipantCode="0988",
        debtorId="99999999",
        trace="999999",
        currency="840",
        creditorCCI="97100220030040050114",
        creditorParticipantCode="0988",
    )
    assert said(answers.account_found(an_av2(), spoilt, debtor="0970")) == fields("AV4-by-cci")


def test_ct1_becomes_ct2() -> None:
    assert said(answers.order(a_record(), "1001")) == fields("CT2")


def test_an_outcome_becomes_ct4_and_ct5() -> None:
    ct4 = answers.result(a_record(), code="00", reason=None, now=NOW)
    assert said(ct4) == fields("CT4")
    assert said(answers.confirmation(a_record(), ct4)) == fields("CT5")


def test_a_coop_may_be_called_by_its_sponsor_to_the_creditor_and_by_its_own_code_to_itself() -> (
    None
):
    record = replace(a_record(), named_debtor="0987")
    ct4 = answers.result(record, code="00", reason=None, now=NOW)
    outside = (
        answers.order(record, "1001"),
        answers.confirmation(record, ct4),
        answers.status(record, code="00", reason=None, now=NOW),
        an_av2("0987"),
    )
    av4 = answers.account_found(an_av2("0987"), decode(golden("AV3-accepted"), AV3), debtor="0970")
    assert {said(one)["debtorParticipantCode"] for one in outside} == {"0987"}
    assert {said(one)["debtorParticipantCode"] for one in (ct4, av4)} == {"0970"}


def test_a_refusal_says_why_and_is_otherwise_the_same() -> None:
    ct4 = said(answers.result(a_record(), code="05", reason="AC01", now=NOW))
    assert ct4 == fields("CT4") | {"responseCode": "05", "reasonCode": "AC01"}


def test_an_expiry_becomes_ctc1_and_psr2() -> None:
    expected = fields("CTC1")
    record = a_record(
        trace="000131",
        transactionReference="DEMO-000131",
        amount=30_000,
        retrievalReferenteNumber="011510194411",
    )
    record = replace(record, instruction_id=expected["referenceInstructionId"])
    at = datetime(2026, 1, 15, 15, 20, 16, tzinfo=UTC)
    ctc1 = answers.cancellation(
        record, instruction=expected["instructionId"], branch=expected["branchId"], now=at
    )
    assert said(ctc1) == expected
    at = datetime(2026, 1, 15, 15, 20, 21, tzinfo=UTC)
    assert said(answers.status(record, code="05", reason="DS24", now=at)) == fields("PSR2")


@pytest.mark.parametrize("name", ["AV1", "CT1", "PSR1", "ET1", "SignOn1", "SignOff1"])
@pytest.mark.parametrize(
    "echo",
    [{}, {"trace": 7, "debtorParticipantCode": None}, {"amount": "12", "feeAmount": 1.5}],
)
def test_a_refusal_can_be_said_however_little_could_be_read(
    name: str, echo: dict[str, Any]
) -> None:
    message = answers.refused_answer(name, echo, reason="FF02", now=NOW)
    content = said(message)
    assert content.get("responseCode", content.get("status")) == "05"
    assert content["reasonCode"] == "FF02"
    kind = MESSAGES[type(message).__name__]
    assert decode(encode(message), kind) == message


@pytest.mark.parametrize("body", [b"", b" \n", b"\xff" * 9_000, "ñ".encode() * 5_000, b"x" * 4_001])
def test_a_reject_quotes_what_it_can(body: bytes) -> None:
    message = answers.reject(body, reason="FF02", now=NOW)
    assert 1 <= len(message.originalMessage) <= 4_000
    assert decode(encode(message), type(message)) == message


def test_every_field_of_an_order_is_relayed() -> None:
    own = {"creationDate", "creationTime", "messageTypeId"}
    marked = {
        name: 7 if isinstance(value, int) else value
        for name, value in said(decode(golden("CT1-by-cci"), CT1)).items()
    }
    record = a_record(**{k: v for k, v in marked.items() if k not in own and v is not None})
    ct2 = said(answers.order(record, "1001"))
    relayed = set(CT1.__struct_fields__) - {"messageTypeId"}
    assert relayed <= set(CT2.__struct_fields__)
    assert {k: ct2[k] for k in relayed} == {k: said(record.ct1)[k] for k in relayed}
    assert msgspec.json.encode(ct2)
