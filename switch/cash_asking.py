"""One withdrawal under way: its issuer is asked, until it answers, time is up, or all is undone."""

import asyncio
from datetime import timedelta
from typing import Any

from scheme.clock import Clock
from scheme.errors import NoAnswer, NotConnected
from scheme.wire.iso8583_spec import Fields
from switch.cash_ports import Cores
from switch.core.cash import (
    CashAnswer,
    CashRecord,
    Ending,
    IssuerApproved,
    IssuerDeclined,
    IssuerSilent,
    IssuerUnreachable,
    MachineGaveUp,
)
from switch.core.cash_messages import is_its_answer, reason_named
from switch.core.iso8583_codes import APPROVED, UNDECIDED, reason_of


class CashFlight:
    """A withdrawal between its request and its outcome on disk.

    Args:
        content: digest of what moves money in it.
        amount: minor units; currency: of them.
        is_burial: it stands for a withdrawal whose reversal came first.

    Attributes:
        record: present once its money is about to be held.
        outcome: what its machine is told.
    """

    def __init__(
        self, content: str = "", amount: int = 0, currency: str = "", *, is_burial: bool = False
    ) -> None:
        loop = asyncio.get_running_loop()
        self.content = content
        self.amount = amount
        self.currency = currency
        self.is_burial = is_burial
        self.record: CashRecord | None = None
        self.outcome: asyncio.Future[CashAnswer] = loop.create_future()
        self._taken_back: asyncio.Future[None] = loop.create_future()
        self._is_decided = False

    def take_back(self) -> None:
        """Undo it, unless it is decided: from now on no answer of its issuer counts."""
        if not self._is_decided and not self._taken_back.done():
            self._taken_back.set_result(None)

    async def ask(self, cores: Cores, prepared: bytes, clock: Clock, wait: timedelta) -> Ending:
        """Return what ends it: decided from then on."""
        assert self.record is not None, "its money is held before its issuer is asked"
        ending = await self._ask(cores, self.record, prepared, clock, wait)
        self._is_decided = True
        return ending

    async def _ask(
        self, cores: Cores, record: CashRecord, prepared: bytes, clock: Clock, wait: timedelta
    ) -> Ending:
        if self._taken_back.done():
            return MachineGaveUp(was_asked=False)
        work = cores.ask(record.issuer, prepared, record.transfer_id)
        asking = asyncio.ensure_future(work)
        try:
            async with clock.deadline(clock.now() + wait):
                both: set[asyncio.Future[Any]] = {asking, self._taken_back}
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            pass  # Both are looked at below: an answer of the very last moment counts.
        finally:
            asking.cancel()
        if self._taken_back.done():
            if asking.done() and not asking.cancelled():
                asking.exception()  # Whatever it was, it counts no more.
            return MachineGaveUp(was_asked=True)
        return _ending(record, asking) if asking.done() else IssuerSilent()


def _ending(record: CashRecord, asked: "asyncio.Future[Fields]") -> Ending:
    try:
        fields = asked.result()
    except NotConnected:
        return IssuerUnreachable()
    except NoAnswer:
        return IssuerSilent()
    code = fields.get("39", "")
    # Of something else: it may have paid this one too, and its reversal finds out.
    if not is_its_answer(record, fields):
        return IssuerSilent()
    if code == APPROVED:
        return IssuerApproved(fields.get("38", "").strip())
    # Neither a grant nor a refusal: it may have paid, and its reversal finds out.
    if not code or code in UNDECIDED:
        return IssuerSilent()
    return IssuerDeclined(code, reason_of(code, reason_named(fields)))


async def ask_in_time(
    cores: Cores, issuer: str, prepared: bytes, clock: Clock, wait: timedelta
) -> Fields:
    """Return an issuer's answer to what moves no money.

    Raises:
        NotConnected: it cannot have been asked.
        NoAnswer: none came in time.
    """
    try:
        async with clock.deadline(clock.now() + wait):
            return await cores.ask(issuer, prepared, "")
    except TimeoutError as error:
        raise NoAnswer("no answer in time") from error
