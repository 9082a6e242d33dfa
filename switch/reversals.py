"""Takes orders back for their debtors' agents (their 0420), and remembers those without a transfer.

An order that is open is undone once; one that is posted is irrevocable; one that never came is
refused if it still comes; one that was refused before it became a transfer stays refused.
Whatever was found, the same reversal finds it again.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from scheme.clock import Clock, from_ms, to_ms
from scheme.ledger import Duplicate, Refuse
from scheme.reasons import ReasonCode
from scheme.wire.tin_json import encode
from switch.core import answers, rules
from switch.core.outcome import DEBTOR
from switch.core.records import Tombstone, TransferRecord, pack
from switch.core.rules import Refusal
from switch.core.transfer import TransferState
from switch.flight import (
    Answer,
    EarlyRefusal,
    Flight,
    NotAccepting,
    Reversal,
    ReversalOutcome,
    UnknownOutcome,
)
from switch.ports import Ledger

TAKEN_BACK: Final = Refusal(
    ReasonCode.DS24,
    "taken_back",
    "debtorParticipantCode",
    "its debtor's institution took the order back",
)


class Reversals:
    """Takes orders back, in flight, finished, or never seen.

    Args:
        flights: the router's, by key; it is read here and changed there.
        finished: returns what is known of an order with an outcome.
        spawn: starts a task that the process owns.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        clock: Clock,
        flights: Mapping[str, Flight],
        finished: Callable[[str], TransferRecord | Tombstone | None],
        spawn: Callable[..., object],
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._flights = flights
        self._finished = finished
        self._spawn = spawn
        self._burials: dict[str, asyncio.Future[TransferRecord | Tombstone]] = {}

    async def reverse(self, key: str, debtor_agent: str) -> Reversal:
        """Return what became of a reversal, once it is on disk (see ``TransferRouter``)."""
        flight = self._flights.get(key)
        if flight is not None:
            _take_back(flight)
            await asyncio.shield(flight.outcome)
        burial = self._burials.get(key)
        found = self._finished(key) if burial is None else await asyncio.shield(burial)
        if found is None:
            # No await since it was looked for: an order that comes now finds the grave.
            found = await asyncio.shield(self._bury(self._tombstone(key), debtor_agent))
        return _reversal(found)

    async def refuse(self, early: EarlyRefusal) -> Answer:
        """Return the answer to an order refused before it became a transfer, once it is on disk.

        What is under the key already stands: its reversal may have come meanwhile.

        Raises:
            UnknownOutcome: it could not be written.
            NotAccepting: the clearing house cannot remember more just now.
        """
        key = early.key
        burial = self._burials.get(key)
        found = self._finished(key) if burial is None else await asyncio.shield(burial)
        if found is None:
            tombstone = self._tombstone(
                key, reason=early.reason, rule=early.rule, content=early.content
            )
            found = await asyncio.shield(self._bury(tombstone, early.debtor_agent))
        return _kept_answer(found, early.content)

    def is_burying(self, key: str) -> bool:
        """Tell whether an order without a transfer is being remembered just now."""
        return key in self._burials

    async def burial(self, key: str, content: str) -> Answer:
        """Return the answer to an order that is being buried, once that is on disk."""
        return _kept_answer(await asyncio.shield(self._burials[key]), content)

    def _tombstone(
        self, key: str, *, reason: str = "", rule: str = "", content: str = ""
    ) -> Tombstone:
        return Tombstone(
            instruction_id=key,
            creditor_agent="",
            created_ms=to_ms(self._clock.now()),
            reason=reason,
            rule=rule,
            content=content,
        )

    def _bury(
        self, tombstone: Tombstone, debtor_agent: str
    ) -> "asyncio.Future[TransferRecord | Tombstone]":
        if self._ledger.is_full:
            raise NotAccepting
        burial: asyncio.Future[TransferRecord | Tombstone]
        burial = asyncio.get_running_loop().create_future()
        self._burials[tombstone.instruction_id] = burial
        self._spawn(self._dig(tombstone, debtor_agent, burial))
        return burial

    async def _dig(
        self,
        tombstone: Tombstone,
        debtor_agent: str,
        burial: "asyncio.Future[TransferRecord | Tombstone]",
    ) -> None:
        """Write a tombstone under its key; whoever asked for it may come and go."""
        key = tombstone.instruction_id
        command = Refuse(
            transfer_id=key,
            key=key,
            state=TransferState.TOMBSTONE,
            record=pack(tombstone),
            reason=tombstone.reason or TAKEN_BACK.reason,
            debtor_agent=debtor_agent,
            creditor_agent="",
            currency="",
            minor=0,
            created_ms=tombstone.created_ms,
        )
        try:
            (result,) = await self._ledger.apply((command,))
        except Exception as error:
            # The task's root: who waits is told nothing, and takes it back again.
            burial.set_exception(UnknownOutcome(repr(error)))
            burial.exception()
            raise
        else:
            found: TransferRecord | Tombstone | None = tombstone
            if isinstance(result, Duplicate):
                found = self._finished(key)
            if found is None:
                # The key is of something else than an order: none can come under it.
                found = self._tombstone(key)
            burial.set_result(found)
        finally:
            del self._burials[key]


def _take_back(flight: Flight) -> None:
    """Decide at once, in memory, unless it is decided: from now on no answer counts."""
    if flight.state is TransferState.RESERVED and not flight.is_reversed:
        flight.is_reversed = True
        if flight.asking is not None:
            flight.asking.cancel()


def _reversal(found: TransferRecord | Tombstone) -> Reversal:
    """Return the outcome that an order's record, and so every repeat, says."""
    if isinstance(found, Tombstone):
        outcome = ReversalOutcome.REFUSED if found.reason else ReversalOutcome.UNKNOWN
        return Reversal(outcome, found.instruction_id, burial_answer(found, found.content))
    if found.response_code == answers.ACCEPTED:
        outcome = ReversalOutcome.POSTED
    elif found.decided_by == DEBTOR:
        outcome = ReversalOutcome.UNDONE
    else:
        outcome = ReversalOutcome.REFUSED
    return Reversal(outcome, found.instruction_id, as_answer(found))


def as_answer(record: TransferRecord) -> Answer:
    """Return the answer to an order that has its outcome."""
    return Answer(record.answer, record.rule, record.instruction_id)


def _kept_answer(found: TransferRecord | Tombstone, content: str) -> Answer:
    return burial_answer(found, content) if isinstance(found, Tombstone) else as_answer(found)


def burial_answer(tombstone: Tombstone, content: str) -> Answer:
    """Return the answer to an order that never became a transfer: the same for ever.

    Args:
        content: what moves money in the order; other than that of the one refused: AM05.
    """
    reason, rule = tombstone.reason or str(TAKEN_BACK.reason), tombstone.rule
    if not tombstone.reason:
        rule = TAKEN_BACK.header
    elif tombstone.content != content:
        reason, rule = rules.OTHER_CONTENT.reason, rules.OTHER_CONTENT.header
    # No transfer, so no id that anybody could ask about: the key is not one.
    now = from_ms(tombstone.created_ms)
    ct4 = answers.order_refused({}, reason=reason, instruction="", now=now)
    return Answer(encode(ct4), rule, tombstone.instruction_id)
