"""``chasqui settle batches``, ``batch``, ``approve`` and ``retry``."""

import click

from chasqui.batches import print_batch, print_settlement
from chasqui.commands.settle_windows import print_windows
from chasqui.exits import Failure
from chasqui.language import N_
from chasqui.options import argument, command, json_option, option
from chasqui.output import as_json
from chasqui.session import Session, pass_session
from chasqui.settling_answers import BatchAnswer, BatchesAnswer, SettlementAnswer


@command(
    "batches",
    help=N_("List the batches that windows were closed into.\n\nThe newest come first."),
)
@option("--limit", type=click.IntRange(min=1), default=20, help=N_("How many (default: 20)."))
@option("--json", "in_json", is_flag=True, help=N_("Print a JSON list."))
@pass_session
def batches_command(session: Session, *, limit: int, in_json: bool) -> None:
    """List batches."""
    answer = session.country().operator.get("/batches", BatchesAnswer)
    print_windows(answer.batches[:limit], in_json=in_json)


@command(
    "batch",
    help=N_(
        "Show a batch and how far its settlement is.\n\n"
        "What each participant sent and received, its net position and new opening balance, "
        "who approved, and who bore what."
    ),
)
@argument("batch")
@option("-v", "--verbose", is_flag=True, help=N_("Print the payments that settle it too."))
@json_option
@pass_session
def batch_command(session: Session, *, batch: str, verbose: bool, in_json: bool) -> None:
    """Print one batch."""
    answer = session.country().operator.get(f"/batches/{batch}", BatchAnswer)
    if in_json:
        as_json(answer)
        return
    print_batch(answer.batch)
    print_settlement(answer.batch, answer.settlement, verbose=verbose)


@command(
    "approve",
    help=N_(
        "Approve a batch, where the profile asks for it.\n\n"
        "The name is written down, and not proved: this port asks nobody who they are."
    ),
)
@argument("batch")
@option("--as", "name", required=True, metavar="NAME", help=N_("Who approves."))
@json_option
@pass_session
def approve_command(session: Session, *, batch: str, name: str, in_json: bool) -> None:
    """Approve a batch."""
    _act(session, batch, "approve", {"as": name}, in_json=in_json)


@command(
    "retry",
    help=N_("Settle a batch again that failed.\n\nPay money in first: chasqui settle deposit"),
)
@argument("batch")
@json_option
@pass_session
def retry_command(session: Session, *, batch: str, in_json: bool) -> None:
    """Settle a batch once more."""
    _act(session, batch, "retry", {}, in_json=in_json)


def _act(session: Session, batch: str, action: str, body: object, *, in_json: bool) -> None:
    operator = session.country().operator
    try:
        answer = operator.post(f"/batches/{batch}/{action}", body, SettlementAnswer)
    except Failure as failure:
        raise failure.about({"as": "--as"}) from failure
    if in_json:
        as_json(answer)
        return
    print_settlement(None, answer.settlement, batch_id=batch)
