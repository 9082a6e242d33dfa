"""The mode ``iso8583_links``: what a thousand open, signed-on links take of a switch's memory."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from loadtests.bench.child import cores
from loadtests.bench.iso8583_country import IsoCountry
from loadtests.bench.iso8583_link import CoreLink, Identity, dial
from loadtests.bench.local_country import ISO8583, Mode
from scheme.clock import Clock
from scheme.limits import ISO_LINKS_PER_PARTICIPANT_MAX

ISO_LINKS = "iso8583_links"
"""Name of the mode."""
_MODE = Mode(ISO_LINKS, wire_log=True, lane=ISO8583, mac="aes-cmac")
_SETTLE_S = 0.5
_AT_ONCE = 50


class LinksFigures(Struct, frozen=True):
    """Resident memory of the switch in MB, before any link and with all of them signed on.

    Attributes:
        lost: links that did not stay.
    """

    links: int
    lost: int
    before_mb: float
    after_mb: float

    @property
    def more_mb(self) -> float:
        """What the links took."""
        return self.after_mb - self.before_mb


class _CrowdedCountry(IsoCountry):
    coops: Sequence[str] = tuple(f"{code:04}" for code in range(910, 926))


class _Crowd:
    """Cores that hold a link and say nothing."""

    def __init__(self) -> None:
        self.lost = 0
        self.links: list[CoreLink] = []

    async def sign_on(self, port: int, who: Identity, sent: str, number: int) -> None:
        """Open one more link and sign it on."""
        link = await dial(port, who, lambda *_: None, self._gone)
        self.links.append(link)
        await link.sign_on(sent, number)

    def _gone(self, _: CoreLink) -> None:
        self.lost += 1


async def measure_links(home: Path, clock: Clock, links: int = 1_000) -> LinksFigures:
    """Open that many links to a switch of its own.

    Raises:
        RefusedLink: one of them could not be opened or signed on.
    """
    assert links <= len(_CrowdedCountry.coops) * ISO_LINKS_PER_PARTICIPANT_MAX
    with _CrowdedCountry(_MODE, home, cores(), clock) as country:
        coops = [country.identity(code) for code in country.coops]
        await asyncio.sleep(_SETTLE_S)
        before = country.switch.rss_bytes()
        crowd = _Crowd()
        sent = f"{clock.now():%m%d%H%M%S}"
        for first in range(0, links, _AT_ONCE):
            async with asyncio.TaskGroup() as group:
                for n in range(first, min(first + _AT_ONCE, links)):
                    who = coops[n % len(coops)]
                    group.create_task(crowd.sign_on(country.iso8583_port, who, sent, 2 * n))
        await asyncio.sleep(_SETTLE_S)
        after, lost = country.switch.rss_bytes(), crowd.lost
        for link in crowd.links:
            link.close()
    return LinksFigures(links, lost, before / 1e6, after / 1e6)
