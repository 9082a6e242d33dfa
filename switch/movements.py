"""What a stored transfer says of itself to the files of a batch, whichever rail carried it."""

from scheme.clock import from_ms, wire_date_time
from scheme.masking import mask_card
from scheme.messages.payment import SETTLEMENT_FAILED
from scheme.movement import Movement
from switch.core.cash import CASH_RAIL, unpack_cash
from switch.core.payment import PAYMENT_STATES, PaymentState, unpack_payment
from switch.core.records import unpack_transfer

ACCEPTED = "00"
"""Process code of what was accepted; otherwise it is the reason."""


def movement_of(record: bytes, rail: str, state: str) -> Movement:
    """Return the movement of a stored transfer.

    Args:
        record: as the switch gave it to the ledger.
        state: as the ledger keeps it beside it.
    """
    # The only rail that no CT1 names.
    if rail == CASH_RAIL:
        return _of_cash(record)
    # Not by its rail: a CT1 that was refused names the one that would have carried it.
    if state in PAYMENT_STATES:
        return _of_payment(record, state)
    return _of_transfer(record)


def _of_transfer(record: bytes) -> Movement:
    transfer = unpack_transfer(record)
    ct1 = transfer.ct1
    return Movement(
        instruction_id=transfer.instruction_id,
        debtor_account=ct1.debtorCCI,
        creditor_account=ct1.creditorCCI or ct1.creditorCreditCard or "",
        debtor_agent=ct1.debtorParticipantCode,
        creditor_agent=transfer.creditor_agent,
        amount=ct1.amount,
        fee=ct1.feeAmount,
        transfer_type=ct1.transactionType,
        at=ct1.creationDate + ct1.creationTime,
        channel=ct1.channel,
        trace=ct1.trace,
        process_code=transfer.reason or ACCEPTED,
    )


def _of_payment(record: bytes, state: str) -> Movement:
    payment = unpack_payment(record)
    return Movement(
        instruction_id=payment.payment_id,
        debtor_account=payment.debtor_cci,
        creditor_account=payment.creditor_cci,
        debtor_agent=payment.debtor_agent,
        creditor_agent=payment.creditor_agent,
        amount=payment.amount,
        fee=payment.fee,
        transfer_type=payment.rail,
        at="".join(wire_date_time(from_ms(payment.created_ms))),
        channel="",
        trace="",
        # It was counted when it was accepted; the settlement may have given it back since.
        process_code=SETTLEMENT_FAILED if state == PaymentState.RJCT else ACCEPTED,
    )


def _of_cash(record: bytes) -> Movement:
    cash = unpack_cash(record)
    return Movement(
        instruction_id=cash.transfer_id,
        # A card's number is nobody else's business; a CCI is in every file.
        debtor_account=cash.account if cash.names_account else mask_card(cash.account),
        creditor_account="",
        debtor_agent=cash.issuer,
        creditor_agent=cash.acquirer,
        amount=cash.amount,
        fee=0,
        transfer_type=CASH_RAIL,
        at="".join(wire_date_time(from_ms(cash.created_ms))),
        channel="",
        trace=cash.machine,
        process_code=cash.reason or ACCEPTED,
    )
