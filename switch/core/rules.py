"""What the clearing house itself refuses, in the order it checks
(docs/wire/tin-messages.md#answers-of-the-clearing-house).

Each check returns the first Refusal or None. A refusal names the field and the rule, so that the
answer's header, the logs and the person reading them can say why; the wire carries the code.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from msgspec import Struct

from scheme import cci
from scheme.clock import to_ms
from scheme.ledger import Account
from scheme.messages import AV1, CT1
from scheme.network import Participant
from scheme.profile import Profile
from scheme.reasons import ReasonCode
from switch.core.rails import Rail
from switch.core.records import Binding
from switch.core.sessions import NetworkState


class Refusal(Struct, frozen=True, gc=False):
    """A lawful "no" of the clearing house.

    Attributes:
        rule: a slug that stays the same, e.g. ``creditor_signed_off``; catalogues explain it.
        field: the field of the wire that it concerns.
        text: the rule in words, without any value of a person.
        is_outcome: False: it stores nothing, because the same message can only fail again.
    """

    reason: str
    rule: str
    field: str
    text: str
    is_outcome: bool = True

    @property
    def header(self) -> str:
        """What the answer's ``X-Chasqui-Error`` says."""
        return f"{self.field}: {self.text}"


WALLET_QR: Final = "O"
PHONE_PROXIES: Final = frozenset({"MSISDN", "M"})

OTHER_CONTENT: Final = Refusal(
    ReasonCode.AM05,
    "other_content",
    "referenceTransactionId",
    "known key with other content; the first stands",
    is_outcome=False,
)
RESEND_UNMARKED: Final = Refusal(
    ReasonCode.AM05,
    "resend_unmarked",
    "messageTypeId",
    "a repeat must say 0201 under this profile",
    is_outcome=False,
)
OVERLOADED: Final = Refusal(
    ReasonCode.FF07, "overloaded", "root", "the clearing house is overloaded; nothing was reserved"
)
UNKNOWN_ALIAS: Final = Refusal(
    ReasonCode.CH11, "alias_unknown", "creditorMobileNumber", "not known at that participant"
)
UNKNOWN_TOKEN: Final = Refusal(
    ReasonCode.CH11, "token_unknown", "proxyValue", "not known in that directory"
)
DIRECTORY_AWAY: Final = Refusal(
    ReasonCode.FF07, "directory_away", "root", "the directory cannot be read just now; try again"
)
UNREACHABLE: Final = Refusal(
    ReasonCode.AB05,
    "creditor_unreachable",
    "creditorParticipantCode",
    "no connection to it could be established; nothing is owed to it",
)
SILENT: Final = Refusal(
    ReasonCode.AB05,
    "creditor_silent",
    "creditorParticipantCode",
    "no sound answer within the expiry",
)
FORGOTTEN: Final = Refusal(
    ReasonCode.AB05,
    "reservation_forgotten",
    "creditorParticipantCode",
    "the clearing house restarted before its answer came",
)


def debtor_registered(code: str, fleet: Mapping[str, Participant]) -> Refusal | None:
    """Refuse a debtor's agent that was never registered."""
    if code in fleet:
        return None
    return Refusal(
        ReasonCode.DNOR,
        "debtor_unknown",
        "debtorParticipantCode",
        "not a registered participant",
        is_outcome=False,
    )


def debtor_operates(code: str, state: NetworkState) -> Refusal | None:
    """Refuse while the system is suspended, or a debtor's agent not signed on, or blocked."""
    if state.suspended:
        return Refusal(ReasonCode.FF07, "system_suspended", "root", "the system is suspended")
    session = state.session(code)
    if session.blocked:
        return _debtor("debtor_blocked", f"{code} is blocked")
    if not session.signed_on:
        return _debtor("debtor_signed_off", f"{code} is not signed on; send SignOn1 first")
    return None


def _debtor(rule: str, text: str) -> Refusal:
    return Refusal(ReasonCode.DNOR, rule, "debtorParticipantCode", text)


def creditor_operates(
    code: str,
    currency: str,
    fleet: Mapping[str, Participant],
    state: NetworkState,
    *,
    must_be_on: bool = True,
) -> Refusal | None:
    """Refuse a creditor's agent that is unknown, signed off, blocked, or lacks the currency."""
    participant = fleet.get(code)
    session = state.session(code)
    # A core is asked over the links that it dials itself; it need not listen anywhere.
    if participant is None or not participant.listens:
        return _creditor("creditor_unknown", f"{code} is not registered as a receiver")
    if session.blocked:
        return _creditor("creditor_blocked", f"{code} is blocked")
    if must_be_on and not session.signed_on:
        return _creditor("creditor_signed_off", f"{code} is not signed on")
    if currency not in participant.currencies:
        return _creditor("creditor_currency", f"{code} holds no position in {currency}")
    return None


def _creditor(rule: str, text: str) -> Refusal:
    return Refusal(ReasonCode.FF07, rule, "creditorParticipantCode", text)


def debtor_currency(code: str, currency: str, fleet: Mapping[str, Participant]) -> Refusal | None:
    """Refuse a currency in which the debtor's agent holds no position to debit."""
    if currency in fleet[code].currencies:
        return None
    text = f"{code} holds no position in {currency}"
    return Refusal(ReasonCode.FF07, "debtor_currency", "currency", text)


def sponsor_operates(
    role: str,
    coop: Participant,
    fleet: Mapping[str, Participant],
    state: NetworkState,
    *,
    must_be_on: bool,
) -> Refusal | None:
    """Refuse what leaves or enters the network while the coop's sponsor cannot stand for it.

    Args:
        role: ``debtor`` or ``creditor``: what the coop is here.
    """
    code, session = coop.sponsor, state.session(coop.sponsor)
    if code not in fleet:
        rule, text = "unknown", f"{coop.code} has no sponsor here"
    elif session.blocked:
        rule, text = "blocked", f"{code}, sponsor of {coop.code}, is blocked"
    elif must_be_on and not session.signed_on:
        rule, text = "signed_off", f"{code}, sponsor of {coop.code}, is not signed on"
    else:
        return None
    return Refusal(ReasonCode.FF07, f"{role}_sponsor_{rule}", f"{role}ParticipantCode", text)


def breaker_open(code: str, rail: str) -> Refusal:
    """Refuse at once what would go to an agent that counts as down."""
    text = f"{code} counts as down on the rail {rail}: its circuit breaker is open"
    return Refusal(ReasonCode.AB05, "breaker_open", "creditorParticipantCode", text)


def not_on_us(debtor: str, creditor: str, profile: Profile) -> Refusal | None:
    """Refuse a transfer inside one institution, unless the profile allows it."""
    if debtor != creditor or profile.switch.on_us_allowed:
        return None
    return _creditor("on_us", "the debtor's own institution: it books that itself")


def account_digits(field: str, value: str | None, mode: str) -> Refusal | None:
    """Refuse a CCI as strictly as the profile wants."""
    if value is None or mode != cci.CciCheck.STRICT or cci.is_placeholder(value):
        return None
    fault = cci.fault(value, cci.CciCheck.STRICT)
    if fault is None:
        return None
    return Refusal(ReasonCode.FF02, "cci_digits", field, fault, is_outcome=False)


def binding_found(
    binding: Binding | None, now: datetime, profile: Profile, ct1: CT1
) -> Refusal | None:
    """Refuse an order whose reference is unknown, or older than a binding lives."""
    life_ms = profile.timers.av_binding_s * 1000
    if binding is None or binding.debtor_agent != ct1.debtorParticipantCode:
        text = "no accepted verification under this id: verify again with AV1"
    elif to_ms(now) - binding.created_ms > life_ms:
        text = f"the verification is older than {profile.timers.av_binding_s:.0f} s: verify again"
    else:
        return None
    return Refusal(
        ReasonCode.BE15, "binding_unknown", "referenceTransactionId", text, is_outcome=False
    )


def binding_agrees(ct1: CT1, binding: Binding) -> Refusal | None:
    """Refuse an order that differs from the verification it quotes."""
    creditors = (binding.creditor_agent, binding.requested_creditor)
    checks = (
        ("debtorIdCode", ct1.debtorIdCode == binding.debtor_id_code),
        ("debtorId", ct1.debtorId == binding.debtor_id),
        ("creditorParticipantCode", ct1.creditorParticipantCode in creditors),
        ("creditorCCI", ct1.creditorCCI == binding.creditor_cci),
        ("creditorCreditCard", ct1.creditorCreditCard == binding.creditor_card),
        ("currency", ct1.currency == binding.currency),
        ("transactionType", ct1.transactionType == binding.transaction_type),
    )
    for field, agrees in checks:
        if not agrees:
            text = "differs from the verification quoted in referenceTransactionId"
            return Refusal(ReasonCode.FF02, "binding_differs", field, text)
    return None


def within_limit(rail: Rail, minor: int, currency: str, profile: Profile) -> Refusal | None:
    """Refuse an amount above or below the rail's limits per transfer."""
    limits = profile.limits
    match rail:
        case Rail.DEFERRED:
            name, least, most = "a deferred transfer", 0, limits.deferred_max[currency]
        case Rail.LBTR:
            name, least, most = "an LBTR transfer", limits.lbtr_min[currency], minor
        case _:
            name = "an immediate transfer"
            least, most = limits.tin_min[currency], limits.tin_max[currency]
    if least <= minor <= most:
        return None
    if minor > most:
        text = f"above the limit of {name}, {_amount(most)} {currency}"
        return Refusal(ReasonCode.FF07, "above_limit", "amount", text)
    text = f"below the least amount of {name}, {_amount(least)} {currency}"
    return Refusal(ReasonCode.FF07, "below_limit", "amount", text)


def _amount(minor: int) -> str:
    return f"{minor // 100:,}.{minor % 100:02}"


def without_cover(short: Account, debtor: Participant) -> Refusal:
    """Refuse an order that a position does not cover, and name the position."""
    if not debtor.is_tiered:
        rule, text = "prefund_short", f"the prefund of {debtor.code} does not cover it"
    elif short.owner == debtor.code:
        rule = "line_short"
        text = f"the line of {debtor.code} with its sponsor {debtor.sponsor} does not cover it"
    else:
        rule = "sponsor_prefund_short"
        text = f"the prefund of {short.owner}, sponsor of {debtor.code}, does not cover it"
    return Refusal(ReasonCode.FF07, rule, "amount", text)


_REFUSED_FIELD: Final[Mapping[str, str]] = {
    ReasonCode.AC01: "creditorCCI",
    ReasonCode.AC06: "creditorCCI",
    ReasonCode.AC07: "creditorCCI",
    ReasonCode.AC11: "currency",
    ReasonCode.AC14: "transactionType",
    ReasonCode.AM01: "amount",
    ReasonCode.AM05: "instructionId",
    ReasonCode.AM09: "amount",
    ReasonCode.BE08: "debtorName",
    ReasonCode.BE15: "referenceTransactionId",
    ReasonCode.BE16: "debtorId",
    ReasonCode.CH11: "creditorMobileNumber",
    ReasonCode.DNOR: "debtorParticipantCode",
    ReasonCode.FF07: "transactionType",
}
"""The field that each reason speaks of; of the others only its agent knows which."""


def creditor_refused(reason: str) -> Refusal:
    """Pass the creditor's own refusal on."""
    text = "refused by the creditor's agent"
    return Refusal(reason, "creditor_refused", _REFUSED_FIELD.get(reason, "root"), text)


def alias_of(av1: AV1) -> tuple[str | None, str | None]:
    """Return the phone and the QR token an AV1 asks to be resolved, if any."""
    if av1.channel != "52":
        return None, None
    if av1.proxyValue is not None and av1.proxyType == WALLET_QR:
        return None, av1.proxyValue
    if av1.creditorCCI is None or not cci.is_placeholder(av1.creditorCCI):
        return None, None
    # Some connectors put the phone into the proxy; an empty alias is one that nobody has.
    named = av1.proxyValue if av1.proxyType in PHONE_PROXIES else None
    return av1.creditorMobileNumber or named or "", None
