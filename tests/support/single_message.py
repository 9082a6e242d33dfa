"""Creditors that keep books on either lane, and orders that come by another wire than CT1."""

import asyncio
from typing import Any

from msgspec.structs import replace

from scheme.ledger import Owed
from scheme.messages import CT1, CT4, CT5, CTC1, ET1, Message
from scheme.network import Participant
from scheme.wire.tin_json import decode
from switch.flight import Answer, Entered, Reversal
from switch.ports import Delivery
from tests.support.switch_world import ScriptedPeers, World, fleet

ORDER = "2026011510161209704191000124"
KEY = "iso:0970:000124:000000000124:0115"
CONTENT = "what moves money"
Future = asyncio.Future[Any]


def iso_fleet(**changes: Any) -> dict[str, Participant]:
    """Return the small network with 0971 on the ISO 8583 lane."""
    return fleet(**{"0971": {"kind": "coop", "lane": "iso8583", **changes}})


def never() -> Future:
    """Return an answer that does not come, or comes when the test says."""
    return asyncio.get_running_loop().create_future()


class Books(ScriptedPeers):
    """Creditors' agents with books: on one lane they post on the order, on the other on CT5.

    Attributes:
        asked: orders they were asked about.
        posted, undone: orders they have posted, and those they were told to undo.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.posted: set[str] = set()
        self.undone: set[str] = set()

    async def ask(
        self, participant: str, message: Message, subject: str, prepared: bytes = b""
    ) -> Message:
        """Post at once what is prepared, then answer, or not."""
        if isinstance(message, ET1):
            return await super().ask(participant, message, subject, prepared)
        self.asked.append(subject)
        if prepared:
            assert subject not in self.undone, "it was asked after it was told to undo"
            self.posted.add(subject)
        answer = await super().ask(participant, message, subject, prepared)
        if getattr(answer, "responseCode", "00") != "00":
            self.posted.discard(subject)
        return answer

    async def deliver(self, owed: Owed, *, repeated: bool = False) -> Delivery:
        """Do what an owed message says, unless it is not acknowledged."""
        delivery = await super().deliver(owed, repeated=repeated)
        if not delivery.acknowledged:
            return delivery
        if owed.message == "CT5":
            self.posted.add(decode(owed.body, CT5).instructionId)
        elif owed.message == "CTC1":
            subject = decode(owed.body, CTC1).referenceInstructionId
            assert subject not in self.posted, "undone after it was confirmed"
            self.undone.add(subject)
        elif owed.message == "0420" and not delivery.refused:
            self.posted.discard(owed.subject)
            self.undone.add(owed.subject)
        return delivery


async def a_reference(one: World, **changes: str) -> str:
    """Verify, and return what an order may quote."""
    return (await one.verify(**changes)).instructionId


async def enter(
    one: World, ct1: CT1, *, key: str = KEY, content: str = CONTENT, **changes: Any
) -> Answer:
    """Send an order as another wire does, under a key of its own."""
    binding = one.house.verifier.binding(ct1.referenceTransactionId)
    assert binding is not None
    return await one.house.router.order(replace(ct1, **changes), Entered(key, content, binding))


def entering(one: World, ct1: CT1, **changes: Any) -> "asyncio.Task[Answer]":
    """Do so without waiting."""
    return asyncio.create_task(enter(one, ct1, **changes))


def reversing(one: World, key: str = KEY) -> "asyncio.Task[Reversal]":
    """Take an order back without waiting."""
    return asyncio.create_task(one.house.router.reverse(key, debtor_agent="0970"))


def told(answer: Answer) -> tuple[str | None, str | None]:
    """Return response code and reason of an answer."""
    ct4 = decode(answer.body, CT4)
    return ct4.responseCode, ct4.reasonCode
