"""A small clearing house for terminals: it keeps what it was told and answers like the real one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from scheme.wire.agent_digest import digest_of, is_genuine, verdict_mac
from scheme.wire.agent_payload import (
    Agreement,
    Closing,
    Down,
    Fault,
    Hello,
    Items,
    Kind,
    Missing,
    Operation,
    Operations,
    Up,
    Verdict,
    Verdicts,
    Welcome,
    decode_up,
    encode,
)

DEVICE = "0992-0001-1"
KEY = bytes(range(32))


def approve(operation: Operation) -> Verdict:
    return Verdict(operation.seq, "00", "", f"T{operation.seq}")


@dataclass
class AgentSwitch:
    """Answers the payloads of one terminal; a gap holds back what comes after it.

    Attributes:
        judge: the verdict of an operation.
        stored: by sequence number, as first seen.
        done: how often each op_id was carried out.
    """

    judge: Callable[[Operation], Verdict] = approve
    key: bytes = KEY
    now: int = 0
    offline_s: int = 14_400
    count: int = 300
    minor: tuple[int, ...] = (1_000_000, 100_000)
    room: tuple[int, ...] = (5_000_000, 100_000)
    stored: dict[int, Operation] = field(default_factory=dict)
    verdicts: dict[int, Verdict] = field(default_factory=dict)
    done: dict[bytes, int] = field(default_factory=dict)
    closings: list[Closing] = field(default_factory=list)
    session: int = 0

    @property
    def expected(self) -> int:
        return len(self.verdicts) + 1

    def receive(self, payload: bytes) -> list[bytes]:
        return [encode(one) for one in self._answers(decode_up(payload))]

    def _answers(self, message: Up) -> Sequence[Down]:
        match message:
            case Hello():
                return self._hello(message)
            case Operations():
                return self._operations(message)
            case Closing():
                return [self._closing(message)]
            case Items():
                return self._items(message)

    def _hello(self, hello: Hello) -> list[Welcome | Verdicts | Missing | Fault]:
        if hello.session < self.session:
            return [Fault(self.session, "session", "session: a later one came before")]
        self.session = hello.session
        welcome = Welcome(
            session=hello.session,
            expected=self.expected,
            now=self.now or hello.now,
            skew=hello.now - (self.now or hello.now),
            offline_s=self.offline_s,
            offline_count=self.count,
            offline_minor=self.minor,
            float_minor=self.room,
        )
        known = [one for seq, one in sorted(self.verdicts.items()) if seq >= hello.first]
        batches = [tuple(known[at : at + 50]) for at in range(0, len(known), 50)]
        return [welcome, *(Verdicts(self.session, one) for one in batches), *self._missing()]

    def _operations(self, message: Operations) -> list[Verdicts | Missing]:
        told: dict[int, Verdict] = {}
        for one in message.operations:
            if not is_genuine(self.key, DEVICE, one):
                told[one.seq] = Verdict(one.seq, "63")
            elif self.stored.setdefault(one.seq, one) != one:
                told[one.seq] = Verdict(one.seq, "94", "AM05")
            elif one.seq in self.verdicts:
                told[one.seq] = self.verdicts[one.seq]
        while (one := self.stored.get(self.expected)) is not None:  # type: ignore[assignment]
            self.done[one.op_id] = self.done.get(one.op_id, 0) + 1
            is_void = one.kind == Kind.VOID
            verdict = Verdict(one.seq, "00") if is_void else self.judge(one)
            told[one.seq] = self.verdicts[one.seq] = verdict
        verdicts = tuple(told[seq] for seq in sorted(told))
        answers: list[Verdicts | Missing] = [
            Verdicts(self.session, verdicts[at : at + 50]) for at in range(0, len(verdicts), 50)
        ]
        return [*answers, *self._missing()]

    def _missing(self) -> list[Missing]:
        last = max(self.stored, default=0)
        gaps = [seq for seq in range(self.expected, last) if seq not in self.stored]
        return [Missing(self.session, tuple((seq, seq) for seq in gaps[:64]))] if gaps else []

    def _closing(self, closing: Closing) -> Agreement:
        self.closings.append(closing)
        ended = [
            (self.stored[seq], verdict)
            for seq, verdict in self.verdicts.items()
            if closing.first <= seq <= closing.last
        ]
        count, total, xor = digest_of(self.key, DEVICE, ended)
        agrees = (count, total, xor) == (closing.count, closing.total, closing.xor)
        return Agreement(
            closing.session, closing.first, closing.last, count, total, xor, agrees=agrees
        )

    def _items(self, message: Items) -> list[Verdicts]:
        differing = tuple(
            verdict
            for seq, mac in message.items
            if (verdict := self.verdicts.get(seq)) is not None
            and verdict_mac(self.key, DEVICE, self.stored[seq], verdict) != mac
        )
        return [Verdicts(message.session, differing)]
