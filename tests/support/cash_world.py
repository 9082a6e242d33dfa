"""Cash at machines over a real ledger and outbox, with scripted issuers' cores."""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from clearing.ledger_sqlite import SqliteLedger
from runtime.clock import ManualClock
from runtime.files import load_profile
from scheme.clock import to_ms, wire_date_time
from scheme.errors import NoAnswer, NotConnected, StoreError
from scheme.ledger import DALE, NATIONAL, Command, OpenPosition, Owed
from scheme.network import Iso8583, Participant
from scheme.profile import Profile
from scheme.wire.iso8583_codec import codec
from scheme.wire.iso8583_spec import Fields
from scheme.wire.iso8583_tlv import decode_tlv, encode_tlv
from switch.cash import Cash
from switch.cash_codes import CodeOrder
from switch.core.cash import CashAnswer, is_undone
from switch.core.sessions import NetworkState, Session
from switch.outbox import Outbox
from switch.payment_ports import Refused
from switch.ports import Delivery
from switch.store import SqliteStore
from tests.support.forgetful_disk import ForgetfulDisk
from tests.support.gated_disk import GatedDisk
from tests.support.switch_world import account, an_open_window, fixed_window, quiet

NOON = datetime(2026, 1, 15, 17, 0, 0, tzinfo=UTC)
PREFUND = 1_000_000
LINE = 500_000
AMOUNT = 20_000
CARD = "9709751234567890"
OTHER_CARD = "9709761234567890"
PHONE = "999000111"
ACCOUNT = "97500100000000000101"
PIN_BLOCK = "0123456789ABCDEF"


STATEMENT = "2601151159,-20000,RETIRO EN 0992;2601141210,5000000,ABONO DE 0002"
_ENQUIRED = {
    "31": {"54": "0001604C000000012345"},
    "38": {"62": encode_tlv({"20": STATEMENT})},
}


def members() -> dict[str, Participant]:
    """Return two coops with cores on ISO 8583 behind a sponsor, machines, field agents, a bank."""

    def one(code: str, **more: Any) -> Participant:
        return Participant(code=code, name=f"SIMULADA {code}", simulated=False, **more)

    behind = {"kind": "coop", "ledger": DALE, "sponsor": "0987", "lane": "iso8583"}
    found = (
        one("0975", iso8583=Iso8583(bins=("970975",)), **behind),
        one("0976", iso8583=Iso8583(spec="packed-1987", bins=("970976",)), **behind),
        one("0987", kind="sponsor"),
        one("0991", kind="acquirer", lane="iso8583"),
        one("0992", kind="acquirer", lane="mqtt"),
        one("0003", kind="bank"),
    )
    return {each.code: each for each in found}


@dataclass
class Core:
    """All issuers' cores: what they posted, and what they gave back. It outlives the switch.

    Attributes:
        next: what becomes of the next requests: DE39, ``unreachable``, ``silent`` (posts and does
            not say so), ``lost`` (never arrives), or a future to wait for first; then all is 00.
        undo: DE39 of every 0430, or ``silent``.
        about: what else its answers to withdrawals say.
        paid: minor units taken from members, by withdrawal; back: given back.
    """

    next: deque[Any] = field(default_factory=deque)
    undo: str = "00"
    about: Fields = field(default_factory=dict)
    paid: dict[str, int] = field(default_factory=dict)
    back: dict[str, int] = field(default_factory=dict)
    asked: list[Fields] = field(default_factory=list)
    told: list[tuple[Owed, bool]] = field(default_factory=list)

    def kept(self, transfer_id: str) -> int:
        """Return what a member is without, for one withdrawal."""
        return self.paid.get(transfer_id, 0) - self.back.get(transfer_id, 0)


class ScriptedCores:
    """The links to the cores."""

    def __init__(self, core: Core, fleet: Mapping[str, Participant], first_stan: int) -> None:
        self._core = core
        self._fleet = fleet
        self._stan = first_stan

    def prepare(self, participant: str, fields: Fields) -> bytes:
        """Number and encode a request."""
        self._stan += 1
        own = {"7": "0115170000", "11": f"{self._stan:06}", "33": "9999"}
        return codec(self._fleet[participant].iso8583.spec).encode({**fields, **own})

    async def ask(self, participant: str, prepared: bytes, subject: str) -> Fields:
        """Answer as scripted."""
        core = self._core
        fields = codec(self._fleet[participant].iso8583.spec).decode(prepared)
        act = core.next.popleft() if core.next else "00"
        if act == "unreachable":
            raise NotConnected("scripted")
        core.asked.append(fields)
        await asyncio.sleep(0)
        if isinstance(act, asyncio.Future):
            act = await act
        if act in {"00", "silent"} and fields["3"].startswith("01"):
            core.paid[subject] = int(fields["4"])
        if act in {"silent", "lost"}:
            raise NoAnswer("scripted")
        answer = {"t": "0210", "39": act}
        if act == "00":
            answer |= {"38": "A1B2C3"}
            answer |= _ENQUIRED.get(fields["3"][:2], {})
        return answer | core.about


class ScriptedPeers:
    """Delivers reversals to the cores."""

    def __init__(self, core: Core, fleet: Mapping[str, Participant]) -> None:
        self._core = core
        self._fleet = fleet

    async def deliver(self, owed: Owed, *, repeated: bool = False) -> Delivery:
        """Undo once, as a core does, and answer as scripted."""
        core = self._core
        core.told.append((owed, repeated))
        await asyncio.sleep(0)
        if core.undo == "silent":
            return Delivery(acknowledged=False, detail="scripted")
        fields = codec(self._fleet[owed.participant].iso8583.spec).decode(owed.body)
        paid = core.paid.get(owed.subject)
        if core.undo == "00" and paid is not None:
            core.back[owed.subject] = paid - int(fields.get("95", "0" * 42)[:12])
        return Delivery(acknowledged=True, refused=not is_undone(owed.owed_id, core.undo))


class CashWorld:
    """One run of the cash desk; the same folder can be opened again after a crash."""

    def __init__(
        self,
        ledger: SqliteLedger,
        store: SqliteStore,
        core: Core,
        clock: ManualClock,
        disk: GatedDisk,
        profile: Profile,
        rng: random.Random,
    ) -> None:
        self.ledger = ledger
        self.store = store
        self.core = core
        self.clock = clock
        self.disk = disk
        self.fleet = members()
        self.network = NetworkState({code: Session(signed_on=True) for code in self.fleet})
        self.tasks: set[asyncio.Task[Any]] = set()
        self.outbox = Outbox(
            ledger=ledger,
            messages=store,
            peers=ScriptedPeers(core, self.fleet),  # type: ignore[arg-type]  # It asks nothing.
            timers=profile.timers,
            clock=clock,
            spawn=self._spawn,
        )
        self.cash = Cash(
            ledger=ledger,
            store=store,
            cores=ScriptedCores(core, self.fleet, len(core.asked) + 1000),
            outbox=self.outbox,
            fleet=self.fleet,
            profile=profile,
            clock=clock,
            state=lambda: self.network,
            window_of=fixed_window,
            account_of=lambda phone, code: ACCOUNT if (phone, code) == (PHONE, "0975") else None,
            random_bytes=rng.randbytes,
        )

    @property
    def acquirer(self) -> Participant:
        """The network of machines."""
        return self.fleet["0991"]

    @property
    def agents(self) -> Participant:
        """The network of field agents."""
        return self.fleet["0992"]

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def request(self, stan: int = 1, **changes: str) -> Fields:
        """Return a withdrawal by card; elements by ``de4=``."""
        date, time = wire_date_time(NOON)
        fields = {
            "t": "0200",
            "2": CARD,
            "3": "010000",
            "4": f"{AMOUNT:012}",
            "7": "0115170000",
            "11": f"{stan:06}",
            "12": time,
            "13": date[4:],
            "32": "0991",
            "37": f"R{stan:011}",
            "41": "ATM00001",
            "49": "604",
        }
        return fields | {name.removeprefix("de"): value for name, value in changes.items()}

    def cardless(self, code: str, stan: int = 1, **changes: str) -> Fields:
        """Return a withdrawal by phone and one-time code."""
        fields = self.request(stan, **changes)
        del fields["2"]
        return fields | {"48": encode_tlv({"31": PHONE, "30": code})}

    def by_account(self, stan: int = 1, **changes: str) -> Fields:
        """Return a withdrawal of a member whom a field agent knows."""
        fields = self.request(stan) | {"32": "0992", "102": ACCOUNT}
        del fields["2"]
        return fields | {name.removeprefix("de"): value for name, value in changes.items()}

    def reversal(self, stan: int = 1, dispensed: int | None = None, **changes: str) -> Fields:
        """Return the reversal of a withdrawal."""
        return self.reversal_of(self.request(stan), dispensed, **changes)

    def reversal_of(self, original: Fields, dispensed: int | None = None, **changes: str) -> Fields:
        """Return the reversal of a request."""
        stan = int(original["11"])
        de90 = f"0200{original['11']}{original['7']}{original['32']:0>11}{0:011}"
        fields = {**original, "t": "0420", "11": f"{stan + 500:06}", "90": de90}
        fields |= {name.removeprefix("de"): value for name, value in changes.items()}
        return fields if dispensed is None else fields | {"95": f"{dispensed:012}{0:030}"}

    async def withdraw(self, fields: Fields | None = None) -> CashAnswer:
        """Withdraw at DE32's, by card if nothing else is said."""
        fields = fields or self.request()
        return await self.cash.withdraw(self.fleet[fields["32"]], fields)

    async def reverse(self, fields: Fields | None = None) -> CashAnswer:
        """Take a withdrawal back."""
        fields = fields or self.reversal()
        answer = await self.cash.reverse(self.fleet[fields["32"]], fields)
        assert answer is not None
        return answer

    async def code(self, amount: int = AMOUNT, key: str = "k1") -> str:
        """Have a code issued for the member."""
        order = CodeOrder(participant="0975", phone=PHONE, amount=amount)
        answer = await self.cash.codes.issue(order, key)
        assert not isinstance(answer, Refused), answer
        return str(msgspec.json.decode(answer)["code"])

    def state(self, transfer_id: str) -> str:
        """Return the state on disk."""
        row = self.store.row(transfer_id)
        return "" if row is None else row.state

    def paid(self, transfer_id: str) -> int:
        """Return what the issuer paid the acquirer for a withdrawal, less what went back."""
        posted = sum(one.minor for one in self.store.entries(transfer_id) if one.ledger == NATIONAL)
        return posted - self.store.opposed_minor(transfer_id)

    def balance(self, owner: str, ledger: str = NATIONAL) -> int:
        """Return a balance in memory."""
        position = self.ledger.position(account(owner, ledger))
        assert position is not None
        return position.balance_minor

    def held(self) -> int:
        """Return what is held of all positions together."""
        return sum(one.reserved_minor for one in self.ledger.positions())

    def owed(self) -> Sequence[Owed]:
        """Return what is owed on disk."""
        return [row.owed for row in self.store.owed()]

    async def settle(self, turns: int = 40) -> None:
        """Let everything that is ready run, the disk included."""
        for _ in range(2):
            for _ in range(turns):
                await asyncio.sleep(0)
            if self.disk.is_open:
                with suppress(StoreError):
                    await self.ledger.drain()

    async def advance(self, seconds: float) -> None:
        """Let the clock go on, and everything that this makes ready."""
        await self.settle()
        await self.clock.advance(timedelta(seconds=seconds))
        await self.settle()

    async def audited(self) -> None:
        """Check that every sum is right, recounted from the rows, and that nothing stays held."""
        await self.ledger.drain()
        audit = await self.ledger.audit()
        assert audit.clean, audit


def _openings(fleet: Mapping[str, Participant], at_ms: int) -> list[Command]:
    found: list[Command] = [an_open_window(cycle, at_ms) for cycle in (NATIONAL, DALE)]
    for code, one in fleet.items():
        if one.is_tiered:
            found.append(_opening(code, DALE, 0, LINE, at_ms))
            continue
        found.append(_opening(code, NATIONAL, PREFUND, 0, at_ms))
        if one.kind == "sponsor":
            found.append(_opening(code, DALE, 0, 10**15, at_ms))
    return found


def _opening(code: str, ledger: str, prefund: int, cap: int, at_ms: int) -> OpenPosition:
    return OpenPosition(
        account=account(code, ledger),
        prefund_minor=prefund,
        low_minor=0,
        high_minor=0,
        cap_minor=cap,
        window=fixed_window(ledger, "PEN").id,
        at_ms=at_ms,
    )


class _StoreOn(SqliteStore):
    """The store's reads over the one connection that a forgetful disk has."""

    def __init__(self, disk: ForgetfulDisk) -> None:
        # Not the parent's: it opens a file.
        self._connection: Any = disk.connect_reader("")


@asynccontextmanager
async def cash_world(
    folder: Path,
    core: Core | None = None,
    *,
    clock: ManualClock | None = None,
    seed: int = 1,
    forgetful: ForgetfulDisk | None = None,
    change: Callable[[Profile], Profile] = lambda one: one,
) -> AsyncIterator[CashWorld]:
    """Open a cash desk over a folder; leaving it is a crash, nothing is told any more.

    Args:
        forgetful: a disk to use in place of the folder.
        change: changes the rules.
    """
    clock = clock or ManualClock(NOON)
    disk, failures = GatedDisk(), list[BaseException | None]()
    path = str(folder / "ledger.db")
    with quiet():
        ledger = SqliteLedger.open(
            path,
            on_failure=failures.append,
            connect=disk.connect if forgetful is None else forgetful.connect,
            connect_reader=None if forgetful is None else forgetful.connect_reader,
            now_ms=to_ms(NOON),
        )
        store = SqliteStore(path) if forgetful is None else _StoreOn(forgetful)
        profile = change(load_profile("peru"))
        made = CashWorld(ledger, store, core or Core(), clock, disk, profile, random.Random(seed))
        await ledger.apply(_openings(made.fleet, to_ms(NOON)))
        await made.cash.recover()
        made.outbox.start()
        await made.settle()
        try:
            yield made
        finally:
            everyone = asyncio.all_tasks() - {asyncio.current_task()}
            ours = {one for one in everyone if one in made.tasks or one in made.cash._tasks}
            for task in ours:
                task.cancel()
            made.outbox.close()
            disk.release()
            await asyncio.gather(*ours, return_exceptions=True)
            with suppress(StoreError):
                await ledger.drain()
            store.close()
            ledger.close()


def with_cash(profile: Profile, **changes: Any) -> Profile:
    """Return rules with some of those about cash changed."""
    return replace(profile, cash=replace(profile.cash, **changes))


def on_disk(folder: Path) -> bytes:
    """Return everything that a world has written."""
    return b"".join(path.read_bytes() for path in folder.iterdir())


def tags(fields: Fields, element: str) -> dict[str, str]:
    """Return the private data of a message."""
    return decode_tlv(fields.get(element, ""), element)
