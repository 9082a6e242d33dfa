"""A ledger on disk with one window of every kind of movement, closed into its batch."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from clearing.core.netting import Charges, make_batch
from clearing.ledger_sqlite import SqliteLedger
from scheme.batch import Batch, decode_batch, encode_batch
from scheme.ledger import (
    DALE,
    DEFERRED,
    NATIONAL,
    Account,
    AdvanceWindow,
    CloseWindow,
    Command,
    Entry,
    Move,
    OpenPosition,
    OpenWindow,
    Oppose,
    Post,
    Refuse,
    Release,
    Reserve,
)
from scheme.movement import Movement

DAY_MS = 1_795_410_000_000  # 2026-11-23, midnight in Lima.
NOON_MS = DAY_MS + 12 * 3_600_000
CCI = {code: f"{code[1:]}00100{'1' * 10}{code[-2:]}" for code in ("0002", "0003", "0970", "0971")}
CYCLES = {NATIONAL: "national", DALE: "dale", DEFERRED: "deferred"}


def account(owner: str, ledger: str = NATIONAL) -> Account:
    return Account(ledger=ledger, currency="PEN", owner=owner)


def window_of(ledger: str, number: int = 1) -> str:
    return f"{CYCLES[ledger]}-PEN-20261123-{number}"


def legs(
    *pairs: tuple[str, str], minor: int, fee: int = 0, ledger: str = NATIONAL
) -> tuple[Entry, ...]:
    """Return entries from pair to pair: principal, and the fee if there is one."""
    return tuple(
        Entry(
            kind=kind,
            debit=account(debit, ledger),
            credit=account(credit, ledger),
            minor=amount,
            window=window_of(ledger),
        )
        for debit, credit in pairs
        for kind, amount in (("principal", minor), ("interbank_fee", fee))
        if amount
    )


def a_record(transfer_id: str, debtor: str, creditor: str, minor: int, fee: int = 0) -> bytes:
    """Return a record as this world's switch keeps it: the movement itself."""
    return msgspec.msgpack.encode(
        Movement(
            instruction_id=transfer_id,
            debtor_account=CCI.get(debtor, "0" * 20),
            creditor_account=CCI.get(creditor, "0" * 20),
            debtor_agent=debtor,
            creditor_agent=creditor,
            amount=minor,
            fee=fee,
            transfer_type="320",
            at="20261123120000",
            channel="91",
            trace="000001",
            process_code="00",
        )
    )


def movement_of(record: bytes, _rail: str, _state: str) -> Movement:
    return msgspec.msgpack.decode(record, type=Movement)


class ClosedBatch:
    """A ledger in a folder; made by ``in_folder``."""

    def __init__(self, path: Path, ledger: SqliteLedger) -> None:
        self.path = str(path)
        self.ledger = ledger

    @classmethod
    async def in_folder(cls, folder: Path) -> "ClosedBatch":
        def on_failure(error: BaseException) -> None:
            raise error

        path = folder / "ledger.db"
        world = cls(path, SqliteLedger.open(str(path), on_failure=on_failure, now_ms=DAY_MS))
        for ledger in CYCLES:
            await world._open(ledger)
        return world

    async def _open(self, ledger: str) -> None:
        number = 1
        await self.ledger.apply(
            [
                OpenWindow(
                    window=window_of(ledger),
                    cycle=CYCLES[ledger],
                    currency="PEN",
                    settlement_date="20261123",
                    number=number,
                    opens_ms=DAY_MS,
                    closes_ms=NOON_MS,
                )
            ]
        )
        codes = ("0970", "0971", "0987") if ledger == DALE else ("0002", "0003", "0987")
        await self.ledger.apply(
            [
                OpenPosition(
                    account=account(code, ledger),
                    prefund_minor=0 if ledger == DEFERRED else 1_000_000,
                    low_minor=0,
                    high_minor=0,
                    cap_minor=10**9,
                    window=window_of(ledger),
                    at_ms=DAY_MS,
                )
                for code in codes
            ]
        )

    async def pay(
        self,
        transfer_id: str,
        debtor: str,
        creditor: str,
        minor: int,
        *,
        fee: int = 0,
        ledger: str = NATIONAL,
        through: str = "",
        end: str = "post",
        at_ms: int = NOON_MS,
    ) -> None:
        """Reserve a transfer and end it: ``post``, ``reject``, ``unseen``, ``refuse``, ``hold``."""
        hops = ((debtor, through), (through, creditor)) if through else ((debtor, creditor),)
        entries = legs(*hops, minor=minor, fee=fee, ledger=ledger)
        record = a_record(transfer_id, debtor, creditor, minor, fee)
        await self.ledger.apply(
            _commands(transfer_id, debtor, creditor, minor, entries, record, end, at_ms)
        )

    async def give_back(self, return_id: str, transfer_id: str, minor: int) -> None:
        """Post the opposite of part of a transfer, in the same window."""
        windows = {ledger: window_of(ledger) for ledger in CYCLES}
        await self.ledger.apply(
            [
                Oppose(
                    transfer_id=return_id,
                    opposite_of=transfer_id,
                    minor=minor,
                    windows=windows,
                    at_ms=NOON_MS,
                )
            ]
        )

    async def fund(self, code: str, minor: int, *, drawdown: bool = False) -> None:
        """Fund a national position, or draw it down."""
        contra, position = account("lbtr"), account(code)
        entry = Entry(
            kind="drawdown" if drawdown else "funding",
            debit=position if drawdown else contra,
            credit=contra if drawdown else position,
            minor=minor,
            window=window_of(NATIONAL),
        )
        name = f"key-{code}-{minor}-{'x' * 40}"
        await self.ledger.apply(
            [Move(movement_id=name, entries=(entry,), digest="d", at_ms=NOON_MS)]
        )

    async def close(self, ledger: str = NATIONAL) -> Batch:
        """Close a window into its batch and return it."""
        window = window_of(ledger)
        stand = self.ledger.window(window)
        assert stand is not None
        tallies = [
            one
            for one in self.ledger.tallies(window)
            if one.account.ledger == ledger and one.account.owner != "lbtr"
        ]
        batch = make_batch(
            stand,
            tallies,
            names={},
            carried=None,
            charges=Charges(),
            cut_off_ms=NOON_MS,
            closed_ms=NOON_MS,
            next_window=window_of(ledger, 2),
        )
        body = encode_batch(batch)
        await self.ledger.apply(
            [
                AdvanceWindow(window=window, state="CLOSING", at_ms=NOON_MS),
                CloseWindow(
                    window=window,
                    batch=body,
                    digest=hashlib.sha256(body).hexdigest(),
                    next_window=window_of(ledger, 2),
                    openings=(),
                    at_ms=NOON_MS,
                ),
            ]
        )
        made = self.ledger.batch(window)
        assert made is not None
        return decode_batch(made)

    async def end(self) -> None:
        """Write what is left and close the file."""
        await self.ledger.drain()
        self.ledger.close()


def _commands(
    transfer_id: str,
    debtor: str,
    creditor: str,
    minor: int,
    entries: tuple[Entry, ...],
    record: bytes,
    end: str,
    at_ms: int,
) -> Sequence[Command]:
    if end == "refuse":
        return [
            Refuse(
                transfer_id=transfer_id,
                key=f"key:{transfer_id}",
                entries=entries,
                state="REJECTED",
                record=record,
                reason="FF07",
                debtor_agent=debtor,
                creditor_agent=creditor,
                currency="PEN",
                minor=minor,
                created_ms=at_ms,
            )
        ]
    reserve = Reserve(
        transfer_id=transfer_id,
        key=f"key:{transfer_id}",
        entries=entries,
        write_ahead=True,
        state="ACSP" if end == "hold" else "RESERVED",
        record=record,
        debtor_agent=debtor,
        creditor_agent=creditor,
        currency="PEN",
        minor=minor,
        created_ms=at_ms,
    )
    if end == "hold":
        return [reserve]
    if end == "post":
        return [
            reserve,
            Post(transfer_id=transfer_id, state="CONFIRMED", record=record, at_ms=at_ms),
        ]
    release = Release(
        transfer_id=transfer_id,
        state="REJECTED",
        record=record,
        reason="AC01",
        at_ms=at_ms,
        was_received=end == "reject",
    )
    return [reserve, release]
