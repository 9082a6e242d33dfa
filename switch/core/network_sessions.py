"""Sessions of coops with the access network: short-lived tokens, each bound to a certificate."""

import hmac
from collections import OrderedDict

from msgspec import Struct

from scheme.limits import NETWORK_SESSIONS_PER_COOP_MAX


class MemberKey(Struct, frozen=True):
    """A coop's certificate: its DER, and the key id that names it."""

    certificate: bytes
    key_id: str


class NetworkSession(Struct, frozen=True, kw_only=True):
    """One open session.

    Attributes:
        certificate: the client's, as DER; empty without TLS.
        until_ms: when it ends.
    """

    coop: str
    key_id: str
    certificate: bytes
    until_ms: int


class NetworkSessions:
    """The open sessions of all coops, in memory: after a restart everyone opens a new one.

    Args:
        life_s: seconds from opening to end.
    """

    def __init__(self, life_s: float) -> None:
        self._life_ms = int(life_s * 1000)
        self._by_token: dict[str, NetworkSession] = {}
        self._tokens: dict[str, OrderedDict[str, None]] = {}

    def open(
        self, coop: str, *, token: str, key_id: str, certificate: bytes, now_ms: int
    ) -> NetworkSession:
        """Open a session; a coop that has too many loses its oldest."""
        tokens = self._tokens.setdefault(coop, OrderedDict())
        if len(tokens) >= NETWORK_SESSIONS_PER_COOP_MAX:
            oldest, _ = tokens.popitem(last=False)
            del self._by_token[oldest]
        tokens[token] = None
        session = NetworkSession(
            coop=coop, key_id=key_id, certificate=certificate, until_ms=now_ms + self._life_ms
        )
        self._by_token[token] = session
        return session

    def find(self, token: str, *, certificate: bytes, now_ms: int) -> NetworkSession | str:
        """Return the session of a token, or the rule that it breaks."""
        session = self._by_token.get(token)
        if session is None:
            return "the token is unknown, or its session was ended by newer ones"
        if now_ms >= session.until_ms:
            return "the session has expired"
        if not hmac.compare_digest(session.certificate, certificate):
            return "the token belongs to another certificate"
        return session
