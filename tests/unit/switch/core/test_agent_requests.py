"""Operations of field agents as requests of the other lane, and its answers as verdicts."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scheme.limits import AGENT_SEQUENCE_MAX
from scheme.network import Participant
from scheme.wire.agent_payload import Kind, Operation, Row, Verdict
from scheme.wire.iso8583_codec import check_mandatory, codec
from scheme.wire.iso8583_spec import Fields
from scheme.wire.iso8583_tlv import decode_tlv, encode_tlv
from switch.core.agent_requests import (
    NARRATIVES,
    fields_of,
    institution_of,
    is_outcome,
    request_of,
    verdict_of,
)
from switch.core.iso8583_requests import key_of, read_request

COOP, BANK = "97000100000000014204", "98800100000000014204"
PHONE = "900000101"
FIELD = Participant(code="0992", name="RED", kind="acquirer", lane="mqtt")
FLEET = {
    "0992": FIELD,
    "0970": Participant(code="0970", name="COOPAC", kind="coop"),
    "0988": Participant(code="0988", name="BANCO", kind="bank"),
}
RECEIVED = datetime(2026, 1, 16, 4, 59, 58, 999_000, tzinfo=UTC)
"""23:59:58 of the day before in Lima."""


def an_operation(kind: Kind = Kind.CASH_IN, **changes: Any) -> Operation:
    fields: dict[str, Any] = {"seq": 7, "minor": 1250, "currency": 0, "account": COOP, "entity": ""}
    fields |= changes
    if kind in (Kind.BALANCE, Kind.STATEMENT):
        fields["minor"] = 0
    return Operation(op_id=bytes(8), kind=int(kind), at=0, offline=True, **fields)


def request(operation: Operation, device: str = "0992-0012-3") -> Fields | Verdict:
    return request_of(operation, device, FIELD, RECEIVED, FLEET)


def fields(operation: Operation) -> Fields:
    found = request(operation)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("kind", [one for one in Kind if one is not Kind.VOID])
def test_every_kind_is_a_whole_request_that_the_lane_can_carry(kind: Kind) -> None:
    found = fields(an_operation(kind))
    assert check_mandatory(found) is None
    spoken = codec("ascii-1987")
    assert spoken.decode(spoken.encode(found)) == found


def test_the_numbers_of_a_request_follow_from_terminal_sequence_and_first_arrival() -> None:
    found = fields(an_operation(seq=12_345_678_901))
    assert {key: found[key] for key in ("7", "11", "12", "13", "32", "37", "41", "18", "22")} == {
        "7": "0116045958",
        "11": "678901",
        "12": "235958",
        "13": "0115",
        "32": "0992",
        "37": "001203012345",
        "41": "A00123  ",
        "18": "6010",
        "22": "010",
    }
    later = RECEIVED + timedelta(days=100)
    assert key_of(found, FIELD, later) == "iso:0992:20260115:678901:001203012345"


def test_no_two_operations_have_the_same_numbers() -> None:
    seqs = (1, 999_999, 1_000_000, 1_000_001, 2_000_000, AGENT_SEQUENCE_MAX)
    devices = ("0992-0001-1", "0992-0001-2", "0992-0011-1", "0992-9999-9")
    made = [fields_of(an_operation(seq=s), d, FIELD, RECEIVED) for s in seqs for d in devices]
    assert len({(one["11"], one["37"]) for one in made}) == len(made)
    assert all(len(one["11"]) == 6 and len(one["37"]) == 12 for one in made)


@pytest.mark.parametrize(
    ("kind", "processing"),
    [
        (Kind.CASH_IN, "210000"),
        (Kind.CREDIT_PAYMENT, "210000"),
        (Kind.CONTRIBUTION, "210000"),
        (Kind.TRANSFER, "210000"),
        (Kind.CASH_OUT, "010000"),
        (Kind.BALANCE, "310000"),
        (Kind.STATEMENT, "380000"),
    ],
)
def test_what_it_does_says_de3_and_whose_account_it_is_the_element(
    kind: Kind, processing: str
) -> None:
    found = fields(an_operation(kind, currency=1))
    assert (found["t"], found["3"], found["49"]) == ("0200", processing, "840")
    assert found.get("103" if processing == "210000" else "102") == COOP
    assert found.get("4", "") == ("000000001250" if kind < Kind.BALANCE else "")


@pytest.mark.parametrize("kind", list(NARRATIVES))
def test_the_payee_reads_what_it_was_for(kind: Kind) -> None:
    assert decode_tlv(fields(an_operation(kind))["48"], 48) == {"14": NARRATIVES[kind]}


def test_a_phone_is_an_alias_at_its_entity() -> None:
    found = fields(an_operation(Kind.TRANSFER, account=PHONE, entity="0901"))
    read = read_request(found, FIELD)
    assert (read.phone, read.creditor, read.is_by_alias) == (PHONE, "0901", True)
    assert "103" not in found


@pytest.mark.parametrize(
    ("operation", "code", "field"),
    [
        (an_operation(minor=0), "13", "minor"),
        (an_operation(account="12"), "30", "account"),
        (an_operation(account=PHONE), "30", "entity"),
        (an_operation(entity="12"), "30", "entity"),
        (an_operation(entity="0988"), "30", "entity"),
        (an_operation(Kind.CREDIT_PAYMENT, entity="0988"), "30", "entity"),
        (an_operation(Kind.CREDIT_PAYMENT, account=BANK, entity="0970"), "30", "entity"),
        (an_operation(Kind.TRANSFER, account="9000001x1", entity="0901"), "30", "account"),
        (an_operation(Kind.CASH_OUT, account=PHONE, entity="0901"), "30", "account"),
        (an_operation(Kind.BALANCE, account=""), "30", "account"),
        (an_operation(Kind.CREDIT_PAYMENT, account=BANK), "57", "account"),
        (an_operation(Kind.CONTRIBUTION, account="111" + BANK[3:]), "57", "account"),
        (an_operation(Kind.CONTRIBUTION, account=PHONE, entity="0970"), "30", "account"),
    ],
)
def test_what_has_not_the_form_of_its_kind_is_refused(
    operation: Operation, code: str, field: str
) -> None:
    verdict = request(operation)
    assert isinstance(verdict, Verdict)
    assert (verdict.code, verdict.note.split(":")[0]) == (code, field)


def test_an_entity_beside_a_cci_is_that_of_the_cci() -> None:
    assert fields(an_operation(Kind.CREDIT_PAYMENT, entity="0970"))["103"] == COOP


def test_who_is_waited_for_is_the_accounts_keeper_or_the_entity() -> None:
    assert institution_of(an_operation()) == "0970"
    assert institution_of(an_operation(account=PHONE, entity="0901")) == "0901"


def test_a_verdict_says_code_reason_reference_and_note() -> None:
    private = {"01": "T" * 50, "03": "AC01", "04": "DE103: " + "x" * 190}
    answer = {"t": "0210", "39": "14", "62": encode_tlv(private)}
    verdict = verdict_of(an_operation(), answer)
    assert verdict == Verdict(7, "14", "AC01", "T" * 40, private["04"][:140])


@pytest.mark.parametrize(("code", "reason"), [("63", "DS0A"), ("94", "AM05")])
def test_codes_of_a_payload_are_not_said_of_what_an_institution_refused(
    code: str, reason: str
) -> None:
    answer = {"t": "0210", "39": code, "62": encode_tlv({"03": reason})}
    assert verdict_of(an_operation(), answer) == Verdict(7, "05", reason)


def test_a_broken_explanation_changes_no_outcome() -> None:
    assert verdict_of(an_operation(), {"39": "00", "62": "xx"}) == Verdict(7, "00")


@pytest.mark.parametrize("answer", [None, {}, {"39": ""}, {"39": "000"}])
def test_what_states_no_code_is_no_outcome(answer: Fields | None) -> None:
    assert not is_outcome(answer)


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("0002604C000000012345", (12345, 12345)),
        ("1001604C000000012345" + "1002604D000000000045", (-45, 12345)),
        ("0040604C000000000009", (9, 9)),
        ("0002604X000000012345", ()),
        ("short", ()),
        ("", ()),
    ],
)
def test_a_balance_is_what_may_be_spent_and_what_is_booked(
    text: str, data: tuple[int, ...]
) -> None:
    assert verdict_of(an_operation(Kind.BALANCE), {"39": "00", "54": text}).data == data


def test_a_statement_is_its_rows_with_their_moments() -> None:
    rows = "2601151016,-12500,RETIRO;2613151016,1,NEVER;2601142359,50000,ABONO;rubbish"
    answer = {"39": "00", "62": encode_tlv({"20": rows})}
    data = verdict_of(an_operation(Kind.STATEMENT), answer).data
    assert data == (Row(1_768_490_160, -12500, "RETIRO"), Row(1_768_453_140, 50000, "ABONO"))
    assert verdict_of(an_operation(Kind.STATEMENT), answer | {"39": "14"}).data == ()
