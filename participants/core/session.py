"""What an institution knows of the session: its own, its peers', the system's.

States come from notices alone; nothing on this wire can be asked for them. So a peer of the
fleet nobody has spoken about counts as signed on, and only a notice says otherwise. Notices may
arrive twice or out of order: of two about the same thing the later one stands.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from scheme.messages import SNM971, SNM972, SNM982

NORMAL = "NORMAL"
SIGNED_ON = "SIGNON"
_OFF = "SIGNOFF"
_BLOCKED = "BLOCKED"

Fact = tuple[str, str]


@dataclass(slots=True)
class _Told:
    """The last thing told about something, and when it was told."""

    value: str
    stamp: str = ""


class SessionState:
    """The states that decide whether orders may flow.

    Args:
        code: our own participant code.
        members: every participant code of the fleet.
        facts: as saved earlier by the facts that ``hear`` and ``sign`` return.
    """

    def __init__(self, code: str, members: Iterable[str], facts: Iterable[Fact] = ()) -> None:
        self._code = code
        self._members = set(members)
        self._told: dict[str, _Told] = {}
        for name, value in facts:
            stamp, _, told = value.partition(" ")
            self._told[name] = _Told(told, stamp)

    @property
    def is_signed_on(self) -> bool:
        """Whether our own session is open."""
        return self._value("self", _OFF) == SIGNED_ON

    @property
    def is_blocked(self) -> bool:
        """Whether the clearing house has blocked us."""
        return self._value(f"block:{self._code}", NORMAL) != NORMAL

    @property
    def is_suspended(self) -> bool:
        """Whether the whole system is suspended."""
        return self._value("system", NORMAL) != NORMAL

    def may_trade(self, peer: str) -> bool:
        """Tell whether a peer is known, signed on and not blocked."""
        return (
            peer in self._members
            and self._value(f"session:{peer}", SIGNED_ON) == SIGNED_ON
            and self._value(f"block:{peer}", NORMAL) == NORMAL
        )

    def sign(self, *, on: bool) -> tuple[Fact, ...]:
        """Note our own sign-on or sign-off; return what has to be saved."""
        self._told["self"] = _Told(SIGNED_ON if on else _OFF, "-")
        return (("self", f"- {SIGNED_ON if on else _OFF}"),)

    def hear(self, notice: SNM971 | SNM972 | SNM982) -> tuple[Fact, ...]:
        """Take a notice in; return what has to be saved, nothing if it came too late."""
        stamp = f"{notice.eventDate}{notice.eventTime}{notice.messageIdentification[-6:]}"
        name, value = self._read(notice)
        known = self._told.get(name)
        if known is not None and known.stamp > stamp:
            return ()
        self._told[name] = _Told(value, stamp)
        return ((name, f"{stamp} {value}"),)

    def _read(self, notice: SNM971 | SNM972 | SNM982) -> Fact:
        match notice:
            case SNM971():
                return "system", notice.newServiceStatus
            case SNM972():
                # A member announced before our own list knows it is a member all the same.
                self._members.add(notice.memberIdentification)
                return f"block:{notice.memberIdentification}", notice.status
            case SNM982():
                self._members.add(notice.participantIdentification)
                return f"session:{notice.participantIdentification}", notice.participantStatus

    def described(self) -> Iterator[Fact]:
        """Yield every state that was told, for people."""
        for name in sorted(self._told):
            yield name, self._told[name].value

    def _value(self, name: str, otherwise: str) -> str:
        told = self._told.get(name)
        return otherwise if told is None else told.value
