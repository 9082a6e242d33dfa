"""A creditor bank that fails: its breaker opens by the rule, routes change, and it closes again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.support.country import HURRIED, SupervisedCountry, until

BANK, PAYERS_BANK = "0003", "0002"
RULE = {"failed_percent": 50, "over_s": 1.0, "requests_min": 3, "source": "this test"}
RULES = {
    "breaker": {"half_open_after_s": 3.0, "operator": {BANK: RULE}},
}
TIMERS = {**HURRIED, "ct_expiry_s": 0.8, "av_expiry_s": 0.8}
DROPPED = 6_635
"""Cents of the order on which the creditor cuts the connection."""


def accounts(country: SupervisedCountry, code: str) -> list[str]:
    rows = country.hook(code, "accounts?limit=50")["accounts"]
    return [one["cci"] for one in rows if one["currency"] == "PEN" and one["cci"][3:6] == "999"]


def breaker(country: SupervisedCountry) -> str:
    rows = country.get("/breakers")["breakers"]
    mine = [one for one in rows if (one["participant"], one["rail"]) == (BANK, "tin")]
    return str(mine[0]["state"]).upper() if mine else "CLOSED"


def route(country: SupervisedCountry, payer: str, payee: str) -> Any:
    return country.get(f"/routes?from={payer}&to={payee}&amount=2500&currency=PEN&rail=auto")


def test_a_failing_bank_is_routed_around_until_it_works_again(tmp_path: Path) -> None:
    with SupervisedCountry(tmp_path / "home", timers=TIMERS, rules=RULES) as country:
        country.up()
        payers, payee = accounts(country, PAYERS_BANK), accounts(country, BANK)[0]

        def pay(number: int, cents: int) -> Any:
            order = {"debtor": payers[number], "creditor": {"cci": payee}, "amount": cents}
            return country.pay(PAYERS_BANK, order)

        assert pay(0, 2_500)["state"] == "FINAL"
        assert route(country, payers[0], payee)["rail"] == "tin"

        def fail(number: int) -> None:
            while breaker(country) == "CLOSED":
                pay(number, DROPPED)

        with ThreadPoolExecutor(3) as threads:
            list(threads.map(fail, (1, 2, 3)))

        assert breaker(country) == "OPEN"
        balance = country.balance(PAYERS_BANK, payers[4])
        refused = pay(4, 2_500)
        assert refused["state"] in {"REJECTED", "NOT_SENT"}
        assert country.balance(PAYERS_BANK, payers[4]) == balance
        around = route(country, payers[4], payee)
        assert around["rail"] == "deferred"
        skipped = next(one for one in around["considered"] if one["rail"] == "tin")
        assert not skipped["taken"]
        assert "breaker" in f"{skipped['rule']} {skipped['text']}"
        placed = country.json(
            "send", "--from", payers[4], "--to", payee, "--amount", "25.00", "--rail", "auto"
        )
        assert placed["rail"] == "deferred"

        until(lambda: pay(5, 2_500)["state"] == "FINAL", "a probe went through")
        assert breaker(country) == "CLOSED"
        assert route(country, payers[5], payee)["rail"] == "tin"
