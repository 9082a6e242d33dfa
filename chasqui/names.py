"""What people call the parties of a payment: wallets and institutions by their codes."""

from collections.abc import Mapping
from gettext import gettext as _
from typing import Final

from chasqui.answers import Candidate, Participant

WALLETS: Final[Mapping[str, str]] = {"0901": "YAPE", "0902": "PLIN"}
"""The wallets behind the directories that stand for their institutions."""
_ACKNOWLEDGED: Final = " acknowledged"
_NO_ANSWER: Final = "no answer"
"""What stands in the wire log where an answer should."""


def entity_name(code: str, everyone: Mapping[str, Participant]) -> str:
    """Return the name of a wallet or institution, or nothing if it is unknown."""
    known = everyone.get(code)
    return WALLETS.get(code) or (known.name if known else "")


def candidate_text(one: Candidate, everyone: Mapping[str, Participant]) -> str:
    """Return where a phone can be paid: ``YAPE (0901)``."""
    name = entity_name(one.code, everyone)
    return f"{name} ({one.code})" if name else one.code


def message_name(name: str) -> str:
    """Return a message's name; the acknowledgement of an owed one has none of its own."""
    if name.endswith(_ACKNOWLEDGED):
        return _("{message} acknowledged").format(message=name.removesuffix(_ACKNOWLEDGED))
    return _("no answer") if name == _NO_ANSWER else name
