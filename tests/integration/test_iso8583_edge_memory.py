"""A thousand idle links in the switch's own process."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from runtime.clock import SystemClock
from runtime.iso8583_client import Dialled, Iso8583Client

LINKS = 1_000
LINKS_EACH = 50
RSS_BYTES_MAX = 150 * 1024 * 1024

MEMBER = """
[[participant]]
code = "{code}"
name = "COOPAC SIMULADA {code}"
kind = "coop"
simulated = false
lane = "iso8583"
iso8583 = {{ links_max = 64 }}
"""


@asynccontextmanager
async def _switch(folder: Path, codes: list[str]) -> AsyncIterator[tuple[int, int]]:
    """Run a switch; give its process id and the port of the lane."""
    fleet, config = folder / "fleet.toml", folder / "switch.toml"
    fleet.write_text("".join(MEMBER.format(code=code) for code in codes))
    ports = "".join(f"{name}_port = 0\n" for name in ("tin", "operator", "network", "iso8583"))
    config.write_text(f'home = "{folder}"\nfleet = "{fleet}"\nlog_level = "error"\n{ports}')
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "switch", "--config", str(config)), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            ready = json.loads(await process.stdout.readline())
        assert ready["event"] == "ready", ready
        yield process.pid, ready["iso8583_port"]
    finally:
        process.terminate()
        async with asyncio.timeout(10):
            await process.wait()


@pytest.mark.timeout(60)
async def test_a_thousand_idle_links_fit_into_the_memory_they_may_take(tmp_path: Path) -> None:
    codes = [f"{1000 + number}" for number in range(LINKS // LINKS_EACH)]
    async with _switch(tmp_path, codes) as (pid, port):
        process = psutil.Process(pid)
        before = process.memory_info().rss
        clients = [
            Iso8583Client(Dialled(port=port, code=code, links=LINKS_EACH), clock=SystemClock())
            for code in codes
        ]
        try:
            for client in clients:
                await client.start()
            async with asyncio.timeout(30):
                for client in clients:
                    await client.ready()
            after = process.memory_info().rss
        finally:
            for client in clients:
                await client.stop()
    print(f"{LINKS} links: {before >> 20} MB before, {after >> 20} MB after")  # noqa: T201
    assert after < RSS_BYTES_MAX
