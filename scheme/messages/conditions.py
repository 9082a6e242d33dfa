"""Rules between fields that several messages share. Each returns the fault, or nothing.

Their callers are on the hot path, so they are few comparisons of values already in hand.
"""

from collections.abc import Container
from typing import Final

from scheme.cci import is_placeholder
from scheme.messages.fields import Fault

CARD_PAYMENT: Final = "325"
ALIAS_CHANNEL: Final = "52"
ACCEPTED: Final = "00"
REFUSED: Final = "05"
NOT_FOUND: Final = "99"
ANSWERS: Final = frozenset({ACCEPTED, REFUSED})
ENQUIRY_ANSWERS: Final = frozenset({ACCEPTED, REFUSED, NOT_FOUND})

_SOLES: Final = "604"
_CURRENCIES: Final = frozenset({_SOLES, "840"})
_PERSONS: Final = frozenset("NJ")
_CRITERIA: Final = frozenset("MOE")
_SAME_CUSTOMER: Final = frozenset("MO")
_LAST_DAYS: Final = dict.fromkeys(("01", "03", "05", "07", "08", "10", "12"), "31") | {
    "02": "29",
    "04": "30",
    "06": "30",
    "09": "30",
    "11": "30",
}
"""The last day of each month; 29 February asks for its year besides."""


def moment_fault(date: str, time: str) -> Fault | None:
    """Check that a date and a time can exist; ids are composed from them."""
    # Digits of equal length compare as text the way they compare as numbers.
    if not ("01" <= date[6:] <= _LAST_DAYS.get(date[4:6], "00") and date > "19"):
        return Fault("creationDate", "a date yyyyMMdd")
    if date[4:] == "0229" and not _is_leap(int(date[:4])):
        return Fault("creationDate", "a date yyyyMMdd")
    if time > "235959" or time[2:4] > "59" or time[4:] > "59":
        return Fault("creationTime", "a time HHmmss")
    return None


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def payer_fault(person: str, currency: str, channel: str) -> Fault | None:
    """Check the payer's kind, the currency, and that aliases are paid in soles."""
    if person not in _PERSONS:
        return Fault("debtorTypeOfPerson", "N or J")
    if currency not in _CURRENCIES:
        return Fault("currency", "604 or 840")
    if channel == ALIAS_CHANNEL and currency != _SOLES:
        return Fault("currency", "604 when channel is 52")
    return None


def payee_fault(transaction_type: str, cci: str | None, card: str | None) -> Fault | None:
    """Check that a card payment names a card, and anything else an account."""
    if transaction_type == CARD_PAYMENT:
        if cci is not None:
            return Fault("creditorCCI", "absent when transactionType is 325")
        if card is None:
            return Fault("creditorCreditCard", "mandatory when transactionType is 325")
    elif cci is None:
        return Fault("creditorCCI", "mandatory unless transactionType is 325")
    return None


def real_account_fault(cci: str | None) -> Fault | None:
    """Refuse the placeholder that stands for an alias: here the account must be known."""
    if cci is not None and is_placeholder(cci):
        return Fault("creditorCCI", "an account, not a placeholder")
    return None


def order_fault(criteria: str, same_customer: str | None) -> Fault | None:
    """Check the closed values that only orders carry."""
    if criteria not in _CRITERIA:
        return Fault("applicationCriteria", "M, O or E")
    if same_customer is not None and same_customer not in _SAME_CUSTOMER:
        return Fault("sameCustomerFlag", "M or O")
    return None


def answer_fault(
    code: str,
    *,
    field: str = "responseCode",
    allowed: Container[str] = ANSWERS,
    rule: str = "00 or 05",
) -> Fault | None:
    """Check the code that decides an answer."""
    return None if code in allowed else Fault(field, rule)


def reason_fault(code: str, reason: str | None) -> Fault | None:
    """Check that a refusal says why."""
    if code == REFUSED and reason is None:
        return Fault("reasonCode", "mandatory when responseCode is 05")
    return None


def settled_fault(instruction: str, amount: int | None) -> Fault | None:
    """Check that an acceptance says which order it accepts, and for how much."""
    if not instruction:
        return Fault("instructionId", "mandatory when responseCode is 00")
    return Fault("amount", "mandatory when responseCode is 00") if amount is None else None


def found_fault(
    name: str | None, number: str | None, kind: str | None, same_customer: str | None
) -> Fault | None:
    """Check that an accepted query names the payee, whom the payer is about to be shown."""
    given = (
        ("creditorName", name),
        ("creditorId", number),
        ("creditorIdCode", kind),
        ("sameCustomerFlag", same_customer),
    )
    for field, value in given:
        if value is None:
            return Fault(field, "mandatory when responseCode is 00")
    return None if same_customer in _SAME_CUSTOMER else Fault("sameCustomerFlag", "M or O")
