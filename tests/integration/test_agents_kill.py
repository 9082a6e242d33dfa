"""``kill -9`` of the switch at each step of a field agent's operation, and of its terminal.

The moment is chosen by what has reached a core or a disk, never by time. Afterwards the terminal
says everything again: no operation is lost, none is carried out twice, digests and books agree.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from participants.core.agent_book import Entry, EntryState, Wish
from scheme.wire.agent_digest import voucher_of
from scheme.wire.agent_payload import Kind
from scheme.wire.iso8583_spec import Fields
from tests.support.agent_country import ACQUIRER, AgentCountry, Counter, Losing
from tests.support.agent_process import MINOR, OPERATIONS
from tests.support.country import ROOT, until
from tests.support.scripted_core import Link, ScriptedCore, account
from tests.support.scripted_country import CREDITOR, ISSUER

DEPOSIT, WITHDRAWAL = "0200/21", "0200/01"
SOLES = 1_500
IN = Wish(kind=Kind.CASH_IN, minor=SOLES, account=account(CREDITOR))
OUT = Wish(kind=Kind.CASH_OUT, minor=10_000, account=account(ISSUER))
DEVICES = (f"{ACQUIRER}-{agent:04}-{number}" for agent in range(1, 31) for number in (1, 2))
Strike = Callable[[AgentCountry, Counter], None]


@pytest.fixture(scope="module")
def country(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentCountry]:
    home = tmp_path_factory.mktemp("agents-kill") / "home"
    with AgentCountry(home, (CREDITOR, ISSUER)) as country:
        yield country
        until(lambda: country.get("/audit")["clean"], "a clean audit")


@pytest.fixture
def creditor(country: AgentCountry) -> Iterator[ScriptedCore]:
    core = country.cores[CREDITOR]
    core.heard.clear()
    yield core
    core.clear()
    country.assert_books_equal()


@pytest.fixture
def counter(country: AgentCountry) -> Iterator[Counter]:
    """A terminal that nobody has used, in session."""
    made = Counter(country.home, country.mqtt_port, next(DEVICES))
    made.connect()
    made.opened()
    yield made
    made.stop()


def unread(country: AgentCountry, counter: Counter) -> None:
    """It has come, and nobody has read it."""
    country.freeze()
    counter.make(IN)
    country.kill_now()


def unstored(country: AgentCountry, counter: Counter) -> None:
    """It was read, and does not reach the disk."""
    country.disk_full()
    counter.make(IN)


def stored(country: AgentCountry, counter: Counter) -> None:
    """It is on disk, and its turn has not come."""
    counter.agent.faults = Losing(1)
    counter.make(IN)
    counter.make(IN)
    until(lambda: country.kept(counter.device, 2), "on disk")
    counter.agent.faults = None
    country.kill_now()


def handed_over(country: AgentCountry, counter: Counter) -> None:
    """It is reserved, and the 0200 has left."""
    country.cores[CREDITOR].once(DEPOSIT, country.kill_now)
    counter.make(IN)


def answered(country: AgentCountry, counter: Counter) -> None:
    """The 0210 has come, and nobody has read it."""
    country.cores[CREDITOR].once(DEPOSIT, country.killed_unread)
    counter.make(IN)


def unposted(country: AgentCountry, counter: Counter) -> None:
    """The 0210 was read, and the posting does not reach the disk."""
    country.cores[CREDITOR].once(DEPOSIT, country.answered_unwritten)
    counter.make(IN)


def posted(country: AgentCountry, counter: Counter) -> None:
    """It is posted, and its verdict does not reach the disk."""
    locks: list[sqlite3.Connection] = []

    def lock(answer: Fields, _: Link) -> Fields:
        locks.append(country.lock_agents())
        return answer

    country.cores[CREDITOR].once(DEPOSIT, lock)
    counter.make(IN)
    until(lambda: len(country.paid(CREDITOR)) > country.before, "posted")
    country.kill_now()
    locks[0].close()


def untold(country: AgentCountry, counter: Counter) -> None:
    """Its verdict is on disk, and does not get beyond the broker, which ends too."""
    until_verdict_without_broker(country, counter)
    country.kill_now()
    country.kill_broker()


def unacknowledged(country: AgentCountry, counter: Counter) -> None:
    """Its verdict is with the broker, who has acknowledged nothing yet."""
    until_verdict_without_broker(country, counter)
    country.kill_now()
    country.thaw_broker()


def until_verdict_without_broker(country: AgentCountry, counter: Counter) -> None:
    def freeze(answer: Fields, _: Link) -> Fields:
        country.freeze_broker()
        return answer

    country.cores[CREDITOR].once(DEPOSIT, freeze)
    counter.make(IN)
    until(lambda: (country.kept(counter.device, 1) or {}).get("code"), "a verdict on disk")


EXPIRED: tuple[Strike, ...] = (handed_over, answered, unposted)
APPLIED: tuple[Strike, ...] = (unread, unstored, stored, posted, untold, unacknowledged)


@pytest.mark.parametrize("strike", [*APPLIED, *EXPIRED])
def test_whenever_the_switch_is_killed_an_operation_has_one_verdict_and_one_effect(
    country: AgentCountry, creditor: ScriptedCore, counter: Counter, strike: Strike
) -> None:
    before, opening = creditor.balance, country.balances()[ACQUIRER]
    country.before = len(country.paid(CREDITOR))

    strike(country, counter)
    country.restart()
    counter.reconnect()
    entries = counter.settled()

    applied = [one for one in entries if one.state is EntryState.APPLIED]
    assert len(entries) == (2 if strike is stored else 1)
    if strike in APPLIED:
        assert applied == entries
    else:
        # Whether it was posted there nobody could know: it is undone, and refused for good.
        assert applied == []
        until(lambda: creditor.balance == before, "undone")
    assert_moved_once(country, creditor, entries, before)
    assert country.balances()[ACQUIRER] - opening == -sum(
        country.paid(CREDITOR)[reference(one)] for one in applied
    )


@pytest.mark.parametrize("strike", ["kill_now", "killed_unread", "answered_unwritten"])
def test_cash_that_nobody_was_told_to_pay_out_is_given_back_to_its_account(
    country: AgentCountry, creditor: ScriptedCore, counter: Counter, strike: str
) -> None:
    issuer, opening = country.cores[ISSUER], country.balances()
    before = issuer.balance
    issuer.once(WITHDRAWAL, getattr(country, strike))

    counter.make(OUT)
    country.restart()
    counter.reconnect()
    (entry,) = counter.settled()

    assert entry.state is EntryState.REFUSED
    until(lambda: issuer.balance == before, "given back")
    country.operations.wait_until_quiet(10)
    assert country.balances() == opening


def assert_moved_once(
    country: AgentCountry, creditor: ScriptedCore, entries: list[Entry], before: int
) -> None:
    applied = [one for one in entries if one.state is EntryState.APPLIED]
    assert creditor.balance - before == SOLES * len(applied)
    assert len({reference(one) for one in applied}) == len(applied)
    assert len(country.paid(CREDITOR)) - country.before == len(applied)


def reference(entry: Entry) -> str:
    assert entry.verdict is not None
    return entry.verdict.reference


WRITES = 6
"""Of a terminal: one of each operation, Hello, Welcome, the verdicts, the agreement."""


def test_whenever_a_terminal_is_killed_each_receipt_it_gave_is_carried_out_once(
    country: AgentCountry, creditor: ScriptedCore
) -> None:
    before = creditor.balance
    steps = {
        f"{device}:{when}:{number}": device
        for number in range(1, WRITES + 1)
        for when in ("before", "after")
        for device in [lent(country)]
    }
    command = [sys.executable, "-m", "tests.support.agent_process"]
    command += [str(country.home), str(country.mqtt_port), *steps]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=30)
    found = json.loads(said.stdout.splitlines()[-1])  # Before it they log.

    applied = []
    for step, device in steps.items():
        assert found[step]["is_killed"], step
        counter = Counter(country.home, country.mqtt_port, device)
        counter.connect()
        entries = counter.settled()
        counter.stop()
        kept = {one.seq: voucher_of(one.operation) for one in entries}
        assert [kept[int(seq)] for seq, _ in found[step]["receipts"]] == [
            voucher for _, voucher in found[step]["receipts"]
        ]
        assert len(entries) <= OPERATIONS
        assert {one.state for one in entries} <= {EntryState.APPLIED}
        applied += entries

    assert creditor.balance - before == MINOR * len(applied)
    assert len({reference(one) for one in applied}) == len(applied)


def lent(country: AgentCountry) -> str:
    """Return a terminal that has heard what it may do alone."""
    device = next(DEVICES)
    counter = Counter(country.home, country.mqtt_port, device)
    counter.connect()
    counter.opened()
    counter.stop()
    return device
