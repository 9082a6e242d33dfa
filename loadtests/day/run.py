"""Lives one day: starts the country, lets everybody act at once, and has everything checked."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path

from loadtests.bench.child import NotReady, pin_self, unpin_self
from loadtests.bench.operations import NoSuchAnswer
from loadtests.day import report
from loadtests.day.book import DayBook
from loadtests.day.calls import Unanswered
from loadtests.day.checks import Checks, total_of_accounts
from loadtests.day.country import DayCountry
from loadtests.day.customers import customers, payees_of_agents
from loadtests.day.deeds import Operator
from loadtests.day.hooks import Hooks
from loadtests.day.payments import DEFERRED, LBTR, Payments
from loadtests.day.plan import BANK_AGENTS, COOP_AGENTS, Plan
from loadtests.day.wire import Quota, Wire
from scheme.clock import Clock

QUIET_S_MAX = 60.0
_LOOK_S = 0.02
_HOOKS_AT_ONCE = 16


async def live(
    plan: Plan, home: Path, folder: Path, clock: Clock, say: Callable[[str], None]
) -> report.Report:
    """Live a day and check it.

    Args:
        home: empty; the country's data.
        folder: takes the report, the generator's book and every file of every batch.

    Raises:
        Unanswered: the country went away for good, or something did not settle.
    """
    begun = time.monotonic()
    pin_self()
    try:
        with DayCountry(plan, home) as country:
            day = _Day(plan, country, clock, say)
            traffic_s = await day.pass_by()
            found = await asyncio.to_thread(day.judge, folder, begun, traffic_s)
    except ExceptionGroup as group:
        known, _ = group.split((Unanswered, NoSuchAnswer, NotReady))
        raise (group if known is None else _first(known)) from group
    finally:
        unpin_self()
    report.write(found, folder)
    return found


def _first(group: ExceptionGroup[Exception]) -> Exception:
    one = group.exceptions[0]
    return _first(one) if isinstance(one, ExceptionGroup) else one


class _Day:
    """Everybody who acts in one country on one day."""

    def __init__(
        self, plan: Plan, country: DayCountry, clock: Clock, say: Callable[[str], None]
    ) -> None:
        self._plan = plan
        self._country = country
        self._clock = clock
        self._deeds: list[str] = []
        self._said = say
        self.book = DayBook()
        self.operator = Operator(country, plan, self.book, self._say)
        self._everyone = customers(country.fleet)
        self._payees = payees_of_agents(country.api, self._everyone)
        self._total = total_of_accounts(country.api)

    async def pass_by(self) -> float:
        """Let all orders flow, close what is open, and return the seconds the orders took."""
        begun = time.monotonic()
        self._say(f"{self._plan.transfers} orders, seed {self._plan.seed}")
        async with asyncio.TaskGroup() as group:
            for task in self._senders():
                group.create_task(task)
            group.create_task(self.operator.work(self._until))
        traffic_s = time.monotonic() - begun
        self._say(f"{len(self.book)} orders answered in {traffic_s:.1f} s")
        await asyncio.to_thread(self._close)
        return traffic_s

    def judge(self, folder: Path, begun: float, traffic_s: float) -> report.Report:
        """Check everything there is, and return the report."""
        checks = Checks(self._country, self.book, self.operator, folder, self._total)
        batches, claims = checks.run()
        self.book.write(folder / "book.jsonl")
        return report.Report(
            transfers=len(self.book),
            seed=self._plan.seed,
            kills=self._country.kills,
            traffic_s=traffic_s,
            total_s=time.monotonic() - begun,
            orders=self.book.counts() | checks.endings(),
            batches=batches,
            claims=claims,
            deeds=tuple(self._deeds),
        )

    def _senders(self) -> list[Coroutine[None, None, None]]:
        plan, country, seed = self._plan, self._country, self._plan.seed
        banks = plan.in_flight * 2 // 3
        payments = Payments(country.operator_port, self._everyone, self.book, seed=seed)
        hooks = Hooks(
            country.fleet,
            self._everyone,
            self.book,
            quota=Quota(plan.hooked, 0),
            at_once=_HOOKS_AT_ONCE,
            seed=seed,
        )
        return [
            self._wire(BANK_AGENTS, Quota(plan.by_banks, plan.silences), banks).run(),
            self._wire(COOP_AGENTS, Quota(plan.by_coops, 1), plan.in_flight - banks).run(),
            hooks.run(),
            payments.run(DEFERRED, plan.deferred, until=self._until),
            payments.run(LBTR, plan.lbtr, until=self._until),
        ]

    def _wire(self, codes: Sequence[str], quota: Quota, in_flight: int) -> Wire:
        return Wire(
            self._country.tin_port,
            codes,
            self._payees.__getitem__,
            self.book,
            self._clock,
            quota=quota,
            in_flight=in_flight,
            seed=self._plan.seed,
        )

    def _close(self) -> None:
        operations = self._country.operations
        operations.wait_until_quiet(QUIET_S_MAX)
        self.operator.close_everything()
        operations.wait_until_quiet(QUIET_S_MAX)

    async def _until(self, thousandth: int) -> None:
        """Wait until a share of the orders has its answer."""
        wanted = self._plan.transfers * thousandth // 1000
        while len(self.book) < wanted:  # noqa: ASYNC110 - a poll that costs the load nothing
            await asyncio.sleep(_LOOK_S)

    def _say(self, text: str) -> None:
        self._deeds.append(text)
        self._said(text)
