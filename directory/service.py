"""The directory: registers aliases, answers lookups, resolves the payer's choice."""

from collections.abc import Collection, Sequence

import structlog
from msgspec import Struct

from directory.core.alias import Entry, Refusal, Resolution, asked_phone
from directory.core.lookup import Asked, DirectoryAnswer, resolve, sweep
from directory.core.quota import BucketLevel, Quota
from directory.core.registry import Order, decide
from directory.core.seed import entries_of, qrs_of, tokens_of
from directory.ports import AliasStore
from scheme.cci import CciCheck
from scheme.clock import Clock, to_ms
from scheme.limits import DIRECTORY_PHONES_MAX
from scheme.masking import mask_phone
from scheme.people import Person
from scheme.profile import DirectoryRules
from scheme.reasons import ReasonCode

log = structlog.get_logger()

_LIST_FIELD = "SplmtryData.Envlp.Proxy"


class ListRefusal(Struct, frozen=True):
    """A list of phones that cannot be looked up: the message is rejected, not the lookup.

    Attributes:
        field: the list, or one of its members as ``...Proxy[3].Value``.
        entries: how many phones it holds.
    """

    field: str
    rule: str
    entries: int


class DirectoryService:
    """Decides on the loop, in memory, and answers a registration once it is on disk.

    Args:
        participants: codes that may register and look up.
        rules: quotas of the profile.
        check: how closely the check digits of a registered CCI are looked at.
    """

    def __init__(
        self,
        store: AliasStore,
        *,
        clock: Clock,
        rules: DirectoryRules,
        participants: Collection[str],
        check: CciCheck = CciCheck.LENIENT,
    ) -> None:
        self._store = store
        self._clock = clock
        self._rules = rules
        self._participants = frozenset(participants)
        self._check = check
        self._quota = Quota(
            size=rules.bucket_size,
            per_minute=rules.bucket_per_minute,
            known_cost=rules.known_cost,
            unknown_cost=rules.unknown_cost,
        )

    @property
    def clock(self) -> Clock:
        """The clock it was given."""
        return self._clock

    @property
    def rules(self) -> DirectoryRules:
        """The profile's rules it was given."""
        return self._rules

    async def register(self, order: Order) -> Entry | Refusal:
        """Carry out an instruction.

        Returns:
            The entry as it now stands on disk, or why nothing changed.

        Raises:
            StoreError: the store failed; nothing changed.
        """
        refusal = self.sender_refusal(order.participant)
        if refusal is not None:
            return refusal
        before = self._store.entry_to_change(order.phone, order.participant)
        after = decide(before, order, now_ms=to_ms(self._clock.now()), check=self._check)
        if isinstance(after, Entry):
            # No await since the read: the next instruction finds this one.
            await self._store.put_entry(after)
            log.info(
                "alias changed",
                instruction=order.instruction,
                agent=order.participant,
                phone=mask_phone(order.phone),
            )
        return after

    def look_up(
        self, participant: str, phones: Sequence[str]
    ) -> tuple[DirectoryAnswer, ...] | Refusal | ListRefusal:
        """Answer for every phone in every directory, and charge the participant's quota.

        Args:
            phones: as connectors write them; see ``asked_phone``.

        Raises:
            StoreError: the disk could not be read.
        """
        refusal = self.sender_refusal(participant)
        if refusal is not None:
            return refusal
        now_ms = to_ms(self._clock.now())
        if self._quota.is_shut(participant, now_ms):
            return Refusal(ReasonCode.FF07, _LIST_FIELD, "quota of lookups used up")
        asked = _asked(phones)
        if isinstance(asked, ListRefusal):
            return asked
        swept = sweep(asked, self._store.find)
        self._quota.charge(participant, known=swept.known, unknown=swept.unknown, now_ms=now_ms)
        return swept.answers

    def sender_refusal(self, participant: str) -> Refusal | None:
        """Return why a participant may not use the directory, or None."""
        if participant in self._participants:
            return None
        return Refusal(ReasonCode.DNOR, "Fr.FIId.FinInstnId.Othr.Id", "a registered participant")

    def resolve_phone(self, phone9: str, code: str) -> Resolution | None:
        """Return the account behind a phone, or None.

        Args:
            phone9: nine digits.
            code: the entity or the wallet directory that the payer chose.

        Raises:
            StoreError: the disk could not be read.
        """
        return resolve(self._store.find(phone9), code)

    def resolve_token(self, token: str, directory_code: str) -> Resolution | None:
        """Return the account behind the token of a wallet's QR, or None.

        Raises:
            StoreError: the disk could not be read.
        """
        return self._store.find_token(token, directory_code)

    def entries(self, phone: str) -> Sequence[Entry]:
        """Return everything on file about a phone of nine digits.

        Raises:
            StoreError: the disk could not be read.
        """
        return self._store.entries(phone)

    def quotas(self) -> tuple[BucketLevel, ...]:
        """Return the participants whose bucket is not full."""
        return self._quota.levels(to_ms(self._clock.now()))

    async def seed(self, people: Sequence[Person]) -> bool:
        """Fill an empty directory with the invented people; tell whether it was empty.

        Raises:
            StoreError: it could not be written.
        """
        now_ms = to_ms(self._clock.now())
        return await self._store.seed(
            entries_of(people, now_ms=now_ms), tokens_of(people), qrs_of(people)
        )


def _asked(phones: Sequence[str]) -> list[Asked] | ListRefusal:
    count = len(phones)
    if count == 0:
        return ListRefusal(_LIST_FIELD, "empty proxy list", count)
    if count > DIRECTORY_PHONES_MAX:
        return ListRefusal(_LIST_FIELD, f"at most {DIRECTORY_PHONES_MAX} phones", count)
    asked = []
    for index, written in enumerate(phones):
        phone = asked_phone(written)
        if phone is None:
            field = f"{_LIST_FIELD}[{index}].Value"
            return ListRefusal(field, "+51 and nine digits, the first a 9", count)
        asked.append(Asked(written, phone))
    return asked
