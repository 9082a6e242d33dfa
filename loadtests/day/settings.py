"""The files of the day's own country: rules, participants and processes, copies with changes."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from loadtests.bench.local_country import FLEET
from loadtests.bench.settings_files import toml_value, write_toml
from loadtests.day.plan import COOP_AGENTS, POOR, SPONSOR, Plan
from runtime.files import load_fleet
from scheme.network import Behaviour, Participant

PERU = Path(__file__).resolve().parents[2] / "scheme" / "profiles" / "peru.toml"
GUARANTEE_FUND = 10_000
"""Cents: too little for the participant that cannot pay, so that its orders are unwound."""

# Who waits for a peer waits for moments only.
_TIMERS: Mapping[str, Any] = {
    "ct_expiry_s": 3.0,
    "originator_ct_timeout_s": 5.0,
    "originator_retry_wait_s": 0.2,
    "pending_resend_s": [0.2, 0.5],
    "enquiry_first_s": 1.0,
    "enquiry_waits_s": [0.5],
    "enquiry_wait_max_s": 1.0,
    "owed_backoff_s": [0.1, 0.2, 0.5],
    "owed_answer_s": 3.0,
}


def write_profile(path: Path, approvals: int) -> None:
    """Write the usual rules with short timers and a gross settlement that never sleeps."""
    rules: dict[str, Any] = tomllib.loads(PERU.read_text(encoding="utf-8"))
    rules["timers"] |= _TIMERS
    rules["rails"]["hours"]["lbtr"] = {
        "opens": "00:00:00", "closes": "23:59:59", "business_days": False,
    }  # fmt: skip
    rules["settlement"] |= {"approvals": approvals, "queue_s": 0.5, "retries": 1, "retry_s": 0.5}
    rules["lbtr"]["guarantee_fund"] |= {"PEN": GUARANTEE_FUND}
    write_toml(path, rules)


def write_fleet(path: Path, plan: Plan, ports: Sequence[int]) -> tuple[Participant, ...]:
    """Write the usual participants on ports of their own, and debtor agents inside the network.

    Args:
        ports: one for each simulated institution, in order.
    """
    free = iter(ports)
    source = load_fleet(FLEET)
    everyone = [
        replace(
            one,
            port=next(free) if one.simulated else 0,
            behaviour=Behaviour(latency_ms_median=0.0, latency_sigma=0.0),
            customers=min(one.customers, plan.customers),
            prefund={"PEN": plan.poor_prefund} if one.code == POOR else one.prefund,
        )
        for one in source.participant
    ]
    everyone += [
        Participant(
            code=code,
            name=f"AGENTE DE CARGA DE LA RED {code}",
            kind="load",
            simulated=False,
            currencies=("PEN",),
            ledger="dale",
            sponsor=SPONSOR,
        )
        for code in COOP_AGENTS
    ]
    text = f"seed = {source.seed}\n"
    for one in everyone:
        members = msgspec.to_builtins(one).items()
        text += "\n[[participant]]\n" + "".join(f"{n} = {toml_value(v)}\n" for n, v in members)
    path.write_text(text, encoding="utf-8")
    return tuple(everyone)
