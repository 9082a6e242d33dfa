"""What is owed to a single-message creditor for an order it may have posted: its reversal.

Its bytes are made from the exact request that was sent, which is kept with the reservation.
"""

from datetime import datetime
from typing import Final, TypeGuard

from scheme.errors import MalformedMessage
from scheme.network import ISO8583_SPECS, Participant
from scheme.wire.iso8583_codec import codec
from switch.core.iso8583_messages import reversal_of

REVERSAL: Final = "0420"
"""How an owed reversal is called, whether it goes out as 0420 or again as 0421."""


def reversal_request(
    sent: bytes, creditor: Participant | None, now: datetime, *, dispensed: int | None = None
) -> bytes:
    """Return the 0420 of a request that was sent, without its MAC.

    Empty for a request of no table that is known here: nobody can deliver it, so it stays owed
    until it is parked for a person. Refusing to start over it would help nobody.

    Args:
        creditor: as it speaks now; None if it has left the fleet.
        dispensed: what stays paid, in cents, where only the rest is undone.
    """
    for spec in _specs(creditor):
        try:
            fields = codec(spec).decode(sent)
        except MalformedMessage:
            continue
        present = creditor.iso8583.spec if _speaks(creditor) else spec
        return codec(present).encode(
            reversal_of(fields, now=now, repeated=False, dispensed=dispensed)
        )
    return b""


def _speaks(creditor: Participant | None) -> TypeGuard[Participant]:
    return creditor is not None and creditor.is_single_message


def _specs(creditor: Participant | None) -> tuple[str, ...]:
    """Return the tables that a request may be of, its creditor's own of today first."""
    return (creditor.iso8583.spec, *ISO8583_SPECS) if _speaks(creditor) else ISO8583_SPECS
