"""One group of the ledger as few SQL statements.

The commands of a group are walked once, in order, and folded: a transfer that is reserved and
posted in the same group is inserted as posted, a position or a tally that moved fifty times is
written once, a message that became owed and was acknowledged is never written. What is left goes
out in multi-row statements, because each statement hands the interpreter's lock over twice.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from clearing.core.instruction_state import instruction_entries
from clearing.core.ledger_write import Write
from clearing.core.recount import ORDERED, REJECTED, UNSEEN, counted_flags
from clearing.core.tally import at_acceptance, at_posting
from clearing.lanes import Lanes
from clearing.ledger_rows import Group, Row, statements
from clearing.ledger_schema import (
    COUNTED_FROM,
    LINES_PER_NUMBER,
    mixed,
)
from scheme.ledger import (
    DEFERRED,
    Advance,
    AdvanceWindow,
    CloseWindow,
    DropInstructions,
    Entry,
    Instruct,
    Move,
    OpenPosition,
    OpenWindow,
    Oppose,
    Post,
    PutFact,
    Refuse,
    Release,
    Remember,
    Reserve,
    SetAlert,
    SettleInstructions,
    StrikeOff,
)
from scheme.standing import Instruction

_STATE, _REASON, _DECIDED, _RECORD = 3, 4, 11, 14
_LEGS, _DIGEST = 12, 13
_AFTER, _LAST = 10, 11
_ALL_COUNT = 3

Laned = tuple[tuple[int, int], ...]
"""Lane and amount of each entry."""


class GroupWriter:
    """Writes groups on one connection, from the writer's thread.

    Args:
        connection: of sqlite3, or of another library of the same shape.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._statements = statements()
        self._lanes = Lanes(connection)
        self._held: dict[int, Laned] = {}
        self._encode = msgspec.msgpack.Encoder().encode
        self._folds: dict[type, Callable[[Group, Write, Any], None]] = {
            Reserve: self._reserve,
            Refuse: self._refuse,
            Post: self._post,
            Release: self._release,
            Advance: _advance,
            StrikeOff: _strike_off,
            Remember: _remember,
            PutFact: _put_fact,
            Oppose: self._oppose,
            Move: self._move,
            OpenPosition: self._open_position,
            SetAlert: _nothing_more,
            OpenWindow: _window,
            AdvanceWindow: _window,
            CloseWindow: self._close_window,
            Instruct: _nothing_more,
            SettleInstructions: self._settle,
            DropInstructions: _nothing_more,
        }

    def write(self, writes: Sequence[Write]) -> None:
        """Write one group inside the transaction that is open."""
        group = Group()
        for write in writes:
            command = write.command
            self._folds[type(command)](group, write, command)
            if command.owed:
                group.owe(command.owed)
            if write.changes:
                group.positions.update(write.changes)
            if write.counted:
                group.counted.update(write.counted)
            for one in write.instructions:
                group.instructions[one.instruction_id] = self._instruction_row(one)
        group.lanes = self._lanes.take_fresh()
        execute = self._connection.execute
        for kind, statement in self._statements.items():
            rows = group.rows(kind)
            if rows:
                statement.run(execute, rows)

    def _laned(self, entries: Sequence[Entry], kind: str = "") -> Laned:
        """Return lane and amount of the entries of a transfer, which counts as one."""
        flags = counted_flags(entries)
        return tuple(
            (self._lanes.of(one, kind or one.kind, flag), one.minor)
            for one, flag in zip(entries, flags, strict=True)
        )

    def _posted(self, entries: Sequence[Entry]) -> Laned:
        """Return them as they are posted: an order of the cycles was counted when accepted."""
        flags = counted_flags(entries)
        return tuple(
            (self._lanes.of(one, one.kind, 0 if one.debit.ledger == DEFERRED else flag), one.minor)
            for one, flag in zip(entries, flags, strict=True)
        )

    def _moved(self, entries: Sequence[Entry]) -> Laned:
        """Return the entries of a movement, each of which counts."""
        return tuple(
            (self._lanes.of(one, one.kind, _ALL_COUNT if one.window else 0), one.minor)
            for one in entries
        )

    def _reserve(self, group: Group, write: Write, command: Reserve) -> None:
        legs = self._posted(write.entries)
        assert len(legs) <= COUNTED_FROM, "a transfer has too many entries for its line ids"
        first = write.number * LINES_PER_NUMBER
        self._held[write.number] = legs
        row = _transfer_row(write.number, command)
        row[_LEGS] = self._encode(legs)
        row[_DIGEST] = sum(
            mixed(first + place, lane, minor) for place, (lane, minor) in enumerate(legs)
        )
        group.transfers[command.transfer_id] = row
        orders = at_acceptance(write.entries)
        if orders:
            laned = self._laned(orders, ORDERED)
            group.enter(write.number, laned, command.created_ms, first=COUNTED_FROM)

    def _refuse(self, group: Group, write: Write, command: Refuse) -> None:
        row = _transfer_row(write.number, command)
        row[_REASON] = command.reason
        row[_DECIDED] = command.created_ms
        group.transfers[command.transfer_id] = row
        laned = self._laned(write.entries, UNSEEN)
        group.enter(write.number, laned, command.created_ms, first=COUNTED_FROM)

    def _post(self, group: Group, write: Write, command: Post) -> None:
        _end(group, write, command)
        laned = self._held.pop(write.number, None)
        group.enter(write.number, laned or self._posted(write.entries), command.at_ms)

    def _release(self, group: Group, write: Write, command: Release) -> None:
        _end(group, write, command)
        self._held.pop(write.number, None)
        kind = REJECTED if command.was_received else UNSEEN
        # What has no window counts nowhere: a coop's leg of an order that was counted before.
        laned = self._laned([one for one in at_posting(write.entries) if one.window], kind)
        group.enter(write.number, laned, command.at_ms, first=COUNTED_FROM)

    def _oppose(self, group: Group, write: Write, command: Oppose) -> None:
        group.oppositions.append(
            (command.transfer_id, command.opposite_of, command.minor, command.at_ms)
        )
        group.occasions.append((write.number, command.transfer_id))
        group.enter(write.number, self._laned(write.entries), command.at_ms)

    def _move(self, group: Group, write: Write, command: Move) -> None:
        group.movements.append((command.movement_id, command.digest, command.at_ms))
        group.occasions.append((write.number, command.movement_id))
        group.enter(write.number, self._moved(write.entries), command.at_ms)

    def _open_position(self, group: Group, write: Write, command: OpenPosition) -> None:
        if write.entries:
            account = command.account
            name = f"prefund:{account.ledger}:{account.currency}:{account.owner}"
            group.occasions.append((write.number, name))
            # It counts nowhere: it is the window's opening balance.
            laned = ((self._lanes.of(one, one.kind, 0), one.minor) for one in write.entries)
            group.enter(write.number, laned, command.at_ms)

    def _close_window(self, group: Group, write: Write, command: CloseWindow) -> None:
        _window(group, write, command)
        openings = self._encode(command.openings)
        group.batches.append(
            (
                command.window,
                command.batch,
                command.digest,
                command.next_window,
                openings,
                command.at_ms,
            )
        )

    def _settle(self, group: Group, write: Write, command: SettleInstructions) -> None:
        for place, one in enumerate(write.instructions):
            number = write.number - place
            group.occasions.append((number, one.instruction_id))
            group.enter(number, self._moved(instruction_entries(one)), command.at_ms)

    def _instruction_row(self, one: Instruction) -> Row:
        return (
            one.sequence,
            one.instruction_id,
            one.kind,
            one.subject,
            one.debit.ledger,
            one.debit.currency,
            one.debit.owner,
            one.credit.owner,
            one.minor,
            self._encode(one.linked),
            one.state,
            one.reason,
            one.queued_ms,
            one.settled_ms,
        )


def _transfer_row(number: int, command: Reserve | Refuse) -> list[object]:
    return [
        number,
        command.transfer_id,
        command.key,
        command.state,
        "",
        command.rail,
        command.debtor_agent,
        command.creditor_agent,
        command.currency,
        command.minor,
        command.created_ms,
        None,
        None,
        0,
        command.record,
    ]


def _end(group: Group, write: Write, command: Post | Release) -> None:
    row = group.transfers.get(command.transfer_id)
    if row is None:
        group.decided[command.transfer_id] = [
            write.number,
            command.state,
            command.reason,
            command.at_ms,
            command.record,
        ]
    else:
        row[_STATE] = command.state
        row[_REASON] = command.reason
        row[_DECIDED] = command.at_ms
        row[_RECORD] = command.record


def _advance(group: Group, _: Write, command: Advance) -> None:
    transfer_id, state = command.transfer_id, command.state
    if transfer_id in group.transfers:
        group.transfers[transfer_id][_STATE] = state
    elif transfer_id in group.decided:
        group.decided[transfer_id][1] = state
    else:
        group.advanced[transfer_id] = (transfer_id, state)
    group.strike(command.struck)


def _strike_off(group: Group, _: Write, command: StrikeOff) -> None:
    if command.parked:
        group.park(command.owed_ids, command.at_ms)
    else:
        group.strike(command.owed_ids)


def _remember(group: Group, _: Write, command: Remember) -> None:
    group.verifications.append(
        (command.instruction_id, command.key, command.created_ms, command.record)
    )


def _put_fact(group: Group, _: Write, command: PutFact) -> None:
    group.facts[command.name] = (command.name, command.value)


def _window(group: Group, write: Write, command: OpenWindow | AdvanceWindow | CloseWindow) -> None:
    stand = write.stand
    assert stand is not None
    is_open, is_closed = isinstance(command, OpenWindow), isinstance(command, CloseWindow)
    row = [
        stand.window,
        stand.cycle,
        stand.currency,
        stand.settlement_date,
        stand.number,
        stand.opens_ms,
        stand.closes_ms,
        stand.state,
        stand.closed_ms,
        stand.record,
        write.number if is_open else 0,
        write.number if is_closed else None,
    ]
    earlier = group.windows.get(stand.window)
    if earlier is not None:
        row[_AFTER] = row[_AFTER] or earlier[_AFTER]
        row[_LAST] = earlier[_LAST] if row[_LAST] is None else row[_LAST]
    group.windows[stand.window] = row


def _nothing_more(_: Group, __: Write, ___: object) -> None:
    """Its positions or payments are all there is to write."""
