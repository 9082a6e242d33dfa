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

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Start a task."""
        self._group.create_task(_rooted(work))

    @staticmethod
    def cancel_all() -> None:
        """Give up whatever still runs on this loop: the process ends.

        Asked of the loop, not kept here: a list of our own would cost every transfer a little.
        """
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()


async def _rooted(work: Coroutine[Any, Any, Any]) -> None:
    try:
        await work
    except Exception:
        # One bug must not take every other transfer with it.
        log.exception("task failed")
