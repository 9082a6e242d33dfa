"""The legs of a payment, as its payer and the clearing house saw them, in order."""

import time
from collections.abc import Iterable, Mapping

import click
from msgspec import structs

from chasqui.answers import Leg, Payment, TimelineRow, TransferDetail
from chasqui.country import Country
from chasqui.iso_lines import is_frame, operation_of, response_code_of
from chasqui.output import passed_ms

_CT5_LOOKS = 5
_CT5_LOOK_S = 0.1


_LANE = "iso8583"
_FRAMES: Mapping[str, tuple[str, str]] = {
    "AV1": ("0200", "33"),
    "AV4": ("0210", "33"),
    "CT1": ("0200", "40"),
    "CT4": ("0210", "40"),
}
"""What an institution of ISO 8583 sends and gets for what it calls by the names of the TIN."""


def all_legs(
    country: Country, payment: Payment, lane: str
) -> tuple[tuple[Leg, ...], TransferDetail | None]:
    """Return the legs in order, and what the clearing house says of the payment, if anything.

    Args:
        lane: of the payer's institution.
    """
    told = [_on_the_wire(leg) if lane == _LANE else leg for leg in payment.legs]
    seen: list[Leg] = []
    detail: TransferDetail | None = None
    for subject in (payment.verification_id, payment.instruction_id):
        if subject:
            detail = _detail(country, subject, is_final=payment.state == "FINAL") or detail
            seen += timed_legs(detail.timeline) if detail else []
    known = {_name(leg) for leg in seen}
    own = [leg for leg in told if _name(leg) not in known]
    by_name = {_name(leg): leg for leg in told}
    merged = [_with_codes(leg, by_name.get(_name(leg))) for leg in seen]
    # What only the payer saw are the calls of the directory and the QR module: they come first.
    unique = {
        (leg.message, leg.operation, leg.sender, leg.receiver): leg
        for leg in reversed([*own, *merged])
    }
    return tuple(reversed(unique.values())), detail


def _on_the_wire(leg: Leg) -> Leg:
    message, operation = _FRAMES.get(leg.message, (leg.message, leg.operation))
    return structs.replace(leg, message=message, operation=operation)


def _name(leg: Leg) -> tuple[str, str]:
    return leg.message, leg.operation


def _detail(country: Country, subject: str, *, is_final: bool) -> TransferDetail | None:
    """Return the clearing house's view; of a posted transfer, with CT5 if it comes at once."""
    detail: TransferDetail | None = None
    for _look in range(_CT5_LOOKS):
        try:
            detail = country.detail(subject)
        except click.ClickException:
            return detail  # The payment is what was asked for; its details are an extra.
        names = {row.message for row in detail.timeline}
        # A creditor of ISO 8583 posts on the order itself, and gets no CT5.
        if not is_final or names & {"CT5", "0210"} or not names & {"CT1", "CT2"}:
            break
        time.sleep(_CT5_LOOK_S)
    return detail


def timed_legs(timeline: Iterable[TimelineRow]) -> list[Leg]:
    """Return the messages of a timeline, each with its time.

    An answer's time is the wait for it, as measured; any other's is what passed since the
    message before it.
    """
    legs: list[Leg] = []
    before: str | None = None
    for row in timeline:
        if not (row.message and row.sender and row.receiver):
            continue
        leg = Leg(
            message=row.message,
            operation=operation_of(row.body) if is_frame(row.message) else "",
            sender=row.sender,
            receiver=row.receiver,
            ms=passed_ms(before, row.at) if row.ms is None else row.ms,
            response_code=row.response_code or response_code_of(row),
            reason_code=row.reason_code,
        )
        legs.append(leg)
        before = row.at
    return legs


def _with_codes(leg: Leg, own: Leg | None) -> Leg:
    """Return a leg with the answer its payer got, where the clearing house tells none."""
    if own is None or leg.response_code:
        return leg
    return structs.replace(leg, response_code=own.response_code, reason_code=own.reason_code)


def answer_text(response_code: str | None, reason_code: str | None) -> str:
    """Return what an answer says: ``05 AC01``."""
    return " ".join(code for code in (response_code, reason_code) if code)
