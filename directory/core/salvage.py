"""What can be read of a body that is no sound directory message, so that it gets an answer."""

from typing import Any

import msgspec

_ECHO_CHARACTERS_MAX = 35
_CODE_CHARACTERS = 4


class Salvage:
    """The parts that an answer echoes; only short texts, None for what is not there.

    Attributes:
        is_registration: the body tries to be prxy.001.
        sender: four characters, as the header names it.
    """

    def __init__(self, body: bytes) -> None:
        try:
            tree = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            tree = None
        document = _at(tree, "BusMsg", "Document")
        self.is_registration = isinstance(_at(document, "PrxyRegn"), dict)
        group = _at(document, "PrxyRegn", "GrpHdr")
        sender = _text(tree, "BusMsg", "AppHdr", "Fr", "FIId", "FinInstnId", "Othr", "Id")
        self.sender = sender if sender and len(sender) == _CODE_CHARACTERS else None
        self.msg_id = _text(group, "MsgId")
        self.created = _text(group, "CreDtTm")
        self.registration_id = _text(document, "PrxyRegn", "Regn", "PrxyRegn", "RegnId")
        self.lookup_id = _text(document, "PrxyLookUp", "LookUp", "PrxyOnly", "Id")


def _at(tree: Any, *path: str) -> Any:
    for name in path:
        if not isinstance(tree, dict):
            return None
        tree = tree.get(name)
    return tree


def _text(tree: Any, *path: str) -> str | None:
    value = _at(tree, *path)
    is_short = isinstance(value, str) and 0 < len(value) <= _ECHO_CHARACTERS_MAX
    return value if is_short else None
