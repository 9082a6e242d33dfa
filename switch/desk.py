"""What an operator sees and does, gathered from the parts of the switch."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from scheme.clock import from_ms
from scheme.network import Participant
from scheme.profile import Profile
from switch.echo import Echoes
from switch.outbox import Outbox
from switch.ports import TransferFilter
from switch.queries import Queries
from switch.sessions import Sessions
from switch.store import SqliteStore


class OperatorDesk:
    """Implements the operator API's ``Desk``.

    Args:
        waits: returns what the process still waits for before transfers can flow.
    """

    def __init__(
        self,
        *,
        fleet: Mapping[str, Participant],
        profile: Profile,
        sessions: Sessions,
        store: SqliteStore,
        queries: Queries,
        outbox: Outbox,
        echoes: Echoes,
        waits: Callable[[], Sequence[str]],
    ) -> None:
        self._fleet = fleet
        self._profile = profile
        self._sessions = sessions
        self._store = store
        self._queries = queries
        self._outbox = outbox
        self._echoes = echoes
        self._waits = waits

    def participants(self) -> list[dict[str, Any]]:
        """Return all participants with their standing."""
        state = self._sessions.state
        owed = self._store.owed_counts()
        rows = []
        for code, one in self._fleet.items():
            session = state.session(code)
            echo = self._echoes.last.get(code)
            rows.append(
                {
                    "code": code,
                    "name": one.name,
                    "kind": one.kind,
                    "simulated": one.simulated,
                    "url": one.base_url or None,
                    "hook_url": one.hook_url or None,
                    "signed_on": session.signed_on,
                    "blocked": session.blocked,
                    "jws": one.jws,
                    "lane": one.lane,
                    "ledger": one.ledger,
                    "sponsor": one.sponsor or None,
                    "line": self._line(one),
                    "currencies": list(one.currencies),
                    "owed": owed.get(code, 0),
                    "last_echo": None
                    if echo is None
                    else {
                        "at": from_ms(echo.at_ms).isoformat(),
                        "ok": echo.ok,
                        "ms": echo.took_ms,
                    },
                }
            )
        return rows

    def _line(self, one: Participant) -> dict[str, int] | None:
        """Return what a coop may owe its sponsor in the network, by currency."""
        if not one.is_tiered:
            return None
        usual = self._profile.network.line
        return {currency: one.line.get(currency, usual[currency]) for currency in one.currencies}

    def readiness(self) -> Sequence[str]:
        """Return what is still waited for: simulated institutions that are not signed on."""
        return self._waits()

    def transfers(self, wanted: TransferFilter, *, limit: int) -> dict[str, Any]:
        """Return a page of transfers."""
        return self._queries.transfers(wanted, limit=limit)

    async def transfer(self, instruction: str) -> dict[str, Any] | None:
        """Return one transfer with its timeline."""
        return await self._queries.transfer(instruction)

    async def wire(self, *, participant: str | None, limit: int) -> dict[str, Any]:
        """Return the last messages on the wire."""
        return await self._queries.wire(participant=participant, limit=limit)

    def stuck(self) -> dict[str, Any]:
        """Return what is not finished."""
        return self._queries.stuck()

    async def block(self, code: str, *, blocked: bool) -> bool:
        """Block or unblock a participant."""
        return await self._sessions.block(code, blocked=blocked)

    async def suspend(self, *, suspended: bool) -> bool:
        """Suspend or resume the system."""
        return await self._sessions.suspend(suspended=suspended)

    async def announce(self, text: str, codes: Sequence[str]) -> int:
        """Send a free text."""
        return await self._sessions.announce(text, codes)

    def resend(self, *, owed_id: str | None, participant: str | None) -> int:
        """Deliver owed messages now, parked ones too."""
        if participant is not None:
            parked = self._store.owed(participant=participant, parked=True)
            for row in parked:
                self._outbox.resend(row.owed)
            return len(parked) + self._outbox.wake(participant)
        found = None if owed_id is None else self._store.owed_by_id(owed_id)
        if found is None:
            return 0
        self._outbox.resend(found.owed)
        return 1
