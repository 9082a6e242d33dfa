"""``chasqui iso links`` and ``chasqui iso findings``: who is connected, and what did not fit."""

from collections.abc import Mapping, Sequence
from gettext import gettext as _
from typing import Final

import click
from msgspec import Struct

from chasqui.language import N_
from chasqui.output import local_second, paragraph, table
from chasqui.told import told


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


class LinksAnswer(Struct, frozen=True, kw_only=True):
    """GET /iso8583/links."""

    participants: tuple[LaneRow, ...] = ()
    strangers: dict[str, int] = {}


class FindingRow(Struct, frozen=True, kw_only=True):
    """One frame that was refused, or that nobody waited for."""

    at: str | None = None
    participant: str = ""
    kind: str = ""
    message: str = ""
    stan: str = ""
    rrn: str = ""
    explanation: str = ""
    near: str = ""


class FindingsAnswer(Struct, frozen=True):
    """GET /iso8583/findings, the newest first."""

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
}
_NEXT: Final[Mapping[str, str]] = {
    "late": N_("the answer came after the order had expired; its reversal settles it"),
    "unmatched": N_(
        "an answer must repeat DE11, DE32 and DE37 of its request (0810: DE7 and DE11)"
    ),
    "duplicate": N_("one answer to each request; the second one changes nothing"),
    "bad_mac": N_("compare the key check values, then the bytes covered: chasqui iso decode"),
    "bad_format": N_("see the whole frame, element by element: chasqui iso decode"),
    "bad_length": N_("does the header count the TPDU, and not itself? chasqui iso decode"),
    "not_permitted": N_("exchange the key and sign on first: 0800 with DE70 101, then 001"),
    "other_than_fleet_file": N_("set header, tpdu, spec and mac of its entry in fleet.toml"),
    "link_lost": N_("dial again, exchange a new key, sign on again"),
}


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
    for lane in answer.participants:
        for link in lane.links:
            _print_link(lane, link)
    if any(answer.strangers.values()):
        counted = ", ".join(f"{kind_name(one)} {n}" for one, n in answer.strangers.items() if n)
        paragraph(_("Of links that never signed on: {counts}").format(counts=counted))
    if any(lane.counts.get(kind) for lane in answer.participants for kind in _NEXT):
        paragraph(_("Why: chasqui iso findings"))


def _print_link(lane: LaneRow, link: LinkRow) -> None:
    line = _("{code} from {address} since {since}: {received} in, {sent} out, {pending} pending")
    text = line.format(
        code=lane.participant,
        address=link.address,
        since=local_second(link.since),
        received=link.received,
        sent=link.sent,
        pending=link.pending,
    )
    if link.key_check_value:
        text += ", " + _("key check value {value}").format(value=link.key_check_value)
    paragraph(text)


def print_findings(rows: Sequence[FindingRow]) -> None:
    """Print findings, the newest last, with the near miss and what to do."""
    if not rows:
        click.echo(_("No findings: every frame was sound, and every answer was waited for."))
        return
    for row in reversed(rows):
        reference = " ".join(
            part
            for part in (
                row.message,
                f"STAN {row.stan}" if row.stan else "",
                f"RRN {row.rrn}" if row.rrn else "",
            )
            if part
        )
        head = f"{local_second(row.at)}  {row.participant or '?'}  {kind_name(row.kind)}"
        click.secho(f"{head}  {reference}".rstrip(), bold=True)
        paragraph(f"  {told(row.explanation)}")
        if row.near:
            paragraph("  " + _("Nearest: {what}").format(what=told(row.near)))
    for kind in dict.fromkeys(row.kind for row in rows):
        if kind in _NEXT:
            paragraph(f"{kind_name(kind)}: {_(_NEXT[kind])}")
