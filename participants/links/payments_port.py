"""Takes the clearing house's payment messages (pacs) for one institution, over HTTP and JSON."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
import structlog
from msgspec import Struct

from runtime.http_server import Request, Response
from scheme.errors import BadSignature, MalformedMessage
from scheme.wire import pacs_json

log = structlog.get_logger()

PATH: Final = pacs_json.PATH


class Taker(Struct, frozen=True):
    """Who takes one kind of message.

    Attributes:
        message: what is expected.
        take: books it; ends once that is on disk.
    """

    message: type[Any]
    take: Callable[[Any], Awaitable[None]]


class PaymentsPort:
    """Answers an empty 200 once a message is booked on disk, or 400 if it cannot be read.

    Args:
        takers: by the last part of the path.
        unseal: returns the document of a body, or raises BadSignature, as on the TIN wire.
    """

    def __init__(self, takers: Mapping[str, Taker], unseal: Callable[[bytes], bytes]) -> None:
        self._takers = takers
        self._unseal = unseal

    async def answer(self, request: Request) -> Response:
        """Answer one request to a path below PATH."""
        taker = self._takers.get(request.path.removeprefix(PATH))
        if taker is None:
            return Response(404, b'{"error":"no such message here"}')
        if request.method != "POST":
            return Response(405, b'{"error":"messages are posted"}', (("Allow", "POST"),))
        try:
            message = pacs_json.decode(self._unseal(request.body), taker.message)
        except BadSignature as error:
            return _refused(error.detail, "signature")
        except MalformedMessage as error:
            return _refused("the message cannot be read", error.field)
        await taker.take(message)
        return Response(200)


def _refused(text: str, field: str) -> Response:
    log.info("payment message refused", field=field)
    return Response(400, msgspec.json.encode({"error": text, "field": field}))
