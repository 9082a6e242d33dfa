"""What field agents and the clearing house say to one another over MQTT: MessagePack arrays.

Every payload is an array that begins with the schema version and the kind of message; nothing in it
is named, so an operation and its verdict together take fewer than 200 bytes (docs/wire/mqtt.md).
Amounts are minor units. Moments are whole seconds since the epoch, by the clock of who writes them.
"""

from enum import IntEnum
from typing import Any, Final

from msgspec import Struct

VERSION: Final = 1
"""Of the schema; a payload of another one is answered with ``Fault`` and changes nothing."""
CURRENCIES: Final = ("PEN", "USD")
"""By their number in an operation."""


class Kind(IntEnum):
    """What an operation does."""

    VOID = 0
    """Nothing: a sequence number that the terminal has lost or given up."""
    CASH_IN = 1
    CASH_OUT = 2
    CREDIT_PAYMENT = 3
    """Cash towards a credit that a cooperative granted."""
    CONTRIBUTION = 4
    """Cash towards a member's share of a cooperative (aporte)."""
    TRANSFER = 5
    """Cash that somebody hands over, to anybody's account or phone."""
    BALANCE = 6
    STATEMENT = 7


CASH_TAKEN: Final = frozenset((Kind.CASH_IN, Kind.CREDIT_PAYMENT, Kind.CONTRIBUTION, Kind.TRANSFER))
"""Kinds by which cash comes into the agent's till."""
MOVES_MONEY: Final = CASH_TAKEN | {Kind.CASH_OUT}


class Operation(Struct, frozen=True, gc=False, array_like=True, forbid_unknown_fields=True):
    """One operation of a terminal; device and ``seq`` are its idempotency key.

    Attributes:
        seq: from 1, without gaps, for the life of the terminal.
        op_id: eight bytes of chance, which the receipt and both books name it by.
        minor: 0 where no money moves.
        currency: number in ``CURRENCIES``.
        account: CCI of 20 digits, or phone of 9 (cash in and transfers only).
        entity: participant or directory code of the payee; empty with a CCI.
        at: when it was made, by the terminal's clock.
        offline: whether it was made without the switch, on the agent's own risk.
        mac: first eight bytes of the HMAC-SHA256 of the rest, under the terminal's key.
    """

    seq: int
    op_id: bytes
    kind: int
    minor: int
    currency: int
    account: str
    entity: str
    at: int
    offline: bool
    mac: bytes = b""


class Verdict(Struct, frozen=True, gc=False, array_like=True, forbid_unknown_fields=True):
    """What became of one operation, for good.

    Attributes:
        code: as DE39 has it; ``00`` is applied, everything else refused and without effect.
        reason: behind the code (``scheme.reasons``), or empty.
        reference: instructionId or id of the withdrawal, or empty.
        note: field and rule that was broken, or empty.
        data: of a balance ``(available, ledger)``; of a statement rows ``(at, minor, text)``.
    """

    seq: int
    code: str
    reason: str = ""
    reference: str = ""
    note: str = ""
    data: tuple[Any, ...] = ()


class Hello(Struct, frozen=True, gc=False, array_like=True):
    """A terminal opens a session; so does everything it says after a silence.

    Attributes:
        session: the terminal's own counter, larger than ever before.
        first: its oldest operation without a verdict, or ``next``.
        next: the sequence number it will use next.
        now: its clock.
    """

    session: int
    first: int
    next: int
    now: int


class Operations(Struct, frozen=True, gc=False, array_like=True):
    """Operations, in any order, at most ``AGENT_BATCH_MAX``."""

    session: int
    operations: tuple[Operation, ...]


class Closing(Struct, frozen=True, gc=False, array_like=True):
    """A digest of the operations ``first`` to ``last``: the terminal's, then the switch's answer.

    Attributes:
        count: of those with a verdict; total: minor units of the applied ones.
        xor: of the HMACs of all verdicts in the range.
    """

    session: int
    first: int
    last: int
    count: int
    total: int
    xor: bytes


class Items(Struct, frozen=True, gc=False, array_like=True):
    """Verdicts one by one, after digests that differ: ``(seq, HMAC of the verdict)``."""

    session: int
    items: tuple[tuple[int, bytes], ...]


class Welcome(Struct, frozen=True, gc=False, array_like=True):
    """The switch's answer to Hello.

    Attributes:
        expected: every operation below it is known here.
        now: the switch's clock.
        skew: seconds that the terminal's clock is ahead of it.
        offline_s: how long the terminal may work alone.
        offline_count, offline_minor: what it may do alone until the next session: its share of
            what its agent has left today.
        float_minor: by currency number, what the agent may still take in.
    """

    session: int
    expected: int
    now: int
    skew: int
    offline_s: int
    offline_count: int
    offline_minor: int
    float_minor: tuple[int, ...]


class Verdicts(Struct, frozen=True, gc=False, array_like=True):
    """Verdicts, in the order of their sequence numbers."""

    session: int
    verdicts: tuple[Verdict, ...]


class Agreement(Struct, frozen=True, gc=False, array_like=True):
    """The switch's digest of a range; ``agrees`` ends the session."""

    session: int
    first: int
    last: int
    count: int
    total: int
    xor: bytes
    agrees: bool


class Missing(Struct, frozen=True, gc=False, array_like=True):
    """Ranges of sequence numbers that the switch lacks; both ends belong to them."""

    session: int
    ranges: tuple[tuple[int, int], ...]


class Fault(Struct, frozen=True, gc=False, array_like=True):
    """Why a payload was not taken: nothing in it has had any effect.

    Attributes:
        code: ``version``, ``payload``, ``session``, ``unknown`` or ``busy``.
        text: field and rule, for people.
    """

    session: int
    code: str
    text: str
