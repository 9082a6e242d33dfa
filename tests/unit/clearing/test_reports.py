"""Reconciliation files: what each state of a transfer looks like in them."""

import csv

from clearing.reports import Moved, reconciliation
from scheme.movement import Movement


def movement_of(record: bytes, rail: str, state: str) -> Movement:
    del rail, state
    return Movement(
        instruction_id=record.decode(),
        debtor_account="97000110020030040049",
        creditor_account="97100220030040050213",
        debtor_agent="0970",
        creditor_agent="0971",
        amount=2_550,
        fee=80,
        transfer_type="320",
        at="20260115101530",
        channel="91",
        trace="000124",
        process_code="AB05",
    )


def lines(*states: str) -> list[dict[str, str]]:
    page = [
        Moved(record=f"t{number}".encode(), rail="tin", state=state, sent=True, accepted=False)
        for number, state in enumerate(states)
    ]
    text = b"".join(reconciliation([page], movement_of)).decode()
    return list(csv.DictReader(text.splitlines(), delimiter=";"))


def test_an_order_in_dispute_is_named_and_moves_nothing() -> None:
    (line,) = lines("DISPUTED")
    assert (line["process_code"], line["state"]) == ("DISP", "rejected")
    assert (line["instruction_id"], line["amount"]) == ("t0", "25.50")


def test_every_other_refused_order_says_its_reason() -> None:
    assert [one["process_code"] for one in lines("EXPIRED", "CANCELLED", "REJECTED")] == [
        "AB05"
    ] * 3
