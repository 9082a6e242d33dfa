"""Takes orders back for their debtors' agents (their 0420), and remembers those that never came.

An order that is open is undone once; one that is posted is irrevocable; one that never came is
refused if it still comes. Whatever was found, the same reversal finds it again.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from scheme.clock import Clock, from_ms, to_ms
from scheme.ledger import Duplicate, Refuse
from scheme.reasons import ReasonCode
from scheme.wire.tin_json import encode
from switch.core import answers
from switch.core.outcome import DEBTOR
from switch.core.records import Tombstone, TransferRecord, pack
from switch.core.rules import Refusal
from switch.core.transfer import TransferState
from switch.flight import (
    Answer,
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
        self._burials: dict[str, asyncio.Future[Tombstone]] = {}

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
            found = await asyncio.shield(self._bury(key, debtor_agent))
        return _reversal(found)

    def is_burying(self, key: str) -> bool:
        """Tell whether an order that never came is being remembered just now."""
        return key in self._burials

    async def burial(self, key: str) -> Answer:
        """Return the answer to an order that is being buried, once that is on disk."""
        return burial_answer(await asyncio.shield(self._burials[key]))

    def _bury(self, key: str, debtor_agent: str) -> "asyncio.Future[Tombstone]":
        if self._ledger.is_full:
            raise NotAccepting
        burial: asyncio.Future[Tombstone] = asyncio.get_running_loop().create_future()
        self._burials[key] = burial
        self._spawn(self._dig(key, debtor_agent, burial))
        return burial

    async def _dig(self, key: str, debtor_agent: str, burial: "asyncio.Future[Tombstone]") -> None:
        """Write a tombstone under a key; whoever asked for it may come and go."""
        now_ms = to_ms(self._clock.now())
        tombstone = Tombstone(instruction_id=key, creditor_agent="", created_ms=now_ms)
        command = Refuse(
            transfer_id=key,
            key=key,
            state=TransferState.TOMBSTONE,
            record=pack(tombstone),
            reason=TAKEN_BACK.reason,
            debtor_agent=debtor_agent,
            creditor_agent="",
            currency="",
            minor=0,
            created_ms=now_ms,
        )
        try:
            (result,) = await self._ledger.apply((command,))
        except Exception as error:
            # The task's root: who waits is told nothing, and takes it back again.
            burial.set_exception(UnknownOutcome(repr(error)))
            burial.exception()
            raise
        else:
            if isinstance(result, Duplicate):
                # The key is of something else than an order: none can come under it.
                tombstone = Tombstone(
                    instruction_id=result.transfer_id, creditor_agent="", created_ms=now_ms
                )
            burial.set_result(tombstone)
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
        return Reversal(ReversalOutcome.UNKNOWN, found.instruction_id, burial_answer(found))
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


def burial_answer(tombstone: Tombstone) -> Answer:
    """Return the answer to an order whose reversal came first: the same for ever."""
    ct4 = answers.order_refused(
        {},
        reason=TAKEN_BACK.reason,
        instruction=tombstone.instruction_id,
        now=from_ms(tombstone.created_ms),
    )
    return Answer(encode(ct4), TAKEN_BACK.header, tombstone.instruction_id)
