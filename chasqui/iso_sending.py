"""``chasqui iso send``: one request over a link of one's own, and what came back."""

from collections.abc import Mapping, Sequence
from gettext import gettext as _
from typing import TYPE_CHECKING, Any, Final

import click
from msgspec import Struct, structs

from chasqui.exits import ExitCode, Misused, Unknown
from chasqui.iso_frames import Frame, explained, framed_as, near_miss, print_frame, rule_told
from chasqui.iso_meanings import response_meaning
from chasqui.iso_requests import RAW, Wish, request_of
from chasqui.output import as_json, milliseconds, paragraph
from chasqui.session import Session
from chasqui.told import told as told_text
from scheme.network import Participant
from scheme.wire.iso8583_codec import IsoFault
from scheme.wire.iso8583_spec import Fields

if TYPE_CHECKING:
    from chasqui.iso_dialogue import Dialogue, Exchange

_APPROVED: Final = "00"
_LANE: Final = "iso8583"
_FLAG_OF: Final[Mapping[str, str]] = {"DE2": "--card", "DE11": "--stan", "DE37": "--rrn"}
"""The flag behind an element that does not fit the table."""


class Errand(Struct, frozen=True, kw_only=True):
    """How a request is sent.

    Attributes:
        raw: bytes to send as they are, instead of what the wish says.
        waits: whether an answer is waited for.
        has_bad_mac: its MAC is spoilt on purpose.
        answer_s: wait for the answer; None: as the profile says.
    """

    raw: bytes | None = None
    waits: bool = True
    has_bad_mac: bool = False
    answer_s: float = 12.0


def participant_of_lane(session: Session, code: str) -> Participant:
    """Return a participant that speaks ISO 8583.

    Raises:
        Misused: there is none of that code, or it is on another lane.
    """
    declared = session.fleet().by_code()
    speaking = [one.code for one in declared.values() if one.lane == _LANE]
    hint = _("There are: {codes}").format(codes=", ".join(speaking) or "-")
    if code not in declared:
        raise Misused(_("There is no participant {code}.").format(code=code), hint)
    if code not in speaking:
        raise Misused(_("{code} does not speak ISO 8583.").format(code=code), hint)
    return declared[code]


def with_debtor(session: Session, one: Participant, wish: Wish) -> Wish:
    """Return the wish with an account of its own institution, where it needs one and has none.

    Raises:
        Misused: the institution is not ours to choose an account of.
    """
    if wish.debtor or wish.kind != "transfer":
        return wish
    if not one.simulated:
        raise Misused(_("an account of 20 digits is needed"), field="--from")
    country = session.country()
    found = next(country.accounts(country.participant(one.code), limit=1), None)
    if found is None:
        raise Misused(_("No customers."), field="--from")
    return structs.replace(wish, debtor=found.cci)


def send(session: Session, one: Participant, wish: Wish, errand: Errand, *, in_json: bool) -> int:
    """Send one request, print what went and what came; return the exit code."""
    from runtime.clock import SystemClock  # Late: it brings in asyncio.

    clock = SystemClock()
    fields = None if wish.kind == RAW else request_of(wish, clock.now())
    from chasqui.iso_dialogue import Dialogue  # Later still: it brings in cryptography.

    address, kek = session.iso8583_address(), _kek(session, one)
    with Dialogue(one, address, kek, clock, answer_s=errand.answer_s) as dialogue:
        dialogue.sign_on()
        body = _body(dialogue, fields, errand)
        if not errand.waits:
            dialogue.write(body)
            _print_sent(one, body, in_json=in_json)
            return ExitCode.DONE
        exchange = dialogue.ask(body, fields)
    if in_json:
        as_json(_as_document(one, exchange, fields))
    else:
        _print_exchange(one, exchange, fields)
    return _exit_code(one, exchange)


def _kek(session: Session, one: Participant) -> bytes:
    from runtime.iso8583_speech import KEY_BYTES, NO_MAC
    from runtime.kek import kek_of

    algorithm = one.iso8583.mac
    return b"" if algorithm == NO_MAC else kek_of(session.home, one.code, KEY_BYTES[algorithm])


def _body(dialogue: "Dialogue", fields: Fields | None, errand: Errand) -> bytes:
    if fields is None:
        assert errand.raw is not None
        body = errand.raw
    else:
        try:
            body = dialogue.speech.write(fields)
        except IsoFault as fault:
            raise Misused(str(fault), field=_FLAG_OF.get(fault.field, "--field")) from fault
    return spoilt(body) if errand.has_bad_mac else body


def spoilt(body: bytes) -> bytes:
    """Return a message whose last byte, which is of its MAC, is another one."""
    last = body[-1:]
    other = (b"1" if last == b"0" else b"0") if last.isalnum() else bytes([body[-1] ^ 1])
    return body[:-1] + other


def _print_sent(one: Participant, body: bytes, *, in_json: bool) -> None:
    frame = explained(body, framed_as(one, is_framed=False))
    if in_json:
        as_json({"sent": frame, "answer": None, "took_ms": None})
        return
    print_frame(_("Sent"), frame)
    click.echo(_("Not waited for its answer."))


def _print_exchange(one: Participant, exchange: "Exchange", fields: Fields | None) -> None:
    told = framed_as(one, is_framed=False)
    print_frame(_("Sent"), explained(exchange.sent, told))
    click.echo()
    for other in exchange.others:
        print_frame(_("Came meanwhile, and is no answer to it"), explained(other, told))
        if fields and (line := near_miss(other, fields, told)):
            paragraph(line)
        click.echo()
    if exchange.refused:
        line = _("Turned down meanwhile, as nothing is booked here: {messages}")
        paragraph(line.format(messages=", ".join(exchange.refused)))
    if exchange.answer is None:
        raise Unknown(
            _("No answer within {span}.").format(span=milliseconds(exchange.took_s * 1000)),
            _("It may have been done all the same: chasqui iso findings, chasqui transfers"),
        )
    answer = explained(exchange.answer, told)
    print_frame(_("Answer"), answer)
    click.echo()
    if exchange.fault:
        click.secho(told_text(exchange.fault), fg="red")
    _print_ending(answer, exchange.took_s)


def _print_ending(answer: Frame, took_s: float) -> None:
    code = answer.response_code
    line = _("{code} {meaning}, after {elapsed}.").format(
        code=code or "-", meaning=response_meaning(code), elapsed=milliseconds(took_s * 1000)
    )
    click.secho(line, fg="green" if code == _APPROVED else "red", bold=True)
    if rule := rule_told(answer):
        paragraph(_("In detail: {rule}").format(rule=rule))
    # What names a request by its key, as of one that never came, is no transfer to look at.
    if answer.instruction_id and ":" not in answer.instruction_id:
        line = _("Details: chasqui show {subject}")
        paragraph(line.format(subject=answer.instruction_id))


def _as_document(
    one: Participant, exchange: "Exchange", fields: Fields | None
) -> Mapping[str, Any]:
    told = framed_as(one, is_framed=False)
    answer = None if exchange.answer is None else explained(exchange.answer, told)
    return {
        "sent": explained(exchange.sent, told),
        "answer": answer,
        "response_code": answer.response_code if answer else None,
        "instruction_id": (answer.instruction_id or None) if answer else None,
        "took_ms": round(exchange.took_s * 1000, 3),
        "fault": exchange.fault,
        "others": [explained(other, told) for other in exchange.others],
        "near_misses": _near_misses(exchange.others, fields, one),
        "turned_down": exchange.refused,
    }


def _near_misses(others: Sequence[bytes], fields: Fields | None, one: Participant) -> list[str]:
    told = framed_as(one, is_framed=False)
    return [near_miss(other, fields, told) for other in others] if fields else []


def _exit_code(one: Participant, exchange: "Exchange") -> ExitCode:
    if exchange.answer is None:
        return ExitCode.UNKNOWN
    answer = explained(exchange.answer, framed_as(one, is_framed=False))
    good = answer.response_code == _APPROVED and not exchange.fault
    return ExitCode.DONE if good else ExitCode.REFUSED
