"""Calls that are made once: a repeat gets the first answer, byte for byte."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Protocol

from msgspec import Struct

from runtime.http_server import Response
from scheme.limits import NETWORK_REQUESTS_KEPT_MAX

_GOOD = range(200, 300)


class KeptAnswer(Protocol):
    """An answer on disk, and the digest of what was asked."""

    @property
    def digest(self) -> bytes:
        """Of the question."""

    @property
    def answer(self) -> bytes:
        """The body."""


class KeptAnswers(Protocol):
    """Answers that outlive the process."""

    def answered(self, participant: str, request_id: str) -> KeptAnswer | None:
        """Return the answer kept for a request.

        Raises:
            StoreError: the disk could not be read.
        """

    async def keep_answer(
        self, participant: str, request_id: str, digest: bytes, answer: bytes
    ) -> None:
        """Keep an answer; return once it is on disk.

        Raises:
            StoreError: it could not be written.
        """


class OtherContent(Exception):
    """The id was used before, for something else."""


class _Known(Struct, frozen=True):
    digest: bytes
    answer: asyncio.Future[Response]


class Requests:
    """Remembers what each coop asked under which id, and what it was answered.

    Only good answers are remembered: what was refused for a moment's reason may be asked again
    under the same id. Answers to registrations are on disk; the others are in memory, as asking
    again there changes nothing, or has a key of its own as orders do.
    """

    def __init__(self, kept: KeptAnswers) -> None:
        self._kept = kept
        self._recent: dict[str, OrderedDict[str, _Known]] = {}

    async def once(
        self,
        coop: str,
        request_id: str,
        content: bytes,
        make: Callable[[], Awaitable[Response]],
        *,
        durably: bool = False,
    ) -> Response:
        """Return the answer to a request, made now or kept from the first time.

        Args:
            content: all that the request says, and by which call.
            durably: the answer is on disk before anyone sees it.

        Raises:
            OtherContent: the id stands for another request.
            StoreError: the kept answers could not be read or written.
        """
        digest = sha256(content).digest()
        recent = self._recent.setdefault(coop, OrderedDict())
        known = recent.get(request_id)
        if known is not None:
            if known.digest != digest:
                raise OtherContent
            return await asyncio.shield(known.answer)
        kept = self._kept.answered(coop, request_id)
        if kept is not None:
            if kept.digest != digest:
                raise OtherContent
            return Response(body=kept.answer)
        known = _Known(digest, asyncio.get_running_loop().create_future())
        recent[request_id] = known
        response = await self._made(coop, request_id, known, make, durably=durably)
        while len(recent) > NETWORK_REQUESTS_KEPT_MAX:
            recent.popitem(last=False)
        return response

    async def _made(
        self,
        coop: str,
        request_id: str,
        known: _Known,
        make: Callable[[], Awaitable[Response]],
        *,
        durably: bool,
    ) -> Response:
        is_good = False
        try:
            response = await make()
            is_good = response.status in _GOOD
            if durably and is_good:
                await self._kept.keep_answer(coop, request_id, known.digest, response.body)
        except BaseException as error:
            is_good = False
            known.answer.set_exception(error)
            known.answer.exception()  # Seen: a repeat that waits for it raises it, if there is one.
            raise
        else:
            known.answer.set_result(response)
            return response
        finally:
            if not is_good:
                self._recent[coop].pop(request_id, None)
