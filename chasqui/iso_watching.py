"""``chasqui iso links`` and ``chasqui iso findings``: who is connected, and what did not fit."""

import textwrap
from collections.abc import Mapping
from gettext import gettext as _
from typing import Final

import click
from msgspec import Struct

from chasqui.language import N_
from chasqui.output import local_second, paragraph, table
from chasqui.told import find, told


class LinkRow(Struct, frozen=True, kw_only=True):
    """One open connection of a participant."""

    address: str = ""
    since: str | None = None
    heard: str | None = None
    pending: int = 0
    running: int = 0
    received: int = 0
    sent: int = 0
    key_check_value: str = ""


class LaneRow(Struct, frozen=True, kw_only=True):
    """A participant of the lane: how it speaks, its links, and counts by name."""

    participant: str
    spec: str = ""
    header: str = ""
    tpdu: str = ""
    mac: str = ""
    links_max: int = 0
    pending: int = 0
    links: tuple[LinkRow, ...] = ()
    counts: dict[str, int] = {}


class CallerRow(LinkRow, frozen=True, kw_only=True):
    """One open connection on which nobody is signed on; whoever it is may not be known."""

    participant: str = ""


class LinksAnswer(Struct, frozen=True, kw_only=True):
    """GET /iso8583/links."""

    participants: tuple[LaneRow, ...] = ()
    not_signed_on: tuple[CallerRow, ...] = ()
    strangers: dict[str, int] = {}


class FindingRow(Struct, frozen=True, kw_only=True):
    """One frame that was refused, or that nobody waited for; or several alike.

    Attributes:
        count: how many there were; the first came at ``first``.
        mixed: they differ in STAN or RRN.
        address: where its link came from.
        frame: its bytes in hex, masked; empty where none may be shown.
    """

    at: str | None = None
    first: str | None = None
    count: int = 1
    mixed: bool = False
    address: str = ""
    frame: str = ""
    participant: str = ""
    kind: str = ""
    message: str = ""
    stan: str = ""
    rrn: str = ""
    explanation: str = ""
    near: str = ""


class FindingsAnswer(Struct, frozen=True):
    """GET /iso8583/findings, the newest first; nothing from before ``since`` is there."""

    since: str | None = None
    findings: tuple[FindingRow, ...] = ()


KINDS: Final[Mapping[str, str]] = {
    "late": N_("late"),
    "unmatched": N_("unmatched"),
    "duplicate": N_("duplicate"),
    "out_of_order": N_("out of order"),
    "bad_mac": N_("bad MAC"),
    "bad_format": N_("bad format"),
    "bad_length": N_("bad length"),
    "not_permitted": N_("not permitted"),
    "other_than_fleet_file": N_("other than the fleet file says"),
    "link_lost": N_("link lost"),
    "half_frame": N_("half a frame"),
    "unfit_answer": N_("not what was asked"),
}
_NEXT: Final[Mapping[str, str]] = {
    "late": N_("the answer came after the order had expired; its reversal settles it"),
    "unmatched": N_(
        "an answer must repeat DE11, DE32 and DE37 of its request (0810: DE7 and DE11)"
    ),
    "duplicate": N_("one answer to each request; the second one changes nothing"),
    "bad_mac": N_("compare the key check values, then the bytes covered: chasqui iso decode"),
    "bad_format": N_(
        "see the frame, masked: chasqui iso findings -v; explain it: chasqui iso decode"
    ),
    "bad_length": N_("does the header count the TPDU, and not itself? chasqui iso decode"),
    "not_permitted": N_("exchange the key and sign on first: 0800 with DE70 101, then 001"),
    "other_than_fleet_file": N_("set header, tpdu, spec and mac of its entry in fleet.toml"),
    "link_lost": N_("dial again, exchange a new key, sign on again"),
    "half_frame": N_("write a whole frame at once; does the header announce too many bytes?"),
}
_STEPS: Final[Mapping[str, str]] = {
    "{number} links are signed on already": N_(
        "wait until one of those links ends, or raise links_max of its entry in fleet.toml"
    ),
    "no institution of this lane": N_(
        'DE32 is the code of an institution with lane = "iso8583" in fleet.toml'
    ),
    "a link begins with a sign-on": N_("sign on first: 0800 with DE70 101, then 001"),
    "the link is not signed on": N_("sign on first: 0800 with DE70 101, then 001"),
    "this link is {code}'s": N_("use a link for each institution"),
    "fleet.toml says mac = {value}: there is no key to change": N_(
        "leave the key change out, or set a mac in fleet.toml"
    ),
    "does not verify": N_(
        "compare the key check values, then the bytes covered: chasqui iso decode"
    ),
}
"""What to do about a rule that was broken, by the rule's template: it says more than the kind."""
_WIDE: Final = 80


def step_after(rule: str) -> str:
    """Return what to do about a rule of the lane that a frame broke, or nothing."""
    behind = rule.partition(": ")[2] or rule
    found = find(behind)
    known = _STEPS.get(found.template) if found else None
    return _(known) if known else ""


def near_text(near: str) -> str:
    """Return the nearest request and what differs, in the language in use."""
    found = find(near)
    if found is None or "names" not in found.slots:
        return told(near)
    names = "; ".join(told(one) for one in found.slots["names"].split("; "))
    return _(found.template).format_map(found.slots | {"names": names})


def kind_name(kind: str) -> str:
    """Return what a kind of finding is called."""
    return _(KINDS[kind]) if kind in KINDS else kind


def print_links(answer: LinksAnswer) -> None:
    """Print each participant's counts, and its links."""
    rows = [
        (
            lane.participant,
            f"{len(lane.links)}/{lane.links_max}",
            lane.mac,
            str(lane.pending),
            *(str(lane.counts.get(name, 0)) for name in ("late", "unmatched", "duplicate")),
            str(lane.counts.get("bad_mac", 0)),
            str(lane.counts.get("bad_format", 0) + lane.counts.get("bad_length", 0)),
        )
        for lane in answer.participants
    ]
    if not rows:
        click.echo(_("Nobody here speaks ISO 8583."))
        return
    headings = (
        *(_("Code"), _("Links"), "MAC", _("Pending"), _("Late"), _("Unmatched"), _("Duplicate")),
        *(_("Bad MAC"), _("Bad format")),
    )
    table(headings, rows, right="lrlrrrrrr")
    links = [_link_row(lane.participant, one) for lane in answer.participants for one in lane.links]
    links += [_caller_row(one) for one in answer.not_signed_on]
    if links:
        click.echo()
        columns = (_("Code"), _("Address"), _("Since"), _("In"), _("Out"), _("Pending"))
        table((*columns, _("Key check value")), links, right="lllrrr")
    if any(answer.strangers.values()):
        counted = ", ".join(f"{kind_name(one)} {n}" for one, n in answer.strangers.items() if n)
        line = _("Of links that never signed on: {counts}").format(counts=counted)
        click.echo(textwrap.fill(line, _WIDE, subsequent_indent="  "))
    if any(lane.counts.get(kind) for lane in answer.participants for kind in _NEXT):
        paragraph(_("Why: chasqui iso findings"))


def _caller_row(one: CallerRow) -> tuple[str, ...]:
    *shown, key = _link_row(one.participant or "?", one)
    note = _("not signed on")
    return (*shown, f"{key}, {note}" if one.key_check_value else note)


def _link_row(code: str, link: LinkRow) -> tuple[str, ...]:
    return (
        code,
        link.address,
        local_second(link.since),
        str(link.received),
        str(link.sent),
        str(link.pending),
        link.key_check_value or "-",
    )


def print_findings(answer: FindingsAnswer, *, verbose: bool) -> None:
    """Print findings, the newest last, with the near miss and what to do.

    Args:
        verbose: with where each came from, and its bytes.
    """
    rows = answer.findings
    if not rows:
        text = _(
            "No findings since {time}, the start of the clearing house: every frame was sound, "
            "and every answer was waited for."
        )
        paragraph(text.format(time=local_second(answer.since)))
        return
    for row in reversed(rows):
        _print_finding(row, verbose=verbose)
    steps = dict.fromkeys((row.kind, step) for row in rows if (step := _step(row)))
    for kind, step in steps:
        paragraph(f"{kind_name(kind)}: {step}")


def _step(row: FindingRow) -> str:
    return step_after(row.explanation) or (_(_NEXT[row.kind]) if row.kind in _NEXT else "")


def _print_finding(row: FindingRow, *, verbose: bool) -> None:
    parts = (
        row.message,
        f"STAN {row.stan}" if row.stan else "",
        f"RRN {row.rrn}" if row.rrn else "",
    )
    reference = " ".join(part for part in parts if part)
    head = f"{local_second(row.at)}  {row.participant or '?'}  {kind_name(row.kind)}"
    if row.count > 1:
        text = _("(one of {count} with other numbers)") if row.mixed else _("({count} times)")
        head += " " + text.format(count=row.count)
    click.secho(f"{head}  {reference}".rstrip(), bold=True)
    paragraph(f"  {told(row.explanation)}")
    if row.near:
        paragraph("  " + _("Nearest: {what}").format(what=near_text(row.near)))
    if verbose and row.address:
        click.echo("  " + _("From: {address}").format(address=row.address))
    if verbose and row.frame:
        click.echo("  " + _("Frame, masked: {frame}").format(frame=row.frame))
