"""Registration: what an instruction does to an entry (docs/wire/directory-service.md#registration).

Legal moves are a table; anything else is a refusal with its code.
"""

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from directory.core.alias import CLEARING_HOUSE, Entry, EntryState, Refusal
from scheme import cci as account
from scheme.cci import CciCheck
from scheme.reasons import ReasonCode


class Instruction(StrEnum):
    """What a participant wants done with an alias."""

    NEWR = "NEWR"
    AMND = "AMND"
    DEAC = "DEAC"


class Order(Struct, frozen=True, kw_only=True):
    """One registration instruction.

    Attributes:
        phone: nine digits.
        participant: who sends it and keeps the account.
        cci: None for a deactivation.
        registration_id: fresh for every instruction, so it never finds an entry.
    """

    instruction: Instruction
    phone: str
    participant: str
    cci: str | None
    registration_id: str = ""
    display_name: str = ""
    holder_type: str = ""


MOVES: Mapping[tuple[EntryState | None, Instruction], EntryState | ReasonCode] = {
    (None, Instruction.NEWR): EntryState.ACTIVE,
    (None, Instruction.AMND): ReasonCode.UREG,
    (None, Instruction.DEAC): ReasonCode.UREG,
    (EntryState.ACTIVE, Instruction.NEWR): ReasonCode.IREG,
    (EntryState.ACTIVE, Instruction.AMND): EntryState.ACTIVE,
    (EntryState.ACTIVE, Instruction.DEAC): EntryState.INACTIVE,
    (EntryState.INACTIVE, Instruction.NEWR): EntryState.ACTIVE,
    (EntryState.INACTIVE, Instruction.AMND): ReasonCode.UREG,
    (EntryState.INACTIVE, Instruction.DEAC): ReasonCode.UREG,
}
"""Present state (None: no entry) and instruction to the next state, or the code of the refusal."""

_RULES: Mapping[ReasonCode, str] = {
    ReasonCode.IREG: "the phone has an account at this entity already",
    ReasonCode.UREG: "the phone is not registered at this entity",
}


def decide(entry: Entry | None, order: Order, *, now_ms: int, check: CciCheck) -> Entry | Refusal:
    """Return the entry as the instruction leaves it, or why it is refused.

    Args:
        entry: the entry of this phone and participant in the clearing house's directory.
        check: how closely the CCI's check digits are looked at.
    """
    if order.instruction is not Instruction.DEAC:
        refusal = account_refusal(order, check)
        if refusal is not None:
            return refusal
    move = MOVES[(entry.state if entry is not None else None, order.instruction)]
    if isinstance(move, ReasonCode):
        return Refusal(move, "Prxy.Val", _RULES[move])
    if entry is None:
        return _fresh(order, now_ms)
    return _moved(entry, order, move, now_ms)


def _fresh(order: Order, now_ms: int) -> Entry:
    assert order.cci is not None
    return Entry(
        phone=order.phone,
        directory=CLEARING_HOUSE,
        participant=order.participant,
        cci=order.cci,
        display_name=order.display_name,
        holder_type=order.holder_type,
        registration_id=order.registration_id,
        registered_ms=now_ms,
        changed_ms=now_ms,
    )


def _moved(entry: Entry, order: Order, state: EntryState, now_ms: int) -> Entry:
    is_back = entry.state is EntryState.INACTIVE and state is EntryState.ACTIVE
    return replace(
        entry,
        state=state,
        cci=order.cci if order.cci and state is EntryState.ACTIVE else entry.cci,
        display_name=order.display_name or entry.display_name,
        holder_type=order.holder_type or entry.holder_type,
        registration_id=order.registration_id,
        registered_ms=now_ms if is_back else entry.registered_ms,
        changed_ms=now_ms,
    )


def account_refusal(order: Order, check: CciCheck) -> Refusal | None:
    """Return why an order's account cannot be registered by its sender, or None."""

    def no(rule: str) -> Refusal:
        return Refusal(ReasonCode.FF02, "MsgSndr.Agt.FinInstnId.Nm", rule)

    if order.cci is None:
        return no("mandatory")
    if not account.is_well_formed(order.cci):
        return no("20 digits")
    if account.is_placeholder(order.cci):
        return no("an account, no placeholder")
    if account.participant_of(order.cci) != order.participant:
        return no("an account of the sender")
    fault = account.fault(order.cci, check)
    return no(fault) if fault is not None else None
