"""What participants and the alias directory say to one another: prxy.001 to prxy.004.

These are the contents, flat; ``scheme/wire/proxy_json.py`` knows the tree they travel in
(docs/wire/directory.md). Timestamps stay text: the wire's ``Z`` may mean Lima or UTC, so whoever
needs an instant has to say how it is to be read, and an echo must be the very same characters.
"""

from typing import Final, Literal

import msgspec

DIRECTORY: Final = "0998"
"""Addressee of every message to the directory."""
SWEEP: Final = "BARRIDO"
"""Message id of every lookup and its answer: it identifies nothing."""
LOOKUP_PLACEHOLDER: Final = "+51999999999"
"""Value a lookup carries where one alias would stand; the real list is elsewhere."""
MOBILE: Final = "M"
"""Alias type: a mobile."""

Action = Literal["NEWR", "AMND", "DEAC"]
Outcome = Literal["ACTC", "RJCT"]


class Alias(msgspec.Struct, frozen=True, kw_only=True):
    """One alias: type and value, a mobile with its country code."""

    value: str
    type: str = MOBILE


class ProxyRegistration(msgspec.Struct, frozen=True, kw_only=True):
    """prxy.001: register, amend or deactivate an alias.

    Attributes:
        sender: participant code, from the group header.
        header_sender: participant code of the application header, where it differs.
        business_message_id, msg_id, registration_id: ids of one second, sender and trace.
        created, header_created: timestamps as sent.
        action: NEWR, AMND or DEAC.
        cci: the account; NEWR and AMND carry it, in the sender's name field.
        holder_type: N natural, J legal person.
    """

    sender: str
    header_sender: str | None = None
    recipient: str = DIRECTORY
    business_message_id: str
    header_created: str | None = None
    msg_id: str
    created: str
    action: Action
    subtype: str = "ACCT"
    alias: Alias
    cci: str | None = None
    registration_id: str
    display_name: str | None = None
    holder_type: str | None = None


class ProxyRegistrationResponse(msgspec.Struct, frozen=True, kw_only=True):
    """prxy.002: what became of a registration.

    Attributes:
        status: ACTC or RJCT.
        reason: why, with RJCT; connectors fail when it is missing then.
    """

    sender: str = DIRECTORY
    recipient: str
    business_message_id: str
    header_created: str | None = None
    msg_id: str
    created: str
    original_msg_id: str | None = None
    original_created: str | None = None
    status: Outcome
    reason: str | None = None
    original_action: str | None = None
    original_subtype: str | None = None
    alias: Alias | None = None
    registration_id: str | None = None


class ProxyLookup(msgspec.Struct, frozen=True, kw_only=True):
    """prxy.003: which directories and entities know these phones?

    Attributes:
        lookup_id: the only id that tells two lookups apart.
        aliases: the phones asked about.
    """

    sender: str
    header_sender: str | None = None
    recipient: str = DIRECTORY
    business_message_id: str = SWEEP
    header_created: str | None = None
    msg_id: str = SWEEP
    created: str
    lookup_id: str
    retrieval_type: str = "LIST"
    retrieval_value: str = LOOKUP_PLACEHOLDER
    aliases: tuple[Alias, ...]


class DirectoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What one directory says about one phone.

    Attributes:
        present: the text "true" if known; only exactly that counts. A profile may send a boolean.
        bank_codes: entities the payer may choose; None when the directory itself stands for the
            entity; empty when the phone is known and there is nothing to choose.
    """

    alias: Alias
    present: str | bool
    bank_codes: tuple[str, ...] | None

    @property
    def is_present(self) -> bool:
        """Tell whether the phone counts as known, as strictly as connectors read it."""
        return self.present == "true"


class DirectoryAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One directory's part of a lookup's answer; ``entries`` may be None, which says nothing."""

    directory: str
    entries: tuple[DirectoryEntry, ...] | None


class MessageReject(msgspec.Struct, frozen=True, kw_only=True):
    """The directory refused a lookup as a message.

    Attributes:
        reference: id of the lookup.
        party_reason: code.
        location: path of the element concerned.
    """

    reference: str
    party_reason: str
    rejected: str | None = None
    location: str | None = None
    description: str | None = None
    additional: str | None = None


class ProxyLookupResponse(msgspec.Struct, frozen=True, kw_only=True):
    """prxy.004: one answer per directory and phone; or a refusal; or a MessageReject.

    Attributes:
        status: ACTC or RJCT; None only with ``reject``. ACTC says the lookup ran, no more.
        directories: None where the answer names none, which reads as "not known anywhere".
    """

    sender: str = DIRECTORY
    recipient: str
    business_message_id: str = SWEEP
    header_created: str | None = None
    msg_id: str | None = SWEEP
    created: str | None = None
    original_msg_id: str | None = None
    original_created: str | None = None
    lookup_id: str | None = None
    retrieval_type: str | None = None
    retrieval_value: str | None = None
    status: Outcome | None = None
    reason: str | None = None
    directories: tuple[DirectoryAnswer, ...] | None = None
    reject: MessageReject | None = None


ProxyMessage = ProxyRegistration | ProxyRegistrationResponse | ProxyLookup | ProxyLookupResponse
"""Whatever a directory message may carry."""
