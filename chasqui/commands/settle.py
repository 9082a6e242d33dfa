"""``chasqui settle``: windows, batches and the ledgers of money.

The commands of the group are imported only when they run, as those of the root are.
"""

import importlib
from gettext import gettext as _

import click

from chasqui.language import N_
from chasqui.options import Group

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


class Settle(Group):
    """The commands of settlement."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, in the order of a day."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command: ``what-if`` is ``what_if_command`` of its module."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"chasqui.commands.{COMMANDS[cmd_name][0]}")
        found: click.Command = getattr(module, f"{cmd_name.replace('-', '_')}_command")
        return found

    def summary(self, ctx: click.Context, name: str) -> str:
        """Return a command's line without importing it."""
        return _(COMMANDS[name][1])


@click.group("settle", cls=Settle, help=N_("Close windows, and settle their batches."))
def settle_command() -> None:
    """Group the commands of settlement."""
