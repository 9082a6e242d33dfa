"""A small synchronous client of the operator API and of the participants' test hooks."""

import http.client
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from gettext import gettext as _
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from msgspec import structs

from chasqui.answers import (
    Account,
    AccountsPage,
    Movement,
    MovementsPage,
    Participant,
    ParticipantsAnswer,
    Problem,
    Recount,
    ReturnRow,
    ReturnsAnswer,
    Transfer,
    TransferDetail,
    TransfersPage,
)
from chasqui.exits import Failure, Misused, Refused, Unknown
from chasqui.routing_answers import (
    PaymentDetail,
    PaymentRow,
    PaymentsPage,
)
from scheme.limits import PAGE_ROWS_MAX

T = TypeVar("T")
_Page = TypeVar("_Page", TransfersPage, PaymentsPage, ReturnsAnswer)

ANSWER_BYTES_MAX = 64 * 1024 * 1024
_CONNECT_S = 3.0
_PIECE_BYTES = 64 * 1024
_POSTED = frozenset({"POSTED", "CONFIRMED", "APPROVED", "DISPUTED_POSTED"})
_USAGE_STATUSES = {400, 404, 415, 422}


@dataclass(frozen=True, slots=True)
class Api:
    """One HTTP/JSON service.

    Args:
        url: base address.
        timeout_s: wait for each answer.
        pki: folder of the country's own keys, for an ``https://`` address.
    """

    url: str
    timeout_s: float
    pki: Path | None = None

    def get(self, path: str, answer: type[T], **query: str | int | None) -> T:
        """Fetch and decode.

        Raises:
            Failure: see ``exchange``.
        """
        asked = {name: str(value) for name, value in query.items() if value not in {None, ""}}
        target = f"{path}?{urlencode(asked)}" if asked else path
        return self._decode(self.exchange("GET", target, b"", {}), answer)

    def post(
        self, path: str, body: object, answer: type[T], headers: Mapping[str, str] | None = None
    ) -> T:
        """Post a JSON document and decode the answer.

        Raises:
            Failure: see ``exchange``.
        """
        return self._send("POST", path, body, answer, headers or {})

    def put(self, path: str, body: object, answer: type[T]) -> T:
        """Put a JSON document and decode the answer.

        Raises:
            Failure: see ``exchange``.
        """
        return self._send("PUT", path, body, answer, {})

    def _send(
        self, method: str, path: str, body: object, answer: type[T], headers: Mapping[str, str]
    ) -> T:
        sent = {"Content-Type": "application/json", **headers}
        return self._decode(self.exchange(method, path, msgspec.json.encode(body), sent), answer)

    def exchange(self, method: str, target: str, body: bytes, headers: Mapping[str, str]) -> bytes:
        """Make one request and return the body of its 2xx answer.

        Raises:
            Misused: 400, 404, 415: the request was wrong.
            Refused: 403, 409: it was understood, and the answer is no.
            Unknown: not reached, no answer in time, or a fault of the other side.
        """
        with self._asked(method, target, body, headers) as response:
            answer = response.read(ANSWER_BYTES_MAX)
        if response.status // 100 != 2:
            raise _problem(self.url, response.status, answer)
        return answer

    def pieces(self, target: str) -> Iterator[bytes]:
        """Yield the body of a document's 2xx answer as it comes, whatever its length.

        Raises:
            Failure: see ``exchange``; also when the document breaks off.
        """
        with self._asked("GET", target, b"", {}) as response:
            if response.status // 100 != 2:
                raise _problem(self.url, response.status, response.read(ANSWER_BYTES_MAX))
            while piece := response.read(_PIECE_BYTES):
                yield piece

    @contextmanager
    def _asked(
        self, method: str, target: str, body: bytes, headers: Mapping[str, str]
    ) -> Iterator[http.client.HTTPResponse]:
        parts = urlsplit(self.url)
        try:
            connection = self._connection(parts.scheme, parts.hostname or "", parts.port)
            connection.connect()
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unknown(
                _("{url} was not reached: {cause}").format(url=self.url, cause=_why(error)),
                _("Is the country running? Start it with: chasqui up"),
            ) from error
        try:
            connection.sock.settimeout(self.timeout_s)
            connection.request(method, parts.path.rstrip("/") + target, body or None, dict(headers))
            yield connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise Unknown(
                _("{url} did not answer: {cause}").format(url=self.url, cause=_why(error)),
                _("What was asked may have happened all the same: look with chasqui transfers"),
            ) from error
        finally:
            connection.close()

    def _connection(self, scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
        if scheme != "https":
            return http.client.HTTPConnection(host, port, timeout=_CONNECT_S)
        tls = ssl.create_default_context()
        authority = None if self.pki is None else self.pki / "ca.pem"
        if self.pki is not None and authority is not None and authority.exists():
            # A country of this machine has an authority of its own, and may ask who we are.
            tls.load_verify_locations(authority)
            tls.load_cert_chain(self.pki / "switch.pem", self.pki / "switch.key.pem")
        return http.client.HTTPSConnection(host, port, timeout=_CONNECT_S, context=tls)

    def _decode(self, body: bytes, answer: type[T]) -> T:
        try:
            return msgspec.json.decode(body, type=answer)
        except msgspec.DecodeError as error:
            raise Unknown(
                _("{url} answered something else than expected: {cause}").format(
                    url=self.url, cause=error
                ),
                _("Is that address really one of this country? See --operator-url"),
            ) from error


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return _("no answer in time")
    if isinstance(error, ConnectionRefusedError):
        return _("nothing listens there")
    return str(error) or type(error).__name__


def _problem(url: str, status: int, body: bytes) -> Misused | Refused | Unknown:
    try:
        told = msgspec.json.decode(body, type=Problem)
    except msgspec.DecodeError:
        told = Problem()
    text = told.error or _("{url} answered HTTP {status}").format(url=url, status=status)
    if status in _USAGE_STATUSES:
        return Misused(text, told.hint, field=told.field or "")
    if status // 100 == 4:
        return Refused(text, told.hint, field=told.field or "")
    return Unknown(text, told.hint, field=told.field or "")


@dataclass(frozen=True, slots=True)
class Country:
    """The running country, through its operator API and the test hooks it names.

    Args:
        operator: client of the operator API.
    """

    operator: Api

    def participants(self) -> tuple[Participant, ...]:
        """Return all participants."""
        return self.operator.get("/participants", ParticipantsAnswer).participants

    def participant(self, code: str) -> Participant:
        """Return one participant.

        Raises:
            Misused: there is none of that code.
        """
        everyone = self.participants()
        for one in everyone:
            if one.code == code:
                return one
        raise Misused(
            _("There is no participant {code}.").format(code=code),
            _("There are: {codes}").format(codes=", ".join(one.code for one in everyone)),
        )

    def hook(self, one: Participant) -> Api:
        """Return a client of a participant's test hook.

        Raises:
            Misused: it offers none.
        """
        if not one.hook_url:
            raise Misused(
                _("{code} {name} has no test hook.").format(code=one.code, name=one.name),
                _("Give its control_url in fleet.toml, or choose a simulated institution."),
            )
        return Api(one.hook_url, self.operator.timeout_s)

    def detail(self, instruction_id: str) -> TransferDetail:
        """Return one transfer, or verification, with its timeline."""
        # What never became a transfer is kept under its key, with what a core has put there.
        return self.operator.get(f"/transfers/{quote(instruction_id, safe=':')}", TransferDetail)

    def with_returns(self, detail: TransferDetail) -> TransferDetail:
        """Return a transfer with what went back of it; only of a posted one anything can."""
        one = detail.transfer
        if one is None or one.state not in _POSTED:
            return detail
        try:
            answer = self.operator.get(f"/transfers/{one.instruction_id}/returns", ReturnsAnswer)
        except Failure:
            return detail  # The transfer is what was asked for; its returns are an extra.
        return structs.replace(detail, returns=answer.returns)

    def transfers(self, *, limit: int | None = None, **filters: str) -> Iterator[Transfer]:
        """Yield transfers page by page, newest first; all of them without a limit."""
        return self._paged("/transfers", TransfersPage, lambda page: page.transfers, limit, filters)

    def payment(self, payment_id: str) -> PaymentDetail:
        """Return one order of the deferred or LBTR rail."""
        return self.operator.get(f"/payments/{payment_id}", PaymentDetail)

    def payments(self, *, limit: int | None = None, **filters: str) -> Iterator[PaymentRow]:
        """Yield orders of the deferred and LBTR rails, newest first."""
        return self._paged("/payments", PaymentsPage, lambda page: page.payments, limit, filters)

    def returns(self) -> Iterator[ReturnRow]:
        """Yield what went back of transfers, oldest first."""
        return self._paged("/returns", ReturnsAnswer, lambda page: page.returns, None, {})

    def _paged(
        self,
        path: str,
        answer: type[_Page],
        rows_of: Callable[[_Page], Sequence[T]],
        limit: int | None,
        filters: Mapping[str, str],
    ) -> Iterator[T]:
        after: str | int | None = None
        left = limit
        while left is None or left > 0:
            wanted = PAGE_ROWS_MAX if left is None else min(left, PAGE_ROWS_MAX)
            page = self.operator.get(path, answer, limit=wanted, after=after, **filters)
            rows = rows_of(page)
            yield from rows
            after = page.next
            if after is None or not rows:
                return
            left = None if left is None else left - len(rows)

    def accounts(
        self, one: Participant, *, limit: int | None = None, phone: str = ""
    ) -> Iterator[Account]:
        """Yield the accounts of a participant, as its test hook lists them."""
        hook = self.hook(one)
        after: str | int | None = None
        left = limit
        while left is None or left > 0:
            rows = PAGE_ROWS_MAX if left is None else min(left, PAGE_ROWS_MAX)
            page = hook.get("/control/accounts", AccountsPage, limit=rows, after=after, phone=phone)
            yield from page.accounts
            after = page.next
            if after is None or not page.accounts:
                return
            left = None if left is None else left - len(page.accounts)

    def movements(self, one: Participant) -> Iterator[Movement]:
        """Yield all movements of a participant's own book."""
        hook = self.hook(one)
        after: int | None = None
        while True:
            page = hook.get("/control/movements", MovementsPage, limit=PAGE_ROWS_MAX, after=after)
            yield from page.movements
            after = page.next
            if after is None or not page.movements:
                return

    def recount(self, one: Participant) -> Recount | None:
        """Return what a participant's recount of its own book found; None if it offers none."""
        try:
            return self.hook(one).get("/control/audit", Recount)
        except (Misused, Refused):
            return None
