"""The guard of ports that ask nobody for a name: no page in somebody's browser may act there.

A browser lets any page send requests to this machine. What it cannot do is lie in ``Host`` and
``Origin``, nor send JSON to another site unasked; so those three are looked at.
"""

from typing import Final, NamedTuple
from urllib.parse import urlsplit

from runtime.http_server import JSON, Request

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_READING: Final = frozenset({"GET", "HEAD"})


class Foreign(NamedTuple):
    """Why a request is turned away: HTTP status, what is wrong, in which header, what to do."""

    status: int
    error: str
    field: str
    hint: str


def foreign(request: Request, hosts: frozenset[str] | None = LOOPBACK) -> Foreign | None:
    """Return why a request may come from a foreign page, or None.

    Args:
        hosts: names under which the port may be addressed; None: any, behind a secret that no
            page can show.
    """
    if hosts is not None and host_of(f"//{request.headers.get('Host', '')}") not in hosts:
        return Foreign(403, "foreign Host", "Host", "address it by its own name")
    origin = request.headers.get("Origin", "")
    if hosts is not None and origin and host_of(origin) not in hosts:
        return Foreign(403, "foreign Origin", "Origin", "use this port's own pages")
    if request.method not in _READING:
        kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind != JSON:
            hint = "send Content-Type: application/json"
            return Foreign(415, "actions take JSON only", "Content-Type", hint)
    return None


def host_of(address: str) -> str | None:
    """Return the host of an address; None if there is none, as in the origin ``null``."""
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
