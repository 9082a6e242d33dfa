"""Customers of the simulated institutions who pay through the control API, whatever breaks."""

from __future__ import annotations

import asyncio
import http.client
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from tests.support.country import Country, until
from tests.support.load import PAYEES_EACH

_PAYERS = 8
_AGAIN_S = 0.1
_BREATH_S = 0.05
_PATIENCE_S = 40.0
_PAID = {"POSTED", "CONFIRMED"}


@dataclass(slots=True)
class Payers:
    """Payments under keys of their own, each asked for until it is answered.

    Args:
        seed: of who pays whom, and how much.
    """

    country: Country
    seed: int
    orders: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    _opening: dict[tuple[str, str], int] = field(default_factory=dict)
    _stop: bool = False

    async def run(self) -> None:
        """Keep some payments on their way until told to stop."""
        everyone = await asyncio.to_thread(self._customers)
        loop = asyncio.get_running_loop()
        # Not the loop's own threads: these are kept busy for as long as the load lasts.
        with ThreadPoolExecutor(_PAYERS) as threads:
            paying = []
            for number in range(_PAYERS):
                rng = random.Random(f"{self.seed}:{number}")
                task = loop.run_in_executor(threads, self._keep_paying, number, everyone, rng)
                paying.append(task)
            await asyncio.gather(*paying)

    def stop(self) -> None:
        """Begin no more payments."""
        self._stop = True

    def assert_ended(self) -> None:
        """Every payment ends final or given back, as the ledger has it; no account disagrees."""
        assert self.orders
        ended = {key: self._ended(*made, key) for key, made in self.orders.items()}
        # Read after the last of them has ended: what was pending may be posted only then.
        ledger = {one["instruction_id"]: one for one in self.country.transfers()}
        spent: Counter[tuple[str, str]] = Counter()
        for key, (code, order) in self.orders.items():
            end = ended[key]
            posted = ledger.get(end["instruction_id"], {}).get("state") in _PAID
            assert posted == (end["state"] == "FINAL"), (key, end)
            if posted:
                spent[code, order["debtor"]] += end["amount"] + end["fee"]
        assert spent
        received = self._received()
        for (code, cci), opening in self._opening.items():
            account = self.country.hook(code, f"accounts/{cci}")
            assert account["held"] == 0
            expected = opening - spent[code, cci] + received[code, cci]
            assert account["balance"] == expected, (code, cci)

    def _received(self) -> Counter[tuple[str, str]]:
        """Return what was credited to the payers themselves, as their books say."""
        found: Counter[tuple[str, str]] = Counter()
        for code in {code for code, _ in self._opening}:
            for one in self.country.movements(code):
                if one["role"] == "creditor" and one["state"] == "FINAL":
                    found[code, one["cci"]] += one["amount"]
        return found

    def _ended(self, code: str, order: dict[str, Any], key: str) -> Any:
        """Return how a payment ended; whoever repeats it under its key is told."""
        until(lambda: self.country.pay(code, order, key)["state"] != "PENDING", key)
        return self.country.pay(code, order, key)

    def _customers(self) -> list[dict[str, Any]]:
        found = []
        for code in ("0970", "0971", "0003"):
            rows = self.country.hook(code, "accounts?limit=50")["accounts"]
            # The load pays the first ones: what these here receive comes from payers alone.
            found += [one for one in rows[2 * PAYEES_EACH :] if one["currency"] == "PEN"]
        assert found
        for one in found:
            account = (one["participant"], one["cci"])
            self._opening[account] = self.country.balance(*account)
        return found

    def _keep_paying(self, number: int, everyone: list[dict[str, Any]], rng: random.Random) -> None:
        made = 0
        while not self._stop:
            payer, payee = rng.sample(everyone, 2)
            if payer["participant"] == payee["participant"]:
                continue
            order = {
                "debtor": payer["cci"],
                "creditor": {"cci": payee["cci"]},
                "amount": rng.randint(100, 900),
            }
            key = f"payer-{number}-{made}"
            made += 1
            self._ask_until_answered(payer["participant"], order, key)
            time.sleep(_BREATH_S)

    def _ask_until_answered(self, code: str, order: dict[str, Any], key: str) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                self.country.pay(code, order, key)
            except (OSError, http.client.HTTPException):
                assert time.monotonic() < deadline, f"{key}: no answer"
                time.sleep(_AGAIN_S)
            else:
                self.orders[key] = (code, order)
                return
