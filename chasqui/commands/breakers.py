"""``chasqui breakers``: which rails to which institutions are taken out of use."""

from collections.abc import Mapping
from gettext import gettext as _

import click

from chasqui.answers import Done
from chasqui.exits import Misused
from chasqui.language import N_
from chasqui.options import argument, command, option
from chasqui.output import as_json, local_second, paragraph, table
from chasqui.rails import RAILS, rail_name
from chasqui.routing_answers import Breaker, BreakersAnswer
from chasqui.session import Session, pass_session
from chasqui.told import told

_STATES: Mapping[str, str] = {
    "closed": N_("closed"),
    "open": N_("open"),
    "half_open": N_("half-open"),
}
_WANTED: Mapping[str, str] = {"open": "open", "close": "closed"}


@command(
    "breakers",
    help=N_(
        "List the circuit breakers, or open and close one.\n\n"
        "An open breaker keeps payments off a rail to an institution that does not answer; it is "
        "tried again by itself. With open or close, CODE and RAIL: by hand."
    ),
)
@argument("action", type=click.Choice(("open", "close")), required=False)
@argument("code", required=False)
@argument("rail", type=click.Choice(RAILS), required=False)
@option("--participant", metavar="CODE", help=N_("Only of this institution."))
@option("--json", "in_json", is_flag=True, help=N_("Print JSON."))
@pass_session
def breakers_command(
    session: Session,
    *,
    action: str | None,
    code: str | None,
    rail: str | None,
    participant: str | None,
    in_json: bool,
) -> None:
    """List the breakers, or set one."""
    if action is None:
        _list(session, participant, in_json=in_json)
        return
    if code is None or rail is None:
        raise Misused(
            _("Name the institution and the rail."),
            _("For example: chasqui breakers {action} 0002 tin").format(action=action),
        )
    state = _WANTED[action]
    session.country().operator.post(f"/breakers/{code}/{rail}", {"state": state}, Done)
    if in_json:
        as_json({"participant": code, "rail": rail, "state": state})
        return
    text = _("The breaker of {code} on the rail {rail} is {state}.")
    click.echo(text.format(code=code, rail=rail_name(rail), state=_state(state)))


def _list(session: Session, participant: str | None, *, in_json: bool) -> None:
    answer = session.country().operator.get("/breakers", BreakersAnswer)
    found = [one for one in answer.breakers if participant in {None, one.participant}]
    if in_json:
        as_json(found)
        return
    if not found:
        click.echo(_("Nobody has been asked for anything yet: all breakers are closed."))
        return
    headings = (_("At"), _("Rail"), _("State"), _("Since"), _("Failed"), _("Next"))
    table(headings, [_row(one) for one in found], right="llllr")
    for rule in dict.fromkeys(one.rule for one in found if one.rule):
        codes = sorted({one.participant for one in found if one.rule == rule})
        text = _("{codes}: opens when {rule}").format(codes=", ".join(codes), rule=told(rule))
        paragraph(text)


def _row(one: Breaker) -> tuple[str, ...]:
    failed = _("{failed} of {count}").format(failed=f"{one.failed:,}", count=f"{one.requests:,}")
    return (
        one.participant,
        rail_name(one.rail),
        _state(one.state),
        local_second(one.since) if one.since else "",
        failed if one.requests else "",
        _next(one),
    )


def _next(one: Breaker) -> str:
    """Return what a breaker does next by itself, and when."""
    if one.forced:
        return _("until an operator closes it")
    if one.half_opens_at:
        return _("tried again {time}").format(time=local_second(one.half_opens_at))
    if one.opens_at:
        return _("opens {time}").format(time=local_second(one.opens_at))
    return ""


def _state(state: str) -> str:
    return _(_STATES[state.lower()]) if state.lower() in _STATES else state
