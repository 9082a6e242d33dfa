"""One mode on the lane of ISO 8583: core to core through the switch, beside a bare TCP relay."""

from contextlib import ExitStack
from functools import partial
from pathlib import Path

from loadtests.bench.child import Child, cores
from loadtests.bench.iso8583_country import CREDITORS, DEBTORS, IsoCountry, payees
from loadtests.bench.iso8583_link import Identity
from loadtests.bench.iso8583_traffic import IsoTraffic
from loadtests.bench.local_country import Mode
from loadtests.bench.measure import NothingMeasured, Pair, Side, pairs_of
from loadtests.bench.orders import FEE
from loadtests.bench.traffic import Book
from scheme.clock import Clock

_PAYEES_EACH = 50


class IsoRun:
    """A country of cores with its load, and the relay beside it.

    Args:
        home: empty; the country's.
    """

    def __init__(
        self, stack: ExitStack, mode: Mode, home: Path, clock: Clock, *, seed: int, in_flight: int
    ) -> None:
        self.book = Book()
        self.country = stack.enter_context(IsoCountry(mode, home, cores(), clock))
        self._creditors = self.country.creditors()
        self._relay, relay_port = start_relay(stack, home, cores())
        traffic = partial(
            IsoTraffic,
            payees=payees(_PAYEES_EACH, seed, FEE),
            clock=clock,
            seed=seed,
            in_flight=in_flight,
        )
        debtors = [self.country.identity(code) for code in DEBTORS]
        self._traffic = traffic(self.country.iso8583_port, debtors, book=self.book)
        plain = [Identity(code=code) for code in DEBTORS]
        self._relay_traffic = traffic(relay_port, plain, book=Book())

    async def pairs(self, pairs: int, seconds: float) -> list[Pair]:
        """Sign the cores on and run interleaved rounds.

        Raises:
            RefusedLink: a core could not sign on.
            NothingMeasured: no transfer was accepted; says one of the reasons.
        """
        self._creditors.ready()
        await self._traffic.open(sign_on=True)
        await self._relay_traffic.open(sign_on=False)
        try:
            return await pairs_of(
                Side(self._traffic, self.country.switch),
                Side(self._relay_traffic, self._relay),
                pairs=pairs,
                seconds=seconds,
            )
        except NothingMeasured as error:
            said = ", ".join(reason for reason, _ in self.book.reasons.most_common(1))
            raise NothingMeasured(f"{error}: {said}") from error

    def close(self) -> None:
        """Close the load's links."""
        self._traffic.close()
        self._relay_traffic.close()

    @property
    def objections(self) -> tuple[str, ...]:
        """What was wrong with messages that belong to no transfer."""
        told = {
            "answers to nothing that was asked": self._traffic.strays,
            "messages with a wrong MAC": self._traffic.wrong_macs,
        }
        return tuple(f"{number} {what}" for what, number in told.items() if number)


def start_relay(stack: ExitStack, home: Path, on: tuple[int, int] | None) -> tuple[Child, int]:
    """Start the baseline in the switch's place, with creditors of its own; return its port.

    Args:
        on: processors of the relay and of its creditors.
    """
    on_switch, on_fleet = on or (None, None)
    start = partial(Child, log=home / "relay.log")
    relay_command = ("-m", "loadtests.bench.iso8583_relay")
    relay = stack.enter_context(start("relay", relay_command, core=on_switch))
    ports = relay.ready()
    port, creditor_port = ports["port"], ports["creditor_port"]
    assert isinstance(port, int)
    command = ("-m", "loadtests.bench.iso8583_core", str(creditor_port), ",".join(CREDITORS))
    stub = stack.enter_context(start("stub", (*command, "--no-sign-on"), core=on_fleet))
    stub.ready()
    return relay, port
