"""Machines take back what they did not give out, while the switch is killed again and again."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scheme.wire.iso8583_spec import Fields
from tests.support.country import until
from tests.support.scripted_core import LinkLost, ScriptedCore, private, reversal_of
from tests.support.scripted_country import CARD, ISSUER, MACHINES, LoneSwitch
from tests.support.shuffled_answers import Shuffled

MACHINES_AT_ONCE = 24
WITHDRAWALS_EACH = 60
STRIKES = 5
_AGAIN_S = 0.05


class Machine:
    """One cash machine: what its customers got, by withdrawal."""

    def __init__(self, core: ScriptedCore, rng: random.Random) -> None:
        self._core = core
        self._rng = rng
        self.given: dict[str, int] = {}
        self.ended = 0

    def run(self) -> None:
        """Give out cash, or less of it, or none; ask again until there is an answer."""
        for _ in range(WITHDRAWALS_EACH):
            minor = self._rng.randrange(2, 100) * 1000
            order = self._core.withdrawal(minor, card=CARD)
            if self._rng.random() < 0.1:
                self._given_up(order)
            else:
                self._withdrawn(order, minor)
            self.ended += 1

    def _given_up(self, order: Fields) -> None:
        """Take it back while it is under way."""
        asking = threading.Thread(target=self._ask, args=(order,))
        asking.start()
        assert self._ask(reversal_of(order))["39"] in ("00", "25")
        asking.join()

    def _withdrawn(self, order: Fields, minor: int) -> None:
        answer = self._ask(order)
        if answer["39"] != "00":
            assert self._ask(reversal_of(order))["39"] in ("00", "25")
            return
        subject = private(answer)["01"]
        self.given[subject] = minor
        if self._rng.random() < 0.4:
            dispensed = self._rng.choice((None, self._rng.randrange(minor // 1000 + 1) * 1000))
            for repeated in (False, True):
                reversal = reversal_of(order, dispensed=dispensed, repeated=repeated)
                assert self._ask(reversal)["39"] == "00"
            self.given[subject] = dispensed or 0

    def _ask(self, fields: Fields) -> Fields:
        while True:
            try:
                return self._core.ask(fields)
            except LinkLost:
                fields = fields | {"t": fields["t"][:3] + "1"}
                time.sleep(_AGAIN_S)
                self._core.signed_on()


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [51, 52, 53])
def test_cash_is_paid_for_once_and_given_back_once(tmp_path: Path, seed: int) -> None:
    rules = {"iso8583": {"cash_answer_s": 1.5}}
    with LoneSwitch(tmp_path / "home", (ISSUER, MACHINES), links=2, rules=rules) as country:
        issuer, core = country.cores[ISSUER], country.cores[MACHINES]
        shuffled = Shuffled(seed, depth=16, late_s=1.8, cuts=0.002)
        issuer.always("0200/01", shuffled)
        machines = [
            Machine(core, random.Random(f"{seed}:{number}")) for number in range(MACHINES_AT_ONCE)
        ]
        with ThreadPoolExecutor(MACHINES_AT_ONCE) as threads:
            running = [threads.submit(machine.run) for machine in machines]
            part = MACHINES_AT_ONCE * WITHDRAWALS_EACH // (STRIKES + 1)
            for nth in range(1, STRIKES + 1):
                until_ended(machines, part * nth)
                country.kill_now()
                country.restart()
            for one in running:
                one.result()
        shuffled.stop()

        country.assert_books_equal()
        country.assert_reconciled()
        given = {key: minor for one in machines for key, minor in one.given.items()}
        assert {key: -minor for key, minor in given.items() if minor} == issuer.stands()


def until_ended(machines: list[Machine], withdrawals: int) -> None:
    """Wait until so many withdrawals are over."""
    until(lambda: sum(one.ended for one in machines) >= withdrawals, "withdrawals")
