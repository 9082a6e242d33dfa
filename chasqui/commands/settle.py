"""``chasqui settle``: windows, batches and the ledgers of money."""

import click

from chasqui.language import N_
from chasqui.options import ListedGroup

COMMANDS: dict[str, tuple[str, str]] = {
    "windows": ("settle_windows", N_("List the settlement windows.")),
    "close": ("settle_windows", N_("Close a window now, before its cut-off.")),
    "batches": ("settle_batches", N_("List the batches that windows were closed into.")),
    "batch": ("settle_batches", N_("Show a batch and how far its settlement is.")),
    "approve": ("settle_batches", N_("Approve a batch, where the profile asks for it.")),
    "retry": ("settle_batches", N_("Settle a batch again that failed.")),
    "files": ("settle_files", N_("Write the files of a batch that are handed on.")),
    "what-if": ("what_if", N_("Replay a day's entries under other rules.")),
    "lbtr": ("settle_money", N_("List the accounts at the central bank and the sponsors.")),
    "deposit": ("settle_money", N_("Pay money into an account at the central bank.")),
    "withdraw": ("settle_money", N_("Take money out of an account at the central bank.")),
}
"""Name of each command: its module in ``chasqui.commands``, and its line in the list."""


@click.group(
    "settle",
    cls=ListedGroup,
    listed=COMMANDS,
    help=N_("Close windows, and settle their batches."),
)
def settle_command() -> None:
    """Group the commands of settlement."""
