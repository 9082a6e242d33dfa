"""Echoes: who answers is known, right after a start and at each interval."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runtime.clock import ManualClock
from runtime.files import load_profile
from scheme.errors import NotConnected
from scheme.messages import ET1, Message
from switch.core.sessions import NetworkState, Session
from switch.echo import Echoes
from switch.ports import Delivery
from tests.support.switch_world import echo, fleet, quiet

START = datetime(2026, 1, 15, 15, 0, tzinfo=UTC)


class Peers:
    """Answers echoes unless it is told not to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.say: dict[str, Any] = {}

    def prepare(self, participant: str, message: Message, subject: str) -> bytes:
        raise AssertionError(participant, message, subject)

    async def ask(
        self, participant: str, message: Message, subject: str, prepared: bytes = b""
    ) -> Message:
        del subject, prepared
        assert isinstance(message, ET1)
        assert message.participantCode == participant
        self.asked.append(participant)
        said = self.say.get(participant)
        if isinstance(said, asyncio.Future):
            await said
        if isinstance(said, Exception):
            raise said
        return echo(message)

    async def deliver(self, owed: object, *, repeated: bool = False) -> Delivery:
        del repeated
        raise AssertionError(owed)


class Desk:
    """Echoes with 0970 and 0971 signed on, and 0988 not."""

    def __init__(self) -> None:
        self.clock = ManualClock(START)
        self.peers = Peers()
        self.tasks: list[asyncio.Task[Any]] = []
        on = Session(signed_on=True)
        state = NetworkState().with_session("0970", on).with_session("0971", on)
        self.echoes = Echoes(
            peers=self.peers,
            fleet=fleet(**{"0970": {"url": ""}}),
            state=lambda: state,
            timers=load_profile("peru").timers,
            clock=self.clock,
            spawn=self.spawn,
        )

    def spawn(self, work: Any) -> None:
        self.tasks.append(asyncio.create_task(work))

    async def advance(self, seconds: float) -> None:
        await self.clock.advance(timedelta(0))
        await self.clock.advance(timedelta(seconds=seconds))


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    with quiet():
        made = Desk()
        yield made
        for task in made.tasks:
            task.cancel()


async def test_every_minute_those_who_are_signed_on_and_listen_are_asked(desk: Desk) -> None:
    desk.spawn(desk.echoes.run())
    await desk.advance(59)
    assert desk.peers.asked == []
    await desk.advance(1)
    assert desk.peers.asked == ["0971"]
    await desk.advance(120)
    assert desk.peers.asked == ["0971"] * 3
    assert desk.echoes.is_ok("0971")
    assert not desk.echoes.is_ok("0988")


async def test_who_is_down_or_silent_is_not_ok(desk: Desk) -> None:
    desk.spawn(desk.echoes.run())
    await desk.advance(60)
    desk.peers.say["0971"] = NotConnected("down")
    await desk.advance(60)
    assert not desk.echoes.is_ok("0971")
    desk.peers.say["0971"] = asyncio.get_running_loop().create_future()
    await desk.advance(65)
    assert not desk.echoes.is_ok("0971")
    assert desk.echoes.last["0971"].took_ms == 5_000


async def test_a_greeting_goes_on_until_all_have_answered(desk: Desk) -> None:
    desk.peers.say["0971"] = NotConnected("not up yet")
    greeting = asyncio.create_task(
        desk.echoes.greet(lambda: [] if desk.echoes.is_ok("0971") else ["0971", "0988"])
    )
    await desk.advance(1)
    assert not greeting.done()
    del desk.peers.say["0971"]
    await desk.advance(1)
    assert greeting.done()
    assert set(desk.peers.asked) == {"0971"}
