"""The documents of the load's debtor agents obey the scheme."""

import random
from datetime import UTC, datetime

import msgspec
import pytest

from loadtests.bench.documents import ANY_PAYEE, documents
from loadtests.bench.orders import AMOUNTS, FEE, Debtor, Payee, Plain
from scheme.cci import has_valid_check_digits
from scheme.messages.session import SignOn1
from scheme.messages.transfer import CT1
from scheme.messages.verification import AV1

NOW = datetime(2026, 1, 15, 15, 15, 30, tzinfo=UTC)
AV4 = {
    "responseCode": "00",
    "instructionId": "2026011510153009808191000001",
    "reasonCode": None,
    "creditorName": 'SOCIA "Ñ" DEMO',
    "creditorMobileNumber": None,
    "creditorAddressLine": "JR LOS ENSAYOS 202",
    "sameCustomerFlag": "O",
    "somethingElse": 1,
}


def a_debtor(*, trace: int = 0) -> Debtor:
    return Debtor("0980", [ANY_PAYEE], random.Random(1), envelope=Plain(), trace=trace)


def an_av4(**changes: object) -> bytes:
    return msgspec.json.encode({"AV4": {**AV4, **changes}})


def read(document: bytes, root: str, kind: type[AV1] | type[CT1] | type[SignOn1]) -> object:
    members = msgspec.json.decode(document, type=dict[str, msgspec.Raw])
    assert list(members) == [root]
    return msgspec.json.decode(members[root], type=kind)


def test_a_verification_is_a_sound_av1() -> None:
    found = read(a_debtor().verification(ANY_PAYEE, NOW), "AV1", AV1)
    assert isinstance(found, AV1)
    assert found.fault() is None
    assert (found.debtorParticipantCode, found.creditorCCI) == ("0980", ANY_PAYEE.cci)
    assert (found.creationDate, found.creationTime) == ("20260115", "101530")


def test_an_order_is_a_sound_ct1_that_quotes_the_verification() -> None:
    debtor = a_debtor()
    verified = debtor.verified(an_av4())
    found = read(debtor.order(ANY_PAYEE, 125, verified, NOW), "CT1", CT1)
    assert isinstance(found, CT1)
    assert found.fault() is None
    assert found.referenceTransactionId == AV4["instructionId"]
    assert (found.amount, found.feeAmount) == (125, FEE)
    assert (found.creditorName, found.creditorMobileNumber) == ('SOCIA "Ñ" DEMO', None)
    assert found.messageTypeId == "0200"
    assert has_valid_check_digits(found.debtorCCI)


def test_a_repeat_differs_in_nothing_that_moves_money() -> None:
    debtor = a_debtor()
    verified = debtor.verified(an_av4())
    first = read(debtor.order(ANY_PAYEE, 125, verified, NOW), "CT1", CT1)
    again = read(debtor.order(ANY_PAYEE, 125, verified, NOW, repeat=True), "CT1", CT1)
    assert isinstance(first, CT1)
    assert isinstance(again, CT1)
    assert again.messageTypeId == "0201"
    for name in ("referenceTransactionId", "amount", "feeAmount", "debtorCCI", "creditorCCI"):
        assert getattr(first, name) == getattr(again, name)


def test_a_sign_on_is_sound() -> None:
    found = read(a_debtor().sign_on(NOW), "SignOn1", SignOn1)
    assert isinstance(found, SignOn1)
    assert found.participantCode == "0980"


@pytest.mark.parametrize(("code", "accepted"), [("00", True), ("05", False)])
def test_answers_are_read(code: str, accepted: bool) -> None:
    debtor = a_debtor()
    verified = debtor.verified(an_av4(responseCode=code, reasonCode="AC01"))
    assert (verified.accepted, verified.reason) == (accepted, "AC01")
    settled = debtor.settled(
        msgspec.json.encode({"CT4": {"responseCode": code, "instructionId": None}})
    )
    assert (settled.accepted, settled.instruction_id) == (accepted, "")


def test_the_sequence_stays_below_the_clearing_houses_own() -> None:
    debtor = a_debtor(trace=799_998)
    assert [debtor.next_trace() for _ in range(3)] == ["799999", "000001", "000002"]


def test_payees_and_amounts_follow_from_the_seed_and_stay_in_range() -> None:
    payees = [Payee("0971", str(number)) for number in range(9)]

    def drawn() -> list[tuple[Payee, int]]:
        debtor = Debtor("0980", payees, random.Random(7), envelope=Plain())
        return [debtor.draw() for _ in range(100)]

    assert drawn() == drawn()
    assert all(AMOUNTS[0] <= cents <= AMOUNTS[1] for _, cents in drawn())
    assert len({payee for payee, _ in drawn()}) > 5


def test_the_relays_documents_are_read_by_the_same_generator() -> None:
    fixed = documents(NOW)
    debtor = a_debtor()
    assert debtor.verified(fixed.av3).accepted
    assert debtor.settled(fixed.ct3).accepted
    relayed = debtor.verification(ANY_PAYEE, NOW)[:-2] + fixed.av2_more
    assert msgspec.json.decode(relayed)["AV1"]["branchId"] == "1001"
    assert "CT5" in msgspec.json.decode(fixed.ct5)
