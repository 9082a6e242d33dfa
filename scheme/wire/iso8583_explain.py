"""Why an answer matches no request: the pending one that comes closest, and what differs."""

from collections.abc import Iterable
from typing import Final

from scheme.wire.iso8583_spec import Fields

_MATCHED: Final = ("11", "37", "32")
_MATCHED_IN_SESSION: Final = ("7", "11")
_WEIGHED: Final = ("3", "4", "49", "102", "103", "41", "13")
"""What makes one request more alike than another, beside the elements that must be equal."""


def nearest(answer: Fields, pending: Iterable[Fields]) -> str:
    """Return the pending request that is most like an answer, and the elements that differ.

    Args:
        pending: requests that wait; at best a few dozen.

    Returns:
        Which one, and each difference; empty where nothing waits.
    """
    compared = _compared(answer)
    best: Fields | None = None
    best_score = -1
    for one in pending:
        score = 10 * _equal(answer, one, compared) + _equal(answer, one, _WEIGHED)
        score += 5 * (one.get("t", "")[:2] == answer.get("t", "")[:2])
        if score > best_score:
            best, best_score = one, score
    if best is None:
        return ""
    differing = [
        f"DE{key} is {answer.get(key, 'missing')}, sent was {best.get(key, 'none')}"
        for key in compared
        if answer.get(key) != best.get(key)
    ]
    kind = best.get("t", "")
    if kind[:2] != answer.get("t", "")[:2]:
        differing.insert(0, f"it answers another kind of message than {kind}")
    return f"{kind} with DE11 {best.get('11', '')}: {'; '.join(differing)}"


def _compared(answer: Fields) -> tuple[str, ...]:
    return _MATCHED_IN_SESSION if answer.get("t", "").startswith("08") else _MATCHED


def _equal(one: Fields, other: Fields, keys: tuple[str, ...]) -> int:
    return sum(key in one and one.get(key) == other.get(key) for key in keys)
