"""The root keys of the TIN wire, their older spellings, and a sniff at the body's own.

docs/wire/tin-messages.md#envelope.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from scheme import messages
from scheme.messages import Message

_CLASSES: Final[tuple[type[Message], ...]] = (
    messages.AV1,
    messages.AV2,
    messages.AV3,
    messages.AV4,
    messages.CT1,
    messages.CT2,
    messages.CT3,
    messages.CT4,
    messages.CT5,
    messages.CTC1,
    messages.CTC2,
    messages.PSR1,
    messages.PSR2,
    messages.ET1,
    messages.ET2,
    messages.SignOn1,
    messages.SignOn2,
    messages.SignOff1,
    messages.SignOff2,
    messages.Reject,
    messages.SNM971,
    messages.SNM972,
    messages.SNM981,
    messages.SNM982,
    messages.SNM993,
    messages.SNM998,
    messages.SNM999,
)

MESSAGES: Final[Mapping[str, type[Message]]] = MappingProxyType(
    {message.__name__: message for message in _CLASSES}
)
"""Root key, as we spell it, to message."""

_SPELLINGS: Final[Mapping[str, str]] = MappingProxyType(
    {name.upper(): name for name in MESSAGES}
    | {"SIGNOF1": "SignOff1", "SIGNOF2": "SignOff2", "RCTC1": "PSR1", "RCTC2": "PSR2"}
)

# Blanks and a byte order mark may stand before; a signed body or a flat one does not match a
# known name, so the caller has to look closer.
_ROOT: Final = re.compile(rb'(?:\xef\xbb\xbf)?\s*\{\s*"([A-Za-z0-9]{1,16})"\s*:\s*\{')


def canonical_name(root: str) -> str | None:
    """Return our spelling of a root key, whatever its own; None if it is no message."""
    return root if root in MESSAGES else _SPELLINGS.get(root.upper())


def peek_name(body: bytes) -> str | None:
    """Return the message a body seems to carry, without parsing it; None if unclear."""
    found = _ROOT.match(body)
    return None if found is None else canonical_name(found[1].decode("ascii"))
