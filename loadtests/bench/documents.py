"""The fixed documents of the bare relay's world, of the sizes that travel through the switch."""

import random
from datetime import datetime
from typing import Any

import msgspec

from loadtests.bench.orders import Debtor, Payee, Plain

ANY_PAYEE = Payee("0971", "97100220030040050213")
_FOUND = {
    "responseCode": "00",
    "reasonCode": None,
    "creditorName": "SOCIO DOS DEMO ENSAYO",
    "creditorId": "00000202",
    "creditorIdCode": "2",
    "sameCustomerFlag": "O",
}
_RELAYED = {"instructionId": "2026011510153009708191000123", "branchId": "1001"}
_SETTLEMENT = {
    "branchId": "1001",
    "settlementDate": "20260115",
    "instructionId": "2026011510161209704191000124",
    "interbankSettlementAmount": 12580,
}
# What CT3 and CT5 take over from CT1.
_CARRIED = (
    "debtorParticipantCode", "creditorParticipantCode", "terminalId", "retrievalReferenteNumber",
    "trace", "amount", "currency", "transactionReference", "feeAmount", "transactionType",
    "debtorCCI", "creditorCCI", "creditorCreditCard", "sameCustomerFlag",
)  # fmt: skip


class Documents(msgspec.Struct, frozen=True):
    """What the stub creditor answers, what the relay adds, and its CT5.

    The answers bear the root keys of leg 4, which are as long as those of leg 3, so that they
    reach the generator unchanged.
    """

    av3: bytes
    ct3: bytes
    ct5: bytes
    av2_more: bytes
    ct2_more: bytes


def documents(now: datetime) -> Documents:
    """Return them, dated ``now``."""
    debtor = Debtor("0980", [ANY_PAYEE], random.Random(0), envelope=Plain())
    av1 = _members(debtor.verification(ANY_PAYEE, now), "AV1")
    av3 = {name: value for name, value in av1.items() if name != "debtorTypeOfPerson"}
    av3_body = _document("AV4", {**av3, **_RELAYED, **_FOUND})
    ct1 = _members(debtor.order(ANY_PAYEE, 12_500, debtor.verified(av3_body), now), "CT1")
    when = {"responseDate": ct1["creationDate"], "responseTime": ct1["creationTime"]}
    carried = {name: ct1[name] for name in _CARRIED}
    ct3 = {**carried, **when, "responseCode": "00", "reasonCode": None, **_SETTLEMENT}
    del ct3["interbankSettlementAmount"]
    ct5 = {**carried, **when, "responseCode": "00", **_SETTLEMENT, "creationDate": "20260115"}
    ct5 |= {"creationTime": "101612", "channel": "91"}
    del ct5["branchId"]
    return Documents(
        av3=av3_body,
        ct3=_document("CT4", ct3),
        ct5=_document("CT5", ct5),
        av2_more=_more(_RELAYED),
        ct2_more=_more(_SETTLEMENT),
    )


def _members(document: bytes, root: str) -> dict[str, Any]:
    members: dict[str, Any] = msgspec.json.decode(document)[root]
    return members


def _document(root: str, members: dict[str, Any]) -> bytes:
    return msgspec.json.encode({root: members})


def _more(members: dict[str, Any]) -> bytes:
    """Return members as they are put before the last two braces of a document."""
    return b"," + msgspec.json.encode(members)[1:-1] + b"}}"
