"""Decisions about windows and about payments in the ledgers of money."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from clearing.core import posting
from clearing.core.instruction_state import (
    InstructionState,
    dropped,
    instruction_entries,
    settled,
    short_of,
)
from clearing.core.ledger_write import Archive, Write
from clearing.core.position import checked_range
from clearing.core.position_book import NO_CHANGES, Numbers, PositionBook
from clearing.core.tally import Tallies
from clearing.core.window_state import ENDED, WindowState
from scheme.ledger import (
    APPLIED,
    AdvanceWindow,
    CloseWindow,
    DropInstructions,
    Duplicate,
    Entry,
    Instruct,
    OpenWindow,
    Result,
    SettleInstructions,
)
from scheme.standing import Instruction

Decision = tuple[Result, Write | None]


class SettlementDecisions:
    """Windows from their opening to their end, and the queue of payments.

    Everything it is given it shares with the decisions about transfers.
    """

    def __init__(
        self,
        book: PositionBook,
        tallies: Tallies,
        windows: WindowState,
        instructions: InstructionState,
        numbers: Numbers,
        archive: Archive,
    ) -> None:
        self._book = book
        self._tallies = tallies
        self._windows = windows
        self._instructions = instructions
        self._numbers = numbers
        self._archive = archive

    def deciders(self) -> Mapping[type, Callable[[Any], Decision]]:
        """Return what decides each kind of command."""
        return {
            OpenWindow: self._open_window,
            AdvanceWindow: self._advance_window,
            CloseWindow: self._close_window,
            Instruct: self._instruct,
            SettleInstructions: self._settle,
            DropInstructions: self._drop,
        }

    def forget(self, write: Write) -> None:
        """Drop what is on disk now and can be asked of the archive."""
        match write.command:
            case CloseWindow() as command:
                self._windows.forget_batch(command.window)
            case AdvanceWindow() as command if command.state in ENDED:
                self._windows.forget_ended(command.window)
                self._tallies.drop(command.window)
            case _:
                self._instructions.forget(write.instructions)

    def _open_window(self, command: OpenWindow) -> Decision:
        known = self._windows.get(command.window) or self._archive.window(command.window)
        if known is not None:
            return APPLIED, None
        stand = self._windows.open(command)
        return APPLIED, Write(command, (), NO_CHANGES, self._numbers.last, stand=stand)

    def _advance_window(self, command: AdvanceWindow) -> Decision:
        stand = self._windows.advance(command)
        return APPLIED, Write(command, (), NO_CHANGES, stand=stand)

    def _close_window(self, command: CloseWindow) -> Decision:
        first = self._windows.batch(command.window) or self._archive.batch(command.window)
        if first is not None:
            return Duplicate(command.window, first), None
        next_book = self._tallies.book(command.next_window)
        assert not next_book.is_sealed, "the next window has its batch already"
        stand = self._windows.close(command)
        self._tallies.book(command.window).is_sealed = True
        counted = self._tallies.open_with(command.next_window, command.openings)
        return APPLIED, Write(command, (), NO_CHANGES, self._numbers.last, counted, stand)

    def _instruct(self, command: Instruct) -> Decision:
        known = self._instructions.get(command.instruction_id)
        known = known or self._archive.instruction(command.instruction_id)
        if known is not None:
            return Duplicate(command.instruction_id, known.state.encode()), None
        for entry in command.linked:
            posting.check(entry)
        one = self._instructions.add(command, self._book.positions)
        return APPLIED, Write(command, (), NO_CHANGES, instructions=(one,))

    def _settle(self, command: SettleInstructions) -> Decision:
        queued = self._instructions.still_queued(command)
        short = short_of(self._book.positions, queued)
        if short is not None:
            return short, None
        after = tuple(settled(one, command.at_ms, self._aimed(one)) for one in queued)
        entries = tuple(entry for one in after for entry in instruction_entries(one))
        self._tallies.admit_entries(entries)
        changes = posting.post(self._book.positions, entries, held=False)
        checked_range(changes)
        self._tallies.weigh_entries(entries)
        self._book.change(changes)
        self._instructions.put(after)
        write = Write(
            command,
            entries,
            changes,
            number=self._numbers.posting(len(after)) if after else 0,
            counted=self._tallies.count_moved(entries),
            instructions=after,
        )
        return APPLIED, write

    def _aimed(self, one: Instruction) -> tuple[Entry, ...]:
        """Return its linked entries, in the window open now if theirs has its batch since."""
        return tuple(
            entry
            if self._tallies.is_open((entry,))
            else replace(entry, window=self._windows.open_like(entry.window))
            for entry in one.linked
        )

    def _drop(self, command: DropInstructions) -> Decision:
        after = tuple(dropped(one, command) for one in self._instructions.still_queued(command))
        self._instructions.put(after)
        return APPLIED, Write(command, (), NO_CHANGES, instructions=after)
