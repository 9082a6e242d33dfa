"""Routes of the ledgers of money: accounts, queue, and money from and to the outside."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from clearing.http_answers import RouteHandler, as_json, read, refused
from clearing.ports import LedgerStore
from clearing.refusals import Refusal
from clearing.service import Cash, ClearingService
from runtime.http_server import Request, Response
from scheme.ledger import FUNDING_ACCOUNT, MONEY_OF, Position
from scheme.standing import Instruction

_EXAMPLE = '{"currency": "PEN", "amount": 12300}, the amount in minor units'


class _CashBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What a deposit or withdrawal asks for; the amount in minor units."""

    currency: str
    amount: int


def lbtr_routes(
    service: ClearingService, ledger: LedgerStore
) -> dict[tuple[str, str], RouteHandler]:
    """Return handlers by method and path."""
    api = _LbtrApi(service, ledger)
    return {
        ("GET", "/lbtr"): api.accounts,
        ("GET", "/lbtr/queue"): api.queue,
        ("POST", "/lbtr/{ledger}/{code}/deposit"): api.deposit,
        ("POST", "/lbtr/{ledger}/{code}/withdrawal"): api.withdraw,
    }


class _LbtrApi:
    """Translates between HTTP and the service; decides nothing."""

    def __init__(self, service: ClearingService, ledger: LedgerStore) -> None:
        self._service = service
        self._ledger = ledger

    async def accounts(self, _: Request, __: Mapping[str, str]) -> Response:
        """Answer every account of the ledgers of money."""
        every = sorted(
            (one for one in self._ledger.positions() if _is_account(one)),
            key=lambda p: (p.account.ledger, p.account.currency, p.account.owner),
        )
        return as_json({"accounts": [_account_view(one) for one in every]})

    async def queue(self, _: Request, __: Mapping[str, str]) -> Response:
        """Answer the payments that wait, in the order of their arrival."""
        return as_json({"queue": [instruction_view(one) for one in self._ledger.instructions()]})

    async def deposit(self, request: Request, path: Mapping[str, str]) -> Response:
        """Bring money to a current account."""
        return await self._move(Cash.DEPOSIT, request, path)

    async def withdraw(self, request: Request, path: Mapping[str, str]) -> Response:
        """Take money from a current account."""
        return await self._move(Cash.WITHDRAWAL, request, path)

    async def _move(self, cash: Cash, request: Request, path: Mapping[str, str]) -> Response:
        body = read(request, _CashBody, _EXAMPLE)
        if isinstance(body, Response):
            return body
        key = request.headers.get("Idempotency-Key", "")
        answer = await self._service.move_cash(
            cash, path["ledger"], path["code"], body.currency, body.amount, key
        )
        return refused(answer) if isinstance(answer, Refusal) else Response(200, answer)


def instruction_view(one: Instruction) -> dict[str, Any]:
    """Return a payment of a ledger of money as the operator API shows it."""
    return {
        "instruction": one.instruction_id,
        "kind": one.kind,
        "subject": one.subject,
        "ledger": one.debit.ledger,
        "currency": one.debit.currency,
        "debit": one.debit.owner,
        "credit": one.credit.owner,
        "amount": one.minor,
        "state": one.state,
        "reason": one.reason,
        "queued_ms": one.queued_ms,
        "settled_ms": one.settled_ms,
    }


def _account_view(position: Position) -> dict[str, Any]:
    account = position.account
    return {
        "ledger": account.ledger,
        "currency": account.currency,
        "account": account.owner,
        "balance": position.balance_minor,
        "reserved": position.reserved_minor,
        "available": position.available_minor,
        "credit": position.cap_minor,
    }


def _is_account(position: Position) -> bool:
    account = position.account
    return account.ledger in MONEY_OF.values() and account.owner != FUNDING_ACCOUNT
