"""A fleet on real sockets and a real disk, in this process or in one that can be killed."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import aiohttp
import msgspec

from participants.config import Config
from participants.fleet import FleetRunner
from participants.main import FleetProcess
from tests.support.clearing_house import ClearingHouse

ROOT = Path(__file__).resolve().parents[2]

FLEET = """
[[participant]]
code = "0002"
name = "BANCO SIMULADO"
kind = "bank"
issues = "0901"
directories = ["0901"]

[[participant]]
code = "0970"
name = "COOPAC SIMULADA UNO"
kind = "coop"

[[participant]]
code = "0971"
name = "COOPAC SIMULADA DOS"
kind = "coop"
"""

# Everything that waits waits a moment only.
HURRIED = {
    "enquiry_first_s": "0.4",
    "enquiry_waits_s": "[0.1]",
    "enquiry_wait_max_s": "0.2",
    "pending_resend_s": "[0.2]",
    "originator_ct_timeout_s": "0.4",
    "originator_retries": "0",
    "ct_expiry_s": "0.1",
    "av_expiry_s": "0.1",
}


def settings(
    folder: Path, house: ClearingHouse, *, hurried: bool = False, fleet: str = FLEET
) -> Config:
    """Write a fleet's files into a folder and return its settings."""
    folder.mkdir(exist_ok=True)
    (folder / "fleet.toml").write_text(fleet)
    config = Config(
        home=str(folder),
        fleet=str(folder / "fleet.toml"),
        switch_url=house.url,
        latency_ms=0,
        grace_s=0.1,
        log_file=str(folder / "log"),
    )
    if hurried:
        profile = folder / "hurried.toml"
        lines = (ROOT / "scheme/profiles/peru.toml").read_text().splitlines()
        named = ((line, line.partition(" = ")[0]) for line in lines)
        profile.write_text(
            "\n".join(
                f"{name} = {HURRIED[name]}" if name in HURRIED else line for line, name in named
            )
        )
        config = msgspec.structs.replace(config, profile=str(profile))
    return config


class Hook:
    """The control API of a fleet's institutions."""

    def __init__(self, ports: dict[str, int]) -> None:
        self.ports = ports
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None
        await self._session.close()

    async def get(self, code: str, path: str) -> Any:
        return (await self.call("GET", code, path))[1]

    async def post(self, code: str, path: str, content: Any, **headers: str) -> Any:
        return (await self.call("POST", code, path, content, **headers))[1]

    async def call(
        self, method: str, code: str, path: str, content: Any = None, **headers: str
    ) -> tuple[int, Any]:
        assert self._session is not None
        url = f"http://127.0.0.1:{self.ports[code]}/control/{path}"
        spelt = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self._session.request(method, url, json=content, headers=spelt) as answer:
            return answer.status, await answer.json()

    async def balance(self, code: str, cci: str) -> int:
        """Return the booked balance of an account."""
        return int((await self.get(code, f"accounts/{cci}"))["balance"])


@asynccontextmanager
async def running(config: Config) -> AsyncIterator[Hook]:
    """Run a fleet in this process."""
    stop = asyncio.Event()
    ready: asyncio.Future[FleetRunner] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(FleetProcess(config, stop, ready.set_result).run())
    await asyncio.wait((ready, running), return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        await running
    ports = {station.office.institution.code: station.port for station in ready.result().stations}
    async with Hook(ports) as hook:
        yield hook
    stop.set()
    await running


class Killable:
    """A fleet in a process of its own."""

    def __init__(self, config: Config) -> None:
        self._path = Path(config.home) / "participants.toml"
        said = {
            name: value for name, value in msgspec.to_builtins(config).items() if value is not None
        }
        # JSON's numbers, texts and booleans are TOML's too.
        self._path.write_text(
            "".join(f"{name} = {json.dumps(value)}\n" for name, value in said.items())
        )
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> Hook:
        """Start it and wait until its ports serve."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "participants", "--config", str(self._path),
            cwd=ROOT, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert self._process.stdout is not None
        ready = json.loads(await self._process.stdout.readline())
        return Hook({one["code"]: one["port"] for one in ready["participants"]})

    async def kill(self) -> None:
        """End it at once, in the middle of whatever it does."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    async def stop(self) -> int:
        """Ask it to end; return its exit code."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        return await self._process.wait()
