"""What became of a transfer whose creditor posts on the order itself, in sentences."""

from collections.abc import Mapping
from gettext import gettext as _
from typing import Final

from chasqui.answers import TimelineRow, Transfer, TransferDetail
from chasqui.iso_lines import frame_answer, frame_reference, is_frame
from chasqui.language import N_
from chasqui.output import local_second

DEBTOR: Final = "debtor"
"""Who decided it where its own debtor's agent took the order back."""
SENTENCES: Final[Mapping[str, str]] = {
    "CONFIRMED": N_(
        "Paid: {creditor} credited it and said so (0210), and the clearing house posted it, which "
        "is final."
    ),
    "EXPIRED": N_(
        "Expired: {creditor} gave no sound answer in time, so the clearing house refused it. "
        "Its reversal (0420) is still owed to {creditor}, which may have credited it."
    ),
    "CANCELLED": N_(
        "Expired: {creditor} gave no sound answer in time, so the clearing house refused it, and "
        "{creditor} has answered the reversal (0430): it holds nothing of it."
    ),
    "DISPUTED": N_(
        "In dispute: {creditor} gave no sound answer in time, so the payer has the money back; "
        "asked by a reversal (0420) to undo what it may have credited, {creditor} refused{answer}."
    ),
}
REVERSED: Final[Mapping[str, str]] = {
    "EXPIRED": N_(
        "Taken back: {debtor} reversed it (0420) before it was decided; the money is back. "
        "{creditor} may hold it, and is still owed its cancellation."
    ),
    "CANCELLED": N_(
        "Taken back: {debtor} reversed it (0420) before it was decided; the money is back, and "
        "{creditor} holds nothing of it."
    ),
}
CASH: Final[Mapping[str, str]] = {
    "AUTHORISING": N_("In flight: the money is held, and the issuer, {debtor}, has been asked."),
    "APPROVED": N_(
        "Withdrawn: the issuer, {debtor}, charged the account, and the clearing house posted it to "
        "{creditor}, whose machine gives the cash out. What it did not give out is the part "
        "returned."
    ),
    "DISPUTED_POSTED": N_(
        "In dispute: the withdrawal is posted, the machine of {creditor} did not give all of it "
        "out, and the issuer, {debtor}, refuses to give that back to its member."
    ),
    "DECLINED": N_("Declined: no money moved."),
    "EXPIRED": N_(
        "Expired: no outcome in time, so no cash is given out; the issuer, {debtor}, which may "
        "have charged the account, is still owed the reversal (0420)."
    ),
    "CANCELLED": N_(
        "Expired: no outcome in time, so no cash is given out; the issuer, {debtor}, holds nothing "
        "of it."
    ),
    "DISPUTED": N_(
        "In dispute: no outcome in time, so no cash was given out, and the issuer, {debtor}, "
        "refuses to undo what it may have charged."
    ),
}
BURIED: Final = N_(
    "Never executed: at {time}, {debtor} took back (0420) a request that had not come here until "
    "then, STAN {stan}, RRN {rrn}. Should it still come, it is refused; no money moves."
)
"""What it means that a reversal came first."""
_CASH_PREFIX: Final = "W"
_KEY_PREFIX: Final = "iso"
_KEY_PARTS: Final = 5
_ASK_ISSUER: Final = N_(
    "ask {debtor} what it charged under {reference}, and have it give back by hand what its member "
    "did not get; nothing here changes by itself. Until then the books differ by this withdrawal: "
    "chasqui reconcile --books"
)
_TOMBSTONE: Final = "TOMBSTONE"
_NEVER_CAME: Final = "tombstone"
"""The rule of a tombstone for what was not refused, as it was not there."""
_DISPUTES: Final = frozenset({"DISPUTED", "DISPUTED_POSTED"})
_ASK: Final = N_(
    "ask {creditor} what it booked under {reference}. If it credited the account, it takes that "
    "back by hand, or the payer pays once more; nothing here changes by itself. Until then the "
    "books differ by this transfer: chasqui reconcile --books"
)
_REVERSALS: Final = frozenset({"0420", "0421"})


def is_of_lane(detail: TransferDetail) -> bool:
    """Tell whether the order went to its creditor's agent as a frame of ISO 8583."""
    one = detail.transfer
    if one is None or not one.creditor_agent:
        return False
    if any(row.message in _REVERSALS for row in detail.owed):
        return True
    return any(
        is_frame(row.message) and one.creditor_agent in (row.sender, row.receiver)
        for row in detail.timeline
    )


def sentence(detail: TransferDetail) -> str | None:
    """Return what became of it, in a template; None where it ended as on any other wire."""
    one = detail.transfer
    if one is None:
        return None
    if is_cash(one.instruction_id) and one.state in CASH:
        return _(CASH[one.state])
    if one.state == _TOMBSTONE:
        return _buried(one)
    if detail.decision.decided_by == DEBTOR and one.state in REVERSED:
        return _(REVERSED[one.state])
    if one.state not in SENTENCES or not is_of_lane(detail):
        return None
    answer = _last(detail, "0430", one.creditor_agent)
    told = frame_answer(answer.body) if answer else ""
    return _(SENTENCES[one.state]).replace("{answer}", f" ({told})" if told else "")


def dispute(detail: TransferDetail) -> str | None:
    """Return what to do about a dispute of this lane; None if it is none."""
    one = detail.transfer
    if one is None or one.state not in _DISPUTES:
        return None
    if is_cash(one.instruction_id):
        text, peer = _ASK_ISSUER, one.debtor_agent
    elif is_of_lane(detail):
        text, peer = _ASK, one.creditor_agent
    else:
        return None
    asked = _last(detail, "0200", peer) or _last(detail, "0420", peer)
    reference = frame_reference(asked.body) if asked else ""
    return _(text).format(
        creditor=one.creditor_agent,
        debtor=one.debtor_agent,
        reference=reference or one.instruction_id,
    )


def is_buried(detail: TransferDetail) -> bool:
    """Tell whether a reversal came before its request, which was then never refused."""
    one = detail.transfer
    if one is None or one.state != _TOMBSTONE or detail.decision.rule != _NEVER_CAME:
        return False
    return _buried(one) is not None


def _buried(one: Transfer) -> str | None:
    """Return what a reversal was that came before its request; None if nobody reversed it."""
    # iso:0975:20261123:000123:632813000123, as the clearing house makes the keys of requests.
    prefix, *rest = one.instruction_id.split(":")
    if prefix != _KEY_PREFIX or len(rest) != _KEY_PARTS - 1:
        return None
    stan, rrn = (text.replace("{", "{{").replace("}", "}}") for text in rest[-2:])
    said = _(BURIED).replace("{stan}", stan).replace("{rrn}", rrn)
    return said.replace("{time}", local_second(one.created_at))


def is_cash(instruction_id: str) -> bool:
    """Tell whether an id is that of a withdrawal at a machine."""
    return instruction_id.startswith(_CASH_PREFIX)


def _last(detail: TransferDetail, message: str, peer: str) -> TimelineRow | None:
    """Return the last frame of a type that passed between clearing house and an institution."""
    found = [
        row
        for row in detail.timeline
        if row.message == message and peer in (row.sender, row.receiver)
    ]
    return found[-1] if found else None
