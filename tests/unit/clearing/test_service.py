"""Clearing's service and its routes over a ledger in memory."""

from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any

import msgspec
import pytest

from clearing.core.audit import Audit
from clearing.http_api import routes
from clearing.service import ClearingService
from runtime.clock import ManualClock
from runtime.http_server import Request, Response
from scheme.errors import StoreError
from scheme.ledger import LBTR, NATIONAL, Move, Owed, Position
from scheme.network import Fleet, Participant
from scheme.profile import Profile
from tests.support.ledger_fakes import MemoryLedger, a_reserve, an_account, an_entry, an_owed

PROFILE = Profile.parse((resources.files("scheme") / "profiles" / "peru.toml").read_text("utf-8"))
FLEET = Fleet(
    participant=(
        Participant(code="0970", name="COOP", kind="coop", prefund={"PEN": 1_000, "USD": 100}),
        Participant(code="0988", name="EMONEY", kind="emoney", currencies=("PEN",)),
    )
)
NOON = datetime(2026, 11, 23, 17, tzinfo=UTC)


class World:
    def __init__(self) -> None:
        self.clock = ManualClock(NOON)
        self.ledger = MemoryLedger()
        self.notices: list[tuple[int, int]] = []
        self.service = ClearingService(
            self.ledger,
            fleet=FLEET,
            profile=PROFILE,
            clock=self.clock,
            notice_of_movement=self._notice,
        )
        self._routes = routes(self.service, self.ledger)

    def _notice(self, before: Position, after: Position) -> tuple[Owed, ...]:
        self.notices.append((before.balance_minor, after.balance_minor))
        return (an_owed(f"SNM998:{len(self.notices)}"),)

    async def get(self, path: str) -> Response:
        request = Request("GET", path, {}, {}, b"", "127.0.0.1")
        return await self._routes["GET", path](request, {})

    async def move(self, kind: str, body: bytes, *, code: str = "0970", key: str = "k") -> Response:
        handler = self._routes["POST", f"/positions/{{code}}/{kind}"]
        headers = {"Idempotency-Key": key} if key else {}
        request = Request("POST", f"/positions/{code}/{kind}", {}, headers, body, "127.0.0.1")
        return await handler(request, {"code": code})


@pytest.fixture
async def world() -> World:
    world = World()
    await world.service.start()
    return world


def shown(response: Response) -> dict[str, object]:
    answer: dict[str, object] = msgspec.json.decode(response.body)
    return answer


def body(amount: int, currency: str = "PEN") -> bytes:
    return msgspec.json.encode({"currency": currency, "amount": amount})


async def test_positions_open_with_their_own_prefund_or_the_profiles(world: World) -> None:
    answer = shown(await world.get("/positions"))

    assert [
        (one["participant"], one["currency"], one["balance"], one["low"], one["high"])
        for one in msgspec.convert(answer["positions"], list[dict[str, Any]])
    ] == [
        ("0970", "PEN", 1_000, 250, 300),
        ("0970", "USD", 100, 25, 30),
        ("0988", "PEN", 1_000_000_000, 250_000_000, 300_000_000),
    ]


async def test_opening_again_changes_nothing(world: World) -> None:
    before = world.service.positions()

    await world.service.start()

    assert world.service.positions() == before


async def test_a_funding_answers_the_position_and_owes_a_notice_with_it(world: World) -> None:
    response = await world.move("funding", body(50))

    assert response.status == 200
    position = msgspec.convert(shown(response)["position"], dict[str, object])
    assert (position["balance"], position["participant"]) == (1_050, "0970")
    assert world.notices == [(1_000, 1_050)]
    (move,) = (one for one in world.ledger.applied if isinstance(one, Move))
    assert [one.owed_id for one in move.owed] == ["SNM998:1"]
    assert (await world.service.audit()).clean


async def test_a_repeat_gets_the_same_bytes_and_moves_nothing(world: World) -> None:
    first = await world.move("funding", body(50))
    await world.move("funding", body(7), key="other")

    again = await world.move("funding", body(50))

    assert again == first
    position = world.ledger.position(an_account("0970"))
    assert position is not None
    assert position.balance_minor == 1_057


@pytest.mark.parametrize("other", [body(51), body(50, "USD")])
async def test_a_key_with_other_content_is_refused(world: World, other: bytes) -> None:
    await world.move("funding", body(50))

    response = await world.move("funding", other)

    assert (response.status, shown(response)["field"]) == (409, "Idempotency-Key")


async def test_a_drawdown_takes_at_most_what_is_not_held(world: World) -> None:
    await world.ledger.apply((a_reserve("t-1", an_entry("0970", "0988", 400)),))

    refused = await world.move("drawdown", body(601))
    done = await world.move("drawdown", body(600), key="k2")

    assert (refused.status, shown(refused)["field"]) == (409, "amount")
    assert shown(refused)["hint"] == "at most 600 now"
    assert done.status == 200
    assert (await world.service.audit()).clean


@pytest.mark.parametrize(
    ("content", "code", "key", "status", "field"),
    [
        (body(1), "0999", "k", 404, "code"),
        (body(1, "USD"), "0988", "k", 400, "currency"),
        (body(0), "0970", "k", 400, "amount"),
        (body(-1), "0970", "k", 400, "amount"),
        (body(10**15 + 1), "0970", "k", 400, "amount"),
        (body(1), "0970", "", 400, "Idempotency-Key"),
        (body(1), "0970", "k" * 129, 400, "Idempotency-Key"),
        (b"{", "0970", "k", 400, "body"),
        (b'{"currency": "\xff", "amount": 1}', "0970", "k", 400, "body"),
        (b'{"currency": "PEN", "amount": "1"}', "0970", "k", 400, "amount"),
        (b'{"currency": "PEN", "amount": 1.5}', "0970", "k", 400, "amount"),
        (b'{"currency": "PEN", "amount": 1, "x": 1}', "0970", "k", 400, "body"),
    ],
)
async def test_a_wrong_request_names_the_field_and_moves_nothing(
    world: World, content: bytes, code: str, key: str, status: int, field: str
) -> None:
    before = world.service.positions()

    response = await world.move("funding", content, code=code, key=key)

    assert (response.status, shown(response)["field"]) == (status, field)
    assert set(shown(response)) == {"error", "field", "hint"}
    assert world.service.positions() == before
    assert world.notices == []


async def test_the_longest_key_is_taken_and_money_that_is_not_there_is_not(world: World) -> None:
    current = PROFILE.lbtr.opening["PEN"]
    short = await world.move("funding", body(10**15), key="s")
    response = await world.move("funding", body(current), key="k" * 128)

    assert (short.status, shown(short)["field"]) == (409, "amount")
    assert shown(short)["error"] == "the current account that pays for it has too little"
    assert response.status == 200
    account = world.ledger.position(an_account("0970", LBTR))
    assert account is not None
    assert account.balance_minor == 0


async def test_an_audit_that_cannot_be_made_is_503(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def damaged() -> Audit:
        raise StoreError("ledger.db: damaged")

    monkeypatch.setattr(world.service, "audit", damaged)
    answer = await world.get("/audit")
    assert answer.status == 503
    assert set(shown(answer)) == {"error", "field", "hint"}


async def test_the_audit_is_answered_with_its_sums(world: World) -> None:
    answer = shown(await world.get("/audit"))

    assert answer["clean"] is True
    assert {"ledger": "national", "currency": "PEN", "minor": 0} in msgspec.convert(
        answer["sums"], list[dict[str, object]]
    )


async def test_the_window_changes_at_the_cut_off_and_never_goes_back(world: World) -> None:
    assert world.service.window(NATIONAL, "PEN").settlement_date == "20261123"

    await world.clock.advance(timedelta(hours=5))
    assert world.service.window(NATIONAL, "PEN").settlement_date == "20261124"

    await world.clock.advance(timedelta(hours=-5))
    assert world.service.window(NATIONAL, "PEN").settlement_date == "20261124"


async def test_a_movement_carries_the_window_open_now(world: World) -> None:
    await world.clock.advance(timedelta(hours=5))
    await world.move("funding", body(50))

    (move,) = (one for one in world.ledger.applied if isinstance(one, Move))
    assert [one.window for one in move.entries] == ["national-PEN-20261124-1", ""]
