"""Payments of the slow rails in an institution's book, on a real disk and over its port."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from participants.core.book import Movement
from participants.links.payments_port import PaymentsPort
from participants.links.tin_http.seal import Seal
from participants.store import SqliteBooks
from runtime.http_server import Request
from scheme.errors import BadSignature
from scheme.messages.payment import PaymentMessage
from scheme.reasons import ReasonCode
from scheme.wire import pacs_json
from tests.support.fleet_world import World, an_account
from tests.support.payment_messages import (
    CREDITOR_CCI,
    DEBTOR_CCI,
    PAYMENT_ID,
    a_return,
    a_status,
    a_transfer,
)

OPENING = 6_000_000
TOTAL = 5_000_040
_NAMES = {
    "FIToFIPmtStsRpt": pacs_json.STATUS,
    "FIToFICstmrCdtTrf": pacs_json.TRANSFER,
    "PmtRtr": pacs_json.RETURN,
}


def failed(error: BaseException) -> None:
    raise AssertionError from error


class Side:
    """One institution on a real disk."""

    def __init__(self, code: str, cci: str, folder: Path) -> None:
        self.code, self.cci = code, cci
        self.path = folder / "fleet.db"
        account = an_account(
            cci=cci, participant=code, balance=OPENING, opening=OPENING, phone="900000101"
        )
        self.books = SqliteBooks.open(self.path, on_failure=failed)
        self.books.seed([code], [account])
        self._open()

    def _open(self) -> None:
        self.world = World(self.code, self.books.accounts()[self.code])
        self.world.institution.books = self.books
        seal = Seal(None, None, self.world.clock.now)
        self.port = PaymentsPort(self.world.office.takers(), seal.open)

    async def restart(self) -> None:
        await self.books.close()
        self.books = SqliteBooks.open(self.path, on_failure=failed)
        self._open()

    async def take(self, *messages: PaymentMessage) -> None:
        for one in messages:
            path = pacs_json.PATH + _NAMES[type(one).__name__]
            response = await self.port.answer(
                Request("POST", path, {}, {}, pacs_json.encode(one), "test")
            )
            assert response.status == 200, response.body

    @property
    def gained(self) -> int:
        return self.world.account(self.cci).balance - OPENING

    def movements(self) -> list[Movement]:
        return self.books.movements(self.code, 0, 100)

    async def is_clean(self) -> bool:
        recount = await self.books.recount(self.code)
        assert not recount.differences
        return recount.clean


@pytest.fixture
async def debtor(tmp_path: Path) -> AsyncIterator[Side]:
    side = Side("0970", DEBTOR_CCI, tmp_path)
    yield side
    await side.books.close()


@pytest.fixture
async def creditor(tmp_path: Path) -> AsyncIterator[Side]:
    side = Side("0971", CREDITOR_CCI, tmp_path)
    yield side
    await side.books.close()


async def test_a_debtor_pays_once_through_repeats_and_a_restart(debtor: Side) -> None:
    await debtor.take(a_status("ACSP"), a_status("ACSP"))
    assert debtor.gained == -TOTAL
    await debtor.restart()
    await debtor.take(a_status("ACSP"), a_status("ACSC"), a_status("ACSC"))

    assert debtor.gained == -TOTAL
    (movement,) = debtor.movements()
    assert (movement.role, movement.state, movement.rail) == ("debtor", "FINAL", "deferred")
    assert (movement.instruction_id, movement.amount, movement.fee) == (PAYMENT_ID, 5_000_000, 40)
    assert await debtor.is_clean()


async def test_a_rejected_payment_is_given_back(debtor: Side) -> None:
    await debtor.take(a_status("ACSP"))
    await debtor.restart()
    await debtor.take(a_status("RJCT"), a_status("RJCT"))

    assert debtor.gained == 0
    assert [one.state for one in debtor.movements()] == ["REJECTED"]
    assert [one.reason_code for one in debtor.movements()] == ["ED05"]
    assert await debtor.is_clean()


async def test_a_rejection_that_overtakes_takes_nothing(debtor: Side) -> None:
    await debtor.take(a_status("RJCT"), a_status("ACSP"))

    assert debtor.gained == 0
    assert [one.state for one in debtor.movements()] == ["REFUSED"]
    assert await debtor.is_clean()


async def test_a_creditor_is_credited_once_and_may_give_part_back(creditor: Side) -> None:
    await creditor.take(a_return(), a_transfer(), a_transfer(), a_return())

    assert creditor.gained == 5_000_000 - 1_000
    assert {(one.role, one.rail) for one in creditor.movements()} == {
        ("creditor", "deferred"),
        ("debtor", "return"),
    }
    assert await creditor.is_clean()


async def test_a_debtor_gets_the_return(debtor: Side) -> None:
    await debtor.take(a_status("ACSC"), a_return(), a_return())

    assert debtor.gained == -TOTAL + 1_000
    assert await debtor.is_clean()


async def test_an_account_that_is_not_here_is_said_and_not_moved(creditor: Side) -> None:
    await creditor.take(a_transfer(creditor_cci="97100220030040059999"))

    (movement,) = creditor.movements()
    assert (movement.state, movement.reason_code) == ("UNAPPLIED", "AC01")
    assert creditor.gained == 0
    assert await creditor.is_clean()


async def test_another_currency_is_not_applied(creditor: Side) -> None:
    await creditor.take(a_transfer(currency="USD"))

    assert [one.state for one in creditor.movements()] == ["UNAPPLIED"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{", "root"),
        (b"[]", "root"),
        (b'{"Other":{}}', "root"),
        (b'{"FIToFICstmrCdtTrf":{"GrpHdr":{"MsgId":""}}}', "GrpHdr.MsgId"),
        (b"\xff", "root"),
    ],
)
async def test_what_cannot_be_read_is_refused(creditor: Side, body: bytes, field: str) -> None:
    path = pacs_json.PATH + pacs_json.TRANSFER
    response = await creditor.port.answer(Request("POST", path, {}, {}, body, "test"))
    assert response.status == 400
    assert f'"field":"{field}"'.encode() in response.body


async def test_what_is_not_signed_as_it_must_be_is_refused(creditor: Side) -> None:
    def unseal(_: bytes) -> bytes:
        raise BadSignature(ReasonCode.DS0A, "the message is not signed")

    port = PaymentsPort(creditor.world.office.takers(), unseal)
    path = pacs_json.PATH + pacs_json.TRANSFER
    response = await port.answer(Request("POST", path, {}, {}, b"{}", "test"))
    assert response.status == 400
    assert b'"field":"signature"' in response.body


async def test_other_paths_and_methods_are_not_served(creditor: Side) -> None:
    def asked(method: str, path: str) -> Request:
        return Request(method, path, {}, {}, b"", "test")

    assert (await creditor.port.answer(asked("POST", "/payments/pacs.009"))).status == 404
    assert (await creditor.port.answer(asked("GET", "/payments/pacs.008"))).status == 405
