"""Which postings a transfer is, by rail: the legs between positions and their linked entries.

A coop of the network has no national position: what it sends outside goes to its sponsor in the
network's ledger, and from its sponsor to the other side nationally. Both legs are held and posted
together (docs/routing.md#tiers).
"""

from collections.abc import Callable
from typing import Final

from scheme.ledger import DALE, DEFERRED, NATIONAL, SPONSOR, Account, Entry
from scheme.money import CURRENCY_BY_CODE
from scheme.network import Participant
from switch.core.rails import BY_NAME, Rail
from switch.core.records import TransferRecord

DEFERRED_RAIL: Final = Rail.DEFERRED.value
LBTR_RAIL: Final = Rail.LBTR.value
PRINCIPAL: Final = "principal"
INTERBANK_FEE: Final = "interbank_fee"

Leg = tuple[str, str, str]
"""Ledger, debited owner, credited owner."""


def settler(one: Participant) -> str:
    """Return who settles nationally for a participant: itself, or its sponsor."""
    return one.sponsor if one.is_tiered else one.code


def is_internal(debtor: Participant, creditor: Participant) -> bool:
    """Tell whether two participants are coops of one network, behind one sponsor.

    Behind two, what one sponsor's coop pays the other's is money that the sponsors owe each
    other nationally.
    """
    return debtor.is_tiered and creditor.is_tiered and debtor.sponsor == creditor.sponsor


def legs(rail: str, debtor: Participant, creditor: Participant) -> tuple[Leg, ...]:
    """Return the legs of a transfer, the debtor's own position first.

    So the first that is short names what its owner can do something about. A deferred order goes
    by the sponsors' own books, because it is settled in them; of an LBTR order only the coops'
    legs are here, the rest is an instruction between current accounts.
    """
    match BY_NAME[rail]:
        case Rail.ON_US:
            return ()
        case Rail.NETWORK:
            return ((debtor.ledger, debtor.code, creditor.code),)
        case Rail.TIN:
            return _by_settlers(DALE, NATIONAL, debtor, creditor)
        case Rail.DEFERRED:
            return _by_settlers(SPONSOR, DEFERRED, debtor, creditor)
        case Rail.LBTR:
            return _by_settlers(SPONSOR, "", debtor, creditor)


def _by_settlers(
    inner: str, outer: str, debtor: Participant, creditor: Participant
) -> tuple[Leg, ...]:
    """Return the legs between coops and sponsors, and the one between those who settle."""
    payer, payee = settler(debtor), settler(creditor)
    found: list[Leg] = []
    if debtor.is_tiered:
        found.append((inner, debtor.code, payer))
    if outer and payer != payee:
        found.append((outer, payer, payee))
    if creditor.is_tiered:
        found.append((inner, payee, creditor.code))
    return tuple(found)


def entries_of(
    ways: tuple[Leg, ...], *, currency: str, minor: int, fee: int, window: Callable[[str], str]
) -> tuple[Entry, ...]:
    """Return the linked entries of a transfer: per leg its principal and, if any, its fee.

    Args:
        window: returns the id of a ledger's window; empty for a ledger of money.
    """
    entries: list[Entry] = []
    for ledger, payer, payee in ways:
        debit = Account(ledger=ledger, currency=currency, owner=payer)
        credit = Account(ledger=ledger, currency=currency, owner=payee)
        for kind, part in ((PRINCIPAL, minor), (INTERBANK_FEE, fee)):
            if part:
                entries.append(
                    Entry(kind=kind, debit=debit, credit=credit, minor=part, window=window(ledger))
                )
    return tuple(entries)


def transfer_entries(
    record: TransferRecord, debtor: Participant, creditor: Participant
) -> tuple[Entry, ...]:
    """Return the linked entries of an order of AV1 and CT1."""
    return entries_of(
        legs(record.rail, debtor, creditor),
        currency=CURRENCY_BY_CODE[record.ct1.currency],
        minor=record.ct1.amount,
        fee=record.ct1.feeAmount,
        window=lambda ledger: record.network_window if ledger == DALE else record.window,
    )


def refused_entries(
    record: TransferRecord, debtor: Participant, creditor: Participant | None
) -> tuple[Entry, ...]:
    """Return what a refused order would have held; nothing where a position is missing."""
    currency = CURRENCY_BY_CODE[record.ct1.currency]
    if creditor is None or any(currency not in one.currencies for one in (debtor, creditor)):
        return ()
    return transfer_entries(record, debtor, creditor)
