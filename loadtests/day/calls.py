"""Calls of the operator port and of the institutions' hooks, patient while the switch is away."""

import asyncio
import http.client
import time
from typing import Any

import msgspec

from loadtests.bench.lean_http import BrokenLink, Link

PATIENCE_S = 60.0
"""How long a call is repeated before the country counts as gone."""
_ANSWER_S_MAX = 30.0
_AGAIN_S = 0.1
_UNAVAILABLE = 503
_OK = 200


class Unanswered(Exception):
    """Nobody answered in time, or the answer was not the one that the day needs."""


class Api:
    """One port's JSON calls; it blocks, and is used from threads.

    Args:
        port: on loopback.
    """

    def __init__(self, port: int) -> None:
        self._port = port

    def get(self, path: str) -> Any:
        """Return what a path shows.

        Raises:
            Unanswered: not 200, or nobody there for ``PATIENCE_S``.
        """
        status, body = self.ask("GET", path)
        if status != _OK:
            raise Unanswered(f"GET {path}: HTTP {status}: {body[:300]!r}")
        return msgspec.json.decode(body)

    def post(self, path: str, content: object = None, key: str = "") -> tuple[int, Any]:
        """Return status and answer of a call that may be repeated under its key."""
        status, body = self.ask("POST", path, {} if content is None else content, key)
        try:
            return status, msgspec.json.decode(body) if body else None
        except msgspec.DecodeError as error:
            raise Unanswered(f"POST {path}: HTTP {status}: {body[:300]!r}") from error

    def ask(
        self, method: str, path: str, content: object = None, key: str = ""
    ) -> tuple[int, bytes]:
        """Ask until somebody answers; return status and body."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                status, body = self.once(method, path, content, key)
            except (OSError, http.client.HTTPException) as error:
                if time.monotonic() > deadline:
                    raise Unanswered(f"{method} {path}: {error!r}") from error
            else:
                if status != _UNAVAILABLE or time.monotonic() > deadline:
                    return status, body
            time.sleep(_AGAIN_S)

    def once(self, method: str, path: str, content: object, key: str) -> tuple[int, bytes]:
        """Make one call; OSError or HTTPException if it is not answered."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_ANSWER_S_MAX)
        try:
            body = None if content is None else msgspec.json.encode(content)
            headers = {"Content-Type": "application/json"} if body else {}
            if key:
                headers["Idempotency-Key"] = key
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


class Lane:
    """One kept connection to one port, for calls during the load; one call at a time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._link: Link | None = None

    async def post(self, path: str, content: object, key: str) -> tuple[int, Any]:
        """Post under an idempotency key, again and again until it is answered."""
        body = msgspec.json.encode(content)
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Idempotency-Key: {key}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        status, answer = await self.send(head.encode() + body)
        return status, msgspec.json.decode(answer) if answer else None

    async def send(self, request: bytes) -> tuple[int, bytes]:
        """Send a request until it is answered.

        Raises:
            Unanswered: nobody did for ``PATIENCE_S``.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE_S
        while True:
            try:
                status, body = await self.once(request)
            except BrokenLink as error:
                if loop.time() > deadline:
                    raise Unanswered(str(error)) from error
            else:
                if status != _UNAVAILABLE or loop.time() > deadline:
                    return status, body
            await asyncio.sleep(_AGAIN_S)

    async def once(self, request: bytes) -> tuple[int, bytes]:
        """Send a request once; BrokenLink if the connection ends without an answer."""
        if self._link is None or not self._link.is_open:
            self._link = await Link.to("127.0.0.1", self._port)
        guard = asyncio.get_running_loop().call_later(_ANSWER_S_MAX, self._link.close)
        try:
            return await self._link.send(request)
        finally:
            guard.cancel()

    def close(self) -> None:
        """Close the connection."""
        if self._link is not None:
            self._link.close()
