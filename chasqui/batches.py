"""A settlement batch as people read it: traffic, balances, settlement, who bears what."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from gettext import gettext as _
from typing import Final

import click

from chasqui.language import N_
from chasqui.output import amount_text, bare_amount, day_text, local_ms, paragraph, table
from chasqui.settling_answers import Instructed, SettlementView
from chasqui.told import told
from scheme.batch import CLOSED, FAILED, REFUSED, Batch, BatchRow, Counted, Outcome, Settlement

_COLOURS: Final[Mapping[str, str]] = {"SETTLED": "green", "PARTIAL": "yellow", "FAILED": "red"}
_RULES: Final[Mapping[str, str]] = {
    "queue": N_("waited for money in the queue"),
    "retry": N_("tried again"),
    "guarantee_fund": N_("the guarantee fund paid"),
    "loss_sharing": N_("the others shared the loss"),
    "sponsor": N_("the sponsor paid"),
    "unwind": N_("orders were unwound"),
}
_BEARERS: Final[Mapping[str, str]] = {
    "itself": N_("itself"),
    "guarantee_fund": N_("guarantee fund"),
    "sponsor": N_("its sponsor"),
    "loss_sharing": N_("loss sharing"),
    "unwound": N_("unwound orders"),
}
KINDS: Final[Mapping[str, str]] = {
    "pay_in": N_("pay-in"),
    "top_up": N_("top-up"),
    "pay_out": N_("pay-out"),
    "share": N_("share of a loss"),
    "guarantee": N_("guarantee fund"),
    "pay_back": N_("given back"),
    "customer": N_("customer payment"),
    "deposit": N_("deposit"),
    "withdrawal": N_("withdrawal"),
}
"""Kinds of payments in the ledgers of money."""
_UNWOUND_SHOWN: Final = 3
_STAMP: Final = "%Y%m%d%H%M%S"


def print_batch(batch: Batch) -> None:
    """Print what a window came to."""
    click.secho(batch.batch, bold=True)
    facts = (
        (_("Cycle"), f"{batch.cycle}, {batch.currency}"),
        (_("Settlement date"), f"{day_text(batch.settlement_date)}, {_number(batch.number)}"),
        (_("Open"), f"{_stamp(batch.opened_at)} - {_stamp(batch.cut_off)}"),
        (_("Closed"), _stamp(batch.closed_at)),
        (_("Next window"), batch.next_window),
    )
    width = max(len(name) for name, _value in facts)
    for name, value in facts:
        click.echo(f"  {name:<{width}}  {value}")
    click.echo()
    _print_traffic(batch)
    click.echo()
    _print_balances(batch)


def _number(number: int) -> str:
    return _("window {number} of the day").format(number=number)


def _print_traffic(batch: Batch) -> None:
    active = [
        one for one in batch.participants if one.sent != Outcome() or one.received != Outcome()
    ]
    if not active:
        click.echo(_("Nothing was sent in this window."))
        return
    rows = [row for one in active for row in _traffic_rows(one)]
    totals = (
        _total([one.sent for one in active]),
        _total([one.received for one in active]),
    )
    rows += _both_ways(_("all"), *totals)
    headings = ("", "", _("accepted"), "", _("rejected"), "")
    click.secho(_("Transfers, in {unit}").format(unit=_unit(batch.currency)), bold=True)
    table(headings, rows, right="llrrrr", rule_before=len(rows) - 2)


def _traffic_rows(one: BatchRow) -> list[tuple[str, ...]]:
    return _both_ways(one.participant, one.sent, one.received)


def _both_ways(name: str, sent: Outcome, received: Outcome) -> list[tuple[str, ...]]:
    return [
        (name, _("sent"), *_counted(sent.accepted), *_counted(sent.rejected)),
        ("", _("received"), *_counted(received.accepted), *_counted(received.rejected)),
    ]


def _counted(one: Counted) -> tuple[str, str]:
    return (f"{one.count:,}", bare_amount(one.value)) if one.count else ("-", "")


def _total(outcomes: Sequence[Outcome]) -> Outcome:
    accepted = [one.accepted for one in outcomes]
    rejected = [one.rejected for one in outcomes]
    return Outcome(accepted=_sum(accepted), rejected=_sum(rejected))


def _sum(several: Sequence[Counted]) -> Counted:
    return Counted(sum(one.count for one in several), sum(one.value for one in several))


def _print_balances(batch: Batch) -> None:
    """Print how each opening balance became the next one; a column that moves nothing is left."""
    everyone = batch.participants
    columns: list[tuple[str, list[int]]] = [
        (_("Opening"), [one.opening for one in everyone]),
        (_("Net"), [one.net for one in everyone]),
        (_("Funded"), [one.funded.value - one.drawn.value for one in everyone]),
        (_("Returns"), [one.returns for one in everyone]),
        (_("New opening"), [one.new_opening for one in everyone]),
        (_("Fees due"), [one.fees_due for one in everyone]),
    ]
    always = {_("Opening"), _("Net"), _("New opening")}
    shown = [(name, values) for name, values in columns if name in always or any(values)]
    rows = [
        (one.participant, *(bare_amount(values[at]) for _name, values in shown))
        for at, one in enumerate(everyone)
    ]
    rows.append((_("all"), *(bare_amount(sum(values)) for _name, values in shown)))
    headings = ("", *(name for name, _values in shown))
    click.secho(_("Balances, in {unit}").format(unit=_unit(batch.currency)), bold=True)
    table(headings, rows, right="l" + "r" * len(shown), rule_before=len(rows) - 1)


def print_settlement(
    batch: Batch | None,
    settlement: Settlement,
    *,
    batch_id: str = "",
    verbose: bool = False,
) -> None:
    """Print how far a settlement is.

    Args:
        batch: None where only the settlement was asked for.
        verbose: print the payments too, also where all went well.
    """
    identity = batch.batch if batch else batch_id
    currency = batch.currency if batch else _currency_of(batch_id)
    click.echo()
    text = _("Settlement: {state}").format(state=settlement.state)
    click.secho(text, fg=_COLOURS.get(settlement.state), bold=True)
    for line in _lines(settlement, identity):
        paragraph(f"  {line}")
    if settlement.bearers:
        rows = [
            (
                one.failing,
                amount_text(one.minor, currency),
                _(_BEARERS[one.by]) if one.by in _BEARERS else one.by,
                one.participant,
            )
            for one in settlement.bearers
        ]
        table((_("Short"), _("Amount"), _("Borne by"), _("At")), rows, right="lr")
    instructions = settlement.instructions if isinstance(settlement, SettlementView) else ()
    pending = [one for one in instructions if one.state != "SETTLED"]
    if verbose or pending:
        print_instructions(instructions if verbose else pending)
    if settlement.state == FAILED:
        step = _("Pay in what is missing, and try again: chasqui settle retry {batch}")
        paragraph(_("What to do: {step}").format(step=step.format(batch=identity)))


def _lines(settlement: Settlement, batch: str) -> list[str]:
    lines = []
    if settlement.audit:
        lines.append(_("Recount: {result}").format(result=told(settlement.audit)))
    if settlement.refused:
        lines.append(_("Not settled: {rule}").format(rule=told(settlement.refused)))
    lines += [
        _("Approved by {name}, {time}").format(name=one.name, time=local_ms(one.at))
        for one in settlement.approvals
    ]
    if settlement.state == CLOSED and not settlement.refused:
        lines.append(_waits_for(settlement.audit, batch))
    if settlement.round > 1:
        lines.append(_("Round {number}").format(number=settlement.round))
    if settlement.rules_applied:
        done = (_(_RULES[one]) if one in _RULES else one for one in settlement.rules_applied)
        lines.append(_("Done about it: {rules}").format(rules=", ".join(done)))
    if settlement.unwound:
        lines.append(_unwound(settlement.unwound))
    return lines


def _waits_for(audit: str, batch: str) -> str:
    if not audit:
        return _("It is being recounted.")
    if audit.startswith(REFUSED):
        text = _("Nothing of it settles before they agree; recount: chasqui settle retry {batch}")
    else:
        text = _("It settles once enough people approve: chasqui settle approve {batch} --as NAME")
    return text.format(batch=batch)


def _unwound(orders: Sequence[str]) -> str:
    more = len(orders) - _UNWOUND_SHOWN
    shown = ", ".join(orders[:_UNWOUND_SHOWN])
    if more > 0:
        shown = _("{orders} and {count} more").format(orders=shown, count=f"{more:,}")
    return _("Orders unwound: {orders}").format(orders=shown)


def print_instructions(found: Sequence[Instructed]) -> None:
    """Print payments of a ledger of money."""
    rows = [
        (
            one.ledger,
            _(KINDS[one.kind]) if one.kind in KINDS else one.kind,
            f"{one.debit} -> {one.credit}",
            amount_text(one.amount, one.currency),
            one.state,
        )
        for one in found
    ]
    headings = (_("Ledger"), _("Payment"), _("From -> to"), _("Amount"), _("State"))
    table(headings, rows, right="lllr")
    for one in found:
        if one.reason:
            paragraph(f"{one.instruction}: {told(one.reason)}")


def _unit(currency: str) -> str:
    return _("dollars (US$)") if currency == "USD" else _("soles (S/)")


def _currency_of(batch: str) -> str:
    return "USD" if "-USD-" in batch else "PEN"


def _stamp(text: str) -> str:
    try:
        return datetime.strptime(text, _STAMP).strftime("%m-%d %H:%M:%S")  # noqa: DTZ007 - Lima's
    except ValueError:
        return text or "-"
