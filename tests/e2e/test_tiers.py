"""Coops of the network: what stays inside it, what leaves through the sponsor, what runs short."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.country import TIERED, SupervisedCountry, ask
from tests.support.load import assert_settled

COOP, OTHER_COOP, SPONSOR, YAPE_BANK, BANK = "0970", "0971", "0987", "0002", "0003"
COOP_MEMBER = "900000101"
OTHER_COOPS_ACCOUNT = "97100220030040050213"
YAPE_USER, YAPE_DIRECTORY = "900000202", "0901"
BANK_CUSTOMER = "900000404"
LINE = 30_000
"""Cents that the sponsor grants the coop: more than these tests send, less than they try to."""
PREFUND = 1_000_000
DRAWN = 990_000
"""Cents of the sponsor's prefund that are drawn down before it is found short."""


@pytest.fixture(scope="module")
def country(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupervisedCountry]:
    institutions = {
        **TIERED,
        COOP: f"{TIERED[COOP]}\nline = {{ PEN = {LINE} }}",
        SPONSOR: f"{TIERED[SPONSOR]}\nprefund = {{ PEN = {PREFUND} }}",
    }
    home = tmp_path_factory.mktemp("tiers") / "home"
    with SupervisedCountry(home, institutions=institutions) as country:
        yield country.up()


def entries(country: SupervisedCountry, paid: Any) -> set[tuple[str, str, str, int]]:
    """Return ledger, debit, credit and sum of what was posted for a transfer."""
    found: dict[tuple[str, str, str], int] = {}
    for one in country.json("show", paid["instruction_id"])["entries"]:
        leg = (one["ledger"], one["debit"], one["credit"])
        found[leg] = found.get(leg, 0) + one["amount"]
    return {(*leg, minor) for leg, minor in found.items()}


def send(country: SupervisedCountry, payer: str, payee: str, amount: str, entity: str = "") -> Any:
    where = ("--entity", entity) if entity else ()
    words = ("send", "--from", payer, "--to", payee, "--amount", amount, *where, "--json")
    return json.loads(country.call(*words, code=None).stdout)


def move(country: SupervisedCountry, what: str) -> None:
    content = {"currency": "PEN", "amount": DRAWN}
    path = f"/positions/{SPONSOR}/{what}"
    status, answer = ask(country.operator_port, "POST", path, content, f"tiers-{what}")
    assert status == 200, answer


def test_between_two_coops_money_moves_in_the_networks_ledger_only(
    country: SupervisedCountry,
) -> None:
    paid = send(country, COOP_MEMBER, OTHER_COOPS_ACCOUNT, "12.50")

    assert paid["state"] == "FINAL"
    assert entries(country, paid) == {("dale", COOP, OTHER_COOP, 1_250 + paid["fee"])}


def test_from_a_coop_to_yape_both_ledgers_are_linked_by_the_sponsor(
    country: SupervisedCountry,
) -> None:
    paid = send(country, COOP_MEMBER, YAPE_USER, "20.00", YAPE_DIRECTORY)

    assert paid["state"] == "FINAL"
    settles = 2_000 + paid["fee"]
    assert entries(country, paid) == {
        ("dale", COOP, SPONSOR, settles),
        ("national", SPONSOR, YAPE_BANK, settles),
    }


def test_from_a_bank_to_a_coop_likewise_the_other_way(country: SupervisedCountry) -> None:
    paid = send(country, BANK_CUSTOMER, OTHER_COOPS_ACCOUNT, "30.00")

    assert paid["state"] == "FINAL"
    settles = 3_000 + paid["fee"]
    assert entries(country, paid) == {
        ("national", BANK, SPONSOR, settles),
        ("dale", SPONSOR, OTHER_COOP, settles),
    }


def test_a_coop_beyond_its_line_is_refused_and_told_so(country: SupervisedCountry) -> None:
    before = country.get("/positions")

    refused = send(country, COOP_MEMBER, YAPE_USER, "499.00", YAPE_DIRECTORY)

    assert (refused["state"], refused["reason_code"]) == ("REJECTED", "FF07")
    shown = country.json("show", refused["instruction_id"])
    assert shown["entries"] == []
    assert COOP in shown["explanation"]
    assert "line" in shown["explanation"]
    assert SPONSOR not in shown["explanation"].replace(f"sponsor {SPONSOR}", "")
    assert country.get("/positions") == before


def test_a_sponsor_without_prefund_is_named_and_coops_still_pay_each_other(
    country: SupervisedCountry,
) -> None:
    move(country, "drawdown")

    refused = send(country, COOP_MEMBER, YAPE_USER, "200.00", YAPE_DIRECTORY)
    inside = send(country, COOP_MEMBER, OTHER_COOPS_ACCOUNT, "5.00")

    assert (refused["state"], refused["reason_code"]) == ("REJECTED", "FF07")
    shown = country.json("show", refused["instruction_id"])
    assert shown["entries"] == []
    assert SPONSOR in shown["explanation"]
    assert inside["state"] == "FINAL"
    move(country, "funding")
    assert send(country, COOP_MEMBER, YAPE_USER, "200.00", YAPE_DIRECTORY)["state"] == "FINAL"


def test_every_ledger_agrees_afterwards(country: SupervisedCountry) -> None:
    assert_settled(country)
