"""What the clearing house tells institutions of payments on the deferred and LBTR rails.

Names are those of ISO 20022's pacs.008.001.08, pacs.002.001.10 and pacs.004.001.09, as JSON and
cut down to what is needed: a profile of our own, for none is public (docs/wire/payments.md).
Amounts are decimals in text, as in the standard, never binary fractions.
"""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

ACCEPTED: Final = "ACSP"
"""Accepted, settlement in process: the debtor's agent takes the money from its customer."""
SETTLED: Final = "ACSC"
"""Settlement completed."""
REJECTED: Final = "RJCT"
"""Rejected: what was taken is given back."""
SETTLEMENT_FAILED: Final = "ED05"
"""Reason of a payment that its cycle or the LBTR's queue did not settle."""

Status = Literal["ACSP", "ACSC", "RJCT"]
Rail = Literal["deferred", "lbtr"]
Id = Annotated[str, Meta(min_length=1, max_length=35)]
Reason = Annotated[str, Meta(pattern="^[A-Z0-9]{4}$")]
Decimal = Annotated[str, Meta(pattern=r"^\d{1,13}\.\d{2}$")]
Date = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]
Instant = Annotated[str, Meta(min_length=20, max_length=35)]


class _Element(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """An element of a message; what is optional and absent is left out."""


class Amount(_Element, frozen=True, kw_only=True, gc=False):
    """An amount and its currency."""

    Ccy: Annotated[str, Meta(pattern="^[A-Z]{3}$")]
    Amt: Decimal


class Member(_Element, frozen=True, kw_only=True, gc=False):
    """Code of a member of the clearing house."""

    MmbId: Annotated[str, Meta(pattern=r"^\d{4}$")]


class InstitutionId(_Element, frozen=True, kw_only=True, gc=False):
    """How an institution is named."""

    ClrSysMmbId: Member


class Agent(_Element, frozen=True, kw_only=True, gc=False):
    """The institution that keeps an account."""

    FinInstnId: InstitutionId

    @property
    def code(self) -> str:
        """The participant's code."""
        return self.FinInstnId.ClrSysMmbId.MmbId


class Other(_Element, frozen=True, kw_only=True, gc=False):
    """An account's number: a CCI, or a card's."""

    Id: Annotated[str, Meta(pattern=r"^\d{1,20}$")]


class AccountId(_Element, frozen=True, kw_only=True, gc=False):
    """How an account is named."""

    Othr: Other


class Account(_Element, frozen=True, kw_only=True, gc=False):
    """A customer's account."""

    Id: AccountId

    @property
    def number(self) -> str:
        """The CCI."""
        return self.Id.Othr.Id


class Instrument(_Element, frozen=True, kw_only=True, gc=False):
    """The rail, as a proprietary code."""

    Prtry: Annotated[str, Meta(min_length=1, max_length=35)]


class PaymentType(_Element, frozen=True, kw_only=True, gc=False):
    """What kind of payment it is."""

    LclInstrm: Instrument


class Remittance(_Element, frozen=True, kw_only=True, gc=False):
    """What the payer wrote."""

    Ustrd: Annotated[str, Meta(min_length=1, max_length=140)]


class ReasonCode(_Element, frozen=True, kw_only=True, gc=False):
    """A reason of ISO 20022's external code sets."""

    Cd: Reason


class StatusReason(_Element, frozen=True, kw_only=True, gc=False):
    """Why, as a code and in words."""

    Rsn: ReasonCode
    AddtlInf: Annotated[str, Meta(max_length=105)] = ""


class OriginalAmount(_Element, frozen=True, kw_only=True, gc=False):
    """What the payer ordered."""

    InstdAmt: Amount


class OriginalReference(_Element, frozen=True, kw_only=True, gc=False):
    """The payment that a status or a return speaks of, whole enough to be booked from it alone.

    Attributes:
        IntrBkSttlmAmt: amount and interbank fee together; only in a status.
    """

    IntrBkSttlmAmt: Amount | None = None
    Amt: OriginalAmount | None = None
    IntrBkSttlmDt: Date | None = None
    PmtTpInf: PaymentType | None = None
    DbtrAgt: Agent
    DbtrAcct: Account
    CdtrAgt: Agent
    CdtrAcct: Account


class GroupHeader(_Element, frozen=True, kw_only=True, gc=False):
    """Names one message: unique for ever, and the same on every repeat."""

    MsgId: Id
    CreDtTm: Instant


class SettlementMethod(_Element, frozen=True, kw_only=True, gc=False, omit_defaults=False):
    """How the banks settle: ``CLRG``, through the clearing house."""

    SttlmMtd: Literal["CLRG"] = "CLRG"


class TransferHeader(GroupHeader, frozen=True, kw_only=True, gc=False, omit_defaults=False):
    """The header of a transfer."""

    NbOfTxs: Literal["1"] = "1"
    SttlmInf: SettlementMethod = SettlementMethod()


class PaymentId(_Element, frozen=True, kw_only=True, gc=False):
    """Ids of a payment; the clearing house gives all of them the same value."""

    InstrId: Id
    EndToEndId: Id
    TxId: Id


class CreditTransfer(_Element, frozen=True, kw_only=True, gc=False):
    """One payment.

    Attributes:
        IntrBkSttlmAmt: amount and interbank fee together.
        InstdAmt: what the creditor's account is credited.
    """

    PmtId: PaymentId
    PmtTpInf: PaymentType
    IntrBkSttlmAmt: Amount
    IntrBkSttlmDt: Date
    InstdAmt: Amount
    DbtrAgt: Agent
    DbtrAcct: Account
    CdtrAgt: Agent
    CdtrAcct: Account
    RmtInf: Remittance | None = None


class FIToFICstmrCdtTrf(_Element, frozen=True, kw_only=True, gc=False):
    """pacs.008: the creditor's agent has been paid and credits its customer."""

    GrpHdr: TransferHeader
    CdtTrfTxInf: Annotated[tuple[CreditTransfer, ...], Meta(min_length=1, max_length=1)]


class TransactionStatus(_Element, frozen=True, kw_only=True, gc=False):
    """Where one payment stands."""

    OrgnlEndToEndId: Id
    OrgnlTxId: Id
    TxSts: Status
    StsRsnInf: Annotated[tuple[StatusReason, ...], Meta(max_length=1)] = ()
    OrgnlTxRef: OriginalReference


class FIToFIPmtStsRpt(_Element, frozen=True, kw_only=True, gc=False):
    """pacs.002: the debtor's agent learns where a payment stands."""

    GrpHdr: GroupHeader
    TxInfAndSts: Annotated[tuple[TransactionStatus, ...], Meta(min_length=1, max_length=1)]


class ReturnTransaction(_Element, frozen=True, kw_only=True, gc=False):
    """One return: part or all of a settled transfer goes back.

    Attributes:
        OrgnlTxRef: the transfer it takes back, its parties as they stood in it.
    """

    RtrId: Id
    OrgnlTxId: Id
    RtrdIntrBkSttlmAmt: Amount
    IntrBkSttlmDt: Date
    RtrRsnInf: Annotated[tuple[StatusReason, ...], Meta(min_length=1, max_length=1)]
    OrgnlTxRef: OriginalReference


class PmtRtr(_Element, frozen=True, kw_only=True, gc=False):
    """pacs.004: both agents learn of a return."""

    GrpHdr: GroupHeader
    TxInf: Annotated[tuple[ReturnTransaction, ...], Meta(min_length=1, max_length=1)]


PaymentMessage = FIToFICstmrCdtTrf | FIToFIPmtStsRpt | PmtRtr


def agent(code: str) -> Agent:
    """Return an institution as the messages name it."""
    return Agent(FinInstnId=InstitutionId(ClrSysMmbId=Member(MmbId=code)))


def account(number: str) -> Account:
    """Return an account as the messages name it."""
    return Account(Id=AccountId(Othr=Other(Id=number)))
