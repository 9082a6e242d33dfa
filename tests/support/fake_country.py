"""A stand-in for a running country: the operator API and the test hooks, from canned answers."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Answer = tuple[int, Any]


@dataclass
class Asked:
    """One request that arrived."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    headers: Mapping[str, str]


@dataclass
class FakeCountry:
    """Answers by ``(method, path)``; keeps what was asked.

    Attributes:
        answers: a document, a ``(status, document)`` pair, or a function of the request.
    """

    answers: dict[tuple[str, str], Any] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    url: str = ""

    def on(self, method: str, path: str, answer: Any) -> None:
        self.answers[method, path] = answer

    def last(self, path: str) -> Asked:
        return next(one for one in reversed(self.asked) if one.path == path)

    def answer(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        if (asked.method, asked.path) not in self.answers:
            return 404, {"error": f"nothing at {asked.path}"}
        found = self.answers[asked.method, asked.path]
        if callable(found):
            found = found(asked)
        return found if isinstance(found, tuple) else (200, found)


def a_participant(code: str, url: str = "", **others: Any) -> dict[str, Any]:
    return {
        "code": code,
        "name": f"COOPAC SIMULADA {code}",
        "kind": "coop",
        "simulated": True,
        "url": url,
        "hook_url": url,
        "signed_on": True,
        "blocked": False,
        "jws": False,
        "lane": "tin",
        "ledger": "national",
        "owed": 0,
    } | others


@contextmanager
def running() -> Iterator[FakeCountry]:
    """Serve a fake country on a free port of loopback."""
    country = FakeCountry()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._serve(None)

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            self._serve(json.loads(self.rfile.read(length) or b"null"))

        def _serve(self, body: Any) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, parts.path, query, body, headers)
            status, document = country.answer(asked)
            raw = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    country.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield country
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
