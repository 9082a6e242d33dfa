"""One institution whole: its desks, and which of them takes which message."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from participants.agents.core_desk import CoreDesk
from participants.agents.creditor import CreditorDesk
from participants.agents.debtor import DebtorDesk
from participants.agents.institution import Institution
from participants.agents.machine import MachineDesk
from participants.agents.ports import Line
from participants.agents.rail_payments import RailPaymentsDesk
from participants.agents.sessions import SessionDesk
from participants.core.book import Account, CashOrder, CreditOrder, DebitOrder
from participants.core.payment import Spent
from participants.core.tills import KIND
from participants.links.payments_port import Taker
from participants.links.tin_http.port import Receiver
from scheme.messages import (
    AV2,
    AV3,
    CT2,
    CT3,
    CT5,
    CTC1,
    CTC2,
    ET1,
    ET2,
    SNM971,
    SNM972,
    SNM981,
    SNM982,
    SNM993,
    SNM998,
    SNM999,
    Reject,
)
from scheme.messages.payment import FIToFICstmrCdtTrf, FIToFIPmtStsRpt, PmtRtr
from scheme.wire import pacs_json

_NOTICES = (SNM971, SNM972, SNM981, SNM982, SNM993, SNM998, SNM999, Reject)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """What an institution finds on the disk when it starts."""

    accounts: Iterable[Account] = ()
    held: Iterable[CreditOrder] = ()
    pending: Iterable[DebitOrder] = ()
    cash: Iterable[CashOrder] = ()
    credited_today: dict[str, int] = field(default_factory=dict)
    spent_today: dict[str, Spent] = field(default_factory=dict)


class Office:
    """The desks of one institution.

    Args:
        institution: what they share.
        holdings: its accounts and open orders.
        line: its links, if its core speaks ISO 8583.

    Attributes:
        machines: of a network of cash machines and agents.
    """

    def __init__(
        self, institution: Institution, holdings: Holdings, line: Line | None = None
    ) -> None:
        institution.keep(holdings.accounts)
        self.institution = institution
        self.creditor = CreditorDesk(
            institution, open_orders=holdings.held, credited_today=holdings.credited_today
        )
        self.debtor = DebtorDesk(
            institution, pending=holdings.pending, spent_today=holdings.spent_today
        )
        self.sessions = SessionDesk(institution)
        self.rail_payments = RailPaymentsDesk(institution)
        self.line = line
        self.machines: MachineDesk | None = None
        if line is not None:
            line.take = CoreDesk(institution, self.creditor).handle
            if institution.entry.kind == KIND:
                self.machines = MachineDesk(institution, line, holdings.cash)

    def resume(self) -> None:
        """Take up what was open when the process ended, and open the session."""
        self.creditor.resume()
        self.debtor.resume()
        if self.machines is not None:
            self.machines.resume()
        if self.line is not None:
            # Its links sign on by themselves.
            self.institution.spawn(self.sessions.follow(self.line.ready))
        elif self.institution.entry.signs_on:
            self.institution.spawn(self.sessions.keep_up())

    def takers(self) -> Mapping[str, Taker]:
        """Return who takes which message of the slow rails, by its path."""
        desk = self.rail_payments
        return {
            pacs_json.STATUS: Taker(FIToFIPmtStsRpt, desk.status),
            pacs_json.TRANSFER: Taker(FIToFICstmrCdtTrf, desk.transfer),
            pacs_json.RETURN: Taker(PmtRtr, desk.give_back),
        }

    def receivers(self) -> Mapping[str, Receiver]:
        """Return who takes which message, by its path."""
        notices = {
            notice.__name__.upper(): Receiver(notice, self.sessions.hear, is_signed=False)
            for notice in _NOTICES
        }
        return notices | {
            "AV2": Receiver(AV2, self.creditor.answer_query, AV3),
            "CT2": Receiver(CT2, self.creditor.answer_order, CT3),
            "CT5": Receiver(CT5, self.creditor.confirm),
            "CTC1": Receiver(CTC1, self.creditor.cancel, CTC2),
            "ET1": Receiver(ET1, self.sessions.answer_echo, ET2),
        }
