"""Everything the operator port lists after the day, page by page."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from loadtests.day.calls import Api
from loadtests.day.reckoning import DEFERRED, PAID, PAYMENT_STATES, Order
from scheme.batch import Batch, Settlement

_UNREACHABLE = "AB05"
_PAGE = 500
_SOLES = "PEN"


class Instruction(Struct, frozen=True, kw_only=True):
    """A payment in a ledger of money, as a batch shows it."""

    instruction: str
    kind: str
    debit: str
    credit: str
    amount: int
    state: str


class SettledBatch(Struct, frozen=True, kw_only=True):
    """A batch with all that was done to settle it."""

    batch: Batch
    settlement: Settlement
    instructions: tuple[Instruction, ...]

    @property
    def nets(self) -> dict[str, int]:
        """What was settled of each participant: its net, less what was unwound."""
        if self.settlement.nets is not None:
            return self.settlement.nets
        return {row.participant: row.net for row in self.batch.participants}


def pages(api: Api, name: str) -> Iterator[Mapping[str, Any]]:
    """Yield all rows of a list that comes in pages."""
    after = ""
    while True:
        page = api.get(f"/{name}?limit={_PAGE}{after}")
        yield from page[name]
        if not page["next"]:
            return
        after = f"&after={page['next']}"


def transfers(api: Api) -> dict[str, tuple[Order, str]]:
    """Return every immediate transfer and its state, by its id."""
    found = {}
    for row in pages(api, "transfers"):
        if row["state"] in PAYMENT_STATES:
            continue
        order = Order(
            order_id=row["instruction_id"],
            rail=row["rail"] or "tin",
            is_paid=row["state"] in PAID,
            reason=row["reason_code"] or "",
            debtor=row["debtor_agent"],
            creditor=row["creditor_agent"],
            settles=row["amount"] + row["fee"],
            window=row["window"] or "",
            network_window=row["network_window"] or "",
            # Silence ends EXPIRED; this is a core whose links were not back yet.
            is_unreached=row["state"] == "REJECTED" and row["reason_code"] == _UNREACHABLE,
        )
        found[order.order_id] = (order, row["state"])
    return found


def payments(api: Api) -> dict[str, tuple[Order, str]]:
    """Return every payment of the other rails and its status, by its id."""
    found = {}
    for row in pages(api, "payments"):
        order = Order(
            order_id=row["payment_id"],
            rail=row["rail"],
            # An exchange cycle counts what it accepted, whether or not it could be settled.
            is_paid=row["rail"] == DEFERRED or row["status"] == "ACSC",
            reason="",
            debtor=row["debtor_agent"],
            creditor=row["creditor_agent"],
            settles=row["amount"] + row["fee"],
            window=row["window"] or "",
            network_window="",
        )
        found[order.order_id] = (order, row["status"])
    return found


def batches(api: Api, windows: list[Mapping[str, Any]]) -> list[SettledBatch]:
    """Return every batch there is, in the order in which they were made."""
    found = []
    for one in sorted(windows, key=lambda row: row["closed_ms"]):
        if not one["closed_ms"]:
            continue
        shown = api.get(f"/batches/{one['window']}")
        settlement = shown["settlement"]
        listed = msgspec.convert(settlement.pop("instructions"), tuple[Instruction, ...])
        found.append(
            SettledBatch(
                batch=msgspec.convert(shown["batch"], Batch),
                settlement=msgspec.convert(settlement, Settlement),
                instructions=listed,
            )
        )
    return found


def money(api: Api) -> dict[tuple[str, str], int]:
    """Return what lies in soles on each account of the ledgers of money, by ledger and owner."""
    return {
        (one["ledger"], one["account"]): int(one["balance"])
        for one in api.get("/lbtr")["accounts"]
        if one["currency"] == _SOLES
    }


def positions(api: Api) -> dict[tuple[str, str], int]:
    """Return every balance in soles, by ledger and participant."""
    return {
        (one["ledger"], one["participant"]): int(one["balance"])
        for one in api.get("/positions")["positions"]
        if one["currency"] == _SOLES
    }
