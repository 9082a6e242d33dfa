from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from scheme.cci import has_valid_check_digits, participant_of
from scheme.codes import document_fault
from scheme.network import Fleet
from scheme.people import REFERENCE_PEOPLE, Person, people

FLEET = Fleet.parse((Path(__file__).resolve().parents[3] / "participants/fleet.toml").read_text())


@pytest.fixture(scope="module")
def everybody() -> list[Person]:
    return people(FLEET, random.Random(FLEET.seed))


def test_everybody_is_the_same_for_the_same_seed(everybody: list[Person]) -> None:
    assert everybody == people(FLEET, random.Random(FLEET.seed))
    assert everybody != people(FLEET, random.Random(1))


def test_each_participant_has_its_customers(everybody: list[Person]) -> None:
    main = Counter(person.holdings[0].participant for person in everybody)

    for one in FLEET.participant:
        assert main[one.code] >= one.customers


def test_nobody_could_be_a_real_person(everybody: list[Person]) -> None:
    references = {holding.cci for person in REFERENCE_PEOPLE for holding in person.holdings}
    for person in everybody:
        assert "900000000" <= person.phone <= "900099999"
        assert person.document.startswith("0000")
        for holding in person.holdings:
            assert holding.cci[3:6] == "999" or holding.cci in references


def test_every_number_is_valid_and_nobodys_twice(everybody: list[Person]) -> None:
    accounts = [holding.cci for person in everybody for holding in person.holdings]
    documents = {(one.document_code, one.document, one.name) for one in everybody}

    assert all(map(has_valid_check_digits, accounts))
    assert len(set(accounts)) == len(accounts)
    assert len({person.phone for person in everybody}) == len(everybody)
    # One of the examples' people has two phones.
    assert len(documents) == len(everybody) - 1
    for person in everybody:
        assert document_fault(person.document_code, person.document) is None
        for holding in person.holdings:
            assert participant_of(holding.cci) == holding.participant


def test_a_phone_leads_to_one_account_per_entity_and_directory(
    everybody: list[Person],
) -> None:
    entries = [
        (person.phone, holding.participant, directory)
        for person in everybody
        for holding in person.holdings
        for directory in holding.directories
    ]

    assert len(set(entries)) == len(entries)
    assert 20_000 < len(entries) < 60_000


def test_the_people_of_the_examples_are_there(everybody: list[Person]) -> None:
    by_phone = {person.phone: person for person in everybody}

    debtor = by_phone["900000101"]
    creditor = by_phone["900000202"]
    assert (debtor.name, debtor.document) == ("SOCIA UNO DEMO PRUEBA", "00000101")
    assert debtor.holdings[0].cci == "97000110020030040142"
    # The printed registration of this phone must find it free.
    assert debtor.holdings[0].directories == ()
    assert creditor.holdings[0].cci == "97100220030040050213"
    assert creditor.address == "JR LOS ENSAYOS 202"
    assert [one.participant for one in creditor.holdings] == ["0971", "0988", "0002"]
    assert [one.directories for one in by_phone["900000299"].holdings] == [("0901",)]
    assert "900000303" not in by_phone
    tokens = {one.wallet_token for person in everybody for one in person.holdings}
    assert {
        "ea7874f72c02a0d20639c77ae0ba5944",
        "JkFeONS2eiB1suifMU16Oq+kwtcxUSQ3KswkrAsuKms=",
        "f8d9e7dc4b9e9384d598f6f0fb0364dd",
    } <= tokens


def test_a_participant_added_at_the_end_changes_nobody(everybody: list[Person]) -> None:
    more = Fleet.parse(
        (Path(__file__).resolve().parents[3] / "participants/fleet.toml").read_text()
        + '\n[[participant]]\ncode = "0979"\nname = "X"\nkind = "coop"\ncustomers = 3\n'
    )

    assert people(more, random.Random(FLEET.seed))[: len(everybody)] == everybody
