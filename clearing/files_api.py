"""Routes of a batch's files and of what-if; ``switch/main.py`` mounts them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Protocol

from clearing import reports
from clearing.http_answers import RouteHandler, as_json, error, refused
from clearing.refusals import Refusal
from clearing.reports import MovementOf
from clearing.reports_reader import OpenReader, ReportReader
from clearing.what_if import Answer, WhatIf
from clearing.what_if_picture import picture
from runtime.http_server import Request, Response
from scheme.batch import Batch, BatchRow, decode_batch, decode_settlement
from scheme.errors import StoreError
from scheme.limits import STREAMS_MAX
from scheme.standing import WindowStand
from scheme.wire.iso20022 import PayOrder, instruction

SVG_TYPE = "image/svg+xml"
_FORMATS = ("json", "svg")


class Batches(Protocol):
    """Windows and their batches, in memory or by key."""

    def window(self, window: str) -> WindowStand | None:
        """Return a window as it stands."""

    def batch(self, window: str) -> bytes | None:
        """Return a window's batch."""


def file_routes(
    batches: Batches,
    *,
    open_reader: OpenReader,
    movement_of: MovementOf,
    what_if: WhatIf,
) -> dict[tuple[str, str], RouteHandler]:
    """Return handlers by method and path."""
    api = _FilesApi(batches, open_reader, movement_of, what_if)
    at = "/batches/{id}/files"
    return {
        ("GET", at): api.files,
        ("GET", f"{at}/{{participant}}/{reports.RECONCILIATION}"): api.reconciliation,
        ("GET", f"{at}/{{participant}}/{reports.NET_REPORT}"): api.net_report,
        ("GET", f"{at}/{{participant}}/{reports.STATEMENT}"): api.statement,
        ("GET", f"{at}/{{participant}}/{reports.INSTRUCTION}"): api.instruction,
        ("GET", "/settlement/what-if"): api.what_if,
    }


class _FilesApi:
    """Finds what a path names and streams it."""

    def __init__(
        self,
        batches: Batches,
        open_reader: OpenReader,
        movement_of: MovementOf,
        what_if: WhatIf,
    ) -> None:
        self._batches = batches
        self._open_reader = open_reader
        self._movement_of = movement_of
        self._what_if = what_if
        self._running = 0

    async def files(self, _: Request, path: Mapping[str, str]) -> Response:
        """List the files of a batch."""
        batch = self._batch(path["id"])
        if isinstance(batch, Response):
            return batch
        kinds = (reports.RECONCILIATION, reports.NET_REPORT, reports.STATEMENT)
        listed = [_listed(batch, reports.ALL, reports.NET_REPORT)]
        for row in batch.participants:
            listed += [_listed(batch, row.participant, kind) for kind in kinds]
            if self._order(batch, row) is not None:
                listed.append(_listed(batch, row.participant, reports.INSTRUCTION))
        return as_json({"batch": batch.batch, "files": listed})

    async def reconciliation(self, _: Request, path: Mapping[str, str]) -> Response:
        """Stream one line for each movement of a participant."""
        found = self._row(path)
        if isinstance(found, Response):
            return found
        batch, row = found

        def document(reader: ReportReader) -> Iterator[bytes]:
            pages = reader.moved(batch, row.participant)
            return reports.reconciliation(pages, self._movement_of)

        return self._streamed(document, reports.CSV_TYPE, path, reports.RECONCILIATION)

    async def net_report(self, _: Request, path: Mapping[str, str]) -> Response:
        """Answer the net report of a participant, or of all of them."""
        if path["participant"] == reports.ALL:
            batch = self._batch(path["id"])
            if isinstance(batch, Response):
                return batch
            rows = batch.participants
        else:
            found = self._row(path)
            if isinstance(found, Response):
                return found
            batch, rows = found[0], (found[1],)
        body = b"".join(reports.net_report(batch, rows))
        return _file(body, reports.CSV_TYPE, path, reports.NET_REPORT)

    async def statement(self, _: Request, path: Mapping[str, str]) -> Response:
        """Stream a participant's statement."""
        found = self._row(path)
        if isinstance(found, Response):
            return found
        batch, row = found

        def document(reader: ReportReader) -> Iterator[bytes]:
            return reports.statement(batch, row, reader.entries(batch, row.participant))

        return self._streamed(document, reports.XML_TYPE, path, reports.STATEMENT)

    async def instruction(self, _: Request, path: Mapping[str, str]) -> Response:
        """Answer what a participant pays in, or is paid."""
        found = self._row(path)
        if isinstance(found, Response):
            return found
        batch, row = found
        order = self._order(batch, row)
        if order is None:
            hint = "only net debtors and net creditors have an instruction"
            return error(404, "its net position is zero", "participant", hint)
        return _file(instruction(batch, order), reports.XML_TYPE, path, reports.INSTRUCTION)

    async def what_if(self, request: Request, _: Mapping[str, str]) -> Response:
        """Replay a day under other rules, as JSON or as a picture."""
        kind = request.query.get("format") or _FORMATS[0]
        if kind not in _FORMATS:
            return error(400, "no such format", "format", f"one of {', '.join(_FORMATS)}")
        question = self._what_if.question(request.query)
        if isinstance(question, Refusal):
            return refused(question)
        if self._running >= STREAMS_MAX:
            return _busy()
        self._running += 1
        try:
            answer = await asyncio.to_thread(self._what_if.answer, question)
            if kind == "svg":
                drawn = await asyncio.to_thread(picture, answer)
                return Response(200, drawn, content_type=SVG_TYPE)
        except StoreError:
            return _unreadable()
        finally:
            self._running -= 1
        return as_json(_answer_view(answer))

    def _batch(self, window: str) -> Batch | Response:
        data = self._batches.batch(window)
        if data is not None:
            return decode_batch(data)
        if self._batches.window(window) is None:
            return error(404, "no window has this id", "batch", "GET /windows lists them")
        hint = "its files are made when it is closed: POST /windows/{id}/close"
        return error(409, "this window has no batch yet", "batch", hint)

    def _row(self, path: Mapping[str, str]) -> tuple[Batch, BatchRow] | Response:
        batch = self._batch(path["id"])
        if isinstance(batch, Response):
            return batch
        for row in batch.participants:
            if row.participant == path["participant"]:
                return batch, row
        hint = f"GET /batches/{batch.batch}/files lists them"
        return error(404, "the batch has no such participant", "participant", hint)

    def _order(self, batch: Batch, row: BatchRow) -> PayOrder | None:
        stand = self._batches.window(batch.batch)
        assert stand is not None, "a batch has its window"
        return reports.pay_order(row, decode_settlement(stand.record, state=stand.state))

    def _streamed(
        self,
        document: Callable[[ReportReader], Iterator[bytes]],
        content_type: str,
        path: Mapping[str, str],
        kind: str,
    ) -> Response:
        if self._running >= STREAMS_MAX:
            return _busy()
        headers = _attachment(path, kind)
        parts = self._parts(document)
        return Response(200, headers=headers, content_type=content_type, parts=parts)

    async def _parts(
        self, document: Callable[[ReportReader], Iterator[bytes]]
    ) -> AsyncIterator[bytes]:
        """Make a document piece by piece, each in a thread, when the last one was taken."""
        self._running += 1
        try:
            reader = await asyncio.to_thread(self._open_reader)
            try:
                pieces = document(reader)
                while True:
                    making = asyncio.ensure_future(asyncio.to_thread(next, pieces, None))
                    try:
                        piece = await asyncio.shield(making)
                    except asyncio.CancelledError:
                        # The connection must not be closed under the thread that reads from it.
                        await asyncio.wait((making,))
                        raise
                    if piece is None:
                        return
                    yield piece
            finally:
                reader.close()
        finally:
            self._running -= 1


def _listed(batch: Batch, code: str, kind: str) -> dict[str, str]:
    return {
        "participant": code,
        "kind": kind,
        "name": reports.file_name(batch.batch, code, kind),
        "path": f"/batches/{batch.batch}/files/{code}/{kind}",
    }


def _file(body: bytes, content_type: str, path: Mapping[str, str], kind: str) -> Response:
    return Response(200, body, _attachment(path, kind), content_type)


def _attachment(path: Mapping[str, str], kind: str) -> tuple[tuple[str, str], ...]:
    name = reports.file_name(path["id"], path["participant"], kind)
    return (("Content-Disposition", f'attachment; filename="{name}"'),)


def _busy() -> Response:
    hint = "try again when one of them has ended"
    return error(503, f"{STREAMS_MAX} files or replays are under way", "", hint)


def _unreadable() -> Response:
    return error(503, "the ledger cannot be read", "ledger", "try again; the switch's log says why")


def _answer_view(answer: Answer) -> dict[str, Any]:
    """Return an answer as its route gives it."""
    question = answer.question
    return {
        "date": question.day,
        "ledger": question.ledger,
        "currency": question.currency,
        "cap": question.cap_minor,
        "failing": question.failing or None,
        "names": answer.names,
        "scenarios": [
            {
                "windows": one.rules.windows,
                "offsetting": one.rules.offsetting,
                "payments": one.payments,
                "gross": one.gross,
                "paid_in": one.paid_in,
                "liquidity": one.liquidity,
                "peak": one.peak,
                "blocked": {"count": one.blocked, "value": one.blocked_minor},
                "unpaid": one.unpaid,
                "bearers": one.bearers,
                "participants": [
                    {
                        "participant": row.participant,
                        "sent": row.sent,
                        "received": row.received,
                        "net": row.net,
                        "paid_in": row.paid_in,
                        "liquidity": row.liquidity,
                        "peak": row.peak,
                        "blocked": {"count": row.blocked, "value": row.blocked_minor},
                    }
                    for row in one.participants
                ],
            }
            for one in answer.outlooks
        ],
    }
