"""A country of cores alone: a switch, coops that speak ISO 8583, and no simulated institution."""

import random
from collections.abc import Sequence
from pathlib import Path

from loadtests.bench.child import Child
from loadtests.bench.iso8583_core import identity
from loadtests.bench.iso8583_link import SPEC, Identity
from loadtests.bench.local_country import ISO8583, LocalCountry
from loadtests.bench.orders import Payee
from loadtests.bench.settings_files import write_participants
from scheme import cci
from scheme.ledger import DALE
from scheme.limits import ISO_LINKS_PER_PARTICIPANT_MAX
from scheme.network import Fleet, Iso8583, Participant

DEBTORS = ("0941", "0942")
CREDITORS = ("0951", "0952")
SPONSOR = "0987"
_SOLES = "PEN"
_ENOUGH = {_SOLES: 10**12}


def coop(code: str, mac: str) -> Participant:
    """Return a coop of the network with a core of its own, and money enough for any load."""
    return Participant(
        code=code,
        name=f"COOPAC DE CARGA {code}",
        kind="coop",
        simulated=False,
        currencies=(_SOLES,),
        ledger=DALE,
        sponsor=SPONSOR,
        prefund=_ENOUGH,
        lane=ISO8583,
        iso8583=Iso8583(spec=SPEC, mac=mac, links_max=ISO_LINKS_PER_PARTICIPANT_MAX),
    )


def payees(each: int, seed: int, fee: int) -> list[Payee]:
    """Return accounts at the creditors; their cores know them all."""
    rng = random.Random(seed)
    return [
        Payee(code, cci.compose(code[1:], "999", f"{rng.randrange(10**12):012}"), fee)
        for code in CREDITORS
        for _ in range(each)
    ]


class IsoCountry(LocalCountry):
    """A switch alone. Its coops' cores are the load's own processes.

    Attributes:
        coops: codes of its coops.
    """

    coops: Sequence[str] = (*DEBTORS, *CREDITORS)

    def identity(self, code: str) -> Identity:
        """Return who a coop's core is."""
        return identity(code, self._mode.mac, self._home)

    def creditors(self) -> Child:
        """Return the cores of the creditors, which are on their way to the switch."""
        command = ["-m", "loadtests.bench.iso8583_core", str(self.iso8583_port)]
        command += [",".join(CREDITORS), "--mac", self._mode.mac, "--home", str(self._home)]
        core = self._cores[1] if self._cores else None
        log = self._home / "creditors.log"
        return self._stack.enter_context(Child("creditors", command, core=core, log=log))

    def _write_fleet(self, path: Path) -> None:
        sponsor = Participant(
            code=SPONSOR, name="SPONSOR DE CARGA", kind="sponsor", simulated=False,
            currencies=(_SOLES,), prefund=_ENOUGH,
        )  # fmt: skip
        coops = tuple(coop(code, self._mode.mac) for code in self.coops)
        write_participants(path, Fleet(participant=(sponsor, *coops)))

    def _start_all(self, fleet_file: Path) -> None:
        on_switch, _ = self._cores or (None, None)
        self.switch = self._start("switch", self._switch_settings(fleet_file), on_switch)
        self.switch.ready()
