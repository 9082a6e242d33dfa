"""Cores, machines and agents on ISO 8583 beside banks and wallets on the other wire."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.country import SupervisedCountry, ask, until

BANK, CORE, OTHER_CORE, MACHINES, BY_HAND = "0002", "0975", "0976", "0991", "0979"
YAPE, YAPE_USER = "0901", "900000202"
_AES = 'iso8583 = { mac = "aes-cmac", bins = ["970975"] }'
_PACKED = (
    'iso8583 = { spec = "packed-1987", header = "ascii-4", tpdu = "6000000000", mac = "x9.19", '
    'bins = ["970976"] }'
)
INSTITUTIONS = {
    BANK: f'kind = "bank"\nissues = "{YAPE}"\ndirectories = ["{YAPE}"]',
    CORE: f'kind = "coop"\nlane = "iso8583"\n{_AES}',
    OTHER_CORE: f'kind = "coop"\nlane = "iso8583"\n{_PACKED}',
    MACHINES: 'kind = "acquirer"\nlane = "iso8583"\niso8583 = { mac = "x9.19" }',
}
# Played by nobody but the tests: what is sent in its name by hand is in no book.
CONNECTOR = f"""[[participant]]
code = "{BY_HAND}"
name = "CONECTOR SIMULADO A MANO"
kind = "load"
simulated = false
lane = "iso8583"
iso8583 = {{ mac = "x9.19" }}
"""


@pytest.fixture(scope="module")
def country(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupervisedCountry]:
    home = tmp_path_factory.mktemp("iso8583") / "home"
    with SupervisedCountry(home, institutions=INSTITUTIONS, customers=8) as country:
        with country.fleet_file.open("a") as file:
            file.write(CONNECTOR)
        country.up()
        until(lambda: all_linked(country), "links of every core")
        yield country


def all_linked(country: SupervisedCountry) -> bool:
    lanes = {one["participant"]: one["links"] for one in links(country)}
    return all(lanes[code] for code in (CORE, OTHER_CORE, MACHINES))


def links(country: SupervisedCountry) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = country.json("iso", "links")["participants"]
    return found


def accounts(country: SupervisedCountry, code: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = country.hook(code, "accounts?limit=50")["accounts"]
    return [row for row in rows if row["currency"] == "PEN"]


def an_account(country: SupervisedCountry, code: str) -> str:
    return str(accounts(country, code)[0]["cci"])


def send(country: SupervisedCountry, payer: str, payee: str, entity: str = "") -> Any:
    where = ("--entity", entity) if entity else ()
    paid = country.json("send", "--from", payer, "--to", payee, "--amount", "25.50", *where)
    assert paid["state"] == "FINAL"
    return paid


def by_hand(country: SupervisedCountry, *words: str, code: int | None = 0) -> Any:
    done = country.call("iso", "send", "--as", BY_HAND, *words, "--json", code=code)
    return json.loads(done.stdout)


def names(country: SupervisedCountry, subject: str) -> list[str]:
    timeline = country.json("show", subject)["timeline"]
    return [row["message"] for row in timeline]


def test_a_coop_pays_a_wallet_and_both_wires_stand_in_one_timeline(
    country: SupervisedCountry,
) -> None:
    paid = send(country, an_account(country, CORE), YAPE_USER, YAPE)

    wires = names(country, paid["instruction_id"])
    assert {"0200", "0210", "CT2", "CT3", "CT5"} <= set(wires)
    shown = country.call("show", paid["instruction_id"]).stdout
    assert "0200 transfer S/ 25.50" in shown
    assert "00 approved" in shown


def test_a_bank_pays_a_coop_that_posts_on_the_order(country: SupervisedCountry) -> None:
    payee = an_account(country, OTHER_CORE)
    before = country.balance(OTHER_CORE, payee)

    paid = send(country, an_account(country, BANK), payee)

    assert country.balance(OTHER_CORE, payee) == before + 2550
    wires = names(country, paid["instruction_id"])
    assert {"CT1", "0200", "0210", "CT4"} <= set(wires)
    assert "CT5" not in wires
    assert "(0210)" in country.call("show", paid["instruction_id"]).stdout


def test_cores_of_two_variants_pay_each_other(country: SupervisedCountry) -> None:
    paid = send(country, an_account(country, OTHER_CORE), an_account(country, CORE))

    assert set(names(country, paid["instruction_id"])) == {"0200", "0210"}


def test_what_a_machine_did_not_hand_out_comes_back(country: SupervisedCountry) -> None:
    member = next(one for one in accounts(country, CORE) if one.get("card"))
    before = country.balance(CORE, member["cci"])
    wish = {"kind": "withdrawal", "card": member["card"], "amount": 10_000, "dispense": 4_000}

    status, answer = ask(country.ports[MACHINES], "POST", "/control/cash", wish)

    assert (status, answer["response_code"]) == (200, "00"), answer
    until(lambda: country.balance(CORE, member["cci"]) == before - 4_000, "the rest is back")


def test_cash_comes_in_at_an_agent(country: SupervisedCountry) -> None:
    payee = an_account(country, BANK)
    before = country.balance(BANK, payee)

    status, answer = ask(
        country.ports[MACHINES], "POST", "/control/cash",
        {"kind": "deposit", "cci": payee, "amount": 5_000},
    )  # fmt: skip

    assert (status, answer["response_code"]) == (200, "00"), answer
    until(lambda: country.balance(BANK, payee) == before + 5_000, "the deposit is credited")


def test_a_request_by_hand_is_answered_and_its_repeat_moves_nothing(
    country: SupervisedCountry,
) -> None:
    payee = an_account(country, OTHER_CORE)
    order = (
        *("--from", "97900100000000010156", "--to", payee, "--amount", "3.00"),
        *("--stan", "000777", "--rrn", "632700000777"),
    )
    before = country.balance(OTHER_CORE, payee)

    first = by_hand(country, *order)
    again = by_hand(country, *order, "--repeat")

    assert first["response_code"] == again["response_code"] == "00"
    assert first["instruction_id"] == again["instruction_id"]
    assert country.balance(OTHER_CORE, payee) == before + 300
    late = by_hand(
        country, "--kind", "reversal", "--amount", "3.00",
        "--stan", "000777", "--rrn", "632700000777", code=1,
    )  # fmt: skip
    assert late["response_code"] == "21"


def test_a_spoilt_mac_and_a_broken_frame_are_findings(country: SupervisedCountry) -> None:
    payee = an_account(country, OTHER_CORE)

    spoilt = by_hand(country, "--kind", "verify", "--to", payee, "--bad-mac", code=1)
    country.call(
        "iso", "send", "--as", BY_HAND, "--kind", "raw", "3032303000", "--no-answer", "--json"
    )

    assert spoilt["response_code"] == "96"
    until(lambda: kinds(country) >= {"bad_mac", "bad_format"}, "findings")
    told = country.call("iso", "findings", "--participant", BY_HAND).stdout
    assert "bad MAC" in told


def kinds(country: SupervisedCountry) -> set[str]:
    rows = country.json("iso", "findings", "--participant", BY_HAND)
    return {row["kind"] for row in rows}


def test_an_echo_is_answered(country: SupervisedCountry) -> None:
    assert by_hand(country, "--kind", "echo")["response_code"] == "00"


def test_every_book_agrees_afterwards(country: SupervisedCountry) -> None:
    country.operations.wait_until_quiet(20.0)
    until(lambda: all_told(country), "the notices of the sign-ons")
    # What was sent by hand is in no book of its sender.
    words = ("reconcile", "--books", "--skip", BY_HAND)
    agents = [word for code in country.operations.senders() for word in ("--skip", code)]

    country.call(*words, *agents)

    assert not any(country.get("/stuck").values())
    assert country.get("/audit")["clean"]


def all_told(country: SupervisedCountry) -> bool:
    # Who has no link is told as soon as it has one.
    by_hand(country, "--kind", "echo")
    return not country.get("/stuck")["notices_owed"]
