"""Runs the modes one after another, holds the books against the ledger, and gathers the figures."""

import platform
import random
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from msgspec import Struct, field
from msgspec.structs import replace

from loadtests.bench.child import Child, cores, pin_self, unpin_self
from loadtests.bench.documents import ANY_PAYEE
from loadtests.bench.iso8583_codec import ISO_CODEC, CodecFigures, measure_codec
from loadtests.bench.iso8583_links import ISO_LINKS, LinksFigures, measure_links
from loadtests.bench.iso8583_run import IsoRun
from loadtests.bench.local_country import ISO8583, LocalCountry, Mode, debtors
from loadtests.bench.measure import Figures, Side, figures, pairs_of
from loadtests.bench.operations import Operations
from loadtests.bench.orders import Debtor, Plain
from loadtests.bench.startup import Startup, startup
from loadtests.bench.traffic import Book, Traffic
from loadtests.bench.window import WINDOW, WindowFigures, measure_window
from scheme.clock import Clock

PAYEES_EACH = 50
ENROLLED = 100
"""Payees that are told of what they receive, where that is measured."""
QUIET_S_MAX = 30.0


class Plan(Struct, frozen=True):
    """What is measured, and how long.

    Attributes:
        pairs: kept, after one that is dropped.
        seconds: of each round.
        window_transfers: of the one window that is closed and recounted; 0 leaves it out.
        iso8583_links: open links whose memory is taken; 0 leaves them out.
    """

    modes: tuple[Mode, ...]
    pairs: int = 5
    seconds: float = 2.0
    in_flight: int = 64
    seed: int = 970
    with_startup: bool = True
    window_transfers: int = 0
    with_codec: bool = False
    iso8583_links: int = 0


class Check(Struct, frozen=True):
    """The generator's book held against the ledger; ``holds`` if nothing differs."""

    holds: bool
    accepted: int
    refused: Mapping[str, int]
    unknown: int
    differences: tuple[str, ...]


class Report(Struct, frozen=True, omit_defaults=True):
    """Everything one run found, as it is written to the file."""

    command: str
    taken_at: str
    seed: int
    environment: Mapping[str, Any]
    modes: dict[str, Figures | WindowFigures | CodecFigures | LinksFigures] = field(
        default_factory=dict
    )
    checks: dict[str, Check] = field(default_factory=dict)
    startup: Startup | None = None


def environment() -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cores": psutil.cpu_count() or 1,
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "pinned": cores() is not None,
    }


async def run(plan: Plan, folder: Path, clock: Clock, say: Callable[[str], None]) -> Report:
    """Measure everything in a plan.

    Args:
        folder: empty; each mode gets a home of its own in it.
        say: told what is going on, in a line.
    """
    report = Report(
        command=" ".join(("python -m loadtests.bench", *sys.argv[1:])),
        taken_at=clock.now().isoformat(timespec="seconds"),
        seed=plan.seed,
        environment=environment(),
    )
    pin_self()
    for mode in plan.modes:
        say(f"{mode.name}: {plan.pairs} pairs of {plan.seconds:g} s, one before that is dropped")
        measured = _measure_iso8583 if mode.lane == ISO8583 else _measure
        report.modes[mode.name], report.checks[mode.name] = await measured(
            mode, plan, folder / mode.name, clock
        )
    if plan.with_codec:
        say(f"{ISO_CODEC}: a 0200 decoded and encoded, beside pyiso8583")
        report.modes[ISO_CODEC] = measure_codec()
    if plan.iso8583_links:
        say(f"{ISO_LINKS}: {plan.iso8583_links} signed-on links")
        report.modes[ISO_LINKS] = await measure_links(folder / ISO_LINKS, clock, plan.iso8583_links)
    unpin_self()
    if plan.window_transfers:
        say(f"window: {plan.window_transfers} transfers are closed and recounted")
        report.modes[WINDOW] = measure_window(folder / WINDOW, plan.window_transfers)
    if not plan.with_startup:
        return report
    say("start-up and memory")
    return replace(report, startup=await startup(folder / "startup", clock))


async def _measure(mode: Mode, plan: Plan, home: Path, clock: Clock) -> tuple[Figures, Check]:
    with ExitStack() as stack:
        country = stack.enter_context(LocalCountry(mode, home, cores(), clock))
        relay_traffic, relay = _relay(stack, plan, home, clock)
        operations = country.operations
        payees = operations.payees(PAYEES_EACH)
        if mode.notices:
            country.enrol(payees[:: max(1, len(payees) // ENROLLED)][:ENROLLED])
        senders = debtors(operations.senders(), payees, plan.seed, country.envelopes())
        book = Book()
        traffic = Traffic(country.tin_port, senders, book, clock, in_flight=plan.in_flight)
        await traffic.sign_on()
        before = operations.balances()
        found = await pairs_of(
            Side(traffic, country.switch),
            Side(relay_traffic, relay),
            pairs=plan.pairs,
            seconds=plan.seconds,
        )
        traffic.close()
        relay_traffic.close()
        return figures(found, plan.in_flight), check(operations, book, before)


async def _measure_iso8583(
    mode: Mode, plan: Plan, home: Path, clock: Clock
) -> tuple[Figures, Check]:
    with ExitStack() as stack:
        load = IsoRun(stack, mode, home, clock, seed=plan.seed, in_flight=plan.in_flight)
        operations = load.country.operations
        before = operations.balances()
        found = await load.pairs(plan.pairs, plan.seconds)
        held = check(operations, load.book, before)
        load.close()
        objections = load.objections
        if objections:
            held = replace(held, holds=False, differences=held.differences + objections)
        return figures(found, plan.in_flight), held


def _relay(stack: ExitStack, plan: Plan, home: Path, clock: Clock) -> tuple[Traffic, Child]:
    """Start the baseline: it takes the place of the switch, its stub that of the fleet."""
    on_switch, on_fleet = cores() or (None, None)
    start = partial(Child, log=home / "relay.log")
    stub = stack.enter_context(start("stub", ("-m", "loadtests.bench.stub"), core=on_fleet))
    command = ("-m", "loadtests.bench.relay", str(stub.ready()["port"]))
    relay = stack.enter_context(start("relay", command, core=on_switch))
    port = relay.ready()["port"]
    assert isinstance(port, int)
    senders = [
        Debtor(f"{code:04}", [ANY_PAYEE], random.Random(code), envelope=Plain())
        for code in range(980, 985)
    ]
    return Traffic(port, senders, Book(), clock, in_flight=plan.in_flight), relay


def check(operations: Operations, book: Book, before: Mapping[str, int]) -> Check:
    """Hold a book against the ledger: every cent that was said to be paid, and none besides.

    Args:
        before: the balances when the book was begun. Nobody else may have paid meanwhile.
    """
    operations.wait_until_quiet(QUIET_S_MAX)
    after = operations.balances()
    differences = _moved(before, after, book, operations.sponsors())
    audit = operations.audit()
    if not audit["clean"]:
        differences.append(f"the audit is not clean: {audit['differences']}")
    return Check(
        holds=not differences and not book.outcomes["unknown"],
        accepted=book.outcomes["accepted"],
        refused=dict(book.reasons),
        unknown=book.outcomes["unknown"],
        differences=tuple(differences),
    )


def _moved(
    before: Mapping[str, int], after: Mapping[str, int], book: Book, sponsors: Mapping[str, str]
) -> list[str]:
    expected = Counter(book.received)
    expected.subtract(book.paid)
    # What reaches a coop from outside its network reaches its sponsor nationally.
    for coop, sponsor in sponsors.items():
        expected[sponsor] += expected[coop]
    differences = []
    for code in sorted(after):
        moved = after[code] - before.get(code, 0)
        told = expected[code]
        if code.isdigit() and moved != told:
            differences.append(f"{code}: moved by {moved} cents, told {told}")
    return differences


def failures(report: Report) -> Sequence[str]:
    """Return what went wrong, in sentences; nothing if all is well."""
    found = []
    window = report.modes.get(WINDOW)
    if isinstance(window, WindowFigures) and not window.agrees:
        found.append(f"{WINDOW}: the recount does not agree with the batch or the positions")
    links = report.modes.get(ISO_LINKS)
    if isinstance(links, LinksFigures) and links.lost:
        found.append(f"{ISO_LINKS}: {links.lost} links did not stay")
    for name, one in report.checks.items():
        if one.refused:
            found.append(f"{name}: refused: {dict(one.refused)}")
        if one.unknown:
            found.append(f"{name}: {one.unknown} without an answer")
        found += [f"{name}: {difference}" for difference in one.differences]
    return found
