"""``chasqui settle what-if``: a day replayed under other rules."""

from gettext import gettext as _
from gettext import ngettext
from pathlib import Path
from urllib.parse import urlencode

import click
import msgspec
from msgspec import Struct

from chasqui.downloads import write_whole
from chasqui.language import N_, NN_
from chasqui.options import command, json_option, option
from chasqui.output import CURRENCIES, Amount, amount_text, as_json, day_text, paragraph, table
from chasqui.session import Session, pass_session
from scheme.ledger import DALE, DEFERRED, NATIONAL

_WINDOWS = NN_("{count} window", "{count} windows")
_BEARERS = {
    "guarantee_fund": N_("guarantee fund"),
    "loss_sharing": N_("loss sharing"),
    "sponsor": N_("its sponsor"),
    "unwound": N_("unwound orders"),
    "uncovered": N_("nobody: the rules are exhausted"),
}


class Blocked(Struct, frozen=True):
    """Payments that a cap blocked."""

    count: int
    value: int


class Bearing(Struct, frozen=True, kw_only=True):
    """Who bears what."""

    participant: str
    by: str
    minor: int


class Need(Struct, frozen=True, kw_only=True):
    """What one participant came to."""

    participant: str
    net: int
    paid_in: int
    liquidity: int
    peak: int
    blocked: Blocked


class Scenario(Struct, frozen=True, kw_only=True):
    """What the day came to under one set of rules."""

    windows: int
    offsetting: str
    payments: int
    gross: int
    paid_in: int
    liquidity: int
    peak: int
    blocked: Blocked
    unpaid: int
    bearers: tuple[Bearing, ...]
    participants: tuple[Need, ...]

    @property
    def name(self) -> str:
        """The rules in a word or two."""
        if self.offsetting == "none":
            return _("no netting")
        count = self.windows
        return ngettext(*_WINDOWS, count).format(count=count)


class WhatIfAnswer(Struct, frozen=True, kw_only=True):
    """GET /settlement/what-if."""

    date: str
    ledger: str
    currency: str
    cap: int | None = None
    failing: str | None = None
    names: dict[str, str] = {}
    scenarios: tuple[Scenario, ...]


@command(
    "what-if",
    help=N_(
        "Replay a day's entries under other rules.\n\n"
        "Each number of windows, and the day without netting beside them: the money everybody "
        "must have at its start, what is paid in to the windows, the most that others waited "
        "for at one moment, payments that a cap would have blocked, and who bears what an "
        "institution that fails does not pay in."
    ),
)
@option("--date", metavar="DATE", help=N_("Day, e.g. 2026-11-23 (default: today)."))
@option(
    "--ledger",
    type=click.Choice((NATIONAL, DALE, DEFERRED)),
    default=NATIONAL,
    help=N_("Ledger (default: national)."),
)
@option("--currency", type=click.Choice(CURRENCIES), default="PEN", help=N_("Currency."))
@option(
    "--windows",
    default="1,3,10",
    metavar="NUMBERS",
    help=N_("Windows a day to compare (default: 1,3,10)."),
)
@option("--cap", type=Amount(), help=N_("Block what takes a position further below zero."))
@option(
    "--offsetting",
    type=click.Choice(("none", "multilateral")),
    default="multilateral",
    help=N_("Whether windows settle nets, or every payment by itself."),
)
@option("--fail", metavar="CODE", help=N_("This institution pays nothing in."))
@option(
    "--svg",
    "picture",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help=N_("Draw it, too, as SVG."),
)
@json_option
@pass_session
def what_if_command(
    session: Session,
    /,
    *,
    cap: int | None,
    picture: Path | None,
    in_json: bool,
    **asked: str | None,
) -> None:
    """Ask, print and draw."""
    operator = session.country().operator
    query = {name: value for name, value in asked.items() if value}
    if cap is not None:
        query["cap"] = str(cap)
    path = "/settlement/what-if"
    body = operator.exchange("GET", f"{path}?{urlencode(query)}", b"", {})
    if picture is not None:
        target = f"{path}?{urlencode({**query, 'format': 'svg'})}"
        write_whole(picture, operator.pieces(target))
    if in_json:
        as_json(msgspec.Raw(body))
        return
    _print(msgspec.json.decode(body, type=WhatIfAnswer))
    if picture is not None:
        click.echo(_("Drawn: {path}").format(path=picture))


def _print(answer: WhatIfAnswer) -> None:
    click.secho(
        _("{ledger} {currency}, {day}").format(
            ledger=answer.ledger, currency=answer.currency, day=day_text(answer.date)
        ),
        bold=True,
    )
    if not any(one.participants for one in answer.scenarios):
        click.echo(_("No payments on this day."))
        return
    _print_totals(answer)
    _print_needs(answer)
    for one in answer.scenarios:
        _print_loss(answer, one)


def _print_totals(answer: WhatIfAnswer) -> None:
    currency = answer.currency
    rows = [
        (
            one.name,
            f"{one.payments:,}",
            amount_text(one.gross, currency),
            _amount(one.liquidity, currency),
            _amount(one.paid_in, currency),
            _amount(one.peak, currency),
            _blocked(one.blocked, currency),
        )
        for one in answer.scenarios
    ]
    headings = (
        _("Rules"),
        _("Payments"),
        _("Gross"),
        _("Liquidity needed"),
        _("Paid in"),
        _("Largest exposure"),
        _("Blocked"),
    )
    table(headings, rows, right="lrrrrrr")


def _print_needs(answer: WhatIfAnswer) -> None:
    """Print what each one needs, and its largest exposure, side by side for all rules."""
    netted = tuple(one for one in answer.scenarios if one.offsetting != "none")
    _print_figure(answer, _("Liquidity needed"), answer.scenarios, "liquidity")
    # Without netting nobody waits for anybody.
    if netted:
        _print_figure(answer, _("Largest exposure"), netted, "peak")


def _print_figure(
    answer: WhatIfAnswer, title: str, scenarios: tuple[Scenario, ...], figure: str
) -> None:
    by_code = [{one.participant: one for one in each.participants} for each in scenarios]
    rows = []
    for code in sorted({code for needs in by_code for code in needs}):
        found = [getattr(needs[code], figure) if code in needs else 0 for needs in by_code]
        name = f"{code} {answer.names.get(code, '')}".strip()
        rows.append((name, *(_amount(minor, answer.currency) for minor in found)))
    names = [one.name for one in scenarios]
    click.echo()
    click.secho(title, bold=True)
    table((_("At"), *names), rows, right="l" + "r" * len(names))


def _print_loss(answer: WhatIfAnswer, one: Scenario) -> None:
    if not one.unpaid:
        return
    unpaid = amount_text(one.unpaid, answer.currency)
    click.echo()
    line = _("{rules}: {code} does not pay in {amount}. Who bears it:")
    paragraph(line.format(rules=one.name, code=answer.failing, amount=unpaid))
    rows = [
        (
            "" if row.by == "uncovered" else row.participant,
            _(_BEARERS.get(row.by, row.by)),
            amount_text(row.minor, answer.currency),
        )
        for row in one.bearers
    ]
    table((_("At"), _("Rule"), _("Amount")), rows, right="llr")


def _amount(minor: int, currency: str) -> str:
    return amount_text(minor, currency) if minor else "-"


def _blocked(blocked: Blocked, currency: str) -> str:
    if not blocked.count:
        return "-"
    return f"{blocked.count:,} ({amount_text(blocked.value, currency)})"
