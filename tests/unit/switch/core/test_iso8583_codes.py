"""One meaning for each reason on the ISO 8583 lane, none forgotten."""

import re
from pathlib import Path

import pytest

from scheme.messages import AV1, CT1, CT4
from scheme.reasons import ReasonCode
from switch.core.iso8583_codes import (
    APPROVED,
    ELEMENTS,
    REASONS,
    RESPONSE_CODES,
    UNDECIDED,
    in_elements,
    reason_of,
    response_code_of,
)

PAGE = Path(__file__).parents[4] / "docs" / "wire" / "iso8583.md"


@pytest.mark.parametrize("reason", ReasonCode)
def test_every_reason_is_refused_by_a_code(reason: ReasonCode) -> None:
    code = response_code_of(reason)

    assert re.fullmatch(r"[0-9]{2}", code)
    assert code != APPROVED
    assert code not in UNDECIDED
    assert RESPONSE_CODES[reason] == code


@pytest.mark.parametrize("reason", ReasonCode)
def test_a_code_means_a_reason_that_it_stands_for(reason: ReasonCode) -> None:
    code = response_code_of(reason)

    assert response_code_of(reason_of(code)) == code


@pytest.mark.parametrize("reason", ReasonCode)
def test_the_reason_beside_the_code_goes_first(reason: ReasonCode) -> None:
    assert reason_of("05", str(reason)) is reason


@pytest.mark.parametrize("code", [f"{number:02}" for number in range(1, 100)])
def test_every_code_of_a_core_has_a_reason(code: str) -> None:
    assert isinstance(reason_of(code), ReasonCode)
    assert reason_of(code, "ZZ99") is reason_of(code)


def test_an_unknown_code_is_refused_in_general() -> None:
    assert reason_of("05") is ReasonCode.FF07
    assert reason_of("Q1") is ReasonCode.FF07


def test_approvals_with_conditions_are_no_refusals() -> None:
    assert {"08", "10", "11", "16", "32"} <= UNDECIDED
    assert APPROVED not in UNDECIDED


def test_faults_are_named_by_element() -> None:
    assert in_elements("creditorCCI: an account") == "DE103: an account"
    assert in_elements("debtorName: mandatory: here") == "DE48.04: mandatory: here"
    assert in_elements("DE4: already so") == "DE4: already so"
    assert in_elements("") == ""


def test_elements_are_named_for_fields_that_exist() -> None:
    known = {*AV1.__struct_fields__, *CT1.__struct_fields__, *CT4.__struct_fields__, "root"}

    assert set(ELEMENTS) <= known


def test_the_page_has_the_same_tables() -> None:
    section = PAGE.read_text(encoding="utf-8").partition("\n## Response codes\n")[2]
    section = section.partition("\n## ")[0]
    rows = [
        [cell.strip().strip("`") for cell in line.strip().strip("|").split("|")]
        for line in section.splitlines()
        if line.startswith("| `")
    ]
    written = {row[0]: row[1] for row in rows if row[0] in RESPONSE_CODES}
    read = {row[0]: row[1] for row in rows if row[0] in REASONS}

    assert written == RESPONSE_CODES
    assert read == {code: str(reason) for code, reason in REASONS.items()}
