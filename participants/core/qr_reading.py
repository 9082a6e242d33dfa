"""What the QR module says about a QR."""

from msgspec import Struct


class QrReading(Struct, frozen=True, kw_only=True):
    """A QR that was read.

    Attributes:
        issuer: three digits; ``901`` and ``902`` are the wallets'.
        account: a CCI, or a wallet's token.
        amount: fixed by the QR, in minor units.
        currency: digits.
    """

    issuer: str
    account: str
    qr_id: str | None
    amount: int | None
    currency: str


class QrRefused(Struct, frozen=True):
    """The QR module said no; its own code and text."""

    code: str
    text: str
