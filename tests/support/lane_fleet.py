"""A core of the ISO 8583 lane without sockets or disk, and the requests that come to it."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from participants.agents.core_desk import CoreDesk
from participants.core import iso8583_wording as iso
from participants.core.replies import LaneReply
from scheme.network import Iso8583
from scheme.wire.iso8583_spec import Fields
from tests.support.fleet_world import CREDITOR_CCI, DEBTOR_CCI, World, an_account

CODE = "0971"
BIN = "970971"
CARD = BIN + CREDITOR_CCI[8:18]
SUBJECT = "202601151016124000123"
PAYER = {"04": "SOCIA UNO DEMO PRUEBA", "05": "2", "06": "00000101", "09": "N"}


class LaneWorld(World):
    """One core with everything around it in a test's hands."""

    def __init__(self, **account: Any) -> None:
        super().__init__(CODE, [an_account(**account)])
        spoken = Iso8583(bins=(BIN,))
        self.institution.entry = replace(self.institution.entry, lane="iso8583", iso8583=spoken)
        self.core = CoreDesk(self.institution, self.office.creditor)

    @property
    def balance(self) -> int:
        return self.account(CREDITOR_CCI).balance

    async def answer(self, fields: Fields) -> Fields:
        """Return the elements of the answer to a request."""
        reply: LaneReply = await self.core.handle(fields)
        assert reply.fields is not None
        assert reply.spoiled is None
        return reply.fields


def a_request(kind: str, **changes: str) -> Fields:
    """Return a 0200 as the clearing house sends it; elements by number, ``e4`` for DE4."""
    fields = {
        "t": "0200",
        "3": f"{kind}0000",
        "4": f"{12_500:012}",
        "7": "0115151612",
        "11": "000123",
        "12": "101612",
        "13": "0115",
        "15": "0115",
        "32": "0970",
        "33": "9999",
        "37": "011510161200",
        "41": "SIM00001",
        "49": "604",
        "48": iso.tagged({"01": CODE, **PAYER, "11": "80", "12": "M"}),
        "62": iso.tagged({"01": SUBJECT, "06": "0970"}),
        "102": DEBTOR_CCI,
        "103": CREDITOR_CCI,
    }
    if kind in {iso.WITHDRAWAL, iso.BALANCE, iso.STATEMENT}:
        fields |= {"32": "0002", "2": CARD}
        for element in ("48", "102", "103"):
            del fields[element]
    return fields | {name.removeprefix("e"): value for name, value in changes.items()}


def a_reversal(sent: Fields, **changes: str) -> Fields:
    """Return the 0420 of a request, as the clearing house sends it."""
    kept = {key: value for key, value in sent.items() if key not in {"t", "48", "52"}}
    original = f"0200{sent['11']}{sent['7']}{sent['32']:0>11}{sent['33']:0>11}"
    said = {"t": "0420", "90": original, "7": "0115151620"}
    return kept | said | {name.removeprefix("e"): value for name, value in changes.items()}
