"""Who is signed on, who is blocked, and whether the system runs."""

from typing import Final

import msgspec
from msgspec import Struct


class Session(Struct, frozen=True, gc=False):
    """The standing of one participant at the clearing house."""

    signed_on: bool = False
    blocked: bool = False


_NONE: Final = Session()


class NetworkState(Struct, frozen=True):
    """Sessions, blocks and the system's status at one moment."""

    sessions: dict[str, Session] = {}
    suspended: bool = False

    def session(self, code: str) -> Session:
        """Return a participant's standing; one never heard of is signed off."""
        return self.sessions.get(code, _NONE)

    def with_session(self, code: str, session: Session) -> "NetworkState":
        """Return the state with one participant's standing changed."""
        return NetworkState({**self.sessions, code: session}, self.suspended)

    def with_suspended(self, suspended: bool) -> "NetworkState":
        """Return the state with the system suspended or running."""
        return NetworkState(self.sessions, suspended)


def pack_session(session: Session) -> bytes:
    """Return a session as a stored fact."""
    return msgspec.msgpack.encode(session)


def unpack_session(data: bytes) -> Session:
    """Read a stored session."""
    return msgspec.msgpack.decode(data, type=Session)


SESSION_FACT: Final = "session:"
"""Prefix of the facts that keep sessions; the participant's code follows."""
SUSPENDED_FACT: Final = "system:suspended"
SEQUENCE_FACT: Final = "sequence:"
"""Prefix of the facts that keep where a sequence has got to."""
STARTED_FACT: Final = "system:first_start_ms"
