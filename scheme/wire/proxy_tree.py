"""The tree of the directory messages, element for element (docs/wire/directory.md).

Elements without a value are left out, except ``BankCode``, whose null has a meaning of its own.
"""

from typing import Annotated

import msgspec

Short = Annotated[str, msgspec.Meta(min_length=1, max_length=35)]
Code = Annotated[str, msgspec.Meta(min_length=4, max_length=4)]
Text = Annotated[str, msgspec.Meta(max_length=140)]
LongText = Annotated[str, msgspec.Meta(max_length=4000)]


class Node(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An element of the tree."""


class Other(Node, frozen=True, kw_only=True):
    """An identification outside any list."""

    Id: Code


class FinancialInstitution(Node, frozen=True, kw_only=True):
    """An institution; registrations carry the account in its name."""

    Nm: Short | None = None
    Othr: Other


class Agent(Node, frozen=True, kw_only=True):
    """An institution acting as a party."""

    FinInstnId: FinancialInstitution


class Party(Node, frozen=True, kw_only=True):
    """A party of the application header."""

    FIId: Agent


class GroupParty(Node, frozen=True, kw_only=True):
    """A party of the group header."""

    Agt: Agent


class Header(Node, frozen=True, kw_only=True):
    """The application header, common to all four messages."""

    Fr: Party
    To: Party
    BizMsgIdr: Short
    MsgDefIdr: Short | None = None
    CreDt: Short


class GroupHeader(Node, frozen=True, kw_only=True):
    """The group header of a question."""

    MsgId: Short
    CreDtTm: Short
    MsgSndr: GroupParty


class AnswerGroupHeader(Node, frozen=True, kw_only=True):
    """The group header of an answer; names the sender or the recipient."""

    MsgId: Short | None = None
    CreDtTm: Short | None = None
    MsgSndr: GroupParty | None = None
    MsgRcpt: GroupParty | None = None


class Proxy(Node, frozen=True, kw_only=True):
    """An alias."""

    Tp: Short
    Val: Text


class Account(Node, frozen=True, kw_only=True):
    """What is told of the account."""

    AcctHldrTp: Short | None = None


class RegistrationEntry(Node, frozen=True, kw_only=True):
    """The entry a registration makes."""

    RegnId: Short
    DsplNm: Text | None = None
    Acct: Account | None = None


class RegistrationOrder(Node, frozen=True, kw_only=True):
    """What is to be registered."""

    RegnTp: Short
    RegnSubTp: Short
    Prxy: Proxy
    PrxyRegn: RegistrationEntry


class Registration(Node, frozen=True, kw_only=True):
    """prxy.001."""

    GrpHdr: GroupHeader
    Regn: RegistrationOrder


class OriginalGroup(Node, frozen=True, kw_only=True):
    """The question an answer belongs to."""

    OrgnlMsgId: Short | None = None
    OrgnlMsgNmId: Short | None = None
    OrgnlCreDtTm: Short | None = None


class StatusReason(Node, frozen=True, kw_only=True):
    """Why something was refused."""

    Prtry: Short | None = None


class RegistrationResult(Node, frozen=True, kw_only=True):
    """What became of a registration."""

    PrxRspnSts: Short
    StsRsnInf: StatusReason | None = None
    OrgnlRegnTp: Short | None = None
    OrgnlRegnSubTp: Short | None = None
    OrgnlPrxy: Proxy | None = None
    Prxy: Proxy | None = None
    OrgnlId: Short | None = None


class RegisteredEntry(Node, frozen=True, kw_only=True):
    """The entry an answer speaks of."""

    RegnId: Short | None = None


class RegistrationResponse(Node, frozen=True, kw_only=True):
    """prxy.002."""

    GrpHdr: AnswerGroupHeader | None = None
    OrgnlGrpInf: OriginalGroup | None = None
    RegnRspn: RegistrationResult
    PrxyRegn: RegisteredEntry | None = None


class ProxyRetrieval(Node, frozen=True, kw_only=True):
    """Where one alias would stand; a lookup carries a placeholder."""

    Tp: Short
    Val: Text


class ProxyOnly(Node, frozen=True, kw_only=True):
    """A lookup by alias."""

    LkUpTp: Short
    Id: Short
    PrxyRtrvl: ProxyRetrieval


class LookupBy(Node, frozen=True, kw_only=True):
    """How to look up."""

    PrxyOnly: ProxyOnly


class ListedProxy(Node, frozen=True, kw_only=True):
    """One alias of the list that is really looked up."""

    Type: Short
    Value: Text


class LookupEnvelope(Node, frozen=True, kw_only=True):
    """The list."""

    Proxy: tuple[ListedProxy, ...]


class LookupSupplement(Node, frozen=True, kw_only=True):
    """Where the list stands in a lookup."""

    Envlp: LookupEnvelope


class Lookup(Node, frozen=True, kw_only=True):
    """prxy.003."""

    GrpHdr: GroupHeader
    LookUp: LookupBy
    SplmtryData: LookupSupplement


class LookupResult(Node, frozen=True, kw_only=True):
    """How a lookup went."""

    OrgnlId: Short | None = None
    OrgnlPrxyRtrvl: ProxyRetrieval | None = None
    RegnRspn: RegistrationResult


class LookupResponse(Node, frozen=True, kw_only=True):
    """prxy.004, except for the directories, which stand beside it."""

    GrpHdr: AnswerGroupHeader | None = None
    OrgnlGrpInf: OriginalGroup | None = None
    LkUpRspn: LookupResult


class FoundProxy(Node, frozen=True, kw_only=True):
    """One directory's word on one alias."""

    Type: Short
    Value: Text
    Present: Text | bool
    BankCode: tuple[Code, ...] | None


class Directory(Node, frozen=True, kw_only=True):
    """One directory's words."""

    Directory: Code
    Proxy: tuple[FoundProxy, ...] | None


class AnswerEnvelope(Node, frozen=True, kw_only=True):
    """The directories."""

    Directories: tuple[Directory, ...] | None = None


class AnswerSupplement(Node, frozen=True, kw_only=True):
    """Where the directories stand in an answer."""

    Envlp: AnswerEnvelope | None = None


class RelatedReference(Node, frozen=True, kw_only=True):
    """The lookup a reject belongs to."""

    Ref: Text


class RejectReason(Node, frozen=True, kw_only=True):
    """Why a lookup was refused as a message."""

    RjctgPtyRsn: Text
    RjctnDtTm: Short | None = None
    ErrLctn: LongText | None = None
    RsnDesc: LongText | None = None
    AddtlData: LongText | None = None


class Reject(Node, frozen=True, kw_only=True):
    """A refusal of a message as such."""

    RltdRef: RelatedReference
    Rsn: RejectReason


class Document(Node, frozen=True, kw_only=True):
    """The document: exactly one of the first five; the directories go with LookupResponse."""

    PrxyRegn: Registration | None = None
    PrxyRegnRspn: RegistrationResponse | None = None
    PrxyLookUp: Lookup | None = None
    PrxyLookUpRspn: LookupResponse | None = None
    MessageReject: Reject | None = None
    SplmtryData: AnswerSupplement | None = None


class BusinessMessage(Node, frozen=True, kw_only=True):
    """Header and document."""

    AppHdr: Header
    Document: Document


class Envelope(Node, frozen=True, kw_only=True):
    """The whole body."""

    BusMsg: BusinessMessage


def party(code: str) -> Party:
    """Return a party of the application header."""
    return Party(FIId=Agent(FinInstnId=FinancialInstitution(Othr=Other(Id=code))))


def group_party(code: str, name: str | None = None) -> GroupParty:
    """Return a party of the group header."""
    return GroupParty(Agt=Agent(FinInstnId=FinancialInstitution(Nm=name, Othr=Other(Id=code))))
