"""How large a storm is."""

from msgspec import Struct

EMBEDDED, MOSQUITTO = "embedded", "mosquitto"
BROKERS = (EMBEDDED, MOSQUITTO)
INSTITUTION = "0992"


class Plan(Struct, frozen=True, kw_only=True):
    """What is asked for.

    Attributes:
        broker: which of the two.
        agents: terminals that come back at once; operations: that each has in its queue.
        live: terminals at which somebody stands meanwhile; pause_s: from one customer to the next.
        idle: terminals that are connected and say nothing.
        before_s: seconds of live operations before the storm, to compare with.
        kill: ``kill -9`` of the switch and of the broker in mid-storm.
        seed: of accounts, amounts and waits.
    """

    broker: str = EMBEDDED
    agents: int = 1000
    operations: int = 20
    live: int = 20
    pause_s: float = 0.2
    idle: int = 0
    before_s: float = 5.0
    kill: bool = False
    seed: int = 992

    @property
    def terminals(self) -> int:
        """How many the fleet must have."""
        return self.agents + self.live + self.idle
