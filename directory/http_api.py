"""The operator's view of the directory: routes that the switch mounts on its operator port."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from directory.core.alias import Entry, asked_phone
from directory.core.dale import Mismatch
from directory.service import DirectoryService
from runtime.http_server import Request, Response
from scheme.clock import from_ms
from scheme.errors import StoreError
from scheme.masking import mask_cci, mask_name, mask_phone

RouteHandler = Callable[[Request, Mapping[str, str]], Awaitable[Response]]


def routes(
    service: DirectoryService, mismatches: Callable[[], Sequence[Mismatch]]
) -> dict[tuple[str, str], RouteHandler]:
    """Return the handlers by method and path pattern.

    Args:
        mismatches: what only the coops' network knows.
    """

    async def entries(request: Request, _: Mapping[str, str]) -> Response:
        phone = asked_phone(request.query.get("phone", ""))
        if phone is None:
            return _problem(
                400,
                "a phone is needed",
                field="phone",
                hint="give ?phone= nine digits, the first a 9, with or without 51",
            )
        try:
            rows = [_entry(one) for one in service.entries(phone)]
        except StoreError:
            hint = "see the log, then try again"
            return _problem(503, "the directory cannot be read", field="phone", hint=hint)
        return Response(body=msgspec.json.encode({"entries": rows}))

    async def quotas(_: Request, __: Mapping[str, str]) -> Response:
        rows = [
            {"participant": one.participant, "tokens": one.tokens, "shut": one.is_shut}
            for one in service.quotas()
        ]
        rules = service.rules
        size, per_minute = rules.bucket_size, rules.bucket_per_minute
        document = {"bucket_size": size, "per_minute": per_minute, "quotas": rows}
        return Response(body=msgspec.json.encode(document))

    async def unmatched(_: Request, __: Mapping[str, str]) -> Response:
        try:
            rows = [
                {
                    "phone": mask_phone(one.phone),
                    "participant": one.participant,
                    "since": from_ms(one.since_ms).isoformat(),
                }
                for one in mismatches()
            ]
        except StoreError:
            hint = "see the log, then try again"
            return _problem(503, "the directory cannot be read", field="", hint=hint)
        return Response(body=msgspec.json.encode({"mismatches": rows}))

    return {
        ("GET", "/directory/entries"): entries,
        ("GET", "/directory/quotas"): quotas,
        ("GET", "/directory/mismatches"): unmatched,
    }


def _entry(entry: Entry) -> dict[str, str]:
    return {
        "directory": entry.directory,
        "participant": entry.participant,
        "cci": mask_cci(entry.cci),
        "name": mask_name(entry.display_name),
        "holder_type": entry.holder_type,
        "state": entry.state,
        "registration_id": entry.registration_id,
        "registered_at": from_ms(entry.registered_ms).isoformat(),
        "changed_at": from_ms(entry.changed_ms).isoformat(),
    }


def _problem(status: int, error: str, *, field: str, hint: str) -> Response:
    return Response(status, msgspec.json.encode({"error": error, "field": field, "hint": hint}))
