"""Who decided what about a transfer, why, and what to do next: in sentences."""

from collections.abc import Mapping
from gettext import gettext as _
from typing import Final

from chasqui import iso_verdicts
from chasqui.answers import Transfer, TransferDetail
from chasqui.language import N_
from chasqui.meanings import advice, meaning
from chasqui.told import told

_CREDITOR: Final = "creditor"
_PASSED_ON: Final = "refused by the creditor's agent"
"""The rule of the clearing house where the creditor's agent has the reason."""
_REFUSED_BY_CREDITOR: Final = N_(
    "Refused by the creditor's institution, {creditor}; nothing was posted."
)
_REFUSED_BY_HOUSE: Final = N_("Refused by the clearing house itself; nothing was posted.")

_SENTENCES: Final[Mapping[str, str]] = {
    "RESERVED": N_(
        "In flight: the money is reserved, {creditor} has been asked, and nothing is decided yet."
    ),
    "POSTING": N_("In flight: {creditor} has accepted, and the posting is on its way to disk."),
    "REFUSING": N_("In flight: it will be refused once that is on disk."),
    "POSTED": N_(
        "Paid: {creditor} accepted and the clearing house posted it, which is final. "
        "Its confirmation (CT5) is still owed to {creditor}."
    ),
    "CONFIRMED": N_(
        "Paid: {creditor} accepted, the clearing house posted it, which is final, and {creditor} "
        "has acknowledged the confirmation (CT5)."
    ),
    "EXPIRED": N_(
        "Expired: {creditor} gave no sound answer in time, so the clearing house refused it. "
        "Its cancellation (CTC1) is still owed to {creditor}."
    ),
    "CANCELLED": N_(
        "Expired: {creditor} gave no sound answer in time, so the clearing house refused it, and "
        "{creditor} has acknowledged the cancellation (CTC1)."
    ),
    "DISPUTED": N_("In dispute: {creditor} does not undo what it may have credited."),
    "TOMBSTONE": N_(
        "Never executed: somebody asked about it, the clearing house did not know it, and it "
        "will never be posted."
    ),
    "VERIFIED": N_(
        "Verified: {creditor} has the account and can be paid there. An order may quote this id "
        "until it is 15 minutes old."
    ),
}
_REFUSED_QUERY: Final = {
    True: N_("Verification refused by the creditor's institution, {creditor}; no money moved."),
    False: N_("Verification refused by the clearing house; no money moved."),
}
_NEXT: Final[Mapping[str, str]] = {
    "RESERVED": N_("Look again in some seconds: chasqui show {subject}"),
    "POSTED": N_("It is repeated until acknowledged; send it now: chasqui resend"),
    "EXPIRED": N_("It is repeated until acknowledged; send it now: chasqui resend"),
    "DISPUTED": N_("Ask the institution, then decide: chasqui stuck"),
    "TOMBSTONE": N_("Whoever sent the order may send a new one."),
}


def verdict(detail: TransferDetail) -> list[str]:
    """Return what became of a transfer or verification: who decided, why, what to do."""
    one = detail.transfer
    if one is None:
        return [told(detail.explanation)] if detail.explanation else []
    return [
        _sentence(one, detail).format(
            creditor=one.creditor_agent or "?", debtor=one.debtor_agent or "?"
        ),
        # A reversal was no refusal: its reason is for the request, should that still come.
        *(
            ()
            if iso_verdicts.is_buried(detail)
            else reason_lines(one.reason_code, own_rule(detail.decision.rule), one.currency)
        ),
        *_next(one, detail),
    ]


def reason_lines(reason: str | None, rule: str = "", currency: str | None = None) -> list[str]:
    """Return why something was refused, and by which field and rule where that is known.

    Args:
        currency: of the amounts in the rule, where it is known.
    """
    lines = []
    if reason:
        why = meaning(reason, rule)
        lines.append(_("Reason {code}: {meaning}.").format(code=reason, meaning=why))
    if rule:
        lines.append(_("In detail: {rule}").format(rule=told(rule, currency=currency)))
    return lines


def _sentence(one: Transfer, detail: TransferDetail) -> str:
    by_creditor = detail.decision.decided_by == _CREDITOR or detail.decision.rule.endswith(
        _PASSED_ON
    )
    was_refused = one.state == "TOMBSTONE" and detail.decision.rule != "tombstone"
    if one.state == "REJECTED" or was_refused:
        return _(_REFUSED_BY_CREDITOR if by_creditor else _REFUSED_BY_HOUSE)
    if one.state == "REFUSED":
        return _(_REFUSED_QUERY[by_creditor])
    if (of_lane := iso_verdicts.sentence(detail)) is not None:
        return of_lane
    known = _SENTENCES.get(one.state)
    return _(known) if known else told(detail.explanation).replace("{", "{{").replace("}", "}}")


def own_rule(rule: str) -> str:
    """Return the rule, unless it only says that the reason is the creditor's."""
    return "" if rule.endswith(_PASSED_ON) or rule == "tombstone" else rule


def _next(one: Transfer, detail: TransferDetail) -> list[str]:
    known = _NEXT.get(one.state)
    rule = own_rule(detail.decision.rule)
    step = advice(one.reason_code, rule)
    if known:
        step = _(known).format(subject=one.instruction_id)
    step = iso_verdicts.dispute(detail) or step
    return [_("What to do: {step}").format(step=step)] if step else []
