"""What a machine's request says, and what its issuer is sent for it: pure (docs/cash.md).

The one-time code and the PIN block go no further than they must: neither is ever in what is kept.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from msgspec import Struct

from scheme.cci import is_well_formed, participant_of
from scheme.errors import MalformedMessage
from scheme.money import CURRENCY_BY_CODE
from scheme.network import Participant
from scheme.reasons import ReasonCode
from scheme.wire.iso8583_codec import codec
from scheme.wire.iso8583_spec import Fields
from scheme.wire.iso8583_tlv import decode_tlv, encode_tlv
from switch.core.cash import CASH_RAIL, CashAnswer, CashRecord
from switch.core.iso8583_codes import FORMAT_ERROR, INVALID_AMOUNT
from switch.core.iso8583_requests import key_of

WITHDRAWAL: Final = "01"
"""First digits of DE3."""
AGENTS_LANE: Final = "mqtt"
"""Lane of the institutions whose field agents identify a member, who then needs no card."""
ANSWER: Final = "0210"
PIN_BLOCK: Final = "52"
_CODE_TAG: Final = "30"
_PHONE_TAG: Final = "31"
_ID_TAG: Final = "01"
_RAIL_TAG: Final = "02"
_REASON_TAG: Final = "03"
_FORWARDED: Final = (
    "2", "3", "4", "12", "13", "18", "22", "25", "37", "41", "42", "43", "49", "52",
)  # fmt: skip
"""Elements that reach the issuer as the machine sent them."""
_AMOUNT_DIGITS: Final = 12


class CashOrder(Struct, frozen=True, gc=False):
    """A machine's request as it was read.

    Attributes:
        content: digest of what moves money, the code left out.
        card: number, or empty; phone and code: of a withdrawal without a card, or empty.
        account: CCI, of a withdrawal at a field agent; else empty.
        amount: minor units.
    """

    key: str
    content: str
    card: str
    phone: str
    code: str
    amount: int
    currency: str
    machine: str
    account: str = ""

    @property
    def named_by(self) -> str:
        """Which element tells its issuer."""
        return "DE102" if self.account else "DE2"


def account_named(fields: Fields, acquirer: Participant) -> str:
    """Return the account that a field agent names in DE102, or nothing.

    From all others DE102 is not looked at: a machine has no way to know whose account it is.

    Raises:
        MalformedMessage: it is none, or a card or a phone is there too.
    """
    account = fields.get("102", "").strip()
    if acquirer.lane != AGENTS_LANE or not account:
        return ""
    if not is_well_formed(account):
        raise MalformedMessage("20 digits", field="DE102")
    private = decode_tlv(fields.get("48", ""), "48")
    if fields.get("2") or _PHONE_TAG in private or _CODE_TAG in private:
        raise MalformedMessage("an account, or a card, or a phone and its code", field="DE102")
    return account


def read_order(fields: Fields, acquirer: Participant, now: datetime) -> CashOrder | CashAnswer:
    """Read a withdrawal whose elements are there, or say what is wrong with its form."""
    key = key_of(fields, acquirer, now)
    try:
        private = decode_tlv(fields.get("48", ""), "48")
        account = account_named(fields, acquirer)
    except MalformedMessage as error:
        return malformed(f"{error.field}: {error.rule}")
    card, phone = fields.get("2", ""), private.get(_PHONE_TAG, "")
    code = private.get(_CODE_TAG, "")
    if card and phone:
        return malformed("DE2: a card, or a phone in DE48.31, not both")
    if not card and not account and not (phone and code):
        return malformed("DE2: a card, or a phone in DE48.31 and its code in DE48.30")
    currency = CURRENCY_BY_CODE.get(fields.get("49", ""))
    if currency is None:
        return malformed("DE49: 604 or 840")
    digits = fields.get("4", "")
    if not (digits.isascii() and digits.isdigit()) or int(digits) == 0:
        return CashAnswer(
            response_code=INVALID_AMOUNT, reason=ReasonCode.AM01, rule="DE4: above zero"
        )
    amount = int(digits)
    # Only where there is one: digests of withdrawals by card are on disk without it.
    moves = (card, phone, amount, currency, *filter(None, (account,)))
    content = hashlib.sha256(repr(moves).encode()).hexdigest()
    machine = fields.get("41", "")
    return CashOrder(key, content, card, phone, code, amount, currency, machine, account)


def malformed(rule: str) -> CashAnswer:
    """Return the refusal of what has not the form of a request."""
    return CashAnswer(response_code=FORMAT_ERROR, reason=ReasonCode.FF02, rule=rule)


def issuer_of(card: str, fleet: Mapping[str, Participant]) -> Participant | None:
    """Return who issued a card: the participant with the longest of its first digits."""
    found: tuple[int, Participant] | None = None
    for one in fleet.values():
        for digits in one.iso8583.bins:
            if card.startswith(digits) and (found is None or len(digits) > found[0]):
                found = (len(digits), one)
    return None if found is None else found[1]


def keeper_of(account: str, fleet: Mapping[str, Participant]) -> Participant | None:
    """Return who keeps an account."""
    return fleet.get(participant_of(account))


def request_to_issuer(
    fields: Fields, acquirer: str, *, transfer_id: str = "", phone: str = "", account: str = ""
) -> Fields:
    """Return the 0200 an issuer gets: a withdrawal's, or an enquiry's without an id.

    Args:
        phone: of a withdrawal by one-time code; the code itself stays here.
        account: where the issuer is told it, and no card.
    """
    request = {"t": "0200"}
    request |= {element: fields[element] for element in _FORWARDED if element in fields}
    request["32"] = acquirer
    if phone:
        request["48"] = encode_tlv({_PHONE_TAG: phone})
    if account:
        request["102"] = account
    if transfer_id:
        request["62"] = encode_tlv({_ID_TAG: transfer_id, _RAIL_TAG: CASH_RAIL})
    return request


def without_pin(prepared: bytes, issuer: Participant) -> bytes:
    """Return a prepared request as it may be kept."""
    spoken = codec(issuer.iso8583.spec)
    fields = spoken.decode(prepared)
    if fields.pop(PIN_BLOCK, None) is None:
        return prepared
    return spoken.encode(fields)


def is_its_answer(record: CashRecord, fields: Fields) -> bool:
    """Tell whether what an issuer answered is about the withdrawal it was asked for.

    What it does not echo it does not contradict.
    """
    if fields["t"] != ANSWER or other_money(fields, record.amount, record.currency):
        return False
    # With a card no account was named, so whichever it names is its own matter.
    if record.names_account and fields.get("102", record.account).rstrip() != record.account:
        return False
    try:
        named = decode_tlv(fields.get("62", ""), "62")
    except MalformedMessage:
        return False
    return named.get(_ID_TAG, record.transfer_id) == record.transfer_id


def other_money(fields: Fields, amount: int, currency: str) -> str:
    """Return which element names another amount or currency than a withdrawal's, or nothing."""
    if fields.get("4", f"{amount:0{_AMOUNT_DIGITS}}") != f"{amount:0{_AMOUNT_DIGITS}}":
        return "DE4"
    if "49" in fields and CURRENCY_BY_CODE.get(fields["49"]) != currency:
        return "DE49"
    return ""


def dispensed_of(fields: Fields) -> int | None:
    """Return what a reversal says was given out, 0 without DE95; None if it is no amount."""
    if "95" not in fields:
        return 0
    digits = fields["95"][:_AMOUNT_DIGITS]
    whole = len(digits) == _AMOUNT_DIGITS and digits.isascii() and digits.isdigit()
    return int(digits) if whole else None


def reason_named(fields: Fields) -> str:
    """Return the reason that an issuer's answer names in DE62, or nothing."""
    try:
        return decode_tlv(fields.get("62", ""), "62").get(_REASON_TAG, "")
    except MalformedMessage:
        return ""  # What counts is DE39; the reason behind it is an extra.
