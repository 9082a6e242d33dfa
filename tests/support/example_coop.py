"""The example connector as a process, and the clearing house it is told to speak to."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from runtime.http_server import GuardedServer, Request, Response
from scheme.messages import Message
from scheme.wire.tin_json import decode

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "examples" / "coop_connector.py"
BASE = "/ssv2/payment-api/v3.5.0/"
CCI, OTHER_CCI = "98599900000000010126", "98599900000000020222"
OPENING = 500_000

Json = dict[str, Any]


class House:
    """A clearing house that says what it is told to say, and remembers what it was asked.

    Attributes:
        says: answers by name, the last one for ever; None is an HTTP 500.
    """

    def __init__(self) -> None:
        self.says: dict[str, list[Json | None]] = {"SignOn1": [{"status": "00"}]}
        self.heard: list[tuple[str, bytes]] = []
        self.server = GuardedServer(self._handle)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    async def _handle(self, request: Request) -> Response:
        name = request.path.removeprefix(BASE)
        self.heard.append((name, request.body))
        answers = self.says.get(name, [None])
        said = answers.pop(0) if len(answers) > 1 else answers[0]
        if said is None:
            return Response(500)
        return Response(body=json.dumps({name: said}).encode())

    def bodies(self, name: str) -> list[bytes]:
        return [body for heard, body in self.heard if heard == name]


class Connector:
    """The program under test, and what one may ask of it."""

    def __init__(self, folder: Path, switch: str, http: aiohttp.ClientSession) -> None:
        self._book = folder / "book.db"
        self._log = folder / "connector.log"
        self._switch = switch
        self._http = http
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def command(self, *arguments: str) -> list[str]:
        always = ("--book", str(self._book), "--switch", self._switch, "--patience", "0.3")
        return [sys.executable, str(PROGRAM), *arguments, *always]

    async def start(self) -> None:
        command = self.command("serve", "--port", str(self.port))
        self._process = started(command, self._log)
        await until(self._listens)

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    async def _listens(self) -> bool:
        try:
            await self.account()
        except aiohttp.ClientConnectionError:
            return False
        return True

    async def send(self, message: Json) -> tuple[int, bytes]:
        (name,) = message
        url = f"http://127.0.0.1:{self.port}{BASE}{name}"
        async with self._http.post(url, json=message) as answer:
            return answer.status, await answer.read()

    async def tell(self, message: Json, expected: type[Message]) -> Any:
        status, body = await self.send(message)
        assert status == 200
        return decode(body, expected)

    async def _get(self, path: str) -> Any:
        async with self._http.get(f"http://127.0.0.1:{self.port}{path}") as answer:
            return await answer.json()

    async def account(self, cci: str = CCI) -> Any:
        return await self._get(f"/control/accounts/{cci}")

    async def balance(self) -> int:
        return int((await self.account())["balance"])

    async def states(self) -> list[str]:
        return [one["state"] for one in (await self._get("/control/movements"))["movements"]]

    async def pay(self, *arguments: str) -> tuple[int | None, Json]:
        code, out, _ = await self.run_pay(*arguments)
        lines = out.splitlines()
        said: Json = json.loads(lines[-1]) if lines else {}
        return code, said

    async def run_pay(self, *arguments: str) -> tuple[int | None, str, str]:
        process = await asyncio.create_subprocess_exec(
            *self.command("pay", *arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        out, errors = await process.communicate()
        return process.returncode, out.decode(), errors.decode()


def started(command: list[str], log_path: Path) -> subprocess.Popen[bytes]:
    with log_path.open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


async def until(holds: Callable[[], Any]) -> None:
    """Wait for another process."""
    async with asyncio.timeout(20):
        while True:
            found = holds()
            if await found if asyncio.iscoroutine(found) else found:
                return
            await asyncio.sleep(0.02)
