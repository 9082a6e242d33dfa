"""Cash at machines: the states of a withdrawal, its record, its entries."""

from collections.abc import Mapping

from msgspec import Struct


class CashAnswer(Struct, frozen=True, kw_only=True):
    """What a machine is told.

    Attributes:
        response_code: DE39.
        reason: of ``scheme.reasons``, behind the code; empty if it was granted.
        rule: field and rule that was broken, e.g. ``DE4: a multiple of 1000``.
        subject: id of the withdrawal, or empty where there is none.
        auth: DE38, of an approval.
        extra: further data elements of the answer, by number, e.g. ``54`` of a balance.
    """

    response_code: str
    reason: str = ""
    rule: str = ""
    subject: str = ""
    auth: str = ""
    extra: Mapping[str, str] = {}
