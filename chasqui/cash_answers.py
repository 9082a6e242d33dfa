"""What the operator API and the test hook of the machines answer about cash.

Amounts are in minor units. Unknown members are ignored: a newer country may say more.
"""

from msgspec import Struct


class CodeAnswer(Struct, frozen=True, kw_only=True):
    """POST /cash/codes: the one time that a code is told."""

    code: str
    phone: str
    participant: str
    amount: int
    currency: str
    expires_at: str


class CodeRow(Struct, frozen=True, kw_only=True):
    """A row of GET /cash/codes: all but the code."""

    phone: str
    participant: str
    amount: int
    currency: str
    attempts_left: int
    expires_at: str
    used_by: str | None = None


class CodesPage(Struct, frozen=True):
    """GET /cash/codes."""

    codes: tuple[CodeRow, ...]
    next: str | None = None


class WithdrawalRow(Struct, frozen=True, kw_only=True):
    """A row of GET /cash.

    Attributes:
        dispensed: what the machine gave out, as far as it has not said otherwise.
        card, phone, account: masked; of a withdrawal by code phone and account, else one of them.
    """

    transfer_id: str
    state: str
    issuer: str
    acquirer: str
    amount: int
    dispensed: int
    currency: str
    created_at: str
    machine: str = ""
    card: str | None = None
    phone: str | None = None
    account: str | None = None
    response_code: str | None = None
    reason_code: str | None = None
    rule: str = ""


class CashPage(Struct, frozen=True):
    """GET /cash."""

    cash: tuple[WithdrawalRow, ...]
    next: str | None = None


class MachineAnswer(Struct, frozen=True, kw_only=True):
    """POST /control/cash: how it ended at the machine.

    Attributes:
        state: ``approved``, ``declined``, ``reversed`` or ``unknown``.
    """

    state: str
    response_code: str = ""
    reason: str = ""
    rule: str = ""
    transfer_id: str = ""
    dispensed: int = 0
    account_balance: int | None = None
