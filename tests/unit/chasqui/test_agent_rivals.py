"""Whose connections are so short that somebody else must be taking them over."""

from types import SimpleNamespace

import pytest

from chasqui import agent_rivals
from chasqui.agent_rivals import Rivals


@pytest.fixture
def lasted(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    loop = SimpleNamespace(now=0.0)
    found = SimpleNamespace(time=lambda: loop.now)
    asyncio = SimpleNamespace(get_running_loop=lambda: found)
    monkeypatch.setattr(agent_rivals, "asyncio", asyncio)
    return loop


def test_three_short_connections_in_a_row_are_somebody_elses_doing(
    lasted: SimpleNamespace,
) -> None:
    rivals, gives_way = Rivals("watch"), []
    for seconds in (3600, 1, 1, 60, 1, 1, 1):
        assert not rivals.down()  # An attempt that never came up counts for nothing.
        rivals.up()
        lasted.now += seconds
        gives_way.append(rivals.down())
    assert gives_way == [False] * 6 + [True]
