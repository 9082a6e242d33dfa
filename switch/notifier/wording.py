"""Notices: from what happened to the exact bytes that a member or an institution gets.

No notice carries a phone, a document or a whole account (docs/notices.md).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple, cast

import msgspec
from msgspec import Struct

from scheme.batch import Batch, BatchRow
from scheme.clock import from_ms, lima
from scheme.masking import mask_cci, mask_display_name
from scheme.money import Currency, Money, format_amount
from scheme.network import Participant
from scheme.wire import mqtt_topics
from switch.notifier import texts
from switch.notifier.events import AlertRow, Outcome, Parties, ReturnRow, TransferRow, outcome_of
from switch.notifier.texts import Text

VERSION: Final = 1
DEBIT, CREDIT, REJECTION = "debit", "credit", "rejection"
WINDOW_CLOSED, LOW_PREFUND, RESTORED = "window_closed", "low_prefund", "prefund_restored"


class Message(NamedTuple):
    """What is published, and where."""

    topic: str
    payload: bytes


class Counterpart(Struct, frozen=True, omit_defaults=True):
    """The other side: its name as directories show it, if it was said, and its institution."""

    institution: str
    name: str = ""


class Reason(Struct, frozen=True, kw_only=True):
    """Why there was no payment: the scheme's code, or an institution's own."""

    code: str
    es: str
    en: str


class MemberNotice(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a member is told.

    Attributes:
        v: version of this shape.
        id: the same at every repeat, and of no other notice.
        amount: in major units, always above zero.
        at: ISO 8601, in Lima.
        counterpart: ``with`` in the JSON.
        account: the member's own, masked.
    """

    v: int
    id: str
    kind: str
    amount: str
    currency: str
    at: str
    counterpart: Counterpart = msgspec.field(name="with")
    account: str
    reason: Reason | None = None
    es: str
    en: str


class WindowNotice(Struct, frozen=True, kw_only=True):
    """What an institution is told of a window that closed; ``net`` as it is to be settled."""

    v: int
    id: str
    kind: str
    window: str
    cycle: str
    settlement_date: str
    currency: str
    net: str
    at: str
    es: str
    en: str


class PrefundNotice(Struct, frozen=True, kw_only=True):
    """What an institution is told of a position that crossed its watermarks."""

    v: int
    id: str
    kind: str
    ledger: str
    currency: str
    balance: str
    low: str
    at: str
    es: str
    en: str


_encode = msgspec.json.Encoder().encode


class Wording:
    """Words what happened, to those who are told.

    Args:
        fleet: for the names of institutions.
        told: returns the enrolled member of an account, or nothing.
    """

    def __init__(self, fleet: Mapping[str, Participant], told: Callable[[str], str]) -> None:
        self._fleet = fleet
        self._told = told

    def is_anybodys(self, parties: Parties) -> bool:
        """Tell whether somebody is told of what becomes of a transfer."""
        return bool(self._told(parties.debtor_account) or self._told(parties.creditor_account))

    def of_transfer(self, row: TransferRow, parties: Parties) -> Iterator[Message]:
        """Yield the notices of a transfer that has an outcome."""
        debtor, creditor = self._sides(row, parties)
        if outcome_of(row.state) is Outcome.FAILED:
            text = texts.CASH_REJECTION if parties.is_cash else texts.REJECTION
            yield from self._notice(row, REJECTION, parties.debtor_account, creditor, text)
            return
        text = texts.CASH_DEBIT if parties.is_cash else texts.DEBIT
        yield from self._notice(row, DEBIT, parties.debtor_account, creditor, text)
        yield from self._notice(row, CREDIT, parties.creditor_account, debtor, texts.CREDIT)

    def of_return(self, row: ReturnRow, parties: Parties) -> Iterator[Message]:
        """Yield the notices of a return: who had paid is credited."""
        debtor, creditor = self._sides(row.original, parties)
        back = msgspec.structs.replace(
            row.original, transfer_id=row.return_id, minor=row.minor, at_ms=row.at_ms
        )
        text = texts.CASH_CREDIT if parties.is_cash else texts.RETURN_CREDIT
        yield from self._notice(back, CREDIT, parties.debtor_account, creditor, text)
        yield from self._notice(back, DEBIT, parties.creditor_account, debtor, texts.RETURN_DEBIT)

    def of_batch(self, batch: Batch, at_ms: int) -> Iterator[Message]:
        """Yield the notices of a window that closed, one to each institution in it."""
        for row in batch.participants:
            if row.participant in self._fleet:
                yield _window_closed(batch, row, at_ms)

    def of_alert(self, row: AlertRow, sequence: int, at_ms: int) -> Iterator[Message]:
        """Yield the notice of a position that crossed a watermark, if it is an own prefund.

        Args:
            sequence: rises with every crossing.
        """
        member = self._fleet.get(row.owner)
        if member is None or member.ledger != row.ledger:
            return
        kind, text = LOW_PREFUND, texts.LOW_PREFUND
        if not row.alerted:
            kind, text = RESTORED, texts.PREFUND_RESTORED
        told = text.format(amount=_priced(row.balance_minor, row.currency))
        notice = PrefundNotice(
            v=VERSION,
            id=f"{row.owner}:{row.ledger}:{row.currency}:{sequence}:{kind}",
            kind=kind,
            ledger=row.ledger,
            currency=row.currency,
            balance=_major(row.balance_minor, row.currency),
            low=_major(row.low_minor, row.currency),
            at=_at(at_ms),
            es=told.es,
            en=told.en,
        )
        yield Message(mqtt_topics.institution(row.owner), _encode(notice))

    def _sides(self, row: TransferRow, parties: Parties) -> tuple[Counterpart, Counterpart]:
        return (
            Counterpart(self._named(row.debtor_agent), mask_display_name(parties.debtor_name)),
            Counterpart(self._named(row.creditor_agent), mask_display_name(parties.creditor_name)),
        )

    def _named(self, code: str) -> str:
        member = self._fleet.get(code)
        return member.name if member is not None else code

    def _notice(
        self, row: TransferRow, kind: str, account: str, other: Counterpart, text: Text
    ) -> Iterator[Message]:
        member = self._told(account)
        if not member:
            return
        reason = _reason(row.reason) if kind == REJECTION else None
        words = {
            "amount": _priced(row.minor, row.currency),
            "with_": f"{other.name} ({other.institution})" if other.name else other.institution,
            "reason": Text(reason.es, reason.en) if reason is not None else "",
        }
        told = text.format(**words)
        notice = MemberNotice(
            v=VERSION,
            id=f"{row.transfer_id}:{kind}",
            kind=kind,
            amount=_major(row.minor, row.currency),
            currency=row.currency,
            at=_at(row.at_ms),
            counterpart=other,
            account=mask_cci(account),
            reason=reason,
            es=told.es,
            en=told.en,
        )
        yield Message(mqtt_topics.member(member), _encode(notice))


def _window_closed(batch: Batch, row: BatchRow, at_ms: int) -> Message:
    told = texts.WINDOW_CLOSED.format(window=batch.batch, amount=_priced(row.net, batch.currency))
    notice = WindowNotice(
        v=VERSION,
        id=f"{batch.batch}:{row.participant}:{WINDOW_CLOSED}",
        kind=WINDOW_CLOSED,
        window=batch.batch,
        cycle=batch.cycle,
        settlement_date=batch.settlement_date,
        currency=batch.currency,
        net=_major(row.net, batch.currency),
        at=_at(at_ms),
        es=told.es,
        en=told.en,
    )
    return Message(mqtt_topics.institution(row.participant), _encode(notice))


def _reason(code: str) -> Reason:
    text = texts.REASONS.get(code, texts.OTHER_REASON)
    return Reason(code=code, es=text.es, en=text.en)


def _major(minor: int, currency: str) -> str:
    return format_amount(Money(minor, cast(Currency, currency)))


def _priced(minor: int, currency: str) -> str:
    """Return an amount as people write it: ``S/ 1,025.50``."""
    whole, _, cents = _major(abs(minor), currency).partition(".")
    sign = "-" if minor < 0 else ""
    return f"{sign}{texts.SIGNS.get(currency, currency)} {int(whole):,}.{cents}"


def _at(at_ms: int) -> str:
    return lima(from_ms(at_ms)).isoformat(timespec="milliseconds")
