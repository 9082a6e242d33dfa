"""Answers the financial requests of institutions on the ISO 8583 lane.

It reads a request, lets verifier, router and cash decide, and words their answer. What is in
flight, stored or owed is theirs; only a transfer that is still being verified is known here alone.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, Protocol, assert_never

import structlog
from msgspec import Struct

from scheme import cci
from scheme.clock import Clock
from scheme.errors import MalformedMessage
from scheme.messages import AV1, AV4, CT1
from scheme.messages.conditions import ACCEPTED
from scheme.network import Participant
from scheme.profile import Profile
from scheme.reasons import ReasonCode
from scheme.wire.iso8583_codec import check_mandatory
from scheme.wire.iso8583_spec import TRANSACTIONS, Fields
from scheme.wire.tin_json import decode
from switch.core import rules
from switch.core.cash import CashAnswer
from switch.core.iso8583_answers import (
    OTHER_CONTENT,
    Told,
    answer_to,
    refusal,
    reversal_answer,
    told_of_order,
    told_of_query,
)
from switch.core.iso8583_codes import (
    APPROVED,
    IRREVOCABLE,
    NOT_PERMITTED,
    RESPONSE_CODES,
    UNABLE_TO_LOCATE,
)
from switch.core.iso8583_orders import binding_of, check_payee, order_of, query_of
from switch.core.iso8583_requests import (
    BALANCE,
    STATEMENT,
    VERIFICATION,
    WITHDRAWAL,
    TransferRequest,
    check_reversal,
    content_of,
    key_of,
    original_key_of,
    read_request,
    reversals_of,
)
from switch.core.records import CLAIM_PREFIX, Binding
from switch.flight import (
    Answer,
    EarlyRefusal,
    Entered,
    NotAccepting,
    Reversal,
    ReversalOutcome,
    UnknownOutcome,
)

log = structlog.get_logger()

_REQUESTS: Final = frozenset({"0200", "0201"})
_DIRECTORY_AWAY: Final = "root: the directory could not be read; send a new request"
"""A transfer is refused for good, so not even this refusal may ask for a repeat."""


class Orders(Protocol):
    """The router, as the lane uses it."""

    async def order(self, ct1: CT1, entered: Entered | None = None) -> Answer:
        """Return the answer to an order."""

    async def repeated(self, key: str, content: str) -> Answer | None:
        """Return the answer to a request that came before; None if it did not."""

    def content(self, key: str) -> str | None:
        """Return what moves money in what came under a key; empty if that is not known."""

    async def refuse(self, early: EarlyRefusal) -> Answer:
        """Refuse an order before it becomes a transfer, for good, and return its answer."""

    async def reverse(self, key: str, *, debtor_agent: str = "") -> Reversal:
        """Take back the order that came, or will come, under a key."""


class Queries(Protocol):
    """The verifier, as the lane uses it."""

    async def query(self, av1: AV1, also: str = "") -> Answer:
        """Return the answer to a query; ``also`` belongs to its key."""


class CashDesk(Protocol):
    """Cash at machines."""

    async def withdraw(self, acquirer: Participant, fields: Fields) -> CashAnswer:
        """Return the answer to a withdrawal, or to its repeat."""

    async def enquire(self, acquirer: Participant, fields: Fields) -> CashAnswer:
        """Return the answer to who asks for a balance or the last movements."""

    async def reverse(self, acquirer: Participant, fields: Fields) -> CashAnswer | None:
        """Return the answer to the reversal of a withdrawal; None if it is of none."""


class _Verifying(Struct, eq=False):
    """A transfer that is being verified, and those that wait for its answer."""

    content: str
    outcome: "asyncio.Future[Told]"


class Iso8583Desk:
    """Answers 0200, 0201, 0420 and 0421.

    Args:
        binding: returns what an accepted verification bound, by its id.
        spawn: starts a task that the process owns.
    """

    def __init__(
        self,
        *,
        orders: Orders,
        queries: Queries,
        cash: CashDesk,
        binding: Callable[[str], Binding | None],
        fleet: Mapping[str, Participant],
        profile: Profile,
        clock: Clock,
        spawn: Callable[..., object],
    ) -> None:
        self._orders = orders
        self._queries = queries
        self._cash = cash
        self._binding = binding
        self._fleet = fleet
        self._profile = profile
        self._clock = clock
        self._spawn = spawn
        self._verifying: dict[str, _Verifying] = {}

    async def handle(self, participant: Participant, fields: Fields) -> Fields | None:
        """Return the answer to a request; None if no outcome may be stated.

        Then its sender asks again. A request in flight goes on when its caller is cancelled.

        Args:
            participant: the one signed on on the link it came by.
            fields: decoded, its MAC checked.
        """
        try:
            return await self._answer(participant, fields)
        except MalformedMessage as fault:
            code = RESPONSE_CODES[fault.reason]
            return refusal(fields, code, fault.reason, str(fault))
        except NotAccepting:
            # A code would state an outcome, and nothing is stored: the repeat finds one.
            log.info("request not taken just now", participant=participant.code)
            return None
        except UnknownOutcome as error:
            log.warning("request without an answer", participant=participant.code, cause=str(error))
            return None

    async def _answer(self, participant: Participant, fields: Fields) -> Fields:
        kind = fields.get("3", "")[:2]
        if kind and kind not in TRANSACTIONS:
            rule = f"DE3: begins with {', '.join(TRANSACTIONS)}"
            return refusal(fields, NOT_PERMITTED, ReasonCode.FF07, rule)
        fault = check_mandatory(fields)
        if fault is not None:
            raise fault
        if fields["32"] != participant.code and int(fields["32"]) != int(participant.code):
            rule = "the institution that is signed on on this link"
            raise MalformedMessage(rule, field="DE32", reason=ReasonCode.DNOR)
        if fields["t"] not in _REQUESTS:
            return await self._reverse(participant, fields)
        if kind == WITHDRAWAL:
            return answer_to(fields, _told_of_cash(await self._cash.withdraw(participant, fields)))
        if kind in {BALANCE, STATEMENT}:
            return answer_to(fields, _told_of_cash(await self._cash.enquire(participant, fields)))
        request = read_request(fields, participant)
        if kind == VERIFICATION:
            av4, answer = await self._query(request)
            if av4.responseCode == ACCEPTED and request.is_by_alias:
                check_payee(request, av4.creditorCCI)
            return answer_to(fields, told_of_query(av4, answer.explain))
        return answer_to(fields, await self._transfer(request))

    async def _reverse(self, participant: Participant, fields: Fields) -> Fields:
        """Take back what a reversal names; if nothing came, remember each name it may have."""
        now = self._clock.now()
        originals = reversals_of(fields, now)
        for named in originals:
            content = self._content(original_key_of(named, participant, now))
            if content is not None:
                check_reversal(fields, content)
                return await self._take_back(participant, fields, named)
        first, *others = originals
        for named in others:
            answer = await self._take_back(participant, fields, named)
            if answer["39"] != UNABLE_TO_LOCATE:
                return answer
        return await self._take_back(participant, fields, first)

    def _content(self, key: str) -> str | None:
        verifying = self._verifying.get(key)
        return self._orders.content(key) if verifying is None else verifying.content

    def knows(self, key: str) -> bool:
        """Tell whether a transfer is verified, in flight, finished or remembered under a key."""
        return self._content(key) is not None

    async def _take_back(self, participant: Participant, fields: Fields, named: Fields) -> Fields:
        """Return the answer to a reversal.

        Args:
            named: with the DE13 of its original.
        """
        key = original_key_of(named, participant, self._clock.now())
        cash = await self._cash.reverse(participant, named)
        if cash is not None:
            return answer_to(fields, _told_of_cash(cash))
        reversal = await self._orders.reverse(key, debtor_agent=participant.code)
        original = told_of_order(reversal.answer.body, reversal.answer.explain)
        match reversal.outcome:
            case ReversalOutcome.POSTED:
                return reversal_answer(fields, IRREVOCABLE, original)
            case ReversalOutcome.UNDONE | ReversalOutcome.REFUSED:
                return reversal_answer(fields, APPROVED, original)
            case ReversalOutcome.UNKNOWN:
                return reversal_answer(fields, UNABLE_TO_LOCATE, None)
            case _:
                assert_never(reversal.outcome)

    async def _query(self, request: TransferRequest) -> tuple[AV4, Answer]:
        # Machines of one acquirer number for themselves: in a second, many have the same STAN.
        also = f":{request.fields['37']}"
        answer = await self._queries.query(query_of(request, self._clock.now()), also)
        return decode(answer.body, AV4), answer

    async def _transfer(self, request: TransferRequest) -> Told:
        key = key_of(request.fields, request.debtor, self._clock.now())
        content = content_of(request)
        known = await self._orders.repeated(key, content)
        if known is not None:
            return told_of_order(known.body, known.explain)
        # No await from here until the order, or its verification, is in flight: it goes out once.
        verifying = self._verifying.get(key)
        if verifying is not None:
            if verifying.content != content:
                field, _, rule = OTHER_CONTENT.partition(": ")
                raise MalformedMessage(rule, field=field, reason=ReasonCode.AM05)
            return await asyncio.shield(verifying.outcome)
        entry = _Entry(request, key, content)
        if request.reference:
            return await self._order(entry, self._verified_before(request))
        creditor = self._core_of(request)
        if creditor is not None:
            binding = binding_of(request, creditor, self._clock.now())
            return await self._order(entry, binding, is_new=True)
        verifying = _Verifying(content, asyncio.get_running_loop().create_future())
        self._verifying[key] = verifying
        self._spawn(self._verify_and_order(entry, verifying))
        return await asyncio.shield(verifying.outcome)

    def _verified_before(self, request: TransferRequest) -> Binding:
        binding = self._binding(request.reference)
        if binding is None or binding.debtor_agent != request.debtor.code:
            rule = "no accepted verification under this id"
            raise MalformedMessage(rule, field="DE48.10", reason=ReasonCode.BE15)
        return binding

    def _core_of(self, request: TransferRequest) -> Participant | None:
        """Return the creditor if its core keeps the account and posts, or refuses, at once."""
        account = request.creditor_cci
        if account is None or not request.is_by_account:
            return None
        creditor = self._fleet.get(cci.participant_of(account))
        if creditor is None or not creditor.is_single_message:
            return None
        return creditor if creditor.code == request.creditor else None

    async def _verify_and_order(self, entry: "_Entry", verifying: _Verifying) -> None:
        """The exchange's own task: whoever sent the request may come and go."""
        try:
            told = await self._verified(entry)
        except (MalformedMessage, NotAccepting, UnknownOutcome) as error:
            _fail(verifying, error)
        except Exception as error:
            log.exception("request failed", key=entry.key)
            _fail(verifying, UnknownOutcome(repr(error)))
        else:
            verifying.outcome.set_result(told)
        finally:
            del self._verifying[entry.key]

    async def _claim(self, entry: "_Entry") -> None:
        """Let one order only quote a verification, as on the other wire, whatever its key.

        The claim is on disk before the order goes out, as a refusal of all others.
        """
        debtor, rule = entry.request.debtor.code, "quoted by another order"
        key = f"{CLAIM_PREFIX}{debtor}:{entry.request.reference}"
        claim = EarlyRefusal(key, entry.key, debtor, ReasonCode.AM05, f"DE48.10: {rule}")
        answer = await self._orders.refuse(claim)
        if answer.explain == rules.OTHER_CONTENT.header:
            raise MalformedMessage(rule, field="DE48.10", reason=ReasonCode.AM05)

    async def _verified(self, entry: "_Entry") -> Told:
        """Verify the payee, and order. What comes to nothing here is refused for good."""
        av4, answer = await self._query(entry.request)
        if av4.responseCode != ACCEPTED:
            if answer.explain == rules.OVERLOADED.header:
                raise NotAccepting
            is_away = answer.explain == rules.DIRECTORY_AWAY.header
            rule = _DIRECTORY_AWAY if is_away else answer.explain
            return await self._refused(entry, av4.reasonCode or ReasonCode.FF07, rule)
        binding = self._binding(av4.instructionId)
        assert binding is not None, "an accepted verification binds"
        try:
            return await self._order(entry, binding, av4)
        except MalformedMessage as fault:
            # What was found may be another account tomorrow, so the repeat could be paid.
            return await self._refused(entry, fault.reason, str(fault))

    async def _refused(self, entry: "_Entry", reason: str, rule: str) -> Told:
        """Refuse an order that is no transfer yet, on disk before anybody is told."""
        debtor = entry.request.debtor.code
        early = EarlyRefusal(entry.key, entry.content, debtor, str(reason), rule)
        answer = await self._orders.refuse(early)
        return told_of_order(answer.body, answer.explain)

    async def _order(
        self, entry: "_Entry", binding: Binding, found: AV4 | None = None, *, is_new: bool = False
    ) -> Told:
        ct1 = order_of(
            entry.request,
            binding,
            found=found,
            creditor=self._fleet.get(binding.creditor_agent),
            profile=self._profile,
            now=self._clock.now(),
        )
        if entry.request.reference:
            await self._claim(entry)
        entered = Entered(entry.key, entry.content, binding, is_new)
        answer = await self._orders.order(ct1, entered)
        return told_of_order(answer.body, answer.explain)


class _Entry(Struct, frozen=True, gc=False):
    """A request with its idempotency key, and what moves money in it."""

    request: TransferRequest
    key: str
    content: str


def _fail(verifying: _Verifying, error: Exception) -> None:
    verifying.outcome.set_exception(error)
    # Nobody may be waiting any more; an unread exception would only be noise.
    verifying.outcome.exception()


def _told_of_cash(answer: CashAnswer) -> Told:
    return Told(
        response_code=answer.response_code,
        reason=answer.reason,
        rule=answer.rule,
        subject=answer.subject,
        authorization=answer.auth,
        extra=answer.extra,
    )
