"""Tasks that the process owns: one group, and a root that lets none die unseen."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

log = structlog.get_logger()


class Tasks:
    """Starts tasks in one group; a failing one is logged and ends alone.

    Args:
        group: entered by the process for as long as it runs.
    """

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._running: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Start a task."""
        task = self._group.create_task(_rooted(work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def cancel(self) -> None:
        """Give up what is still running: the process ends."""
        for task in self._running:
            task.cancel()


async def _rooted(work: Coroutine[Any, Any, Any]) -> None:
    try:
        await work
    except Exception:
        # One bug must not take every other transfer with it.
        log.exception("task failed")
