"""What the operator does during the day, and to the switch when it is killed meanwhile."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from loadtests.day.book import ACCEPTED, DayBook, Line
from loadtests.day.calls import Api, Unanswered
from loadtests.day.country import DayCountry
from loadtests.day.plan import APPROVERS, SCRIPT, Deed, Plan
from scheme.batch import CLOSED, FAILED, OPEN, PARTIAL, SETTLED

ENDS = frozenset({SETTLED, PARTIAL, FAILED})
_CURRENCY = "PEN"
_STRIKE_S = (0.0, 0.08)
"""After a window was asked to close: recount and settlement take about as long."""
_STRUCK = frozenset({"deferred", "national"})
"""Cycles after whose closing the switch is killed, if it is at all."""
_RETURNS_IN_THOUSAND = 1
_LOOK_S = 0.1
_SETTLE_S_MAX = 120.0
_DONE = frozenset({200, 201, 202})
_CONFLICT = 409

Say = Callable[[str], None]


class Operator:
    """One person with the operator port, and a hand on the power switch.

    Args:
        say: told what is done, in a line.
    """

    def __init__(self, country: DayCountry, plan: Plan, book: DayBook, say: Say) -> None:
        self._country = country
        self._api = country.api
        self._plan = plan
        self._book = book
        self._say = say
        self._rng = random.Random(f"{plan.seed}:operator")
        self._withdrawn: dict[str, int] = {}
        self.returns: list[tuple[Line, int, Mapping[str, Any]]] = []
        """Each return: the order, the cents, and what the clearing house answered."""
        self.brought = 0
        """Cents that came to the current accounts from outside, less what left them."""
        self._number = 0

    async def work(self, until: Callable[[int], Awaitable[None]]) -> None:
        """Do what the script says, each deed in its time."""
        for deed in SCRIPT:
            await until(deed.at)
            await asyncio.to_thread(self._do, deed)

    def _do(self, deed: Deed) -> None:
        match deed.name:
            case "close":
                self._close(deed.about)
            case "withdraw":
                self._withdraw(deed.about)
            case "deposit":
                self._deposit(deed.about)
            case "fund":
                self._move(deed.about, "funding", self._plan.poor_prefund)
            case "draw":
                self._move(deed.about, "drawdown", 1_000_000)
            case "return":
                self._return_some()
            case _:
                raise ValueError(deed.name)

    def close_everything(self) -> None:
        """Close every window that is open now, and wait until all batches are at an end."""
        still_open = [one["window"] for one in self.windows() if one["state"] == OPEN]
        self._close_windows(still_open, struck=True)
        self.wait_until_settled()

    def wait_until_settled(self, *cycles: str) -> None:
        """Approve what waits for approval, until every window that was closed is at an end.

        Args:
            cycles: only theirs; none: all.

        Raises:
            Unanswered: not in time.
        """
        deadline = time.monotonic() + _SETTLE_S_MAX
        while waiting := [
            one
            for one in self.windows()
            if one["state"] not in ENDS | {OPEN} and (not cycles or one["cycle"] in cycles)
        ]:
            for one in waiting:
                self._approve(one)
            if time.monotonic() > deadline:
                raise Unanswered(f"not settled in {_SETTLE_S_MAX:.0f} s: {waiting}")
            time.sleep(_LOOK_S)

    def windows(self) -> list[Mapping[str, Any]]:
        """Return all windows as the operator port shows them."""
        found: list[Mapping[str, Any]] = self._api.get("/windows")["windows"]
        return found

    def _close(self, cycle: str) -> None:
        wanted = (cycle, _CURRENCY, OPEN)
        still_open = [
            one["window"]
            for one in self.windows()
            if (one["cycle"], one["currency"], one["state"]) == wanted
        ]
        self._close_windows(still_open, struck=cycle in _STRUCK)
        for one in self.windows():
            self._approve(one)

    def _close_windows(self, windows: Sequence[str], *, struck: bool) -> None:
        """Close windows; the switch may be killed while it closes and settles them."""
        with ThreadPoolExecutor(1) as beside:
            closing = beside.submit(self._close_each, windows)
            if struck and self._plan.kill:
                self._strike()
            closing.result()

    def _close_each(self, windows: Sequence[str]) -> None:
        for one in windows:
            self._close_window(one)

    def _close_window(self, window: str) -> None:
        status, answer = self._api.post(f"/windows/{window}/close")
        # Closed by a former call whose answer was lost, or by its own cut-off meanwhile.
        if status not in _DONE | {_CONFLICT}:
            raise Unanswered(f"closing {window}: HTTP {status}: {answer}")
        self._say(f"closed {window}")

    def _strike(self) -> None:
        time.sleep(self._rng.uniform(*_STRIKE_S))
        away = self._country.kill_switch()
        self._say(f"kill -9 of the switch; back after {away:.1f} s")

    def _approve(self, one: Mapping[str, Any]) -> None:
        if one["state"] != CLOSED or not self._plan.approvals:
            return
        for name in APPROVERS[: self._plan.approvals]:
            self._api.post(f"/batches/{one['window']}/approve", {"as": name})

    def _withdraw(self, code: str) -> None:
        cents = available(self._api, code)
        self._lbtr(code, "withdrawal", cents)
        self._withdrawn[code] = cents

    def _deposit(self, code: str) -> None:
        # Money that came while its pay-in still waits in the queue would save it.
        self.wait_until_settled("deferred")
        self._lbtr(code, "deposit", self._withdrawn.pop(code))

    def _lbtr(self, code: str, what: str, cents: int) -> None:
        content = {"currency": _CURRENCY, "amount": cents}
        self._done(f"/lbtr/lbtr/{code}/{what}", content)
        self.brought += cents if what == "deposit" else -cents
        self._say(f"{what} of {cents / 100:,.2f} by {code}")

    def _move(self, code: str, what: str, cents: int) -> None:
        self._done(f"/positions/{code}/{what}", {"currency": _CURRENCY, "amount": cents})
        self._say(f"{what} of {cents / 100:,.2f} for {code}")

    def _return_some(self) -> None:
        taken = [one for one in self._book.of_way("hook") if one.outcome == ACCEPTED]
        before = {one.order_id for one, _, _ in self.returns}
        taken = [one for one in taken if one.order_id not in before]
        count = min(len(taken), max(2, self._plan.transfers * _RETURNS_IN_THOUSAND // 1000))
        for one in self._rng.sample(taken, count):
            self._return(one)
        self._say(f"returned {count} transfers")

    def _return(self, one: Line) -> None:
        cents = one.amount if self._rng.random() < 0.5 else max(one.amount // 3, 1)
        content = {"amount": cents, "reason": "FRAD"}
        answer = self._done(f"/transfers/{one.order_id}/returns", content)
        self.returns.append((one, cents, answer))

    def _done(self, path: str, content: object) -> Any:
        self._number += 1
        status, answer = self._api.post(path, content, f"operator-{self._number}")
        if status not in _DONE:
            raise Unanswered(f"POST {path} {content}: HTTP {status}: {answer}")
        return answer


def available(api: Api, code: str) -> int:
    """Return what lies on a participant's current account, in cents."""
    for one in api.get("/lbtr")["accounts"]:
        mine = (one["ledger"], one["currency"], one["account"]) == ("lbtr", _CURRENCY, code)
        if mine:
            return int(one["balance"])
    raise Unanswered(f"no current account of {code}")
