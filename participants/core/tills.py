"""The tills of a network of cash machines and agents: its only accounts, one a currency."""

from typing import Final

from participants.core.book import Account, AccountStatus
from scheme.cci import compose
from scheme.codes import DocumentType
from scheme.network import Participant

KIND: Final = "acquirer"
"""Kind of participant that such a network is."""
TILL_OPENING: Final = 1_000_000_000
"""What lies in the tills of a network of machines at first, in minor units of each currency."""
_OFFICE: Final = "001"


def tills_of(entry: Participant) -> list[Account]:
    """Return the tills with which a network of machines opens its book; none for any other."""
    if entry.kind != KIND:
        return []
    return [
        Account(
            cci=compose(entry.code[1:], _OFFICE, f"{number:012}"),
            participant=entry.code,
            name=entry.name,
            document=f"2000000{entry.code}",
            document_code=DocumentType.RUC,
            phone="",
            address=None,
            currency=currency,
            status=AccountStatus.ACTIVE,
            affiliated=False,
            balance=TILL_OPENING,
            opening=TILL_OPENING,
        )
        for number, currency in enumerate(entry.currencies)
    ]
