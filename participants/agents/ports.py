"""What the institutions need of the outside: a durable book, and the clearing house."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from participants.core.book import (
    Change,
    CreditOrder,
    DebitOrder,
    LaneRequest,
    Movement,
    RailPayment,
    Role,
)
from participants.core.qr_reading import QrReading, QrRefused
from participants.core.replies import LaneReply
from scheme.messages import Message
from scheme.messages.proxy import (
    ProxyLookup,
    ProxyLookupResponse,
    ProxyRegistration,
    ProxyRegistrationResponse,
)
from scheme.wire.iso8583_spec import Fields

M = TypeVar("M", bound=Message)


class Books(Protocol):
    """The fleet's book on disk. What is handed over is written in order, each change whole."""

    @property
    def is_full(self) -> bool:
        """Whether new work should be turned away."""

    def save(self, change: Change) -> Awaitable[None]:
        """Write a change with the next group; ends once it is on disk."""

    def submit(self, change: Change) -> None:
        """Write a change with the next group; nobody waits for it."""

    def synced(self) -> Awaitable[None]:
        """End once everything handed over before is on disk."""

    def take_sequence(self) -> int:
        """Return the next number of a change."""

    def credit(self, participant: str, instruction_id: str) -> CreditOrder | None:
        """Return an order received, as it is on disk."""

    def rail_payment(self, participant: str, role: Role, payment_id: str) -> RailPayment | None:
        """Return a payment of a slow rail, or a return, as it is on disk."""

    def lane_request(self, participant: str, key: str) -> LaneRequest | None:
        """Return a request of the ISO 8583 lane, as it is on disk."""

    async def account_movements(self, participant: str, cci: str, most: int) -> list[Movement]:
        """Return what moved an account's balance, youngest first, as it is on disk."""

    def debit_by_key(self, participant: str, key: str) -> DebitOrder | None:
        """Return the order made under an Idempotency-Key, as it is on disk."""


class ClearingHouse(Protocol):
    """The clearing house as one institution reaches it.

    Every call raises PeerError when no sound answer came: NotConnected where the message cannot
    have been seen. How long is waited is the caller's business.
    """

    async def ask(self, message: Message, expected: type[M]) -> M:
        """Send a message and return its answer."""

    async def send(self, name: str, body: bytes, trace: str, expected: type[M]) -> M:
        """Send the bytes of a message kept earlier and return its answer."""

    async def look_up(self, lookup: ProxyLookup) -> ProxyLookupResponse:
        """Ask the directory."""

    async def register(self, order: ProxyRegistration) -> ProxyRegistrationResponse:
        """Have an alias registered, amended or deactivated."""

    async def read_qr(self, text: str) -> QrReading | QrRefused:
        """Have a QR's text read."""

    def encode(self, message: Message) -> bytes:
        """Return the bytes under which a message is sent."""


class Line(Protocol):
    """An institution's links of the ISO 8583 lane; they sign on by themselves.

    Attributes:
        take: answers what comes; set before the line starts.
    """

    take: Callable[[Fields], Awaitable[LaneReply]]

    @property
    def links(self) -> int:
        """How many links are signed on."""

    @property
    def is_held(self) -> bool:
        """Whether it stays away on purpose."""

    async def start(self) -> None:
        """Dial, and go on dialling."""

    async def stop(self) -> None:
        """Hang up, and stay away."""

    def cut(self) -> None:
        """Break every link; they are dialled again."""

    async def ready(self) -> None:
        """Wait until a link is signed on."""

    async def ask(self, fields: Fields) -> Fields:
        """Send a request and return its answer; raises as a clearing house's calls do."""
