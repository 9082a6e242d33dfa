"""One movement of a batch, as the files handed on show it (docs/wire/settlement-files.md).

Who keeps the transfer knows what it was; clearing knows only what it moved. This type crosses
between them.
"""

from msgspec import Struct


class Movement(Struct, frozen=True, kw_only=True, gc=False):
    """What a stored transfer says of itself.

    Attributes:
        instruction_id: its id at the clearing house.
        debtor_account: the payer's CCI.
        creditor_account: the payee's CCI, or the number of a credit card.
        debtor_agent, creditor_agent: codes of the two entities.
        amount, fee: minor units.
        transfer_type: ``transactionType``: 320 and others.
        at: ``yyyyMMddHHmmss``, Lima, as its debtor's agent wrote it.
        channel: where the payer ordered; empty on rails that do not tell.
        trace: the transfer reference.
        process_code: reason of a rejection, ``00`` for what was accepted.
    """

    instruction_id: str
    debtor_account: str
    creditor_account: str
    debtor_agent: str
    creditor_agent: str
    amount: int
    fee: int
    transfer_type: str
    at: str
    channel: str
    trace: str
    process_code: str
