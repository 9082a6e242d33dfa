"""The settlement of one batch: pay-ins first, pay-outs only when all that is due is in.

``next_step`` looks at what is on the ledger already and says what comes next. It is asked again
after each step and after a restart: everything has an id made of window, round and participant,
so what was done once is seen and not done again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from clearing.core import failure
from clearing.core.failure import Remedy, remedy
from scheme.batch import FAILED, PARTIAL, SETTLED, SETTLING, Batch, Bearer, Settlement
from scheme.ledger import (
    DEFERRED,
    FUNDING_ACCOUNT,
    GUARANTEE_ACCOUNT,
    MONEY_OF,
    SETTLEMENT_ACCOUNT,
    Account,
    Command,
    DropInstructions,
    Entry,
    Instruct,
    SettleInstructions,
    prefund_owner,
)
from scheme.standing import Instruction

QUEUED = "QUEUED"
DONE = "SETTLED"
PAY_IN = "pay_in"
TOP_UP = "top_up"
PAY_OUT = "pay_out"
SHARE = "share"
GUARANTEE = "guarantee"
PAY_BACK = "pay_back"
_INS = frozenset({PAY_IN, TOP_UP})
_INCOMING = frozenset({PAY_IN, TOP_UP, SHARE, GUARANTEE})
_FAILED_TO_PAY = "not covered in time"


class Waits(Struct, frozen=True, kw_only=True):
    """How a cycle treats a participant that cannot pay in; milliseconds.

    Attributes:
        rules: in their order.
        queue_ms: how long a pay-in may stay in the queue.
        retries, retry_ms: further tries, and the wait before each.
    """

    rules: tuple[str, ...]
    queue_ms: int
    retries: int
    retry_ms: int

    def boundaries(self, since_ms: int) -> Iterator[tuple[int, str]]:
        """Return until when each waiting rule lasts, in order, and its name."""
        until = since_ms
        if failure.QUEUE in self.rules:
            until += self.queue_ms
            yield until, failure.QUEUE
        if failure.RETRY in self.rules:
            for _ in range(self.retries):
                until += self.retry_ms
                yield until, failure.RETRY


class Order(Struct, frozen=True, kw_only=True):
    """An order that the window still holds, and what it will post in the window's ledger."""

    transfer_id: str
    entries: tuple[Entry, ...]


class Facts(Struct, frozen=True, kw_only=True):
    """How things stand on the ledger.

    Attributes:
        instructions: this window's, by id.
        available: what an account may pay now, its credit included; None if there is none.
        orders: what the window holds: those of an exchange cycle.
        sponsors: a coop's sponsor.
        window: id of the window open now, for postings to the positions.
        now_ms: the present moment.
    """

    instructions: Mapping[str, Instruction]
    available: Callable[[Account], int | None]
    orders: Sequence[Order]
    sponsors: Mapping[str, str]
    window: str
    now_ms: int


class Step(Struct, frozen=True, kw_only=True):
    """What to do next.

    Attributes:
        commands: to apply together with ``settlement``.
        settlement: as it is afterwards; its state is the window's.
        wake_ms: when to look again if nothing happens before; 0: at once, or never at an end.
    """

    commands: tuple[Command, ...] = ()
    settlement: Settlement
    wake_ms: int = 0


def next_step(batch: Batch, settlement: Settlement, waits: Waits, facts: Facts) -> Step:
    """Say what comes next in a settlement; ``settlement.state`` is SETTLING."""
    assert settlement.state == SETTLING
    return _Round(batch, settlement, waits, facts).step()


def again(settlement: Settlement) -> Settlement:
    """Return a failed settlement as a person starts it once more, under new ids."""
    assert settlement.state == FAILED
    return replace(settlement, state=SETTLING, round=settlement.round + 1, since_ms=0)


def nets_of(batch: Batch, settlement: Settlement) -> dict[str, int]:
    """Return the net positions that this round settles."""
    if settlement.nets is not None:
        return dict(settlement.nets)
    return {row.participant: row.net for row in batch.participants}


class _Round:
    """One look at one round of a settlement."""

    def __init__(self, batch: Batch, settlement: Settlement, waits: Waits, facts: Facts) -> None:
        self._batch = batch
        self._settlement = settlement
        self._waits = waits
        self._facts = facts
        self._nets = nets_of(batch, settlement)
        self._ledger = batch.ledger
        self._money = MONEY_OF[batch.ledger]
        once = batch.batch if settlement.round == 1 else f"{batch.batch}:{settlement.round}"
        self._prefix = f"{once}:"
        self._mine = {
            key: one
            for key, one in facts.instructions.items()
            if key.startswith(self._prefix) and key.count(":") == self._prefix.count(":") + 1
        }

    def step(self) -> Step:
        """Say what comes next."""
        due = sum(-minor for minor in self._nets.values() if minor < 0)
        if self._settled_minor(_INCOMING) == due:
            return self._pay_out()
        if not self._settlement.since_ms:
            return self._pay_in()
        waiting = [key for key, one in self._mine.items() if one.state == QUEUED]
        if waiting:
            for until, rule in self._waits.boundaries(self._settlement.since_ms):
                if self._facts.now_ms < until:
                    return Step(settlement=self._applied((rule,)), wake_ms=until)
        return self._fail(waiting)

    # -- Pay-ins -------------------------------------------------------------------------------

    def _pay_in(self) -> Step:
        commands: list[Command] = []
        covered: list[str] = []
        for code, net in sorted(self._nets.items()):
            if net >= 0:
                continue
            rest = -net
            if self._is_prefunded(code):
                prefund = self._account(prefund_owner(code))
                there = min(rest, max(self._facts.available(prefund) or 0, 0))
                if there:
                    commands.append(self._in("in", PAY_IN, code, prefund, there, linked=False))
                    covered.append(f"{self._prefix}in:{code}")
                rest -= there
            if rest:
                name, kind = ("top", TOP_UP) if self._is_prefunded(code) else ("in", PAY_IN)
                current = self._account(code)
                commands.append(self._in(name, kind, code, current, rest, linked=True))
        if covered:
            commands.append(self._settle(covered))
        since = replace(self._settlement, since_ms=self._facts.now_ms)
        return Step(commands=tuple(commands), settlement=since)

    def _in(
        self, name: str, kind: str, code: str, debit: Account, minor: int, *, linked: bool
    ) -> Instruct:
        links = (self._link(code, minor),) if linked else ()
        return self._instruct(f"{name}:{code}", kind, debit, self._pool, minor, links)

    # -- What happens if one of them fails -----------------------------------------------------

    def _fail(self, waiting: Sequence[str]) -> Step:
        drop = self._drop(waiting)
        own = self._own(self._missing())
        spent = {one.debit.owner: one.minor for one in own}
        missing = self._missing(own)
        found = remedy(
            missing,
            self._waits.rules,
            available=lambda owner: self._there(owner) - spent.get(owner, 0),
            received=self._received(),
            sponsors=self._facts.sponsors,
        )
        if found is None:
            failed = replace(self._settlement, state=FAILED)
            return Step(commands=(*drop, *self._give_back()), settlement=failed)
        if found.unwound:
            return self._unwind(found, drop)
        pays = [*own, *self._borne(found.bearers)]
        commands = (*drop, *pays, self._settle([one.instruction_id for one in pays]))
        bearers = (*self._settlement.bearers, *self._own_parts(missing), *found.bearers)
        return Step(
            commands=commands, settlement=replace(self._applied(found.rules), bearers=bearers)
        )

    def _own(self, missing: Mapping[str, int]) -> list[Instruct]:
        """Return what those that failed can pay of it themselves, from what is there now."""
        pays: list[Instruct] = []
        for code, rest in missing.items():
            there = 0
            if self._is_prefunded(code):
                there = min(rest, self._there(prefund_owner(code)))
                if there:
                    prefund = self._account(prefund_owner(code))
                    pays.append(self._in("more", PAY_IN, code, prefund, there, linked=False))
            part = min(rest - there, self._there(code))
            if part:
                kind = TOP_UP if self._is_prefunded(code) else PAY_IN
                current = self._account(code)
                pays.append(self._in("part", kind, code, current, part, linked=True))
        return pays

    def _there(self, owner: str) -> int:
        return max(self._facts.available(self._account(owner)) or 0, 0)

    def _received(self) -> dict[str, int]:
        """Return what each received in the window, without the orders given back."""
        received = {
            row.participant: row.received.accepted.value for row in self._batch.participants
        }
        for order in self._facts.orders:
            if order.transfer_id in self._settlement.unwound:
                for one in order.entries:
                    if one.credit.ledger == self._ledger:
                        received[one.credit.owner] -= one.minor
        return received

    def _paid(self) -> dict[str, int]:
        """Return what each paid in itself."""
        paid: dict[str, int] = {}
        for one in self._mine.values():
            if one.kind in _INS and one.state == DONE:
                code = one.instruction_id.rpartition(":")[2]
                paid[code] = paid.get(code, 0) + one.minor
        return paid

    def _missing(self, own: Sequence[Instruct] = ()) -> dict[str, int]:
        """Return what is not paid in, nor will be by ``own``."""
        paid = self._paid()
        for pay in own:
            code = pay.instruction_id.rpartition(":")[2]
            paid[code] = paid.get(code, 0) + pay.minor
        due = {code: -net for code, net in self._nets.items() if net < 0}
        return {
            code: minor - paid.get(code, 0)
            for code, minor in due.items()
            if minor > paid.get(code, 0)
        }

    def _own_parts(self, missing: Mapping[str, int]) -> list[Bearer]:
        """Return what those that failed did pay in themselves."""
        return [
            Bearer(participant=code, by=failure.ITSELF, failing=code, minor=own)
            for code, minor in sorted(missing.items())
            if (own := -self._nets[code] - minor)
        ]

    def _borne(self, bearers: Sequence[Bearer]) -> list[Instruct]:
        """Return the payments of those who pay instead; each lifts the failing position."""
        pays: list[Instruct] = []
        shared: dict[str, list[Bearer]] = {}
        for one in bearers:
            link = (self._link(one.failing, one.minor),)
            if one.by == failure.GUARANTEE_FUND:
                fund = self._account(GUARANTEE_ACCOUNT)
                name = f"fund:{one.failing}"
                pays.append(self._instruct(name, GUARANTEE, fund, self._pool, one.minor, link))
            else:
                shared.setdefault(one.participant, []).append(one)
        for code, parts in shared.items():
            links = tuple(self._link(one.failing, one.minor) for one in parts)
            minor = sum(one.minor for one in parts)
            debit = self._account(code)
            pays.append(self._instruct(f"share:{code}", SHARE, debit, self._pool, minor, links))
        return pays

    def _unwind(self, found: Remedy, drop: Sequence[Command]) -> Step:
        """Give the failing participants' own orders back and begin anew with the rest."""
        gone = set(self._settlement.unwound)
        nets = dict(self._nets)
        bearers: list[Bearer] = list(self._settlement.bearers)
        for order in self._facts.orders:
            entries = [one for one in order.entries if one.debit.ledger == self._ledger]
            owner = next((one.debit.owner for one in entries), "")
            minor = sum(one.minor for one in entries)
            if order.transfer_id in gone:
                continue
            if owner in found.unwound:
                gone.add(order.transfer_id)
                bearers.append(
                    Bearer(participant=owner, by=failure.UNWOUND, failing=owner, minor=minor)
                )
                for one in entries:
                    nets[one.debit.owner] += one.minor
                    nets[one.credit.owner] -= one.minor
        if len(gone) == len(self._settlement.unwound):
            # What it owes is a return: posted, so nothing of it can be given back.
            failed = replace(self._applied(found.rules), state=FAILED)
            return Step(commands=(*drop, *self._give_back()), settlement=failed)
        after = replace(
            self._applied(found.rules),
            round=self._settlement.round + 1,
            since_ms=0,
            nets=nets,
            unwound=tuple(sorted(gone)),
            bearers=_summed(bearers),
        )
        return Step(commands=(*drop, *self._give_back()), settlement=after)

    def _give_back(self) -> list[Command]:
        """Return what was paid in to where it came from, the prefund for what is prefunded."""
        paid = self._paid()
        commands: list[Command] = []
        for code, minor in sorted(paid.items()):
            # A top-up stays where it was brought to: it has raised the position.
            prefunded = self._is_prefunded(code)
            credit = self._account(prefund_owner(code) if prefunded else code)
            links = () if prefunded else (self._link(code, minor, back=True),)
            commands.append(
                self._instruct(f"back:{code}", PAY_BACK, self._pool, credit, minor, links)
            )
        if paid:
            commands.append(self._settle([f"{self._prefix}back:{code}" for code in sorted(paid)]))
        return commands

    # -- Pay-outs ------------------------------------------------------------------------------

    def _pay_out(self) -> Step:
        due = {code: net for code, net in sorted(self._nets.items()) if net > 0}
        if self._settled_minor({PAY_OUT}) == sum(due.values()):
            is_whole = not self._settlement.unwound and all(
                one.by == failure.ITSELF for one in self._settlement.bearers
            )
            end = replace(self._settlement, state=SETTLED if is_whole else PARTIAL)
            return Step(settlement=end)
        pays = []
        for code, net in due.items():
            prefunded = self._is_prefunded(code)
            credit = self._account(prefund_owner(code) if prefunded else code)
            links = () if prefunded else (self._link(code, net, back=True),)
            pays.append(self._instruct(f"out:{code}", PAY_OUT, self._pool, credit, net, links))
        settle = self._settle([one.instruction_id for one in pays])
        return Step(commands=(*pays, settle), settlement=self._settlement)

    # -- Small things --------------------------------------------------------------------------

    @property
    def _pool(self) -> Account:
        return self._account(SETTLEMENT_ACCOUNT)

    def _account(self, owner: str) -> Account:
        return Account(ledger=self._money, currency=self._batch.currency, owner=owner)

    def _is_prefunded(self, code: str) -> bool:
        if self._ledger == DEFERRED:
            return False
        return self._facts.available(self._account(prefund_owner(code))) is not None

    def _link(self, code: str, minor: int, *, back: bool = False) -> Entry:
        currency = self._batch.currency
        position = Account(ledger=self._ledger, currency=currency, owner=code)
        contra = Account(ledger=self._ledger, currency=currency, owner=FUNDING_ACCOUNT)
        return Entry(
            kind="settlement",
            debit=position if back else contra,
            credit=contra if back else position,
            minor=minor,
            window=self._facts.window,
        )

    def _instruct(
        self,
        name: str,
        kind: str,
        debit: Account,
        credit: Account,
        minor: int,
        linked: tuple[Entry, ...],
    ) -> Instruct:
        return Instruct(
            instruction_id=f"{self._prefix}{name}",
            kind=kind,
            subject=self._batch.batch,
            debit=debit,
            credit=credit,
            minor=minor,
            linked=linked,
            at_ms=self._facts.now_ms,
        )

    def _settle(self, ids: Sequence[str]) -> SettleInstructions:
        return SettleInstructions(instruction_ids=tuple(ids), at_ms=self._facts.now_ms)

    def _drop(self, ids: Sequence[str]) -> tuple[Command, ...]:
        if not ids:
            return ()
        now_ms = self._facts.now_ms
        return (DropInstructions(instruction_ids=tuple(ids), reason=_FAILED_TO_PAY, at_ms=now_ms),)

    def _settled_minor(self, kinds: frozenset[str] | set[str]) -> int:
        return sum(
            one.minor for one in self._mine.values() if one.kind in kinds and one.state == DONE
        )

    def _applied(self, rules: Sequence[str]) -> Settlement:
        known = self._settlement.rules_applied
        new = tuple(one for one in rules if one not in known)
        return replace(self._settlement, rules_applied=known + new)


def _summed(bearers: Sequence[Bearer]) -> tuple[Bearer, ...]:
    """Return one line for each that bears, instead of one for each order."""
    totals: dict[tuple[str, str, str], int] = {}
    for one in bearers:
        key = (one.participant, one.by, one.failing)
        totals[key] = totals.get(key, 0) + one.minor
    return tuple(
        Bearer(participant=participant, by=by, failing=failing, minor=minor)
        for (participant, by, failing), minor in totals.items()
    )
