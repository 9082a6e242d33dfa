"""Random streams of commands against an independent, simpler model of the money."""

import random
from collections import Counter
from pathlib import Path

import pytest

from clearing.ledger_sqlite import SqliteLedger
from scheme.ledger import DALE, NATIONAL, Account, Applied, Command, Entry, Short
from tests.support.ledger_fakes import (
    a_move,
    a_post,
    a_release,
    a_reserve,
    an_account,
    an_entry,
    an_opening,
    an_oppose,
)

OWNERS = ("0002", "0970", "0971", "0987")
CURRENCIES = ("PEN", "USD")
LEDGERS = (NATIONAL, DALE)
PREFUND = 500
STEPS = 250


class Model:
    """Balances and holds as one would keep them on paper: no indexes, no groups, no memory."""

    def __init__(self) -> None:
        self.balance: Counter[Account] = Counter()
        self.reserved: Counter[Account] = Counter()
        self.state: dict[str, str] = {}
        self.entries: dict[str, tuple[Entry, ...]] = {}
        self.left: dict[str, int] = {}

    def move(self, debit: Account, credit: Account, minor: int) -> None:
        self.balance[debit] -= minor
        self.balance[credit] += minor

    def reserve(self, name: str, entries: tuple[Entry, ...]) -> bool:
        need: Counter[Account] = Counter()
        for entry in entries:
            need[entry.debit] += entry.minor
        if any(self.balance[one] - self.reserved[one] < need[one] for one in need):
            return False
        self.reserved.update(need)
        self.state[name], self.entries[name] = "reserved", entries
        return True

    def end(self, name: str, *, posted: bool) -> None:
        for entry in self.entries[name]:
            self.reserved[entry.debit] -= entry.minor
            if posted:
                self.move(entry.debit, entry.credit, entry.minor)
        self.state[name] = "posted" if posted else "released"
        self.left[name] = self.entries[name][0].minor

    def can_give_back(self, name: str, minor: int) -> bool:
        net: Counter[Account] = Counter()
        for entry in self.entries[name]:
            if entry.kind == "principal":
                net[entry.credit] -= minor
                net[entry.debit] += minor
        return all(self.balance[one] - self.reserved[one] >= -net[one] for one in net)

    def names(self, state: str) -> list[str]:
        return sorted(name for name, now in self.state.items() if now == state)


class World:
    """Draws commands, and says of each what the model expects."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.model = Model()
        self.count = 0

    def draw(self) -> tuple[Command, bool]:
        """Return a command, and whether it must be applied rather than found short."""
        self.count += 1
        reserved, posted = self.model.names("reserved"), self.model.names("posted")
        kinds = ["reserve", "reserve", "move"] + ["end"] * 2 * bool(reserved)
        match self.rng.choice(kinds + ["oppose"] * bool(posted)):
            case "reserve":
                return self._reserve()
            case "end":
                return self._end(self.rng.choice(reserved))
            case "oppose":
                return self._oppose(self.rng.choice(posted))
            case _:
                return self._move()

    def _reserve(self) -> tuple[Command, bool]:
        debit, through, credit = self.rng.sample(OWNERS, 3)
        currency, minor = self.rng.choice(CURRENCIES), self.rng.randrange(1, 200)
        legs = [an_entry(debit, credit, minor, currency=currency)]
        if self.rng.random() < 0.3:
            legs = [
                an_entry(debit, through, minor, ledger=DALE, currency=currency),
                an_entry(through, credit, minor, currency=currency),
            ]
        if self.rng.random() < 0.5:
            legs.append(an_entry(debit, credit, 8, kind="interbank_fee", currency=currency))
        name = f"t-{self.count}"
        write_ahead = self.rng.random() < 0.5
        expected = self.model.reserve(name, tuple(legs))
        return a_reserve(name, *legs, write_ahead=write_ahead), expected

    def _end(self, name: str) -> tuple[Command, bool]:
        posted = self.rng.random() < 0.7
        self.model.end(name, posted=posted)
        return (a_post(name) if posted else a_release(name)), True

    def _oppose(self, name: str) -> tuple[Command, bool]:
        minor = self.rng.randrange(1, 150)
        expected = minor <= self.model.left[name] and self.model.can_give_back(name, minor)
        if expected:
            self.model.left[name] -= minor
            for entry in self.model.entries[name]:
                if entry.kind == "principal":
                    self.model.move(entry.credit, entry.debit, minor)
        return an_oppose(f"o-{self.count}", name, minor), expected

    def _move(self) -> tuple[Command, bool]:
        owner, minor = self.rng.choice(OWNERS), self.rng.randrange(1, 300)
        account, contra = an_account(owner), an_account("lbtr")
        if self.rng.random() < 0.5:
            self.model.move(contra, account, minor)
            return a_move(f"m-{self.count}", "lbtr", owner, minor), True
        expected = minor <= self.model.balance[account] - self.model.reserved[account]
        if expected:
            self.model.move(account, contra, minor)
        return a_move(f"m-{self.count}", owner, "lbtr", minor), expected


async def check(ledger: SqliteLedger, model: Model) -> None:
    audit = await ledger.audit()
    assert audit.clean, audit.differences
    assert [one.minor for one in audit.sums] == [0] * len(LEDGERS) * len(CURRENCIES)
    for position in ledger.positions():
        account = position.account
        assert position.balance_minor == model.balance[account], account
        assert position.reserved_minor == model.reserved[account], account


@pytest.mark.parametrize("seed", range(12))
async def test_money_agrees_with_paper(seed: int, tmp_path: Path) -> None:
    path, failures = str(tmp_path / "ledger.db"), list[BaseException]()
    ledger = SqliteLedger.open(path, on_failure=failures.append, now_ms=0)
    world = World(seed)
    for name in LEDGERS:
        for currency in CURRENCIES:
            contra = an_account("lbtr", name, currency)
            for owner in OWNERS:
                opening = an_opening(owner, PREFUND, ledger=name, currency=currency)
                await ledger.apply((opening,))
                world.model.move(contra, opening.account, PREFUND)
    while world.count < STEPS:
        drawn = [world.draw() for _ in range(world.rng.randrange(1, 6))]
        results = await ledger.apply(tuple(command for command, _ in drawn))
        for result, (command, expected) in zip(results, drawn, strict=True):
            assert type(result) is (Applied if expected else Short), (seed, command)
        if world.rng.random() < 0.03:
            await ledger.drain()
            ledger.close()
            ledger = SqliteLedger.open(path, on_failure=failures.append, now_ms=0)
    await ledger.drain()
    await check(ledger, world.model)
    ledger.close()
    assert failures == []
