"""The directory messages in JSON: prxy.001 to prxy.004 (docs/wire/directory.md).

``decode_proxy`` and ``encode_proxy`` go between bytes and the flat contents of
``scheme/messages/proxy.py``. What a phone or an account must look like is the directory's rule,
not the codec's: it has an answer of its own.
"""

from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Final, assert_never

import msgspec

from scheme.messages import proxy
from scheme.wire import proxy_tree as tree
from scheme.wire.proxy_reader import decode_proxy

__all__ = ["TimestampStyle", "decode_proxy", "encode_proxy", "format_timestamp", "read_timestamp"]

_LIMA: Final = timezone(timedelta(hours=-5))
_NAMES: Final = {
    proxy.ProxyRegistration: "prxy.001.001.01",
    proxy.ProxyRegistrationResponse: "prxy.002.001.01",
    proxy.ProxyLookup: "prxy.003.001.01",
    proxy.ProxyLookupResponse: "prxy.004.001.01",
}
_ENCODER: Final = msgspec.json.Encoder()


class TimestampStyle(StrEnum):
    """How an instant is printed in a directory message.

    Attributes:
        LOCAL_Z: Lima's wall clock with a Z, as connectors do.
        UTC: true UTC with a Z.
        OFFSET: Lima's wall clock with its offset.
    """

    LOCAL_Z = "local-z"
    UTC = "utc"
    OFFSET = "offset"


def format_timestamp(instant: datetime, style: TimestampStyle = TimestampStyle.LOCAL_Z) -> str:
    """Return an aware instant as the wire prints it, to the millisecond."""
    assert instant.tzinfo is not None
    zone = UTC if style is TimestampStyle.UTC else _LIMA
    text = instant.astimezone(zone).replace(tzinfo=None).isoformat(timespec="milliseconds")
    return text + ("-05:00" if style is TimestampStyle.OFFSET else "Z")


def read_timestamp(text: str, *, now: datetime) -> datetime | None:
    """Return the instant a timestamp means, or None if it is none.

    A ``Z`` may stand for UTC or, wrongly and more often, for Lima: of the two readings the one
    nearer to ``now`` is taken. A timestamp is never a ground for refusal.
    """
    try:
        instant = datetime.fromisoformat(text)
        if instant.tzinfo is not None and not text.endswith("Z"):
            return instant.astimezone(UTC)
        readings = (instant.replace(tzinfo=_LIMA), instant.replace(tzinfo=UTC))
        return min(readings, key=lambda reading: abs(reading - now)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def encode_proxy(message: proxy.ProxyMessage) -> bytes:
    """Return a directory message as the bytes of its JSON document."""
    match message:
        case proxy.ProxyRegistration():
            document = _registration(message)
        case proxy.ProxyRegistrationResponse():
            document = _registration_response(message)
        case proxy.ProxyLookup():
            document = _lookup(message)
        case proxy.ProxyLookupResponse():
            document = _lookup_response(message)
        case _:
            assert_never(message)
    bus = tree.BusinessMessage(AppHdr=_header(message), Document=document)
    return _ENCODER.encode(tree.Envelope(BusMsg=bus))


def _header(message: proxy.ProxyMessage) -> tree.Header:
    sender = message.sender
    if isinstance(message, proxy.ProxyRegistration | proxy.ProxyLookup):
        sender = message.header_sender or sender
    created = message.header_created or message.created
    assert created is not None, "every message says when it was made"
    return tree.Header(
        Fr=tree.party(sender),
        To=tree.party(message.recipient),
        BizMsgIdr=message.business_message_id,
        MsgDefIdr=_NAMES[type(message)],
        CreDt=created,
    )


def _registration(message: proxy.ProxyRegistration) -> tree.Document:
    account = None
    if message.holder_type is not None:
        account = tree.Account(AcctHldrTp=message.holder_type)
    entry = tree.RegistrationEntry(
        RegnId=message.registration_id, DsplNm=message.display_name, Acct=account
    )
    order = tree.RegistrationOrder(
        RegnTp=message.action,
        RegnSubTp=message.subtype,
        Prxy=_alias(message.alias),
        PrxyRegn=entry,
    )
    group = tree.GroupHeader(
        MsgId=message.msg_id,
        CreDtTm=message.created,
        MsgSndr=tree.group_party(message.sender, message.cci),
    )
    return tree.Document(PrxyRegn=tree.Registration(GrpHdr=group, Regn=order))


def _registration_response(message: proxy.ProxyRegistrationResponse) -> tree.Document:
    result = tree.RegistrationResult(
        PrxRspnSts=message.status,
        StsRsnInf=_reason(message.reason),
        OrgnlRegnTp=message.original_action,
        OrgnlRegnSubTp=message.original_subtype,
        OrgnlPrxy=None if message.alias is None else _alias(message.alias),
    )
    entry = None
    if message.registration_id is not None:
        entry = tree.RegisteredEntry(RegnId=message.registration_id)
    response = tree.RegistrationResponse(
        GrpHdr=_answer_group(message),
        OrgnlGrpInf=_original_group(message, _NAMES[proxy.ProxyRegistration]),
        RegnRspn=result,
        PrxyRegn=entry,
    )
    return tree.Document(PrxyRegnRspn=response)


def _lookup(message: proxy.ProxyLookup) -> tree.Document:
    retrieval = tree.ProxyRetrieval(Tp=message.retrieval_type, Val=message.retrieval_value)
    only = tree.ProxyOnly(LkUpTp="PXSR", Id=message.lookup_id, PrxyRtrvl=retrieval)
    listed = tuple(tree.ListedProxy(Type=a.type, Value=a.value) for a in message.aliases)
    group = tree.GroupHeader(
        MsgId=message.msg_id, CreDtTm=message.created, MsgSndr=tree.group_party(message.sender)
    )
    lookup = tree.Lookup(
        GrpHdr=group,
        LookUp=tree.LookupBy(PrxyOnly=only),
        SplmtryData=tree.LookupSupplement(Envlp=tree.LookupEnvelope(Proxy=listed)),
    )
    return tree.Document(PrxyLookUp=lookup)


def _lookup_response(message: proxy.ProxyLookupResponse) -> tree.Document:
    if message.reject is not None:
        return tree.Document(MessageReject=_reject(message.reject))
    assert message.status is not None, "an answer that is no reject has a status"
    retrieval = None
    if message.retrieval_type is not None and message.retrieval_value is not None:
        retrieval = tree.ProxyRetrieval(Tp=message.retrieval_type, Val=message.retrieval_value)
    result = tree.LookupResult(
        OrgnlId=message.lookup_id,
        OrgnlPrxyRtrvl=retrieval,
        RegnRspn=tree.RegistrationResult(
            PrxRspnSts=message.status, StsRsnInf=_reason(message.reason)
        ),
    )
    response = tree.LookupResponse(
        GrpHdr=_answer_group(message),
        OrgnlGrpInf=_original_group(message, _NAMES[proxy.ProxyLookup]),
        LkUpRspn=result,
    )
    supplement = None
    if message.directories is not None:
        found = tuple(_directory(answer) for answer in message.directories)
        supplement = tree.AnswerSupplement(Envlp=tree.AnswerEnvelope(Directories=found))
    return tree.Document(PrxyLookUpRspn=response, SplmtryData=supplement)


def _answer_group(
    message: proxy.ProxyRegistrationResponse | proxy.ProxyLookupResponse,
) -> tree.AnswerGroupHeader:
    return tree.AnswerGroupHeader(
        MsgId=message.msg_id,
        CreDtTm=message.created,
        MsgRcpt=tree.group_party(message.recipient),
    )


def _original_group(
    message: proxy.ProxyRegistrationResponse | proxy.ProxyLookupResponse, name: str
) -> tree.OriginalGroup | None:
    if message.original_msg_id is None:
        return None
    return tree.OriginalGroup(
        OrgnlMsgId=message.original_msg_id,
        OrgnlMsgNmId=name,
        OrgnlCreDtTm=message.original_created,
    )


def _directory(answer: proxy.DirectoryAnswer) -> tree.Directory:
    entries = None
    if answer.entries is not None:
        entries = tuple(
            tree.FoundProxy(
                Type=entry.alias.type,
                Value=entry.alias.value,
                Present=entry.present,
                BankCode=entry.bank_codes,
            )
            for entry in answer.entries
        )
    return tree.Directory(Directory=answer.directory, Proxy=entries)


def _reject(reject: proxy.MessageReject) -> tree.Reject:
    reason = tree.RejectReason(
        RjctgPtyRsn=reject.party_reason,
        RjctnDtTm=reject.rejected,
        ErrLctn=reject.location,
        RsnDesc=reject.description,
        AddtlData=reject.additional,
    )
    return tree.Reject(RltdRef=tree.RelatedReference(Ref=reject.reference), Rsn=reason)


def _alias(alias: proxy.Alias) -> tree.Proxy:
    return tree.Proxy(Tp=alias.type, Val=alias.value)


def _reason(reason: str | None) -> tree.StatusReason | None:
    return None if reason is None else tree.StatusReason(Prtry=reason)
