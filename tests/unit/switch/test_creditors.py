"""An order that is taken back while its creditor's agent is asked; also as the process ends."""

import asyncio
from datetime import timedelta

import pytest

from runtime.clock import ManualClock
from runtime.files import load_profile
from scheme.messages import CT1, CT2, Message
from scheme.wire.tin_json import decode
from switch.breakers import Breakers
from switch.core.records import TransferRecord
from switch.core.transfer import DebtorReversed
from switch.creditors import Creditors, Told
from switch.flight import Flight
from tests.support.switch_world import START, golden

CT2_SENT = decode(golden("CT2"), CT2)
EXPIRY = START + timedelta(seconds=8)


class SilentPeers:
    """Peers that never answer."""

    async def ask(self, _code: str, _message: Message, _instruction: str, _sent: str = "") -> None:
        await asyncio.get_running_loop().create_future()


class Asking:
    """An order whose creditor's agent is being asked."""

    def __init__(self) -> None:
        self.clock = ManualClock(START)
        breakers = Breakers(load_profile("peru").breaker, self.clock)
        record = TransferRecord(
            ct1=decode(golden("CT1-by-cci"), CT1),
            instruction_id=CT2_SENT.instructionId,
            requested_creditor="0971",
            creditor_agent="0971",
            settlement_date="20260115",
            window="national-PEN-20260115",
            created_ms=1,
        )
        self.flight = Flight("key", record, leave=breakers.begin("0971", "tin"))
        creditors = Creditors(peers=SilentPeers(), breakers=breakers, clock=self.clock)  # type: ignore[arg-type]
        self.cancelling = -1
        self.task = asyncio.create_task(self._ask(creditors))

    async def _ask(self, creditors: Creditors) -> Told:
        told = await creditors.ask_unless_reversed(self.flight, CT2_SENT, EXPIRY)
        task = asyncio.current_task()
        assert task is not None
        self.cancelling = task.cancelling()
        return told

    async def under_way(self) -> None:
        while self.flight.asking is None:  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0)
        await asyncio.sleep(0)

    def take_back(self) -> None:
        assert self.flight.asking is not None
        self.flight.is_reversed = True
        self.flight.asking.cancel()


@pytest.fixture
async def asking() -> Asking:
    asking = Asking()
    await asking.under_way()
    return asking


async def test_the_task_of_an_order_taken_back_goes_on(asking: Asking) -> None:
    asking.take_back()

    event, _ = await asking.task

    assert isinstance(event, DebtorReversed)
    assert asking.cancelling == 0
    assert asking.flight.asking is None


async def test_the_end_of_the_process_in_the_same_moment_ends_the_task(asking: Asking) -> None:
    asking.take_back()
    asking.task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asking.task


async def test_the_expiry_in_the_same_moment_changes_nothing_of_the_reversal(
    asking: Asking,
) -> None:
    asking.take_back()
    await asking.clock.advance(timedelta(seconds=8))

    event, _ = await asking.task

    assert isinstance(event, DebtorReversed)


async def test_an_order_that_nobody_took_back_ends_with_the_process(asking: Asking) -> None:
    asking.task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asking.task
