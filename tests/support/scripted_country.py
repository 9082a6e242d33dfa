"""A real switch whose every institution is played by the test, to be killed at chosen moments."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import psutil

from runtime.iso8583_multiplexer import is_answer
from tests.support.country import HURRIED, Country, HandStartedCountry, ask, until
from tests.support.scripted_core import Action, Link, ScriptedCore

SWITCH = "switch"
DEBTOR, CREDITOR, SECOND_DEBTOR, ISSUER, MACHINES = "0981", "0982", "0983", "0984", "0991"
BIN = "970984"
CARD = f"{BIN}0000000017"
EXPIRY_S = 0.8
QUICK: Mapping[str, object] = {
    **HURRIED,
    "ct_expiry_s": EXPIRY_S,
    "originator_ct_timeout_s": 2.0,
    "owed_backoff_s": [0.1],
    "owed_answer_s": 0.5,
}
PAID = frozenset({"POSTED", "CONFIRMED", "APPROVED", "DISPUTED_POSTED"})
_ASSERTED = "https://docs.python.org/3/library/asyncio.html"


def entry(code: str, *, kind: str = "coop", bins: str = "") -> str:
    """Return the fleet file's entry of an institution that a test plays."""
    spoken = f'mac = "aes-cmac", bins = ["{bins}"]' if bins else 'mac = "aes-cmac"'
    return (
        f'[[participant]]\ncode = "{code}"\nname = "NUCLEO GUIONADO {code}"\nkind = "{kind}"\n'
        f'simulated = false\nlane = "iso8583"\niso8583 = {{ {spoken} }}\n'
    )
