"""What a transfer costs: the plaza of two accounts, and the interbank fee of a rail.

All pure, and the same for whoever composes an order and whoever explains its route.
"""

from typing import Final

from scheme.codes import ApplicationCriteria
from scheme.profile import Fees, Plazas, Profile, Tariff

_OFFICE_DIGITS: Final = 6
_BASIS_POINTS: Final = 10_000
NETWORK: Final = "network"
TIN: Final = "tin"
"""Rails by which an institution sends for its customers."""


def plaza_name(cci: str, plazas: Plazas) -> str:
    """Return the plaza of an account's office; one that is not listed has the default."""
    return plazas.offices.get(cci[:_OFFICE_DIGITS], plazas.default)


def plaza_between(debtor_cci: str, creditor_cci: str, plazas: Plazas) -> ApplicationCriteria:
    """Return ``M`` inside one plaza, ``E`` to or from an exclusive one, else ``O``."""
    here, there = plaza_name(debtor_cci, plazas), plaza_name(creditor_cci, plazas)
    if here == there:
        return ApplicationCriteria.SAME_PLAZA
    if here in plazas.exclusive or there in plazas.exclusive:
        return ApplicationCriteria.EXCLUSIVE_PLAZA
    return ApplicationCriteria.OTHER_PLAZA


def tariff_fee(tariff: Tariff, minor: int, currency: str) -> int:
    """Return the fee of an amount: the flat part, and the share within its bounds.

    The share is rounded half up to the cent, which its payer pays.
    """
    share = (minor * tariff.basis_points + _BASIS_POINTS // 2) // _BASIS_POINTS
    share = max(share, tariff.least.get(currency, 0))
    share = min(share, tariff.most.get(currency, share))
    return tariff.flat.get(currency, 0) + share


def rail_fee(rail: str, minor: int, currency: str, plaza: str, fees: Fees) -> int:
    """Return the interbank fee of a rail; one without a tariff is free."""
    tariff = fees.plaza[plaza] if rail == TIN else fees.rail.get(rail)
    return 0 if tariff is None else tariff_fee(tariff, minor, currency)


def alias_fee(currency: str, profile: Profile) -> int:
    """Return the flat fee of a payment by phone or QR."""
    return profile.fees.alias.get(currency, 0)
