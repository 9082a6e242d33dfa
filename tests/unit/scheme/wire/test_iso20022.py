"""Statements and instructions: ids that fit, names that are text, pieces that stay small."""

from collections.abc import Iterator
from itertools import islice
from xml.etree import ElementTree

import pytest

from scheme.batch import Batch, BatchRow, Counted, Outcome
from scheme.wire.iso20022 import (
    PIECE_BYTES,
    PayOrder,
    StatementEntry,
    decimal,
    instruction,
    iso_stamp,
    statement,
)

PACS = "{urn:iso:std:iso:20022:tech:xsd:pacs.009.001.08}"
ID_CHARACTERS_MAX = 35


def a_row(**others: object) -> BatchRow:
    values: dict[str, object] = {
        "participant": "0002",
        "name": "BANCO <SIMULADO> & HIJOS",
        "opening": -500,
        "sent": Outcome(),
        "received": Outcome(Counted(1, 2_550)),
        "net": 2_550,
        "funded": Counted(),
        "drawn": Counted(),
        "new_opening": 2_050,
        "fees_due": 0,
    }
    return BatchRow(**(values | others))  # type: ignore[arg-type]


def a_batch(window: str = "national-PEN-20261123-1", ledger: str = "national") -> Batch:
    return Batch(
        batch=window,
        cycle=ledger,
        ledger=ledger,
        currency="PEN",
        settlement_date="20261123",
        number=1,
        cut_off="20261123163515",
        opened_at="20261122163515",
        closed_at="20261123163516",
        next_window="",
        participants=(a_row(),),
        gross=Counted(),
        net_sum=0,
    )


def entries() -> Iterator[StatementEntry]:
    number = 0
    while True:
        number += 1
        yield StatementEntry(
            reference=f"t{number}", kind="principal", is_credit=True, minor=1, posted_ms=number
        )


@pytest.mark.parametrize("net", [-1, 1])
@pytest.mark.parametrize("settlement_round", [1, 2, 99])
def test_ids_fit_the_longest_window(net: int, settlement_round: int) -> None:
    batch = a_batch("national-dispute-PEN-20261123-99")
    order = PayOrder(participant="0002", name="X", net=net, round=settlement_round)

    found = ElementTree.fromstring(instruction(batch, order))

    for tag in ("MsgId", "InstrId", "EndToEndId", "TxId"):
        text = found.findtext(f".//{PACS}{tag}") or ""
        assert 0 < len(text) <= ID_CHARACTERS_MAX


def test_ids_derive_from_batch_round_participant_and_way() -> None:
    made = {
        instruction(a_batch(), PayOrder(participant=code, name="X", net=net, round=number))
        for code in ("0002", "0003")
        for net in (-1, 1)
        for number in (1, 2)
    }
    again = instruction(a_batch(), PayOrder(participant="0002", name="X", net=-1))

    ids = {ElementTree.fromstring(one).findtext(f".//{PACS}MsgId") for one in made}
    assert len(ids) == len(made) == 8
    assert again in made


def test_a_coops_batch_settles_in_its_sponsors_books() -> None:
    batch = a_batch("dale-PEN-20261123-1", "dale")

    body = instruction(batch, PayOrder(participant="0970", name="X", net=-1))

    assert b"<Prtry>SPONSOR</Prtry>" in body


def test_names_are_text_whatever_they_hold() -> None:
    body = b"".join(statement(a_batch(), a_row(), ()))

    assert b"BANCO &lt;SIMULADO&gt; &amp; HIJOS" in body
    ElementTree.fromstring(body)


def test_a_balance_below_zero_is_a_debit() -> None:
    body = b"".join(statement(a_batch(), a_row(), ()))
    opening, closing = body.split(b"<Bal>")[1:]

    assert b'<Amt Ccy="PEN">5.00</Amt>' in opening
    assert b"<CdtDbtInd>DBIT" in opening
    assert b'<Amt Ccy="PEN">20.50</Amt>' in closing
    assert b"<CdtDbtInd>CRDT" in closing


def test_pieces_are_handed_on_while_the_statement_is_written() -> None:
    pieces = list(islice(statement(a_batch(), a_row(), entries()), 5))

    assert all(PIECE_BYTES <= len(one) < PIECE_BYTES + 2_000 for one in pieces)


def test_long_references_are_cut() -> None:
    long = StatementEntry(reference="k" * 90, kind="funding", is_credit=True, minor=1, posted_ms=0)

    body = b"".join(statement(a_batch(), a_row(), [long]))

    assert b"<NtryRef>" + b"k" * ID_CHARACTERS_MAX + b"</NtryRef>" in body
    assert b"<Cd>MCOP</Cd>" in body


def test_amounts_and_moments_are_the_standards() -> None:
    assert [decimal(one) for one in (0, 5, -2_550, 10**17)] == [
        "0.00",
        "0.05",
        "25.50",
        "1000000000000000.00",
    ]
    assert iso_stamp("20261123163515") == "2026-11-23T16:35:15-05:00"
