"""The test hook of one institution: payments, accounts, movements (docs/wire/test-hook.md).

It stands beside the wire on the same port. A real connector may offer the same calls.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, Protocol

import msgspec
import structlog
from msgspec import Struct

from participants.agents import aliases
from participants.agents.debtor import PaymentRequest
from participants.agents.office import Office
from participants.agents.walk import NotSent, Walk
from participants.control_lane import LaneControl
from participants.control_requests import (
    BadRequest,
    as_json,
    cci_of,
    number_of,
    phone_of,
    read_body,
)
from participants.core.book import Account, DebitOrder, Movement, Recount
from participants.core.candidates import clean_phone
from participants.core.iso8583_creditor import card_of
from participants.core.payment_result import PaymentResult
from runtime.http_guard import Foreign, foreign
from runtime.http_server import Request, Response
from scheme import cci as ccis
from scheme.errors import PeerError, StoreError
from scheme.limits import PAGE_ROWS_MAX, QR_CHARACTERS_MAX
from scheme.messages.proxy import Action

log = structlog.get_logger()

BASE_PATH: Final = "/control/"
PAYMENTS_IN_FLIGHT_MAX: Final = 1024
"""Payments of one institution on their way at the same time."""
_KEY_CHARACTERS_MAX: Final = 128
_DESCRIPTION_CHARACTERS_MAX: Final = 140
_QR_START: Final = "0002"
_ACCOUNTS_PER_PAGE: Final = 50


class Hook(Protocol):
    """What the control API needs of the book on disk."""

    def debit_by_key(self, participant: str, key: str) -> DebitOrder | None:
        """Return the order made under an Idempotency-Key."""

    def movements(self, participant: str, after: int, limit: int) -> list[Movement]:
        """Return the orders that changed after a number."""

    async def recount(self, participant: str) -> Recount:
        """Recount an institution's book."""


class _Creditor(Struct, frozen=True, forbid_unknown_fields=True):
    cci: str | None = None
    phone: str | None = None
    qr: str | None = None


class _Payment(Struct, frozen=True, forbid_unknown_fields=True):
    debtor: str
    creditor: _Creditor
    amount: int | None = None
    entity: str | None = None
    currency: str = "PEN"
    description: str = ""


class _Lookup(Struct, frozen=True, forbid_unknown_fields=True):
    payer: str
    phone: str


class _Alias(Struct, frozen=True, forbid_unknown_fields=True):
    account: str
    action: Action


class _Session(Struct, frozen=True, forbid_unknown_fields=True):
    action: str


class _AccountView(Struct, frozen=True, omit_defaults=True):
    name: str
    phone: str
    cci: str
    participant: str
    currency: str
    card: str = ""


class _AccountMoney(_AccountView, frozen=True, kw_only=True):
    balance: int
    held: int
    available: int
    status: str


class ControlApi:
    """The test hook of one institution.

    Args:
        office: whose hook it is.
        books: the book on disk.
    """

    def __init__(self, office: Office, books: Hook) -> None:
        self._own = office.institution
        self._debtor = office.debtor
        self._sessions = office.sessions
        self._lane = LaneControl(office)
        self._books = books
        self._paying = 0
        self._by_phone: dict[str, list[str]] | None = None
        self._in_flight: dict[str, tuple[str, asyncio.Future[PaymentResult]]] = {}
        self._routes: dict[tuple[str, str], Callable[[Request], Awaitable[Response]]] = {
            ("POST", "payments"): self._pay,
            ("POST", "lookups"): self._look_up,
            ("POST", "aliases"): self._register,
            ("POST", "session"): self._session,
            ("POST", "cash"): self._lane.cash,
            ("POST", "iso8583"): self._lane.links,
            ("GET", "accounts"): self._accounts,
            ("GET", "movements"): self._movements,
            ("GET", "audit"): self._audit,
            ("GET", "state"): self._state,
        }

    async def answer(self, request: Request) -> Response:
        """Answer one request to a path below BASE_PATH."""
        turned_away = foreign(request)
        if turned_away is not None:
            return _refused(turned_away)
        rest = request.path.removeprefix(BASE_PATH)
        route = self._routes.get((request.method, rest))
        try:
            if route is not None:
                return await route(request)
            if request.method == "GET" and rest.startswith("accounts/"):
                return self._account(rest.removeprefix("accounts/"))
        except BadRequest as error:
            return error.response
        known = any(path == rest for _, path in self._routes)
        return as_json({"error": "no such call here"}, 405 if known else 404)

    # --- payments

    async def _pay(self, request: Request) -> Response:
        asked = read_body(request, _Payment)
        key = request.headers.get("Idempotency-Key", "")
        if len(key) > _KEY_CHARACTERS_MAX:
            raise BadRequest(f"at most {_KEY_CHARACTERS_MAX} characters", "Idempotency-Key")
        digest = hashlib.sha256(msgspec.json.encode(asked)).hexdigest() if key else ""
        earlier = self._earlier(key, digest) if key else None
        if earlier is None:
            return as_json(await self._paid(self._request(asked, key, digest)))
        return as_json(await earlier if isinstance(earlier, asyncio.Future) else earlier)

    def _earlier(
        self, key: str, digest: str
    ) -> "asyncio.Future[PaymentResult] | PaymentResult | None":
        """Return what a request under a known key gets: the same payment, never a second one."""
        running = self._in_flight.get(key)
        if running is not None:
            if running[0] != digest:
                raise BadRequest("the key was used for another payment", "Idempotency-Key", 409)
            return asyncio.shield(running[1])
        order = self._books.debit_by_key(self._own.code, key)
        if order is None:
            return None
        if order.digest != digest:
            raise BadRequest("the key was used for another payment", "Idempotency-Key", 409)
        return self._debtor.described(order)

    async def _paid(self, request: PaymentRequest) -> PaymentResult:
        if self._paying >= PAYMENTS_IN_FLIGHT_MAX:
            raise BadRequest("too many payments on their way: try again", status=503)
        self._paying += 1
        outcome: asyncio.Future[PaymentResult] = asyncio.get_running_loop().create_future()
        if request.key:
            self._in_flight[request.key] = (request.digest, outcome)
        # A task of its own: whoever repeats the request joins it, and none of them can end it.
        self._own.spawn(self._pay_on(request, outcome))
        return await asyncio.shield(outcome)

    async def _pay_on(
        self, request: PaymentRequest, outcome: asyncio.Future[PaymentResult]
    ) -> None:
        try:
            outcome.set_result(await self._debtor.pay(request))
        finally:
            self._paying -= 1
            self._in_flight.pop(request.key, None)
            # What is not known is not answered: the connection closes.
            outcome.cancel()

    def _request(self, asked: _Payment, key: str, digest: str) -> PaymentRequest:
        payer = self._payer(asked.debtor, "debtor")
        given = [
            one for one in (asked.creditor.cci, asked.creditor.phone, asked.creditor.qr) if one
        ]
        if len(given) != 1:
            raise BadRequest("exactly one of cci, phone and qr", "creditor")
        if asked.amount is None and asked.creditor.qr is None:
            raise BadRequest("mandatory unless a QR fixes it", "amount")
        if asked.amount is not None and asked.amount <= 0:
            raise BadRequest("above zero, in minor units", "amount")
        if asked.currency not in {"PEN", "USD"}:
            raise BadRequest("PEN or USD", "currency")
        if len(asked.description) > _DESCRIPTION_CHARACTERS_MAX:
            raise BadRequest(f"at most {_DESCRIPTION_CHARACTERS_MAX} characters", "description")
        phone = asked.creditor.phone
        return PaymentRequest(
            payer=payer,
            cci=cci_of(asked.creditor.cci, "creditor.cci", self._own.profile),
            phone=phone_of(phone, "creditor.phone") if phone else None,
            qr=_qr(asked.creditor.qr),
            entity=asked.entity,
            amount=asked.amount,
            currency=asked.currency,
            description=asked.description,
            key=key,
            digest=digest,
        )

    def _payer(self, text: str, named: str) -> Account:
        account = self._own.account(ccis.clean(text)) or self._own.account(clean_phone(text))
        if account is None:
            raise BadRequest("no such account here", named, 404)
        return account

    # --- lookups

    async def _look_up(self, request: Request) -> Response:
        asked = read_body(request, _Lookup)
        payer = self._payer(asked.payer, "payer")
        phone = phone_of(asked.phone, "phone")
        try:
            return as_json(await Walk(self._own, self._debtor.quota, payer).look_up(phone))
        except NotSent as end:
            raise BadRequest(end.text, status=504) from end

    # --- aliases

    async def _register(self, request: Request) -> Response:
        asked = read_body(request, _Alias)
        account = self._payer(asked.account, "account")
        try:
            done = await aliases.register(self._own, account, asked.action)
        except (PeerError, TimeoutError) as error:
            raise BadRequest("the directory did not answer", status=504) from error
        return as_json(
            {
                "status": done.status,
                "reason_code": done.reason,
                "registration_id": done.registration_id,
            }
        )

    # --- what the book says

    async def _accounts(self, request: Request) -> Response:
        limit = number_of(request, "limit", _ACCOUNTS_PER_PAGE, PAGE_ROWS_MAX)
        after = request.query.get("after", "")
        # Pages are in the order of CCIs, which are loaded in that order.
        ccis_left = [cci for cci in self._named(request.query.get("phone", "")) if cci > after]
        page = [self._view(self._own.accounts[cci]) for cci in ccis_left[:limit]]
        following = page[-1].cci if len(ccis_left) > limit else None
        return as_json({"accounts": page, "next": following})

    def _named(self, phone: str) -> Iterable[str]:
        """Return the CCIs of a phone's accounts, or all of them if none is asked for."""
        if not phone:
            return self._own.accounts
        if self._by_phone is None:
            # At the first question, as most institutions are never asked; accounts only change
            # in their money.
            self._by_phone = {}
            for cci, account in self._own.accounts.items():
                self._by_phone.setdefault(account.phone, []).append(cci)
        return self._by_phone.get(clean_phone(phone), ())

    def _account(self, cci: str) -> Response:
        account = self._own.accounts.get(cci)
        if account is None:
            raise BadRequest("no such account here", "cci", 404)
        return as_json(
            _AccountMoney(
                *msgspec.structs.astuple(self._view(account)),
                balance=account.balance,
                held=account.held,
                available=account.available,
                status=account.status,
            )
        )

    def _view(self, account: Account) -> _AccountView:
        return _AccountView(
            account.name,
            account.phone,
            account.cci,
            account.participant,
            account.currency,
            card_of(account, self._own.entry.iso8583.bins),
        )

    async def _movements(self, request: Request) -> Response:
        limit = number_of(request, "limit", PAGE_ROWS_MAX, PAGE_ROWS_MAX)
        after = number_of(request, "after", 0, None)
        found = self._books.movements(self._own.code, after, limit)
        following = found[-1].sequence if len(found) == limit else None
        return as_json({"movements": found, "next": following})

    async def _audit(self, _: Request) -> Response:
        try:
            return as_json(await self._books.recount(self._own.code))
        except StoreError:
            raise BadRequest("the store cannot be read just now", status=503) from None

    async def _state(self, _: Request) -> Response:
        session = self._own.session
        return as_json(
            {
                "participant": self._own.code,
                "name": self._own.entry.name,
                "signed_on": session.is_signed_on,
                "blocked": session.is_blocked,
                "suspended": session.is_suspended,
                "told": dict(session.described()),
                "accounts": len(self._own.accounts),
            }
        )

    # --- the session

    async def _session(self, request: Request) -> Response:
        asked = read_body(request, _Session)
        actions = {
            "signon": self._sessions.sign_on,
            "signoff": self._sessions.sign_off,
            "echo": self._sessions.echo,
        }
        action = actions.get(asked.action)
        if action is None:
            raise BadRequest("one of signon, signoff, echo", "action")
        try:
            answer = await action()
        except (PeerError, TimeoutError):
            raise BadRequest("the clearing house did not answer", status=504) from None
        return as_json({"response_code": answer.status, "reason_code": answer.reasonCode})


def _qr(text: str | None) -> str | None:
    if not text:
        return None
    if not text.startswith(_QR_START) or len(text) > QR_CHARACTERS_MAX:
        raise BadRequest("the text of a QR, which begins with 0002", "creditor.qr")
    return text


def _refused(found: Foreign) -> Response:
    said = {"error": found.error, "field": found.field, "hint": found.hint}
    return as_json(said, found.status)
