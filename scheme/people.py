"""The invented people of the simulated country: who they are, what they hold, how they are found.

Nobody here exists. Documents begin with 0000, phones lie between 900 000 000 and 900 099 999,
accounts in office 999, and every name carries a word that says so. The people of the wire's
printed examples are among them, so that each example works as it stands.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from scheme.cci import compose, participant_of
from scheme.network import Fleet, Participant

OFFICE = "999"
"""Office of every generated account."""

MAGIC_PARTICIPANT = "0988"
"""Who keeps the accounts of the magic people."""
MAGIC_VERIFICATION_PHONES = 900_099_000
"""Phone of magic number 0 at the verification; number NN follows NN later."""
MAGIC_ORDER_PHONES = 900_099_100
"""Phone of magic number 0 at the order."""
MAGIC_NUMBERS = range(1, 61)
"""Numbers that have a person: what each does is the institutions' matter."""

CLEARING_DIRECTORY = "0903"
YAPE_DIRECTORY = "0901"
PLIN_DIRECTORY = "0902"

_DNI, _FOREIGNER_CARD = "2", "5"
_FIRST_PHONE, _LAST_PHONE = 900_001_000, 900_089_999
_FIRST_DNI, _DNIS = 1_000, 9_000
_OPENING_MINOR = (500_000, 5_000_000)
_REFERENCE_OPENING_MINOR = 2_500_000
_YAPE_SHARE, _PLIN_SHARE, _DOLLAR_SHARE = 0.55, 0.45, 0.03

_GIVEN = (
    "ALBA", "BRISA", "CIELO", "DALIA", "ESTRELLA", "FLORA", "GEMA", "HIEDRA", "IRIS", "JADE",
    "LUNA", "MARINA", "NUBE", "OLIVO", "PERLA", "QUENA", "ROCIO", "SOL", "TRIGO", "VIOLETA",
    "ABRIL", "BOSQUE", "CEDRO", "DELTA", "ENEBRO", "FARO", "GRANITO", "HELIO", "JUNCO", "LINO",
)  # fmt: skip
_SURNAMES = (
    "ANDENES", "BALSA", "CAMINO", "CANTUTA", "CHACRA", "CUMBRE", "ICHU", "LAGUNA", "LOMA",
    "MAREA", "NEVADO", "PUENTE", "QUEBRADA", "QUINUA", "RIBERA", "TAMBO", "TOTORA", "VALLE",
)  # fmt: skip
_MARKS = ("DEMO", "PRUEBA", "ENSAYO", "MUESTRA", "EJEMPLO", "FICTICIA")


@dataclass(frozen=True, slots=True)
class Holding:
    """One account of a person.

    Attributes:
        participant: four digits.
        currency: PEN or USD.
        directories: where the person's phone leads to this account.
        wallet_token: what the QR of its wallet carries, if it has one.
        affiliated: the institution accepts payments by alias to it.
        opening_minor: what lies on it at the first start.
    """

    participant: str
    cci: str
    currency: str = "PEN"
    directories: tuple[str, ...] = ()
    wallet_token: str | None = None
    affiliated: bool = True
    opening_minor: int = _REFERENCE_OPENING_MINOR


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who does not exist.

    Attributes:
        document_code: 2 for DNI, 5 for a foreigner's card.
        phone: nine digits.
        person_type: N, a natural person.
    """

    name: str
    document: str
    document_code: str
    phone: str
    person_type: str
    holdings: tuple[Holding, ...]
    address: str | None = None


def _account(participant: str, number: int) -> str:
    return compose(participant[1:], OFFICE, f"{number:012}")


def _reference(name: str, number: int, phone: int, *holdings: Holding) -> Person:
    return Person(name, f"{number:08}", _DNI, str(phone), "N", holdings)


# The phone of the first one is not in any directory, so that the printed registration is accepted.
REFERENCE_PEOPLE: tuple[Person, ...] = (
    _reference(
        "SOCIA UNO DEMO PRUEBA", 101, 900_000_101,
        Holding("0970", "97000110020030040142"),
    ),
    _reference(
        "SOCIA UNO DEMO PRUEBA", 101, 900_000_199,
        Holding("0970", "97000110020030041944", directories=(CLEARING_DIRECTORY,)),
    ),
    Person(
        "SOCIO DOS DEMO ENSAYO", "00000202", _DNI, "900000202", "N",
        (
            Holding("0971", "97100220030040050213", directories=(CLEARING_DIRECTORY,)),
            Holding("0988", _account("0988", 202), directories=(CLEARING_DIRECTORY,)),
            Holding(
                "0002", _account("0002", 202), directories=(YAPE_DIRECTORY,),
                wallet_token="JkFeONS2eiB1suifMU16Oq+kwtcxUSQ3KswkrAsuKms=",  # noqa: S106
            ),
        ),
        "JR LOS ENSAYOS 202",
    ),
    _reference(
        "CLIENTA YAPE DEMO MUESTRA", 299, 900_000_299,
        Holding(
            "0002", _account("0002", 299), directories=(YAPE_DIRECTORY,),
            wallet_token="ea7874f72c02a0d20639c77ae0ba5944",  # noqa: S106
        ),
    ),
    _reference(
        "SOCIA TRES DEMO EJEMPLO", 325, 900_000_325,
        Holding("0972", "97200130040050060325", directories=(CLEARING_DIRECTORY,)),
    ),
    _reference(
        "CLIENTE PLIN DEMO PRUEBA", 404, 900_000_404,
        Holding(
            "0003", _account("0003", 404), directories=(CLEARING_DIRECTORY, PLIN_DIRECTORY),
            wallet_token="f8d9e7dc4b9e9384d598f6f0fb0364dd",  # noqa: S106
        ),
    ),
    _reference(
        "SPONSOR CUENTA DEMO ENSAYO", 987, 900_000_987,
        Holding("0987", "98700099988877766670"),
    ),
)  # fmt: skip
"""The people, phones, accounts and tokens of the wire's printed examples."""


def magic_people() -> Iterator[Person]:
    """Make the people whose institution misbehaves on purpose: by verification, then by order."""
    for first_phone, label in (
        (MAGIC_VERIFICATION_PHONES, "CONSULTA"),
        (MAGIC_ORDER_PHONES, "ORDEN"),
    ):
        for number in MAGIC_NUMBERS:
            tail = first_phone - MAGIC_VERIFICATION_PHONES + number
            holding = Holding(
                MAGIC_PARTICIPANT,
                _account(MAGIC_PARTICIPANT, 900_099_000 + tail),
                directories=(CLEARING_DIRECTORY,),
            )
            yield _reference(
                f"MAGIA {label} {number:02} DEMO", 500 + tail, first_phone + number, holding
            )


def people(fleet: Fleet, rng: random.Random) -> list[Person]:
    """Return everybody who holds an account in the fleet, always the same for the same inputs.

    Each participant's people are drawn from a source of its own, so that a participant added at
    the end of the fleet's file changes nobody else.
    """
    here = fleet.by_code()
    found = [
        kept for person in (*REFERENCE_PEOPLE, *magic_people()) if (kept := _kept(person, here))
    ]
    root = rng.getrandbits(64)
    crowd = _Crowd(fleet)
    for one in fleet.participant:
        source = random.Random(f"{root}:{one.code}")
        found.extend(crowd.person(one, number, source) for number in range(one.customers))
    return found


def _kept(person: Person, here: dict[str, Participant]) -> Person | None:
    holdings = tuple(one for one in person.holdings if participant_of(one.cci) in here)
    if not holdings:
        return None
    return Person(
        person.name, person.document, person.document_code, person.phone, person.person_type,
        holdings, person.address,
    )  # fmt: skip


class _Crowd:
    """Draws people, none of them twice."""

    def __init__(self, fleet: Fleet) -> None:
        self._phones: set[int] = set()
        self._persons = 0
        self._issuers = [one for one in fleet.participant if one.issues == YAPE_DIRECTORY]
        self._in_plin = [one for one in fleet.participant if PLIN_DIRECTORY in one.directories]

    def person(self, home: Participant, number: int, source: random.Random) -> Person:
        """Draw the next customer of a participant."""
        phone = self._phone(source)
        document, code = self._document()
        name = (
            f"{source.choice(_GIVEN)} {source.choice(_GIVEN)} "
            f"{source.choice(_SURNAMES)} {source.choice(_MARKS)}"
        )
        street = source.choice(_SURNAMES)
        return Person(
            name, document, code, str(phone), "N",
            tuple(self._holdings(home, number, phone, source)),
            f"CALLE {street} DEMO {source.randrange(100, 1000)}",
        )  # fmt: skip

    def _holdings(
        self, home: Participant, number: int, phone: int, source: random.Random
    ) -> Iterator[Holding]:
        own = (CLEARING_DIRECTORY, *home.directories)
        yield _drawn(home.code, _account(home.code, 1_000_000 + number), own, source)
        if home not in self._issuers and source.random() < _YAPE_SHARE:
            for issuer in self._issuers[:1]:
                account = _account(issuer.code, phone)
                yield _drawn(issuer.code, account, (YAPE_DIRECTORY,), source)
        if self._in_plin and home not in self._in_plin and source.random() < _PLIN_SHARE:
            bank = source.choice(self._in_plin)
            yield _drawn(bank.code, _account(bank.code, phone), (PLIN_DIRECTORY,), source)
        if "USD" in home.currencies and source.random() < _DOLLAR_SHARE:
            account = _account(home.code, 2_000_000 + number)
            opening = source.randrange(*_OPENING_MINOR) // 4
            yield Holding(home.code, account, "USD", affiliated=False, opening_minor=opening)

    def _phone(self, source: random.Random) -> int:
        phone = source.randint(_FIRST_PHONE, _LAST_PHONE)
        while phone in self._phones:
            phone = _FIRST_PHONE if phone == _LAST_PHONE else phone + 1
        self._phones.add(phone)
        return phone

    def _document(self) -> tuple[str, str]:
        number = self._persons
        self._persons += 1
        if number < _DNIS:
            return f"{_FIRST_DNI + number:08}", _DNI
        return f"0000{number - _DNIS:05}", _FOREIGNER_CARD


def _drawn(
    participant: str, cci: str, directories: tuple[str, ...], source: random.Random
) -> Holding:
    is_wallet = YAPE_DIRECTORY in directories or PLIN_DIRECTORY in directories
    return Holding(
        participant,
        cci,
        directories=directories,
        wallet_token=f"{source.getrandbits(128):032x}" if is_wallet else None,
        opening_minor=source.randrange(*_OPENING_MINOR),
    )
