"""A ledger in memory, and short ways to say commands."""

from collections.abc import Mapping, Sequence

from clearing.core.audit import Audit, Recount, compare
from clearing.core.ledger_state import RESERVED, LedgerState, Write, opposition_record
from clearing.core.posting import holds
from scheme.ledger import (
    NATIONAL,
    Account,
    Command,
    Duplicate,
    Entry,
    Move,
    OpenPosition,
    Oppose,
    Owed,
    Position,
    Post,
    Refuse,
    Release,
    Reserve,
    Result,
)

WINDOW = "national-PEN-20261123"


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
) -> Entry:
    return Entry(
        kind=kind,
        debit=an_account(debit, ledger, currency),
        credit=an_account(credit, ledger, currency),
        minor=minor,
        window=WINDOW,
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
        window=WINDOW,
        at_ms=0,
    )


def a_reserve(
    name: str,
    *entries: Entry,
    key: str | None = None,
    write_ahead: bool = False,
    record: bytes = b"reserved",
    owed: tuple[Owed, ...] = (),
) -> Reserve:
    chosen = entries or (an_entry("0970", "0002", 100),)
    return Reserve(
        transfer_id=name,
        key=f"key-{name}" if key is None else key,
        entries=chosen,
        write_ahead=write_ahead,
        state=RESERVED,
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


def a_release(name: str, *, record: bytes = b"rejected") -> Release:
    return Release(transfer_id=name, state="REJECTED", record=record, reason="AB05", at_ms=2)


def a_refuse(name: str, *, key: str | None = None, record: bytes = b"refused") -> Refuse:
    return Refuse(
        transfer_id=name,
        key=f"key-{name}" if key is None else key,
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
    return Oppose(transfer_id=name, opposite_of=original, minor=minor, window=WINDOW, at_ms=3)


def a_move(name: str, debit: str, credit: str, minor: int, *, digest: str = "digest") -> Move:
    kind = "funding" if debit == "lbtr" else "drawdown"
    entry = an_entry(debit, credit, minor, kind=kind)
    return Move(movement_id=name, entry=entry, digest=digest, at_ms=4)


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

    def transfer(self, key: str, transfer_id: str) -> Duplicate | None:
        return self.transfers.get(self.keys.get(key, transfer_id))

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

    def keep(self, write: Write) -> None:
        match write.command:
            case Reserve() | Refuse() as command:
                self.keys[command.key] = command.transfer_id
                self.transfers[command.transfer_id] = Duplicate(command.transfer_id, command.record)
                if isinstance(command, Reserve):
                    self.held[command.transfer_id] = write.entries
            case Post() | Release() as command:
                self.transfers[command.transfer_id] = Duplicate(command.transfer_id, command.record)
                del self.held[command.transfer_id]
                if isinstance(command, Post):
                    self.entries[command.transfer_id] = write.entries
            case Move() as command:
                self.movements[command.movement_id] = command.digest
                self.entries[command.movement_id] = write.entries
            case Oppose() as command:
                self.oppositions[command.transfer_id] = command
                self.entries[command.transfer_id] = write.entries
            case OpenPosition() as command:
                self.entries[f"prefund:{command.account}"] = write.entries
            case _:
                pass


class MemoryLedger:
    """``LedgerStore`` without a disk: everything is durable as soon as it is decided.

    Attributes:
        applied: every command that was applied, in order.
    """

    def __init__(self) -> None:
        self._memory = _Memory()
        self._state = LedgerState((), (), self._memory)
        self.applied: list[Command] = []
        self.is_full = False

    async def apply(self, batch: Sequence[Command]) -> Sequence[Result]:
        results = []
        for command in batch:
            result, write = self._state.decide(command)
            results.append(result)
            if write is not None:
                self.applied.append(command)
                self._memory.keep(write)
                self._state.forget((write,))
        return results

    def position(self, account: Account) -> Position | None:
        return self._state.positions.get(account)

    def positions(self) -> tuple[Position, ...]:
        return tuple(self._state.positions.values())

    async def audit(self) -> Audit:
        balances: dict[Account, int] = {}
        lines = [entry for entries in self._memory.entries.values() for entry in entries]
        for entry in lines:
            balances[entry.debit] = balances.get(entry.debit, 0) - entry.minor
            balances[entry.credit] = balances.get(entry.credit, 0) + entry.minor
        reserved: dict[Account, int] = {}
        for entries in self._memory.held.values():
            for account, minor in holds(entries).items():
                reserved[account] = reserved.get(account, 0) + minor
        recount = Recount(
            balances=balances,
            reserved=reserved,
            postings={},
            entries=len(lines),
            transfers=len(self._memory.transfers),
        )
        return compare(self.positions(), recount)

    async def drain(self) -> None:
        return

    def close(self) -> None:
        return
