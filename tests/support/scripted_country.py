"""A real switch whose every institution is played by the test, to be killed at chosen moments."""

from __future__ import annotations

import json
import os
import resource
import signal
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from scheme.network import Iso8583
from scheme.wire.iso8583_spec import Fields
from tests.support.country import HURRIED, HandStartedCountry, ask, is_running, until
from tests.support.scripted_core import SPOKEN, Link, ScriptedCore, account

SWITCH = "switch"
DEBTOR, CREDITOR, SECOND_DEBTOR, ISSUER, MACHINES = "0961", "0962", "0963", "0964", "0991"
OTHERWISE = "0965"
"""A creditor whose core speaks the other variant."""
BIN = "970964"
CARD = f"{BIN}0000000017"
EXPIRY_S = 0.6
QUICK: Mapping[str, object] = {
    **HURRIED,
    "ct_expiry_s": EXPIRY_S,
    "originator_ct_timeout_s": 2.0,
    "owed_backoff_s": [0.1],
    "owed_answer_s": 0.5,
}
PAID = frozenset({"POSTED", "CONFIRMED", "APPROVED", "DISPUTED_POSTED"})
_QUIET_S = 20.0
_SPOKEN: Mapping[str, Iso8583] = {
    ISSUER: Iso8583(mac="aes-cmac", bins=(BIN,)),
    OTHERWISE: Iso8583(spec="packed-1987", header="ascii-4", tpdu="6000000000", mac="x9.19"),
}


def entry(code: str, *, kind: str = "coop", spoken: Iso8583 = SPOKEN) -> str:
    """Return the fleet file's entry of an institution that a test plays."""
    told = (
        f'spec = "{spoken.spec}", header = "{spoken.header}", '
        f'tpdu = "{spoken.tpdu}", mac = "{spoken.mac}"'
    )
    if spoken.bins:
        told += f", bins = {json.dumps(spoken.bins)}"
    return (
        f'[[participant]]\ncode = "{code}"\nname = "NUCLEO GUIONADO {code}"\nkind = "{kind}"\n'
        f'simulated = false\nlane = "iso8583"\niso8583 = {{ {told} }}\n'
    )


class LoneSwitch(HandStartedCountry):
    """A switch, and the scripted institutions around it.

    Args:
        members: their entries in the fleet file, by code.
    """

    def __init__(
        self,
        home: Path,
        members: Sequence[str],
        *,
        links: int = 1,
        timers: Mapping[str, object] = QUICK,
        rules: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(home, timers=timers, rules=rules, institutions={})
        self._members = members
        self._links = links
        self.cores: dict[str, ScriptedCore] = {}

    def __enter__(self) -> Self:
        super().__enter__()
        spoken = {code: _SPOKEN.get(code, SPOKEN) for code in self._members}
        kinds = {MACHINES: "acquirer"}
        with self.fleet_file.open("a") as file:
            file.writelines(
                entry(code, kind=kinds.get(code, "coop"), spoken=spoken[code])
                for code in self._members
            )
        self.start(SWITCH)
        for code in self._members:
            self.cores[code] = ScriptedCore(
                self.home, code, self.iso8583_port, spoken=spoken[code], links=self._links
            )
        self.signed_on()
        self._opening = self.balances()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for core in self.cores.values():
            core.stop()
        super().__exit__(kind, error, trace)

    @property
    def pid(self) -> int:
        """The switch's process id."""
        return self._running[SWITCH].pid

    def signed_on(self) -> None:
        """Wait until every institution is."""
        for core in self.cores.values():
            core.signed_on()

    def runs(self) -> bool:
        """Tell whether the switch lives."""
        return is_running(self.pid)

    def restart(self) -> None:
        """Start the switch anew, however it has ended, and wait for everybody."""
        until(lambda: not self.runs(), "the switch has ended")
        self._running.pop(SWITCH).stop()
        self.start(SWITCH)
        self.operations.wait_until_ready(_QUIET_S)
        self.signed_on()

    # --- how it is killed, also from within a core's answer

    def kill_now(self, *_: object) -> None:
        """End the switch with ``kill -9``."""
        os.kill(self.pid, signal.SIGKILL)

    def freeze(self) -> None:
        """Stop the switch in its tracks: what is sent to it arrives and is not read."""
        os.kill(self.pid, signal.SIGSTOP)
        until(lambda: psutil.Process(self.pid).status() == psutil.STATUS_STOPPED, "frozen")

    def killed_unread(self, answer: Fields, link: Link) -> None:
        """Answer a switch that gets the answer, and ``kill -9`` before it can read it."""
        self.freeze()
        link.send(answer)
        self.kill_now()

    def disk_full(self) -> None:
        """Let the switch write no more: whatever it decides from now on cannot be made true."""
        psutil.Process(self.pid).rlimit(resource.RLIMIT_FSIZE, (0, 0))

    def answered_unwritten(self, answer: Fields, _: Link) -> Fields:
        """Answer a switch that reads the answer and can write nothing about it."""
        self.disk_full()
        return answer

    # --- what it knows

    def balances(self) -> Counter[str]:
        """Return every balance in soles."""
        return Counter(self.operations.balances())

    def transfer(self, subject: str) -> Mapping[str, Any]:
        """Return a transfer or withdrawal as the ledger has it."""
        path, name = (
            ("cash", "withdrawal") if subject.startswith("W") else ("transfers", "transfer")
        )
        found: Mapping[str, Any] = self.get(f"/{path}/{subject}")
        assert name in found, found
        return found

    def state(self, subject: str) -> str:
        """Return the state of a transfer or withdrawal."""
        found = self.transfer(subject)
        return str((found.get("withdrawal") or found["transfer"])["state"])

    def cash(self) -> list[Mapping[str, Any]]:
        """Return all withdrawals."""
        found: list[Mapping[str, Any]] = []
        after = ""
        while True:
            page = self.get(f"/cash?limit=500{after}")
            found += page["cash"]
            if page["next"] is None:
                return found
            after = f"&after={page['next']}"

    def counts(self, code: str) -> Mapping[str, int]:
        """Return what was counted on an institution's links."""
        rows = self.get("/iso8583/links")["participants"]
        found: Mapping[str, int] = next(one for one in rows if one["participant"] == code)["counts"]
        return found

    def assert_books_equal(self) -> None:
        """Hold ledger, positions and the cores' own books against one another."""
        assert not [fault for core in self.cores.values() for fault in core.faults]
        self.operations.wait_until_quiet(_QUIET_S)
        until(lambda: not self.get("/stuck")["notices_owed"], "the notices of the sign-ons")
        stuck = self.get("/stuck")
        assert not any(stuck[one] for one in stuck if one != "disputed"), stuck
        disputed = {one["instruction_id"] for one in stuck["disputed"]}
        ledger: dict[str, dict[str, int]] = {code: {} for code in self.cores}
        moved: Counter[str] = Counter()
        for one in self.transfers():
            if one["rail"] != "cash" and one["state"] in PAID:
                ledger[one["creditor_agent"]][one["instruction_id"]] = one["amount"]
                moved[one["creditor_agent"]] += one["amount"] + one["fee"]
                moved[one["debtor_agent"]] -= one["amount"] + one["fee"]
        for one in self.cash():
            given = one["dispensed"]
            if one["state"] in PAID and given:
                ledger[one["issuer"]][one["transfer_id"]] = -given
                moved[one["acquirer"]] += given
                moved[one["issuer"]] -= given
        for code, core in self.cores.items():
            stands = core.stands()
            for key in disputed:  # What a person will decide.
                stands.pop(key, None)
                ledger[code].pop(key, None)
            assert stands == ledger[code], code
        now = self.balances()
        assert {code: now[code] - self._opening[code] for code in now} == {
            code: moved[code] for code in now
        }
        assert [one for one in self.get("/positions")["positions"] if one["reserved"]] == []
        assert self.get("/audit")["clean"]

    def assert_reconciled(self) -> None:
        """Have the command line compare ledger, batches and books."""
        skip = [word for code in self.operations.senders() for word in ("--skip", code)]
        said = self.call("reconcile", *skip, code=None)
        assert said.returncode == 0, said.stdout

    def issue_code(self, phone: str, minor: int, key: str) -> str:
        """Return a one-time code for a member of the issuer."""
        order = {"participant": ISSUER, "phone": phone, "amount": minor, "account": account(ISSUER)}
        status, answer = ask(self.operator_port, "POST", "/cash/codes", order, key)
        assert status == 201, answer
        return str(answer["code"])
