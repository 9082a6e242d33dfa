"""What the shell of clearing needs: the ledger, and who builds the notice of a movement."""

from collections.abc import Callable, Sequence
from typing import Protocol

from clearing.core.audit import Audit
from scheme.ledger import Account, Command, Owed, Position, Result

NoticeOfMovement = Callable[[Position, Position], tuple[Owed, ...]]
"""Builds the messages owed for a funding or drawdown from the position before and after it."""


class LedgerStore(Protocol):
    """Money, transfers and owed messages: one writer, group commit."""

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

    def position(self, account: Account) -> Position | None:
        """Return one position as decided, which may be ahead of the disk."""

    def positions(self) -> tuple[Position, ...]:
        """Return all positions, the contra accounts included."""

    async def audit(self) -> Audit:
        """Recount what is on disk."""

    @property
    def is_full(self) -> bool:
        """Whether new orders should be refused before they are reserved."""

    async def drain(self) -> None:
        """Wait until everything decided is on disk."""
