"""A terminal with its disk, and a small clearing house on the other end of a wire."""

import random

from participants.core.agent_book import (
    Change,
    Entry,
    Facts,
    Wish,
)
from participants.core.agent_faults import Faults
from participants.core.agent_limits import Stop
from participants.core.agent_terminal import Terminal
from participants.core.agent_told import (
    Actions,
    Made,
    Told,
)
from scheme.wire.agent_payload import Agreement, Closing, Kind, encode
from tests.support.agent_switch import DEVICE, KEY, AgentSwitch

NOW = 1_800_000_000.0
IN = Wish(kind=Kind.CASH_IN, minor=2_000, account="97500100000000000101")
OUT = Wish(kind=Kind.CASH_OUT, minor=5_000, account="97500100000000000101")


class World:
    """A terminal, its disk, and a switch on the other end of a wire that can be spoilt."""

    def __init__(self, switch: AgentSwitch | None = None, *, batch_max: int = 50) -> None:
        self.switch = switch or AgentSwitch()
        self.disk: dict[int, Entry] = {}
        self.facts = Facts()
        self.told: list[Told] = []
        self.sent: list[bytes] = []
        self.now = NOW
        self.faults = Faults(random.Random(0))
        self.batch_max = batch_max
        self.chance = random.Random(7)
        self.terminal = self.restarted()

    def restarted(self) -> Terminal:
        self.terminal = Terminal(
            DEVICE,
            KEY,
            chance=self.chance,
            facts=self.facts,
            entries=self.disk.values(),
            batch_max=self.batch_max,
        )
        return self.terminal

    def write(self, change: Change | None) -> None:
        if change is None:
            return
        self.facts = change.facts
        self.disk |= {one.seq: one for one in change.entries}
        for seq in [one for one in self.disk if one <= change.forget_through]:
            del self.disk[seq]

    def do(self, actions: Actions) -> None:
        """Carry actions out, and what the switch answers, until nothing more is said."""
        self.write(actions.change)
        self.told += actions.told
        for payload in self.faults.spoil(actions.payloads):
            self.sent.append(payload)
            for answer in self.switch.receive(payload):
                self.do(self.terminal.receive(answer, self.now))

    def connect(self) -> None:
        self.do(self.terminal.connected(self.now))

    def make(self, wish: Wish = IN, *, offline: bool = True) -> Entry:
        made = self.terminal.make(wish, self.now, offline=offline)
        assert isinstance(made, Made)
        self.do(made.actions)
        return made.entry

    def stopped(self, wish: Wish = IN, *, offline: bool = True) -> Stop:
        stop = self.terminal.make(wish, self.now, offline=offline)
        assert isinstance(stop, Stop)
        return stop

    def alone(self) -> None:
        self.terminal.disconnected()

    def tick(self, seconds: float) -> None:
        self.now += seconds
        self.do(self.terminal.tick(self.now))

    def of(self, kind: type[Told]) -> list[Told]:
        return [one for one in self.told if isinstance(one, kind)]

    def codes(self) -> list[str]:
        return [one.verdict.code if one.verdict else "" for one in self.terminal.entries]


def an_answer(closing: Closing, *, count: int, last: int | None = None) -> bytes:
    """Return what a clearing house says to a closing with which it does not agree."""
    last = closing.last if last is None else last
    answer = Agreement(
        closing.session, closing.first, last, count, closing.total, closing.xor, agrees=False
    )
    return encode(answer)
