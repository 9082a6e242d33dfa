"""A terminal without a disk: it says what the page of the lane asks for, and remembers it all."""

import asyncio
import random
from collections.abc import Callable
from time import perf_counter
from typing import Final

from msgspec import Struct

from scheme.limits import AGENT_BATCH_MAX, AGENT_RETRY_S
from scheme.wire.agent_digest import digest_of, sealed
from scheme.wire.agent_payload import (
    Agreement,
    Closing,
    Fault,
    Hello,
    Missing,
    Operation,
    Operations,
    Verdict,
    Verdicts,
    Welcome,
    decode_down,
    encode,
)

_OP_ID_BYTES: Final = 8
_LATER: Final = (1.0, 1.5)
"""Waits are longer by chance: where many wait they must not all come again at once."""


class Counts(Struct):
    """What terminals together said and heard, in bytes of payloads.

    Attributes:
        operations_up, verdicts_down: of the payloads that carry them.
        up, down: of all payloads.
        repeats: Hellos after a silence; faults: times told that something did not go.
    """

    operations_up: int = 0
    verdicts_down: int = 0
    up: int = 0
    down: int = 0
    repeats: int = 0
    faults: int = 0


class Terminal:
    """One terminal.

    Args:
        key: of its MACs; say: sends a payload, which may be lost.
        now: its clock, in seconds.

    Attributes:
        operations, verdicts: all of its life, by sequence number.
        settled_at: by sequence number, on this process's own clock.
        faults: what must not have happened.
        agreed: the last number of a range whose digests are the same.
    """

    def __init__(
        self,
        device: str,
        key: bytes,
        *,
        say: Callable[[bytes], None],
        now: Callable[[], int],
        chance: random.Random,
        counts: Counts,
    ) -> None:
        self.device = device
        self._key = key
        self._say = say
        self._now = now
        self._chance = chance
        self._counts = counts
        self._session = 0
        self._expected = 1
        self._is_open = False
        self._sent: set[int] = set()
        self._unsettled: dict[int, None] = {}
        self._attempt = 0
        self._timer: asyncio.TimerHandle | None = None
        self._waits: dict[int, asyncio.Future[Verdict]] = {}
        self._wants_close = False
        self.operations: dict[int, Operation] = {}
        self.verdicts: dict[int, Verdict] = {}
        self.settled_at: dict[int, float] = {}
        self.agreed = 0
        self.faults: list[str] = []
        self.closed = asyncio.Event()

    @property
    def is_closed(self) -> bool:
        """Whether both sides agree on everything there is."""
        return self.agreed == len(self.operations)

    def make(self, *, kind: int, minor: int, account: str, at: int, offline: bool) -> Operation:
        """Make an operation; it leaves when the terminal is connected."""
        seq = len(self.operations) + 1
        made = Operation(
            seq=seq,
            op_id=self._chance.randbytes(_OP_ID_BYTES),
            kind=kind,
            minor=minor,
            currency=0,
            account=account,
            entity="",
            at=at,
            offline=offline,
        )
        self.operations[seq] = sealed(self._key, self.device, made)
        self._unsettled[seq] = None
        return self.operations[seq]

    async def ask(self, *, kind: int, minor: int, account: str) -> Verdict:
        """Make an operation for somebody who stands there; wait for its verdict."""
        made = self.make(kind=kind, minor=minor, account=account, at=self._now(), offline=False)
        waited: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self._waits[made.seq] = waited
        if self._is_open:
            self._send()
        return await waited

    def close(self) -> None:
        """Close the session as soon as everything has its verdict."""
        self._wants_close = True
        self.closed.clear()
        if self._is_open:
            self._onward()

    def up(self) -> None:
        """Open a session: the broker is there."""
        self._attempt = 0
        self._greet()

    def down(self) -> None:
        """Say nothing any more."""
        self._is_open = False
        self._rest()

    def heard(self, payload: bytes) -> None:
        """Take what the clearing house says."""
        self._counts.down += len(payload)
        match decode_down(payload):
            case Welcome() as welcome if welcome.session == self._session:
                self._is_open = True
                self._expected = welcome.expected
                self._onward()
            case Verdicts() as message:
                self._counts.verdicts_down += len(payload)
                for verdict in message.verdicts:
                    self._judged(verdict)
                self._attempt = 0
                self._onward()
            case Missing() as message:
                asked = (seq for first, last in message.ranges for seq in range(first, last + 1))
                self._send([one for one in asked if one in self.operations])
            case Agreement() as agreement:
                self._compare(agreement)
            case Fault() as fault:
                self._counts.faults += 1
                if fault.code != "busy":
                    self.faults.append(f"{self.device}: told {fault.code}: {fault.text}")
            case _:
                pass

    def _judged(self, verdict: Verdict) -> None:
        first = self.verdicts.setdefault(verdict.seq, verdict)
        if first != verdict:
            self.faults.append(f"{self.device}/{verdict.seq}: {first} and {verdict}")
        if verdict.seq not in self._unsettled:
            return
        del self._unsettled[verdict.seq]
        self.settled_at[verdict.seq] = perf_counter()
        waited = self._waits.pop(verdict.seq, None)
        if waited is not None:
            waited.set_result(verdict)

    def _greet(self) -> None:
        self._is_open = False
        self._session += 1
        self._sent.clear()
        first = next(iter(self._unsettled), len(self.operations) + 1)
        self._out(Hello(self._session, first, len(self.operations) + 1, self._now()))
        self._wait()

    def _onward(self) -> None:
        """Send what was not sent; when nothing is left, close."""
        if not self._is_open:
            return
        self._send()
        if not self._unsettled:
            self._rest()
            if self._wants_close and not self.is_closed:
                self._out(self._closing())
                self._wait()

    def _send(self, asked: list[int] | None = None) -> None:
        known = self._sent
        seqs = asked or [
            one for one in self._unsettled if one >= self._expected and one not in known
        ]
        known.update(seqs)
        for at in range(0, len(seqs), AGENT_BATCH_MAX):
            some = tuple(self.operations[one] for one in seqs[at : at + AGENT_BATCH_MAX])
            self._counts.operations_up += self._out(Operations(self._session, some))
        if self._unsettled:
            self._wait()

    def _closing(self) -> Closing:
        first, last = self.agreed + 1, len(self.operations)
        ended = [(self.operations[one], self.verdicts[one]) for one in range(first, last + 1)]
        return Closing(self._session, first, last, *digest_of(self._key, self.device, ended))

    def _compare(self, theirs: Agreement) -> None:
        if self._unsettled or self.is_closed:
            return
        ours = self._closing()
        if (theirs.first, theirs.last) != (ours.first, ours.last):
            return
        if (theirs.count, theirs.total, theirs.xor) != (ours.count, ours.total, ours.xor):
            self.faults.append(f"{self.device}: {ours} here, {theirs} there")
        self.agreed = ours.last
        self._rest()
        self.closed.set()

    def _out(self, message: Hello | Operations | Closing) -> int:
        payload = encode(message)
        self._counts.up += len(payload)
        self._say(payload)
        return len(payload)

    def _wait(self) -> None:
        self._rest()
        wait = AGENT_RETRY_S[min(self._attempt, len(AGENT_RETRY_S) - 1)]
        wait *= self._chance.uniform(*_LATER)
        self._timer = asyncio.get_running_loop().call_later(wait, self._again)

    def _again(self) -> None:
        self._attempt += 1
        self._counts.repeats += 1
        self._greet()

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
