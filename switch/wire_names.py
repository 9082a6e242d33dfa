"""Names the edges of the TIN wire share."""

from typing import Final

BASE_PATH: Final = "/ssv2/payment-api/v3.5.0/"
"""Before the name of a message, at the participants and at the clearing house alike."""
ERROR_HEADER: Final = "X-Chasqui-Error"
"""Says, for people and logs, the field and the rule behind a refusal."""
HOUSE: Final = "CCE"
"""The clearing house as sender or receiver in the wire log."""
