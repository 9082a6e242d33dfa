"""The test hook of the ISO 8583 lane: machines that are operated, links that are cut and held."""

from typing import Final

from msgspec import Struct

from participants.agents.office import Office
from participants.control_requests import (
    BadRequest,
    as_json,
    cci_of,
    digits_of,
    phone_of,
    read_body,
)
from participants.core import cash as rules
from participants.core.cash import CashWish
from runtime.http_server import Request, Response

_CASH_MAX: Final = 10**12 - 1


class _Cash(Struct, frozen=True, forbid_unknown_fields=True):
    kind: str
    phone: str = ""
    code: str = ""
    card: str = ""
    cci: str = ""
    amount: int = 0
    currency: str = "PEN"
    dispense: int | None = None


class _Links(Struct, frozen=True, forbid_unknown_fields=True):
    action: str


class LaneControl:
    """What the hook of one institution offers beside the calls that all have.

    Args:
        office: the institution.
    """

    def __init__(self, office: Office) -> None:
        self._own = office.institution
        self._machines = office.machines
        self._line = office.line

    async def cash(self, request: Request) -> Response:
        """Operate a machine, or an agent's counter."""
        asked = read_body(request, _Cash)
        if self._machines is None:
            raise BadRequest("no machines here", status=404)
        wish = CashWish(
            kind=asked.kind,
            phone=phone_of(asked.phone, "phone") if asked.phone else "",
            code=digits_of(asked.code, "code"),
            card=digits_of(asked.card, "card"),
            cci=cci_of(asked.cci, "cci", self._own.profile) or "",
            amount=asked.amount,
            currency=asked.currency,
            dispense=asked.dispense,
        )
        self._check_cash(wish)
        if self._own.books.is_full:
            raise BadRequest("too much on its way: try again", status=503)
        return as_json(await self._machines.operate(wish))

    def _check_cash(self, wish: CashWish) -> None:
        """Check what no machine would let a person ask for; the amount is for others to judge."""
        if wish.kind not in rules.KINDS:
            raise BadRequest(f"one of {', '.join(rules.KINDS)}", "kind")
        assert self._machines is not None
        if self._machines.till(wish.currency) is None:
            raise BadRequest("no machine here has that currency", "currency")
        if wish.kind == rules.DEPOSIT and not wish.cci:
            raise BadRequest("mandatory for a deposit", "cci")
        if wish.kind != rules.DEPOSIT and bool(wish.card) == bool(wish.phone):
            raise BadRequest("a card, or a phone and its code", "card")
        if wish.kind != rules.BALANCE and not 0 < wish.amount <= _CASH_MAX:
            raise BadRequest("above zero, in minor units", "amount")
        if wish.dispense is not None and wish.dispense < 0:
            raise BadRequest("zero or more, in minor units", "dispense")

    async def links(self, request: Request) -> Response:
        """Cut the links, keep them down, or dial again."""
        asked = read_body(request, _Links)
        line = self._line
        if line is None:
            raise BadRequest("this institution is not on the ISO 8583 lane", status=404)
        match asked.action:
            case "cut":
                line.cut()
            case "hold":
                await line.stop()
            case "resume":
                await line.start()
            case _:
                raise BadRequest("one of cut, hold, resume", "action")
        return as_json({"links": line.links, "held": line.is_held})
