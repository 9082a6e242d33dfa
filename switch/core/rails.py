"""The rails, and by which wire each is entered."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Rail(StrEnum):
    """How a transfer travels."""

    ON_US = "on_us"
    NETWORK = "network"
    TIN = "tin"
    DEFERRED = "deferred"
    LBTR = "lbtr"


BY_NAME: Final[Mapping[str, Rail]] = {str(rail): rail for rail in Rail}
"""The rails by what they are called in profiles and records; a fifth of the time of ``Rail()``."""
AUTO: Final = "auto"
"""Whichever rail is the first that can."""
IMMEDIATE: Final = frozenset({Rail.ON_US, Rail.NETWORK, Rail.TIN})
"""Rails of AV1 and CT1; the others are entered by POST /payments."""
EVERY: Final = frozenset(Rail)
