"""The operator port's routes: a table of methods and path patterns behind one guard."""

import hmac
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec

from runtime.http_guard import LOOPBACK, foreign
from runtime.http_server import Request, Response
from scheme.errors import StoreError

RouteHandler = Callable[[Request, Mapping[str, str]], Awaitable[Response]]
Routes = Mapping[tuple[str, str], RouteHandler]

_OPEN: Final = frozenset({"/readyz", "/healthz"})


class Problem(Exception):
    """An answer that says what is wrong: ``status``, ``error``, ``field``, ``hint``."""

    def __init__(self, status: int, error: str, *, field: str = "", hint: str = "") -> None:
        super().__init__(error)
        self.response = problem(status, error, field=field, hint=hint)


def problem(status: int, error: str, *, field: str = "", hint: str = "") -> Response:
    """Return an error as every route gives it."""
    return Response(status, msgspec.json.encode({"error": error, "field": field, "hint": hint}))


def as_json(document: Any, status: int = 200) -> Response:
    """Return a document as an answer."""
    return Response(status, msgspec.json.encode(document))


def read_json(request: Request, kind: type[Any]) -> Any:
    """Return a request's body as a Struct.

    Raises:
        Problem: 400, with what does not fit and where.
    """
    try:
        return msgspec.json.decode(request.body or b"{}", type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        text = str(error)
        field = text.rpartition("`$.")[2].rstrip("`") if "`$." in text else "body"
        raise Problem(400, text, field=field, hint="see /openapi.json") from error


def telling(look: Callable[[str], object], handler: RouteHandler) -> RouteHandler:
    """Return a handler after which what it made us owe to a participant is delivered.

    Args:
        look: takes up what is owed to one.
    """

    async def handle(request: Request, params: Mapping[str, str]) -> Response:
        response = await handler(request, params)
        if "code" in params:
            look(params["code"])
        return response

    return handle


class OperatorEdge:
    """Serves the operator port.

    Refuses a foreign Host or Origin, so that a page in the operator's browser cannot act, and
    anything but ``application/json`` for actions.

    Args:
        hosts: further names under which this port may be addressed.
        token: shared secret demanded of every caller; empty: none (loopback only).
    """

    def __init__(self, routes: Routes, *, hosts: frozenset[str], token: str = "") -> None:
        self._exact: dict[tuple[str, str], RouteHandler] = {}
        self._patterns: list[tuple[str, re.Pattern[str], RouteHandler]] = []
        self._hosts = LOOPBACK | hosts
        self._token = token.encode()
        for (method, pattern), handler in routes.items():
            if "{" in pattern:
                self._patterns.append((method, _compiled(pattern), handler))
            else:
                self._exact[method, pattern] = handler

    async def handle(self, request: Request) -> Response:
        """Answer one HTTP request."""
        refused = self._guard(request)
        if refused is not None:
            return refused
        handler, params = self._route(request.method, request.path)
        if handler is None:
            methods = self._methods(request.path)
            if methods:
                return problem(405, "another method is served here", hint=", ".join(methods))
            return problem(404, "no such path", field="path", hint="see /openapi.json")
        try:
            return await handler(request, params)
        except Problem as error:
            return error.response
        except StoreError:
            return problem(503, "the store cannot be read just now", hint="try again")

    def _guard(self, request: Request) -> Response | None:
        found = foreign(request, None if self._token else self._hosts)
        if found is not None:
            return problem(found.status, found.error, field=found.field, hint=found.hint)
        if self._token and request.path not in _OPEN and not self._shows_token(request):
            hint = "send the header Authorization: Bearer TOKEN"
            return problem(401, "the token is missing or wrong", field="Authorization", hint=hint)
        return None

    def _shows_token(self, request: Request) -> bool:
        shown = request.headers.get("Authorization", "").encode(errors="replace")
        return hmac.compare_digest(shown, b"Bearer " + self._token)

    def _route(self, method: str, path: str) -> tuple[RouteHandler | None, Mapping[str, str]]:
        method = "GET" if method == "HEAD" else method
        exact = self._exact.get((method, path))
        if exact is not None:
            return exact, {}
        for allowed, pattern, handler in self._patterns:
            found = pattern.fullmatch(path) if allowed == method else None
            if found is not None:
                return handler, found.groupdict()
        return None, {}

    def _methods(self, path: str) -> list[str]:
        exact = {method for method, known in self._exact if known == path}
        return sorted(exact | {method for method, p, _ in self._patterns if p.fullmatch(path)})


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]{1,64})", pattern))
