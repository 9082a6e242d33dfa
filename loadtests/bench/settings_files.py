"""Writes the few TOML files that a country of the benchmark's own needs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from runtime.files import load_fleet
from scheme.network import LANES, Behaviour, Fleet

_AT_ONCE = Behaviour(latency_ms_median=0.0, latency_sigma=0.0)


def write_toml(path: Path, settings: Mapping[str, Any]) -> None:
    """Write flat settings."""
    path.write_text("".join(f"{name} = {toml_value(value)}\n" for name, value in settings.items()))


def write_fleet(
    path: Path, source: Path, ports: Sequence[int], *, jws: bool, lanes: Sequence[str] = LANES
) -> Fleet:
    """Write a fleet whose institutions answer at once, on ports of its own.

    Args:
        source: the fleet that is changed.
        ports: one for each simulated institution, in order.
        jws: everybody signs.
        lanes: whoever receives orders on another lane stays away.
    """
    free = iter(ports)
    fleet = load_fleet(source)
    changed = tuple(
        replace(
            one,
            port=next(free) if one.simulated else 0,
            behaviour=_AT_ONCE,
            jws=jws,
        )
        for one in fleet.participant
        if one.lane in lanes
    )
    kept = {one.code for one in changed}
    agents = tuple(group for group in fleet.agents if group.institution in kept)
    changed_fleet = replace(fleet, participant=changed, agents=agents)
    write_participants(path, changed_fleet)
    return changed_fleet


def write_participants(path: Path, fleet: Fleet) -> None:
    """Write a fleet as it is."""
    text = f"seed = {fleet.seed}\n"
    for table, entries in (("participant", fleet.participant), ("agents", fleet.agents)):
        for one in entries:
            members = msgspec.to_builtins(one).items()
            text += f"\n[[{table}]]\n" + "".join(f"{n} = {toml_value(v)}\n" for n, v in members)
    path.write_text(text)


def toml_value(value: object) -> str:
    """Return a value as TOML writes it; tables are written inline."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case str():
            # JSON's escapes are TOML's too.
            return msgspec.json.encode(value).decode()
        case Mapping():
            return "{ " + ", ".join(f"{n} = {toml_value(v)}" for n, v in value.items()) + " }"
        case list() | tuple():
            return "[" + ", ".join(toml_value(one) for one in value) + "]"
        case _:
            raise TypeError(f"{type(value).__name__} has no place in our files")
