"""Requests of the ISO 8583 lane as fields, and the small network that they are about."""

import random
from datetime import UTC, datetime
from typing import Any, Final

from scheme import cci
from scheme.ledger import DALE
from scheme.network import Participant
from scheme.wire.iso8583_spec import Fields
from scheme.wire.iso8583_tlv import decode_tlv, encode_tlv

NOW: Final = datetime(2026, 1, 15, 15, 16, 13, tzinfo=UTC)
"""10:16:13 in Lima."""
CORE: Final = "0975"
OTHER_CORE: Final = "0976"
BANK: Final = "0002"
ACQUIRER: Final = "0991"


def account(code: str, number: int = 4014) -> str:
    """Return the CCI of an invented account."""
    return cci.compose(code[1:], "001", f"{number:012}")


def lane_fleet() -> dict[str, Participant]:
    """Return two coops and an acquirer on the lane, and a bank that is not."""
    behind: dict[str, Any] = {"kind": "coop", "ledger": DALE, "sponsor": "0987"}
    members = (
        Participant(code=CORE, name="COOPAC SEIS", lane="iso8583", **behind),
        Participant(code=OTHER_CORE, name="COOPAC SIETE", lane="iso8583", **behind),
        Participant(code=ACQUIRER, name="RED DE AGENTES", kind="acquirer", lane="iso8583"),
        Participant(code=BANK, name="BANCO DOS", kind="bank"),
        Participant(code="0987", name="CAJA CENTRAL", kind="sponsor"),
    )
    return {one.code: one for one in members}


PARTIES: Final = {
    "04": "SOCIA UNO DEMO",
    "05": "2",
    "06": "00000101",
    "07": "900000101",
    "09": "N",
    "14": "PAGO DE ENSAYO",
}


def a_transfer(parties: dict[str, str] | None = None, **elements: str) -> Fields:
    """Return a 0200/40 from one core to the other.

    Args:
        parties: changes of DE48; an empty value takes the tag out.
        elements: changes, e.g. ``de103``; an empty value takes the element out.
    """
    fields = {
        "t": "0200",
        "3": "400000",
        "4": "000000012500",
        "7": "0115151613",
        "11": "000124",
        "12": "101613",
        "13": "0115",
        "32": CORE,
        "37": "011510161342",
        "41": "SIM00001",
        "48": "",
        "49": "604",
        "102": account(CORE),
        "103": account(OTHER_CORE),
    }
    told = PARTIES | (parties or {})
    fields["48"] = encode_tlv({tag: value for tag, value in told.items() if value})
    return changed(fields, **elements)


def changed(fields: Fields, **elements: str) -> Fields:
    """Return fields with some put in, or taken out where the value is empty."""
    fields = fields | {key.removeprefix("de"): value for key, value in elements.items()}
    return {key: value for key, value in fields.items() if value}


def a_verification(parties: dict[str, str] | None = None, **elements: str) -> Fields:
    """Return a 0200/33 about an account of the bank."""
    given = {"de3": "330000", "de4": "", "de102": "", "de103": account(BANK)} | elements
    return a_transfer(parties, **given)


def a_deposit(parties: dict[str, str] | None = None, **elements: str) -> Fields:
    """Return a 0200/21 of an agent into an account of a core."""
    nobody = {"04": "", "05": "", "06": "", "07": "", "09": "", "14": ""}
    given = {"de3": "210000", "de32": ACQUIRER, "de102": "", "de18": "6010"} | elements
    return a_transfer(nobody | (parties or {}), **given)


def a_reversal(original: Fields, **elements: str) -> Fields:
    """Return the 0420 of a request."""
    named = f"0200{original['11']}{original['7']}{original['32']:0>11}{'':0>11}"
    fields = {key: value for key, value in original.items() if key not in ("48", "52")}
    return changed(fields | {"t": "0420", "7": "0115151700", "90": named}, **elements)


def any_transfer(seed: int) -> Fields:
    """Return a 0200/40 drawn from a seed, of every kind that a core may send."""
    rng = random.Random(seed)
    parties = {
        "04": " ".join(rng.choices(("ANA", "LUZ", "QUISPE", "ROJAS", "DE LA O"), k=3)),
        "06": f"{rng.randrange(10**8):08}",
        "07": rng.choice(("", "900000101")),
        "09": rng.choice(("", "N", "J")),
        "11": rng.choice(("", "0", "80", "700")),
        "12": rng.choice(("", "M", "O", "E")),
        "13": rng.choice(("", "M", "O")),
        "14": rng.choice(("", "ALQUILER ENERO", "x" * 140)),
    }
    creditor = rng.choice((OTHER_CORE, BANK))
    elements = {
        "t": rng.choice(("0200", "0201")),
        "de4": f"{rng.randrange(1, 10**8):012}",
        "de11": f"{rng.randrange(10**6):06}",
        "de12": f"{rng.randrange(24):02}{rng.randrange(60):02}{rng.randrange(60):02}",
        "de13": f"{rng.randrange(1, 13):02}{rng.randrange(1, 29):02}",
        "de18": rng.choice(("", "6010", "6011", "6012")),
        "de37": f"{rng.randrange(10**12):012}",
        "de49": rng.choice(("604", "840")),
        "de103": account(creditor, rng.randrange(10**12)),
    }
    return a_transfer(parties, **elements)


def tags(fields: Fields, element: str = "62") -> dict[str, str]:
    """Return the tagged values of an element."""
    return decode_tlv(fields.get(element, ""), element)
