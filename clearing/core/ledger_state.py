"""The ledger's decisions: what is in memory, and what each command does to it.

A command is decided at once and in order; what must be written for it is handed to the shell as
a ``Write``. Memory holds the positions, every transfer that holds money, the windows that are
not at an end with their tallies, the queued payments, and whatever is decided but not on disk
yet. Everything older is asked of the ``Archive``.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from clearing.core import posting
from clearing.core.instruction_state import InstructionState
from clearing.core.ledger_write import Archive, Held, Recorded, Write
from clearing.core.position import Changes, checked_range, opened
from clearing.core.position_book import NO_CHANGES, Numbers, PositionBook
from clearing.core.settlement_decisions import Decision, SettlementDecisions
from clearing.core.tally import (
    RECEIVED_ACCEPTED,
    RECEIVED_REJECTED,
    SENT_ACCEPTED,
    SENT_REJECTED,
    Tallies,
    at_acceptance,
    at_posting,
)
from clearing.core.window_state import WindowState, windows_of
from scheme.ledger import (
    APPLIED,
    FUNDING_ACCOUNT,
    HOLDING,
    PREFUND_SUFFIX,
    Account,
    Advance,
    Command,
    Duplicate,
    Entry,
    Move,
    OpenPosition,
    Oppose,
    Post,
    PutFact,
    Refuse,
    Release,
    Remember,
    Reserve,
    SetAlert,
    Short,
    StrikeOff,
)
from scheme.standing import Instruction, Tally, WindowStand


class _Known:
    """A transfer in memory: it holds money, or its outcome is not on disk yet."""

    __slots__ = ("at_end", "entries", "is_held", "is_posted", "key", "number", "record", "windows")

    def __init__(
        self,
        key: str,
        record: bytes,
        entries: tuple[Entry, ...],
        windows: tuple[str, ...],
        number: int,
    ) -> None:
        self.key = key
        self.record = record
        self.entries = entries
        self.number = number
        self.windows = windows
        self.at_end = at_posting(entries)
        self.is_held = True
        self.is_posted = False


class LedgerState:
    """Positions, open transfers, windows and payments, and the decisions about them.

    Args:
        recorded: what stands on disk.
        archive: answers for what is not in memory.
    """

    def __init__(self, recorded: Recorded, archive: Archive) -> None:
        self._book = PositionBook(recorded.positions)
        self.positions = self._book.positions
        self._archive = archive
        self._numbers = Numbers(recorded.last_number, recorded.first_number)
        self._tallies = Tallies(archive.book)
        self._windows = WindowState(recorded.windows)
        self._instructions = InstructionState(recorded.instructions, recorded.last_sequence)
        self._settling = SettlementDecisions(
            self._book,
            self._tallies,
            self._windows,
            self._instructions,
            self._numbers,
            archive,
        )
        self._known: dict[str, _Known] = {}
        self._id_by_key: dict[str, str] = {}
        self._movements: dict[str, str] = {}
        self._oppositions: dict[str, Oppose] = {}
        for one in recorded.held:
            windows = windows_of(one.entries)
            known = _Known(one.key, one.record, one.entries, windows, one.number)
            self._know(one.transfer_id, known)
            self._windows.hold(known.windows)
            self._tallies.weigh(known.windows, sum(entry.minor for entry in one.entries))
        self._deciders: dict[type, Callable[[Any], Decision]] = {
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
            **self._settling.deciders(),
        }
        self.take_low = self._book.take_low
        self.take_high = self._book.take_high
        self.take_released = self._windows.take_released

    def decide(self, command: Command) -> Decision:
        """Decide one command; return the answer and what is to be written for it.

        Raises:
            AssertionError: the command breaks a rule that only our own mistake can break;
                nothing has changed.
        """
        return self._deciders[type(command)](command)

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
                    if write.stand is not None or write.instructions:
                        self._settling.forget(write)

    def windows(self) -> tuple[WindowStand, ...]:
        """Return all windows that are not at an end."""
        return self._windows.all()

    def window(self, window: str) -> WindowStand | None:
        """Return any window."""
        return self._windows.get(window) or self._archive.window(window)

    def past_windows(self, limit: int) -> tuple[WindowStand, ...]:
        """Return windows whose end is on disk, newest first."""
        return self._archive.past_windows(limit)

    def tallies(self, window: str) -> tuple[Tally, ...]:
        """Return what a window has counted."""
        return self._tallies.read(window)

    def batch(self, window: str) -> bytes | None:
        """Return a window's batch."""
        return self._windows.batch(window) or self._archive.batch(window)

    def batch_digest(self, window: str) -> str | None:
        """Return the digest that a window's batch was written with."""
        return self._windows.batch_digest(window) or self._archive.batch_digest(window)

    def held_in(self, window: str) -> tuple[Held, ...]:
        """Return the transfers of a window that hold money, in the order of their reservation."""
        return tuple(
            Held(
                transfer_id=transfer_id,
                key=one.key,
                record=one.record,
                entries=one.entries,
                number=one.number,
            )
            for transfer_id, one in self._known.items()
            if one.is_held and window in one.windows
        )

    def instructions(self) -> tuple[Instruction, ...]:
        """Return the queue of payments in its order."""
        return self._instructions.queued()

    def instruction(self, instruction_id: str) -> Instruction | None:
        """Return any payment in a ledger of money."""
        return self._instructions.get(instruction_id) or self._archive.instruction(instruction_id)

    def instructions_of(self, subject: str) -> tuple[Instruction, ...]:
        """Return the payments of one window or order, by sequence."""
        found = {one.instruction_id: one for one in self._archive.instructions_of(subject)}
        for one in self._instructions.all():
            if one.subject == subject:
                found[one.instruction_id] = one
        return tuple(sorted(found.values(), key=lambda one: one.sequence))

    def _know(self, transfer_id: str, known: _Known) -> None:
        self._known[transfer_id] = known
        self._id_by_key[known.key] = transfer_id

    def lacks(self, key: str) -> bool:
        """Tell whether no transfer has this key for certain, here or in the archive."""
        return key not in self._id_by_key and self._archive.lacks(key)

    def _find(self, key: str, transfer_id: str) -> Duplicate | None:
        known_id = self._id_by_key.get(key)
        if known_id is None and transfer_id in self._known:
            known_id = transfer_id
        if known_id is not None:
            return Duplicate(known_id, self._known[known_id].record)
        return self._archive.transfer(key, transfer_id)

    def _reserve(self, command: Reserve) -> Decision:
        assert command.state in HOLDING
        duplicate = self._find(command.key, command.transfer_id)
        if duplicate is not None:
            return duplicate, None
        entries = command.entries
        windows = windows_of(entries)
        minor = sum([one.minor for one in entries])
        self._tallies.admit(windows, minor)
        changes = posting.reserve(self.positions, entries)
        if isinstance(changes, Short):
            return changes, None
        self._book.change(changes)
        number = self._numbers.transfer()
        known = _Known(command.key, command.record, entries, windows, number)
        self._know(command.transfer_id, known)
        self._windows.hold(windows)
        self._tallies.weigh(windows, minor)
        if known.at_end is entries:
            return APPLIED, Write(command, entries, changes, number)
        counted = self._tallies.count(at_acceptance(entries), SENT_ACCEPTED, RECEIVED_ACCEPTED)
        return APPLIED, Write(command, entries, changes, number, counted)

    def _post(self, command: Post) -> Decision:
        known = self._end(command)
        known.is_posted = True
        entries = known.entries
        changes = posting.post(self.positions, entries, held=True)
        self._book.change(changes)
        counted = self._tallies.count(known.at_end, SENT_ACCEPTED, RECEIVED_ACCEPTED)
        return APPLIED, Write(command, entries, changes, known.number, counted)

    def _release(self, command: Release) -> Decision:
        known = self._end(command)
        changes = posting.release(self.positions, known.entries)
        self._book.change(changes)
        received = RECEIVED_REJECTED if command.was_received else None
        counted = self._tallies.count(known.at_end, SENT_REJECTED, received)
        return APPLIED, Write(command, known.entries, changes, known.number, counted)

    def _end(self, command: Post | Release) -> _Known:
        known = self._known.get(command.transfer_id)
        assert known is not None, "no transfer of this id holds money"
        assert known.is_held, "the transfer has its outcome already"
        assert command.state not in HOLDING
        known.is_held = False
        known.record = command.record
        self._windows.release(known.windows)
        return known

    def _refuse(self, command: Refuse) -> Decision:
        assert command.state not in HOLDING
        duplicate = self._find(command.key, command.transfer_id)
        if duplicate is not None:
            return duplicate, None
        entries = command.entries
        # Refused at the last moment of a window that nothing was waiting for: it counts nowhere.
        if entries and not self._tallies.is_open(entries):
            entries = ()
        for entry in entries:
            posting.check(entry)
        self._tallies.admit_entries(entries)
        self._tallies.weigh_entries(entries)
        number = self._numbers.transfer()
        known = _Known(command.key, command.record, (), (), number)
        known.is_held = False
        self._know(command.transfer_id, known)
        counted = self._tallies.count(entries, SENT_REJECTED, None)
        return APPLIED, Write(command, entries, NO_CHANGES, number, counted)

    def _advance(self, command: Advance) -> Decision:
        known = self._known.get(command.transfer_id)
        assert known is None or not known.is_held, "only a decided transfer moves on"
        assert command.state not in HOLDING
        return APPLIED, Write(command, (), NO_CHANGES)

    def _without_money(self, command: StrikeOff | Remember | PutFact) -> Decision:
        return APPLIED, Write(command, (), NO_CHANGES)

    def _oppose(self, command: Oppose) -> Decision:
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
        entries = posting.opposites(original, command.minor, command.windows)
        self._tallies.admit_entries(entries)
        changes = posting.oppose(self.positions, entries)
        if isinstance(changes, Short):
            return changes, None
        self._book.change(changes)
        self._tallies.weigh_entries(entries)
        self._oppositions[command.transfer_id] = command
        counted = self._tallies.count(entries, SENT_ACCEPTED, RECEIVED_ACCEPTED)
        return APPLIED, Write(command, entries, changes, self._numbers.posting(), counted)

    def _opposed_minor(self, transfer_id: str) -> int:
        # By id: one that has just reached the disk may still be in memory as well.
        opposed = dict(self._archive.opposed(transfer_id))
        for one in self._oppositions.values():
            if one.opposite_of == transfer_id:
                opposed[one.transfer_id] = one.minor
        return sum(opposed.values())

    def _move(self, command: Move) -> Decision:
        digest = self._movements.get(command.movement_id)
        if digest is None:
            digest = self._archive.movement(command.movement_id)
        if digest is not None:
            return Duplicate(command.movement_id, digest.encode()), None
        entries = command.entries
        self._tallies.admit_entries(entries)
        short = self._pledged(entries)
        if short is not None:
            return short, None
        changes = posting.move(self.positions, entries)
        if isinstance(changes, Short):
            return changes, None
        self._book.change(changes)
        self._tallies.weigh_entries(entries)
        self._movements[command.movement_id] = command.digest
        counted = self._tallies.count_moved(entries)
        return APPLIED, Write(command, entries, changes, self._numbers.posting(), counted)

    def _pledged(self, entries: Sequence[Entry]) -> Short | None:
        """Return a prefund that a drawdown would take below what unsettled windows owe.

        What one window received does not pay for another before both are settled.
        """
        drawn = [one for one in entries if one.kind == posting.DRAWDOWN]
        prefund = next((one for one in drawn if one.debit.owner.endswith(PREFUND_SUFFIX)), None)
        position = next((one for one in drawn if one.credit.owner == FUNDING_ACCOUNT), None)
        if prefund is None or position is None:
            return None
        left = self.positions[prefund.debit].balance_minor - self._owed_minor(position.debit)
        return Short(prefund.debit, left) if prefund.minor > left else None

    def _owed_minor(self, account: Account) -> int:
        """Return what an account's unsettled windows owe, each by itself."""
        owed = 0
        for stand in self._windows.all():
            ledger = stand.cycle.removesuffix("-dispute")
            if (ledger, stand.currency) != (account.ledger, account.currency):
                continue
            nets = (one.net_minor for one in self.tallies(stand.window) if one.account == account)
            owed += sum(max(0, -net) for net in nets)
        return owed

    def _open_position(self, command: OpenPosition) -> Decision:
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
        if not command.prefund_minor:
            self._book.change(changes)
            return APPLIED, Write(command, (), changes)
        entry = Entry(
            kind="funding",
            debit=contra,
            credit=account,
            minor=command.prefund_minor,
            window=command.window,
        )
        posting.check(entry)
        self._tallies.admit_entries((entry,))
        changes = posting.post(changes, (entry,), held=False)
        checked_range(changes)
        self._book.change(changes)
        self._tallies.weigh_entries((entry,))
        opening = ((account, entry.minor),)
        counted = self._tallies.open_with(entry.window, opening) if entry.window else ()
        return APPLIED, Write(command, (entry,), changes, self._numbers.posting(), counted)

    def _set_alert(self, command: SetAlert) -> Decision:
        after = self._book.set_alert(command.account, alerted=command.alerted)
        return APPLIED, Write(command, (), {command.account: after})


def opposition_record(opposite_of: str, minor: int) -> bytes:
    """Return what an opposite posting was asked for, to tell a repeat from another request."""
    return f"{opposite_of} {minor}".encode()
