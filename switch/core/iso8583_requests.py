"""What a debtor's core asks for over ISO 8583, read and checked.

What is wrong with a request is named by data element and tag: ``DE48.04``. What the codec has
checked already (digits and lengths of the elements themselves) is not looked at again.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from scheme import cci
from scheme.clock import lima
from scheme.codes import Channel, document_fault
from scheme.errors import MalformedMessage
from scheme.messages import AV1, CT1
from scheme.messages.rules import DIGITS, FieldRule, rules_of
from scheme.money import CURRENCY_BY_CODE
from scheme.network import Participant
from scheme.profile import PLAZAS
from scheme.reasons import ReasonCode
from scheme.wire.iso8583_spec import Fields
from scheme.wire.iso8583_tlv import decode_tlv
from switch.core.iso8583_messages import PHONE, QR_TOKEN

WITHDRAWAL: Final = "01"
DEPOSIT: Final = "21"
BALANCE: Final = "31"
VERIFICATION: Final = "33"
STATEMENT: Final = "38"
TRANSFER: Final = "40"

CURRENCY_DEFAULT: Final = "604"
"""What a verification is about that names no currency."""
_CHANNELS: Final[Mapping[str, str]] = {"6010": Channel.TELLER, "6011": Channel.ATM}
"""By merchant type (DE18); an institution's own core says nothing of its customers' channel."""
_ORIGINALS: Final = frozenset({"0200", "0201"})
_HALF_A_YEAR: Final = 6
_BETWEEN: Final = "\x1f"
"""Between the parts of a content: no element may hold it, so no two contents look alike."""

_RULES: Final[Mapping[str, FieldRule]] = {
    rule.name: rule for message in (AV1, CT1) for rule in rules_of(message)
}
_TAGS: Final[Mapping[str, FieldRule]] = {
    "01": _RULES["creditorParticipantCode"],
    "04": _RULES["debtorName"],
    "05": _RULES["debtorIdCode"],
    "06": _RULES["debtorId"],
    "07": _RULES["debtorMobileNumber"],
    "08": _RULES["creditorName"],
    "09": _RULES["debtorTypeOfPerson"],
    "10": _RULES["referenceTransactionId"],
    "12": _RULES["applicationCriteria"],
    "13": _RULES["sameCustomerFlag"],
    "14": _RULES["unstructuredInformation"],
}
# The same, at hand: to ask each rule would be a twentieth of a transfer between two cores.
_BOUNDS: Final[Mapping[str, tuple[int, int, bool]]] = {
    tag: (rule.least, rule.most, rule.kind == DIGITS) for tag, rule in _TAGS.items()
}
_FEE_DIGITS: Final = len(str(_RULES["feeAmount"].most))


class TransferRequest(Struct, frozen=True, gc=False, kw_only=True):
    """A 0200 of a debtor's core, read once: a transfer, a deposit or a verification.

    Attributes:
        kind: the first two digits of DE3.
        parties: DE48 by tag, without what was left blank.
        creditor: participant or directory code.
        creditor_cci: as given; None where an alias or an earlier verification stands for it.
        phone, token: the alias, if there is one.
        reference: id of an earlier verification, or empty.
    """

    fields: Fields
    debtor: Participant
    kind: str
    parties: Mapping[str, str]
    creditor: str
    creditor_cci: str | None
    phone: str | None
    token: str | None
    reference: str

    @property
    def is_by_alias(self) -> bool:
        """Whether the payee is named by phone or token."""
        return self.phone is not None or self.token is not None

    @property
    def alias(self) -> str:
        """Phone or token, or empty."""
        return self.phone or self.token or ""

    @property
    def is_by_account(self) -> bool:
        """Whether the payee is named by nothing but an account."""
        return self.creditor_cci is not None and not self.is_by_alias and not self.reference

    @property
    def channel(self) -> str:
        """Where the payer ordered."""
        if self.is_by_alias:
            return Channel.ALIAS
        usual = Channel.TELLER if self.kind == DEPOSIT else Channel.MOBILE
        return _CHANNELS.get(self.fields.get("18", ""), usual)


def created(fields: Fields, now: datetime) -> str:
    """Return ``yyyyMMdd`` of DE13, in the year that brings it nearest to now."""
    day = fields["13"]
    local = lima(now)
    ahead = int(day[:2]) - local.month
    year = local.year
    if ahead > _HALF_A_YEAR:
        year -= 1
    elif ahead < -_HALF_A_YEAR:
        year += 1
    return f"{year}{day}"


def key_of(fields: Fields, debtor: Participant, now: datetime) -> str:
    """Return the idempotency key of a request; a repeat has the same, but not a year later.

    The day comes first, so that a new key lies behind all of earlier days: STANs start over.
    """
    return f"iso:{debtor.code}:{created(fields, now)}:{fields['11']}:{fields['37']}"


def original_key_of(fields: Fields, debtor: Participant, now: datetime) -> str:
    """Return the idempotency key of the request that a reversal names.

    Raises:
        MalformedMessage: DE90 names no request of this institution.
    """
    original = fields["90"]
    if original[:4] not in _ORIGINALS:
        raise _fault("DE90", "begins with 0200 or 0201")
    if int(original[20:31]) not in (0, int(debtor.code)):
        raise _fault("DE90", "its acquirer is that of DE32")
    return f"iso:{debtor.code}:{created(fields, now)}:{original[4:10]}:{fields['37']}"


def reversals_of(fields: Fields, now: datetime) -> tuple[Fields, ...]:
    """Return a reversal as it came, and with the day on which DE90 says its original was sent.

    One sent after midnight may have a DE13 of its own, which is not that of its original.
    """
    sent = fields["90"][10:20]
    named = created({"13": sent[:4]}, now) + sent[4:]
    try:
        day = f"{lima(datetime.strptime(named, '%Y%m%d%H%M%S').replace(tzinfo=UTC)):%m%d}"
    except ValueError:
        return (fields,)  # Zeros, as one may send that has not kept it.
    return (fields,) if day == fields["13"] else (fields, fields | {"13": day})


def check_reversal(fields: Fields, content: str) -> None:
    """Check that a reversal is of the amount and currency of its original.

    Args:
        content: the original's; empty where it is not known.

    Raises:
        MalformedMessage: names the element that differs.
    """
    if not content:
        return
    _, amount, currency, *_ = content.split(_BETWEEN)
    for element, value in (("4", amount), ("49", currency)):
        if fields[element] != value:
            raise _fault(f"DE{element}", "that of the original in DE90")


def content_of(request: TransferRequest) -> str:
    """Return what moves money in a request, to tell a repeat from another one."""
    given, parties = request.fields.get, request.parties.get
    return _BETWEEN.join(
        (
            request.kind,
            given("4", ""),
            given("49", ""),
            given("102", ""),
            request.creditor_cci or "",
            request.creditor,
            parties("02", ""),
            request.alias,
            request.reference,
            parties("11", ""),
        )
    )


def read_request(fields: Fields, debtor: Participant) -> TransferRequest:
    """Read a 0200 whose elements are there (``check_mandatory``).

    Raises:
        MalformedMessage: names the data element, its tag, the rule and the reason.
    """
    kind = fields["3"][:2]
    parties = _parties(fields.get("48", ""))
    if fields.get("49", CURRENCY_DEFAULT) not in CURRENCY_BY_CODE:
        raise _fault("DE49", "604 or 840")
    account = fields.get("103", "").rstrip() or None
    for element, value in (("DE102", fields.get("102", "").rstrip()), ("DE103", account)):
        if value and not cci.is_well_formed(value):
            raise _fault(element, "20 digits")
    phone, token = _alias(parties)
    if account is not None and "03" in parties and cci.is_placeholder(account):
        account = None  # "The account behind the alias", as the other wire has it.
    reference = parties.get("10", "") if kind != VERIFICATION else ""
    creditor = parties.get("01", "")
    if not creditor and account is not None:
        creditor = cci.participant_of(account)
    if not reference:
        if phone is None and token is None and account is None:
            raise _fault("DE103", "mandatory without an alias in DE48.02 and DE48.03")
        if not creditor:
            raise _fault("DE48.01", "mandatory with an alias")
    if kind != DEPOSIT:
        _check_payer(parties, must_have_name=kind == TRANSFER)
    return TransferRequest(
        fields=fields,
        debtor=debtor,
        kind=kind,
        parties=parties,
        creditor=creditor,
        creditor_cci=account,
        phone=phone,
        token=token,
        reference=reference,
    )


def _parties(text: str) -> Mapping[str, str]:
    parties = decode_tlv(text, 48)
    for value in parties.values():
        if value[-1:] <= " ":
            # From a core that fills its fields up with blanks, or sends them empty.
            parties = {tag: value.rstrip() for tag, value in parties.items() if value.rstrip()}
            break
    bounds = _BOUNDS.get
    for tag, value in parties.items():
        bound = bounds(tag)
        if bound is not None:
            least, most, is_digits = bound
            if not least <= len(value) <= most or (is_digits and not _only_digits(value)):
                raise _fault(f"DE48.{tag}", _TAGS[tag].text)
    fee = parties.get("11", "0")
    if len(fee) > _FEE_DIGITS or not _only_digits(fee):
        raise _fault("DE48.11", f"cents, at most {_FEE_DIGITS} digits")
    if parties.get("12", "M") not in PLAZAS:
        raise _fault("DE48.12", f"one of {', '.join(PLAZAS)}")
    return parties


def _only_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _alias(parties: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Return the phone and the token that stand for an account; None for what is not there."""
    kind, alias = parties.get("02"), parties.get("03")
    if kind is None and alias is None:
        return None, None
    if not parties.get("01", "0").startswith("0"):
        # No account can stand for that alias: unrefused, it would never have an answer.
        raise _fault("DE48.01", "begins with 0, with an alias")
    if kind not in (PHONE, QR_TOKEN):
        raise _fault("DE48.02", f"{PHONE} or {QR_TOKEN}, with an alias in DE48.03")
    rule = _RULES["creditorMobileNumber" if kind == PHONE else "proxyValue"]
    if alias is None or rule.fault(alias) is not None:
        raise _fault("DE48.03", rule.text)
    return (alias, None) if kind == PHONE else (None, alias)


def _check_payer(parties: Mapping[str, str], *, must_have_name: bool) -> None:
    if must_have_name and "04" not in parties:
        raise _fault("DE48.04", "mandatory", ReasonCode.BE08)
    for tag in ("05", "06"):
        if tag not in parties:
            raise _fault(f"DE48.{tag}", "mandatory")
    reason = document_fault(parties["05"], parties["06"])
    if reason is not None:
        raise _fault("DE48.06", "a document of the type in DE48.05", reason)


def _fault(field: str, rule: str, reason: ReasonCode = ReasonCode.FF02) -> MalformedMessage:
    return MalformedMessage(rule, field=field, reason=reason)
