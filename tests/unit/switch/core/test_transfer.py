"""The life of a transfer: every cell of the table, and money under any order of events."""

import random
from collections import Counter
from typing import get_args

import pytest

from scheme.errors import IllegalEvent
from switch.core.transfer import (
    CANCELLATION,
    CONFIRMATION,
    PAID,
    TRANSITIONS,
    UNDECIDED,
    AnswerDebtor,
    AnswerOverdue,
    CancellationDelivered,
    CancellationRefused,
    ConfirmationDelivered,
    CreditorAccepted,
    CreditorPosted,
    CreditorRefused,
    CreditorUnreachable,
    DebtorReversed,
    Effect,
    Event,
    ExpiryStored,
    FinalPostingStored,
    Owe,
    PostingStored,
    PostMoney,
    RefusalStored,
    ReleaseMoney,
    StoredEvent,
    TransferState,
    advance,
    stored_state,
)

S = TransferState
EVENTS: tuple[Event, ...] = (
    CreditorAccepted(),
    CreditorPosted(),
    CreditorRefused("AC01"),
    CreditorUnreachable(),
    AnswerOverdue(),
    DebtorReversed(),
    PostingStored(),
    FinalPostingStored(),
    RefusalStored(),
    ExpiryStored(),
    ConfirmationDelivered(),
    CancellationDelivered(),
    CancellationRefused(),
)


def test_every_kind_of_event_is_tried_here() -> None:
    assert {type(event) for event in EVENTS} == set(get_args(Event))


@pytest.mark.parametrize("state", list(S))
@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_what_is_not_in_the_table_changes_nothing(state: S, event: Event) -> None:
    target = TRANSITIONS.get((state, type(event)))
    if target is None:
        with pytest.raises(IllegalEvent):
            advance(state, event)
    else:
        assert advance(state, event)[0] is target


def test_only_the_disk_leads_out_of_a_decision() -> None:
    for source, event in TRANSITIONS:
        assert (source in (S.POSTING, S.REFUSING)) == (event in get_args(StoredEvent))


def test_ends_have_no_way_out_and_every_state_but_the_tombstone_is_reached() -> None:
    ends = {S.CONFIRMED, S.REJECTED, S.CANCELLED, S.DISPUTED, S.TOMBSTONE}
    assert {state for state in S if state not in {source for source, _ in TRANSITIONS}} == ends
    assert set(TRANSITIONS.values()) | {S.RESERVED, S.TOMBSTONE} == set(S)


def test_money_that_was_paid_stays_paid_and_refused_money_is_never_paid() -> None:
    for (source, _), target in TRANSITIONS.items():
        if source in PAID:
            assert target in PAID
        elif source is not S.RESERVED:
            assert target not in PAID
    assert {S.RESERVED, S.POSTING, S.REFUSING} == UNDECIDED


@pytest.mark.parametrize(
    ("event", "effects", "stored"),
    [
        (
            CreditorAccepted(),
            (PostMoney(PostingStored()), Owe(CONFIRMATION), AnswerDebtor("00")),
            S.POSTED,
        ),
        (
            CreditorPosted(),
            (PostMoney(FinalPostingStored()), AnswerDebtor("00")),
            S.CONFIRMED,
        ),
        (
            DebtorReversed(),
            (ReleaseMoney(ExpiryStored()), Owe(CANCELLATION), AnswerDebtor("05", "DS24")),
            S.EXPIRED,
        ),
        (
            CreditorRefused("AC06"),
            (ReleaseMoney(RefusalStored()), AnswerDebtor("05", "AC06")),
            S.REJECTED,
        ),
        (
            CreditorUnreachable(),
            (ReleaseMoney(RefusalStored()), AnswerDebtor("05", "AB05")),
            S.REJECTED,
        ),
        (
            AnswerOverdue(),
            (ReleaseMoney(ExpiryStored()), Owe(CANCELLATION), AnswerDebtor("05", "AB05")),
            S.EXPIRED,
        ),
    ],
)
def test_a_decision_moves_money_owes_and_tells(
    event: Event, effects: tuple[Effect, ...], stored: S
) -> None:
    state, got = advance(S.RESERVED, event)
    assert got == effects
    assert stored_state(got) is stored
    money = got[0]
    assert isinstance(money, PostMoney | ReleaseMoney)
    assert advance(state, money.then) == (stored, ())


@pytest.mark.parametrize("seed", range(100))
def test_money_is_conserved_whatever_comes_in_whatever_order(seed: int) -> None:
    rng = random.Random(seed)
    states = dict.fromkeys(range(20), S.RESERVED)
    outcomes: dict[int, Counter[type]] = {n: Counter() for n in states}
    for _ in range(400):
        n = rng.randrange(20)
        try:
            states[n], effects = advance(states[n], rng.choice(EVENTS))
        except IllegalEvent:
            continue
        outcomes[n].update(map(type, effects))
    for n, state in states.items():
        posted, released = outcomes[n][PostMoney], outcomes[n][ReleaseMoney]
        assert posted == (state in PAID), f"{seed=} {n=}"
        assert posted + released == (state is not S.RESERVED), f"{seed=} {n=}"
        assert outcomes[n][AnswerDebtor] == posted + released, f"{seed=} {n=}"
        assert outcomes[n][Owe] <= 1, f"{seed=} {n=}"
