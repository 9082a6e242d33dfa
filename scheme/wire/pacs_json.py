"""Payment messages as JSON documents: one root element, named as in ISO 20022.

docs/wire/payments.md has an example of each.
"""

from typing import Final, TypeVar

import msgspec

from scheme.errors import MalformedMessage
from scheme.messages.payment import (
    FIToFICstmrCdtTrf,
    FIToFIPmtStsRpt,
    PaymentMessage,
    PmtRtr,
)

TRANSFER: Final = "pacs.008"
STATUS: Final = "pacs.002"
RETURN: Final = "pacs.004"
NAMES: Final = frozenset({TRANSFER, STATUS, RETURN})
"""The messages by their short names; the last part of the path they are posted to."""
PATH: Final = "/payments/"
"""Where an institution takes them."""

M = TypeVar("M", FIToFICstmrCdtTrf, FIToFIPmtStsRpt, PmtRtr)


def encode(message: PaymentMessage) -> bytes:
    """Return the JSON of a message under its root element."""
    return msgspec.json.encode({type(message).__name__: message})


def decode(body: bytes, kind: type[M]) -> M:
    """Read a message.

    Raises:
        MalformedMessage: not JSON, another root element, or something that breaks the profile.
    """
    root = kind.__name__
    try:
        document = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        if root not in document:
            raise MalformedMessage(f"{root} is needed", field="root")
        return msgspec.json.decode(document[root], type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        rule, _, path = str(error).partition(" - at `$.")
        raise MalformedMessage(rule, field=path.rstrip("`") or "root", name=root) from error
