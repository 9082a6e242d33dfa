"""What a newcomer does first, with the commands as they are printed and documented."""

from __future__ import annotations

import shlex
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.country import ROOT, SupervisedCountry, until
from tests.support.load import assert_settled

COOP_MEMBER = "900000101"
YAPE_USER, YAPE_ACCOUNT_AT = "900000202", "0901"
YAPE_PAYER = "900000299"
COOP_CCI = "97100220030040050213"
BANK_CUSTOMER = "900000404"
PLIN_QR = (
    "0002015802PE0102115204482953036045912P2P Transfer6004Lima2656"
    "0032f8d9e7dc4b9e9384d598f6f0fb0364dd0116Plin Network P2P6304447F"
)

COMMANDS = {"send", "show", "positions", "customers"}
WIRE = ["AV1", "AV2", "AV3", "AV4", "CT1", "CT2", "CT3", "CT4", "CT5"]


@pytest.fixture(scope="module")
def country(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupervisedCountry]:
    with SupervisedCountry(tmp_path_factory.mktemp("steps") / "home") as country:
        yield country.up()


def positions(country: SupervisedCountry) -> Counter[str]:
    rows = country.json("positions", "--currency", "PEN")
    return Counter({row["participant"]: row["balance"] for row in rows})


def test_the_printed_commands_run_as_printed(country: SupervisedCountry) -> None:
    at = country.screen.index("To try next, in a second terminal:")
    printed = [line.strip() for line in country.screen[at + 1 :] if line.startswith("  ")]
    assert [words for line in printed for words in shlex.split(line) if words in COMMANDS] == [
        "send",
        "show",
        "positions",
    ]
    for line in printed:
        done = subprocess.run(
            line, check=False, shell=True, cwd=ROOT, capture_output=True, text=True, timeout=30
        )
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        assert done.stdout.strip()


@pytest.mark.parametrize(
    ("payer", "payee", "entity", "agents", "fee"),
    [
        (COOP_MEMBER, YAPE_USER, YAPE_ACCOUNT_AT, ("0970", "0002"), 0),
        (YAPE_PAYER, YAPE_USER, "0971", ("0002", "0971"), 0),
        (BANK_CUSTOMER, COOP_CCI, None, ("0003", "0971"), 80),
        (COOP_MEMBER, PLIN_QR, None, ("0970", "0003"), 0),
    ],
    ids=["coop-to-yape", "yape-to-coop", "bank-to-coop-by-cci", "by-a-plin-qr"],
)
def test_money_goes_where_it_was_sent(
    country: SupervisedCountry,
    payer: str,
    payee: str,
    entity: str | None,
    agents: tuple[str, str],
    fee: int,
) -> None:
    before = positions(country)
    where = ("--entity", entity) if entity else ()

    paid = country.json("send", "--from", payer, "--to", payee, "--amount", "25.50", *where)

    assert (paid["state"], paid["response_code"], paid["fee"]) == ("FINAL", "00", fee)
    names = [leg["message"] for leg in paid["legs"]]
    wire = [name for name in names if name in WIRE]
    assert wire == WIRE or wire == [*WIRE[:-2], "CT5", "CT4"]
    after = positions(country)
    after.subtract(before)
    moved = {code: minor for code, minor in after.items() if minor}
    assert moved == {agents[0]: -2550 - fee, agents[1]: 2550 + fee}
    shown = country.json("show", paid["instruction_id"])
    assert shown["transfer"]["debtor_agent"] == agents[0]
    assert shown["transfer"]["creditor_agent"] == agents[1]
    timeline = {row["message"] for row in shown["timeline"]}
    assert {"CT1", "CT2", "CT3", "CT4"} <= timeline


def test_a_qr_is_drawn_saved_and_paid(country: SupervisedCountry, tmp_path: Path) -> None:
    picture = tmp_path / "qr.svg"
    made = country.json("qr", COOP_CCI, "--amount", "12.30", "--svg", str(picture))
    assert picture.read_text().startswith("<?xml")
    assert country.call("qr", PLIN_QR).stdout.strip().endswith(PLIN_QR)

    paid = country.json("send", "--from", COOP_MEMBER, "--to", made["text"])

    assert (paid["state"], paid["amount"], paid["creditor"]["participant"]) == (
        "FINAL", 1230, "0971",
    )  # fmt: skip


def test_people_can_be_found(country: SupervisedCountry) -> None:
    found = country.json("lookup", YAPE_USER, "--from", COOP_MEMBER)
    assert {one["code"] for one in found["candidates"]} == {"0971", "0988", "0901"}
    customers = country.json("customers", "--participant", "0971", "--limit", "5")
    assert len(customers) == 5
    assert all({"name", "phone", "cci", "participant"} <= set(one) for one in customers)
    assert {one["participant"] for one in customers} == {"0971"}


def test_a_position_is_funded_once_under_one_key(country: SupervisedCountry) -> None:
    before = positions(country)["0988"]
    for _ in range(2):
        country.call("fund", "0988", "--amount", "1000.00", "--idempotency-key", "first-steps")
    assert positions(country)["0988"] == before + 100_000


def test_who_is_signed_off_or_suspended_is_not_paid_until_it_is_back(
    country: SupervisedCountry,
) -> None:
    order = ("send", "--from", COOP_MEMBER, "--to", COOP_CCI, "--amount", "1.00")
    country.call("signoff", "0971")
    try:
        assert country.json(*order, code=1)["state"] in REFUSED
    finally:
        country.call("signon", "0971")
    until_paid(country, order)

    country.call("notice", "971", "SUSPENDED")
    try:
        assert country.json(*order, code=1)["state"] in REFUSED
    finally:
        country.call("notice", "971", "NORMAL")
    until_paid(country, order)

    country.call("notice", "981", "mantenimiento esta noche", "--to", "0970")
    until(lambda: "Nothing is stuck" in country.call("stuck").stdout, "notices delivered")


REFUSED = {"NOT_SENT", "REJECTED"}
"""By the payer's own institution, which may have heard already, or by the clearing house."""


def until_paid(country: SupervisedCountry, order: tuple[str, ...]) -> None:
    """Pay; the payer's own institution may not have heard yet that it can be."""
    until(lambda: country.call(*order, code=None).returncode == 0, "paid again")


def test_a_country_starts_over_after_a_reset(tmp_path: Path) -> None:
    with SupervisedCountry(tmp_path / "home") as country:
        country.up()
        paid: Any = country.json(
            "send", "--from", COOP_MEMBER, "--to", COOP_CCI, "--amount", "5.00"
        )
        assert_settled(country)
        assert country.call("reset", "--yes", code=None).returncode == 2
        assert country.down()[0] == 0

        country.call("reset", "--yes")

        assert not (country.home / "ledger.db").exists()
        assert (country.home / "fleet.toml").exists()
        country.up()
        assert country.transfers() == []
        country.call("show", paid["instruction_id"], code=2)
