"""The queue of payments in the ledgers of money: arithmetic of settling them together."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from clearing.core.position import Positions
from scheme.ledger import (
    FUNDING_ACCOUNT,
    LBTR,
    SPONSOR,
    Account,
    DropInstructions,
    Entry,
    Instruct,
    SettleInstructions,
    Short,
)
from scheme.limits import LEDGER_AMOUNT_MINOR_MAX
from scheme.standing import Instruction

QUEUED, SETTLED, DROPPED = "QUEUED", "SETTLED", "DROPPED"
_KINDS: Mapping[str, str] = {"deposit": "funding", "withdrawal": "drawdown"}


class InstructionState:
    """Queued payments, and those whose end is not on disk yet.

    Args:
        queued: as they are on disk, by sequence.
        last_sequence: the highest that was ever given.
    """

    def __init__(self, queued: Iterable[Instruction], last_sequence: int) -> None:
        self._known = {one.instruction_id: one for one in queued}
        self._last = last_sequence

    def get(self, instruction_id: str) -> Instruction | None:
        """Return a payment that is in memory."""
        return self._known.get(instruction_id)

    def all(self) -> Iterable[Instruction]:
        """Return all that are in memory, those that just ended included."""
        return self._known.values()

    def queued(self) -> tuple[Instruction, ...]:
        """Return the queue in its order."""
        return tuple(one for one in self._known.values() if one.state == QUEUED)

    def add(self, command: Instruct, positions: Positions) -> Instruction:
        """Queue a payment.

        Raises:
            AssertionError: it is not between two known accounts of one ledger of money, or its
                amount is not above zero.
        """
        debit, credit = command.debit, command.credit
        assert 0 < command.minor <= LEDGER_AMOUNT_MINOR_MAX, "the amount is out of range"
        assert debit.ledger in (LBTR, SPONSOR), "instructions are payments in a ledger of money"
        for account in (debit, credit, *_accounts(command.linked)):
            assert account in positions, f"no position of {account.owner} in {account.ledger}"
        assert (debit.ledger, debit.currency) == (credit.ledger, credit.currency)
        self._last += 1
        one = Instruction(
            instruction_id=command.instruction_id,
            sequence=self._last,
            kind=command.kind,
            subject=command.subject,
            debit=debit,
            credit=credit,
            minor=command.minor,
            linked=command.linked,
            state=QUEUED,
            queued_ms=command.at_ms,
        )
        self._known[one.instruction_id] = one
        return one

    def still_queued(self, command: SettleInstructions | DropInstructions) -> list[Instruction]:
        """Return those of a command that are queued, each once."""
        found = (self._known.get(one) for one in dict.fromkeys(command.instruction_ids))
        return [one for one in found if one is not None and one.state == QUEUED]

    def put(self, instructions: Iterable[Instruction]) -> None:
        """Keep payments as they are after a command."""
        for one in instructions:
            self._known[one.instruction_id] = one

    def forget(self, instructions: Iterable[Instruction]) -> None:
        """Drop those whose end is on disk."""
        for one in instructions:
            if one.state != QUEUED:
                self._known.pop(one.instruction_id, None)


def settled(one: Instruction, at_ms: int, linked: tuple[Entry, ...]) -> Instruction:
    """Return a payment after it settled."""
    return replace(one, state=SETTLED, settled_ms=at_ms, linked=linked)


def dropped(one: Instruction, command: DropInstructions) -> Instruction:
    """Return a payment after it was taken out of the queue."""
    return replace(one, state=DROPPED, reason=command.reason, settled_ms=command.at_ms)


def instruction_entries(one: Instruction) -> tuple[Entry, ...]:
    """Return what a payment posts: its own entry, and those linked to it."""
    own = Entry(
        kind=_KINDS.get(one.kind, "settlement"),
        debit=one.debit,
        credit=one.credit,
        minor=one.minor,
        window="",
    )
    return (own, *one.linked)


def short_of(positions: Positions, instructions: Sequence[Instruction]) -> Short | None:
    """Return an account that cannot pay its net of these payments; None if every one can.

    Linked entries only follow the money that moves here, so they need no cover of their own.
    """
    net: dict[Account, int] = {}
    for one in instructions:
        net[one.debit] = net.get(one.debit, 0) - one.minor
        net[one.credit] = net.get(one.credit, 0) + one.minor
    for account, minor in net.items():
        if minor < 0 and account.owner != FUNDING_ACCOUNT:
            available = positions[account].available_minor
            if -minor > available:
                return Short(account, available)
    return None


def _accounts(entries: Iterable[Entry]) -> Iterable[Account]:
    for one in entries:
        yield one.debit
        yield one.credit
