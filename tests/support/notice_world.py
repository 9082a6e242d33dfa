"""A ledger on disk whose transfers are between members, and a notifier that follows it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from clearing.ledger_sqlite import SqliteLedger
from runtime.clock import ManualClock
from runtime.mqtt_keys import MqttKeys
from scheme.cci import compose
from scheme.clock import to_ms
from scheme.errors import NotConnected
from scheme.ledger import (
    NATIONAL,
    Account,
    Entry,
    OpenPosition,
    Post,
    Refuse,
    Release,
    Reserve,
)
from scheme.messages import CT1
from scheme.wire import tin_json
from switch.core.records import TransferRecord, pack
from switch.notifier.follower import Follower
from switch.notifier.members import Members
from switch.notifier.recent import Recent
from switch.notifier.store import LedgerTail, NoticeBook
from switch.notifier.wording import Wording
from tests.support.settlement_world import FLEET, NOON

DEBTOR, CREDITOR, OTHER = (
    compose(code, "001", f"{account:012}") for code, account in (("002", 1), ("003", 2), ("003", 3))
)
KEYS = MqttKeys(b"k" * 32)
ORDER = tin_json.decode(
    (Path(__file__).resolve().parents[1] / "golden" / "CT1-by-cci.json").read_bytes(), CT1
)
MINOR = 1_230
AT_MS = to_ms(NOON)
WINDOW = "national-PEN-20261123-1"


def member_of(cci: str) -> str:
    return KEYS.member_of(cci)


def topic_of(cci: str) -> str:
    return f"cq1/m/{member_of(cci)}/n"


def record_of(name: str, debtor: str = DEBTOR, creditor: str | None = CREDITOR) -> bytes:
    """Return the record of a transfer of MINOR between two accounts."""
    ct1 = replace(ORDER, debtorCCI=debtor, creditorCCI=creditor, amount=MINOR)
    return pack(
        TransferRecord(
            ct1=ct1,
            instruction_id=name,
            requested_creditor="0003",
            creditor_agent="0003",
            settlement_date="20261123",
            window=WINDOW,
            created_ms=AT_MS,
        )
    )


def a_hold(name: str, record: bytes | None = None, *, state: str = "RESERVED") -> Reserve:
    entry = Entry(
        kind="principal",
        debit=_account("0002"),
        credit=_account("0003"),
        minor=MINOR,
        window=WINDOW,
    )
    return Reserve(
        transfer_id=name,
        key=name,
        entries=(entry,),
        write_ahead=True,
        state=state,
        record=record or record_of(name),
        debtor_agent="0002",
        creditor_agent="0003",
        currency="PEN",
        minor=MINOR,
        created_ms=AT_MS - 400,
    )


def a_posting(name: str, record: bytes | None = None, *, state: str = "POSTED") -> Post:
    return Post(transfer_id=name, state=state, record=record or record_of(name), at_ms=AT_MS)


def a_refusal(name: str, *, state: str = "REJECTED", reason: str = "AC06") -> Release:
    return Release(
        transfer_id=name, state=state, record=record_of(name), reason=reason, at_ms=AT_MS
    )


def an_outright_refusal(name: str, *, state: str = "REJECTED", record: bytes = b"") -> Refuse:
    return Refuse(
        transfer_id=name,
        key=name,
        state=state,
        record=record or record_of(name),
        reason="AM09",
        debtor_agent="0002",
        creditor_agent="0003",
        currency="PEN",
        minor=MINOR,
        created_ms=AT_MS,
    )


def _account(code: str) -> Account:
    return Account(ledger=NATIONAL, currency="PEN", owner=code)


def _failed(error: BaseException) -> None:
    raise AssertionError from error


class BrokerFake:
    """Keeps what it is told; while it is away, it acknowledges nothing."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.refusals = 0

    async def deliver(self, topic: str, payload: bytes) -> None:
        if self.refusals:
            self.refusals -= 1
            raise NotConnected("away")
        self.told.append((topic, msgspec.json.decode(payload)))

    def ids(self) -> list[str]:
        return [notice["id"] for _, notice in self.told]


class NoticeWorld:
    """A ledger, its own or another's, and notifiers; ``folder`` is the home."""

    def __init__(self, folder: Path, ledger: SqliteLedger | None = None) -> None:
        self.folder = folder
        self.clock = ManualClock(NOON)
        self.broker = BrokerFake()
        self.recent = Recent(self.clock)
        self.path = folder / "ledger.db"
        self._is_owner = ledger is None
        self.ledger = ledger or SqliteLedger.open(str(self.path), on_failure=_failed, now_ms=AT_MS)
        self._open: list[LedgerTail | NoticeBook] = []

    async def start(self, *enrolled: str) -> None:
        """Open two positions and enrol some accounts."""
        self.enrol(*enrolled)
        await self.ledger.apply(
            tuple(
                OpenPosition(
                    account=_account(code),
                    prefund_minor=10_000_000,
                    low_minor=100,
                    high_minor=200,
                    cap_minor=0,
                    window=WINDOW,
                    at_ms=0,
                )
                for code in ("0002", "0003")
            )
        )
        await self.ledger.drain()

    def enrol(self, *accounts: str) -> None:
        enrol(self.folder, accounts)

    async def write(self, *commands: Any) -> None:
        """Have commands on disk."""
        await self.ledger.apply(commands)
        await self.ledger.drain()

    async def post(self, name: str, debtor: str = DEBTOR, creditor: str | None = CREDITOR) -> None:
        """Reserve a transfer and post it, in two groups."""
        record = record_of(name, debtor, creditor)
        await self.write(a_hold(name, record))
        await self.write(a_posting(name, record))

    def follower(self) -> Follower:
        """Return a notifier as a process has it after its start; an earlier one is gone."""
        self._close_files()
        tail, book = LedgerTail(self.path), NoticeBook(self.folder / "notices.db")
        self._open = [tail, book]
        members = Members(self.folder / "mqtt" / "members", member_of)
        return Follower(
            tail=tail,
            book=book,
            members=members,
            wording=Wording(FLEET.by_code(), members.told),
            recent=self.recent,
            deliver=self.broker.deliver,
            clock=self.clock,
        )

    async def told(self, follower: Follower) -> list[tuple[str, dict[str, Any]]]:
        """Run rounds until there is no more; return what was told in them."""
        begun = len(self.broker.told)
        while await follower.round():
            pass
        return self.broker.told[begun:]

    def close(self) -> None:
        self._close_files()
        if self._is_owner:
            self.ledger.close()

    def _close_files(self) -> None:
        while self._open:
            self._open.pop().close()


def enrol(home: Path, accounts: Sequence[str]) -> None:
    """Write the list of members as the switch does."""
    path = home / "mqtt" / "members"
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name("members.part")
    part.write_text("".join(f"{member_of(one)}\n" for one in accounts))
    part.replace(path)
