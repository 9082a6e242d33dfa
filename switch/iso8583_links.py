"""The ISO 8583 lane as the switch sees it: who is on which link, and what did not fit.

Counts are kept by participant, findings for all together. A finding is a frame that was refused or
that nobody waited for, with its near miss: the pending request that comes closest, and what sets
the two apart.
"""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, Final

import structlog
from msgspec import Struct

from runtime.iso8583_multiplexer import (
    DUPLICATE,
    LATE,
    OUT_OF_ORDER,
    UNMATCHED,
    Multiplexer,
    Session,
)
from scheme.clock import Clock, from_ms
from scheme.errors import NotConnected
from scheme.limits import ISO_FINDINGS_KEPT_MAX
from scheme.network import Participant
from scheme.wire.iso8583_explain import nearest
from scheme.wire.iso8583_spec import Fields

log = structlog.get_logger()

BROKEN: Final = "bad_length"
REFUSED: Final = "not_permitted"
MISMATCH: Final = "other_than_fleet_file"
LINK_LOST: Final = "link_lost"
SLOW: Final = "half_frame"
COUNTED: Final = (
    *("requests", "answered", "asked", "answers", LATE, UNMATCHED, DUPLICATE, OUT_OF_ORDER),
    *("bad_mac", "bad_format", BROKEN, SLOW, REFUSED, MISMATCH, LINK_LOST),
)
"""Names of the counts, in the order in which they are shown."""
TOLD_PER_SECOND_MAX: Final = 20
"""Findings of one kind and participant that are logged, and compared with what is pending."""
_SECOND_US: Final = 1_000_000
_STRAY: Final[Mapping[str, str]] = {
    LATE: "its request had been given up",
    DUPLICATE: "its request had been answered",
    UNMATCHED: "no request of ours is like it",
}


class Finding(Struct, frozen=True, kw_only=True, gc=False):
    """A frame that did not fit.

    Attributes:
        participant: whose link it came by; empty if nobody had signed on.
        kind: one of the counts' names.
        message: MTI, as far as it could be read.
        stan, rrn: DE11 and DE37, likewise.
        explanation: what is wrong with it, or what it was too late for.
        near: the pending request that comes closest and what differs; empty without one.
    """

    at_us: int
    participant: str
    kind: str
    message: str = ""
    stan: str = ""
    rrn: str = ""
    explanation: str
    near: str = ""


class IsoLinks:
    """The links of every participant of the lane, and the findings.

    Args:
        fleet: the registered participants.
    """

    def __init__(self, fleet: Mapping[str, Participant], clock: Clock) -> None:
        self._fleet = fleet
        self._clock = clock
        self.lanes: dict[str, Multiplexer] = {
            code: Multiplexer(partial(self._stray, code))
            for code, one in fleet.items()
            if one.lane == "iso8583"
        }
        self.strangers: Counter[str] = Counter()
        self._told: dict[tuple[str, str], tuple[int, int]] = {}
        self.findings: deque[Finding] = deque(maxlen=ISO_FINDINGS_KEPT_MAX)

    def lane(self, code: str) -> Multiplexer:
        """Return a participant's links.

        Raises:
            NotConnected: it is not of this lane.
        """
        try:
            return self.lanes[code]
        except KeyError as error:
            raise NotConnected("the participant is not on the ISO 8583 lane") from error

    def note(
        self,
        kind: str,
        code: str,
        explanation: str,
        fields: Mapping[str, str] | None = None,
    ) -> None:
        """Count, keep and log a finding.

        Args:
            code: empty if nobody has signed on.
            fields: the message, as far as it was read.
        """
        counts = self.lanes[code].counts if code in self.lanes else self.strangers
        counts[kind] += 1
        self._keep(kind, code, explanation, fields or {})

    def view(self) -> Sequence[Mapping[str, Any]]:
        """Return every participant of the lane with its links and counts."""
        return [self._lane_view(code, lane) for code, lane in self.lanes.items()]

    def findings_view(self, code: str | None, limit: int) -> Sequence[Mapping[str, Any]]:
        """Return the last findings, the newest first.

        Args:
            code: only this participant's; None: everybody's.
        """
        wanted = (one for one in reversed(self.findings) if code in (None, one.participant))
        return [_finding_view(one) for one in islice(wanted, limit)]

    def _lane_view(self, code: str, lane: Multiplexer) -> Mapping[str, Any]:
        spoken = self._fleet[code].iso8583
        return {
            "participant": code,
            "spec": spoken.spec,
            "header": spoken.header,
            "tpdu": spoken.tpdu,
            "mac": spoken.mac,
            "links_max": spoken.links_max,
            "pending": lane.pending,
            "links": [_link_view(session) for session in lane.sessions],
            "counts": {name: lane.counts[name] for name in COUNTED},
        }

    def _stray(self, code: str, kind: str, fields: Fields) -> None:
        """Keep an answer that nobody waits for; its lane has counted it."""
        near = ""
        if kind == UNMATCHED and not self._is_flooded(code, kind):
            near = nearest(fields, list(self.lanes[code].waiting()))
        self._keep(kind, code, _STRAY[kind], fields, near)

    def _keep(
        self, kind: str, code: str, explanation: str, said: Mapping[str, str], near: str = ""
    ) -> None:
        finding = Finding(
            at_us=self._clock.now_us(),
            participant=code,
            kind=kind,
            message=said.get("t", ""),
            stan=said.get("11", ""),
            rrn=said.get("37", ""),
            explanation=explanation,
            near=near,
        )
        self.findings.append(finding)
        if self._is_flooded(code, kind):
            return
        second, count = self._told.get((code, kind), (0, 0))
        now = finding.at_us // _SECOND_US
        self._told[code, kind] = (now, count + 1 if now == second else 1)
        log.warning(
            "frame did not fit",
            agent=code,
            kind=kind,
            message=finding.message,
            stan=finding.stan,
            rule=explanation,
            near=near,
        )

    def _is_flooded(self, code: str, kind: str) -> bool:
        """Tell whether enough of a kind was said in this second; the counts tell the rest."""
        second, count = self._told.get((code, kind), (0, 0))
        return count >= TOLD_PER_SECOND_MAX and second == self._clock.now_us() // _SECOND_US


def _link_view(session: Session) -> Mapping[str, Any]:
    speech = session.speech
    return {
        "address": session.link.peer,
        "since": _instant(session.since_us),
        "heard": _instant(session.heard_us),
        "pending": session.pending,
        "running": session.running,
        "received": session.received,
        "sent": session.sent,
        "key_check_value": speech.check_value if speech is not None else "",
    }


def _finding_view(one: Finding) -> Mapping[str, Any]:
    return {
        "at": _instant(one.at_us),
        "participant": one.participant,
        "kind": one.kind,
        "message": one.message,
        "stan": one.stan,
        "rrn": one.rrn,
        "explanation": one.explanation,
        "near": one.near,
    }


def _instant(at_us: int) -> str:
    return from_ms(at_us // 1000).isoformat()
