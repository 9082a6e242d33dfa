"""What field agents and the clearing house say to one another over MQTT: MessagePack arrays.

Every payload is ``[version, [type, field, field ...]]``; nothing in it is named, so an operation
and its verdict together take fewer than 200 bytes (docs/wire/mqtt.md). Elements that a newer writer
adds at the end of an array are passed over. Amounts are minor units. Moments are whole seconds
since the epoch, by the clock of who writes them.
"""

import re
from collections.abc import Mapping
from enum import IntEnum
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Raw, Struct
from msgspec.structs import replace

from scheme.errors import MalformedMessage
from scheme.limits import (
    AGENT_BATCH_MAX,
    AGENT_PAYLOAD_BYTES_MAX,
    AGENT_RANGES_MAX,
    AGENT_SEQUENCE_MAX,
)

VERSION: Final = 1
"""Of the schema; a payload of another one is answered with ``Fault`` and changes nothing."""
CURRENCIES: Final = ("PEN", "USD")
"""By their number in an operation."""

AGENT_DATA_MAX: Final = 20
"""Amounts, or rows of a statement, in one verdict: it fits a payload whatever is in it."""
NOTE_CHARACTERS_MAX: Final = 44
"""What is sent of a verdict's note: so an operation and its verdict stay below 200 bytes, whatever
is in them. A longer one is taken all the same."""
_YEAR_9999_S: Final = 253_402_300_799
Bytes8 = Annotated[bytes, Meta(min_length=8, max_length=8)]
Sequence = Annotated[int, Meta(ge=1, le=AGENT_SEQUENCE_MAX)]
SESSION_MAX: Final = 2**31
"""A terminal that has come to it says it at every Hello: only a lower one is turned away."""
Session = Annotated[int, Meta(ge=0, le=SESSION_MAX)]
Moment = Annotated[int, Meta(ge=0, le=_YEAR_9999_S)]
Minor = Annotated[int, Meta(ge=0, le=10**12)]
Count = Annotated[int, Meta(ge=0, le=AGENT_SEQUENCE_MAX)]
Signed = Annotated[int, Meta(ge=-(10**12), le=10**12)]
Text = Annotated[str, Meta(max_length=140)]


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


class Operation(Struct, frozen=True, gc=False, array_like=True):
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

    seq: Sequence
    op_id: Bytes8
    kind: Annotated[int, Meta(ge=0, le=int(max(Kind)))]
    minor: Minor
    currency: Annotated[int, Meta(ge=0, lt=len(CURRENCIES))]
    account: Annotated[str, Meta(max_length=20)]
    entity: Annotated[str, Meta(max_length=4)]
    at: Moment
    offline: bool
    mac: Annotated[bytes, Meta(max_length=8)] = b""


class Row(Struct, frozen=True, gc=False, array_like=True):
    """One line of a statement: when, by how much the account rose, and what it was."""

    at: Moment
    minor: Signed
    text: Annotated[str, Meta(max_length=40)]


class Verdict(Struct, frozen=True, gc=False, array_like=True):
    """What became of one operation, for good.

    Attributes:
        code: as DE39 has it; ``00`` is applied, everything else refused and without effect.
        reason: behind the code (``scheme.reasons``), or empty.
        reference: instructionId or id of the withdrawal, or empty.
        note: field and rule that was broken, or empty.
        data: of a balance ``(available, ledger)``; of a statement its rows, the newest first.
    """

    seq: Sequence
    code: Annotated[str, Meta(min_length=2, max_length=2)]
    reason: Annotated[str, Meta(max_length=4)] = ""
    reference: Annotated[str, Meta(max_length=40)] = ""
    note: Text = ""
    # A bound of the number, beside another type, is what msgspec 0.22 reads from the wrong place.
    data: Annotated[tuple[int | Row, ...], Meta(max_length=AGENT_DATA_MAX)] = ()


class Hello(Struct, frozen=True, gc=False, array_like=True, tag=0):
    """A terminal opens a session; so does everything it says after a silence.

    Attributes:
        session: the terminal's own counter, larger than ever before.
        first: its oldest operation without a verdict, or ``next``.
        next: the sequence number it will use next.
        now: its clock.
    """

    session: Session
    first: Sequence
    next: Sequence
    now: Moment


class Operations(Struct, frozen=True, gc=False, array_like=True, tag=1):
    """Operations, in any order, at most ``AGENT_BATCH_MAX``."""

    session: Session
    operations: Annotated[tuple[Operation, ...], Meta(max_length=AGENT_BATCH_MAX)]


class Closing(Struct, frozen=True, gc=False, array_like=True, tag=2):
    """A digest of the operations ``first`` to ``last``: the terminal's, then the switch's answer.

    Attributes:
        count: of those with a verdict; total: minor units of the applied ones.
        xor: of the HMACs of all verdicts in the range.
    """

    session: Session
    first: Sequence
    last: Count
    count: Count
    total: Annotated[int, Meta(ge=0)]
    xor: Bytes8


class Items(Struct, frozen=True, gc=False, array_like=True, tag=3):
    """Verdicts one by one, after digests that differ: ``(seq, HMAC of the verdict)``.

    As many as a payload can hold; ``payloads`` makes several of a longer list.
    """

    session: Session
    items: tuple[tuple[Sequence, Bytes8], ...]


class Welcome(Struct, frozen=True, gc=False, array_like=True, tag=0):
    """The switch's answer to Hello.

    Attributes:
        expected: every operation below it is known here.
        now: the switch's clock.
        skew: seconds that the terminal's clock is ahead of it.
        offline_s: how long the terminal may work alone.
        offline_count: operations it may make alone until the next session, its share of what its
            agent has left today; offline_minor: their amount, by currency number.
        float_minor: by currency number, what the agent may still take in.
    """

    session: Session
    expected: Sequence
    now: Moment
    skew: int
    offline_s: int
    offline_count: int
    offline_minor: tuple[int, ...]
    float_minor: tuple[int, ...]


class Verdicts(Struct, frozen=True, gc=False, array_like=True, tag=1):
    """Verdicts, in the order of their sequence numbers."""

    session: Session
    verdicts: Annotated[tuple[Verdict, ...], Meta(max_length=AGENT_BATCH_MAX)]


class Agreement(Struct, frozen=True, gc=False, array_like=True, tag=2):
    """The switch's digest of a range; ``agrees`` ends the session."""

    session: Session
    first: Sequence
    last: Count
    count: Count
    total: Annotated[int, Meta(ge=0)]
    xor: Bytes8
    agrees: bool


class Missing(Struct, frozen=True, gc=False, array_like=True, tag=4):
    """Ranges of sequence numbers that the switch lacks; both ends belong to them."""

    session: Session
    ranges: Annotated[tuple[tuple[Sequence, Sequence], ...], Meta(max_length=AGENT_RANGES_MAX)]


class Fault(Struct, frozen=True, gc=False, array_like=True, tag=9):
    """Why a payload was not taken: nothing in it has had any effect.

    Attributes:
        code: ``version``, ``payload``, ``session``, ``unknown`` or ``busy``.
        text: field and rule, for people.
    """

    session: Session
    code: Annotated[str, Meta(max_length=16)]
    text: Text


class Presence(Struct, frozen=True, gc=False, array_like=True):
    """The retained state of a terminal, and its last will: whether it is there, and since when."""

    version: int
    online: Annotated[int, Meta(ge=0, le=1)]
    at: Moment


Up = Hello | Operations | Closing | Items
Down = Welcome | Verdicts | Agreement | Items | Missing | Fault


class _Envelope(Struct, frozen=True, gc=False, array_like=True):
    version: int
    message: Raw


class _Tagged(Struct, frozen=True, gc=False, array_like=True):
    tag: int


class WrongVersion(MalformedMessage):
    """A payload of another schema version."""


_encode: Final = msgspec.msgpack.Encoder().encode
_envelopes: Final = msgspec.msgpack.Decoder(_Envelope)
_tags: Final = msgspec.msgpack.Decoder(_Tagged)
_presences: Final = msgspec.msgpack.Decoder(Presence)
_ups: Final[msgspec.msgpack.Decoder[Up]] = msgspec.msgpack.Decoder(Up)
_downs: Final[msgspec.msgpack.Decoder[Down]] = msgspec.msgpack.Decoder(Down)
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What a decoder says of bytes that break a rule, are no text, or nest without end."""
_BY_TAG: Final[Mapping[bool, Mapping[int, type[Struct]]]] = {
    is_up: {kind.__struct_config__.tag: kind for kind in get_args(union)}
    for is_up, union in ((True, Up), (False, Down))
}
_PATH: Final = re.compile(r" - at `\$((?:\[[0-9.]+\])*)`")
_TOO_SHORT: Final = re.compile(r"at least length \d+, got (\d+)")


def encode(message: Up | Down) -> bytes:
    """Return a message as it is sent."""
    return _encode((VERSION, message))


def payloads(message: Operations | Verdicts | Items) -> tuple[bytes, ...]:
    """Return a list as it is sent: in as many payloads as its length and its bytes ask for.

    Notes of verdicts are cut to ``NOTE_CHARACTERS_MAX``.
    """
    if isinstance(message, Verdicts):
        message = replace(message, verdicts=tuple(map(_brief, message.verdicts)))
    whole = _listed(message)
    sent = encode(message)
    too_many = not isinstance(message, Items) and len(whole) > AGENT_BATCH_MAX
    if len(whole) < 2 or not (too_many or len(sent) > AGENT_PAYLOAD_BYTES_MAX):
        return (sent,)
    middle = len(whole) // 2
    halves = (whole[:middle], whole[middle:])
    return tuple(one for half in halves for one in payloads(_with(message, half)))


def decode_up(payload: bytes) -> Up:
    """Read what a terminal sent.

    Raises:
        WrongVersion: of another schema version.
        MalformedMessage: no such message; names the field and the rule.
    """
    raw = _opened(payload)
    try:
        return _ups.decode(raw)
    except _UNREADABLE as error:
        raise _malformed(raw, error, is_up=True) from error


def decode_down(payload: bytes) -> Down:
    """Read what the switch sent; raises as ``decode_up`` does."""
    raw = _opened(payload)
    try:
        return _downs.decode(raw)
    except _UNREADABLE as error:
        raise _malformed(raw, error, is_up=False) from error


def encode_presence(*, online: bool, at: int) -> bytes:
    """Return what a terminal keeps in its state, and leaves as its last will."""
    return _encode(Presence(VERSION, int(online), at))


def decode_presence(payload: bytes) -> Presence:
    """Read a terminal's state; raises as ``decode_up`` does."""
    try:
        presence = _presences.decode(payload)
    except _UNREADABLE as error:
        raise MalformedMessage("an array: version, online, at", field="state") from error
    if presence.version != VERSION:
        raise WrongVersion(f"{VERSION}, not {presence.version}", field="version")
    return presence


def as_json(message: Up | Down) -> bytes:
    """Return a message as JSON with names, for people; bytes are hex."""
    named = {"version": VERSION, "message": type(message).__name__, **_named(message)}
    return msgspec.json.encode(named)


def _brief(verdict: Verdict) -> Verdict:
    if len(verdict.note) <= NOTE_CHARACTERS_MAX:
        return verdict
    return replace(verdict, note=verdict.note[:NOTE_CHARACTERS_MAX])


def _listed(message: Operations | Verdicts | Items) -> tuple[Any, ...]:
    return tuple(getattr(message, message.__struct_fields__[-1]))


def _with(message: Operations | Verdicts | Items, some: tuple[Any, ...]) -> Any:
    return replace(message, **{message.__struct_fields__[-1]: some})


def _opened(payload: bytes) -> Raw:
    if len(payload) > AGENT_PAYLOAD_BYTES_MAX:
        raise MalformedMessage(f"at most {AGENT_PAYLOAD_BYTES_MAX} bytes", field="root")
    try:
        envelope = _envelopes.decode(payload)
    except _UNREADABLE as error:
        raise MalformedMessage("a MessagePack array: version, message", field="root") from error
    if envelope.version != VERSION:
        raise WrongVersion(f"{VERSION}, not {envelope.version}", field="version")
    return envelope.message


def _malformed(raw: Raw, error: Exception, *, is_up: bool) -> MalformedMessage:
    """Say a decoder's complaint with the names that the page has for what it numbers."""
    try:
        tag = _tags.decode(raw).tag
    except _UNREADABLE:
        return MalformedMessage("an array that begins with its type, a number", field="message")
    kind = _BY_TAG[is_up].get(tag)
    if kind is None:
        known = ", ".join(str(one) for one in sorted(_BY_TAG[is_up]))
        return MalformedMessage(f"one of the types {known}", field="message")
    if not isinstance(error, msgspec.DecodeError):
        return MalformedMessage("UTF-8 in every text, and no endless nesting", field=kind.__name__)
    return _explained(kind, str(error))


def _explained(kind: type[Struct], text: str) -> MalformedMessage:
    found = _PATH.search(text)
    rule = text if found is None else text[: found.start()]
    steps = [] if found is None else re.findall(r"[0-9.]+", found.group(1))
    parts, inner = _spelt(kind, steps)
    short = _TOO_SHORT.search(rule)
    if short and inner is not None:
        # Which element is the first that lacks tells more than how many there are.
        place = int(short.group(1)) - (inner.__struct_config__.tag is not None)
        parts, rule = [*parts, inner.__struct_fields__[place]], "missing"
    return MalformedMessage(rule, field=".".join(parts) or kind.__name__)


def _spelt(kind: Any, steps: list[str]) -> tuple[list[str], type[Struct] | None]:
    """Return a path of numbers as the fields they stand for, and the Struct that it ends in."""
    parts: list[str] = []
    for step in steps:
        if isinstance(kind, type) and issubclass(kind, Struct):
            # The first element of a message is its type.
            place = int(step) - (kind.__struct_config__.tag is not None)
            parts.append(kind.__struct_fields__[place])
            kind = get_type_hints(kind)[parts[-1]]
        else:
            parts.append(step)
            kind = next(iter(get_args(kind)), None) if get_origin(kind) is tuple else None
    return parts, kind if isinstance(kind, type) and issubclass(kind, Struct) else None


def _named(message: Struct) -> dict[str, Any]:
    return {name: _plain(getattr(message, name)) for name in message.__struct_fields__}


def _plain(value: Any) -> Any:
    if isinstance(value, Struct):
        return _named(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value
