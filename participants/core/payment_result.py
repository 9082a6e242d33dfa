"""What the control API tells about a payment and a lookup (docs/wire/test-hook.md)."""

from msgspec import Struct, field

from participants.core.candidates import Candidate


class Leg(Struct, frozen=True, kw_only=True):
    """One message that a payment sent or got.

    Attributes:
        ms: for an answer, how long it took from its question; 0 for a question.
    """

    message: str
    source: str = field(name="from")
    target: str = field(name="to")
    ms: float = 0.0
    response_code: str | None = None
    reason_code: str | None = None


class CreditorView(Struct, frozen=True):
    """The payee as the payer is shown it: masked."""

    name: str
    cci: str
    participant: str


class PaymentResult(Struct, frozen=True, kw_only=True):
    """How a payment ended, or that its end is not known yet.

    Attributes:
        state: FINAL, REJECTED, PENDING or NOT_SENT.
        not_sent_because: with NOT_SENT, ``refused_here`` or ``no_answer``.
        elapsed_ms: from the request to the outcome.
    """

    state: str
    instruction_id: str | None = None
    verification_id: str | None = None
    response_code: str | None = None
    reason_code: str | None = None
    explanation: str = ""
    not_sent_because: str | None = None
    field: str | None = None
    elapsed_ms: float = 0.0
    legs: tuple[Leg, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    chosen: str | None = None
    creditor: CreditorView | None = None
    amount: int = 0
    fee: int = 0
    currency: str = "PEN"


class LookupResult(Struct, frozen=True, kw_only=True):
    """Who can be paid at a phone.

    Attributes:
        state: found, not_found or refused.
    """

    state: str
    candidates: tuple[Candidate, ...] = ()
    reason_code: str | None = None
    explanation: str = ""
    ms: float = 0.0
