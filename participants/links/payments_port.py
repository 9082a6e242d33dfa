"""Takes the clearing house's payment messages (pacs) for one institution, over HTTP and JSON."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
import structlog

from participants.agents.rail_payments import RailPaymentsDesk
from participants.links.tin_http.seal import Seal
from runtime.http_server import Request, Response
from scheme.errors import BadSignature, MalformedMessage
from scheme.messages.payment import FIToFICstmrCdtTrf, FIToFIPmtStsRpt, PmtRtr
from scheme.wire import pacs_json

log = structlog.get_logger()

PATH: Final = pacs_json.PATH


class PaymentsPort:
    """Answers an empty 200 once a message is booked on disk, or 400 if it cannot be read.

    Args:
        seal: signs and verifies, as on the TIN wire.
    """

    def __init__(self, desk: RailPaymentsDesk, seal: Seal) -> None:
        self._seal = seal
        self._takers: dict[str, tuple[type[Any], Callable[[Any], Awaitable[None]]]] = {
            pacs_json.STATUS: (FIToFIPmtStsRpt, desk.status),
            pacs_json.TRANSFER: (FIToFICstmrCdtTrf, desk.transfer),
            pacs_json.RETURN: (PmtRtr, desk.give_back),
        }

    async def answer(self, request: Request) -> Response:
        """Answer one request to a path below PATH."""
        taker = self._takers.get(request.path.removeprefix(PATH))
        if taker is None:
            return Response(404, b'{"error":"no such message here"}')
        if request.method != "POST":
            return Response(405, b'{"error":"messages are posted"}', (("Allow", "POST"),))
        kind, take = taker
        try:
            message = pacs_json.decode(self._seal.open(request.body), kind)
        except BadSignature as error:
            return _refused(error.detail, "signature")
        except MalformedMessage as error:
            return _refused("the message cannot be read", error.field)
        await take(message)
        return Response(200)


def _refused(text: str, field: str) -> Response:
    log.info("payment message refused", field=field)
    return Response(400, msgspec.json.encode({"error": text, "field": field}))
