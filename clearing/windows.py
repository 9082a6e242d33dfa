"""Keeps the settlement windows: opens and rolls them, closes what is over, settles batches."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import structlog
from msgspec.structs import replace

from clearing.batches import Batches, advanced
from clearing.core.business_days import Calendar
from clearing.core.netting import (
    BatchRefused,
    Charges,
    carried_balances,
    digest,
    has_traffic,
    make_batch,
)
from clearing.core.window import Window, cut_offs, ledger_of, window_after, window_at, window_of
from clearing.lbtr import Lbtr
from clearing.ports import LedgerStore
from clearing.refusals import Refusal, conflict, unknown
from clearing.settlement import Settler
from scheme.batch import (
    CLOSED,
    CLOSING,
    OPEN,
    Batch,
    Settlement,
    decode_settlement,
    encode_batch,
)
from scheme.clock import Clock, from_ms, to_ms
from scheme.errors import StoreError
from scheme.ledger import (
    DALE,
    DEFERRED,
    FUNDING_ACCOUNT,
    NATIONAL,
    Account,
    AdvanceWindow,
    CloseWindow,
    Command,
    OpenWindow,
    Owed,
)
from scheme.profile import CYCLES, Profile
from scheme.standing import Tally, WindowStand

log = structlog.get_logger()

NoticesOfWindow = Callable[[Batch, str], tuple[Owed, ...]]
"""Builds the messages owed for a closed window from its batch and the next window's date."""

PREFUNDED = frozenset({NATIONAL, DALE})
"""Cycles whose balances are carried from one window to the next, and told to participants."""
LET_RUN_TURNS = 20
"""Turns of the loop between rolling and closing, for orders that were given the old window."""
LOOK_S_MAX = 300.0
"""Longest time between two looks at the clock, in case the machine's was set forward."""
RETRY_S = 10.0
"""Wait after the ledger could not be read."""


class WindowKeeper:
    """Takes every window from its opening to the end of its settlement.

    Args:
        names: participants' names by code.
        notices: builds SNM999; written with the batch.

    Attributes:
        on_owed: told of messages that are owed now, once they are on disk.
        batches: what becomes of the windows once they are closed.
    """

    def __init__(
        self,
        ledger: LedgerStore,
        lbtr: Lbtr,
        *,
        names: Mapping[str, str],
        currencies: Iterable[str],
        sponsors: Mapping[str, str],
        profile: Profile,
        calendar: Calendar,
        clock: Clock,
        notices: NoticesOfWindow,
    ) -> None:
        self._ledger = ledger
        self._lbtr = lbtr
        self._names = names
        self._rules = profile.settlement
        self._calendar = calendar
        self._clock = clock
        self._notices = notices
        # A currency that nobody deals in any more still has windows to close and to settle.
        known = {*currencies, *(one.currency for one in ledger.windows())}
        self._times = {
            (cycle, currency): cut_offs(profile.windows.cut_offs[cycle][currency])
            for cycle in CYCLES
            for currency in sorted(known)
        }
        self._open: dict[tuple[str, str], Window] = {}
        self._wake = asyncio.Event()
        self._is_faulty = False
        settler = Settler(
            ledger,
            lbtr,
            profile=profile,
            sponsors=sponsors,
            clock=clock,
            open_window=lambda cycle, currency: self.window(cycle, currency).id,
        )
        self.batches = Batches(ledger, settler, approvals=profile.settlement.approvals, clock=clock)
        self.on_owed: Callable[[Sequence[Owed]], None] | None = None
        ledger.on_released = lambda _: self.nudge()
        lbtr.on_moved = self.nudge

    # -- Opening and rolling -------------------------------------------------------------------

    async def open_all(self) -> None:
        """Open what should be open and is not; take up what is."""
        for stand in self._ledger.windows():
            if stand.state == OPEN and (stand.cycle, stand.currency) in self._times:
                self._open[stand.cycle, stand.currency] = window_of(stand)
        now = self._clock.now()
        commands: list[Command] = []
        for (cycle, currency), times in self._times.items():
            known = self._open.get((cycle, currency))
            if known is None:
                first = window_at(now, times, self._calendar, cycle=cycle, currency=currency)
                self._open[cycle, currency] = first
                commands.append(_opening(first, now))
            elif now >= known.closes_at:
                commands += self._rolled(known, now)
        if commands:
            await self._ledger.apply(commands)

    def window(self, cycle: str, currency: str) -> Window:
        """Return the window open now. If the clock goes back, the window does not."""
        window = self._open[cycle, currency]
        now = self._clock.now()
        if now < window.closes_at:
            return window
        # Decided here, between two orders, and written before anything of the new window is.
        self._ledger.note(self._rolled(window, now))
        self.nudge()
        return self._open[cycle, currency]

    def nudge(self) -> None:
        """Look soon: something may go on."""
        self._wake.set()

    def _rolled(self, window: Window, now: datetime) -> list[Command]:
        times = self._times[window.cycle, window.currency]
        following = window_after(window, now, times, self._calendar)
        self._open[window.cycle, window.currency] = following
        cut_off = min(now, window.closes_at)
        log.info("window closing", window=window.id, next=following.id)
        closing = Settlement(state=CLOSING, cut_off_ms=to_ms(cut_off))
        return [_opening(following, now), self._advanced(window.id, closing)]

    # -- The loop ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the windows for ever."""
        while True:
            self._wake.clear()
            look_at = await self._rooted_turn()
            if look_at <= self._clock.now():
                continue  # It has come while the disk was busy.
            timer = self._clock.call_at(look_at, self._wake.set)
            try:
                await self._wake.wait()
            finally:
                timer.cancel()

    async def turn(self) -> datetime:
        """Do all that can be done now; return when to look again."""
        self._is_faulty = False
        for cycle, currency in self._open:
            self.window(cycle, currency)
        for _ in range(LET_RUN_TURNS):
            await asyncio.sleep(0)
        await self._lbtr.drop_late()
        await self._lbtr.pump()
        await self._close_what_can()
        now = self._clock.now()
        looks = [now + timedelta(seconds=LOOK_S_MAX)]
        looks += [window.closes_at for window in self._open.values()]
        looks += [at for at in (self._lbtr.next_closing(),) if at is not None]
        for stand in self._unended():
            wake_ms = await self._guarded(stand.window, self.batches.take_further(stand))
            if wake_ms:
                looks.append(from_ms(wake_ms))
        if self._is_faulty:
            looks.append(now + timedelta(seconds=RETRY_S))
        return min(looks)

    async def _rooted_turn(self) -> datetime:
        try:
            return await self.turn()
        except StoreError as error:
            log.warning("the ledger cannot be read just now", cause=str(error))
        except Exception:
            # Whatever it is, the windows must not stay unkept for ever.
            log.exception("windows are not kept")
        return self._clock.now() + timedelta(seconds=RETRY_S)

    async def _guarded(self, window: str, step: Awaitable[int]) -> int:
        """Take a step of one window; 0 if it goes wrong: the others go on."""
        try:
            return await step
        except StoreError as error:
            log.warning("the ledger cannot be read just now", window=window, cause=str(error))
        except Exception:
            log.exception("a window is not kept", window=window)
        self._is_faulty = True
        return 0

    def _unended(self) -> list[WindowStand]:
        return sorted(
            (one for one in self._ledger.windows() if one.state != OPEN),
            key=lambda one: (one.settlement_date, one.cycle, one.currency, one.number),
        )

    # -- Closing -------------------------------------------------------------------------------

    async def close(self, window_id: str) -> WindowStand | Refusal:
        """Close a window before its cut-off, at an operator's wish."""
        stand = self._ledger.window(window_id)
        if stand is None:
            return _UNKNOWN_WINDOW
        window = self._open.get((stand.cycle, stand.currency))
        if window is None or window.id != window_id:
            return conflict(
                f"the window is {stand.state} already",
                "window",
                "a window closes once; GET /windows lists those that are OPEN",
            )
        await self._ledger.apply(self._rolled(window, self._clock.now()))
        self.nudge()
        after = self._ledger.window(window_id)
        assert after is not None
        return after

    async def _close_what_can(self) -> None:
        waiting: set[tuple[str, str]] = set()
        for stand in self._unended():
            key = (stand.cycle, stand.currency)
            # In their order: a window's balances are the next one's opening.
            if stand.state == CLOSING and (key in waiting or not await self._closed(stand)):
                waiting.add(key)

    async def _closed(self, stand: WindowStand) -> bool:
        return bool(await self._guarded(stand.window, self._close(stand)))

    async def _close(self, stand: WindowStand) -> bool:
        """Make a window's batch; return whether there is one."""
        settlement = decode_settlement(stand.record, state=stand.state)
        if settlement.refused or self._is_in_flight(stand):
            return False
        try:
            batch, following = self._batch(stand, settlement)
        except BatchRefused as error:
            log.exception("no batch can be made", window=stand.window)
            refused = replace(settlement, refused=str(error))
            await self._ledger.apply((self._advanced(stand.window, refused),))
            return False
        is_told = stand.cycle in PREFUNDED
        owed = self._notices(batch, following.settlement_date) if is_told else ()
        ledger = batch.ledger
        openings = tuple(
            (Account(ledger=ledger, currency=batch.currency, owner=one.participant),
             one.new_opening)
            for one in batch.participants
        )  # fmt: skip
        closed = replace(settlement, state=CLOSED)
        command = CloseWindow(
            window=stand.window,
            batch=encode_batch(batch),
            digest=digest(batch),
            next_window=following.window,
            openings=openings if is_told else (),
            at_ms=to_ms(self._clock.now()),
            owed=owed,
        )
        await self._ledger.apply((command, self._advanced(stand.window, closed)))
        log.info("window closed", window=stand.window, transfers=batch.gross.count)
        if owed and self.on_owed is not None:
            self.on_owed(owed)
        return True

    def _is_in_flight(self, stand: WindowStand) -> bool:
        # The orders of an exchange cycle stay held until it is settled.
        if stand.held and stand.cycle != DEFERRED:
            return True
        # A pay-in that still waits for money will be posted in the window it was asked for in.
        return any(
            link.window == stand.window
            for one in self._ledger.instructions()
            for link in one.linked
        )

    def _batch(self, stand: WindowStand, settlement: Settlement) -> tuple[Batch, WindowStand]:
        later = self._later(stand)
        tallies = self._tallies(stand)
        carried = None
        if stand.cycle in PREFUNDED:
            balances = {
                one.account: one.balance_minor
                for one in self._ledger.positions()
                if one.account in {tally.account for tally in tallies}
            }
            since = [one for window in later for one in self._ledger.tallies(window.window)]
            carried = carried_balances(balances, since)
        rules, currency = self._rules, stand.currency
        batch = make_batch(
            stand,
            tallies,
            names=self._names,
            carried=carried,
            charges=Charges(
                per_transfer=rules.charge_per_transfer.get(currency, 0),
                per_window=rules.charge_per_window.get(currency, 0),
            ),
            cut_off_ms=settlement.cut_off_ms or stand.closes_ms,
            closed_ms=to_ms(self._clock.now()),
            next_window=later[0].window,
        )
        return batch, later[0]

    def _later(self, stand: WindowStand) -> list[WindowStand]:
        """Return the windows of the same cycle that followed; the first is the next one."""
        same = (
            one
            for one in self._ledger.windows()
            if (one.cycle, one.currency) == (stand.cycle, stand.currency)
            and (one.settlement_date, one.number) > (stand.settlement_date, stand.number)
        )
        return sorted(same, key=lambda one: (one.settlement_date, one.number))

    def _tallies(self, stand: WindowStand) -> list[Tally]:
        """Return a tally for everyone that the batch shall name."""
        counted = {one.account: one for one in self._ledger.tallies(stand.window)}
        if stand.cycle not in PREFUNDED:
            # Only those that took part; what they owe or are owed begins at nothing each time.
            return [
                replace(one, opening_minor=0)
                for one in counted.values()
                if has_traffic(one) or one.funded or one.drawn
            ]
        ledger = ledger_of(stand.cycle)
        for position in self._ledger.positions():
            account = position.account
            is_ours = (account.ledger, account.currency) == (ledger, stand.currency)
            if is_ours and account.owner != FUNDING_ACCOUNT and account not in counted:
                counted[account] = Tally(window=stand.window, account=account)
        return list(counted.values())

    # -- What people do about batches ----------------------------------------------------------

    async def approve(self, window_id: str, name: str) -> Settlement | Refusal:
        """Note that a person approves a batch, and look whether it can be settled now."""
        answer = await self.batches.approve(window_id, name)
        self.nudge()
        return answer

    async def retry(self, window_id: str) -> Settlement | Refusal:
        """Try once more, at a person's wish, what failed or was refused."""
        answer = await self.batches.retry(window_id)
        self.nudge()
        return answer

    # -- Small things --------------------------------------------------------------------------

    def _advanced(self, window: str, settlement: Settlement) -> AdvanceWindow:
        return advanced(window, settlement, to_ms(self._clock.now()))


def _opening(window: Window, now: datetime) -> OpenWindow:
    return OpenWindow(
        window=window.id,
        cycle=window.cycle,
        currency=window.currency,
        settlement_date=window.settlement_date,
        number=window.number,
        opens_ms=to_ms(now),
        closes_ms=to_ms(window.closes_at),
    )


_UNKNOWN_WINDOW = unknown("no window has this id", "window", "GET /windows lists them")
