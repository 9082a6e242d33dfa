"""Answers field agents' terminals: sessions, operations, digests (docs/agents.md).

Whatever a terminal sends may be lost, doubled, late or out of order. What protects the money is
on disk here: an operation before anything is done with it, its verdict before anybody is told.
A revoked terminal is refused everything, also what it says it did before (code 62).
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from itertools import islice
from typing import Final, TypeVar, assert_never

import structlog

from scheme.clock import Clock, to_ms
from scheme.errors import MalformedMessage, StoreError
from scheme.limits import AGENT_BATCH_MAX
from scheme.network import Fleet
from scheme.profile import Profile
from scheme.reasons import ReasonCode
from scheme.wire.agent_digest import is_genuine
from scheme.wire.agent_payload import (
    CURRENCIES,
    Agreement,
    Closing,
    Down,
    Fault,
    Hello,
    Items,
    Missing,
    Operation,
    Operations,
    Verdict,
    Verdicts,
    Welcome,
    WrongVersion,
    as_json,
    decode_presence,
    decode_up,
    encode,
    payloads,
)
from switch.agent_store import AgentStore, Greet, Stand
from switch.agent_terminal import Handle, Terminal, Works
from switch.agent_views import (
    DeviceView,
    Finding,
    Findings,
    OperationView,
    TillView,
    operation_view,
)
from switch.core.agent_limits import Limits, day_of, refused
from switch.core.agent_session import (
    Digest,
    Place,
    Seen,
    Session,
    Told,
    Waiting,
    differing,
    place_of,
)
from switch.core.iso8583_codes import DUPLICATE

log = structlog.get_logger()
R = TypeVar("R")

BAD_MAC: Final = "63"
AGAIN_S: Final = 2.0
"""Seconds in which a terminal is asked for its gaps, or told all its verdicts, only once."""
_ROWS_AT_ONCE: Final = 500
