"""The ISO 8583 lane as the switch sees it: who is on which link, and what did not fit.

Counts are kept by participant, findings for all together. A finding is a frame that was refused,
that nobody waited for, or that did not answer what was asked, with its near miss: the request that
comes closest, and what sets the two apart.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, Final

import structlog

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
from scheme.network import Participant
from scheme.wire.iso8583_explain import nearest
from scheme.wire.iso8583_secrets import for_log_refused
from scheme.wire.iso8583_spec import Fields
from scheme.wire.iso8583_view import masked_frame
from switch.iso8583_findings import FRAME_BYTES_KEPT_MAX, Finding, Findings

log = structlog.get_logger()

BROKEN: Final = "bad_length"
REFUSED: Final = "not_permitted"
MISMATCH: Final = "other_than_fleet_file"
LINK_LOST: Final = "link_lost"
SLOW: Final = "half_frame"
UNFIT: Final = "unfit_answer"
COUNTED: Final = (
    *("requests", "answered", "asked", "answers", LATE, UNMATCHED, DUPLICATE, OUT_OF_ORDER),
    *("bad_mac", "bad_format", BROKEN, SLOW, REFUSED, MISMATCH, LINK_LOST, UNFIT),
)
"""Names of the counts, in the order in which they are shown."""
TOLD_PER_SECOND_MAX: Final = 20
"""Findings of one kind and participant that are logged, and compared with what is pending."""
_SECOND_US: Final = 1_000_000
_STRAY: Final[Mapping[str, str]] = {
    LATE: "its request had been given up",
    DUPLICATE: "its request had been answered",
    UNMATCHED: "no pending request has its DE11, DE37 and DE32",
}
_STRAY_IN_SESSION: Final = "no pending request has its DE7 and DE11"


Open = Callable[[], Iterable[tuple[str, Session]]]
"""Returns links, each with the participant that it has named, or an empty text."""


def _none_open() -> Iterable[tuple[str, Session]]:
    return ()


class IsoLinks:
    """The links of every participant of the lane, and the findings.

    Args:
        fleet: the registered participants.

    Attributes:
        not_signed_on: the open links on which nobody is; given by whoever takes links.
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
        self.findings = Findings()
        self._taking: tuple[Session | None, bytes] = (None, b"")
        self._began_us = clock.now_us()
        self.not_signed_on: Open = _none_open

    def lane(self, code: str) -> Multiplexer:
        """Return a participant's links.

        Raises:
            NotConnected: it is not of this lane.
        """
        try:
            return self.lanes[code]
        except KeyError as error:
            raise NotConnected("the participant is not on the ISO 8583 lane") from error

    def is_away(self, code: str) -> bool:
        """Tell whether a participant is of this lane, and has no link just now."""
        lane = self.lanes.get(code)
        return lane is not None and not lane.sessions

    def note(
        self,
        kind: str,
        code: str,
        explanation: str,
        fields: Mapping[str, str] | None = None,
        *,
        near: str = "",
        session: Session | None = None,
        body: bytes = b"",
    ) -> None:
        """Count, keep and log a finding.

        Args:
            code: empty if nobody has signed on.
            fields: the message, as far as it was read.
            near: the request that comes closest, and what differs.
            session: the link it came by.
            body: its bytes.
        """
        counts = self.lanes[code].counts if code in self.lanes else self.strangers
        counts[kind] += 1
        self._keep(kind, code, explanation, fields or {}, near, session, body)

    def take(self, code: str, session: Session, fields: Fields, body: bytes) -> bool:
        """Give an answer to whoever waits for it; return whether anybody does.

        Args:
            code: participant of the link it came by.
        """
        self._taking = (session, body)  # A lane says what nobody waited for, but not from where.
        try:
            return self.lanes[code].take(fields, body)
        finally:
            self._taking = (None, b"")

    def view(self) -> Sequence[Mapping[str, Any]]:
        """Return every participant of the lane with its links and counts."""
        return [self._lane_view(code, lane) for code, lane in self.lanes.items()]

    def not_signed_on_view(self) -> Sequence[Mapping[str, Any]]:
        """Return the open links on which nobody is signed on."""
        return [
            {"participant": code, **_link_view(session)} for code, session in self.not_signed_on()
        ]

    @property
    def since(self) -> str:
        """Since when findings are kept: what was before the last start is lost."""
        return _instant(self._began_us)

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
        explanation = _STRAY[kind]
        if kind == UNMATCHED and fields["t"].startswith("08"):
            explanation = _STRAY_IN_SESSION
        self._keep(kind, code, explanation, fields, near, *self._taking)

    def _keep(
        self,
        kind: str,
        code: str,
        explanation: str,
        said: Mapping[str, str],
        near: str,
        session: Session | None,
        body: bytes,
    ) -> None:
        now_us = self._clock.now_us()
        is_flooded = self._is_flooded(code, kind)
        finding = Finding(
            first_us=now_us,
            at_us=now_us,
            participant=code,
            is_proved=bool(code) and (session is None or session.is_signed_on),
            address="" if session is None else session.link.peer,
            kind=kind,
            message=said.get("t", ""),
            stan=said.get("11", ""),
            rrn=said.get("37", ""),
            explanation=explanation,
            near=near,
            frame="" if is_flooded else _shown(session, body),
        )
        self.findings.add(finding, is_brief=is_flooded)
        if is_flooded:
            return
        second, count = self._told.get((code, kind), (0, 0))
        now = now_us // _SECOND_US
        self._told[code, kind] = (now, count + 1 if now == second else 1)
        log.warning(
            "frame did not fit",
            agent=code,
            peer=finding.address,
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


def _shown(session: Session | None, body: bytes) -> str:
    """Return what may be kept of a frame, in hex; without a table nothing may."""
    if session is None or session.speech is None or not body:
        return ""
    return for_log_refused(session.speech.codec, body)[:FRAME_BYTES_KEPT_MAX].hex().upper()


def _finding_view(one: Finding) -> Mapping[str, Any]:
    return {
        "at": _instant(one.at_us),
        "first": _instant(one.first_us),
        "count": one.count,
        "mixed": one.is_mixed,
        "participant": one.participant,
        "address": one.address,
        "kind": one.kind,
        "message": one.message,
        "stan": one.stan,
        "rrn": one.rrn,
        "explanation": one.explanation,
        "near": one.near,
        # At rest it has what the wire log has; people see less of it.
        "frame": masked_frame(bytes.fromhex(one.frame)).hex().upper(),
    }


def _instant(at_us: int) -> str:
    return from_ms(at_us // 1000).isoformat()
