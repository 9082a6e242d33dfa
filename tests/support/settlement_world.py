"""Clearing on a real file: windows, batches and settlement under a manual clock."""

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from clearing.ledger_sqlite import SqliteLedger
from clearing.refusals import Refusal
from clearing.service import Cash, ClearingService
from runtime.clock import ManualClock
from runtime.files import load_profile
from scheme.batch import Batch, Settlement, decode_batch, decode_settlement
from scheme.clock import to_ms
from scheme.ledger import (
    ACCEPTED,
    DALE,
    DEFERRED,
    LBTR,
    NATIONAL,
    RESERVED,
    SPONSOR,
    Account,
    Entry,
    Owed,
    Post,
    Release,
    Reserve,
)
from scheme.network import Fleet, Participant
from scheme.profile import Profile
from scheme.standing import Instruction, WindowStand
from tests.support.ledger_fakes import an_owed

NOON = datetime(2026, 11, 23, 17, tzinfo=UTC)
"""Monday noon in Lima."""
FLEET = Fleet(
    participant=(
        *(
            Participant(
                code=code, name=name, kind=kind, currencies=("PEN",), prefund={"PEN": 1_000}
            )
            for code, name, kind in (
                ("0002", "BANK A", "bank"),
                ("0003", "BANK B", "bank"),
                ("0011", "BANK C", "bank"),
                ("0987", "SPONSOR", "sponsor"),
            )
        ),
        *(
            Participant(
                code=code,
                name=name,
                kind="coop",
                currencies=("PEN",),
                ledger=DALE,
                sponsor="0987",
                line={"PEN": 400},
            )
            for code, name in (("0970", "COOP A"), ("0971", "COOP B"))
        ),
    )
)
PROFILE = load_profile("peru")


def rules(
    *,
    on_failure: dict[str, tuple[str, ...]] | None = None,
    approvals: int = 0,
    current: int = 5_000,
    coop_current: int = 500,
    fund: int = 0,
    cap: int = 0,
    credit: int = 0,
    **settlement: Any,
) -> Profile:
    """Return the profile with other rules of settlement; amounts in PEN."""
    asked = {**PROFILE.settlement.on_failure, **(on_failure or {})}
    lbtr = replace(
        PROFILE.lbtr,
        opening={"PEN": current, "USD": 0},
        sponsor_opening={"PEN": coop_current, "USD": 0},
        guarantee_fund={"PEN": fund, "USD": 0},
        intraday_credit={"PEN": credit, "USD": 0},
    )
    changed = replace(PROFILE.settlement, approvals=approvals, on_failure=asked, **settlement)
    prefund = replace(PROFILE.prefund, cap_minor={"PEN": cap, "USD": 0})
    return replace(PROFILE, settlement=changed, lbtr=lbtr, prefund=prefund)


class Stopped(BaseException):
    """The process died here."""


class ClearingWorld:
    """One process's clearing, over a file that outlives it.

    Attributes:
        notices: batches that SNM999 was built for.
        unwound: ends of exchange cycles that were told.
        ended: customers' payments that were told to have ended.
    """

    def __init__(self, folder: Path, profile: Profile, clock: ManualClock) -> None:
        self.clock = clock
        self.profile = profile
        self.notices: list[tuple[str, str]] = []
        self.cycles: list[tuple[str, frozenset[str]]] = []
        self.ended: list[Instruction] = []
        self._numbers = itertools.count(1)
        self._run = f"{to_ms(clock.now())}"
        self.ledger = SqliteLedger.open(
            str(folder / "ledger.db"), on_failure=_failed, now_ms=to_ms(clock.now())
        )
        self.service = ClearingService(
            self.ledger,
            fleet=FLEET,
            profile=profile,
            clock=clock,
            notice_of_movement=lambda _, __: (),
            notices_of_window=self._notice,
        )
        self.service.on_settled_cycle = lambda window, ids: self.cycles.append((window, ids))
        self.service.on_instruction_ended = self.ended.append
        self.keeper = self.service.windows

    def _notice(self, batch: Batch, next_date: str) -> tuple[Owed, ...]:
        self.notices.append((batch.batch, next_date))
        return (an_owed(f"{batch.batch}:SNM999"),)

    async def hold(
        self, debit: str, credit: str, minor: int, cycle: str = NATIONAL, *, name: str = ""
    ) -> str:
        """Reserve a transfer in the window open now; return its id."""
        name = name or f"t-{self._run}-{next(self._numbers)}"
        entry = Entry(
            kind="principal",
            debit=account(debit, cycle),
            credit=account(credit, cycle),
            minor=minor,
            window=self.service.window(cycle, "PEN").id,
        )
        (result,) = await self.ledger.apply(
            (
                Reserve(
                    transfer_id=name,
                    key=name,
                    entries=(entry,),
                    rail=DEFERRED if cycle == DEFERRED else "tin",
                    write_ahead=True,
                    state=ACCEPTED if cycle == DEFERRED else RESERVED,
                    record=b"r",
                    debtor_agent=debit,
                    creditor_agent=credit,
                    currency="PEN",
                    minor=minor,
                    created_ms=to_ms(self.clock.now()),
                ),
            )
        )
        assert result.__class__.__name__ == "Applied", result
        return name

    async def post(self, name: str) -> None:
        await self.ledger.apply(
            (Post(transfer_id=name, state="POSTED", record=b"p", at_ms=to_ms(self.clock.now())),)
        )

    async def release(self, name: str) -> None:
        at_ms = to_ms(self.clock.now())
        end = Release(transfer_id=name, state="REJECTED", record=b"x", reason="AB05", at_ms=at_ms)
        await self.ledger.apply((end,))

    async def pay(self, debit: str, credit: str, minor: int, cycle: str = NATIONAL) -> None:
        """Post a transfer in the window open now."""
        await self.post(await self.hold(debit, credit, minor, cycle))

    async def deposit(self, code: str, minor: int, ledger: str = LBTR) -> None:
        """Bring money to a current account."""
        key = f"deposit-{self._run}-{next(self._numbers)}"
        answer = await self.service.move_cash(Cash.DEPOSIT, ledger, code, "PEN", minor, key)
        assert not isinstance(answer, Refusal)

    async def until(self, lima: str, *, day: str = "2026-11-23") -> None:
        """Advance the clock to a Lima time, without anybody looking."""
        target = datetime.fromisoformat(f"{day}T{lima}-05:00").astimezone(UTC)
        await self.clock.advance(target - self.clock.now())

    async def turn(self) -> datetime:
        return await self.keeper.turn()

    async def wait_out(self, window: str) -> WindowStand:
        """Turn and advance until a settlement has ended or waits for a person."""
        for _ in range(20):
            look_at = await self.turn()
            if self.stand(window).state != "SETTLING":
                break
            await self.clock.advance(max(look_at - self.clock.now(), timedelta()))
        return self.stand(window)

    def stand(self, window: str) -> WindowStand:
        found = self.ledger.window(window)
        assert found is not None
        return found

    def settlement(self, window: str) -> Settlement:
        stand = self.stand(window)
        return decode_settlement(stand.record, state=stand.state)

    def batch(self, window: str) -> Batch:
        data = self.ledger.batch(window)
        assert data is not None
        return decode_batch(data)

    def balance(self, owner: str, ledger: str = NATIONAL) -> int:
        position = self.ledger.position(account(owner, ledger))
        assert position is not None
        return position.balance_minor

    def money(self, owner: str, ledger: str = LBTR) -> int:
        return self.balance(owner, ledger)

    def instructions(self, window: str) -> dict[str, str]:
        """Return the states of a window's payments, by what follows the window's name."""
        return {
            one.instruction_id.removeprefix(f"{window}:"): one.state
            for one in self.ledger.instructions_of(window)
        }

    async def is_square(self) -> bool:
        """Tell whether positions are what their owners have of prefund, and no money is between."""
        audit = await self.service.audit()
        assert audit.clean, audit.differences
        assert self.money("settlement") == self.money("settlement", SPONSOR) == 0
        return all(
            self.balance(code) == self.money(f"{code}:prefund")
            for code in ("0002", "0003", "0011", "0987")
        ) and all(
            self.balance(code, DALE) == self.money(f"{code}:prefund", "sponsor")
            for code in ("0970", "0971")
        )

    async def close(self) -> None:
        """Stop in order."""
        await self.ledger.drain()
        self.ledger.close()

    def die_after(self, applies: int) -> None:
        """Die when so many more batches have reached the disk."""
        real = self.ledger.apply
        left = itertools.count(applies, -1)

        async def apply(batch: Any) -> Any:
            if next(left) <= 0:
                raise Stopped
            return await real(batch)

        self.ledger.apply = apply  # type: ignore[method-assign]


@asynccontextmanager
async def clearing_world(
    folder: Path, profile: Profile | None = None, *, clock: ManualClock | None = None
) -> AsyncIterator[ClearingWorld]:
    """Open the file and start clearing on it, as a process does."""
    world = ClearingWorld(folder, profile or rules(), clock or ManualClock(NOON))
    await world.service.start()
    try:
        yield world
    finally:
        await world.close()


Opener = Callable[..., Any]


def account(owner: str, ledger: str = NATIONAL, currency: str = "PEN") -> Account:
    return Account(ledger=ledger, currency=currency, owner=owner)


def _failed(error: BaseException | None) -> None:
    raise AssertionError("the disk refused a group") from error
