"""What is checked after the storm; each claim names how much it looked at and what differs."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from loadtests.agents.country import StormCountry
from loadtests.agents.plan import INSTITUTION
from loadtests.agents.terminal import Terminal
from loadtests.day.listing import pages
from loadtests.day.report import Claim
from scheme.wire.agent_digest import APPLIED
from scheme.wire.agent_payload import CASH_TAKEN, Kind, Operation, Verdict

_PAID: Final = frozenset({"POSTED", "CONFIRMED", "APPROVED", "DISPUTED_POSTED"})
_CASH: Final = "cash"
_PAGE: Final = 500
_RECONCILE_S: Final = 300.0
_SOLES: Final = "PEN"


class Line(Struct, frozen=True, gc=False):
    """What the ledger has of one order of the agents.

    Attributes:
        moved: cents by which the institution's position rose.
    """

    minor: int
    moved: int
    is_paid: bool


class Checks:
    """Checks a storm, once everything is at rest.

    Args:
        terminals: all of them, with what they were told.
        opening: cents on the institution's position before the first operation.
    """

    def __init__(self, country: StormCountry, terminals: Sequence[Terminal], opening: int) -> None:
        self._country = country
        self._api = country.api
        self._terminals = terminals
        self._opening = opening
        self._ledger = self._lines()

    def run(self) -> tuple[Claim, ...]:
        """Return every claim."""
        return (
            self._claim("each operation has one verdict, the same on both sides", self._verdicts),
            self._claim("both sides' digests agree at every terminal", self._digests),
            self._claim("each approval is one order of the ledger, and no other is", self._orders),
            self._claim("the position moved by exactly these orders", self._position),
            self._claim("each till holds what its terminals took and paid out", self._tills),
            self._claim("the ledger agrees with itself, and nothing is stuck", self._audit),
            self._claim("the institutions' books equal the ledger", self._books),
        )

    def _claim(self, name: str, check: Callable[[], tuple[int, list[str]]]) -> Claim:
        checked, differences = check()
        return Claim(name=name, checked=checked, differences=tuple(differences))

    def _lines(self) -> dict[str, Line]:
        found = {}
        for row in pages(self._api, "transfers"):
            if row["debtor_agent"] == INSTITUTION and row["rail"] != _CASH:
                is_paid = row["state"] in _PAID
                moved = -(row["amount"] + row["fee"]) if is_paid else 0
                found[row["instruction_id"]] = Line(row["amount"], moved, is_paid)
        for row in pages(self._api, _CASH):
            if row["acquirer"] == INSTITUTION:
                given = row["dispensed"] if row["state"] in _PAID else 0
                found[row["transfer_id"]] = Line(given, given, bool(given))
        return found

    def _ended(self) -> Iterator[tuple[Terminal, Operation, Verdict]]:
        for terminal in self._terminals:
            for seq, operation in terminal.operations.items():
                if (verdict := terminal.verdicts.get(seq)) is not None:
                    yield terminal, operation, verdict

    def _verdicts(self) -> tuple[int, list[str]]:
        found = [fault for one in self._terminals for fault in one.faults]
        checked = 0
        for terminal in self._terminals:
            theirs = {one["seq"]: one for one in self._operations(terminal.device)}
            for seq, operation in terminal.operations.items():
                checked += 1
                ours = terminal.verdicts.get(seq)
                there = theirs.pop(seq, None)
                said = None if ours is None else (operation.op_id.hex(), ours.code, ours.reference)
                kept = there and (there["op_id"], there["code"], there["reference"])
                if said is None or said != kept:
                    found.append(f"{terminal.device}/{seq}: told {said}, kept {kept}")
            found += [f"{terminal.device}/{seq}: unknown to the terminal" for seq in theirs]
        return checked, found

    def _operations(self, device: str) -> Iterator[Mapping[str, Any]]:
        after = 0
        while after is not None:
            page = self._api.get(f"/agents/{device}/operations?limit={_PAGE}&after={after}")
            yield from page["operations"]
            after = page["next"]

    def _digests(self) -> tuple[int, list[str]]:
        found = [one.device for one in self._terminals if not one.is_closed]
        return len(self._terminals), found

    def _orders(self) -> tuple[int, list[str]]:
        left = {key for key, line in self._ledger.items() if line.is_paid}
        found = []
        checked = 0
        for terminal, operation, verdict in self._ended():
            if verdict.code != APPLIED or operation.kind not in CASH_TAKEN | {Kind.CASH_OUT}:
                continue
            checked += 1
            line = self._ledger.get(verdict.reference)
            if verdict.reference not in left or line is None or line.minor != operation.minor:
                name = f"{terminal.device}/{operation.seq}"
                found.append(f"{name}: {operation.minor} as {verdict.reference!r}: {line}")
            left.discard(verdict.reference)
        return checked, found + [f"{key}: paid, and no terminal was told" for key in left]

    def _position(self) -> tuple[int, list[str]]:
        now = self._country.operations.balances()[INSTITUTION]
        moved = sum(line.moved for line in self._ledger.values())
        if now - self._opening == moved:
            return len(self._ledger), []
        return len(self._ledger), [f"it moved by {now - self._opening}, its orders by {moved}"]

    def _tills(self) -> tuple[int, list[str]]:
        taken: Counter[str] = Counter()
        paid: Counter[str] = Counter()
        for terminal, operation, verdict in self._ended():
            if verdict.code == APPLIED:
                agent = terminal.device.rpartition("-")[0]
                taken[agent] += operation.minor if operation.kind in CASH_TAKEN else 0
                paid[agent] += operation.minor if operation.kind == Kind.CASH_OUT else 0
        rows = [one for one in self._api.get("/agents/tills")["tills"] if one["currency"] == _SOLES]
        found = [
            f"{one['agent']}: {one}, not {taken[one['agent']]} and {paid[one['agent']]}"
            for one in rows
            if (one["taken"], one["paid"], one["reserved"])
            != (taken[one["agent"]], paid[one["agent"]], 0)
        ]
        return len(rows), found

    def _audit(self) -> tuple[int, list[str]]:
        found = [str(one) for one in self._api.get("/audit")["differences"]]
        stuck = self._api.get("/stuck")
        found += [f"stuck: {name}: {rows[:3]}" for name, rows in stuck.items() if rows]
        return len(self._ledger), found

    def _books(self) -> tuple[int, list[str]]:
        """Have the institutions' own books compared with the ledger, as a person would."""
        country = self._country
        # Those keep no book that a hook could show; the agents' is compared by the other claims.
        bookless = (*country.operations.senders(), INSTITUTION)
        skip = [word for code in bookless for word in ("--skip", code)]
        words = ("reconcile", "--books", "--wait", "30", *skip, "--json")
        command = [sys.executable, "-m", "chasqui", "--home", str(country.home), "--lang", "en"]
        command += ["--operator-url", f"http://127.0.0.1:{country.operator_port}", *words]
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=_RECONCILE_S
        )
        try:
            said: dict[str, Any] = json.loads(done.stdout)
        except json.JSONDecodeError:
            return 0, [f"exit {done.returncode}: {done.stdout}{done.stderr}"]
        found = [f"exit {done.returncode}"] if done.returncode else []
        for kind in ("ledger_differences", "different", "not_yet", "not_compared"):
            found += [f"{kind}: {one}" for one in said[kind][:20]]
        return int(said["compared"]), found
