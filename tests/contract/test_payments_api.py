"""The operator's routes for payments and returns, against their document."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import asdict

from runtime.http_server import Request, Response
from scheme.messages.payment import PaymentMessage
from scheme.wire import pacs_json
from switch.routes import OperatorEdge
from tests.contract.test_openapi import fits
from tests.support.payment_messages import a_return, a_status, a_transfer
from tests.support.payment_world import PaymentWorld, an_order, payment_world

_HOST = {"Host": "127.0.0.1:7081"}


class Operator:
    """Calls the routes of a small country's slow rails."""

    def __init__(self, world: PaymentWorld) -> None:
        self._edge = OperatorEdge(world.rails.routes(), hosts=frozenset())

    async def get(self, target: str) -> Response:
        path, _, query = target.partition("?")
        pairs = dict(part.split("=", 1) for part in query.split("&") if part)
        return await self._edge.handle(Request("GET", path, pairs, _HOST, b"", "127.0.0.1"))

    async def post(self, path: str, document: object, key: str = "k1") -> Response:
        headers: Mapping[str, str] = {
            **_HOST,
            "Content-Type": "application/json",
            "Idempotency-Key": key,
        }
        body = json.dumps(document).encode()
        return await self._edge.handle(Request("POST", path, {}, headers, body, "127.0.0.1"))

    async def pay(self, key: str = "k1", **changes: Any) -> Response:
        return await self.post("/payments", asdict(an_order(**changes)), key)


async def test_a_payment_and_its_return_fit_their_schemas(tmp_path: Path) -> None:
    async with payment_world(tmp_path) as world:
        operator = Operator(world)
        made = await operator.pay()
        payment = fits(made, ("POST", "/payments"), 202)["payment_id"]
        assert (await operator.pay()).body == made.body
        await world.settle_cycle()
        path = f"/transfers/{payment}/returns"
        pattern = "/transfers/{instruction}/returns"
        returned = fits(
            await operator.post(path, {"amount": 10, "reason": "FOCR"}), ("POST", pattern), 201
        )

        detail = fits(
            await operator.get(f"/payments/{payment}"), ("GET", "/payments/{payment}"), 200
        )
        assert detail["payment"]["status"] == "ACSC"
        assert detail["payment"]["debtor_cci"].count("*") > 3
        assert [one["return_id"] for one in detail["returns"]] == [returned["return_id"]]
        assert len(detail["entries"]) == 2
        fits(await operator.get("/payments"), ("GET", "/payments"), 200)
        page = fits(await operator.get("/payments?status=RJCT"), ("GET", "/payments"), 200)
        assert page == {"payments": [], "next": None}
        fits(await operator.get(path), ("GET", pattern), 200)
        listed = fits(await operator.get("/returns?limit=1"), ("GET", "/returns"), 200)
        rest = fits(
            await operator.get(f"/returns?after={listed['next']}"), ("GET", "/returns"), 200
        )
        assert (len(listed["returns"]), rest["returns"]) == (1, [])


async def test_refusals_fit_their_schemas(tmp_path: Path) -> None:
    async with payment_world(tmp_path) as world:
        operator = Operator(world)
        refused = fits(await operator.pay(rail="auto"), ("POST", "/payments"), 409)
        assert refused["hint"] == "send it as AV1 and CT1"
        assert refused["considered"]
        fits(await operator.pay(amount=-1), ("POST", "/payments"), 400)
        fits(await operator.pay(debtor="0404"), ("POST", "/payments"), 404)
        world.rails.payments.stop()
        fits(await operator.pay(), ("POST", "/payments"), 503)
        fits(await operator.get("/payments/P1"), ("GET", "/payments/{payment}"), 404)


@pytest.mark.parametrize(
    ("target", "field"),
    [
        ("/payments?status=DONE", "status"),
        ("/payments?state=ACSC", "state"),
        ("/payments?limit=x", "limit"),
        ("/returns?after=x", "after"),
    ],
)
async def test_what_cannot_be_asked_says_where(tmp_path: Path, target: str, field: str) -> None:
    async with payment_world(tmp_path) as world:
        path = target.partition("?")[0]
        refused = fits(await Operator(world).get(target), ("GET", path), 400)
        assert refused["field"] == field


@pytest.mark.parametrize(
    ("name", "example"),
    [("pacs.002", a_status("ACSP")), ("pacs.008", a_transfer()), ("pacs.004", a_return())],
)
def test_the_page_shows_what_is_sent(name: str, example: PaymentMessage) -> None:
    page = (Path(__file__).parents[2] / "docs/wire/payments.md").read_text(encoding="utf-8")
    shown = page.partition(f"<!-- {name}: begin -->\n```json\n")[2].partition("```")[0]
    assert json.loads(shown) == json.loads(pacs_json.encode(example))
