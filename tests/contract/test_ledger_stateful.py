"""Any interleaving of everything that the ledger does, held against what must always be true."""

import asyncio
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from clearing.ledger_sqlite import SqliteLedger
from scheme.ledger import (
    ACCEPTED,
    APPLIED,
    DALE,
    DEFERRED,
    LBTR,
    NATIONAL,
    SPONSOR,
    Command,
    Duplicate,
    Entry,
    OpenWindow,
    Oppose,
    Result,
)
from tests.support.ledger_fakes import (
    a_close_window,
    a_drop,
    a_move,
    a_post,
    a_refuse,
    a_release,
    a_reserve,
    a_settle,
    an_advance_window,
    an_entry,
    an_instruct,
    an_opening,
    window_of,
)

BANKS = ("0002", "0003", "0987")
SPONSOR_BANK = "0987"
COOPS = ("0970", "0971")
CYCLES = (NATIONAL, DALE, DEFERRED)
CAP = 40

minors = st.integers(1, 150)
banks = st.sampled_from(BANKS)
coops = st.sampled_from(COOPS)
cycles = st.sampled_from(CYCLES)
picks = st.integers(0, 10**6)


class Ledgers(RuleBasedStateMachine):
    """One ledger of banks and coops; it is closed and opened again at any moment."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.failures: list[BaseException] = []
        self.ledger = self.opened()
        self.count = 0
        self.held: list[str] = []
        self.posted: list[str] = []
        self.queued: list[str] = []
        self.number = dict.fromkeys(CYCLES, 1)
        for ledger in (NATIONAL, DEFERRED, LBTR):
            for bank in BANKS:
                self.do(an_opening(bank, 120, cap=CAP, ledger=ledger))
        for ledger in (DALE, SPONSOR):
            for coop in COOPS:
                self.do(an_opening(coop, 120, cap=CAP, ledger=ledger))
            self.do(an_opening(SPONSOR_BANK, 0, cap=10**6, ledger=ledger))
        for cycle in CYCLES:
            self.open_window(cycle)

    def opened(self) -> SqliteLedger:
        async def open_it() -> SqliteLedger:
            path = str(Path(self.folder.name) / "ledger.db")
            return SqliteLedger.open(path, on_failure=self.failures.append, now_ms=0)

        return self.runner.run(open_it())

    def do(self, *commands: Command) -> list[Result]:
        async def note() -> list[Result]:
            return list(self.ledger.note(commands))

        return self.runner.run(note())

    def name(self) -> str:
        self.count += 1
        return f"n-{self.count}"

    def window(self, ledger: str) -> str:
        return window_of(ledger, number=self.number[ledger]) if ledger in CYCLES else ""

    def entry(self, debit: str, credit: str, minor: int, ledger: str, kind: str) -> Entry:
        return an_entry(debit, credit, minor, ledger=ledger, kind=kind, window=self.window(ledger))

    def legs(self, path: list[tuple[str, str, str]], minor: int) -> tuple[Entry, ...]:
        return tuple(
            self.entry(debit, credit, amount, ledger, kind)
            for ledger, debit, credit in path
            for amount, kind in ((minor, "principal"), (8, "interbank_fee"))
        )

    def open_window(self, cycle: str) -> None:
        command = OpenWindow(
            window=window_of(cycle, number=self.number[cycle]),
            cycle=cycle,
            currency="PEN",
            settlement_date="20261123",
            number=self.number[cycle],
            opens_ms=0,
            closes_ms=1,
        )
        assert self.do(command) == [APPLIED]

    def reserve(self, entries: tuple[Entry, ...], state: str = "RESERVED") -> None:
        name = self.name()
        command = a_reserve(name, *entries, state=state)
        (result,) = self.do(command)
        if result == APPLIED:
            self.held.append(name)
            assert self.do(command) == [Duplicate(name, b"reserved")]
        else:
            assert self.do(a_refuse(name, *entries)) == [APPLIED]

    @rule(debit=banks, credit=banks, minor=minors)
    def between_banks(self, debit: str, credit: str, minor: int) -> None:
        if debit != credit:
            self.reserve(self.legs([(NATIONAL, debit, credit)], minor))

    @rule(coop=coops, bank=st.sampled_from(BANKS[:2]), minor=minors, outwards=st.booleans())
    def coop_and_bank(self, coop: str, bank: str, minor: int, *, outwards: bool) -> None:
        path = [(DALE, coop, SPONSOR_BANK), (NATIONAL, SPONSOR_BANK, bank)]
        if not outwards:
            path = [(ledger, credit, debit) for ledger, debit, credit in reversed(path)]
        self.reserve(self.legs(path, minor))

    @rule(minor=minors)
    def coop_to_coop_through_its_sponsor(self, minor: int) -> None:
        one, other = COOPS
        path = [(DALE, one, SPONSOR_BANK), (DALE, SPONSOR_BANK, other)]
        self.reserve(self.legs(path, minor))

    @rule(coop=coops, bank=st.sampled_from(BANKS[:2]), minor=minors)
    def order_of_a_cycle(self, coop: str, bank: str, minor: int) -> None:
        path = [(SPONSOR, coop, SPONSOR_BANK), (DEFERRED, SPONSOR_BANK, bank)]
        self.reserve(self.legs(path, minor), state=ACCEPTED)

    @precondition(lambda self: self.held)
    @rule(pick=picks, posted=st.booleans(), received=st.booleans())
    def end(self, pick: int, *, posted: bool, received: bool) -> None:
        name = self.held.pop(pick % len(self.held))
        command = a_post(name) if posted else a_release(name, was_received=received)
        assert self.do(command) == [APPLIED]
        if posted:
            self.posted.append(name)

    @precondition(lambda self: self.posted)
    @rule(pick=picks, minor=minors)
    def take_back(self, pick: int, minor: int) -> None:
        original = self.posted[pick % len(self.posted)]
        windows = {cycle: self.window(cycle) for cycle in CYCLES}
        self.do(
            Oppose(
                transfer_id=self.name(),
                opposite_of=original,
                minor=minor,
                windows=windows,
                at_ms=3,
            )
        )

    @rule(bank=banks, minor=minors, funding=st.booleans())
    def move(self, bank: str, minor: int, *, funding: bool) -> None:
        name = self.name()
        command = a_move(name, "lbtr" if funding else bank, bank if funding else "lbtr", minor)
        (entry,) = command.entries
        entries = (self.entry(entry.debit.owner, entry.credit.owner, minor, NATIONAL, entry.kind),)
        self.do(type(command)(movement_id=name, entries=entries, digest="d", at_ms=4))

    @rule(debit=banks, credit=banks, minor=minors, linked=st.booleans())
    def instruct(self, debit: str, credit: str, minor: int, *, linked: bool) -> None:
        if debit == credit:
            return
        name = self.name()
        top_up = (self.entry("lbtr", debit, minor, NATIONAL, "settlement"),) if linked else ()
        subject = self.window(NATIONAL)
        command = an_instruct(name, debit, credit, minor, linked=top_up, subject=subject)
        assert self.do(command, command) == [APPLIED, Duplicate(name, b"QUEUED")]
        self.queued.append(name)

    @precondition(lambda self: self.queued)
    @rule(picked=st.lists(picks, min_size=1, max_size=4), dropped=st.booleans())
    def settle(self, picked: list[int], *, dropped: bool) -> None:
        names = tuple(self.queued[pick % len(self.queued)] for pick in picked)
        (result,) = self.do(a_drop(*names) if dropped else a_settle(*names))
        if result == APPLIED:
            self.queued = [name for name in self.queued if name not in names]

    @rule(cycle=cycles)
    def roll_the_window(self, cycle: str) -> None:
        before = self.window(cycle)
        self.number[cycle] += 1
        self.open_window(cycle)
        assert self.do(an_advance_window("CLOSING", before)) == [APPLIED]

    @rule(end=st.sampled_from(["CLOSED", "SETTLED", "PARTIAL", "FAILED"]))
    def close_what_can_be_closed(self, end: str) -> None:
        for stand in self.ledger.windows():
            if stand.state == "CLOSING" and (not stand.held or stand.cycle == DEFERRED):
                tallies = self.ledger.tallies(stand.window)
                assert sum(one.net_minor for one in tallies) == 0
                carried = () if stand.cycle == DEFERRED else tallies
                openings = tuple((one.account, one.closing_minor) for one in carried)
                close = a_close_window(stand.window, self.window(stand.cycle), *openings)
                assert self.do(close, close) == [APPLIED, Duplicate(stand.window, b"{}")]
            elif stand.state in ("CLOSED", "FAILED"):
                self.do(an_advance_window("SETTLING", stand.window))
            elif stand.state == "SETTLING" and end != "CLOSED":
                self.do(an_advance_window(end, stand.window))

    @rule()
    def open_again(self) -> None:
        before = self.seen()
        self.stop()
        self.ledger = self.opened()
        assert self.seen() == before

    def seen(self) -> object:
        """Return all that can be read, once it is on disk."""
        self.runner.run(self.ledger.drain())
        windows = [window_of(c, number=n + 1) for c in CYCLES for n in range(self.number[c])]
        return (
            sorted(self.ledger.positions(), key=str),
            self.ledger.windows(),
            self.ledger.past_windows(100),
            [self.ledger.tallies(window) for window in windows],
            [self.ledger.batch(window) for window in windows],
            [self.ledger.held_in(window) for window in windows],
            self.ledger.instructions(),
        )

    def stop(self) -> None:
        self.runner.run(self.ledger.drain())
        self.ledger.close()

    @invariant()
    def sums_are_zero_and_no_cap_is_passed(self) -> None:
        sums: dict[str, int] = {}
        for position in self.ledger.positions():
            ledger = position.account.ledger
            sums[ledger] = sums.get(ledger, 0) + position.balance_minor
            assert position.account.owner == "lbtr" or position.available_minor >= 0, position
        assert not any(sums.values()), sums
        assert not self.failures

    def teardown(self) -> None:
        try:
            audit = self.runner.run(self.ledger.audit())
            assert audit.clean, audit.differences
            for cycle in CYCLES:
                window = self.window(cycle)
                recounted = self.runner.run(self.ledger.recount_window(window))
                kept = [one for one in self.ledger.tallies(window) if one != _empty(one)]
                assert [one for one in recounted if one != _empty(one)] == kept
            self.stop()
        finally:
            self.runner.close()
            self.folder.cleanup()


def _empty(tally: object) -> object:
    fields = {name: getattr(tally, name) for name in ("window", "account")}
    return type(tally)(**fields)


TestLedgers = Ledgers.TestCase
TestLedgers.settings = settings(
    max_examples=max(settings().max_examples // 5, 1), stateful_step_count=60
)
