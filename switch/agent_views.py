"""What operators are shown of field agents: terminals, operations, tills, findings."""

from collections import Counter, deque
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from scheme.limits import AGENT_FINDINGS_KEPT_MAX
from scheme.masking import mask_cci, mask_phone
from scheme.wire.agent_digest import voucher_of
from scheme.wire.agent_payload import CURRENCIES, Kind
from switch.agent_store import KeptOperation

_PHONE_DIGITS: Final = 9
_MINUTE_MS: Final = 60_000
_LINES_MAX: Final = 10
"""Findings of one terminal that the log tells of in one minute."""


class DeviceView(Struct, frozen=True, kw_only=True):
    """One terminal.

    Attributes:
        is_online: as its retained state or its last will says.
        session: the last one opened; -1 before the first.
        expected: the first number that never came; settled: the first without a verdict on disk.
        under_way: operations that are being carried out or wait for it; held: behind a gap.
        gaps: ranges of numbers asked for.
        agreed: the last number of a range whose digests agreed, since the switch started.
        heard_ms: 0 if never.
        skew_s: by how much its clock is ahead.
        revoked_ms: since when; 0 if it is not.
        float_minor: of its agent, by currency.
    """

    device: str
    agent: str
    institution: str
    is_online: bool
    session: int
    expected: int
    settled: int
    under_way: int
    held: int
    gaps: tuple[tuple[int, int], ...]
    agreed: int
    heard_ms: int
    skew_s: int
    revoked_ms: int
    float_minor: dict[str, int]


class OperationView(Struct, frozen=True, kw_only=True):
    """One operation; without a code it has no verdict yet. The account is masked.

    Attributes:
        at: when it was made, seconds by the terminal's clock.
        voucher: the code on its receipt.
    """

    seq: int
    op_id: str
    kind: str
    minor: int
    currency: str
    account: str
    entity: str
    at: int
    is_offline: bool
    received_ms: int
    voucher: str
    code: str = ""
    reason: str = ""
    reference: str = ""
    note: str = ""


class TillView(Struct, frozen=True, kw_only=True):
    """An agent's cash in one currency, in minor units.

    Attributes:
        taken, paid: of applied operations; reserved: being taken in just now.
        float_minor: what the agent may still take in.
    """

    agent: str
    currency: str
    opening: int
    taken: int
    paid: int
    reserved: int
    float_minor: int


class Finding(Struct, frozen=True, kw_only=True):
    """Something about a terminal that a person should see; nothing secret is in it.

    Attributes:
        seq: of the operation concerned; 0 if it is about none.
        code: of the verdict or fault; empty if there was none.
        rule: ``field: rule``.
    """

    at_ms: int
    device: str
    seq: int
    code: str
    rule: str


class Findings:
    """The last findings, the newest last; a new one pushes the oldest out."""

    def __init__(self, kept_max: int = AGENT_FINDINGS_KEPT_MAX) -> None:
        self._rows: deque[Finding] = deque(maxlen=kept_max)
        self._minute = 0
        self._lines: Counter[str] = Counter()

    def add(self, finding: Finding) -> bool:
        """Keep a finding; tell whether it is worth a line in the log.

        It is if it says more than the last one did, and its terminal has not filled the log with
        others: who has no key can still make as many as the broker carries.
        """
        last = self._rows[-1] if self._rows else None
        is_new = last is None or _alike(last) != _alike(finding)
        if not is_new:
            self._rows.pop()
        self._rows.append(finding)
        return is_new and self._has_room(finding)

    def _has_room(self, finding: Finding) -> bool:
        minute = finding.at_ms // _MINUTE_MS
        if minute != self._minute:
            self._minute = minute
            self._lines.clear()
        self._lines[finding.device] += 1
        return self._lines[finding.device] <= _LINES_MAX

    def __iter__(self) -> Iterator[Finding]:
        """Return them, the newest last."""
        return iter(self._rows)


def _alike(finding: Finding) -> tuple[str, int, str, str]:
    return (finding.device, finding.seq, finding.code, finding.rule)


def operation_view(kept: KeptOperation) -> OperationView:
    """Return an operation as operators see it."""
    operation, verdict = kept.operation, kept.verdict
    account = operation.account
    mask = mask_phone if len(account) == _PHONE_DIGITS else mask_cci
    return OperationView(
        seq=operation.seq,
        op_id=operation.op_id.hex(),
        kind=Kind(operation.kind).name,
        minor=operation.minor,
        currency=CURRENCIES[operation.currency],
        account=mask(account),
        entity=operation.entity,
        at=operation.at,
        is_offline=operation.offline,
        received_ms=kept.received_ms,
        voucher=voucher_of(operation),
        code="" if verdict is None else verdict.code,
        reason="" if verdict is None else verdict.reason,
        reference="" if verdict is None else verdict.reference,
        note="" if verdict is None else verdict.note,
    )
