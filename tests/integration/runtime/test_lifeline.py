"""A child ends with its parent, however the parent ends."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from runtime.lifeline import EXIT_ORPHANED, Lifeline, watch

ROOT = Path(__file__).resolve().parents[3]
WAIT_S_MAX = 20.0

# A parent that starts a child, says the child's pid and then waits for ever.
PARENT = """
import subprocess, sys, time
from runtime.lifeline import Lifeline
lifeline = Lifeline()
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdin=lifeline.child_fd)
time.sleep(600)
"""
# A child that stops in order when told, and one that hangs.
ORDERLY = """
import os, sys, threading
from runtime.lifeline import watch
gone = threading.Event()
one = watch(0, gone.set, grace_s=60.0)
print(os.getpid(), flush=True)
gone.wait()
print("saved", flush=True)
one.stopped()
"""
HUNG = """
import os, time
from runtime.lifeline import watch
watch(0, lambda: print("told", flush=True), grace_s=0.05)
print(os.getpid(), flush=True)
while True:
    pass
"""


@pytest.mark.parametrize(("child", "last_word"), [(ORDERLY, "saved"), (HUNG, "told")])
def test_a_child_ends_when_its_parent_is_killed(child: str, last_word: str) -> None:
    command = [sys.executable, "-c", PARENT, child]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child_pid = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
        # The child holds the other end of this pipe: reading ends when the child has.
        assert parent.stdout.read().split() == [last_word]
    with pytest.raises(ProcessLookupError):
        _wait_for_nobody(child_pid)


def _wait_for_nobody(pid: int) -> None:
    waited = threading.Event()
    for _ in range(200):
        os.kill(pid, 0)
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            raise ProcessLookupError(pid)  # Ended; only nobody has asked how.
        waited.wait(0.05)


def test_one_lifeline_serves_several_children() -> None:
    lifeline = Lifeline()
    gone = [threading.Event(), threading.Event()]
    watches = [watch(os.dup(lifeline.child_fd), event.set) for event in gone]
    lifeline.close()
    assert all(event.wait(WAIT_S_MAX) for event in gone)
    for one in watches:
        one.stopped()


def test_a_child_that_does_not_stop_in_time_is_ended() -> None:
    lifeline = Lifeline()
    codes: list[int] = []
    ended = threading.Event()

    def end(code: int) -> None:
        codes.append(code)
        ended.set()

    one = watch(os.dup(lifeline.child_fd), lambda: None, grace_s=0.01, end=end)
    lifeline.close()
    assert ended.wait(WAIT_S_MAX)
    assert codes == [EXIT_ORPHANED]
    one.stopped()


def test_a_process_that_has_stopped_is_left_alone() -> None:
    lifeline = Lifeline()
    told = threading.Event()
    one = watch(os.dup(lifeline.child_fd), told.set, grace_s=0.0)
    one.stopped()
    lifeline.close()
    one.join(WAIT_S_MAX)
    assert not told.is_set()
