"""What clearing's routes have in common: how a request is read and a refusal told."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import msgspec

from clearing.refusals import Fault, Refusal
from runtime.http_server import Request, Response

RouteHandler = Callable[[Request, Mapping[str, str]], Awaitable[Response]]
"""Takes a request and the values of the placeholders in its path."""

_T = TypeVar("_T")
_STATUS = {Fault.INVALID: 400, Fault.UNKNOWN: 404, Fault.CONFLICT: 409}


def as_json(document: Any, status: int = 200) -> Response:
    """Return a document as an answer."""
    return Response(status, msgspec.json.encode(document))


def error(status: int, text: str, field: str, hint: str) -> Response:
    """Return an error as every route gives it."""
    return as_json({"error": text, "field": field, "hint": hint}, status)


def refused(refusal: Refusal) -> Response:
    """Return a refusal as an answer."""
    return error(_STATUS[refusal.fault], refusal.error, refusal.field, refusal.hint)


def read(request: Request, kind: type[_T], example: str) -> _T | Response:
    """Return a request's body, or the answer that says what is wrong with it.

    Args:
        example: what may be sent.
    """
    try:
        return msgspec.json.decode(request.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        text, _, path = str(problem).partition(" - at `$.")
        return error(400, text, path.rstrip("`") or "body", f"send {example}")
