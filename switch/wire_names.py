"""Names the edges of the TIN wire share."""

from typing import Final

from scheme.clock import Clock

BASE_PATH: Final = "/ssv2/payment-api/v3.5.0/"
"""Before the name of a message, at the participants and at the clearing house alike."""
ERROR_HEADER: Final = "X-Chasqui-Error"
"""Says, for people and logs, the field and the rule behind a refusal."""
HOUSE: Final = "CCE"
"""The clearing house as sender or receiver in the wire log."""


def time_us(clock: Clock) -> int:
    """Return the clock's time in microseconds since the epoch."""
    return int(clock.now().timestamp() * 1_000_000)
