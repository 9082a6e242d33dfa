"""The rails that settle later, as one object: payments, what ends them, returns, and their routes.

Everything outside is handed in, so tests join the same parts over other ends.
"""

from collections.abc import Callable, Mapping

from scheme.clock import Clock
from scheme.network import Participant
from scheme.profile import Profile
from switch.core.sessions import NetworkState
from switch.edges.payments_api import PaymentsApi
from switch.payment_ports import Explain, PaymentLedger, PaymentStore
from switch.payment_settling import PaymentSettler
from switch.payments import PaymentDesk
from switch.ports import Outbox, WindowOf
from switch.returns import ReturnDesk
from switch.routes import RouteHandler


class SlowRails:
    """Joins the desks of the deferred and the LBTR rail.

    Args:
        state: who is signed on and blocked at this moment.
        explain: chooses the rail.
        pump: has the LBTR look at its queue.
        spawn: starts a task that the process owns.

    Attributes:
        settler: to be told by clearing of settled cycles and ended instructions.
    """

    def __init__(
        self,
        *,
        ledger: PaymentLedger,
        store: PaymentStore,
        outbox: Outbox,
        fleet: Mapping[str, Participant],
        profile: Profile,
        clock: Clock,
        state: Callable[[], NetworkState],
        explain: Explain,
        window_of: WindowOf,
        pump: Callable[[], object],
        spawn: Callable[..., object],
    ) -> None:
        self._store = store
        self.settler = PaymentSettler(
            ledger=ledger,
            store=store,
            outbox=outbox,
            fleet=fleet,
            clock=clock,
            spawn=spawn,
            pump=pump,
        )
        self.payments = PaymentDesk(
            ledger=ledger,
            store=store,
            outbox=outbox,
            fleet=fleet,
            profile=profile,
            clock=clock,
            state=state,
            explain=explain,
            window_of=window_of,
            accepted=self.settler.accepted,
        )
        self.returns = ReturnDesk(
            ledger=ledger,
            store=store,
            outbox=outbox,
            fleet=fleet,
            clock=clock,
            window_of=window_of,
        )

    def routes(self) -> dict[tuple[str, str], RouteHandler]:
        """Return the operator's routes about payments and returns."""
        return PaymentsApi(self.payments, self.returns, self._store).routes()
