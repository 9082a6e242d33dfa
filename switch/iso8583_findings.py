"""Frames of the ISO 8583 lane that did not fit, as an operator reads them.

Alike ones are one row with a count, and whoever has not signed on has a share of its own: no
caller can push out what was found about the others.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from scheme.limits import ISO_FINDINGS_KEPT_MAX

STRANGERS_KEPT_MAX: Final = ISO_FINDINGS_KEPT_MAX // 4
"""Rows about links on which nobody had signed on."""
FRAME_BYTES_KEPT_MAX: Final = 1024
"""Bytes of a frame that its row shows."""
_STRANGER: Final = ""

_Alike = tuple[str, str, str, str, str]


class Finding(Struct, kw_only=True, gc=False):
    """Frames that did not fit, all in the same way; what differs among them is the last one's.

    Attributes:
        first_us, at_us: when the first and the last of them came.
        count: how many.
        is_mixed: they are of several requests; the numbers are those of the one that is shown.
        participant: whose link they came by, or whom they named; empty if nobody.
        is_proved: that participant had signed on on the link.
        address: where the last came from.
        kind: one of the counts' names.
        message: MTI, as far as it could be read.
        stan, rrn: DE11 and DE37, likewise.
        explanation: what is wrong with it, or what it was too late for.
        near: the request that comes closest and what differs; empty without one.
        frame: its first bytes as they may be kept, in hex; empty if there are none.
    """

    first_us: int
    at_us: int
    count: int = 1
    is_mixed: bool = False
    participant: str
    is_proved: bool = True
    address: str = ""
    kind: str
    message: str = ""
    stan: str = ""
    rrn: str = ""
    explanation: str
    near: str = ""
    frame: str = ""

    @property
    def owner(self) -> str:
        """In whose share of the rows it is."""
        return self.participant if self.is_proved else _STRANGER

    @property
    def alike(self) -> _Alike:
        """What alike ones have in common; a caller that dials again is the same one."""
        origin = self.participant or self.address.rpartition(":")[0]
        return (self.owner, origin, self.kind, self.message, self.explanation)


class Findings:
    """The last findings, in the order in which they last came.

    Args:
        kept_max: rows in all; beyond it the oldest of whoever has most of them goes.
        strangers_max: rows about links on which nobody had signed on.
    """

    def __init__(
        self, kept_max: int = ISO_FINDINGS_KEPT_MAX, strangers_max: int = STRANGERS_KEPT_MAX
    ) -> None:
        self._kept_max = kept_max
        self._strangers_max = strangers_max
        self._rows: dict[_Alike, Finding] = {}
        self._by_owner: Counter[str] = Counter()

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._rows)

    def __iter__(self) -> Iterator[Finding]:
        """Return the rows, the newest last."""
        return iter(self._rows.values())

    def __reversed__(self) -> Iterator[Finding]:
        """Return the rows, the newest first."""
        return reversed(self._rows.values())

    def add(self, found: Finding, *, is_brief: bool = False) -> None:
        """Keep a finding, or count it with those that are alike.

        Args:
            is_brief: nothing was looked at closely, so an earlier one says more.
        """
        key = found.alike
        known = self._rows.pop(key, None)
        if known is None:
            self._rows[key] = found
            self._by_owner[found.owner] += 1
            self._trim()
            return
        shown, other = (known, found) if is_brief else (found, known)
        shown.first_us, shown.at_us = known.first_us, found.at_us
        shown.count += other.count
        shown.is_mixed = known.is_mixed or (found.stan, found.rrn) != (known.stan, known.rrn)
        self._rows[key] = shown

    def _trim(self) -> None:
        if self._by_owner[_STRANGER] > self._strangers_max:
            self._drop_oldest_of(_STRANGER)
        elif len(self._rows) > self._kept_max:
            ((owner, _),) = self._by_owner.most_common(1)
            self._drop_oldest_of(owner)

    def _drop_oldest_of(self, owner: str) -> None:
        oldest = next(key for key, one in self._rows.items() if one.owner == owner)
        del self._rows[oldest]
        self._by_owner[owner] -= 1
