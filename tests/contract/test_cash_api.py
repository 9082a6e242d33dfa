"""The operator's routes for cash, against their document."""

import json
from collections import deque
from pathlib import Path
from typing import Any

import pytest

from runtime.http_server import Request, Response
from switch.queries import Queries
from switch.routes import OperatorEdge
from tests.contract.test_openapi import fits
from tests.support.cash_world import AMOUNT, PHONE, CashWorld, Core, cash_world

_HOST = {"Host": "127.0.0.1:7081"}
_CODE = {"participant": "0975", "phone": PHONE, "amount": AMOUNT}


class Operator:
    """Calls the routes of a small country's cash."""

    def __init__(self, world: CashWorld) -> None:
        self._edge = OperatorEdge(world.cash.routes(), hosts=frozenset())

    async def get(self, target: str) -> Response:
        path, _, query = target.partition("?")
        pairs = dict(part.split("=", 1) for part in query.split("&") if part)
        return await self._edge.handle(Request("GET", path, pairs, _HOST, b"", "127.0.0.1"))

    async def issue(self, document: object, key: str = "k1") -> Response:
        headers = {**_HOST, "Content-Type": "application/json", "Idempotency-Key": key}
        body = json.dumps(document).encode()
        return await self._edge.handle(
            Request("POST", "/cash/codes", {}, headers, body, "127.0.0.1")
        )


async def test_a_code_is_told_once_and_listed_without_it(tmp_path: Path) -> None:
    async with cash_world(tmp_path) as one:
        operator = Operator(one)
        first = await operator.issue(_CODE)
        code = fits(first, ("POST", "/cash/codes"), 201)["code"]
        assert (await operator.issue(_CODE)).body == first.body

        listed = await operator.get("/cash/codes?limit=1")
        (line,) = fits(listed, ("GET", "/cash/codes"), 200)["codes"]
        assert line["attempts_left"] == 3
        assert code.encode() not in listed.body
        assert PHONE not in line["phone"]
        cursor = fits(listed, ("GET", "/cash/codes"), 200)["next"]
        rest = await operator.get(f"/cash/codes?after={cursor}")
        assert fits(rest, ("GET", "/cash/codes"), 200)["codes"] == []


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"amount": 1}, 400),
        ({"participant": "0999"}, 404),
        ({"participant": "0003"}, 409),
        ({"phone": "12"}, 400),
        ({"more": 1}, 400),
        ({"amount": "x"}, 400),
    ],
)
async def test_a_code_that_cannot_be_is_refused(
    tmp_path: Path, changes: dict[str, Any], status: int
) -> None:
    async with cash_world(tmp_path) as one:
        refused = await Operator(one).issue({**_CODE, **changes})
        assert fits(refused, ("POST", "/cash/codes"), status)["error"]


async def test_withdrawals_fit_their_schemas_in_every_end(tmp_path: Path) -> None:
    acts = deque(["00", "51", "silent", "00"])
    async with cash_world(tmp_path, Core(next=acts, undo="12")) as one:
        operator = Operator(one)
        for stan in (1, 2, 3, 4):
            await one.withdraw(one.request(stan))
        await one.reverse(one.reversal(4, dispensed=5_000))
        await one.reverse(one.reversal(5))
        await one.settle()

        page = fits(await operator.get("/cash"), ("GET", "/cash"), 200)["cash"]
        assert {row["state"]: row["dispensed"] for row in page} == {
            "APPROVED": AMOUNT,
            "DECLINED": 0,
            "DISPUTED": 0,
            "DISPUTED_POSTED": 5_000,
            "TOMBSTONE": 0,
        }
        assert all("****" in (row["card"] or "****") for row in page)
        for row in page:
            found = await operator.get(f"/cash/{row['transfer_id']}")
            detail = fits(found, ("GET", "/cash/{withdrawal}"), 200)
            assert len(detail["undispensed"]) == 2 * (row["state"] == "DISPUTED_POSTED")


async def test_a_list_is_narrowed_and_paged(tmp_path: Path) -> None:
    async with cash_world(tmp_path) as one:
        operator = Operator(one)
        for stan in (1, 2, 3):
            await one.withdraw(one.request(stan))
        first = fits(await operator.get("/cash?limit=2"), ("GET", "/cash"), 200)
        rest = await operator.get(f"/cash?limit=2&after={first['next']}")
        second = fits(rest, ("GET", "/cash"), 200)
        assert (len(first["cash"]), len(second["cash"]), second["next"]) == (2, 1, None)
        none = await operator.get("/cash?participant=0976&state=APPROVED")
        assert fits(none, ("GET", "/cash"), 200)["cash"] == []
        fits(await operator.get("/cash?state=what"), ("GET", "/cash"), 400)
        fits(await operator.get("/cash?limit=what"), ("GET", "/cash"), 400)
        fits(await operator.get("/cash?what=1"), ("GET", "/cash"), 400)
        fits(await operator.get("/cash/P1"), ("GET", "/cash/{withdrawal}"), 404)


class _NoWire:
    """A wire log that kept nothing."""

    async def find(self, subjects: frozenset[str], *, since_us: int) -> list[Any]:
        del subjects, since_us
        return []

    async def recent(self, *, participant: str | None, limit: int) -> list[Any]:
        del participant, limit
        return []


async def test_withdrawals_stand_among_the_transfers_and_what_is_stuck(tmp_path: Path) -> None:
    async with cash_world(tmp_path, Core(next=deque(["00", "silent"]), undo="12")) as one:
        queries = Queries(
            one.store,
            _NoWire(),
            clock=one.clock,
            in_flight=lambda: (),
            attempts=one.outbox.attempts,
        )
        posted = (await one.withdraw()).subject
        lost = (await one.withdraw(one.request(2))).subject
        await one.reverse()
        await one.settle()

        detail = await queries.transfer(posted)
        assert detail is not None
        document = Response(200, json.dumps(detail).encode())
        fits(document, ("GET", "/transfers/{instruction}"), 200)
        assert (detail["transfer"]["debtor_agent"], detail["transfer"]["rail"]) == ("0975", "cash")
        stuck = queries.stuck()
        fits(Response(200, json.dumps(stuck).encode()), ("GET", "/stuck"), 200)
        assert {row["instruction_id"] for row in stuck["disputed"]} == {posted, lost}
        assert {row["participant"] for row in stuck["disputed"]} == {"0975"}
