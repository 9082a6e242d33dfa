"""A stand-in for a running country: the operator API and the test hooks, from canned answers."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Answer = tuple[int, Any]
Chasqui = Callable[..., tuple[int, str, str]]
"""Runs the command line: exit code, standard output, standard error."""

INSTRUCTION = "2601151018300970410000000128"
VERIFICATION = "2601151018300970810000000127"
PAYER_CCI = "97000110020030040142"
PAYEE_CCI = "97100220030040050213"


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
            self._take()

        def do_PUT(self) -> None:
            self._take()

        def _take(self) -> None:
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


def a_payment(**others: Any) -> dict[str, Any]:
    return {
        "state": "FINAL",
        "instruction_id": INSTRUCTION,
        "verification_id": VERIFICATION,
        "response_code": "00",
        "reason_code": None,
        "explanation": "",
        "elapsed_ms": 12.3,
        "legs": [
            {"message": "prxy.003", "from": "0970", "to": "0998", "ms": 1.2},
            {"message": "AV1", "from": "0970", "to": "0998", "ms": 3.0},
            {"message": "AV4", "from": "0998", "to": "0970", "ms": 0.1, "response_code": "00"},
            {"message": "CT1", "from": "0970", "to": "0998", "ms": 6.0},
            {"message": "CT4", "from": "0998", "to": "0970", "ms": 0.1, "response_code": "00"},
        ],
        "candidates": [{"code": "0971", "directory": "0903"}],
        "chosen": "0971",
        "creditor": {"name": "SOC*** D***", "cci": "971*****0213", "participant": "0971"},
        "amount": 2550,
        "fee": 0,
        "currency": "PEN",
    } | others


def a_row(message: str, sender: str, receiver: str, ms: float = 1.0) -> dict[str, Any]:
    return {
        "at": "2026-01-15T15:18:30.123+00:00",
        "message": message,
        "from": sender,
        "to": receiver,
        "http_status": 200,
        "ms": ms,
        "bytes": 700,
        "body": {message: {"creditorName": "SOC***"}},
        "note": "",
    }


def a_transfer(**others: Any) -> dict[str, Any]:
    return {
        "instruction_id": INSTRUCTION,
        "state": "CONFIRMED",
        "response_code": "00",
        "reason_code": None,
        "debtor_agent": "0970",
        "creditor_agent": "0971",
        "amount": 2550,
        "fee": 0,
        "currency": "PEN",
        "created_at": "2026-01-15T15:18:30+00:00",
        "decided_at": "2026-01-15T15:18:30.010+00:00",
        "elapsed_ms": 10.0,
    } | others


def serve_payment(country: FakeCountry, payment: dict[str, Any]) -> None:
    country.on("POST", "/control/payments", payment)
    verification = [
        a_row("AV1", "0970", "0998"),
        a_row("AV2", "0998", "0971"),
        a_row("AV3", "0971", "0998"),
        a_row("AV4", "0998", "0970"),
    ]
    transfer = [
        a_row("CT1", "0970", "0998"),
        a_row("CT2", "0998", "0971"),
        a_row("CT3", "0971", "0998"),
        a_row("CT4", "0998", "0970"),
        a_row("CT5", "0998", "0971"),
    ]
    country.on("GET", f"/transfers/{VERIFICATION}", {"timeline": verification})
    country.on("GET", f"/transfers/{INSTRUCTION}", {"timeline": transfer})
