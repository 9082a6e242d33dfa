"""Who bears what a participant could not pay in: the profile's rules, in their order."""

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from scheme.batch import Bearer
from scheme.ledger import GUARANTEE_ACCOUNT

QUEUE = "queue"
RETRY = "retry"
GUARANTEE_FUND = "guarantee_fund"
LOSS_SHARING = "loss_sharing"
SPONSOR = "sponsor"
UNWIND = "unwind"
UNWOUND = "unwound"
ITSELF = "itself"


class Remedy(Struct, frozen=True, kw_only=True):
    """What the rules come to.

    Attributes:
        bearers: who pays instead of whom; empty if somebody's orders are unwound.
        unwound: participants whose own orders are given back.
        rules: those that were applied.
    """

    bearers: tuple[Bearer, ...] = ()
    unwound: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()


def remedy(
    unpaid: Mapping[str, int],
    rules: Sequence[str],
    *,
    available: Callable[[str], int],
    received: Mapping[str, int],
    sponsors: Mapping[str, str],
) -> Remedy | None:
    """Return how everything unpaid is covered, or None if the rules are exhausted before.

    Args:
        unpaid: what is missing, by participant.
        available: what an owner's account of money has.
        received: what each participant received in the window.
        sponsors: a coop's sponsor.
    """
    left = dict(sorted(unpaid.items()))
    bearers: list[Bearer] = []
    applied: list[str] = []
    for rule in rules:
        if not any(left.values()):
            break
        match rule:
            case "guarantee_fund":
                borne = _guaranteed(left, available(GUARANTEE_ACCOUNT))
            case "loss_sharing":
                borne = _shared(left, available, received)
            case "sponsor":
                borne = _sponsored(left, available, sponsors)
            case "unwind":
                # Whoever is unwound gets everything back, so nobody pays for anybody this round.
                short = tuple(code for code, minor in left.items() if minor)
                return Remedy(unwound=short, rules=(UNWIND,))
            case _:
                continue
        if borne:
            applied.append(rule)
        for one in borne:
            left[one.failing] -= one.minor
        bearers += borne
    if any(left.values()):
        return None
    return Remedy(bearers=tuple(bearers), rules=tuple(applied))


def shares(minor: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Divide an amount pro rata: largest remainder, ties by code; it sums to ``minor``."""
    total = sum(weights.values())
    assert total > 0
    parts = {code: minor * weight // total for code, weight in weights.items()}
    by_remainder = sorted(weights, key=lambda code: (-(minor * weights[code] % total), code))
    for code in by_remainder[: minor - sum(parts.values())]:
        parts[code] += 1
    return parts


def _guaranteed(left: Mapping[str, int], fund: int) -> list[Bearer]:
    borne = []
    for code, minor in left.items():
        paid = min(minor, fund)
        if paid > 0:
            fund -= paid
            borne.append(
                Bearer(participant=GUARANTEE_ACCOUNT, by=GUARANTEE_FUND, failing=code, minor=paid)
            )
    return borne


def _shared(
    left: Mapping[str, int], available: Callable[[str], int], received: Mapping[str, int]
) -> list[Bearer]:
    """Share among those who received something; who cannot pay its share is left out."""
    weights = {
        code: minor for code, minor in received.items() if minor > 0 and not left.get(code, 0)
    }
    while weights:
        borne = [
            Bearer(participant=survivor, by=LOSS_SHARING, failing=code, minor=part)
            for code, minor in left.items()
            for survivor, part in sorted(shares(minor, weights).items())
            if part
        ]
        asked: dict[str, int] = {}
        for one in borne:
            asked[one.participant] = asked.get(one.participant, 0) + one.minor
        unable = [code for code, minor in asked.items() if minor > available(code)]
        if not unable:
            return borne
        for code in unable:
            del weights[code]
    return []


def _sponsored(
    left: Mapping[str, int], available: Callable[[str], int], sponsors: Mapping[str, str]
) -> list[Bearer]:
    borne = []
    spent: dict[str, int] = {}
    for code, minor in left.items():
        sponsor = sponsors.get(code)
        if not minor or sponsor is None or sponsor in left:
            continue
        if spent.get(sponsor, 0) + minor <= available(sponsor):
            spent[sponsor] = spent.get(sponsor, 0) + minor
            borne.append(Bearer(participant=sponsor, by=SPONSOR, failing=code, minor=minor))
    return borne
