"""What is owed to institutions about a payment or a return (docs/wire/payments.md)."""

from datetime import datetime

from msgspec import Struct

from scheme.clock import lima, to_ms
from scheme.ledger import Owed
from scheme.messages import payment as iso
from scheme.network import Participant
from scheme.wire import pacs_json
from switch.core.payment import PaymentRecord, PaymentState

_REASON_CHARACTERS_MAX = 105


class Returned(Struct, frozen=True, kw_only=True, gc=False):
    """Part or all of a settled transfer that goes back.

    Attributes:
        transfer_id: of the transfer; debtor and creditor are its own.
        amount: minor units.
        reason: four characters of ISO 20022's set of return reasons.
        settlement_date: ``yyyyMMdd``.
        at_ms: when it was posted.
    """

    return_id: str
    transfer_id: str
    debtor_agent: str
    debtor_account: str
    creditor_agent: str
    creditor_account: str
    amount: int
    currency: str
    reason: str
    settlement_date: str
    at_ms: int


def status_report(
    record: PaymentRecord, state: PaymentState, debtor: Participant, now: datetime
) -> tuple[Owed, ...]:
    """Return the pacs.002 owed to the debtor's agent, if it listens anywhere."""
    reasons: tuple[iso.StatusReason, ...] = ()
    if state is PaymentState.RJCT:
        code = iso.ReasonCode(Cd=iso.SETTLEMENT_FAILED)
        reasons = (iso.StatusReason(Rsn=code, AddtlInf=record.why[:_REASON_CHARACTERS_MAX]),)
    owed_id = f"{record.payment_id}:{pacs_json.STATUS}:{state}"
    status = iso.TransactionStatus(
        OrgnlEndToEndId=record.payment_id,
        OrgnlTxId=record.payment_id,
        TxSts=state.value,
        StsRsnInf=reasons,
        OrgnlTxRef=iso.OriginalReference(
            IntrBkSttlmAmt=_amount(record.total, record.currency),
            Amt=iso.OriginalAmount(InstdAmt=_amount(record.amount, record.currency)),
            IntrBkSttlmDt=_date(record.settlement_date),
            PmtTpInf=_kind(record.rail),
            DbtrAgt=iso.agent(record.debtor_agent),
            DbtrAcct=iso.account(record.debtor_cci),
            CdtrAgt=iso.agent(record.creditor_agent),
            CdtrAcct=iso.account(record.creditor_cci),
        ),
    )
    message = iso.FIToFIPmtStsRpt(
        GrpHdr=iso.GroupHeader(
            MsgId=_message_id(record.payment_id, _STATUS_MARK[state]), CreDtTm=_at(now)
        ),
        TxInfAndSts=(status,),
    )
    return _owed(owed_id, debtor, pacs_json.STATUS, message, record.payment_id, now)


def credit_transfer(
    record: PaymentRecord, creditor: Participant, now: datetime
) -> tuple[Owed, ...]:
    """Return the pacs.008 owed to the creditor's agent, if it listens anywhere."""
    one = record.payment_id
    remittance = iso.Remittance(Ustrd=record.description) if record.description else None
    transfer = iso.CreditTransfer(
        PmtId=iso.PaymentId(InstrId=one, EndToEndId=one, TxId=one),
        PmtTpInf=_kind(record.rail),
        IntrBkSttlmAmt=_amount(record.total, record.currency),
        IntrBkSttlmDt=_date(record.settlement_date),
        InstdAmt=_amount(record.amount, record.currency),
        DbtrAgt=iso.agent(record.debtor_agent),
        DbtrAcct=iso.account(record.debtor_cci),
        CdtrAgt=iso.agent(record.creditor_agent),
        CdtrAcct=iso.account(record.creditor_cci),
        RmtInf=remittance,
    )
    message = iso.FIToFICstmrCdtTrf(
        GrpHdr=iso.TransferHeader(MsgId=_message_id(one, "T"), CreDtTm=_at(now)),
        CdtTrfTxInf=(transfer,),
    )
    return _owed(f"{one}:{pacs_json.TRANSFER}", creditor, pacs_json.TRANSFER, message, one, now)


def payment_return(returned: Returned, agent: Participant, now: datetime) -> tuple[Owed, ...]:
    """Return the pacs.004 owed to one of the two agents, if it listens anywhere."""
    transaction = iso.ReturnTransaction(
        RtrId=returned.return_id,
        OrgnlTxId=returned.transfer_id,
        RtrdIntrBkSttlmAmt=_amount(returned.amount, returned.currency),
        IntrBkSttlmDt=_date(returned.settlement_date),
        RtrRsnInf=(iso.StatusReason(Rsn=iso.ReasonCode(Cd=returned.reason)),),
        OrgnlTxRef=iso.OriginalReference(
            DbtrAgt=iso.agent(returned.debtor_agent),
            DbtrAcct=iso.account(returned.debtor_account),
            CdtrAgt=iso.agent(returned.creditor_agent),
            CdtrAcct=iso.account(returned.creditor_account),
        ),
    )
    message = iso.PmtRtr(
        GrpHdr=iso.GroupHeader(MsgId=_message_id(returned.return_id, "R"), CreDtTm=_at(now)),
        TxInf=(transaction,),
    )
    owed_id = f"{returned.return_id}:{pacs_json.RETURN}:{agent.code}"
    return _owed(owed_id, agent, pacs_json.RETURN, message, returned.transfer_id, now)


_STATUS_MARK = {PaymentState.ACSP: "P", PaymentState.ACSC: "C", PaymentState.RJCT: "J"}


def _message_id(subject: str, mark: str) -> str:
    return f"{subject}-{mark}"


def _amount(minor: int, currency: str) -> iso.Amount:
    return iso.Amount(Ccy=currency, Amt=f"{minor // 100}.{minor % 100:02}")


def _kind(rail: str) -> iso.PaymentType:
    return iso.PaymentType(LclInstrm=iso.Instrument(Prtry=rail))


def _date(date: str) -> str:
    return f"{date[:4]}-{date[4:6]}-{date[6:]}"


def _at(now: datetime) -> str:
    return lima(now).isoformat(timespec="milliseconds")


def _owed(
    owed_id: str,
    agent: Participant,
    name: str,
    message: iso.PaymentMessage,
    subject: str,
    now: datetime,
) -> tuple[Owed, ...]:
    if not agent.listens:
        return ()
    return (
        Owed(
            owed_id=owed_id,
            participant=agent.code,
            message=name,
            body=pacs_json.encode(message),
            subject=subject,
            due_ms=to_ms(now),
        ),
    )
