"""The rails, and by which wire each is entered."""

from enum import StrEnum
from typing import Final


class Rail(StrEnum):
    """How a transfer travels."""

    ON_US = "on_us"
    NETWORK = "network"
    TIN = "tin"
    DEFERRED = "deferred"
    LBTR = "lbtr"


AUTO: Final = "auto"
"""Whichever rail is the first that can."""
IMMEDIATE: Final = frozenset({Rail.ON_US, Rail.NETWORK, Rail.TIN})
"""Rails of AV1 and CT1; the others are entered by POST /payments."""
EVERY: Final = frozenset(Rail)
