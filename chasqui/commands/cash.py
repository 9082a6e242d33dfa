"""``chasqui cash``: cash at machines and agents."""

import click

from chasqui.language import N_
from chasqui.options import ListedGroup

COMMANDS: dict[str, tuple[str, str]] = {
    "code": ("cash_codes", N_("Issue a one-time code for cash without a card.")),
    "codes": ("cash_codes", N_("List one-time codes, all but the code.")),
    "withdraw": ("cash_machine", N_("Withdraw at a simulated machine.")),
    "deposit": ("cash_machine", N_("Hand cash in at a simulated agent.")),
    "balance": ("cash_machine", N_("Ask for a card's balance at a simulated machine.")),
    "list": ("cash_list", N_("List withdrawals.")),
}
"""Name of each command: its module in ``chasqui.commands``, and its line in the list."""


@click.group(
    "cash",
    cls=ListedGroup,
    listed=COMMANDS,
    help=N_("Withdraw and hand in cash, at the simulated machines and agents."),
)
def cash_command() -> None:
    """Group the commands of cash."""
