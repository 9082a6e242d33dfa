"""From the directory's answer to the entity paid: who knows a phone, and which one is chosen."""

from msgspec import Struct

from scheme.messages.proxy import ProxyLookupResponse
from scheme.network import Participant

COUNTRY = "+51"
_PHONE_DIGITS = 9


class Candidate(Struct, frozen=True):
    """Somebody who can be paid at a phone.

    Attributes:
        code: an entity, or the directory that stands for one.
        directory: where it was found.
    """

    code: str
    directory: str


def is_phone(text: str) -> bool:
    """Tell whether a text is a national mobile number: a 9 and eight more digits."""
    return len(text) == _PHONE_DIGITS and text.startswith("9") and text.isascii() and text.isdigit()


def clean_phone(text: str) -> str:
    """Return what a person typed as a national number, without blanks, hyphens and +51."""
    return "".join(text.split()).replace("-", "").removeprefix(COUNTRY)


def candidates(answer: ProxyLookupResponse, phone: str) -> tuple[Candidate, ...]:
    """Return who can be paid at a phone, each entity once, in the answer's order.

    An entry that is present with an empty list of banks names nobody.
    """
    found: dict[str, Candidate] = {}
    for directory in answer.directories or ():
        for entry in directory.entries or ():
            if entry.alias.value != COUNTRY + phone or not entry.is_present:
                continue
            banks = entry.bank_codes
            for code in (directory.directory,) if banks is None else banks:
                found.setdefault(code, Candidate(code, directory.directory))
    return tuple(found.values())


def is_own(code: str, own: Participant) -> bool:
    """Tell whether an entity or directory code stands for the payer's own institution."""
    return code in {own.code, own.issues}


def choice(found: tuple[Candidate, ...], wanted: str | None, own: Participant) -> Candidate | None:
    """Return the one wanted, or the first that is not the payer's own; None if there is none."""
    if wanted is not None:
        return next((one for one in found if one.code == wanted), None)
    return next((one for one in found if not is_own(one.code, own)), None)
