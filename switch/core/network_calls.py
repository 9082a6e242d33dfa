"""What a coop asks of its access network, as it is spelt in the calls (docs/wire/network.md)."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from scheme.limits import NETWORK_KEY_ID_CHARACTERS_MAX

_NAME_CHARACTERS_MAX = 140


class SessionCall(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Open a session."""

    request_id: str
    participant: str
    key_id: Annotated[str, Meta(min_length=1, max_length=NETWORK_KEY_ID_CHARACTERS_MAX)]


class AliasCall(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Register, amend or deactivate an alias."""

    request_id: str
    action: Literal["NEWR", "AMND", "DEAC"]
    phone: str
    cci: str | None = None
    display_name: Annotated[str, Meta(max_length=_NAME_CHARACTERS_MAX)] = ""
    holder_type: Literal["", "N", "J"] = ""


class LookupCall(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Ask who can be paid at phones."""

    request_id: str
    phones: list[str]
