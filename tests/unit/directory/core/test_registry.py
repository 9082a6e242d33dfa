import pytest
from msgspec.structs import replace

from directory.core.alias import CLEARING_HOUSE, Entry, EntryState, Refusal
from directory.core.registry import MOVES, Instruction, Order, decide
from scheme.cci import CciCheck
from scheme.reasons import ReasonCode

CCI = "97000110020030040142"
OTHER_CCI = "97000110020030041944"


def an_order(instruction: Instruction, cci: str | None = CCI) -> Order:
    return Order(
        instruction=instruction,
        phone="900000101",
        participant="0970",
        cci=cci,
        registration_id="R2",
        display_name="SOCIA UNO D.",
        holder_type="N",
    )


def an_entry(state: EntryState = EntryState.ACTIVE) -> Entry:
    return Entry(
        phone="900000101",
        directory=CLEARING_HOUSE,
        participant="0970",
        cci=CCI,
        state=state,
        display_name="SOCIA",
        registration_id="R1",
        registered_ms=1,
        changed_ms=1,
    )


def outcome(
    entry: Entry | None, order: Order, check: CciCheck = CciCheck.LENIENT
) -> Entry | Refusal:
    return decide(entry, order, now_ms=7, check=check)


def test_every_state_has_a_move_for_every_instruction() -> None:
    states = (None, *EntryState)
    assert set(MOVES) == {(state, instruction) for state in states for instruction in Instruction}


@pytest.mark.parametrize(("state", "instruction"), list(MOVES))
def test_each_row_of_the_table_is_what_happens(
    state: EntryState | None, instruction: Instruction
) -> None:
    before = None if state is None else an_entry(state)
    after = outcome(before, an_order(instruction))
    expected = MOVES[state, instruction]
    if isinstance(after, Refusal):
        assert after.reason == expected
    else:
        assert after.state == expected
        assert after.changed_ms == 7
        assert after.registration_id == "R2"


def test_a_new_entry_holds_what_was_registered() -> None:
    assert outcome(None, an_order(Instruction.NEWR)) == Entry(
        phone="900000101",
        directory=CLEARING_HOUSE,
        participant="0970",
        cci=CCI,
        display_name="SOCIA UNO D.",
        holder_type="N",
        registration_id="R2",
        registered_ms=7,
        changed_ms=7,
    )


def test_an_amendment_changes_the_account_and_keeps_the_first_date() -> None:
    after = outcome(an_entry(), an_order(Instruction.AMND, OTHER_CCI))
    assert isinstance(after, Entry)
    assert (after.cci, after.registered_ms) == (OTHER_CCI, 1)


def test_a_deactivation_needs_no_account_and_keeps_the_entry_on_file() -> None:
    after = outcome(an_entry(), an_order(Instruction.DEAC, None))
    assert isinstance(after, Entry)
    assert (after.state, after.cci) == (EntryState.INACTIVE, CCI)


def test_a_phone_that_comes_back_may_bring_another_account() -> None:
    after = outcome(an_entry(EntryState.INACTIVE), an_order(Instruction.NEWR, OTHER_CCI))
    assert isinstance(after, Entry)
    assert (after.state, after.cci, after.registered_ms) == (EntryState.ACTIVE, OTHER_CCI, 7)


def test_the_same_registration_twice_is_refused() -> None:
    first = outcome(None, an_order(Instruction.NEWR))
    assert isinstance(first, Entry)
    again = outcome(first, an_order(Instruction.NEWR))
    assert isinstance(again, Refusal)
    assert again.reason is ReasonCode.IREG


@pytest.mark.parametrize("instruction", [Instruction.NEWR, Instruction.AMND])
@pytest.mark.parametrize(
    ("cci", "rule"),
    [
        (None, "mandatory"),
        ("9700011002003004014", "20 digits"),
        ("97000110020030040142 ", "20 digits"),
        ("97099999999999999999", "an account, no placeholder"),
        ("97100220030040050213", "an account of the sender"),
    ],
)
def test_an_account_that_is_not_the_sender_s_own_is_refused(
    instruction: Instruction, cci: str | None, rule: str
) -> None:
    assert outcome(an_entry(), an_order(instruction, cci)) == Refusal(
        ReasonCode.FF02, "MsgSndr.Agt.FinInstnId.Nm", rule
    )


def test_check_digits_count_only_where_the_profile_says_so() -> None:
    wrong = replace(an_order(Instruction.NEWR), cci=CCI[:-1] + "3")
    assert isinstance(outcome(None, wrong), Entry)
    assert isinstance(outcome(None, wrong, CciCheck.STRICT), Refusal)
