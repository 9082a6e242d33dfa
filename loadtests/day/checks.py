"""What is checked after the day; each claim names how much it looked at and what differs."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from loadtests.day import listing
from loadtests.day.book import ACCEPTED, PENDING, DayBook
from loadtests.day.calls import Api
from loadtests.day.commands import reconciled_books
from loadtests.day.country import DayCountry
from loadtests.day.deeds import Operator
from loadtests.day.files import FileChecks
from loadtests.day.listing import SettledBatch
from loadtests.day.reckoning import DEFERRED, Order, Recount, compare, recount
from loadtests.day.report import Claim, Settled
from scheme.batch import AGREED, FAILED, PARTIAL

_SIGNS = {"pay_in": -1, "top_up": -1, "pay_back": 1, "pay_out": 1}
_PREFUNDED = {"national": "lbtr", "dale": "sponsor"}


def total_of_accounts(api: Api) -> int:
    """Return the cents on all accounts of the ledgers of money together."""
    return sum(listing.money(api).values())


class Checks:
    """Checks one day, once everything is at rest.

    Args:
        total: cents on the accounts of the ledgers of money when the day began.
    """

    def __init__(
        self, country: DayCountry, book: DayBook, operator: Operator, folder: Path, total: int
    ) -> None:
        self._country = country
        self._api = country.api
        self._book = book
        self._operator = operator
        self._folder = folder
        self._total = total
        self._transfers = listing.transfers(self._api)
        self._payments = listing.payments(self._api)
        self._batches = listing.batches(self._api, operator.windows())
        sponsors = {one.code: one.sponsor for one in country.fleet.values() if one.is_tiered}
        self._recounts = recount(self._orders(sponsors), sponsors)

    def run(self) -> tuple[tuple[Settled, ...], tuple[Claim, ...]]:
        """Return every batch and every claim."""
        files = FileChecks(self._country, self._batches, self._folder)
        claims = [
            self._claim("the ledger agrees with itself", self._audit),
            self._claim("what was told is what the ledger has", self._told),
            self._claim("each batch equals the recount from single orders", self._counted),
            self._claim("each opening is the former batch's new opening", self._chained),
            self._claim("each net was paid once, in the ledger of money", self._paid_once),
            self._claim("no money came or went but by the operator", self._money),
            self._claim("each prefund equals its position", self._prefunds),
            self._claim("each payment ended as its cycle or queue did", self._payment_ends),
            *files.claims(self._book, self._transfers),
            reconciled_books(self._country),
        ]
        settled = tuple(
            Settled(
                batch=one.batch,
                state=one.settlement.state,
                rules_applied=one.settlement.rules_applied,
                bearers=one.settlement.bearers,
                unwound=len(one.settlement.unwound),
                files=files.count(one.batch.batch),
                file_lines=files.lines(one.batch.batch),
            )
            for one in self._batches
        )
        return settled, tuple(claims)

    def endings(self) -> dict[str, dict[str, int]]:
        """Return how many payments ended how, by rail."""
        found: dict[str, Counter[str]] = {}
        for order, status in self._payments.values():
            found.setdefault(order.rail, Counter())[status] += 1
        return {rail: dict(sorted(counts.items())) for rail, counts in found.items()}

    def _orders(self, sponsors: Mapping[str, str]) -> Iterator[Order]:
        """Yield all that counts in windows; a return is an order in the opposite direction."""
        yield from (one for one, _ in self._transfers.values())
        yield from (one for one, _ in self._payments.values())
        for line, cents, answer in self._operator.returns:
            original, _ = self._transfers[line.order_id]
            windows = answer["windows"]
            yield Order(
                order_id=answer["return_id"],
                rail=original.rail,
                is_paid=True,
                reason="",
                debtor=original.creditor,
                creditor=original.debtor,
                settles=cents,
                window=windows.get("national", ""),
                network_window=windows.get("dale", ""),
            )

    def _claim(self, name: str, check: Callable[[], tuple[int, list[str]]]) -> Claim:
        checked, differences = check()
        return Claim(name=name, checked=checked, differences=tuple(differences))

    def _audit(self) -> tuple[int, list[str]]:
        audit = self._api.get("/audit")
        stuck = self._api.get("/stuck")
        found = [str(one) for one in audit["differences"]]
        found += [f"stuck: {name}: {rows[:3]}" for name, rows in stuck.items() if rows]
        return len(self._transfers) + len(self._payments), found

    def _told(self) -> tuple[int, list[str]]:
        """Compare every answer with the ledger, both ways."""
        found, told = [], {}
        for one in self._book.of_way("wire", "hook"):
            told[one.order_id] = one
            known = self._transfers.get(one.order_id)
            said = (one.outcome == ACCEPTED, one.debtor, one.creditor, one.amount + one.fee)
            if known is None:
                found.append(f"{one.order_id}: told {one.outcome}, unknown to the ledger")
            elif said != (
                known[0].is_paid, known[0].debtor, known[0].creditor, known[0].settles,
            ):  # fmt: skip
                found.append(f"{one.order_id}: told {said}, the ledger has {known}")
        for order_id, (order, state) in self._transfers.items():
            if order.is_paid and order_id not in told:
                found.append(f"{order_id}: {state}, and nobody was told")
        return len(told), found

    def _counted(self) -> tuple[int, list[str]]:
        found: list[str] = []
        none: Mapping[str, Recount] = {}
        for one in self._batches:
            found += compare(one.batch, self._recounts.get(one.batch.batch, none))
            if one.settlement.audit != AGREED:
                found.append(f"{one.batch.batch}: its own audit says {one.settlement.audit!r}")
        known = {one.batch.batch for one in self._batches}
        found += [f"{window}: movements and no batch" for window in self._recounts.keys() - known]
        return sum(len(one.batch.participants) for one in self._batches), found

    def _chained(self) -> tuple[int, list[str]]:
        by_id = {one.batch.batch: one.batch for one in self._batches}
        checked = 0
        found: list[str] = []
        for batch in by_id.values():
            following = by_id.get(batch.next_window)
            if following is None or batch.cycle not in _PREFUNDED:
                continue
            opened = {row.participant: row.opening for row in following.participants}
            for row in batch.participants:
                checked += 1
                if opened.get(row.participant, row.new_opening) != row.new_opening:
                    found.append(
                        f"{following.batch}: {row.participant} opens with "
                        f"{opened[row.participant]}, {batch.batch} left {row.new_opening}"
                    )
        return checked, found

    def _paid_once(self) -> tuple[int, list[str]]:
        checked = 0
        found: list[str] = []
        for one in self._batches:
            checked += len(one.instructions)
            found += _not_paid_once(one)
        return checked, found

    def _money(self) -> tuple[int, list[str]]:
        accounts = listing.money(self._api)
        found = [
            f"{ledger}: {balance} cents stay on the settlement account"
            for (ledger, owner), balance in accounts.items()
            if owner == "settlement" and balance
        ]
        total, expected = sum(accounts.values()), self._total + self._operator.brought
        if total != expected:
            found.append(f"all accounts: {total} cents, {expected} expected")
        queue = self._api.get("/lbtr/queue")["queue"]
        found += [f"still queued: {one}" for one in queue]
        return len(accounts), found

    def _prefunds(self) -> tuple[int, list[str]]:
        accounts = listing.money(self._api)
        checked = 0
        found: list[str] = []
        for (ledger, code), balance in listing.positions(self._api).items():
            prefund = accounts.get((_PREFUNDED.get(ledger, ""), f"{code}:prefund"))
            if prefund is None:
                continue
            checked += 1
            if prefund != balance:
                found.append(f"{ledger} {code}: position {balance}, prefund {prefund}")
        return checked, found

    def _payment_ends(self) -> tuple[int, list[str]]:
        unwound = {order for one in self._batches for order in one.settlement.unwound}
        found = [
            f"{order_id}: {status}, unwound: {order_id in unwound}"
            for order_id, (order, status) in self._payments.items()
            if status != ("RJCT" if order_id in unwound else "ACSC")
        ]
        told = {
            one.order_id for one in self._book.of_way(DEFERRED, "lbtr") if one.outcome == PENDING
        }
        found += [f"{one}: told, and not listed" for one in told - self._payments.keys()]
        found += [f"{one}: listed, and nobody was told" for one in self._payments.keys() - told]
        if not any(one.settlement.state in {PARTIAL, FAILED} for one in self._batches):
            found.append("the participant that cannot pay could, somehow: nothing was PARTIAL")
        return len(self._payments), found


def _not_paid_once(one: SettledBatch) -> Iterable[str]:
    """Hold the instructions of a batch against its nets: paid in, paid out, each once."""
    owed = one.nets
    moved = dict.fromkeys(owed, 0)
    for step in one.instructions:
        if step.state != "SETTLED":
            continue
        # What others pay in somebody's place is that one's matter: see the bearers.
        sign = _SIGNS.get(step.kind, 0)
        payer = step.debit if sign < 0 else step.credit
        code = payer.removesuffix(":prefund")
        moved[code] = moved.get(code, 0) + sign * step.amount
    borne = {bearer.failing for bearer in one.settlement.bearers}
    for code, net in owed.items():
        if code not in borne and moved.get(code, 0) != net:
            yield f"{one.batch.batch}: {code}: net {net}, settled {moved.get(code, 0)}"
