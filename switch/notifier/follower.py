"""Follows the ledger in rounds: read a page, tell it, note how far that was.

What is noted was acknowledged by the broker, so a crash at any moment repeats notices and loses
none; a repeat has the same id. The switch knows nothing of all this.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import batched, islice
from typing import Final

import msgspec
import structlog

from scheme.clock import Clock, to_ms
from scheme.errors import NotConnected, StoreError
from scheme.ledger import ACCEPTED
from scheme.limits import NOTICE_BATCH_MAX, NOTICE_PENDING_MAX, NOTICE_POLL_S
from switch.notifier.events import Outcome, TransferRow, outcome_of, parties_of
from switch.notifier.members import Members
from switch.notifier.store import AlertKey, LedgerTail, NoticeBook
from switch.notifier.wording import Message, Wording
