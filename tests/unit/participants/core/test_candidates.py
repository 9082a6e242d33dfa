from __future__ import annotations

import pytest

from participants.core.candidates import Candidate, candidates, choice, clean_phone, is_phone
from scheme.messages.proxy import Alias, DirectoryAnswer, DirectoryEntry, ProxyLookupResponse
from scheme.network import Participant
from scheme.wire.proxy_json import decode_proxy
from tests.support.fleet_world import GOLDEN

OWN = Participant(code="0002", name="B", kind="bank", issues="0901")


def the_example() -> ProxyLookupResponse:
    decoded = decode_proxy((GOLDEN / "prxy.004-found.json").read_bytes())
    assert isinstance(decoded, ProxyLookupResponse)
    return decoded


def test_entities_come_from_every_directory_and_a_directory_stands_for_none_named() -> None:
    found = candidates(the_example(), "900000202")

    assert found == (
        Candidate("0971", "0903"),
        Candidate("0988", "0903"),
        Candidate("0901", "0901"),
    )
    assert candidates(the_example(), "900000299") == (Candidate("0901", "0901"),)
    assert candidates(the_example(), "900000303") == ()


@pytest.mark.parametrize(
    ("present", "banks"), [(True, ("0971",)), ("false", ("0971",)), ("true", ())]
)
def test_only_the_text_true_with_somebody_named_counts(
    present: str | bool, banks: tuple[str, ...]
) -> None:
    entry = DirectoryEntry(alias=Alias(value="+51900000202"), present=present, bank_codes=banks)
    answer = ProxyLookupResponse(
        recipient="0970",
        status="ACTC",
        directories=(
            DirectoryAnswer(directory="0903", entries=(entry,)),
            DirectoryAnswer(directory="0902", entries=None),
        ),
    )

    assert candidates(answer, "900000202") == ()


def test_the_first_that_is_not_the_payers_own_is_chosen() -> None:
    found = (Candidate("0002", "0903"), Candidate("0901", "0901"), Candidate("0971", "0903"))

    assert choice(found, None, OWN) == found[2]
    assert choice(found, "0901", OWN) == found[1]
    assert choice(found, "0988", OWN) is None
    assert choice(found[:2], None, OWN) is None


@pytest.mark.parametrize("text", ["900000299", "+51900000299", "900 000 299", "+51 900-000-299"])
def test_a_phone_is_read_as_people_type_it(text: str) -> None:
    assert clean_phone(text) == "900000299"
    assert is_phone(clean_phone(text))


@pytest.mark.parametrize("text", ["800000299", "90000029", "9000002999", "90000029x", ""])
def test_anything_else_is_no_phone(text: str) -> None:
    assert not is_phone(text)
