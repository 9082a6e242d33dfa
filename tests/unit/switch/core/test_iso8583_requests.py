"""A core's request becomes a query or an order, or its fault names element and tag."""

from datetime import UTC, datetime
from typing import Any

import pytest

from runtime.files import load_profile
from scheme import cci
from scheme.errors import MalformedMessage
from scheme.messages import AV1, CT1
from scheme.messages.rules import rules_of
from scheme.reasons import ReasonCode
from scheme.wire.iso8583_spec import Fields
from scheme.wire.tin_json import decode, encode
from switch.core.iso8583_messages import DEPOSIT_PURPOSE
from switch.core.iso8583_orders import binding_of, order_of, query_of
from switch.core.iso8583_requests import (
    content_of,
    created,
    key_of,
    original_key_of,
    read_request,
    reversals_of,
)
from switch.core.records import Binding
from switch.core.rules import binding_agrees
from tests.support.iso8583_mapping import (
    ACQUIRER,
    BANK,
    CORE,
    NOW,
    OTHER_CORE,
    a_deposit,
    a_reversal,
    a_transfer,
    a_verification,
    account,
    any_transfer,
    changed,
    lane_fleet,
)

FLEET = lane_fleet()
PROFILE = load_profile("peru")


def read(fields: Fields) -> Any:
    return read_request(fields, FLEET[fields["32"]])


def query(fields: Fields) -> AV1:
    return query_of(read(fields), NOW)


def order(fields: Fields, binding: Binding | None = None) -> CT1:
    request = read(fields)
    creditor = FLEET[request.creditor or BANK]
    bound = binding or binding_of(request, creditor, NOW)
    return order_of(request, bound, creditor=creditor, profile=PROFILE, now=NOW)


def fault_of(fields: Fields) -> MalformedMessage:
    with pytest.raises(MalformedMessage) as caught:
        query(fields) if fields["3"].startswith("33") else order(fields)
    return caught.value


def test_a_transfer_becomes_an_order() -> None:
    ct1 = order(a_transfer({"08": "SOCIO DOS", "13": "O"}))

    assert (ct1.debtorParticipantCode, ct1.creditorParticipantCode) == (CORE, OTHER_CORE)
    assert (ct1.creationDate, ct1.creationTime) == ("20260115", "101613")
    assert (ct1.trace, ct1.retrievalReferenteNumber) == ("000124", "011510161342")
    assert (ct1.amount, ct1.currency) == (12500, "604")
    assert (ct1.debtorCCI, ct1.creditorCCI) == (account(CORE), account(OTHER_CORE))
    assert (ct1.debtorName, ct1.debtorId) == ("SOCIA UNO DEMO", "00000101")
    assert (ct1.creditorName, ct1.sameCustomerFlag) == ("SOCIO DOS", "O")
    assert ct1.messageTypeId == "0200"
    assert ct1.unstructuredInformation == "PAGO DE ENSAYO"


def test_a_repeat_is_marked_and_otherwise_the_same() -> None:
    first, again = order(a_transfer()), order(a_transfer(t="0201"))

    assert again.messageTypeId == "0201"
    assert {n: getattr(again, n) for n in CT1.__struct_fields__ if n != "messageTypeId"} == {
        n: getattr(first, n) for n in CT1.__struct_fields__ if n != "messageTypeId"
    }


@pytest.mark.parametrize("seed", range(100))
def test_every_order_is_one_that_the_other_wire_takes(seed: int) -> None:
    fields = any_transfer(seed)

    ct1, av1 = order(fields), query(fields)

    assert decode(encode(ct1), CT1) == ct1
    assert decode(encode(av1), AV1) == av1
    for rule in rules_of(CT1):
        assert rule.fault(getattr(ct1, rule.name)) is None


@pytest.mark.parametrize("seed", range(100))
def test_an_order_agrees_with_the_binding_made_for_it(seed: int) -> None:
    request = read(any_transfer(seed))
    creditor = FLEET[request.creditor]
    binding = binding_of(request, creditor, NOW)

    ct1 = order_of(request, binding, creditor=creditor, profile=PROFILE, now=NOW)

    assert binding_agrees(ct1, binding) is None
    assert ct1.referenceTransactionId == binding.instruction_id
    assert len(binding.instruction_id) <= 35


@pytest.mark.parametrize("seed", range(50))
def test_key_and_content_survive_a_repeat_and_tell_money_apart(seed: int) -> None:
    fields = any_transfer(seed)
    debtor = FLEET[CORE]
    again = changed(fields, t="0201", de7="0115151700", de41="OTHER")
    dearer = changed(fields, de4=f"{int(fields['4']) + 1:012}")

    assert key_of(again, debtor, NOW) == key_of(fields, debtor, NOW)
    assert content_of(read(again)) == content_of(read(fields))
    assert content_of(read(dearer)) != content_of(read(fields))
    assert original_key_of(a_reversal(fields), debtor, NOW) == key_of(fields, debtor, NOW)


@pytest.mark.parametrize(
    "change",
    [
        {"de49": "840"},
        {"de102": account(CORE, 2)},
        {"de103": account(OTHER_CORE, 2)},
        {"de103": account(BANK)},
        {"parties": {"11": "1"}},
        {"de3": "210000"},
        {"de103": "", "parties": {"01": OTHER_CORE, "02": "P", "03": "900000202"}},
        {"parties": {"02": "P", "03": "900000202"}},
        {"parties": {"02": "Q", "03": "900000202"}},
        {"parties": {"01": BANK}},
        {"parties": {"10": "2026011510161309758191000124"}},
    ],
)
def test_what_moves_money_is_content(change: dict[str, Any]) -> None:
    assert content_of(read(a_transfer(**change))) != content_of(read(a_transfer()))


def test_every_way_of_naming_a_payee_is_content_of_its_own() -> None:
    both = {"02": "P", "03": "900000202", "10": "2026011510161309758191000124"}
    changes: tuple[dict[str, str], ...] = (
        {},
        {"02": "Q"},
        {"03": "900000303"},
        {"10": "2026011510161309758191000125"},
        {"01": BANK},
    )

    assert len({content_of(read(a_transfer(both | one))) for one in changes}) == len(changes)


def test_a_placeholder_beside_an_alias_is_no_account() -> None:
    alias = {"01": "0901", "02": "P", "03": "900000202"}

    assert read(a_transfer(alias, de103=cci.placeholder("0901"))).creditor_cci is None


def test_a_key_is_of_one_year() -> None:
    fields, debtor = a_transfer(de13="1231"), FLEET[CORE]
    keys = [
        key_of(fields, debtor, datetime(year, month, 1, 6, tzinfo=UTC))
        for year, month in ((2025, 12), (2026, 1), (2026, 5), (2026, 12), (2027, 1))
    ]

    assert keys[0] == keys[1] == keys[2] != keys[3] == keys[4]
    assert keys[0].split(":")[2] == "20251231"


@pytest.mark.parametrize(
    ("sent", "day", "days"),
    [
        ("0116045959", "0116", ["0116", "0115"]),
        ("0116045959", "0115", ["0115"]),
        ("0116050000", "0116", ["0116"]),
        ("0101030000", "0101", ["0101", "1231"]),
        ("0000000000", "0116", ["0116"]),
    ],
)
def test_a_reversal_names_the_day_of_its_original_or_when_it_was_sent(
    sent: str, day: str, days: list[str]
) -> None:
    named = f"0200000124{sent}{'':0>22}"
    fields = a_reversal(a_transfer(), de90=named, de13=day)

    assert [one["13"] for one in reversals_of(fields, NOW)] == days


def test_what_moves_no_money_is_no_content() -> None:
    other = a_transfer({"04": "SOCIA DOS", "14": "OTRO"}, de18="6011", de12="101614")

    assert content_of(read(other)) == content_of(read(a_transfer()))


@pytest.mark.parametrize(
    ("now", "day", "date"),
    [
        (datetime(2026, 1, 1, 3, tzinfo=UTC), "1231", "20251231"),
        (datetime(2026, 1, 1, 6, tzinfo=UTC), "1231", "20251231"),
        (datetime(2026, 1, 1, 3, tzinfo=UTC), "0101", "20260101"),
        (datetime(2026, 7, 1, 12, tzinfo=UTC), "0101", "20260101"),
        (datetime(2026, 7, 1, 12, tzinfo=UTC), "1231", "20261231"),
        (datetime(2028, 3, 1, 12, tzinfo=UTC), "0229", "20280229"),
    ],
)
def test_the_year_is_the_nearest_one(now: datetime, day: str, date: str) -> None:
    assert created({"13": day}, now) == date


def test_a_fee_that_is_not_told_is_the_tariffs() -> None:
    inside = order(a_transfer())
    outside = order(a_transfer(de103=account(BANK)))
    elsewhere = order(a_transfer({"12": "O"}, de103=account(BANK)))
    told = order(a_transfer({"11": "123"}, de103=account(BANK)))
    own = order(a_transfer(de103=account(CORE, 7)))

    assert (inside.feeAmount, outside.feeAmount, told.feeAmount) == (0, 80, 123)
    assert own.feeAmount == 0
    assert (elsewhere.applicationCriteria, elsewhere.feeAmount) == ("O", 700)


def test_a_fee_by_alias_is_the_flat_one() -> None:
    fields = a_transfer({"01": BANK, "02": "P", "03": "900000202"}, de103="")
    bound = _bound(channel="52")

    assert order(fields, bound).feeAmount == PROFILE.fees.alias["PEN"]
    assert order(fields, bound).creditorCCI == account(BANK)
    assert order(a_transfer({"10": bound.instruction_id}, de103=""), bound).channel == "52"


def _bound(**changes: Any) -> Binding:
    fields = {
        "instruction_id": "2026011510161309758191000124",
        "debtor_agent": CORE,
        "debtor_id_code": "2",
        "debtor_id": "00000101",
        "requested_creditor": "0901",
        "creditor_agent": BANK,
        "creditor_cci": account(BANK),
        "creditor_card": None,
        "currency": "604",
        "transaction_type": "320",
        "channel": "91",
        "created_ms": 1,
    }
    return Binding(**(fields | changes))


def test_an_earlier_verification_names_the_payee() -> None:
    ct1 = order(a_transfer({"10": "2026011510161309758191000124"}, de103=""), _bound())

    assert (ct1.creditorParticipantCode, ct1.creditorCCI) == (BANK, account(BANK))
    assert ct1.referenceTransactionId == "2026011510161309758191000124"


@pytest.mark.parametrize(
    ("parties", "named"),
    [
        ({"02": "P", "03": "900000202"}, ("900000202", None, None)),
        ({"02": "Q", "03": "ea7874f7"}, (None, "ea7874f7", "O")),
    ],
)
def test_an_alias_is_asked_for_with_a_placeholder(
    parties: dict[str, str], named: tuple[str | None, ...]
) -> None:
    av1 = query(a_verification({"01": "0901"} | parties, de103=""))

    assert (av1.creditorMobileNumber, av1.proxyValue, av1.proxyType) == named
    assert av1.channel == "52"
    assert av1.creditorCCI == cci.placeholder("0901")


def test_a_verification_needs_no_name_and_no_currency() -> None:
    av1 = query(a_verification({"04": ""}, de49="", de41=""))

    assert av1.currency == "604"
    assert av1.creditorParticipantCode == BANK
    assert av1.terminalId == CORE


@pytest.mark.parametrize(("type_", "channel"), [("6011", "02"), ("6010", "90"), ("", "91")])
def test_the_merchant_type_says_the_channel(type_: str, channel: str) -> None:
    assert order(a_transfer(de18=type_)).channel == channel


def test_a_deposit_is_paid_by_the_acquirer() -> None:
    ct1 = order(a_deposit())

    assert ct1.debtorParticipantCode == ACQUIRER
    assert ct1.debtorName == "RED DE AGENTES"
    assert cci.participant_of(ct1.debtorCCI) == ACQUIRER
    assert cci.has_valid_check_digits(ct1.debtorCCI)
    assert (ct1.debtorTypeOfPerson, ct1.debtorIdCode, len(ct1.debtorId)) == ("J", "6", 11)
    assert (ct1.purposeCode, ct1.channel) == (DEPOSIT_PURPOSE, "90")


def test_a_deposit_may_name_the_one_who_brings_it() -> None:
    ct1 = order(a_deposit({"04": "SOCIA UNO", "05": "2", "06": "00000101"}))

    assert (ct1.debtorName, ct1.debtorId, ct1.debtorTypeOfPerson) == ("SOCIA UNO", "00000101", "N")


def test_blanks_and_empty_values_are_nothing() -> None:
    ct1 = order(a_transfer({"04": "SOCIA UNO   ", "08": " ", "14": "  "}, de41="T1      "))

    assert (ct1.debtorName, ct1.creditorName, ct1.unstructuredInformation) == (
        "SOCIA UNO",
        None,
        None,
    )
    assert ct1.terminalId == "T1"


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        (a_transfer({"04": ""}), "DE48.04", "BE08"),
        (a_transfer({"04": "x" * 141}), "DE48.04", "FF02"),
        (a_transfer({"05": ""}), "DE48.05", "FF02"),
        (a_transfer({"05": "22"}), "DE48.05", "FF02"),
        (a_transfer({"05": "9"}), "DE48.06", "BE16"),
        (a_transfer({"06": ""}), "DE48.06", "FF02"),
        (a_transfer({"06": "123"}), "DE48.06", "BE16"),
        (a_transfer({"06": "1234567890123"}), "DE48.06", "FF02"),
        (a_transfer({"07": "9000001010"}), "DE48.07", "FF02"),
        (a_transfer({"07": "90000010x"}), "DE48.07", "FF02"),
        (a_transfer({"08": "x" * 141}), "DE48.08", "FF02"),
        (a_transfer({"09": "X"}), "DE48.09", "FF02"),
        (a_transfer({"10": "x" * 36}), "DE48.10", "FF02"),
        (a_transfer({"11": "1.5"}), "DE48.11", "FF02"),
        (a_transfer({"11": "1" * 16}), "DE48.11", "FF02"),
        (a_transfer({"12": "X"}), "DE48.12", "FF02"),
        (a_transfer({"13": "X"}), "DE48.13", "FF02"),
        (a_transfer({"14": "x" * 141}), "DE48.14", "FF02"),
        (a_transfer({"01": "976"}), "DE48.01", "FF02"),
        (a_transfer({"02": "X", "03": "1"}), "DE48.02", "FF02"),
        (a_transfer({"03": "900000202"}), "DE48.02", "FF02"),
        (a_transfer({"02": "P"}), "DE48.03", "FF02"),
        (a_transfer({"02": "P", "03": "90000020x"}), "DE48.03", "FF02"),
        (a_transfer({"02": "P", "03": "900000202"}, de103=""), "DE48.01", "FF02"),
        (a_transfer({"01": "9999", "02": "P", "03": "900000202"}, de103=""), "DE48.01", "FF02"),
        (a_transfer(de48="04005JU"), "DE48.04", "FF02"),
        (a_transfer(de48="nonsense"), "DE48", "FF02"),
        (a_transfer(de103=""), "DE103", "FF02"),
        (a_transfer(de103="123"), "DE103", "FF02"),
        (a_transfer(de103=cci.placeholder("976")), "DE103", "FF02"),
        (a_transfer(de102="x" * 20), "DE102", "FF02"),
        (a_transfer(de49="978"), "DE49", "FF02"),
        (a_transfer(de4="000000000000"), "DE4", "AM01"),
        (a_transfer(de13="0230"), "DE13", "FF02"),
        (a_transfer(de13="0229"), "DE13", "FF02"),
        (a_transfer(de13="1301"), "DE13", "FF02"),
        (a_transfer(de12="246060"), "DE12", "FF02"),
        (a_verification(de49="840", parties={"01": BANK, "02": "P", "03": "9"}), "DE49", "FF02"),
        (a_deposit({"04": "x" * 141}), "DE48.04", "FF02"),
    ],
)
def test_a_fault_names_its_element(fields: Fields, field: str, reason: str) -> None:
    fault = fault_of(fields)

    assert fault.field == field
    assert fault.reason == ReasonCode(reason)
    assert "SOCIA" not in str(fault)


@pytest.mark.parametrize(
    "named",
    [
        f"08000001240115151613{CORE:0>11}{'':0>11}",
        f"02000001240115151613{OTHER_CORE:0>11}{'':0>11}",
    ],
)
def test_a_reversal_names_a_request_of_its_sender(named: str) -> None:
    with pytest.raises(MalformedMessage, match="DE90"):
        original_key_of(a_reversal(a_transfer(), de90=named), FLEET[CORE], NOW)


def test_a_reversal_need_not_name_the_acquirer() -> None:
    named = f"02010001240115151613{'':0>22}"

    assert original_key_of(a_reversal(a_transfer(), de90=named), FLEET[CORE], NOW) == key_of(
        a_transfer(), FLEET[CORE], NOW
    )
