"""Reads the directory messages from their tree (docs/wire/directory.md).

Strict first; on failure once more with trailing blanks cut and empty texts taken as absent.
"""

import re
from typing import Any, Final, cast, get_args

import msgspec

from scheme.errors import MalformedMessage
from scheme.messages import proxy
from scheme.wire import proxy_tree as tree

_ROOT: Final = "root"
_DECODER: Final = msgspec.json.Decoder(tree.Envelope)
_PATH: Final = re.compile(r" - at `\$\.?([^`]*)`")
_MISSING: Final = re.compile(r"missing required field `([^`]+)`")
_NAMES: Final = {
    "PrxyRegn": "prxy.001",
    "PrxyRegnRspn": "prxy.002",
    "PrxyLookUp": "prxy.003",
    "PrxyLookUpRspn": "prxy.004",
    "MessageReject": "prxy.004",
}
# What an answer to a broken question has to quote, where it can be read: path from the document's
# own element, or from the body for the sender.
_SENDER: Final = ("BusMsg", "AppHdr", "Fr", "FIId", "FinInstnId", "Othr", "Id")
_QUOTED: Final = {
    "msg_id": ("GrpHdr", "MsgId"),
    "created": ("GrpHdr", "CreDtTm"),
    "action": ("Regn", "RegnTp"),
    "registration_id": ("Regn", "PrxyRegn", "RegnId"),
    "lookup_id": ("LookUp", "PrxyOnly", "Id"),
}
_QUOTED_MAX: Final = 35
_LENGTH: Final = re.compile(r"length (<=|>=) (\d+)")


def decode_proxy(body: bytes) -> proxy.ProxyMessage:
    """Return the directory message a body carries, told by its document element.

    Raises:
        MalformedMessage: not JSON, not such a message, or an element breaks its rule. Its
            ``field`` is the path, its ``name`` as in ``prxy.003``, and its ``raw`` holds what can
            be quoted: ``sender msg_id created action registration_id lookup_id``.
    """
    message = _strict(body).BusMsg
    header, document = message.AppHdr, message.Document
    match document:
        case tree.Document(PrxyRegn=tree.Registration() as registration):
            return _read_registration(header, registration)
        case tree.Document(PrxyRegnRspn=tree.RegistrationResponse() as response):
            return _read_registration_response(header, response)
        case tree.Document(PrxyLookUp=tree.Lookup() as lookup):
            return _read_lookup(header, lookup)
        case tree.Document(PrxyLookUpRspn=tree.LookupResponse() as answer):
            return _read_lookup_response(header, answer, document)
        case tree.Document(MessageReject=tree.Reject() as reject):
            return _read_reject(header, reject)
        case _:
            raise MalformedMessage("one known message", field="BusMsg.Document")


def _strict(body: bytes) -> tree.Envelope:
    try:
        return _DECODER.decode(body)
    except msgspec.ValidationError:
        pass  # Once more, with blanks cut and empty texts taken as absent.
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessage("JSON", field=_ROOT) from error
    try:
        document = _cleaned(msgspec.json.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessage("JSON", field=_ROOT) from error
    try:
        return msgspec.convert(document, tree.Envelope)
    except msgspec.ValidationError as error:
        raise _malformed(str(error), document) from error


def _cleaned(value: Any) -> Any:
    if isinstance(value, dict):
        cleaned = {key: _cleaned(inner) for key, inner in value.items()}
        return {key: inner for key, inner in cleaned.items() if inner != ""}
    if isinstance(value, list):
        return [_cleaned(inner) for inner in value]
    return value.rstrip() if isinstance(value, str) else value


def _malformed(text: str, document: Any) -> MalformedMessage:
    """Turn the decoder's text into a path and a rule: its own words might quote the peer."""
    at = _PATH.search(text)
    path = at[1] if at else ""
    rule = "another JSON type"
    if missing := _MISSING.search(text):
        path, rule = f"{path}.{missing[1]}".lstrip("."), "mandatory"
    elif length := _LENGTH.search(text):
        rule = f"at {'most' if length[1] == '<=' else 'least'} {length[2]} characters"
    element = next((key for key in _NAMES if _dig(document, ("BusMsg", "Document", key))), None)
    if element is None:
        return MalformedMessage(rule, field=path or _ROOT)
    raw = _quotable(document, element)
    return MalformedMessage(rule, field=path or _ROOT, name=_NAMES[element], raw=raw)


def _quotable(document: Any, element: str) -> dict[str, str]:
    """Return what an answer may quote: sender, ids, date of the question, where readable."""
    content = _dig(document, ("BusMsg", "Document", element))
    found = {"sender": _dig(document, _SENDER)}
    found |= {name: _dig(content, path) for name, path in _QUOTED.items()}
    return {
        name: value
        for name, value in found.items()
        if isinstance(value, str) and len(value) <= _QUOTED_MAX
    }


def _dig(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def _read_registration(
    header: tree.Header, registration: tree.Registration
) -> proxy.ProxyRegistration:
    group, order = registration.GrpHdr, registration.Regn
    institution = group.MsgSndr.Agt.FinInstnId
    if order.RegnTp not in get_args(proxy.Action):
        field = "BusMsg.Document.PrxyRegn.Regn.RegnTp"
        raise MalformedMessage("NEWR, AMND or DEAC", field=field)
    account = order.PrxyRegn.Acct
    return proxy.ProxyRegistration(
        sender=institution.Othr.Id,
        header_sender=_differing(_code(header.Fr), institution.Othr.Id),
        recipient=_code(header.To),
        business_message_id=header.BizMsgIdr,
        header_created=_differing(header.CreDt, group.CreDtTm),
        msg_id=group.MsgId,
        created=group.CreDtTm,
        action=cast(proxy.Action, order.RegnTp),
        subtype=order.RegnSubTp,
        alias=proxy.Alias(type=order.Prxy.Tp, value=order.Prxy.Val),
        cci=institution.Nm,
        registration_id=order.PrxyRegn.RegnId,
        display_name=order.PrxyRegn.DsplNm,
        holder_type=None if account is None else account.AcctHldrTp,
    )


def _read_registration_response(
    header: tree.Header, response: tree.RegistrationResponse
) -> proxy.ProxyRegistrationResponse:
    result = response.RegnRspn
    group = response.GrpHdr or tree.AnswerGroupHeader()
    original = response.OrgnlGrpInf or tree.OriginalGroup()
    alias = result.OrgnlPrxy or result.Prxy
    created = group.CreDtTm or header.CreDt
    return proxy.ProxyRegistrationResponse(
        sender=_code(header.Fr),
        recipient=_code(header.To),
        business_message_id=header.BizMsgIdr,
        header_created=_differing(header.CreDt, created),
        msg_id=group.MsgId or header.BizMsgIdr,
        created=created,
        original_msg_id=original.OrgnlMsgId,
        original_created=original.OrgnlCreDtTm,
        status=_outcome(result, "BusMsg.Document.PrxyRegnRspn.RegnRspn"),
        reason=None if result.StsRsnInf is None else result.StsRsnInf.Prtry,
        original_action=result.OrgnlRegnTp,
        original_subtype=result.OrgnlRegnSubTp,
        alias=None if alias is None else proxy.Alias(type=alias.Tp, value=alias.Val),
        registration_id=None if response.PrxyRegn is None else response.PrxyRegn.RegnId,
    )


def _read_lookup(header: tree.Header, lookup: tree.Lookup) -> proxy.ProxyLookup:
    group, only = lookup.GrpHdr, lookup.LookUp.PrxyOnly
    sender = group.MsgSndr.Agt.FinInstnId.Othr.Id
    listed = lookup.SplmtryData.Envlp.Proxy
    return proxy.ProxyLookup(
        sender=sender,
        header_sender=_differing(_code(header.Fr), sender),
        recipient=_code(header.To),
        business_message_id=header.BizMsgIdr,
        header_created=_differing(header.CreDt, group.CreDtTm),
        msg_id=group.MsgId,
        created=group.CreDtTm,
        lookup_id=only.Id,
        retrieval_type=only.PrxyRtrvl.Tp,
        retrieval_value=only.PrxyRtrvl.Val,
        aliases=tuple(proxy.Alias(type=entry.Type, value=entry.Value) for entry in listed),
    )


def _read_lookup_response(
    header: tree.Header, answer: tree.LookupResponse, document: tree.Document
) -> proxy.ProxyLookupResponse:
    group = answer.GrpHdr or tree.AnswerGroupHeader()
    original = answer.OrgnlGrpInf or tree.OriginalGroup()
    result = answer.LkUpRspn
    retrieval = result.OrgnlPrxyRtrvl
    created = group.CreDtTm or header.CreDt
    return proxy.ProxyLookupResponse(
        sender=_code(header.Fr),
        recipient=_code(header.To),
        business_message_id=header.BizMsgIdr,
        header_created=_differing(header.CreDt, created),
        msg_id=group.MsgId,
        created=created,
        original_msg_id=original.OrgnlMsgId,
        original_created=original.OrgnlCreDtTm,
        lookup_id=result.OrgnlId,
        retrieval_type=None if retrieval is None else retrieval.Tp,
        retrieval_value=None if retrieval is None else retrieval.Val,
        status=_outcome(result.RegnRspn, "BusMsg.Document.PrxyLookUpRspn.LkUpRspn.RegnRspn"),
        reason=None if result.RegnRspn.StsRsnInf is None else result.RegnRspn.StsRsnInf.Prtry,
        directories=_read_directories(document.SplmtryData),
    )


def _read_directories(
    supplement: tree.AnswerSupplement | None,
) -> tuple[proxy.DirectoryAnswer, ...] | None:
    if supplement is None or supplement.Envlp is None or supplement.Envlp.Directories is None:
        return None
    return tuple(
        proxy.DirectoryAnswer(
            directory=directory.Directory,
            entries=None if directory.Proxy is None else _read_entries(directory.Proxy),
        )
        for directory in supplement.Envlp.Directories
    )


def _read_entries(found: tuple[tree.FoundProxy, ...]) -> tuple[proxy.DirectoryEntry, ...]:
    return tuple(
        proxy.DirectoryEntry(
            alias=proxy.Alias(type=entry.Type, value=entry.Value),
            present=entry.Present,
            bank_codes=entry.BankCode,
        )
        for entry in found
    )


def _read_reject(header: tree.Header, reject: tree.Reject) -> proxy.ProxyLookupResponse:
    return proxy.ProxyLookupResponse(
        sender=_code(header.Fr),
        recipient=_code(header.To),
        business_message_id=header.BizMsgIdr,
        msg_id=None,
        created=header.CreDt,
        reject=proxy.MessageReject(
            reference=reject.RltdRef.Ref,
            party_reason=reject.Rsn.RjctgPtyRsn,
            rejected=reject.Rsn.RjctnDtTm,
            location=reject.Rsn.ErrLctn,
            description=reject.Rsn.RsnDesc,
            additional=reject.Rsn.AddtlData,
        ),
    )


def _outcome(result: tree.RegistrationResult, path: str) -> proxy.Outcome:
    if result.PrxRspnSts not in get_args(proxy.Outcome):
        raise MalformedMessage("ACTC or RJCT", field=f"{path}.PrxRspnSts")
    return cast(proxy.Outcome, result.PrxRspnSts)


def _code(party: tree.Party) -> str:
    return party.FIId.FinInstnId.Othr.Id


def _differing(value: str, usual: str) -> str | None:
    return None if value == usual else value
