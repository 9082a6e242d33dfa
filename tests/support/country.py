"""A country of real processes on free ports, in a home of its own; always ended by pid."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
from msgspec.structs import replace

from loadtests.bench.child import Child
from loadtests.bench.local_country import FLEET, free_ports
from loadtests.bench.operations import Operations
from loadtests.bench.settings_files import write_fleet
from runtime.files import load_fleet

ROOT = Path(__file__).resolve().parents[2]
PERU = ROOT / "scheme" / "profiles" / "peru.toml"
WAIT_S_MAX = 50.0
LOOK_S = 0.02

# Whoever waits for a peer waits for moments only; the orders themselves keep time to be answered.
HURRIED: Mapping[str, object] = {
    "ct_expiry_s": 3.0,
    "originator_ct_timeout_s": 4.0,
    "originator_retry_wait_s": 0.2,
    "pending_resend_s": [0.2, 0.5],
    "enquiry_first_s": 1.0,
    "enquiry_waits_s": [0.5],
    "enquiry_wait_max_s": 1.0,
    "owed_backoff_s": [0.1, 0.2, 0.5],
    "owed_answer_s": 3.0,
}

CODES = ("0002", "0003", "0970", "0971", "0972", "0988")
LOAD_CODES = ("0980", "0981", "0982", "0983", "0984")


def write_profile(path: Path, timers: Mapping[str, object]) -> None:
    """Write the usual rules with some of their timers changed."""
    lines = []
    left = dict(timers)
    for line in PERU.read_text(encoding="utf-8").splitlines():
        name = line.partition(" = ")[0]
        lines.append(f"{name} = {json.dumps(left.pop(name))}" if name in left else line)
    assert not left, f"no such timers: {sorted(left)}"
    path.write_text("\n".join(lines), encoding="utf-8")


def write_small_fleet(path: Path, *, codes: Sequence[str], customers: int) -> None:
    """Write some of the usual institutions, with few customers each, on free ports."""
    usual = load_fleet(FLEET)
    kept = tuple(
        replace(one, customers=min(one.customers, customers), sponsor="")
        for one in usual.participant
        if one.code in (*codes, *LOAD_CODES)
    )
    source = path.with_name("fleet-source.toml")
    source.write_text("")  # write_fleet reads a file; the ports are drawn there.
    ports = free_ports(len(codes))
    _write(source, replace(usual, participant=kept))
    write_fleet(path, source, ports, jws=False)
    source.unlink()
