"""The operator's routes of the ISO 8583 lane: links, what did not fit, and any frame explained."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from runtime.http_server import Request, Response
from scheme.limits import ISO_FINDINGS_KEPT_MAX, ISO_FRAME_BYTES_MAX
from scheme.network import Iso8583, Participant
from scheme.wire.iso8583_spec import SPECS
from switch.core.iso8583_explained import explained
from switch.iso8583_links import IsoLinks
from switch.routes import Problem, RouteHandler, as_json, read_json

_PAGE: Final = 50
_DIGITS_MAX: Final = 4
_HEADER_BYTES: Final = 4


class _Decode(Struct, forbid_unknown_fields=True):
    hex: str
    participant: str | None = None
    spec: str | None = None


class Iso8583Api:
    """Translates requests of operators.

    Args:
        is_signed_on: tells whether a participant is signed on.
        fleet: the registered participants.
    """

    def __init__(
        self,
        links: IsoLinks,
        *,
        is_signed_on: Callable[[str], bool],
        fleet: Mapping[str, Participant],
    ) -> None:
        self._links = links
        self._is_signed_on = is_signed_on
        self._fleet = fleet

    def routes(self) -> dict[tuple[str, str], RouteHandler]:
        """Return the handlers by method and path pattern."""
        return {
            ("GET", "/iso8583/links"): self._list_links,
            ("GET", "/iso8583/findings"): self._list_findings,
            ("POST", "/iso8583/decode"): self._decode,
        }

    async def _list_links(self, request: Request, _: Mapping[str, str]) -> Response:
        _only(request.query, ())
        rows = [
            {**row, "signed_on": self._is_signed_on(row["participant"])}
            for row in self._links.view()
        ]
        strangers = dict(sorted(self._links.strangers.items()))
        waiting = self._links.not_signed_on_view()
        return as_json({"participants": rows, "not_signed_on": waiting, "strangers": strangers})

    async def _list_findings(self, request: Request, _: Mapping[str, str]) -> Response:
        _only(request.query, ("participant", "limit"))
        code = request.query.get("participant") or None
        limit = _limit(request.query.get("limit"))
        found = self._links.findings_view(code, limit)
        return as_json({"since": self._links.since, "findings": found})

    async def _decode(self, request: Request, _: Mapping[str, str]) -> Response:
        wanted: _Decode = read_json(request, _Decode)
        frame = _bytes(wanted.hex)
        if wanted.spec is not None and wanted.spec not in SPECS:
            raise Problem(400, "no such table", field="spec", hint=f"one of {', '.join(SPECS)}")
        spoken: Iso8583 | None = None
        if wanted.participant is not None:
            if wanted.participant not in self._links.lanes:
                hint = "GET /iso8583/links lists who is"
                raise Problem(404, "not of this lane", field="participant", hint=hint)
            spoken = self._fleet[wanted.participant].iso8583
        return as_json(explained(frame, spoken, wanted.spec))


def _only(query: Mapping[str, str], known: Sequence[str]) -> None:
    """Refuse a filter that nobody knows: ignored, it would show what was not asked for."""
    for name in query:
        if name not in known:
            raise Problem(400, "no such filter", field=name, hint=f"one of {', '.join(known)}")


def _limit(text: str | None) -> int:
    if text is None:
        return _PAGE
    if text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX:
        limit = int(text)
        if 1 <= limit <= ISO_FINDINGS_KEPT_MAX:
            return limit
    raise Problem(400, f"1 to {ISO_FINDINGS_KEPT_MAX}", field="limit")


def _bytes(text: str) -> bytes:
    digits = "".join(text.split())
    try:
        frame = bytes.fromhex(digits)
    except ValueError as error:
        hint = "two hex digits a byte; blanks and line ends do not matter"
        raise Problem(400, "hex digits are needed", field="hex", hint=hint) from error
    if not 0 < len(frame) <= ISO_FRAME_BYTES_MAX + _HEADER_BYTES:
        raise Problem(400, f"1 to {ISO_FRAME_BYTES_MAX} bytes", field="hex")
    return frame
