"""What the shell of clearing needs: the ledger, and who builds the notice of a movement."""

from collections.abc import Callable, Sequence
from typing import Protocol

from clearing.core.audit import Audit
from clearing.core.ledger_write import Held
from scheme.ledger import Account, Command, Owed, Position, Result
from scheme.standing import Instruction, Tally, WindowStand

NoticeOfMovement = Callable[[Position, Position], tuple[Owed, ...]]
"""Builds the messages owed for a funding or drawdown from the position before and after it."""


class LedgerStore(Protocol):
    """Money, transfers, windows and owed messages: one writer, group commit.

    Attributes:
        on_released: told the window when the last transfer of a CLOSING one has ended.
    """

    on_released: Callable[[str], None] | None

    async def apply(self, batch: Sequence[Command]) -> Sequence[Result]:
        """Decide a batch at once and in order, and write it whole in the next group.

        The decisions are made before the first await, so they can be relied on as soon as the
        call has been started. The batch shares one transaction with its records and owed rows.

        Returns:
            One result for each command, once the group is on disk; at once if the batch is
            nothing but reservations without ``write_ahead``, or was refused. A ``Duplicate``
            waits until what it shows is on disk. There is no failed write: nobody is answered
            and the process ends.
        """

    def note(self, batch: Sequence[Command]) -> Sequence[Result]:
        """Decide a batch now; it is written whole with the next group, and nobody waits."""

    def position(self, account: Account) -> Position | None:
        """Return one position as decided, which may be ahead of the disk."""

    def positions(self) -> tuple[Position, ...]:
        """Return all positions, the contra accounts included."""

    def windows(self) -> tuple[WindowStand, ...]:
        """Return all windows that are not at an end, as decided."""

    def window(self, window: str) -> WindowStand | None:
        """Return any window, as decided."""

    def past_windows(self, limit: int) -> tuple[WindowStand, ...]:
        """Return windows whose end is on disk, newest first."""

    def tallies(self, window: str) -> tuple[Tally, ...]:
        """Return what a window has counted, by account."""

    def batch(self, window: str) -> bytes | None:
        """Return a window's batch, once it was made."""

    def batch_digest(self, window: str) -> str | None:
        """Return the digest that a window's batch was written with."""

    def held_in(self, window: str) -> tuple[Held, ...]:
        """Return the transfers of a window that hold money, oldest first."""

    def instructions(self) -> tuple[Instruction, ...]:
        """Return the queue of payments in the ledgers of money, by sequence."""

    def instruction(self, instruction_id: str) -> Instruction | None:
        """Return any such payment."""

    def instructions_of(self, subject: str) -> tuple[Instruction, ...]:
        """Return the payments of one window or order, by sequence."""

    async def recount_window(self, window: str) -> tuple[Tally, ...]:
        """Count a window anew from single rows; what was decided before is counted."""

    async def audit(self) -> Audit:
        """Recount what is on disk."""

    @property
    def is_full(self) -> bool:
        """Whether new orders should be refused before they are reserved."""

    async def drain(self) -> None:
        """Wait until everything decided is on disk."""
