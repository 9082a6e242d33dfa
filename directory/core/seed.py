"""The directory's first content, derived from the invented people."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from directory.core.alias import CLEARING_HOUSE, Entry
from directory.core.qr import REFERENCE_DYNAMIC, REFERENCE_STATIC, QrRecord
from scheme.clock import from_ms, wire_date_time
from scheme.masking import mask_display_name
from scheme.people import Person


class TokenEntry(NamedTuple):
    """A wallet's token and the account behind it."""

    token: str
    directory: str
    participant: str
    cci: str


def entries_of(people: Iterable[Person], *, now_ms: int) -> Iterator[Entry]:
    """Yield one entry for each phone, entity and directory of the people.

    A second account of a phone at the same entity, or in the same wallet, is left out: the
    directory keeps one.
    """
    moment = "".join(wire_date_time(from_ms(now_ms)))
    taken: set[tuple[str, str, str]] = set()
    for person in people:
        display_name = mask_display_name(person.name)
        for holding in person.holdings:
            for directory in holding.directories:
                entity = holding.participant if directory == CLEARING_HOUSE else ""
                key = (person.phone, directory, entity)
                if key in taken:
                    continue
                taken.add(key)
                yield Entry(
                    phone=person.phone,
                    directory=directory,
                    participant=holding.participant,
                    cci=holding.cci,
                    display_name=display_name,
                    holder_type=person.person_type,
                    registration_id=f"R{moment}{holding.participant}{len(taken) % 10**6:06}",
                    registered_ms=now_ms,
                    changed_ms=now_ms,
                )


def tokens_of(people: Iterable[Person]) -> Iterator[TokenEntry]:
    """Yield every wallet token with each wallet directory of its account."""
    for person in people:
        for holding in person.holdings:
            if holding.wallet_token is None:
                continue
            for directory in holding.directories:
                if directory != CLEARING_HOUSE:
                    yield TokenEntry(
                        holding.wallet_token, directory, holding.participant, holding.cci
                    )


def qrs_of(people: Iterable[Person]) -> tuple[QrRecord, ...]:
    """Return the printed examples of the clearing house's QR, if their holder is among us."""
    examples = (REFERENCE_STATIC, REFERENCE_DYNAMIC)
    accounts = {holding.cci for person in people for holding in person.holdings}
    return tuple(one for one in examples if one.cci in accounts)
