"""``chasqui iso decode|send|links|findings``: the ISO 8583 lane by hand."""

from gettext import gettext as _

import click

from chasqui.exits import ExitCode, Misused
from chasqui.iso_requests import KINDS, PROCESSING_CODES, RAW, Wish, parse_extra
from chasqui.language import N_
from chasqui.options import Group, argument, json_option, option
from chasqui.output import CURRENCIES, Amount, as_json, paragraph
from chasqui.session import Session, pass_session
from scheme.limits import ISO_FINDINGS_KEPT_MAX
from scheme.network import ISO8583_HEADERS, ISO8583_SPECS

_NO_HEADER = "none"
_HINT_HEX = N_("Give hex digits, the name of a file, or - for standard input.")


@click.group("iso", cls=Group, help=N_("Explain, send and inspect frames of ISO 8583."))
def iso_command() -> None:
    """Group what concerns the lane."""


@iso_command.command(
    "decode",
    help=N_(
        "Explain a frame, element by element.\n\n"
        "Needs no running country. HEX is hex digits, the name of a file, or - for standard "
        "input; blanks and colons do not matter. What is not told about the header, the TPDU and "
        "the variant is guessed, and said. Ends with 1 if the frame is broken."
    ),
)
@argument("hex", metavar="HEX|FILE", default="-")
@option("--spec", type=click.Choice(ISO8583_SPECS), help=N_("Variant of the messages."))
@option("--participant", metavar="CODE", help=N_("All of it as this institution speaks."))
@option(
    "--header",
    type=click.Choice((*ISO8583_HEADERS, _NO_HEADER)),
    help=N_("How the length is written; none: the message alone."),
)
@option("--tpdu/--no-tpdu", default=None, help=N_("Whether five bytes of TPDU come first."))
@json_option
@pass_session
@click.pass_context
def decode(
    ctx: click.Context,
    session: Session,
    /,
    hex: str,  # noqa: A002 - named as it is typed
    *,
    spec: str | None,
    participant: str | None,
    header: str | None,
    tpdu: bool | None,
    in_json: bool,
) -> None:
    """Explain a frame."""
    from chasqui.iso_frames import Framed, explained, framed_as, print_frame
    from chasqui.iso_input import bytes_of
    from chasqui.iso_sending import participant_of_lane

    raw = bytes_of(hex)
    told = Framed(spec=spec, header=header, has_tpdu=tpdu)
    one = participant_of_lane(session, participant) if participant is not None else None
    if one is not None:
        told = framed_as(one, is_framed=header != _NO_HEADER).but(told)
    frame = explained(raw, told)
    if in_json:
        as_json(frame)
    else:
        print_frame(_("Frame"), frame)
        if one is not None:
            from chasqui.iso_keys import mac_note  # Late: it brings in cryptography.

            paragraph(mac_note(session, one, raw, frame))
    ctx.exit(ExitCode.REFUSED if frame.is_broken else ExitCode.DONE)


@iso_command.command(
    "send",
    help=N_(
        "Send one request in the name of an institution.\n\n"
        "Opens a link of its own, exchanges a key if the institution wants a MAC, signs on, sends, "
        "and prints both frames explained. Exit code 0 if it was approved, 1 if not, 3 without an "
        "answer. A reversal names the request by --stan and --rrn; --kind raw sends the bytes HEX "
        "behind the header as they are."
    ),
)
@argument("hex", metavar="HEX", required=False)
@option("--as", "code", required=True, metavar="CODE", help=N_("Who sends, e.g. 0975."))
@option("--kind", type=click.Choice(KINDS), default="transfer", help=N_("What is asked for."))
@option(
    "--of",
    type=click.Choice(tuple(PROCESSING_CODES)),
    default="transfer",
    help=N_("Kind of the request that a reversal is about."),
)
@option("--to", "creditor", default="", metavar="CCI|PHONE", help=N_("Who is paid."))
@option(
    "--from",
    "debtor",
    default="",
    metavar="CCI",
    help=N_("Who pays (default: an account of a simulated institution)."),
)
@option(
    "--entity",
    default="",
    metavar="CODE",
    help=N_("Where the phone is paid, e.g. 0971 or 0901 (Yape)."),
)
@option("--amount", type=Amount(), help=N_("How much, e.g. 25.50."))
@option("--dispensed", type=Amount(), help=N_("Of a reversal: what the machine did hand out."))
@option("--currency", type=click.Choice(CURRENCIES), default="PEN", help=N_("Currency."))
@option("--card", default="", metavar="CARD", help=N_("Card of a withdrawal or balance."))
@option("--phone", default="", metavar="PHONE", help=N_("Phone of a withdrawal without a card."))
@option(
    "--code",
    "one_time_code",
    default="",
    metavar="NUMBERS",
    help=N_("One-time code of such a withdrawal."),
)
@option("--stan", default="", metavar="NUMBERS", help=N_("DE11 (default: a new one)."))
@option("--rrn", default="", metavar="TEXT", help=N_("DE37 (default: a new one)."))
@option(
    "--repeat", "is_repeated", is_flag=True, help=N_("Say that it was sent before: 0201, 0421.")
)
@option(
    "--field",
    "extra",
    multiple=True,
    metavar="N=VALUE",
    help=N_(
        "An element, or a tag as 48.14=VALUE, instead of ours; empty leaves it out; repeatable."
    ),
)
@option("--no-answer", is_flag=True, help=N_("Leave once it is sent."))
@option("--bad-mac", is_flag=True, help=N_("Spoil the MAC."))
@option(
    "--wait",
    "answer_s",
    type=click.FloatRange(min=0.1),
    default=12.0,
    metavar="SECONDS",
    help=N_("How long to wait for the answer (default: 12)."),
)
@json_option
@pass_session
@click.pass_context
def send(
    ctx: click.Context,
    session: Session,
    /,
    hex: str | None,  # noqa: A002 - named as it is typed
    *,
    no_answer: bool,
    bad_mac: bool,
    answer_s: float,
    in_json: bool,
    extra: tuple[str, ...],
    **told: object,
) -> None:
    """Send a request and print the answer."""
    import msgspec

    from chasqui import iso_sending

    wish = msgspec.convert(told | {"extra": parse_extra(extra)}, Wish)
    one = iso_sending.participant_of_lane(session, wish.code)
    errand = iso_sending.Errand(
        raw=_raw(wish.kind, hex), waits=not no_answer, has_bad_mac=bad_mac, answer_s=answer_s
    )
    if bad_mac and one.iso8583.mac == "none":
        raise Misused(_("{code} uses no MAC.").format(code=one.code), field="--bad-mac")
    wish = iso_sending.with_debtor(session, one, wish)
    ctx.exit(iso_sending.send(session, one, wish, errand, in_json=in_json))


def _raw(kind: str, text: str | None) -> bytes | None:
    from chasqui.iso_input import bytes_of

    if (kind == RAW) != (text is not None):
        raise Misused(_("--kind raw and HEX belong together."), _(_HINT_HEX))
    return None if text is None else bytes_of(text)


@iso_command.command(
    "links",
    help=N_("List who is connected, what waits for an answer, and what did not fit."),
)
@json_option
@pass_session
def links(session: Session, *, in_json: bool) -> None:
    """Print the links of the lane."""
    from chasqui.iso_watching import LinksAnswer, print_links

    answer = session.country().operator.get("/iso8583/links", LinksAnswer)
    if in_json:
        as_json(answer)
    else:
        print_links(answer)


@iso_command.command(
    "findings",
    help=N_(
        "List the last frames that were refused or that nobody waited for.\n\n"
        "Each with what is wrong with it, or with the nearest request and the element that "
        "differs; the newest last."
    ),
)
@option("--participant", default="", metavar="CODE", help=N_("Only of this institution."))
@option(
    "--limit",
    type=click.IntRange(min=1, max=ISO_FINDINGS_KEPT_MAX),
    default=20,
    help=N_("How many (default: 20)."),
)
@option("-v", "--verbose", is_flag=True, help=N_("Print the frames, masked."))
@json_option
@pass_session
def findings(
    session: Session, *, participant: str, limit: int, verbose: bool, in_json: bool
) -> None:
    """Print the findings."""
    from chasqui.iso_watching import FindingsAnswer, print_findings

    operator = session.country().operator
    answer = operator.get("/iso8583/findings", FindingsAnswer, participant=participant, limit=limit)
    if in_json:
        as_json(answer.findings)
    else:
        print_findings(answer, verbose=verbose)
