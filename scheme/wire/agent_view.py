"""A payload of the agent lane as people may see it: named, and what identifies a person masked."""

from typing import Any, Final

import msgspec

from scheme.errors import MalformedMessage
from scheme.masking import mask_cci, mask_phone, mask_text
from scheme.wire.agent_payload import as_json, decode_down, decode_up

HIDDEN: Final = "****"
_CCI_DIGITS: Final = 20


def named_payload(payload: bytes, *, is_up: bool) -> bytes:
    """Return a payload as JSON with names; of one that cannot be read, its bytes and why."""
    try:
        return as_json(decode_up(payload) if is_up else decode_down(payload))
    except MalformedMessage as fault:
        return msgspec.json.encode({"hex": payload.hex(), "fault": str(fault)})


def masked_payload(payload: bytes, *, is_up: bool) -> dict[str, Any]:
    """Return a payload's fields by name, masked; of one that cannot be read, only why."""
    read: dict[str, Any] = msgspec.json.decode(named_payload(payload, is_up=is_up))
    if "fault" in read and "message" not in read:
        return {"fault": read["fault"]}
    for operation in read.get("operations", ()):
        operation["account"] = _mask_account(operation["account"])
    for verdict in read.get("verdicts", ()):
        verdict["note"] = mask_text(verdict["note"])
        if verdict["data"]:  # A balance, or the last movements, are nobody else's business.
            verdict["data"] = HIDDEN
    return read


def _mask_account(account: str) -> str:
    return mask_cci(account) if len(account) == _CCI_DIGITS else mask_phone(account)
