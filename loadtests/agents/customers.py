"""What people ask for at the counters: kinds, amounts and accounts, by chance."""

import random
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from loadtests.bench.operations import Operations
from loadtests.bench.orders import AMOUNTS
from scheme.cci import compose
from scheme.network import Participant
from scheme.wire.agent_payload import Kind

_EACH: Final = 100
_COOP: Final = "coop"
_STEP: Final = 1000
_NOTES: Final = (2, 10)
"""Cash is paid out in notes of ten soles."""
_NOBODYS: Final = 0.02
"""Share of those who name an account that nobody has."""
_UNUSED: Final = (900_000_000_000, 10**12)
_KINDS: Final = (Kind.CASH_IN, Kind.TRANSFER, Kind.CREDIT_PAYMENT, Kind.CONTRIBUTION, Kind.CASH_OUT)
_SHARES: Final = (50, 10, 10, 10, 20)


class Wish(Struct, frozen=True, gc=False):
    """One operation that somebody wants."""

    kind: int
    minor: int
    account: str


class Customers:
    """Draws wishes.

    Args:
        everybody: accounts by the participant that keeps them.
        fleet: by code.
    """

    def __init__(
        self, everybody: Mapping[str, Sequence[str]], fleet: Mapping[str, Participant]
    ) -> None:
        members = [code for code in everybody if fleet[code].kind == _COOP]
        cores = [code for code in members if fleet[code].lane == "iso8583"]
        self._of: Mapping[int, Sequence[str]] = {
            Kind.CASH_IN: _all(everybody, everybody),
            Kind.TRANSFER: _all(everybody, everybody),
            Kind.CREDIT_PAYMENT: _all(everybody, members),
            Kind.CONTRIBUTION: _all(everybody, members),
            Kind.CASH_OUT: _all(everybody, cores),
        }

    @classmethod
    def of(cls, operations: Operations, fleet: Mapping[str, Participant]) -> "Customers":
        """Ask the institutions for their accounts."""
        everybody: dict[str, list[str]] = {}
        for payee in operations.payees(_EACH):
            everybody.setdefault(payee.participant, []).append(payee.cci)
        return cls(everybody, fleet)

    def wish(self, chance: random.Random) -> Wish:
        """Return what the next customer wants."""
        (kind,) = chance.choices(_KINDS, _SHARES)
        is_out = kind is Kind.CASH_OUT
        minor = chance.randint(*_NOTES) * _STEP if is_out else chance.randint(*AMOUNTS)
        account = chance.choice(self._of[kind])
        if chance.random() < _NOBODYS:
            account = compose(account[:3], account[3:6], f"{chance.randrange(*_UNUSED)}")
        return Wish(int(kind), minor, account)


def _all(
    everybody: Mapping[str, Sequence[str]], codes: Mapping[str, object] | list[str]
) -> list[str]:
    return [account for code in codes for account in everybody[code]]
