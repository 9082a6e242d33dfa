"""Cash at machines and agents: an issuer pays the institution that gives the cash out.

The money is held, on disk with the exact request, before the issuer is asked, as its core posts
on the request itself. What is told to the machine is on disk before. A machine that gave nothing
or less says so: then the rest goes back as a posting of its own, and the issuer is owed the
reversal, both in one command (docs/cash.md).
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import structlog
from msgspec.structs import replace

from scheme.clock import Clock, to_ms, wire_date_time
from scheme.errors import NotConnected
from scheme.ledger import Account, Command, Duplicate, Entry, Post, Result, Short
from scheme.masking import mask_card
from scheme.money import CURRENCY_BY_CODE
from scheme.network import Participant
from scheme.profile import Profile
from scheme.reasons import ReasonCode
from scheme.wire.iso8583_spec import Fields
from switch.cash_asking import CashFlight
from switch.cash_codes import CodeBook
from switch.cash_enquiries import CashEnquiries
from switch.cash_ports import AccountOf, CashStore, Cores
from switch.cash_reversals import CashReversals
from switch.core import cash_rules as rules
from switch.core.cash import (
    POSTED,
    CashAnswer,
    CashRecord,
    CashState,
    Ending,
    IssuerSilent,
    cash_entries,
    cash_id,
    ledgers_between,
    unpack_cash,
)
from switch.core.cash_codes import Code, CodeRefusal
from switch.core.cash_messages import (
    WITHDRAWAL,
    CashOrder,
    issuer_of,
    keeper_of,
    malformed,
    other_money,
    read_order,
    request_to_issuer,
    without_pin,
)
from switch.core.cash_outcome import CLEARING_HOUSE, ended, refusal, reservation, told
from switch.core.iso8583_codes import APPROVED, UNABLE_TO_LOCATE
from switch.core.iso8583_requests import original_key_of
from switch.core.records import is_cash, unpack_tombstone
from switch.core.sessions import NetworkState
from switch.edges.cash_api import CashApi
from switch.flight import NotAccepting, UnknownOutcome
from switch.ports import Ledger, Outbox, TransferRow, WindowOf
from switch.routes import RouteHandler

log = structlog.get_logger()


class Cash:
    """Withdrawals, enquiries, and what machines take back.

    Args:
        cores: the issuers' cores.
        state: who is signed on and blocked at this moment.
        window_of: the window open now.
        account_of: finds the account behind a phone, for one-time codes.
        random_bytes: unpredictable bytes, for one-time codes.
        is_elsewhere: tells of a key whether anything but cash knows it: in flight, being verified,
            being remembered.

    Attributes:
        codes: the one-time codes.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        store: CashStore,
        cores: Cores,
        outbox: Outbox,
        fleet: Mapping[str, Participant],
        profile: Profile,
        clock: Clock,
        state: Callable[[], NetworkState],
        window_of: WindowOf,
        account_of: AccountOf,
        random_bytes: Callable[[int], bytes],
        is_elsewhere: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._cores = cores
        self._outbox = outbox
        self._fleet = fleet
        self._profile = profile
        self._clock = clock
        self._state = state
        self._window_of = window_of
        self._is_elsewhere = is_elsewhere
        self._flights: dict[str, CashFlight] = {}
        # The loop itself holds its tasks weakly.
        self._tasks: set[asyncio.Task[CashAnswer]] = set()
        self._wait = timedelta(seconds=profile.iso8583.cash_answer_s)
        self._is_stopping = False
        self.codes = CodeBook(
            ledger=ledger,
            store=store,
            fleet=fleet,
            profile=profile,
            clock=clock,
            account_of=account_of,
            random_bytes=random_bytes,
        )
        self._enquiries = CashEnquiries(
            cores=cores, fleet=fleet, clock=clock, state=state, wait=self._wait
        )
        self._reversals = CashReversals(
            ledger=ledger,
            store=store,
            outbox=outbox,
            fleet=fleet,
            clock=clock,
            window_of=window_of,
        )

    @property
    def in_flight(self) -> Sequence[CashRecord]:
        """Withdrawals without an outcome on disk."""
        return [one.record for one in self._flights.values() if one.record is not None]

    def stop(self) -> None:
        """Take no new withdrawals; repeats and reversals are still answered."""
        self._is_stopping = True

    def routes(self) -> dict[tuple[str, str], RouteHandler]:
        """Return the operator's routes about withdrawals and one-time codes."""
        return CashApi(self.codes, self._store).routes()

    async def idle(self) -> None:
        """Wait until no withdrawal is in flight."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def recover(self) -> int:
        """Expire what a former process left without an outcome; return how many.

        Its issuers may have posted it: each is owed the reversal of what it was sent.
        """
        left = self._store.cash_in_flight()
        for record in left:
            log.info("withdrawal of a former process expires", transfer_id=record.transfer_id)
            await self._end(record, IssuerSilent(), silent=rules.FORGOTTEN)
        return len(left)

    # --- withdrawals

    async def withdraw(self, acquirer: Participant, fields: Fields) -> CashAnswer:
        """Return what a machine's withdrawal is told: the same at every repeat.

        Raises:
            UnknownOutcome: its outcome could not be written.
            NotAccepting: a new one, while the clearing house can take nothing more.
        """
        order = read_order(fields, acquirer, self._clock.now())
        if isinstance(order, CashAnswer):
            return order
        flight = self._flights.get(order.key)
        if flight is not None:
            if flight.content != order.content and not flight.is_burial:
                return rules.OTHER_CONTENT
            answer = await asyncio.shield(flight.outcome)
            return self._first_one(order) if flight.is_burial else answer
        stored = self._store.row_by_key(order.key)
        if stored is not None:
            return _repeated(stored, order)
        if self._is_stopping or self._ledger.is_full:
            raise NotAccepting
        flight = CashFlight(order.content, order.amount, order.currency)
        self._flights[order.key] = flight
        # A task of its own: whoever asked may go away, and a repeat joins it.
        work = self._first(flight, acquirer, order, fields)
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._landed(order.key, flight, done))
        return await asyncio.shield(flight.outcome)

    def _landed(self, key: str, flight: CashFlight, done: "asyncio.Task[CashAnswer]") -> None:
        self._tasks.discard(done)
        self._flights.pop(key, None)
        if done.cancelled():
            flight.outcome.cancel()
        elif (error := done.exception()) is not None:
            # What is not known is not answered; the next start expires what was held.
            log.error("withdrawal failed", cause=repr(error), exc_info=error)
            flight.outcome.set_exception(error)
            flight.outcome.exception()
        else:
            flight.outcome.set_result(done.result())

    async def _first(
        self, flight: CashFlight, acquirer: Participant, order: CashOrder, fields: Fields
    ) -> CashAnswer:
        now = self._clock.now()
        record = self._opened(acquirer, order, now)
        refused = self._unfit(acquirer, order)
        if refused is not None:
            return await self._refuse(record, refused, order)
        code: Code | None = None
        if order.phone:
            found = self.codes.judge(
                order.phone, order.code, amount=order.amount, currency=order.currency
            )
            if isinstance(found, CodeRefusal):
                return await self._refuse(record, _wrong_code(found), order, found.after)
            code = found
            record = replace(record, issuer=code.issuer, account=code.account)
        issuer = self._fleet.get(record.issuer)
        refused = rules.issuer_fits(
            issuer, acquirer, order.currency, self._state(), named_by=order.named_by
        )
        if refused is not None:
            return await self._refuse(record, refused, order)
        try:
            record, prepared, entries = self._prepared(record, acquirer, fields)
        except NotConnected:
            return await self._refuse(record, rules.UNREACHABLE, order)
        short = self._short(entries)
        if short is not None:
            return await self._refuse(record, short, order)
        flight.record = record
        if not await self._held(record, entries, code):
            return self._first_one(order)
        event = await flight.ask(self._cores, prepared, self._clock, self._wait)
        return await self._end(record, event)

    def _opened(self, acquirer: Participant, order: CashOrder, now: datetime) -> CashRecord:
        """Return a withdrawal as it begins, with its issuer and account if they can be told."""
        issuer = issuer_of(order.card, self._fleet) if order.card else None
        if order.account:
            issuer = keeper_of(order.account, self._fleet)
        return CashRecord(
            transfer_id=cash_id(acquirer.code, order.key, *wire_date_time(now)),
            key=order.key,
            content=order.content,
            acquirer=acquirer.code,
            issuer="" if issuer is None else issuer.code,
            # The whole number is only in the exact request, which an undoing is made from.
            account=order.account or mask_card(order.card),
            phone=order.phone,
            machine=order.machine.strip(),
            amount=order.amount,
            currency=order.currency,
            created_ms=to_ms(now),
        )

    def _unfit(self, acquirer: Participant, order: CashOrder) -> CashAnswer | None:
        """Refuse what any issuer's would be refused for; codes later, as they cost attempts."""
        refused = rules.acquirer_operates(acquirer.code, self._state())
        if refused is not None:
            return refused
        if order.account:
            agents = self._profile.agents
            return rules.agent_amount_fits(order.amount, order.currency, agents)
        return rules.amount_fits(order.amount, order.currency, self._profile.cash)

    async def _refuse(
        self,
        record: CashRecord,
        answer: CashAnswer,
        order: CashOrder,
        codes: Sequence[Code] = (),
    ) -> CashAnswer:
        """Remember a refusal, as sticky as an approval, and return it.

        Args:
            codes: one-time codes as they stand from now on, if that has changed.
        """
        record = told(record, answer, CLEARING_HOUSE, self._clock.now())
        result = await self._apply(refusal(record), codes)
        log.info("withdrawal refused", transfer_id=record.transfer_id, rule=record.rule)
        return self._first_one(order) if isinstance(result, Duplicate) else record.answer

    async def _apply(self, command: Command, codes: Sequence[Code]) -> Result:
        """Write a command, and in the same group how one-time codes stand."""
        facts = [self.codes.put(code) for code in codes]
        (result, *_) = await self._ledger.apply((command, *facts))
        for code in codes:
            self.codes.written(code)
        return result

    def _first_one(self, order: CashOrder) -> CashAnswer:
        """Return the answer under a key that something else has taken meanwhile."""
        stored = self._store.row_by_key(order.key)
        return rules.OTHER_CONTENT if stored is None else _repeated(stored, order)

    def _prepared(
        self, record: CashRecord, acquirer: Participant, fields: Fields
    ) -> tuple[CashRecord, bytes, tuple[Entry, ...]]:
        """Return the withdrawal with its windows, the request it will send, and its entries."""
        issuer = self._fleet[record.issuer]
        windows = {
            ledger: self._window_of(ledger, record.currency)
            for ledger in ledgers_between(issuer, acquirer)
        }
        request = request_to_issuer(
            fields,
            acquirer.code,
            transfer_id=record.transfer_id,
            phone=record.phone,
            account=record.account if record.names_account else "",
        )
        prepared = self._cores.prepare(issuer.code, request)
        dates = [one.settlement_date for one in windows.values()]
        record = replace(
            record,
            windows={ledger: one.id for ledger, one in windows.items()},
            settlement_date=dates[0],
            sent=without_pin(prepared, issuer),
        )
        entries = cash_entries(
            issuer,
            acquirer,
            currency=record.currency,
            amount=record.amount,
            windows=record.windows,
        )
        return record, prepared, entries

    def _short(self, entries: tuple[Entry, ...]) -> CashAnswer | None:
        """Return which position lacks the money, in the order of the entries."""
        held: dict[Account, int] = {}
        for entry in entries:
            held[entry.debit] = held.get(entry.debit, 0) + entry.minor
        for account, minor in held.items():
            position = self._ledger.position(account)
            available = 0 if position is None else position.available_minor
            if available < minor:
                return rules.position_short(account.owner, self._fleet, available)
        return None

    async def _held(
        self, record: CashRecord, entries: tuple[Entry, ...], code: Code | None
    ) -> bool:
        """Hold the money, and use the code up with it; False if the key was taken meanwhile."""
        used = () if code is None else (replace(code, used_by=record.transfer_id),)
        result = await self._apply(reservation(record, entries), used)
        assert not isinstance(result, Short), "looked at a moment ago"
        if not isinstance(result, Duplicate):
            return True
        for back in self.codes.given_back(record):
            await self._ledger.apply((self.codes.put(back),))
            self.codes.written(back)
        return False

    async def _end(
        self, record: CashRecord, event: Ending, *, silent: CashAnswer = rules.SILENT
    ) -> CashAnswer:
        """Put the outcome on disk, and return what the machine is told."""
        issuer, now = self._fleet.get(record.issuer), self._clock.now()
        outcome = ended(record, event, issuer=issuer, now=now, silent=silent)
        is_paid = isinstance(outcome.command, Post)
        back = () if is_paid else self.codes.given_back(record)
        await self._apply(outcome.command, back)
        log.info("withdrawal ended", transfer_id=record.transfer_id, state=outcome.state)
        self._outbox.take(outcome.command.owed)
        return outcome.record.answer

    # --- reversals

    async def reverse(self, acquirer: Participant, fields: Fields) -> CashAnswer | None:
        """Return what a machine's reversal is told, the same at every repeat.

        None: it is of no withdrawal of that institution.

        Raises:
            MalformedMessage: DE90 names no request of this institution.
            UnknownOutcome: what became of it could not be written.
        """
        key = original_key_of(fields, acquirer, self._clock.now())
        while (flight := self._flights.get(key)) is not None:
            if not flight.is_burial:
                other = other_money(fields, flight.amount, flight.currency)
                if other:
                    return _not_the_originals(other)
                flight.take_back()
            await asyncio.wait({flight.outcome})
        row = self._store.row_by_key(key)
        if row is None:
            # What another knows is never buried here: a key has one owner, whatever DE3 says.
            if not fields["3"].startswith(WITHDRAWAL) or self._is_elsewhere(key):
                return None
            await self._bury(acquirer, key, fields)
            row = self._store.row_by_key(key)
        if row is None or not is_cash(row.transfer_id) or row.creditor_agent != acquirer.code:
            return None
        return await self._reversed(row, fields)

    async def _reversed(self, row: TransferRow, fields: Fields) -> CashAnswer:
        state, record = CashState(row.state), unpack_cash(row.record)
        if state is CashState.AUTHORISING:
            raise UnknownOutcome("its outcome could not be written")
        if state is CashState.TOMBSTONE:
            return CashAnswer(
                response_code=UNABLE_TO_LOCATE, reason=ReasonCode.BE15, subject=row.transfer_id
            )
        other = other_money(fields, record.amount, record.currency)
        if other:
            return _not_the_originals(other, row.transfer_id)
        if state in POSTED:
            return await self._reversals.not_dispensed(record, fields)
        return CashAnswer(response_code=APPROVED, subject=row.transfer_id)

    async def _bury(self, acquirer: Participant, key: str, fields: Fields) -> None:
        """Remember a withdrawal that never came, unless something else has taken its key."""
        flight = CashFlight(is_burial=True)
        self._flights[key] = flight
        now = self._clock.now()
        digits = fields.get("4", "")
        record = CashRecord(
            transfer_id=cash_id(acquirer.code, key, *wire_date_time(now)),
            key=key,
            content="",
            acquirer=acquirer.code,
            issuer="",
            account="",
            phone="",
            machine=fields.get("41", "").strip(),
            amount=int(digits) if digits.isascii() and digits.isdigit() else 0,
            currency=CURRENCY_BY_CODE.get(fields.get("49", ""), ""),
            created_ms=to_ms(now),
        )
        record = told(record, rules.TAKEN_BACK, CLEARING_HOUSE, now)
        task = asyncio.get_running_loop().create_task(self._tombstone(record))
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._landed(key, flight, done))
        await asyncio.shield(flight.outcome)

    async def _tombstone(self, record: CashRecord) -> CashAnswer:
        await self._ledger.apply((refusal(record, CashState.TOMBSTONE),))
        return record.answer

    # --- enquiries

    async def enquire(self, acquirer: Participant, fields: Fields) -> CashAnswer:
        """Return what an issuer says of a balance or of last movements."""
        return await self._enquiries.ask(acquirer, fields)


def _not_the_originals(element: str, subject: str = "") -> CashAnswer:
    return replace(malformed(f"{element}: not the original's"), subject=subject)


def _wrong_code(wrong: CodeRefusal) -> CashAnswer:
    return CashAnswer(response_code=wrong.response_code, reason=wrong.reason, rule=wrong.rule)


def _repeated(stored: TransferRow, order: CashOrder) -> CashAnswer:
    """Return what was told under a known key, or that it is of something else."""
    is_buried = stored.state == CashState.TOMBSTONE
    if not is_cash(stored.transfer_id):
        # One with a reason is of an order that came, and was refused.
        came = not is_buried or bool(unpack_tombstone(stored.record).reason)
        return rules.OTHER_CONTENT if came else rules.TAKEN_BACK
    record = unpack_cash(stored.record)
    if record.content != order.content and not is_buried:
        return rules.OTHER_CONTENT
    if not record.response_code:
        raise UnknownOutcome("its outcome could not be written")
    return record.answer
