"""``chasqui agent play``: a terminal at work, and what its session comes to."""

import asyncio
import random
import re
from collections.abc import Callable
from gettext import gettext as _
from typing import Any

import click

from chasqui.agent_counter import Counter, known_device, opened
from chasqui.agent_play import (
    PlayResult,
    neighbours,
    play_alone,
    play_live,
    receipts,
    wishes,
)
from chasqui.agent_sync import Journal, print_session
from chasqui.agent_words import KIND_WORDS, kind_name, stop_text
from chasqui.exits import ExitCode, Misused
from chasqui.language import N_
from chasqui.options import command, json_option, option
from chasqui.output import amount_text, as_json, local_ms, milliseconds, paragraph, table
from chasqui.session import Session, pass_session
from participants.core.agent_book import Wish
from participants.core.agent_faults import Faults
from scheme.limits import AGENT_BATCH_MAX, AGENT_QUEUE_MAX
from scheme.wire.agent_payload import MOVES_MONEY, Kind

_SPAN = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(s|m|min|h)?")
_UNITS = {None: 1, "s": 1, "m": 60, "min": 60, "h": 3600}
_SHARE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(%)?")
_SPOILT_BATCH = 8
"""Operations in a payload where payloads are spoilt: a few large ones would hardly be."""
_RECEIPTS_SHOWN = 3


class _Span(click.ParamType[int]):
    """A span such as ``2h``, ``90m`` or ``45s``; its value is in seconds."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the seconds."""
        found = _SPAN.fullmatch(str(value).strip())
        if found is None:
            self.fail(_("{value!r}: a span such as 2h, 90m or 45s").format(value=value), param, ctx)
        return round(float(found[1]) * _UNITS[found[2]])


class _Share(click.ParamType[float]):
    """A share such as ``10%`` or ``0.1``."""

    name = "share"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return it as a part of one."""
        found = _SHARE.fullmatch(str(value).strip())
        share = float(found[1]) / (100 if found[2] else 1) if found else 2.0
        if share >= 1:
            self.fail(_("{value!r}: a share below 100%").format(value=value), param, ctx)
        return share


class _Kinds(click.ParamType[tuple[Kind, ...]]):
    """Kinds of operations, separated by commas."""

    name = "kinds"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Kind, ...]:
        """Return the kinds."""
        names = [one.strip() for one in str(value).split(",")]
        unknown = [one for one in names if one not in KIND_WORDS]
        if unknown:
            text = _("{value!r}: one of {names}")
            self.fail(text.format(value=unknown[0], names=", ".join(KIND_WORDS)), param, ctx)
        return tuple(KIND_WORDS[one] for one in names)


@command(
    "play",
    help=N_(
        "Play a terminal: many operations, then its session.\n\n"
        "With --offline it makes them as if it had been alone for that long, then connects and is "
        "settled; without, each one is live. --duplicates, --shuffle and --lose spoil what it "
        "sends, the same way for the same --seed."
    ),
)
@option(
    "--device",
    metavar="DEVICE",
    help=N_("Which terminal, e.g. 0992-0001-1 (default: the first one)."),
)
@option("--offline", "alone_s", type=_Span(), metavar="SPAN", help=N_("How long alone, e.g. 2h."))
@option(
    "--ops",
    "count",
    type=click.IntRange(min=1, max=AGENT_QUEUE_MAX),
    default=20,
    help=N_("How many operations (default: 20)."),
)
@option("--kinds", type=_Kinds(), metavar="NAMES", help=N_("Only these, e.g. in,out,transfer."))
@option("--seed", type=int, default=970, help=N_("Of what people ask for, and of the faults."))
@option(
    "--duplicates",
    type=_Share(),
    default=0.0,
    metavar="SHARE",
    help=N_("Payloads sent twice, e.g. 10%."),
)
@option("--lose", type=_Share(), default=0.0, metavar="SHARE", help=N_("Payloads lost, e.g. 5%."))
@option("--shuffle", is_flag=True, help=N_("Send payloads out of order."))
@option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=1),
    default=120.0,
    metavar="SECONDS",
    help=N_("How long to wait for all verdicts (default: 120)."),
)
@json_option
@pass_session
@click.pass_context
def play_command(
    ctx: click.Context,
    session: Session,
    *,
    device: str | None,
    alone_s: int | None,
    count: int,
    kinds: tuple[Kind, ...] | None,
    seed: int,
    duplicates: float,
    lose: float,
    shuffle: bool,
    wait_s: float,
    in_json: bool,
) -> None:
    """Play a terminal."""
    name = known_device(session, device)
    wanted = kinds or tuple(KIND_WORDS.values())
    if alone_s is not None:
        wanted = tuple(kind for kind in wanted if kind in MOVES_MONEY)
    if not wanted:
        raise Misused(
            _("Balances and statements are not made alone: only the clearing house has them."),
            _("Leave --offline out, or add other kinds."),
            field="--kinds",
        )
    following = wishes(neighbours(session.country()), wanted, random.Random(seed))
    chance = random.Random(seed + 1)
    faults = Faults(chance, duplicates=duplicates, lose=lose, shuffle=shuffle)
    is_spoilt = bool(duplicates or lose or shuffle)
    journal = Journal(name, says=not in_json)
    with opened(
        session,
        name,
        batch_max=_SPOILT_BATCH if is_spoilt else AGENT_BATCH_MAX,
        on_told=journal.told,
        on_wire=journal.bytes.count,
    ) as counter:
        play = _alone if alone_s is not None else _live
        result, exit_code = asyncio.run(
            play(counter, journal, faults, following, count, alone_s or 0, wait_s)
        )
    if in_json:
        as_json(result)
    else:
        _print(result)
    ctx.exit(exit_code)


async def _alone(
    counter: Counter,
    journal: Journal,
    faults: Faults,
    following: Callable[[], Wish],
    count: int,
    seconds: int,
    wait_s: float,
) -> tuple[PlayResult, ExitCode]:
    made, stop = await play_alone(counter, following, count=count, seconds=seconds)
    handed = receipts(counter.device, made, _RECEIPTS_SHOWN)
    stopped = "" if stop is None else stop_text(stop, 0)
    _print_queue(journal, handed, len(made), stopped)
    counter.agent.faults = faults
    await _close(counter, journal, wait_s)
    came = journal.result(counter.terminal)
    result = PlayResult(
        made=len(made),
        stopped=stopped,
        receipts=handed,
        duplicated=faults.duplicated,
        lost=faults.lost,
        moved=faults.moved,
        session=came,
    )
    return result, came.exit_code


async def _live(
    counter: Counter,
    journal: Journal,
    faults: Faults,
    following: Callable[[], Wish],
    count: int,
    _seconds: int,
    wait_s: float,
) -> tuple[PlayResult, ExitCode]:
    counter.agent.faults = faults
    try:
        live = await play_live(counter, following, count=count)
        if live.stopped and journal.says:
            paragraph(live.stopped)
        if live.exit_code is not ExitCode.REFUSED:
            journal.is_whole = await counter.settle(wait_s)
    finally:
        await counter.disconnect()
    came = journal.result(counter.terminal)
    result = PlayResult(
        made=len(live.made),
        stopped=live.stopped,
        receipts=receipts(counter.device, live.made, _RECEIPTS_SHOWN),
        duplicated=faults.duplicated,
        lost=faults.lost,
        moved=faults.moved,
        live=live.latencies,
        session=came,
    )
    return result, live.exit_code or came.exit_code


async def _close(counter: Counter, journal: Journal, wait_s: float) -> None:
    try:
        await counter.connect()
        journal.is_whole = await counter.settle(wait_s)
    finally:
        await counter.disconnect()


def _print_queue(journal: Journal, handed: Any, made: int, stopped: str) -> None:
    """Say at once what is queued: the session may take a while."""
    if not journal.says:
        return
    rows = [
        (
            str(row.seq),
            local_ms(row.at * 1000),
            kind_name(Kind[row.kind.upper()]),
            amount_text(row.minor, row.currency),
            row.account,
            row.voucher,
        )
        for row in handed
    ]
    text = _("Made alone, and queued with a receipt each: {count}. The first ones:")
    click.secho(text.format(count=made), bold=True)
    headings = (
        *(_("Number"), _("Made"), _("Kind"), _("Amount"), _("Account")),
        _("Voucher"),
    )
    table(headings, rows, right="rllrll")
    if stopped:
        click.secho(stopped, fg="yellow", bold=True)
    click.echo()


def _print(result: PlayResult) -> None:
    if result.duplicated or result.lost or result.moved:
        text = _("Payloads spoilt on the way: {duplicated} doubled, {moved} moved, {lost} lost.")
        paragraph(text.format(duplicated=result.duplicated, moved=result.moved, lost=result.lost))
        click.echo()
    if result.live is not None:
        text = _("Live operations: {count}; half of them within {p50}, 99% within {p99}.")
        click.echo(
            text.format(
                count=result.live.count,
                p50=milliseconds(result.live.p50_ms),
                p99=milliseconds(result.live.p99_ms),
            )
        )
        click.echo()
    print_session(result.session)
