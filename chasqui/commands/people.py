"""``chasqui participants`` and ``chasqui customers``."""

from collections.abc import Mapping
from gettext import gettext as _

import click

from chasqui.answers import Account, Participant
from chasqui.country import Country
from chasqui.exits import Failure
from chasqui.language import N_
from chasqui.options import command, option
from chasqui.output import as_json, table
from chasqui.session import Session, pass_session


@command("participants", help=N_("List the institutions and their state."))
@option("--json", "in_json", is_flag=True, help=N_("Print a JSON list."))
@pass_session
def participants_command(session: Session, *, in_json: bool) -> None:
    """List the participants."""
    everyone = session.country().participants()
    if in_json:
        as_json(everyone)
        return
    rows = [(one.code, one.name, _kind(one), _state(one), str(one.owed)) for one in everyone]
    headings = (_("Code"), _("Name"), _("Kind"), _("State"), _("Owed"))
    table(headings, rows, right="llllr")


_KINDS: Mapping[str, str] = {
    "bank": N_("bank"),
    "emoney": N_("e-money"),
    "coop": N_("coop"),
    "acquirer": N_("machines and agents"),
    "sponsor": N_("sponsor"),
    "load": N_("load"),
    "test": N_("test"),
}


_ISO8583 = "iso8583"


def _kind(one: Participant) -> str:
    kind = _(_KINDS[one.kind]) if one.kind in _KINDS else one.kind
    if one.sponsor:
        kind = _("{kind} of {sponsor}").format(kind=kind, sponsor=one.sponsor)
    return f"{kind}, ISO 8583" if one.lane == _ISO8583 else kind


def _state(one: Participant) -> str:
    states = [_("signed on") if one.signed_on else _("signed off")]
    if one.blocked:
        states.append(_("blocked"))
    if one.jws:
        states.append(_("signs"))
    if not one.simulated:
        states.append(_("not simulated"))
    return ", ".join(states)


@command(
    "customers",
    help=N_(
        "List invented people that one can pay.\n\n"
        "Without --participant some of every simulated institution are shown."
    ),
)
@option("--participant", metavar="CODE", help=N_("Only of this institution."))
@option("--limit", type=click.IntRange(min=1), default=20, help=N_("How many (default: 20)."))
@option("--cards", is_flag=True, help=N_("Show their cards instead of their phones."))
@option("--json", "in_json", is_flag=True, help=N_("Print a JSON list."))
@pass_session
def customers_command(
    session: Session, *, participant: str | None, limit: int, cards: bool, in_json: bool
) -> None:
    """List customers through the test hooks."""
    country = session.country()
    if participant is not None:
        one = country.participant(participant)
        found = list(country.accounts(one, limit=limit))
    else:
        found = _some_of_each(country, limit)
    if in_json:
        as_json([_public(account) for account in found])
        return
    if not found:
        click.echo(_("No customers."))
        return
    # Both would not fit beside each other, and numbers that are broken cannot be copied.
    third = _("Card") if cards else _("Phone")
    rows = [
        (one.name, (one.card if cards else one.phone) or "", one.cci, one.participant, one.currency)
        for one in found
    ]
    table((_("Name"), third, "CCI", _("At"), _("Currency")), rows)


def _some_of_each(country: Country, limit: int) -> list[Account]:
    simulated = [one for one in country.participants() if one.hook_url]
    found: list[Account] = []
    fault: Failure | None = None
    answered = False
    for index, one in enumerate(simulated):
        share = -(-(limit - len(found)) // (len(simulated) - index))
        try:
            found += country.accounts(one, limit=share)
            answered = True
        except Failure as error:
            fault = error  # A hook may lack this call, or be away: the others are shown.
    if fault is not None and not answered:
        raise fault
    return found


def _public(account: Account) -> dict[str, str | None]:
    return {
        "name": account.name,
        "phone": account.phone,
        "cci": account.cci,
        "participant": account.participant,
        "currency": account.currency,
        **({"card": account.card} if account.card else {}),
    }
