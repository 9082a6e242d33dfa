"""Which positions and accounts a fleet has: everything that is opened at the start."""

from collections.abc import Callable, Iterator, Mapping

from scheme.ledger import (
    DALE,
    DEFERRED,
    GUARANTEE_ACCOUNT,
    LBTR,
    NATIONAL,
    SETTLEMENT_ACCOUNT,
    SPONSOR,
    Account,
    OpenPosition,
    prefund_owner,
)
from scheme.network import Participant
from scheme.profile import Profile

SPONSOR_CAP_MINOR = 10**15
"""A sponsor's own books never fall short of its own promises; the coops' lines are the limit."""

WindowIdOf = Callable[[str, str], str]
"""Returns the id of the window open now, by cycle and currency."""


def openings(
    members: Mapping[str, Participant], profile: Profile, *, window: WindowIdOf, at_ms: int
) -> Iterator[OpenPosition]:
    """Return a command for every position and account; one that exists stays as it is."""
    opener = _Opener(profile, window, at_ms)
    currencies = {currency for one in members.values() for currency in one.currencies}
    for currency in sorted(currencies):
        yield opener.plain(LBTR, currency, SETTLEMENT_ACCOUNT)
        yield opener.plain(SPONSOR, currency, SETTLEMENT_ACCOUNT)
        fund = profile.lbtr.guarantee_fund.get(currency, 0)
        yield opener.plain(LBTR, currency, GUARANTEE_ACCOUNT, fund)
    for one in members.values():
        for currency in one.currencies:
            if one.is_tiered:
                yield from opener.coop(one, currency)
            else:
                yield from opener.settling(one, currency)
    for sponsor in sorted({one.sponsor for one in members.values() if one.is_tiered}):
        for currency in members[sponsor].currencies:
            # What the network's coops and the outside owe one another goes through these two.
            yield opener.plain(DALE, currency, sponsor, cap=SPONSOR_CAP_MINOR)
            yield opener.plain(SPONSOR, currency, sponsor, cap=SPONSOR_CAP_MINOR)


class _Opener:
    """Makes the commands of one start."""

    def __init__(self, profile: Profile, window: WindowIdOf, at_ms: int) -> None:
        self._profile = profile
        self._window = window
        self._at_ms = at_ms

    def settling(self, one: Participant, currency: str) -> Iterator[OpenPosition]:
        """Open what a participant has that settles at the central bank itself."""
        profile = self._profile
        prefund = one.prefund.get(currency, profile.prefund.minor.get(currency, 0))
        cap = profile.prefund.cap_minor.get(currency, 0)
        yield self._position(NATIONAL, currency, one.code, prefund, prefund, cap)
        deferred_cap = profile.settlement.deferred_cap.get(currency, 0)
        yield self.plain(DEFERRED, currency, one.code, cap=deferred_cap)
        opening = profile.lbtr.opening.get(currency, 0)
        credit = profile.lbtr.intraday_credit.get(currency, 0)
        yield self.plain(LBTR, currency, one.code, opening, cap=credit)
        yield self.plain(LBTR, currency, prefund_owner(one.code), prefund)

    def coop(self, one: Participant, currency: str) -> Iterator[OpenPosition]:
        """Open what a coop of the network has, with its sponsor instead of the central bank."""
        network = self._profile.network
        prefund = one.prefund.get(currency, network.prefund.get(currency, 0))
        line = one.line.get(currency, network.line.get(currency, 0))
        yield self._position(DALE, currency, one.code, prefund, prefund + line, line)
        opening = self._profile.lbtr.sponsor_opening.get(currency, 0)
        yield self.plain(SPONSOR, currency, one.code, opening)
        yield self.plain(SPONSOR, currency, prefund_owner(one.code), prefund)

    def plain(
        self, ledger: str, currency: str, owner: str, minor: int = 0, *, cap: int = 0
    ) -> OpenPosition:
        """Open an account that nobody is warned about."""
        return self._position(ledger, currency, owner, minor, 0, cap)

    def _position(
        self, ledger: str, currency: str, owner: str, prefund: int, full: int, cap: int
    ) -> OpenPosition:
        """Open a position; its watermarks are in per cent of ``full``."""
        has_windows = ledger not in (LBTR, SPONSOR)
        return OpenPosition(
            account=Account(ledger=ledger, currency=currency, owner=owner),
            prefund_minor=prefund,
            low_minor=full * self._profile.prefund.low_percent // 100,
            high_minor=full * self._profile.prefund.high_percent // 100,
            cap_minor=cap,
            window=self._window(ledger, currency) if has_windows else "",
            at_ms=self._at_ms,
        )
