"""ISO 20022 files of settlement: camt.053.001.08 statements, pacs.009.001.08 instructions.

Both come out in pieces, so that a statement of any length needs the memory of one piece. Which
elements are used, and why, stands in docs/wire/settlement-files.md, with a schema of the subset.
"""

from collections.abc import Iterable, Iterator
from xml.sax.saxutils import escape, quoteattr

from msgspec import Struct

from scheme.batch import Batch, BatchRow, Counted
from scheme.clock import from_ms, lima
from scheme.ledger import MONEY_OF, SETTLEMENT_ACCOUNT

STATEMENT = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"
INSTRUCTION = "urn:iso:std:iso:20022:tech:xsd:pacs.009.001.08"
CREDIT = "CRDT"
DEBIT = "DBIT"
BOOKED = "BOOK"
PIECE_BYTES = 32 * 1024
"""Size from which a piece of a document is handed on."""
NAME_CHARACTERS_MAX = 140
REFERENCE_CHARACTERS_MAX = 35
_CLEARING_HOUSE = "CCE"
_TRANSFER_CODES = {CREDIT: ("RCDT", "DMCT"), DEBIT: ("ICDT", "DMCT")}
_RETURN_CODES = {CREDIT: ("RCDT", "RRTN"), DEBIT: ("ICDT", "RRTN")}
_MONEY_CODES = {CREDIT: ("MCOP", "OTHR"), DEBIT: ("MDOP", "OTHR")}
_OF_MONEY = frozenset({"funding", "drawdown", "settlement"})


class StatementEntry(Struct, frozen=True, kw_only=True, gc=False):
    """One line of a statement: everything a transfer moved on this account, in one direction.

    Attributes:
        reference: id of the transfer, or of the funding or drawdown.
        kind: of the first of its postings.
        is_credit: whether the account received it.
        minor: interbank fee included.
        posted_ms: when it became final.
    """

    reference: str
    kind: str
    is_credit: bool
    minor: int
    posted_ms: int


class PayOrder(Struct, frozen=True, kw_only=True):
    """What one participant pays in to a batch, or is paid out of it.

    Attributes:
        net: net position in minor units: below zero it pays in, above it is paid.
        round: of the settlement, from 1.
    """

    participant: str
    name: str
    net: int
    round: int = 1


def message_id(batch: str, part: str) -> str:
    """Return an id of at most 35 characters that derives from batch and part, and so repeats."""
    return batch.replace("-", "") + part


def decimal(minor: int) -> str:
    """Return minor units as the standard writes an amount: ``25.50``, without a sign."""
    whole, cents = divmod(abs(minor), 100)
    return f"{whole}.{cents:02}"


def statement(batch: Batch, row: BatchRow, entries: Iterable[StatementEntry]) -> Iterator[bytes]:
    """Return a participant's statement of a batch in pieces.

    Args:
        entries: in the order in which they became final.
    """
    document = _Document(STATEMENT, "BkToCstmrStmt")
    own_id = message_id(batch.batch, row.participant)
    created = iso_stamp(batch.closed_at)
    document.open("GrpHdr")
    document.leaf("MsgId", own_id)
    document.leaf("CreDtTm", created)
    document.close()
    document.open("Stmt")
    document.leaf("Id", own_id)
    document.leaf("ElctrncSeqNb", str(batch.number))
    document.leaf("CreDtTm", created)
    document.open("FrToDt")
    document.leaf("FrDtTm", iso_stamp(batch.opened_at))
    document.leaf("ToDtTm", created)
    document.close()
    _account(document, batch, row)
    day = iso_day(batch.settlement_date)
    _balance(document, "OPBD", row.opening, batch.currency, day)
    _balance(document, "CLBD", closing_minor(row), batch.currency, day)
    _summary(document, row)
    for entry in entries:
        document.raw(_entry(entry, batch.currency, day))
        yield from document.pieces()
    yield document.end()


def closing_minor(row: BatchRow) -> int:
    """Return the balance at the end of a window: what its own entries come to."""
    return row.opening + row.net + row.funded.value - row.drawn.value


def credits_and_debits(row: BatchRow) -> tuple[Counted, Counted]:
    """Return how many entries a statement has and their sums, by direction."""
    received, sent = row.received.accepted, row.sent.accepted
    return (
        Counted(received.count + row.funded.count, received.value + row.funded.value),
        Counted(sent.count + row.drawn.count, sent.value + row.drawn.value),
    )


def instruction(batch: Batch, order: PayOrder) -> bytes:
    """Return the settlement instruction of one net debtor or creditor.

    A net debtor pushes its own money to the settlement account; a net creditor is paid by the
    clearing house from there.
    """
    assert order.net, "whoever is even pays nothing and is paid nothing"
    document = _Document(INSTRUCTION, "FICdtTrf")
    pays_in = order.net < 0
    way = ("i" if pays_in else "o") + ("" if order.round == 1 else str(order.round))
    own_id = message_id(batch.batch, f"{way}{order.participant}")
    amount, day = decimal(order.net), iso_day(batch.settlement_date)
    document.open("GrpHdr")
    document.leaf("MsgId", own_id)
    document.leaf("CreDtTm", iso_stamp(batch.closed_at))
    document.leaf("NbOfTxs", "1")
    document.leaf("TtlIntrBkSttlmAmt", amount, batch.currency)
    document.leaf("IntrBkSttlmDt", day)
    document.open("SttlmInf")
    document.leaf("SttlmMtd", "CLRG")
    document.open("ClrSys")
    document.leaf("Prtry", MONEY_OF[batch.ledger].upper())
    for _ in range(3):
        document.close()
    document.open("CdtTrfTxInf")
    document.open("PmtId")
    document.leaf("InstrId", own_id)
    document.leaf("EndToEndId", message_id(batch.batch, ""))
    document.leaf("TxId", own_id)
    document.close()
    document.leaf("IntrBkSttlmAmt", amount, batch.currency)
    document.leaf("IntrBkSttlmDt", day)
    participant = (order.participant, order.name, order.participant)
    house = (_CLEARING_HOUSE, "", SETTLEMENT_ACCOUNT)
    debtor, creditor = (participant, house) if pays_in else (house, participant)
    _party(document, "Dbtr", *debtor)
    _party(document, "Cdtr", *creditor)
    document.open("RmtInf")
    document.leaf("Ustrd", f"batch {batch.batch}")
    document.close()
    document.close()
    return document.end()


def iso_day(date: str) -> str:
    """Return ``yyyyMMdd`` as ``yyyy-MM-dd``."""
    return f"{date[:4]}-{date[4:6]}-{date[6:8]}"


def iso_stamp(stamp: str) -> str:
    """Return ``yyyyMMddHHmmss`` of Lima as an ISO 8601 instant with its offset."""
    clock = stamp[8:]
    return f"{iso_day(stamp)}T{clock[:2]}:{clock[2:4]}:{clock[4:6]}-05:00"


def _account(document: "_Document", batch: Batch, row: BatchRow) -> None:
    document.open("Acct")
    _account_id(document, f"{batch.ledger}-{row.participant}-{batch.currency}")
    document.leaf("Ccy", batch.currency)
    document.open("Ownr")
    document.leaf("Nm", row.name[:NAME_CHARACTERS_MAX])
    document.close()
    document.close()


def _account_id(document: "_Document", number: str) -> None:
    document.open("Id")
    document.open("Othr")
    document.leaf("Id", number)
    document.close()
    document.close()


def _balance(document: "_Document", kind: str, minor: int, currency: str, day: str) -> None:
    document.open("Bal")
    document.open("Tp")
    document.open("CdOrPrtry")
    document.leaf("Cd", kind)
    document.close()
    document.close()
    document.leaf("Amt", decimal(minor), currency)
    document.leaf("CdtDbtInd", _direction(minor))
    document.open("Dt")
    document.leaf("Dt", day)
    document.close()
    document.close()


def _summary(document: "_Document", row: BatchRow) -> None:
    credit, debit = credits_and_debits(row)
    net = credit.value - debit.value
    document.open("TxsSummry")
    document.open("TtlNtries")
    document.leaf("NbOfNtries", str(credit.count + debit.count))
    document.leaf("Sum", decimal(credit.value + debit.value))
    document.open("TtlNetNtry")
    document.leaf("Amt", decimal(net))
    document.leaf("CdtDbtInd", _direction(net))
    document.close()
    document.close()
    for name, counted in (("TtlCdtNtries", credit), ("TtlDbtNtries", debit)):
        document.open(name)
        document.leaf("NbOfNtries", str(counted.count))
        document.leaf("Sum", decimal(counted.value))
        document.close()
    document.close()


def _direction(minor: int) -> str:
    return DEBIT if minor < 0 else CREDIT


def _entry(entry: StatementEntry, currency: str, day: str) -> str:
    """Return one entry; written at one go, for a statement may have a million."""
    reference = escape(entry.reference[:REFERENCE_CHARACTERS_MAX])
    way = CREDIT if entry.is_credit else DEBIT
    codes = _TRANSFER_CODES
    if entry.kind in _OF_MONEY:
        codes = _MONEY_CODES
    elif entry.kind == "opposite":
        codes = _RETURN_CODES
    family, sub_family = codes[way]
    booked = lima(from_ms(entry.posted_ms)).isoformat(timespec="milliseconds")
    return (
        f"      <Ntry><NtryRef>{reference}</NtryRef>"
        f'<Amt Ccy="{currency}">{decimal(entry.minor)}</Amt><CdtDbtInd>{way}</CdtDbtInd>'
        f"<Sts><Cd>{BOOKED}</Cd></Sts><BookgDt><DtTm>{booked}</DtTm></BookgDt>"
        f"<ValDt><Dt>{day}</Dt></ValDt><BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>{family}</Cd>"
        f"<SubFmlyCd>{sub_family}</SubFmlyCd></Fmly></Domn></BkTxCd></Ntry>\n"
    )


def _party(document: "_Document", tag: str, member: str, name: str, account: str) -> None:
    document.open(tag)
    document.open("FinInstnId")
    document.open("ClrSysMmbId")
    document.leaf("MmbId", member)
    document.close()
    if name:
        document.leaf("Nm", name[:NAME_CHARACTERS_MAX])
    document.close()
    document.close()
    document.open(f"{tag}Acct")
    _account_id(document, account)
    document.close()


class _Document:
    """An XML document that is handed on while it is written."""

    def __init__(self, namespace: str, root: str) -> None:
        self._open: list[str] = []
        self._parts = ['<?xml version="1.0" encoding="UTF-8"?>\n']
        self._size = 0
        self.raw(f"<Document xmlns={quoteattr(namespace)}>\n")
        self._open.append("Document")
        self.open(root)

    def open(self, tag: str) -> None:
        """Begin an element."""
        self.raw(f"{self._margin}<{tag}>\n")
        self._open.append(tag)

    def close(self) -> None:
        """End the innermost element."""
        tag = self._open.pop()
        self.raw(f"{self._margin}</{tag}>\n")

    def leaf(self, tag: str, text: str, currency: str = "") -> None:
        """Write an element that holds a text, or an amount of a currency."""
        attribute = f' Ccy="{currency}"' if currency else ""
        self.raw(f"{self._margin}<{tag}{attribute}>{escape(text)}</{tag}>\n")

    def raw(self, text: str) -> None:
        """Write what is XML already."""
        self._parts.append(text)
        self._size += len(text)

    def pieces(self) -> Iterator[bytes]:
        """Hand on what was written, once it is enough for a piece."""
        if self._size >= PIECE_BYTES:
            yield self._taken()

    def end(self) -> bytes:
        """Close what is open, and hand on the rest."""
        while self._open:
            self.close()
        return self._taken()

    @property
    def _margin(self) -> str:
        return "  " * len(self._open)

    def _taken(self) -> bytes:
        piece = "".join(self._parts).encode()
        self._parts.clear()
        self._size = 0
        return piece
