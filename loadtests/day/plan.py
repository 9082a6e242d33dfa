"""What a day consists of: how much of it travels how, and when the operator does what. Pure."""

from msgspec import Struct

BANK_AGENTS = ("0980", "0981", "0982", "0983", "0984")
"""Debtor agents of the fleet that settle for themselves; played by this generator."""
COOP_AGENTS = ("0978", "0979")
"""Debtor agents inside the coops' network; only this day's copy of the fleet has them."""
SPONSOR = "0987"
POOR = "0984"
"""Its first prefund is soon used up, so that orders without cover are refused."""
FAILING = "0813"
"""Its current account is emptied, so that it cannot pay its exchange cycle."""
APPROVERS = ("ANA DEMO", "BETO DEMO")
AVERAGE_CENTS = 2_550


class Plan(Struct, frozen=True, kw_only=True):
    """One day.

    Attributes:
        transfers: immediate transfers and payments together, refused ones included.
        kill: the switch is ended by ``kill -9`` while batches are settled.
        approvals: people who must approve each batch.
        customers: most customers of one institution; fewer start sooner.
        in_flight: immediate transfers at once over the wire.
    """

    transfers: int
    seed: int = 970
    kill: bool = False
    approvals: int = 0
    customers: int = 400
    in_flight: int = 64

    @property
    def lbtr(self) -> int:
        """Orders of the gross settlement."""
        return max(6, self.transfers * 3 // 1000)

    @property
    def deferred(self) -> int:
        """Orders of the exchange cycles."""
        return max(24, self.transfers * 3 // 100)

    @property
    def hooked(self) -> int:
        """Immediate transfers that the institutions' own customers order."""
        return max(12, self.transfers * 15 // 100)

    @property
    def by_coops(self) -> int:
        """Immediate transfers of the generator's agents inside the network."""
        return self._wired * 3 // 10

    @property
    def by_banks(self) -> int:
        """Immediate transfers of the generator's other agents."""
        return self._wired - self.by_coops

    @property
    def silences(self) -> int:
        """Orders whose creditor never answers; each costs the expiry."""
        return max(2, self.transfers // 4000)

    @property
    def poor_prefund(self) -> int:
        """Cents with which ``POOR`` starts: about half of what it wants to send."""
        return max(10_000, self.by_banks // len(BANK_AGENTS) * AVERAGE_CENTS // 2)

    @property
    def _wired(self) -> int:
        return self.transfers - self.lbtr - self.deferred - self.hooked


class Deed(Struct, frozen=True):
    """Something that the operator does once a share of the day's orders has its answer.

    Attributes:
        at: share of the orders, in thousandths.
        name: ``close`` a window of ``about`` (a cycle), ``withdraw`` from or ``deposit`` to the
            current account of ``about``, ``fund`` or ``draw`` its position, ``return`` orders.
    """

    at: int
    name: str
    about: str = ""


SCRIPT = (
    Deed(60, "withdraw", FAILING),
    Deed(200, "close", "deferred"),
    Deed(260, "close", "national"),
    Deed(320, "close", "dale"),
    Deed(400, "deposit", FAILING),
    Deed(450, "return"),
    Deed(480, "draw", "0980"),
    Deed(500, "close", "national-dispute"),
    Deed(510, "close", "dale-dispute"),
    Deed(560, "close", "deferred"),
    Deed(600, "close", "national"),
    Deed(640, "fund", POOR),
    Deed(700, "close", "dale"),
    Deed(850, "close", "national"),
    Deed(900, "return"),
)
"""The operator's day, before everything that is still open is closed at its end."""
