"""What is no answer to what was asked, and what is only an answer to something else."""

import pytest

from switch.iso8583_unfit import objection

WITHDRAWAL = {"t": "0200", "3": "010000", "4": "000000010000", "11": "000123"}
ANSWER = WITHDRAWAL | {"t": "0210", "39": "00"}


@pytest.mark.parametrize("kind", ["0420", "0421"])
def test_the_answer_to_the_reversal_of_a_withdrawal_is_what_was_asked_for(kind: str) -> None:
    returned = {"4": "000000006000", "39": "00"}

    assert objection(WITHDRAWAL | {"t": kind}, WITHDRAWAL | {"t": "0430"} | returned) == ""


@pytest.mark.parametrize("kind", ["0200", "0201"])
def test_a_withdrawal_is_answered_by_a_0210_of_the_same_amount(kind: str) -> None:
    asked = WITHDRAWAL | {"t": kind}

    assert objection(asked, ANSWER) == ""
    assert objection(asked, ANSWER | {"t": "0430"}) == "MTI: not a 0210"
    assert objection(asked, ANSWER | {"4": "000000000001"}) == "DE4: another amount"
