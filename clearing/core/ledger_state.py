"""The ledger's decisions: what is in memory, and what each command does to it.

A command is decided at once and in order; what must be written for it is handed to the shell as
a ``Write``. Memory holds the positions, every transfer that holds money, and whatever is
decided but not on disk yet. Everything older is asked of the ``Archive``.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from clearing.core import posting
from clearing.core.position import Changes, changed, ends_alert, needs_alert, opened
from scheme.ledger import (
    APPLIED,
    FUNDING_ACCOUNT,
    Account,
    Advance,
    Command,
    Duplicate,
    Entry,
    Move,
    OpenPosition,
    Oppose,
    Position,
    Post,
    PutFact,
    Refuse,
    Release,
    Remember,
    Reserve,
    Result,
    SetAlert,
    Short,
    StrikeOff,
)

RESERVED = "RESERVED"
"""The one state in which a transfer holds money."""

_NO_CHANGES: Mapping[Account, Position] = {}


class Write(Struct, frozen=True, gc=False):
    """What one decided command writes.

    Attributes:
        entries: those it holds, posts or gives back.
        changes: the positions it moved, as they stand after it.
    """

    command: Command
    entries: tuple[Entry, ...]
    changes: Mapping[Account, Position]


class Held(Struct, frozen=True, kw_only=True, gc=False):
    """A transfer that holds money, as read back from disk."""

    transfer_id: str
    key: str
    record: bytes
    entries: tuple[Entry, ...]


class Archive(Protocol):
    """What is on disk and no longer in memory."""

    def transfer(self, key: str, transfer_id: str) -> Duplicate | None:
        """Return the transfer that has this key or this id."""

    def movement(self, movement_id: str) -> str | None:
        """Return the digest of a movement."""

    def opposition(self, transfer_id: str) -> bytes | None:
        """Return what an opposite posting of this id was asked for."""

    def postings(self, transfer_id: str) -> tuple[Entry, ...]:
        """Return the entries posted for a transfer."""

    def opposed(self, transfer_id: str) -> Mapping[str, int]:
        """Return the amounts that were taken back of a transfer, by opposite posting."""


class _Known:
    """A transfer in memory: it holds money, or its outcome is not on disk yet."""

    __slots__ = ("entries", "is_held", "is_posted", "key", "record")

    def __init__(self, key: str, record: bytes, entries: tuple[Entry, ...], *, held: bool) -> None:
        self.key = key
        self.record = record
        self.entries = entries
        self.is_held = held
        self.is_posted = False


class LedgerState:
    """Positions and open transfers, and the decisions about them.

    Args:
        positions: as they stand on disk.
        held: the transfers that hold money on disk.
        archive: answers for what is not in memory.
    """

    def __init__(
        self, positions: Iterable[Position], held: Iterable[Held], archive: Archive
    ) -> None:
        self.positions: dict[Account, Position] = {one.account: one for one in positions}
        self._archive = archive
        self._known: dict[str, _Known] = {}
        self._id_by_key: dict[str, str] = {}
        self._movements: dict[str, str] = {}
        self._oppositions: dict[str, Oppose] = {}
        self._announced: set[Account] = set()
        self._low: list[Position] = []
        self._high: list[Position] = []
        for one in held:
            self._know(one.transfer_id, _Known(one.key, one.record, one.entries, held=True))
        self._deciders: dict[type, Callable[[Any], tuple[Result, Write | None]]] = {
            Reserve: self._reserve,
            Post: self._post,
            Release: self._release,
            Refuse: self._refuse,
            Oppose: self._oppose,
            Move: self._move,
            OpenPosition: self._open_position,
            SetAlert: self._set_alert,
            Advance: self._advance,
            StrikeOff: self._without_money,
            Remember: self._without_money,
            PutFact: self._without_money,
        }

    def decide(self, command: Command) -> tuple[Result, Write | None]:
        """Decide one command; return the answer and what is to be written for it.

        Raises:
            AssertionError: the command breaks a rule that only our own mistake can break;
                nothing has changed.
        """
        return self._deciders[type(command)](command)

    def take_low(self) -> Sequence[Position]:
        """Return the positions that passed their low watermark since the last call."""
        low, self._low = self._low, []
        return low

    def take_high(self) -> Sequence[Position]:
        """Return the announced positions that passed their high watermark since the last call."""
        high, self._high = self._high, []
        return high

    def forget(self, writes: Iterable[Write]) -> None:
        """Drop what is on disk now and can be asked of the archive."""
        for write in writes:
            command = write.command
            match command:
                case Post() | Release() | Refuse():
                    known = self._known.pop(command.transfer_id)
                    del self._id_by_key[known.key]
                case Move():
                    del self._movements[command.movement_id]
                case Oppose():
                    del self._oppositions[command.transfer_id]
                case _:
                    pass

    def _know(self, transfer_id: str, known: _Known) -> None:
        self._known[transfer_id] = known
        self._id_by_key[known.key] = transfer_id

    def _find(self, key: str, transfer_id: str) -> Duplicate | None:
        known_id = self._id_by_key.get(key)
        if known_id is None and transfer_id in self._known:
            known_id = transfer_id
        if known_id is not None:
            return Duplicate(known_id, self._known[known_id].record)
        return self._archive.transfer(key, transfer_id)

    def _change(self, changes: Changes) -> None:
        positions = self.positions
        for account, after in changes.items():
            positions[account] = after
            if after.available_minor < after.low_minor:
                if needs_alert(after) and account not in self._announced:
                    self._announced.add(account)
                    self._low.append(after)
            elif after.available_minor > after.high_minor:
                self._announced.discard(account)
                if ends_alert(after):
                    positions[account] = changes[account] = changed(after, alerted=False)
                    self._high.append(positions[account])

    def _reserve(self, command: Reserve) -> tuple[Result, Write | None]:
        assert command.state == RESERVED
        assert command.entries
        duplicate = self._find(command.key, command.transfer_id)
        if duplicate is not None:
            return duplicate, None
        changes = posting.reserve(self.positions, command.entries)
        if isinstance(changes, Short):
            return changes, None
        self._change(changes)
        known = _Known(command.key, command.record, command.entries, held=True)
        self._know(command.transfer_id, known)
        return APPLIED, Write(command, command.entries, changes)

    def _post(self, command: Post) -> tuple[Result, Write | None]:
        known = self._end(command)
        known.is_posted = True
        changes = posting.post(self.positions, known.entries, held=True)
        self._change(changes)
        return APPLIED, Write(command, known.entries, changes)

    def _release(self, command: Release) -> tuple[Result, Write | None]:
        known = self._end(command)
        changes = posting.release(self.positions, known.entries)
        self._change(changes)
        return APPLIED, Write(command, known.entries, changes)

    def _end(self, command: Post | Release) -> _Known:
        known = self._known.get(command.transfer_id)
        assert known is not None, "no transfer of this id holds money"
        assert known.is_held, "the transfer has its outcome already"
        assert command.state != RESERVED
        known.is_held = False
        known.record = command.record
        return known

    def _refuse(self, command: Refuse) -> tuple[Result, Write | None]:
        assert command.state != RESERVED
        duplicate = self._find(command.key, command.transfer_id)
        if duplicate is not None:
            return duplicate, None
        self._know(command.transfer_id, _Known(command.key, command.record, (), held=False))
        return APPLIED, Write(command, (), _NO_CHANGES)

    def _advance(self, command: Advance) -> tuple[Result, Write | None]:
        known = self._known.get(command.transfer_id)
        assert known is None or not known.is_held, "only a decided transfer moves on"
        assert command.state != RESERVED
        return APPLIED, Write(command, (), _NO_CHANGES)

    def _without_money(
        self, command: StrikeOff | Remember | PutFact
    ) -> tuple[Result, Write | None]:
        return APPLIED, Write(command, (), _NO_CHANGES)

    def _oppose(self, command: Oppose) -> tuple[Result, Write | None]:
        earlier = self._oppositions.get(command.transfer_id)
        asked = (
            opposition_record(earlier.opposite_of, earlier.minor)
            if earlier is not None
            else self._archive.opposition(command.transfer_id)
        )
        if asked is not None:
            return Duplicate(command.transfer_id, asked), None
        assert command.minor > 0
        known = self._known.get(command.opposite_of)
        assert known is None or known.is_posted, "only a posted transfer can be opposed"
        original = (
            known.entries if known is not None else self._archive.postings(command.opposite_of)
        )
        left = posting.left_minor(original, self._opposed_minor(command.opposite_of))
        if command.minor > left:
            return Short(original[0].credit, left), None
        entries = posting.opposites(original, command.minor, command.window)
        changes = posting.post(self.positions, entries, held=False)
        self._change(changes)
        self._oppositions[command.transfer_id] = command
        return APPLIED, Write(command, entries, changes)

    def _opposed_minor(self, transfer_id: str) -> int:
        # By id: one that has just reached the disk may still be in memory as well.
        opposed = dict(self._archive.opposed(transfer_id))
        for one in self._oppositions.values():
            if one.opposite_of == transfer_id:
                opposed[one.transfer_id] = one.minor
        return sum(opposed.values())

    def _move(self, command: Move) -> tuple[Result, Write | None]:
        digest = self._movements.get(command.movement_id)
        if digest is None:
            digest = self._archive.movement(command.movement_id)
        if digest is not None:
            return Duplicate(command.movement_id, digest.encode()), None
        changes = posting.move(self.positions, command.entry)
        if isinstance(changes, Short):
            return changes, None
        self._change(changes)
        self._movements[command.movement_id] = command.digest
        return APPLIED, Write(command, (command.entry,), changes)

    def _open_position(self, command: OpenPosition) -> tuple[Result, Write | None]:
        account = command.account
        assert account.owner != FUNDING_ACCOUNT, "the contra account opens by itself"
        if account in self.positions:
            return APPLIED, None
        contra = Account(ledger=account.ledger, currency=account.currency, owner=FUNDING_ACCOUNT)
        fresh = opened(
            account,
            low_minor=command.low_minor,
            high_minor=command.high_minor,
            cap_minor=command.cap_minor,
        )
        changes: Changes = {account: fresh, contra: self.positions.get(contra) or opened(contra)}
        entries: tuple[Entry, ...] = ()
        if command.prefund_minor:
            entries = (
                Entry(
                    kind="funding",
                    debit=contra,
                    credit=account,
                    minor=command.prefund_minor,
                    window=command.window,
                ),
            )
            changes = posting.post(changes, entries, held=False)
        self._change(changes)
        return APPLIED, Write(command, entries, changes)

    def _set_alert(self, command: SetAlert) -> tuple[Result, Write | None]:
        after = changed(self.positions[command.account], alerted=command.alerted)
        self.positions[command.account] = after
        self._announced.discard(command.account)
        return APPLIED, Write(command, (), {command.account: after})


def opposition_record(opposite_of: str, minor: int) -> bytes:
    """Return what an opposite posting was asked for, to tell a repeat from another request."""
    return f"{opposite_of} {minor}".encode()
