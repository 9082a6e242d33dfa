import asyncio

import pytest

from runtime.http_server import Response
from scheme.errors import StoreError
from scheme.limits import NETWORK_REQUESTS_KEPT_MAX
from switch.network_requests import OtherContent, Requests


class Disk:
    """Keeps nothing, and may fail."""

    def __init__(self) -> None:
        self.kept: list[str] = []
        self.is_broken = False

    def answered(self, participant: str, request_id: str) -> None:
        del participant, request_id

    async def keep_answer(
        self, participant: str, request_id: str, digest: bytes, answer: bytes
    ) -> None:
        del participant, digest, answer
        if self.is_broken:
            raise StoreError("broken")
        self.kept.append(request_id)


class Work:
    """Makes answers, once told to."""

    def __init__(self) -> None:
        self.made = 0
        self.go = asyncio.Event()
        self.status = 200

    async def __call__(self) -> Response:
        self.made += 1
        await self.go.wait()
        return Response(self.status, b"%d" % self.made)


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def requests(disk: Disk) -> Requests:
    return Requests(disk)


async def test_a_repeat_waits_for_the_first_and_gets_its_answer(requests: Requests) -> None:
    work = Work()
    both = [asyncio.create_task(requests.once("0970", "1", b"x", work)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(OtherContent):
        await requests.once("0970", "1", b"y", work)
    work.go.set()
    first, second = await asyncio.gather(*both)
    assert first == second
    assert work.made == 1


async def test_coops_do_not_share_ids(requests: Requests) -> None:
    work = Work()
    work.go.set()
    await requests.once("0970", "1", b"x", work)
    await requests.once("0971", "1", b"y", work)
    assert work.made == 2


async def test_a_refusal_of_the_moment_is_not_kept(requests: Requests, disk: Disk) -> None:
    work = Work()
    work.status = 429
    work.go.set()
    await requests.once("0970", "1", b"x", work, durably=True)
    await requests.once("0970", "1", b"x", work, durably=True)
    assert work.made == 2
    assert disk.kept == []


async def test_what_the_disk_did_not_take_is_answered_to_nobody(
    requests: Requests, disk: Disk
) -> None:
    disk.is_broken = True
    work = Work()
    both = [
        asyncio.create_task(requests.once("0970", "1", b"x", work, durably=True)) for _ in range(2)
    ]
    await asyncio.sleep(0)
    work.go.set()
    for one in both:
        with pytest.raises(StoreError):
            await one


async def test_the_oldest_answers_of_a_coop_go(requests: Requests) -> None:
    work = Work()
    work.go.set()
    for number in range(NETWORK_REQUESTS_KEPT_MAX + 1):
        await requests.once("0970", str(number), b"x", work)
    await requests.once("0970", "1", b"x", work)
    assert work.made == NETWORK_REQUESTS_KEPT_MAX + 1
    await requests.once("0970", "0", b"x", work)
    assert work.made == NETWORK_REQUESTS_KEPT_MAX + 2
