"""``chasqui agent``: terminals of field agents, played and looked at."""

import click

from chasqui.language import N_
from chasqui.options import ListedGroup

COMMANDS: dict[str, tuple[str, str]] = {
    "play": ("agent_play", N_("Play a terminal: many operations, then its session.")),
    "in": ("agent_counter", N_("Take cash in for an account anywhere.")),
    "out": ("agent_counter", N_("Pay cash out of a member's account.")),
    "pay": ("agent_counter", N_("Take cash towards a credit of a cooperative.")),
    "contribute": ("agent_counter", N_("Take cash towards a member's share (aporte).")),
    "transfer": ("agent_counter", N_("Take cash and send it to anybody's account or phone.")),
    "balance": ("agent_counter", N_("Ask for an account's balance.")),
    "statement": ("agent_counter", N_("Ask for an account's last movements.")),
    "sync": ("agent_counter", N_("Send what waits, and close the session.")),
    "list": ("agent_desk", N_("List the terminals.")),
    "show": ("agent_desk", N_("Show one terminal and its last operations.")),
    "findings": ("agent_desk", N_("List what did not fit.")),
    "revoke": ("agent_desk", N_("Refuse a terminal from now on.")),
    "restore": ("agent_desk", N_("Let a terminal in again.")),
    "tills": ("agent_desk", N_("List the cash and the float of the agents.")),
    "voucher": ("agent_desk", N_("Check the code on a receipt.")),
    "watch": ("agent_watch", N_("Print what terminals and the clearing house say.")),
}
"""Name of each command: its module in ``chasqui.commands``, and its line in the list."""
_PLAY = "play"
_HELP = ("-h", "--help")


class AgentGroup(ListedGroup):
    """The list of commands; without one, a terminal is played."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments; options without a command are those of ``play``."""
        if not args or (args[0].startswith("-") and args[0] not in _HELP):
            args = [_PLAY, *args]
        return super().parse_args(ctx, args)


@click.group(
    "agent",
    cls=AgentGroup,
    listed=COMMANDS,
    help=N_(
        "Play the terminals of field agents, and look at them.\n\n"
        "Without a command a terminal is played: chasqui agent --offline 2h --ops 200"
    ),
)
def agent_command() -> None:
    """Group the commands of field agents."""
