"""What the clearing house itself refuses of cash at machines, in the order it checks."""

from collections.abc import Mapping
from typing import Final

from scheme.network import Participant
from scheme.profile import AgentRules
from scheme.profile import Cash as CashRules
from scheme.reasons import ReasonCode
from switch.core.cash import CashAnswer
from switch.core.iso8583_codes import (
    ABOVE_LIMIT,
    DUPLICATE,
    INVALID_AMOUNT,
    ISSUER_UNAVAILABLE,
    NO_FUNDS,
    NOT_PERMITTED,
    NOT_SIGNED_ON,
    response_code_of,
)
from switch.core.sessions import NetworkState

NO_SUCH_ISSUER: Final = "15"
OTHER_CONTENT: Final = CashAnswer(
    response_code=DUPLICATE,
    reason=ReasonCode.AM05,
    rule="DE11: known key with other content; the first stands",
)
TAKEN_BACK: Final = CashAnswer(
    response_code=ISSUER_UNAVAILABLE,
    reason=ReasonCode.DS24,
    rule="DE11: its reversal came first; it is never executed",
)
UNREACHABLE: Final = CashAnswer(
    response_code=ISSUER_UNAVAILABLE,
    reason=ReasonCode.AB05,
    rule="DE2: no link to the issuer; nothing is owed to it",
)
SILENT: Final = CashAnswer(
    response_code=ISSUER_UNAVAILABLE,
    reason=ReasonCode.AB05,
    rule="DE2: no sound answer of the issuer in time",
)
FORGOTTEN: Final = CashAnswer(
    response_code=ISSUER_UNAVAILABLE,
    reason=ReasonCode.AB05,
    rule="DE2: the clearing house restarted before the issuer's answer came",
)
GIVEN_UP: Final = CashAnswer(
    response_code=ISSUER_UNAVAILABLE,
    reason=ReasonCode.DS24,
    rule="DE11: the machine took it back before there was an outcome",
)


def _refused(reason: ReasonCode, rule: str, code: str = "") -> CashAnswer:
    return CashAnswer(response_code=code or response_code_of(reason), reason=reason, rule=rule)


def acquirer_operates(code: str, state: NetworkState) -> CashAnswer | None:
    """Refuse while the system is suspended, or a machine's institution signed off or blocked."""
    if state.suspended:
        return _refused(ReasonCode.FF07, "MTI: the system is suspended", ISSUER_UNAVAILABLE)
    session = state.session(code)
    if session.blocked:
        return _refused(ReasonCode.DNOR, f"DE32: {code} is blocked", NOT_SIGNED_ON)
    if not session.signed_on:
        return _refused(ReasonCode.DNOR, f"DE32: {code} is not signed on", NOT_SIGNED_ON)
    return None


def issuer_fits(
    issuer: Participant | None,
    acquirer: Participant,
    currency: str,
    state: NetworkState,
    *,
    named_by: str = "DE2",
) -> CashAnswer | None:
    """Refuse an issuer that nobody knows, cannot be asked, or holds no position here.

    Args:
        named_by: the element that told the issuer.
    """
    if issuer is None:
        return _refused(ReasonCode.AC01, f"{named_by}: no participant issued it", NO_SUCH_ISSUER)
    code = issuer.code
    if issuer.lane != "iso8583":
        rule = f"{named_by}: {code} is not on the ISO 8583 lane, so it cannot be asked for cash"
        return _refused(ReasonCode.FF07, rule, NOT_PERMITTED)
    if code == acquirer.code:
        rule = f"DE32: {code} pays its own members itself"
        return _refused(ReasonCode.FF07, rule, NOT_PERMITTED)
    for one in (issuer, acquirer):
        if currency not in one.currencies:
            rule = f"DE49: {one.code} holds no position in {currency}"
            return _refused(ReasonCode.FF07, rule, NOT_PERMITTED)
    session = state.session(code)
    if session.blocked or not session.signed_on:
        stand = "blocked" if session.blocked else "not signed on"
        return _refused(
            ReasonCode.AB05, f"{named_by}: the issuer {code} is {stand}", ISSUER_UNAVAILABLE
        )
    return None


def amount_fits(amount: int, currency: str, rules: CashRules) -> CashAnswer | None:
    """Refuse what no machine gives out."""
    least, most = rules.withdrawal_min[currency], rules.withdrawal_max[currency]
    step = rules.withdrawal_step[currency]
    if amount > most:
        return _refused(ReasonCode.AM09, f"DE4: at most {most}", ABOVE_LIMIT)
    if amount < least:
        return _refused(ReasonCode.AM09, f"DE4: at least {least}", INVALID_AMOUNT)
    if amount % step:
        return _refused(ReasonCode.AM09, f"DE4: in steps of {step}", INVALID_AMOUNT)
    return None


def agent_amount_fits(amount: int, currency: str, rules: AgentRules) -> CashAnswer | None:
    """Refuse what no field agent may pay out; one has coins too, and no least amount."""
    most = rules.operation_max[currency]
    if amount > most:
        return _refused(ReasonCode.AM09, f"DE4: at most {most}", ABOVE_LIMIT)
    return None


def position_short(owner: str, fleet: Mapping[str, Participant], available: int) -> CashAnswer:
    """Return the refusal that names whose position lacks the money."""
    member = fleet.get(owner)
    behind = f" with its sponsor {member.sponsor}" if member is not None and member.sponsor else ""
    rule = f"DE4: the position of {owner}{behind} is short: {max(available, 0)} now"
    return _refused(ReasonCode.FF07, rule, NO_FUNDS)
