"""Two cores load a third that answers in any order, late, never, and what nobody has asked for."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, deque
from concurrent.futures import Future
from pathlib import Path

import pytest

from scheme.wire.iso8583_spec import Fields
from tests.support.country import until
from tests.support.scripted_core import LinkLost, ScriptedCore, private, reversal_of
from tests.support.scripted_country import CREDITOR, DEBTOR, QUICK, SECOND_DEBTOR, LoneSwitch
from tests.support.shuffled_answers import Shuffled

EXPIRY_S, LATE_S = 1.0, 1.3
SOAK_EXPIRY_S, SOAK_LATE_S = 1.5, 1.8
SOAK = (pytest.mark.soak, pytest.mark.timeout(900))


class Load:
    """Orders of several cores, each of an amount of its own, and what each was answered.

    Args:
        taken_back: share of the orders that their core takes back while they are under way.
    """

    def __init__(
        self, country: LoneSwitch, in_flight: int, *, seed: int = 0, taken_back: float = 0.0
    ) -> None:
        self._country = country
        self._in_flight = in_flight
        self._room = threading.Semaphore(in_flight)
        self._rng = random.Random(seed)
        self._taken_back = taken_back
        self._again: deque[tuple[int, Fields]] = deque()
        self.orders: list[tuple[ScriptedCore, Fields]] = []
        self.answers: dict[int, Fields] = {}
        self.reversals: dict[int, Fields] = {}
        self.faults: list[str] = []

    def until_answered(self, orders: int) -> None:
        """Wait until so many orders have their answer."""
        until(lambda: len(self.answers) >= orders, f"{orders} answers")

    def run(self, transfers: int) -> None:
        """Send orders as long as there is room; ask for each until it is answered."""
        cores = [self._country.cores[code] for code in (DEBTOR, SECOND_DEBTOR)]
        for number in range(transfers):
            core = cores[number % len(cores)]
            self.orders.append((core, core.transfer(CREDITOR, 100 + number)))
            self._send(number, self.orders[-1][1])
            if self._rng.random() < self._taken_back:
                self._send(number, reversal_of(self.orders[-1][1]))
            self._ask_again()
        self._drain()

    def _send(self, number: int, fields: Fields) -> None:
        assert self._room.acquire(timeout=30), "no order is answered"
        try:
            answer = self.orders[number][0].order(fields)
        except LinkLost:
            self._lost(number, fields)
        else:
            answer.add_done_callback(lambda done: self._ended(number, fields, done))

    def _ended(self, number: int, fields: Fields, done: Future[Fields]) -> None:
        if done.exception() is not None:
            self._lost(number, fields)
            return
        answers = self.answers if done.result()["t"] == "0210" else self.reversals
        if number in answers:
            self.faults.append(f"{number}: answered twice")
        answers[number] = done.result()
        self._room.release()

    def _lost(self, number: int, fields: Fields) -> None:
        self._again.append((number, fields | {"t": fields["t"][:3] + "1"}))
        self._room.release()

    def _ask_again(self) -> None:
        while self._again:
            core = self.orders[self._again[0][0]][0]
            core.signed_on()
            self._send(*self._again.popleft())

    def _drain(self) -> None:
        deadline = time.monotonic() + 60
        while True:
            self._ask_again()
            for _ in range(self._in_flight):
                assert self._room.acquire(timeout=30), "an order without an answer"
            for _ in range(self._in_flight):
                self._room.release()
            if not self._again:
                return
            assert time.monotonic() < deadline

    def assert_matched(self) -> set[str]:
        """Return the ids of what was approved: every answer is to its own order, and true."""
        assert not self.faults
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
    ("transfers", "in_flight", "seed", "expiry_s", "late_s"),
    [
        (400, 64, 31, EXPIRY_S, LATE_S),
        *(
            pytest.param(transfers, size, seed, SOAK_EXPIRY_S, SOAK_LATE_S, marks=SOAK)
            for transfers, size, seed in ((600, 128, 31), (20_000, 64, 32), (20_000, 256, 33))
        ),
    ],
)
def test_answers_in_any_order_belong_to_their_orders(
    tmp_path: Path, transfers: int, in_flight: int, seed: int, expiry_s: float, late_s: float
) -> None:
    members = (DEBTOR, SECOND_DEBTOR, CREDITOR)
    timers = {**QUICK, "ct_expiry_s": expiry_s}
    with LoneSwitch(tmp_path / "home", members, links=2, timers=timers) as country:
        creditor = country.cores[CREDITOR]
        shuffled = Shuffled(seed, depth=in_flight // 2, late_s=late_s)
        creditor.always("0200/40", shuffled)
        load = Load(country, in_flight)
        until(lambda: not country.get("/stuck")["notices_owed"], "the notices of the sign-ons")
        noticed = country.counts(CREDITOR)

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
        assert counts["asked"] - noticed["asked"] == transfers + silent
        assert (
            counts["answers"] - noticed["answers"]
            == transfers - told["dropped"] - told["late"] + silent
        )
        assert counts["unmatched"] == told["stray"] > 0
        assert counts["duplicate"] == 0
        assert counts["out_of_order"] > 0
        states = Counter(one["state"] for one in country.transfers())
        assert states == {"CONFIRMED": len(approved), "CANCELLED": silent}
        for code in (DEBTOR, SECOND_DEBTOR):
            assert not country.cores[code].strays
            assert country.counts(code)["answered"] == transfers // 2


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("transfers", "strikes", "seed"), [(15_000, 6, 41), (15_000, 6, 42)])
def test_no_order_is_lost_or_doubled_while_the_switch_is_killed(
    tmp_path: Path, transfers: int, strikes: int, seed: int
) -> None:
    members = (DEBTOR, SECOND_DEBTOR, CREDITOR)
    timers = {**QUICK, "ct_expiry_s": SOAK_EXPIRY_S}
    with LoneSwitch(tmp_path / "home", members, links=2, timers=timers) as country:
        shuffled = Shuffled(seed, depth=64, late_s=SOAK_LATE_S, cuts=0.001)
        country.cores[CREDITOR].always("0200/40", shuffled)
        load = Load(country, 128, seed=seed, taken_back=0.05)

        def strike() -> None:
            for nth in range(1, strikes + 1):
                load.until_answered(transfers * nth // (strikes + 1))
                country.kill_now()
                country.restart()

        saboteur = threading.Thread(target=strike)
        saboteur.start()
        load.run(transfers)
        saboteur.join()
        shuffled.stop()

        country.assert_books_equal()
        country.assert_reconciled()
        approved = load.assert_matched()
        assert transfers * 0.7 < len(approved) < transfers
        for number, answer in load.reversals.items():
            # An order that came first has an outcome, and its reversal says the same.
            was_posted = load.answers[number]["39"] == "00"
            assert answer["39"] == "21" if was_posted else answer["39"] in ("00", "25")
