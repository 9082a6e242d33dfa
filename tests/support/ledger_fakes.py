"""A ledger in memory, and short ways to say commands."""

from collections.abc import Callable, Mapping, Sequence

from msgspec.structs import replace

from clearing.core.audit import Audit, Recount, compare
from clearing.core.instruction_state import SETTLED, instruction_entries
from clearing.core.ledger_state import LedgerState, opposition_record
from clearing.core.ledger_write import Recorded, Write
from clearing.core.posting import holds
from clearing.core.recount import (
    COUNTED_KINDS,
    ORDERED,
    REJECTED,
    UNSEEN,
    LaneTotal,
    backed_balances,
    balances,
    counted_flags,
    tallies,
)
from clearing.core.tally import WindowBook, at_acceptance, at_posting
from clearing.core.window_state import ENDED, SEALED
from scheme.ledger import (
    DALE,
    DEFERRED,
    LBTR,
    NATIONAL,
    RESERVED,
    SPONSOR,
    Account,
    AdvanceWindow,
    CloseWindow,
    Command,
    DropInstructions,
    Duplicate,
    Entry,
    Instruct,
    Move,
    OpenPosition,
    OpenWindow,
    Oppose,
    Owed,
    Position,
    Post,
    Refuse,
    Release,
    Reserve,
    Result,
    SettleInstructions,
)
from scheme.standing import Instruction, Tally, WindowStand

WINDOW = "national-PEN-20261123-1"


def window_of(ledger: str, currency: str = "PEN", number: int = 1) -> str:
    """Name a window of a ledger of obligations; the ledgers of money have none."""
    return "" if ledger in (LBTR, SPONSOR) else f"{ledger}-{currency}-20261123-{number}"


def an_account(owner: str, ledger: str = NATIONAL, currency: str = "PEN") -> Account:
    return Account(ledger=ledger, currency=currency, owner=owner)


def an_entry(
    debit: str,
    credit: str,
    minor: int,
    *,
    kind: str = "principal",
    ledger: str = NATIONAL,
    currency: str = "PEN",
    window: str | None = None,
) -> Entry:
    return Entry(
        kind=kind,
        debit=an_account(debit, ledger, currency),
        credit=an_account(credit, ledger, currency),
        minor=minor,
        window=window_of(ledger, currency) if window is None else window,
    )


def an_opening(
    owner: str,
    prefund: int,
    *,
    low: int = 0,
    high: int = 0,
    cap: int = 0,
    ledger: str = NATIONAL,
    currency: str = "PEN",
) -> OpenPosition:
    return OpenPosition(
        account=an_account(owner, ledger, currency),
        prefund_minor=prefund,
        low_minor=low,
        high_minor=high,
        cap_minor=cap,
        window=window_of(ledger, currency),
        at_ms=0,
    )


def a_reserve(
    name: str,
    *entries: Entry,
    key: str | None = None,
    write_ahead: bool = False,
    record: bytes = b"reserved",
    owed: tuple[Owed, ...] = (),
    state: str = RESERVED,
    rail: str = "tin",
) -> Reserve:
    chosen = entries or (an_entry("0970", "0002", 100),)
    return Reserve(
        transfer_id=name,
        key=f"key-{name}" if key is None else key,
        entries=chosen,
        write_ahead=write_ahead,
        rail=rail,
        state=state,
        record=record,
        debtor_agent=chosen[0].debit.owner,
        creditor_agent=chosen[0].credit.owner,
        currency=chosen[0].debit.currency,
        minor=sum(one.minor for one in chosen),
        created_ms=1,
        owed=owed,
    )


def a_post(name: str, *, record: bytes = b"posted", owed: tuple[Owed, ...] = ()) -> Post:
    return Post(transfer_id=name, state="POSTED", record=record, at_ms=2, owed=owed)


def a_release(name: str, *, record: bytes = b"rejected", was_received: bool = True) -> Release:
    return Release(
        transfer_id=name,
        state="REJECTED",
        record=record,
        reason="AB05",
        at_ms=2,
        was_received=was_received,
    )


def a_refuse(
    name: str, *entries: Entry, key: str | None = None, record: bytes = b"refused"
) -> Refuse:
    return Refuse(
        transfer_id=name,
        key=f"key-{name}" if key is None else key,
        entries=entries,
        state="REJECTED",
        record=record,
        reason="FF07",
        debtor_agent="0970",
        creditor_agent="0002",
        currency="PEN",
        minor=100,
        created_ms=1,
    )


def an_oppose(name: str, original: str, minor: int) -> Oppose:
    windows = {ledger: window_of(ledger) for ledger in (NATIONAL, DALE, DEFERRED)}
    return Oppose(transfer_id=name, opposite_of=original, minor=minor, windows=windows, at_ms=3)


def a_move(name: str, debit: str, credit: str, minor: int, *, digest: str = "digest") -> Move:
    kind = "funding" if debit == "lbtr" else "drawdown"
    entry = an_entry(debit, credit, minor, kind=kind)
    return Move(movement_id=name, entries=(entry,), digest=digest, at_ms=4)


def an_open_window(
    window: str = WINDOW, *, cycle: str = NATIONAL, currency: str = "PEN"
) -> OpenWindow:
    return OpenWindow(
        window=window,
        cycle=cycle,
        currency=currency,
        settlement_date="20261123",
        number=int(window.rpartition("-")[2]),
        opens_ms=0,
        closes_ms=100,
    )


def an_advance_window(state: str, window: str = WINDOW, *, record: bytes = b"") -> AdvanceWindow:
    return AdvanceWindow(window=window, state=state, at_ms=6, record=record)


def a_close_window(
    window: str = WINDOW,
    next_window: str | None = None,
    *openings: tuple[Account, int],
    batch: bytes = b"{}",
) -> CloseWindow:
    stem, _, number = window.rpartition("-")
    return CloseWindow(
        window=window,
        batch=batch,
        digest="0" * 64,
        next_window=next_window or f"{stem}-{int(number) + 1}",
        openings=openings,
        at_ms=7,
    )


def an_instruct(
    name: str,
    debit: str,
    credit: str,
    minor: int,
    *,
    ledger: str = LBTR,
    kind: str = "pay_in",
    subject: str = WINDOW,
    linked: tuple[Entry, ...] = (),
) -> Instruct:
    return Instruct(
        instruction_id=name,
        kind=kind,
        subject=subject,
        debit=an_account(debit, ledger),
        credit=an_account(credit, ledger),
        minor=minor,
        linked=linked,
        at_ms=8,
    )


def a_settle(*names: str) -> SettleInstructions:
    return SettleInstructions(instruction_ids=names, at_ms=9)


def a_drop(*names: str, reason: str = "unwound") -> DropInstructions:
    return DropInstructions(instruction_ids=names, reason=reason, at_ms=9)


def an_owed(owed_id: str, *, participant: str = "0002", body: bytes = b"{}") -> Owed:
    return Owed(
        owed_id=owed_id,
        participant=participant,
        message="CT5",
        body=body,
        subject=owed_id.partition(":")[0],
        due_ms=5,
    )


class _Memory:
    """The Archive of a ledger that keeps everything it wrote."""

    def __init__(self) -> None:
        self.transfers: dict[str, Duplicate] = {}
        self.keys: dict[str, str] = {}
        self.movements: dict[str, str] = {}
        self.oppositions: dict[str, Oppose] = {}
        self.entries: dict[str, tuple[Entry, ...]] = {}
        self.held: dict[str, tuple[Entry, ...]] = {}
        self.stands: dict[str, WindowStand] = {}
        self.batches: dict[str, CloseWindow] = {}
        self.counters: dict[tuple[str, Account], Tally] = {}
        self.payments: dict[str, Instruction] = {}
        self.lines: list[LaneTotal] = []

    def transfer(self, key: str, transfer_id: str) -> Duplicate | None:
        return self.transfers.get(self.keys.get(key, transfer_id))

    def lacks(self, key: str) -> bool:
        return key not in self.keys

    def movement(self, movement_id: str) -> str | None:
        return self.movements.get(movement_id)

    def opposition(self, transfer_id: str) -> bytes | None:
        one = self.oppositions.get(transfer_id)
        return None if one is None else opposition_record(one.opposite_of, one.minor)

    def opposed(self, transfer_id: str) -> Mapping[str, int]:
        return {
            one.transfer_id: one.minor
            for one in self.oppositions.values()
            if one.opposite_of == transfer_id
        }

    def postings(self, transfer_id: str) -> tuple[Entry, ...]:
        return self.entries.get(transfer_id, ())

    def window(self, window: str) -> WindowStand | None:
        return self.stands.get(window)

    def past_windows(self, limit: int) -> tuple[WindowStand, ...]:
        ended = [one for one in self.stands.values() if one.state in ENDED]
        newest = sorted(ended, key=lambda w: (w.closed_ms, w.settlement_date, w.number))
        return tuple(newest[::-1][:limit])

    def book(self, window: str) -> WindowBook:
        stand = self.stands.get(window)
        kept = [one for one in self.counters.values() if one.window == window]
        return WindowBook(window, kept, sealed=stand is not None and stand.state in SEALED)

    def batch(self, window: str) -> bytes | None:
        one = self.batches.get(window)
        return None if one is None else one.batch

    def batch_digest(self, window: str) -> str | None:
        one = self.batches.get(window)
        return None if one is None else one.digest

    def instruction(self, instruction_id: str) -> Instruction | None:
        return self.payments.get(instruction_id)

    def instructions_of(self, subject: str) -> tuple[Instruction, ...]:
        found = [one for one in self.payments.values() if one.subject == subject]
        return tuple(sorted(found, key=lambda one: one.sequence))

    def keep(self, write: Write) -> None:
        match write.command:
            case Reserve() | Refuse() | Post() | Release() as command:
                self.keep_transfer(command, write.entries)
            case Move() as command:
                self.movements[command.movement_id] = command.digest
                self.post(command.movement_id, write.entries, flags=3)
            case Oppose() as command:
                self.oppositions[command.transfer_id] = command
                self.post(command.transfer_id, write.entries)
            case OpenPosition() as command:
                self.post(f"prefund:{command.account}", write.entries, flags=0)
            case SettleInstructions():
                for one in write.instructions:
                    self.post(one.instruction_id, instruction_entries(one), flags=3)
            case CloseWindow() as command:
                self.batches[command.window] = command
            case _:
                pass
        self.keep_stands(write)

    def keep_stands(self, write: Write) -> None:
        if write.stand is not None:
            self.stands[write.stand.window] = write.stand
        for counter, _ in write.counted:
            self.counters[counter.window, counter.account] = counter.tally()
        for one in write.instructions:
            self.payments[one.instruction_id] = one

    def keep_transfer(
        self, command: Reserve | Refuse | Post | Release, entries: tuple[Entry, ...]
    ) -> None:
        self.transfers[command.transfer_id] = Duplicate(command.transfer_id, command.record)
        match command:
            case Reserve():
                self.keys[command.key] = command.transfer_id
                self.held[command.transfer_id] = entries
                self.count(at_acceptance(entries), ORDERED)
            case Refuse():
                self.keys[command.key] = command.transfer_id
                self.count(entries, UNSEEN)
            case Post():
                del self.held[command.transfer_id]
                self.post(command.transfer_id, entries)
            case Release():
                del self.held[command.transfer_id]
                kind = REJECTED if command.was_received else UNSEEN
                self.count(at_posting(entries), kind)

    def post(self, name: str, entries: tuple[Entry, ...], *, flags: int | None = None) -> None:
        self.entries[name] = entries
        for entry, flag in zip(entries, counted_flags(entries), strict=True):
            self.line(entry, entry.kind, flag if flags is None else flags)

    def count(self, entries: tuple[Entry, ...], kind: str) -> None:
        for entry, flag in zip(entries, counted_flags(entries), strict=True):
            self.line(entry, kind, flag)

    def line(self, entry: Entry, kind: str, counted: int) -> None:
        entry = replace(entry, kind=kind)
        self.lines.append(LaneTotal(entry=entry, counted=counted, lines=1, minor=entry.minor))

    def recounted(self) -> tuple[Tally, ...]:
        openings = [
            (one.next_window, account, minor)
            for one in self.batches.values()
            for account, minor in one.openings
        ]
        return tallies(self.lines, openings)


class MemoryLedger:
    """``LedgerStore`` without a disk: everything is durable as soon as it is decided.

    Attributes:
        applied: every command that was applied, in order.
    """

    def __init__(self) -> None:
        self._memory = _Memory()
        self._state = LedgerState(Recorded(), self._memory)
        self.applied: list[Command] = []
        self.is_full = False
        self.on_released: Callable[[str], None] | None = None
        self.lacks = self._state.lacks
        self.window = self._state.window
        self.windows = self._state.windows
        self.past_windows = self._state.past_windows
        self.tallies = self._state.tallies
        self.batch = self._state.batch
        self.batch_digest = self._state.batch_digest
        self.held_in = self._state.held_in
        self.instructions = self._state.instructions
        self.instruction = self._state.instruction
        self.instructions_of = self._state.instructions_of

    async def apply(self, batch: Sequence[Command]) -> Sequence[Result]:
        return self.note(batch)

    def note(self, batch: Sequence[Command]) -> Sequence[Result]:
        results = []
        for command in batch:
            result, write = self._state.decide(command)
            results.append(result)
            if write is not None:
                self.applied.append(command)
                self._memory.keep(write)
                self._state.forget((write,))
        for window in self._state.take_released():
            if self.on_released is not None:
                self.on_released(window)
        return results

    def position(self, account: Account) -> Position | None:
        return self._state.positions.get(account)

    def positions(self) -> tuple[Position, ...]:
        return tuple(self._state.positions.values())

    async def recount_window(self, window: str) -> tuple[Tally, ...]:
        return tuple(one for one in self._memory.recounted() if one.window == window)

    async def audit(self) -> Audit:
        memory = self._memory
        money = [one for one in memory.lines if one.entry.kind not in COUNTED_KINDS]
        reserved: dict[Account, int] = {}
        for entries in memory.held.values():
            for account, minor in holds(entries).items():
                reserved[account] = reserved.get(account, 0) + minor
        ended = {name for name, one in memory.stands.items() if one.state in ENDED}
        live = memory.stands.keys() - ended
        settled = [
            one for one in memory.payments.values() if one.state == SETTLED and one.subject in live
        ]
        recount = Recount(
            balances=balances(memory.lines),
            reserved=reserved,
            postings={},
            entries=len(money),
            transfers=len(memory.transfers),
            backed=backed_balances(self.positions(), memory.lines, ended.__contains__, settled),
            recorded_tallies=tuple(memory.counters.values()),
            tallies=memory.recounted(),
        )
        return compare(self.positions(), recount)

    async def drain(self) -> None:
        return

    def close(self) -> None:
        return
