"""What a machine or agent asks for, and what an answer means to it (docs/wire/iso8583.md)."""

from datetime import datetime
from typing import Final

from msgspec import Struct

from participants.core import iso8583_wording as iso
from participants.core.payment import Stamp
from scheme import cci, fees
from scheme.codes import CURRENCY_NUMBERS
from scheme.network import Participant
from scheme.profile import Profile
from scheme.wire.iso8583_spec import Fields

WITHDRAWAL, DEPOSIT, BALANCE = "withdrawal", "deposit", "balance"
KINDS: Final = (WITHDRAWAL, DEPOSIT, BALANCE)
_CODES: Final = {WITHDRAWAL: "010000", DEPOSIT: "210000", BALANCE: "310000"}
_MERCHANTS: Final = {WITHDRAWAL: "6011", DEPOSIT: "6010", BALANCE: "6011"}
"""A cash machine, or an agent's counter."""
_TERMINALS: Final = {WITHDRAWAL: "ATM00001", DEPOSIT: "AGT00001", BALANCE: "ATM00001"}
_PLACE: Final = "MAQUINA SIMULADA          LIMA        PE"
_PIN_BLOCK: Final = "0412AC4DE1F00A97"
"""What a machine's key pad would have sealed: opaque to everybody here, and of no card at all."""
_WITH_CARD, _WITHOUT_CARD = "021", "010"


class CashWish(Struct, frozen=True, kw_only=True):
    """What somebody wants at a machine.

    Attributes:
        phone, code: of a withdrawal without a card.
        card: of one with a card, or of a balance.
        cci: account that a deposit is for.
        amount: minor units.
        dispense: what the machine manages to hand out; None: all of it.
    """

    kind: str
    phone: str = ""
    code: str = ""
    card: str = ""
    cci: str = ""
    amount: int = 0
    currency: str = "PEN"
    dispense: int | None = None

    @property
    def handed_out(self) -> int:
        """What leaves the machine if the withdrawal is approved."""
        return self.amount if self.dispense is None else min(self.dispense, self.amount)


class CashResult(Struct, frozen=True, kw_only=True):
    """How it ended at the machine.

    Attributes:
        state: approved, declined, reversed (all of it, or what was not dispensed) or unknown (its
            reversal goes on).
        dispensed: minor units handed out.
        account_balance: minor units, where they were asked for.
    """

    state: str
    response_code: str = ""
    reason: str = ""
    rule: str = ""
    transfer_id: str = ""
    dispensed: int = 0
    account_balance: int | None = None


class Tariff(Struct, frozen=True):
    """Interbank fee of a deposit, in minor units, and the plaza it was found by."""

    fee: int
    plaza: str


def tariff_of(wish: CashWish, till: str, profile: Profile) -> Tariff:
    """Return what a deposit costs its agent's network: a transfer from its till."""
    plaza = fees.plaza_between(till, wish.cci, profile.plazas)
    fee = fees.rail_fee(fees.TIN, wish.amount, wish.currency, plaza, profile.fees)
    return Tariff(fee, plaza)


def request(
    wish: CashWish, own: Participant, stamp: Stamp, now: datetime, *, till: str, tariff: Tariff
) -> Fields:
    """Return the 0200."""
    fields = {
        "t": iso.REQUEST,
        "3": _CODES[wish.kind],
        "7": iso.transmitted(now),
        "11": stamp.trace,
        "12": stamp.time,
        "13": stamp.date[4:],
        "18": _MERCHANTS[wish.kind],
        "22": _WITH_CARD if wish.card else _WITHOUT_CARD,
        "32": own.code,
        "37": stamp.retrieval,
        "41": _TERMINALS[wish.kind],
        "42": f"{own.code}00000000001",
        "43": _PLACE,
        "49": CURRENCY_NUMBERS[wish.currency],
    }
    if wish.kind != BALANCE:
        fields["4"] = f"{wish.amount:012}"
    if wish.kind == DEPOSIT:
        parties = {
            "01": cci.participant_of(wish.cci),
            "11": str(tariff.fee),
            "12": tariff.plaza,
        }
        return fields | {"48": iso.tagged(parties), "102": till, "103": wish.cci}
    if wish.card:
        return fields | {"2": wish.card, "52": _PIN_BLOCK}
    return fields | {"48": iso.tagged({"30": wish.code, "31": wish.phone})}


def sent_now(fields: Fields, now: datetime, *, is_repeat: bool) -> Fields:
    """Return a reversal as it leaves: the first time, or again."""
    kind = iso.REVERSAL_REPEAT if is_repeat else iso.REVERSAL
    return fields | {"t": kind, "7": iso.transmitted(now)}


def said(answer: Fields) -> tuple[str, str, str]:
    """Return the clearing house's id, the reason and the rule that an answer names."""
    private = iso.tags(answer, "62")
    return private.get("01", ""), private.get("03", ""), private.get("04", "")
