"""A country whose cores lose their links, or are killed, between a 0200 and its 0210."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.country import SupervisedCountry, until
from tests.support.scripted_core import Link, ScriptedCore, account, cut, private, silence
from tests.support.scripted_country import CREDITOR, QUICK, entry

BANK, CORE = "0002", "0975"
INSTITUTIONS = {
    BANK: 'kind = "bank"',
    CORE: 'kind = "coop"\nlane = "iso8583"\niso8583 = { mac = "aes-cmac", bins = ["970975"] }',
}
ORDER, REVERSAL = "0200/40", "0420"
SOLES = 2_550
TIMERS = {**QUICK, "ct_expiry_s": 0.8, "originator_ct_timeout_s": 2.0}
OPEN = {"PENDING", "SENT", "HELD", "NEW"}


class Played(SupervisedCountry):
    """The country, and the core that the test plays."""

    creditor: ScriptedCore

    def payer(self, code: str) -> str:
        """Return an account of an institution's member."""
        rows = self.hook(code, "accounts?limit=50")["accounts"]
        return str(next(row["cci"] for row in rows if row["currency"] == "PEN"))

    def ordered(self, code: str) -> dict[str, Any]:
        """Return a payment to the played core's member."""
        payee = {"cci": account(CREDITOR)}
        return {"debtor": self.payer(code), "creditor": payee, "amount": SOLES}

    def subject(self) -> str:
        """Return the id of the order that the played core got last."""
        orders = [one.fields for one in self.creditor.heard if one.fields["t"] == "0200"]
        return private(orders[-1])["01"]

    def state(self, subject: str) -> str:
        """Return a transfer's state."""
        return str(self.get(f"/transfers/{subject}")["transfer"]["state"])

    def unlike(self) -> list[str]:
        """Return the orders on which the books do not agree."""
        codes = (CREDITOR, *self.operations.senders())
        skip = [word for code in codes for word in ("--skip", code)]
        said = self.call("reconcile", "--books", "--wait", "0", "--json", *skip, code=None)
        found = json.loads(said.stdout)
        assert found["ledger_clean"], found
        return [one["instruction_id"] for one in (*found["different"], *found["not_yet"])]

    def assert_equal(self) -> None:
        """Nothing is in flight, and the played core's book is the ledger's."""
        self.operations.wait_until_quiet(20)
        paid = {
            one["instruction_id"]: one["amount"]
            for one in self.transfers()
            if one["creditor_agent"] == CREDITOR and one["state"] == "CONFIRMED"
        }
        stands = self.creditor.stands()
        for one in self.get("/stuck")["disputed"]:
            stands.pop(one["instruction_id"])
        assert stands == paid


@pytest.fixture(scope="module")
def country(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    home = tmp_path_factory.mktemp("cut-and-kill") / "home"
    with Played(home, institutions=INSTITUTIONS, customers=8, timers=TIMERS) as country:
        with country.fleet_file.open("a") as file:
            file.write(entry(CREDITOR))
        country.up()
        country.creditor = ScriptedCore(country.home, CREDITOR, country.iso8583_port)
        yield country
        until(lambda: country.unlike() == [], "all books agree")
        country.creditor.stop()


@pytest.fixture
def creditor(country: Played) -> Iterator[ScriptedCore]:
    core = country.creditor
    core.signed_on()
    until(lambda: linked(country, CORE), "the simulated core's link")
    core.heard.clear()
    yield core
    core.clear()
    core.refuses = ""
    country.assert_equal()


def linked(country: Played, code: str) -> bool:
    rows = country.get("/iso8583/links")["participants"]
    return any(one["participant"] == code and one["links"] for one in rows)


@pytest.mark.parametrize("code", [BANK, CORE])
def test_an_order_whose_link_was_cut_is_undone_once_when_the_link_is_back(
    country: Played, creditor: ScriptedCore, code: str
) -> None:
    order = country.ordered(code)
    before = creditor.balance, country.balance(code, order["debtor"])

    def gone(_: Any, link: Link) -> None:
        threading.Thread(target=creditor.hang_up).start()
        link.cut()

    creditor.once(ORDER, gone)
    paid = country.pay(code, order)
    assert paid["state"] not in ("FINAL", *OPEN)
    subject = country.subject()
    assert country.state(subject) == "EXPIRED"
    creditor.dial()

    until(lambda: country.state(subject) == "CANCELLED", "undone")
    reversals = [one.fields for one in creditor.heard if one.fields["t"][:2] == "04"]
    assert len(reversals) == 1
    assert (creditor.balance, country.balance(code, order["debtor"])) == before
    wires = {row["message"] for row in country.json("show", subject)["timeline"]}
    assert {"0200", "0420", "0430"} <= wires or {"0200", "0421", "0430"} <= wires


def test_a_reversal_without_an_answer_is_repeated_until_there_is_one(
    country: Played, creditor: ScriptedCore
) -> None:
    creditor.once(ORDER, cut)
    creditor.once(REVERSAL, silence)
    creditor.once(REVERSAL, cut)

    country.pay(BANK, country.ordered(BANK))

    until(lambda: country.state(country.subject()) == "CANCELLED", "undone")
    assert creditor.types() == ["0200", "0420", "0421", "0421"]


def test_a_core_that_keeps_the_money_is_a_dispute_wherever_one_looks(
    country: Played, creditor: ScriptedCore, tmp_path: Path
) -> None:
    before = creditor.balance
    creditor.once(ORDER, cut)
    creditor.refuses = "57"

    paid = country.pay(BANK, country.ordered(BANK))

    assert paid["state"] not in ("FINAL", *OPEN)
    subject = country.subject()
    until(lambda: country.state(subject) == "DISPUTED", "disputed")
    assert creditor.balance == before + SOLES
    assert subject in country.call("stuck", code=None).stdout
    shown = country.call("show", subject).stdout
    assert "0430" in shown
    assert "dispute" in shown
    window = country.get(f"/transfers/{subject}")["transfer"]["window"]
    country.call("settle", "close", window)
    until(lambda: country.get(f"/batches/{window}/files").get("files"), "files")
    country.call("settle", "files", window, "--to", str(tmp_path))
    lines = [
        line
        for file in tmp_path.iterdir()
        for line in file.read_text(errors="replace").splitlines()
        if subject in line
    ]
    assert any("DISP" in line for line in lines), lines


def test_a_killed_switch_expires_what_it_had_asked_and_the_payer_is_told(
    country: Played, creditor: ScriptedCore
) -> None:
    order, key = country.ordered(BANK), "killed-switch"
    before = creditor.balance, country.balance(BANK, order["debtor"])
    former = country.children["switch"]

    def strike(_: Any, __: Link) -> None:
        country.kill("switch")

    creditor.once(ORDER, strike)
    country.pay(BANK, order, key)
    country.until_back("switch", former)
    creditor.signed_on()

    until(lambda: country.pay(BANK, order, key)["state"] not in OPEN, "the payer knows")
    assert country.pay(BANK, order, key)["state"] != "FINAL"
    until(lambda: country.state(country.subject()) == "CANCELLED", "undone")
    assert creditor.types() in (["0200", "0420"], ["0200", "0421"])
    assert (creditor.balance, country.balance(BANK, order["debtor"])) == before


@pytest.mark.parametrize("answers", [True, False])
def test_a_debtors_core_killed_before_its_answer_ends_its_members_payment(
    country: Played, creditor: ScriptedCore, answers: bool
) -> None:
    order, key = country.ordered(CORE), f"killed-core-{answers}"
    before = creditor.balance, country.balance(CORE, order["debtor"])
    former = country.children["participants"]

    def strike(answer: Any, _: Link) -> Any:
        country.kill("participants")
        return answer if answers else None

    creditor.once(ORDER, strike)
    with suppress(OSError, http.client.HTTPException):
        country.pay(CORE, order, key)
    country.until_back("participants", former)
    until(lambda: linked(country, CORE), "its link")

    until(lambda: country.pay(CORE, order, key)["state"] not in OPEN, "its payment ends")
    ended = country.pay(CORE, order, key)
    until(lambda: country.state(country.subject()) not in ("RESERVED", "EXPIRED"), "over")
    spent = SOLES + ended["fee"] if ended["state"] == "FINAL" else 0
    received = SOLES if ended["state"] == "FINAL" else 0
    assert (ended["state"] == "FINAL") == answers
    assert creditor.balance == before[0] + received
    assert country.balance(CORE, order["debtor"]) == before[1] - spent
    assert creditor.count(ORDER) == 1
