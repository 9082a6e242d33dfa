"""Payloads of the agent lane as people see them."""

import json

from scheme.wire.agent_payload import Operation, Operations, Verdict, Verdicts, encode
from scheme.wire.agent_view import HIDDEN, masked_payload, named_payload

CCI, PHONE = "97100100000000004218", "900000101"


def an_operation(account: str) -> Operation:
    return Operation(1, bytes(8), 1, 2550, 0, account, "", 0, False)


def test_accounts_and_phones_are_masked() -> None:
    payload = encode(Operations(1, (an_operation(CCI), an_operation(PHONE))))
    shown = masked_payload(payload, is_up=True)
    assert [one["account"] for one in shown["operations"]] == [
        "971*************4218",
        "90*****01",
    ]
    assert shown["message"] == "Operations"
    assert CCI in named_payload(payload, is_up=True).decode()


def test_balances_and_movements_are_not_shown() -> None:
    told = Verdict(1, "00", note="account: 97100100000000004218", data=(1234567, 1234567))
    (verdict,) = masked_payload(encode(Verdicts(1, (told,))), is_up=False)["verdicts"]
    assert verdict["data"] == HIDDEN
    assert CCI not in verdict["note"]


def test_of_what_cannot_be_read_only_the_fault_is_shown() -> None:
    payload = encode(Operations(1, (an_operation(PHONE),)))[:-4]
    assert masked_payload(payload, is_up=True).keys() == {"fault"}
    told = json.loads(named_payload(payload, is_up=True))
    assert bytes.fromhex(told["hex"]) == payload
