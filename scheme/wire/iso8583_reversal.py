"""What a 0420 says of the request that it is about (docs/wire/iso8583.md#finality).

For those who send requests to the clearing house: cores, machines, agents, load generators.
"""

from typing import Final

from scheme.wire.iso8583_spec import Fields

_TAKEN_OVER: Final = (
    "2", "3", "4", "7", "11", "12", "13", "18", "22", "32", "37", "41", "42", "43", "49", "102",
    "103",
)  # fmt: skip
_NO_MORE: Final = "000000000000C00000000C00000000"


def reversal_of(sent: Fields, *, dispensed: int = 0) -> Fields:
    """Return the 0420 of a request, with its DE7 and without its secrets.

    Args:
        dispensed: minor units that were handed out; nothing is said of nothing.
    """
    fields = {"t": "0420"} | {key: sent[key] for key in _TAKEN_OVER if key in sent}
    fields["90"] = f"0200{sent['11']}{sent['7']}{sent['32']:0>11}{0:011}"
    return with_dispensed(fields, dispensed)


def with_dispensed(reversal: Fields, dispensed: int) -> Fields:
    """Return a reversal that says what was handed out; nothing is said of nothing."""
    return reversal | {"95": replacement(dispensed)} if dispensed else reversal


def replacement(minor: int) -> str:
    """Return DE95 of an amount handed out."""
    return f"{minor:012}{_NO_MORE}"
