"""Two cores load a third that answers in any order, late, never, and what nobody has asked for."""

from __future__ import annotations

import random
import threading
from collections import Counter
from concurrent.futures import Future
from pathlib import Path

import pytest

from scheme.wire.iso8583_spec import Fields
from tests.support.country import until
from tests.support.scripted_core import LinkLost, ScriptedCore, Shuffled, private, repeat_of
from tests.support.scripted_country import CREDITOR, DEBTOR, QUICK, SECOND_DEBTOR, LoneSwitch

EXPIRY_S = 1.5
LATE_S = 1.8
SOAK = (pytest.mark.soak, pytest.mark.timeout(900))


class Load:
    """Orders of several cores, each of an amount of its own, and what each was answered."""

    def __init__(self, country: LoneSwitch, in_flight: int) -> None:
        self._country = country
        self._in_flight = in_flight
        self._room = threading.Semaphore(in_flight)
        self.orders: list[tuple[ScriptedCore, Fields]] = []
        self.answers: dict[int, Fields] = {}

    def run(self, transfers: int) -> None:
        """Send orders as long as there is room, and wait for the answer of each."""
        cores = [self._country.cores[code] for code in (DEBTOR, SECOND_DEBTOR)]
        for number in range(transfers):
            core = cores[number % len(cores)]
            self.orders.append((core, core.transfer(CREDITOR, 100 + number)))
            self._send(number, self.orders[-1][1])
        self._drain()

    def _send(self, number: int, fields: Fields) -> None:
        self._room.acquire()
        self.orders[number][0].order(fields).add_done_callback(
            lambda done: self._ended(number, done)
        )

    def _ended(self, number: int, done: Future[Fields]) -> None:
        if done.exception() is None:
            assert number not in self.answers, "answered twice"
            self.answers[number] = done.result()
        self._room.release()

    def _drain(self) -> None:
        for _ in range(self._in_flight):
            assert self._room.acquire(timeout=30), "an order without an answer"
        for _ in range(self._in_flight):
            self._room.release()

    def assert_matched(self) -> set[str]:
        """Return the ids of what was approved: every answer is to its own order, and true."""
        approved = {}
        for number, answer in self.answers.items():
            _, order = self.orders[number]
            for element in ("4", "7", "11", "32", "37", "102", "103"):
                assert answer[element] == order[element]
            if answer["39"] == "00":
                approved[private(answer)["01"]] = int(order["4"])
        assert len(self.answers) == len(self.orders)
        assert self._country.cores[CREDITOR].stands() == approved
        return set(approved)


@pytest.mark.parametrize(
    ("transfers", "in_flight", "seed"),
    [
        (600, 128, 31),
        *(pytest.param(20_000, size, seed, marks=SOAK) for size, seed in ((64, 32), (256, 33))),
    ],
)
def test_answers_in_any_order_belong_to_their_orders(
    tmp_path: Path, transfers: int, in_flight: int, seed: int
) -> None:
    members = (DEBTOR, SECOND_DEBTOR, CREDITOR)
    timers = {**QUICK, "ct_expiry_s": EXPIRY_S}
    with LoneSwitch(tmp_path / "home", members, links=2, timers=timers) as country:
        creditor = country.cores[CREDITOR]
        shuffled = Shuffled(seed, depth=in_flight // 2, late_s=LATE_S)
        creditor.always("0200/40", shuffled)
        load = Load(country, in_flight)

        load.run(transfers)
        shuffled.stop()

        told = shuffled.report
        until(lambda: country.counts(CREDITOR)["late"] == told["late"], "late answers")
        country.assert_books_equal()
        country.assert_reconciled()
        approved = load.assert_matched()
        silent = told["dropped"] + told["late"]
        assert silent
        assert len(approved) == transfers - silent
        assert creditor.count("0420") == silent
        counts = country.counts(CREDITOR)
        assert counts["asked"] == transfers + silent
        assert counts["answers"] == transfers - told["dropped"] - told["late"] + silent
        assert counts["unmatched"] == told["stray"] > 0
        assert counts["duplicate"] == 0
        assert counts["out_of_order"] > 0
        states = Counter(one["state"] for one in country.transfers())
        assert states == {"CONFIRMED": len(approved), "CANCELLED": silent}
        for code in (DEBTOR, SECOND_DEBTOR):
            assert not country.cores[code].strays
            assert country.counts(code)["answered"] == transfers // 2
