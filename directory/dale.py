"""Dale in the directory: forwards the coops' registrations, merges lookups, keeps an index.

What it asks of the national directory it asks in the coop's name, so that the directory's quotas
count the coop (docs/wire/network.md).
"""

import asyncio
import itertools
from collections.abc import Coroutine, Mapping, Sequence
from datetime import timedelta
from typing import Any

import structlog
from msgspec import Struct

from directory.core.alias import Refusal, asked_phone
from directory.core.dale import (
    Merged,
    Mismatch,
    Registered,
    Standing,
    accepted,
    found_upstream,
    merge,
    refused_late,
    registration_refusal,
    stands,
    unanswered,
)
from directory.core.lookup import DirectoryAnswer
from directory.core.quota import Quota
from directory.core.registry import Order
from directory.ports import AliasIndex, NationalDirectory
from scheme.clock import Clock, to_ms, wire_date_time
from scheme.errors import NoAnswer, PeerError, StoreError
from scheme.limits import DIRECTORY_PHONES_MAX
from scheme.masking import mask_phone
from scheme.profile import DirectoryRules, Network
from scheme.reasons import ReasonCode

log = structlog.get_logger()

_MS_PER_DAY = 86_400_000
_TRACES = 10**6


class LookedUp(Struct, frozen=True):
    """The merged answer; ``partial``: the national directory did not answer."""

    partial: bool
    results: tuple[Merged, ...]


class Dale:
    """The access network's service. A registration, once forwarded, runs to its end.

    Args:
        members: codes of the coops.
        rules: quotas of the profile, counted here per coop as the directory counts them.
    """

    def __init__(
        self,
        index: AliasIndex,
        national: NationalDirectory,
        *,
        members: Mapping[str, object],
        rules: DirectoryRules,
        network: Network,
        clock: Clock,
    ) -> None:
        self._index = index
        self._national = national
        self._members = frozenset(members)
        self._clock = clock
        self._wait = timedelta(seconds=network.directory_wait_s)
        self._stale_ms = network.stale_days * _MS_PER_DAY
        self._quota = Quota(
            size=rules.bucket_size,
            per_minute=rules.bucket_per_minute,
            known_cost=rules.known_cost,
            unknown_cost=rules.unknown_cost,
        )
        self._traces = itertools.count(to_ms(clock.now()) % _TRACES)
        self._forwarding: set[asyncio.Task[Any]] = set()

    # --- registration

    def registration_id(self, coop: str) -> str:
        """Return the id of a new instruction: R, this moment, the coop and a trace."""
        moment = "".join(wire_date_time(self._clock.now()))
        return f"R{moment}{coop}{next(self._traces) % _TRACES:06}"

    async def register(self, order: Order) -> Registered:
        """Forward an instruction; write the index once the national directory accepted it.

        Raises:
            StoreError: the index could not be read or written.
        """
        refusal = registration_refusal(order)
        if refusal is not None:
            return _refused(order, refusal, upstream=None)
        forwarded = self._start(self._forward(order))
        try:
            async with self._clock.deadline(self._clock.now() + self._wait):
                # Shielded: the wait ends, the instruction does not.
                return await asyncio.shield(forwarded)
        except (TimeoutError, PeerError) as error:
            if forwarded.done() and forwarded.exception() is None:
                return forwarded.result()
            await self._leave_pending(order, error)
        return Registered(
            registration_id=order.registration_id,
            upstream=Standing.PENDING,
            network=Standing.PENDING,
        )

    async def _forward(self, order: Order) -> Registered:
        before = self._index.current(order.phone, order.participant)
        try:
            outcome = await self._national.register(order)
        except StoreError:
            rule = "the national directory cannot write"
            outcome = Refusal(ReasonCode.FF07, "BusMsg", rule)
        now_ms = to_ms(self._clock.now())
        if isinstance(outcome, Refusal):
            if self._is_pending(order):
                await self._index.put(refused_late(before, order, now_ms=now_ms))
            return _refused(order, outcome, upstream=Standing.REJECTED)
        await self._index.put(accepted(before, order, now_ms=now_ms))
        log.info("network alias changed", instruction=order.instruction, agent=order.participant)
        return _accepted(order)

    def _is_pending(self, order: Order) -> bool:
        """Tell whether this instruction was given up waiting for."""
        latest = self._index.current(order.phone, order.participant)
        return latest is not None and latest.registration_id == order.registration_id

    async def _leave_pending(self, order: Order, cause: Exception) -> None:
        log.warning(
            "national directory did not answer a registration",
            agent=order.participant,
            phone=mask_phone(order.phone),
            cause=repr(cause),
        )
        before = self._index.current(order.phone, order.participant)
        await self._index.put(unanswered(before, order, now_ms=to_ms(self._clock.now())))

    async def settle(self, order: Order) -> Refusal | None:
        """Carry out a record of a bulk file, which may repeat one whose answer was lost.

        Returns:
            Why it is refused, or None.

        Raises:
            PeerError: the national directory did not answer: to be tried again.
            StoreError: the disk failed: likewise.
        """
        refusal = registration_refusal(order)
        if refusal is not None:
            return refusal
        if stands(await self._national.entry(order.phone, order.participant), order):
            before = self._index.current(order.phone, order.participant)
            await self._index.put(accepted(before, order, now_ms=to_ms(self._clock.now())))
            return None
        done = await self.register(order)
        if done.status is Standing.PENDING:
            raise NoAnswer("the national directory did not answer")
        return None if done.reason is None else Refusal(done.reason, done.field, done.rule)

    # --- lookup

    async def look_up(self, coop: str, phones: Sequence[str]) -> LookedUp | Refusal:
        """Return who can be paid at each phone: the union of both, or the index alone.

        Args:
            phones: as people write them.

        Raises:
            StoreError: the index could not be read.
        """
        now_ms = to_ms(self._clock.now())
        if self._quota.is_shut(coop, now_ms):
            return Refusal(ReasonCode.FF07, "phones", "the coop's quota of lookups is used up")
        numbers = _numbers(phones)
        if isinstance(numbers, Refusal):
            return numbers
        answers = await self._asked(coop, phones)
        if isinstance(answers, Refusal):
            return answers
        results = tuple(
            merge(
                phone,
                self._index.find(number),
                None if answers is None else found_upstream(answers, place),
                members=self._members,
                now_ms=now_ms,
                stale_ms=self._stale_ms,
            )
            for place, (phone, number) in enumerate(zip(phones, numbers, strict=True))
        )
        self._report(results)
        # Without the national answer nobody can say that a phone is unknown.
        unknown = sum(1 for one in results if not one.entities) if answers is not None else 0
        known = len(results) - unknown
        self._quota.charge(coop, known=known, unknown=unknown, now_ms=now_ms)
        return LookedUp(answers is None, results)

    async def _asked(
        self, coop: str, phones: Sequence[str]
    ) -> Sequence[DirectoryAnswer] | Refusal | None:
        try:
            async with self._clock.deadline(self._clock.now() + self._wait):
                return await self._national.look_up(coop, phones)
        except (TimeoutError, PeerError, StoreError) as error:
            log.warning("national directory did not answer a lookup", agent=coop, cause=repr(error))
            return None

    def _report(self, results: Sequence[Merged]) -> None:
        for one in results:
            for mismatch in one.mismatches:
                log.warning(
                    "alias known to the network only",
                    phone=mask_phone(mismatch.phone),
                    agent=mismatch.participant,
                )

    def mismatches(self) -> Sequence[Mismatch]:
        """Return what only the network knows for longer than the profile allows.

        Raises:
            StoreError: the disk could not be read.
        """
        return self._index.mismatches(to_ms(self._clock.now()) - self._stale_ms)

    def _start(self, work: Coroutine[Any, Any, Registered]) -> asyncio.Task[Registered]:
        task = asyncio.get_running_loop().create_task(work)
        self._forwarding.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._forwarding.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("registration without an end", cause=repr(error))


def _accepted(order: Order) -> Registered:
    return Registered(
        registration_id=order.registration_id,
        upstream=Standing.ACCEPTED,
        network=Standing.ACCEPTED,
    )


def _refused(order: Order, refusal: Refusal, *, upstream: Standing | None) -> Registered:
    return Registered(
        registration_id=order.registration_id,
        upstream=upstream,
        network=Standing.REJECTED,
        reason=refusal.reason,
        field=refusal.field,
        rule=refusal.rule,
    )


def _numbers(phones: Sequence[str]) -> list[str] | Refusal:
    if not 0 < len(phones) <= DIRECTORY_PHONES_MAX:
        rule = f"1 to {DIRECTORY_PHONES_MAX} phones"
        return Refusal(ReasonCode.FF02, "phones", rule)
    numbers = []
    for place, phone in enumerate(phones):
        number = asked_phone(phone)
        if number is None:
            rule = "+51 and nine digits, the first a 9"
            return Refusal(ReasonCode.FF02, f"phones[{place}]", rule)
        numbers.append(number)
    return numbers
