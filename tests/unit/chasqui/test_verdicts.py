"""What a person is told about a transfer: who decided, why, what to do next."""

import pytest

from chasqui.answers import Candidate, Decision, Leg, Participant, TimelineRow, TransferDetail
from chasqui.answers import Transfer as Line
from chasqui.legs import timed_legs
from chasqui.meanings import explained, step_after
from chasqui.names import candidate_text, message_name
from chasqui.verdicts import verdict

EVERYONE = {"0971": Participant(code="0971", name="COOPAC SIMULADA DOS")}


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGUAGE", "en")


def a_detail(state: str, *, reason: str | None = None, rule: str = "", by: str = "") -> list[str]:
    line = Line(instruction_id="i1", state=state, reason_code=reason, creditor_agent="0971")
    return verdict(TransferDetail(transfer=line, decision=Decision(rule, by)))


@pytest.mark.parametrize(
    ("reason", "rule", "means", "step"),
    [
        ("BE15", "DE48.30: wrong; attempts left: 2", "one-time code is wrong", "cash code"),
        ("AB05", "DE2: the issuer 0975 is blocked", "cannot be asked", "chasqui participants"),
        ("AB05", "DE2: no link to the issuer; nothing is owed to it", "cannot be asked", "owed"),
        ("DS24", "DE11: its debtor's institution took the order back", "took it back", "nothing"),
        ("AM09", "DE4: the code is for exactly 20000", "exactly S/ 200.00", "another code"),
    ],
)
def test_a_rule_says_more_than_its_code(reason: str, rule: str, means: str, step: str) -> None:
    lines = a_detail("DECLINED", reason=reason, rule=rule)

    assert any(means in line for line in lines)
    assert step in lines[-1]


@pytest.mark.parametrize(
    "state",
    [
        *("RESERVED", "POSTING", "POSTED", "CONFIRMED", "REFUSING", "REJECTED", "EXPIRED"),
        *("CANCELLED", "DISPUTED", "TOMBSTONE", "VERIFIED", "REFUSED"),
    ],
)
def test_every_state_has_a_sentence(state: str) -> None:
    assert a_detail(state)[0].endswith(".")


def test_a_refusal_of_the_creditor_is_not_laid_upon_the_clearing_house() -> None:
    rule = "creditorCCI: refused by the creditor's agent"

    lines = a_detail("REJECTED", reason="AC01", rule=rule, by="creditor")

    assert lines[0] == "Refused by the creditor's institution, 0971; nothing was posted."
    assert lines[1].startswith("Reason AC01: ")
    assert lines[2].startswith("What to do: ")
    assert len(lines) == 3, "the rule says nothing more"


def test_a_refusal_of_the_clearing_house_names_field_and_rule() -> None:
    rule = "amount: the prefund of 0970 does not cover it"

    lines = a_detail("REJECTED", reason="FF07", rule=rule, by="clearing_house")

    assert lines[0] == "Refused by the clearing house itself; nothing was posted."
    assert f"In detail: {rule}" in lines


def test_a_refused_verification_says_by_whom() -> None:
    own = a_detail("REFUSED", reason="AB05", rule="creditorParticipantCode: no sound answer")
    passed_on = a_detail("REFUSED", reason="AC01", rule="x: refused by the creditor's agent")

    assert "by the clearing house" in own[0]
    assert "by the creditor's institution, 0971" in passed_on[0]


def test_what_is_not_foreseen_is_told_as_it_came() -> None:
    assert verdict(TransferDetail(explanation="decided by {fate}")) == ["decided by {fate}"]
    line = Line(instruction_id="i1", state="NEWER")
    assert verdict(TransferDetail(transfer=line, explanation="{odd}")) == ["{odd}"]


def test_entities_are_named_with_their_wallets() -> None:
    named = [candidate_text(Candidate(code), EVERYONE) for code in ("0901", "0971", "0999")]

    assert named == ["YAPE (0901)", "COOPAC SIMULADA DOS (0971)", "0999"]


def test_an_acknowledgement_is_named_after_its_message() -> None:
    assert message_name("CT5 acknowledged") == "CT5 acknowledged"
    assert message_name("CT4") == "CT4"


def test_legs_carry_the_codes_of_the_timeline() -> None:
    row = TimelineRow(message="AV3", sender="0971", receiver="CCE", ms=2.0, response_code="00")

    assert timed_legs([row, TimelineRow(message="decided")]) == [
        Leg(message="AV3", sender="0971", receiver="CCE", ms=2.0, response_code="00")
    ]


def test_a_qr_is_refused_in_the_readers_language_whatever_the_wire_says() -> None:
    assert explained("QR03: QR VENCIDO") == "QR03: the QR has expired"
    assert explained("QR01: FORMATO: hash 63: the last tag").endswith("(hash 63: the last tag)")
    assert explained("QR77: ALGO") == "QR77: ALGO"
    assert step_after("QR03: QR VENCIDO") == "Ask the payee for another QR."
    assert step_after("the account has not enough money")
    assert step_after("") == ""
