"""What the operator API answers about field agents.

Amounts are in minor units, moments in milliseconds since the epoch unless said otherwise. Unknown
members are ignored: a newer country may say more.
"""

from msgspec import Struct


class BrokerRow(Struct, frozen=True):
    """How the clearing house stands to the broker."""

    connected: bool = False
    waiting_in: int = 0
    waiting_out: int = 0
    dropped_in: int = 0
    dropped_out: int = 0


class DeviceRow(Struct, frozen=True, kw_only=True):
    """A terminal, of GET /agents."""

    device: str
    agent: str = ""
    institution: str = ""
    is_online: bool = False
    session: int = -1
    expected: int = 1
    settled: int = 1
    under_way: int = 0
    held: int = 0
    gaps: tuple[tuple[int, int], ...] = ()
    agreed: int = 0
    heard_ms: int = 0
    skew_s: int = 0
    revoked_ms: int = 0
    float_minor: dict[str, int] = {}


class DevicesPage(Struct, frozen=True):
    """GET /agents."""

    devices: tuple[DeviceRow, ...]
    broker: BrokerRow = BrokerRow()
    next: str | None = None


class OperationRow(Struct, frozen=True, kw_only=True):
    """An operation, of GET /agents/{device}/operations; without a code it has no verdict yet.

    Attributes:
        at: seconds, by the terminal's clock.
    """

    seq: int
    op_id: str = ""
    kind: str = ""
    minor: int = 0
    currency: str = "PEN"
    account: str = ""
    entity: str = ""
    at: int = 0
    is_offline: bool = False
    received_ms: int = 0
    voucher: str = ""
    code: str = ""
    reason: str = ""
    reference: str = ""
    note: str = ""


class OperationsPage(Struct, frozen=True):
    """GET /agents/{device}/operations, in order."""

    operations: tuple[OperationRow, ...]
    next: int | None = None


class TillAnswerRow(Struct, frozen=True, kw_only=True):
    """An agent's cash in one currency."""

    agent: str
    currency: str
    opening: int = 0
    taken: int = 0
    paid: int = 0
    reserved: int = 0
    float_minor: int = 0


class TillsAnswer(Struct, frozen=True):
    """GET /agents/tills."""

    tills: tuple[TillAnswerRow, ...]


class AgentFinding(Struct, frozen=True, kw_only=True):
    """Something about a terminal that a person should see."""

    at_ms: int = 0
    device: str = ""
    seq: int = 0
    code: str = ""
    rule: str = ""


class AgentFindings(Struct, frozen=True):
    """GET /agents/findings, the oldest first."""

    findings: tuple[AgentFinding, ...]


class RevokedAnswer(Struct, frozen=True):
    """POST /agents/{device}/revoke and /restore."""

    device: str
    revoked: bool
