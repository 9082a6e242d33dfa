"""What a field agent's commands say when somebody has to do something."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from chasqui.exits import ExitCode
from participants.agent_queue import AgentQueue, queue_path
from participants.core.agent_book import Change, EntryState
from scheme.wire.agent_payload import (
    Fault,
    encode,
)
from tests.support import agent_house
from tests.support.agent_house import CCI
from tests.support.agent_switch import DEVICE, AgentSwitch
from tests.support.fake_country import Chasqui

house, home, switch = agent_house.house, agent_house.home, agent_house.switch


def test_a_disk_from_earlier_is_told_of_once(
    chasqui: Chasqui, switch: AgentSwitch, home: Path
) -> None:
    for _ in range(2):
        chasqui("agent", "out", "--account", CCI, "--amount", "5")
        chasqui("agent", "in", "--to", CCI, "--amount", "5")
    path = queue_path(home, DEVICE)
    queue = AgentQueue.open(path)
    facts, entries = queue.load()
    queue.close()
    path.unlink()
    queue = AgentQueue.open(path)
    waiting = replace(entries[0], state=EntryState.QUEUED, verdict=None)
    older = replace(facts, next=2, agreed=0)
    asyncio.run(queue.save(Change(older, (waiting,))))
    queue.close()
    code, out, _err = chasqui("agent", "sync")
    assert code == ExitCode.REFUSED
    assert "The clearing house has operations 2-4" in " ".join(out.split())
    code, out, _err = chasqui("agent", "sync", "--json")
    assert (code, json.loads(out)["unaccounted"]) == (ExitCode.DONE, [])


def test_a_terminal_that_is_shut_out_is_told_who_lets_it_in(
    chasqui: Chasqui, switch: AgentSwitch, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = encode(Fault(0, "behind", "first: verdicts of 1 to 2 are not known here"))
    monkeypatch.setattr(switch, "receive", lambda _payload: [fault])
    code, _out, err = chasqui("agent", "in", "--to", CCI, "--amount", "5")
    assert code == ExitCode.REFUSED
    assert "gets no session" in err
    assert f"agent restore {DEVICE}" in err


def test_two_who_watch_push_each_other_out_and_one_gives_way(
    home: Path,
) -> None:
    command = [sys.executable, "-m", "chasqui", "--lang", "en", "agent", "watch"]
    both = [
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    deadline = time.monotonic() + 40
    while all(one.poll() is None for one in both) and time.monotonic() < deadline:
        time.sleep(0.05)
    (ended,) = [one for one in both if one.poll() is not None]
    (left,) = [one for one in both if one is not ended]
    time.sleep(0.3)
    assert left.poll() is None
    left.send_signal(signal.SIGINT)
    left.communicate()
    _out, err = ended.communicate()
    assert ended.returncode == ExitCode.REFUSED
    assert "Another client of the user watch pushes this one out" in err
