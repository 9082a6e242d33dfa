"""Ends a child with its parent, however the parent ends: a pipe whose far end closes.

The parent holds the only writing end and never writes. When it is gone, killed or not, the system
closes the pipe and every reader sees its end. A thread waits for that, so that a child whose loop
hangs ends too.
"""

import os
import threading
from collections.abc import Callable

from scheme.limits import LIFELINE_GRACE_S

EXIT_ORPHANED = 71
"""Exit code of a child that did not stop by itself in time after its parent was gone."""


class Lifeline:
    """The parent's end. One serves any number of children.

    Attributes:
        child_fd: the end to hand on to a child, as its standard input or by ``pass_fds``.
    """

    def __init__(self) -> None:
        # Neither end goes to a child by itself: one that held the writing end would never die.
        self.child_fd, self._parent_fd = os.pipe()

    def close(self) -> None:
        """Let go: the children see their parent gone."""
        for fd in (self._parent_fd, self.child_fd):
            os.close(fd)


class Watch:
    """The child's end: a thread that waits for the parent's.

    Args:
        fd: inherited from the parent.
        on_parent_gone: called once, in the watching thread; starts an orderly stop, for instance
            by ``loop.call_soon_threadsafe``.
        grace_s: seconds for that stop; then the process ends with EXIT_ORPHANED on the spot.
        end: how it ends.
    """

    def __init__(
        self,
        fd: int,
        on_parent_gone: Callable[[], object],
        *,
        grace_s: float = LIFELINE_GRACE_S,
        end: Callable[[int], object] = os._exit,
    ) -> None:
        self._fd = fd
        self._on_parent_gone = on_parent_gone
        self._grace_s = grace_s
        self._end = end
        self._stopped = threading.Event()
        # A daemon, so that a process that is done need not wait for its parent.
        self._thread = threading.Thread(target=self._wait, name="lifeline", daemon=True)
        self._thread.start()

    def stopped(self) -> None:
        """Say that the process has stopped in order and will end by itself now."""
        self._stopped.set()

    def join(self, timeout_s: float) -> None:
        """Wait for the watching thread to end."""
        self._thread.join(timeout_s)

    def _wait(self) -> None:
        while os.read(self._fd, 64):
            pass  # What a terminal or a careless parent writes means nothing.
        if self._stopped.is_set():
            return
        try:
            self._on_parent_gone()
        finally:
            if not self._stopped.wait(self._grace_s):
                self._end(EXIT_ORPHANED)


def watch(
    fd: int,
    on_parent_gone: Callable[[], object],
    *,
    grace_s: float = LIFELINE_GRACE_S,
    end: Callable[[int], object] = os._exit,
) -> Watch:
    """Watch an inherited lifeline; see ``Watch``."""
    return Watch(fd, on_parent_gone, grace_s=grace_s, end=end)
