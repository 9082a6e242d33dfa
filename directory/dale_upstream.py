"""The national directory as the access network reaches it in our own process."""

from collections.abc import Sequence

from directory.core.alias import CLEARING_HOUSE, Entry, Refusal
from directory.core.lookup import DirectoryAnswer
from directory.core.registry import Order
from directory.service import DirectoryService, ListRefusal
from scheme.reasons import ReasonCode


class InProcess:
    """NationalDirectory over the directory of this process."""

    def __init__(self, directory: DirectoryService) -> None:
        self._directory = directory

    async def register(self, order: Order) -> Entry | Refusal:
        """Forward an instruction."""
        return await self._directory.register(order)

    async def look_up(
        self, participant: str, phones: Sequence[str]
    ) -> Sequence[DirectoryAnswer] | Refusal:
        """Ask about phones."""
        answer = self._directory.look_up(participant, phones)
        if isinstance(answer, ListRefusal):
            return Refusal(ReasonCode.FF02, answer.field, answer.rule)
        return answer

    async def entry(self, phone: str, participant: str) -> Entry | None:
        """Return what it has of a phone at an entity."""
        for entry in self._directory.entries(phone):
            if (entry.directory, entry.participant) == (CLEARING_HOUSE, participant):
                return entry
        return None
