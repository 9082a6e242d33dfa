"""A settlement, step by step, over a ledger that is no more than two dictionaries."""

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from clearing.core.failure import shares
from clearing.core.netting import Charges, make_batch
from clearing.core.settlement import Facts, Order, Waits, again, next_step
from scheme.batch import FAILED, PARTIAL, SETTLED, SETTLING, Batch, Bearer, Settlement
from scheme.ledger import (
    DALE,
    DEFERRED,
    MONEY_OF,
    NATIONAL,
    Account,
    Command,
    DropInstructions,
    Entry,
    Instruct,
    SettleInstructions,
    prefund_owner,
)
from scheme.standing import Instruction
from tests.support.settlement_fakes import CLOSED_AT_MS, position_account, stand, tallies_of

RULES = {
    NATIONAL: ("queue", "retry", "guarantee_fund", "loss_sharing"),
    DALE: ("queue", "retry", "sponsor"),
    DEFERRED: ("queue", "retry", "guarantee_fund", "unwind"),
}
Transfer = tuple[str, str, int]


class Books:
    """Money and positions, moved as the ledger would.

    Args:
        transfers: debit, credit and amount of what the window accepted.
        money: balances of the ledger of money by owner.
    """

    def __init__(self, cycle: str, transfers: Sequence[Transfer], money: Mapping[str, int]) -> None:
        self.cycle = cycle
        self.money = {"settlement": 0, **money}
        self.positions: dict[str, int] = {}
        self.instructions: dict[str, Instruction] = {}
        self.orders: list[Order] = []
        self.now_ms = 1_000
        self.first_prefunds = {
            owner.removesuffix(":prefund"): minor
            for owner, minor in money.items()
            if owner.endswith(":prefund")
        }
        for number, (debit, credit, minor) in enumerate(transfers):
            entry = Entry(
                kind="principal",
                debit=position_account(debit, cycle),
                credit=position_account(credit, cycle),
                minor=minor,
                window=stand(cycle=cycle).window,
            )
            if cycle == DEFERRED:
                self.orders.append(Order(transfer_id=f"order-{number}", entries=(entry,)))
            else:
                self._post(entry)
        self.batch = self._batch(transfers)
        self.settlement = Settlement(state=SETTLING)
        self.rules = RULES[cycle]
        self.wake_ms = 0

    def _batch(self, transfers: Sequence[Transfer]) -> Batch:
        return make_batch(
            stand(cycle=self.cycle),
            tallies_of(transfers, cycle=self.cycle),
            names={},
            carried=None,
            charges=Charges(),
            cut_off_ms=CLOSED_AT_MS,
            closed_ms=CLOSED_AT_MS,
            next_window="next",
        )

    def _post(self, entry: Entry) -> None:
        for owner, minor in ((entry.debit.owner, -entry.minor), (entry.credit.owner, entry.minor)):
            self.positions[owner] = self.positions.get(owner, 0) + minor

    def run(self, steps: int = 50) -> str:
        """Step until it ends or waits."""
        for _ in range(steps):
            self.pump()
            if not self.step() or self.settlement.state != SETTLING:
                return self.settlement.state
        raise AssertionError("it never ends")

    def step(self) -> bool:
        """Take one step; return whether to go on at once."""
        facts = Facts(
            instructions=self.instructions,
            available=self._available,
            orders=self.orders,
            sponsors={"0970": "0987", "0971": "0987"},
            window="open-now",
            now_ms=self.now_ms,
        )
        waits = Waits(rules=self.rules, queue_ms=100, retries=2, retry_ms=50)
        step = next_step(self.batch, self.settlement, waits, facts)
        for command in step.commands:
            self._apply(command)
        self.settlement = step.settlement
        self.wake_ms = step.wake_ms
        return not step.wake_ms

    def pump(self) -> None:
        """Settle what is covered, one by one."""
        for key, one in list(self.instructions.items()):
            if one.state == "QUEUED" and self.money[one.debit.owner] >= one.minor:
                self._settle(key)

    def _available(self, account: Account) -> int | None:
        assert account.ledger == MONEY_OF[self.cycle]
        return self.money.get(account.owner)

    def _apply(self, command: Command) -> None:
        match command:
            case Instruct():
                assert command.instruction_id not in self.instructions, "asked for twice"
                assert command.minor > 0
                self.instructions[command.instruction_id] = Instruction(
                    instruction_id=command.instruction_id,
                    sequence=len(self.instructions),
                    kind=command.kind,
                    subject=command.subject,
                    debit=command.debit,
                    credit=command.credit,
                    minor=command.minor,
                    linked=command.linked,
                    state="QUEUED",
                    queued_ms=command.at_ms,
                )
            case SettleInstructions():
                for key in command.instruction_ids:
                    self._settle(key)
                assert min(self.money.values()) >= 0, "a step takes what is not there"
            case DropInstructions():
                for key in command.instruction_ids:
                    assert self.instructions[key].state == "QUEUED"
                    self.instructions[key] = replace(self.instructions[key], state="DROPPED")
            case _:
                raise AssertionError(command)

    def _settle(self, key: str) -> None:
        one = self.instructions[key]
        assert one.state == "QUEUED"
        self.money[one.debit.owner] -= one.minor
        self.money[one.credit.owner] += one.minor
        for entry in one.linked:
            self._post(entry)
        self.instructions[key] = replace(one, state="SETTLED")

    def fail(self) -> str:
        """Let all waits pass."""
        self.run()
        while self.settlement.state == SETTLING and self.wake_ms:
            self.now_ms = self.wake_ms
            self.run()
        return self.settlement.state

    def ids(self, state: str = "SETTLED") -> list[str]:
        """Return what was settled, without the window's name."""
        window = self.batch.batch + ":"
        return [
            key.removeprefix(window) for key, one in self.instructions.items() if one.state == state
        ]

    def is_square(self) -> bool:
        """Tell whether every position is what its owner has of prefund, and the pool is empty."""
        positions = {
            code: minor
            for code, minor in self.positions.items()
            if code != "lbtr" and prefund_owner(code) in self.money
        }
        return self.money["settlement"] == 0 and all(
            minor == self.money[prefund_owner(code)] - self.first_prefunds[code]
            for code, minor in positions.items()
        )


def national(
    transfers: Sequence[Transfer],
    *,
    prefund: int = 1_000,
    current: int = 500,
    fund: int = 0,
) -> Books:
    codes = sorted({code for one in transfers for code in one[:2]})
    money = {prefund_owner(code): prefund for code in codes}
    money |= dict.fromkeys(codes, current)
    return Books(NATIONAL, transfers, {**money, "guarantee": fund})


def deferred(transfers: Sequence[Transfer], money: Mapping[str, int], fund: int = 0) -> Books:
    return Books(DEFERRED, transfers, {**money, "guarantee": fund})


def test_prefunds_pay_in_first_and_only_then_creditors_are_paid() -> None:
    books = national([("0001", "0002", 700), ("0002", "0003", 200)])

    books.step()
    assert books.ids() == ["in:0001"]
    assert books.money["settlement"] == 700
    assert books.run() == SETTLED

    assert books.ids() == ["in:0001", "out:0002", "out:0003"]
    assert books.money["0002:prefund"] == 1_500
    assert books.is_square()
    assert books.settlement.bearers == ()


def test_a_window_in_which_nobody_owes_settles_at_once() -> None:
    books = national([("0001", "0002", 700), ("0002", "0001", 700)])

    assert books.run() == SETTLED
    assert books.ids() == []


def test_what_the_prefund_lacks_is_topped_up_from_the_current_account() -> None:
    books = national([("0001", "0002", 700)], prefund=600)

    assert books.run() == SETTLED

    assert books.ids() == ["in:0001", "top:0001", "out:0002"]
    assert (books.money["0001:prefund"], books.money["0001"]) == (0, 400)
    assert books.is_square()


def test_nobody_is_paid_while_a_pay_in_waits_in_the_queue() -> None:
    books = national([("0001", "0002", 700), ("0003", "0002", 10)], prefund=100, current=0)

    assert books.run() == SETTLING

    assert books.ids() == ["in:0001", "in:0003"]
    assert books.ids("QUEUED") == ["top:0001"]
    assert books.settlement.rules_applied == ("queue",)
    assert books.wake_ms == 1_100

    books.money["0001"] += 600
    assert books.run() == SETTLED
    assert books.is_square()


def test_after_the_queue_it_is_tried_again_as_often_as_the_profile_says() -> None:
    books = national([("0001", "0002", 700)], prefund=100, current=0)
    books.run()
    looks = []
    while books.settlement.state == SETTLING and books.wake_ms:
        looks.append(books.wake_ms)
        books.now_ms = books.wake_ms
        books.run()

    assert looks == [1_100, 1_150, 1_200]
    assert books.settlement.rules_applied[:2] == ("queue", "retry")


def test_the_guarantee_fund_pays_for_who_cannot() -> None:
    books = national([("0001", "0002", 700)], prefund=100, current=0, fund=1_000)

    assert books.fail() == PARTIAL

    assert books.ids() == ["in:0001", "fund:0001", "out:0002"]
    assert books.ids("DROPPED") == ["top:0001"]
    assert books.money["guarantee"] == 400
    assert books.settlement.bearers == (
        Bearer(participant="0001", by="itself", failing="0001", minor=100),
        Bearer(participant="guarantee", by="guarantee_fund", failing="0001", minor=600),
    )
    assert books.is_square()


def test_what_the_fund_cannot_bear_is_shared_pro_rata_to_what_each_received() -> None:
    transfers = [("0001", "0002", 400), ("0001", "0003", 200), ("0001", "0004", 100)]
    books = national(transfers, prefund=0, current=0, fund=600)
    for code in ("0002", "0003", "0004"):
        books.money[code] = 100

    assert books.fail() == PARTIAL

    shared = {one.participant: one.minor for one in books.settlement.bearers if one.by != "itself"}
    assert shared == {"guarantee": 600, "0002": 57, "0003": 29, "0004": 14}
    assert books.settlement.rules_applied == ("queue", "retry", "guarantee_fund", "loss_sharing")
    assert books.is_square()


def test_a_survivor_without_money_is_left_out_of_the_sharing() -> None:
    books = national([("0001", "0002", 400), ("0001", "0003", 200)], prefund=0, current=0)
    books.money["0003"] = 600

    assert books.fail() == PARTIAL
    assert books.ids() == ["share:0003", "out:0002", "out:0003"]
    assert books.is_square()


def test_when_every_rule_is_exhausted_it_fails_and_what_was_paid_in_goes_back() -> None:
    books = national([("0001", "0002", 700), ("0003", "0002", 10)], prefund=100, current=0, fund=9)

    assert books.fail() == FAILED

    assert books.ids() == ["in:0001", "in:0003", "back:0001", "back:0003"]
    assert books.money["0001:prefund"] == books.money["0003:prefund"] == 100
    assert (books.money["settlement"], books.money["guarantee"]) == (0, 9)
    assert books.settlement.bearers == ()


def test_a_person_tries_again_under_new_ids_once_there_is_money() -> None:
    books = national([("0001", "0002", 700)], prefund=100, current=0)
    books.fail()

    books.settlement = again(books.settlement)
    books.money["0001"] = 600
    assert books.run() == SETTLED

    assert books.ids() == ["in:0001", "back:0001", "2:in:0001", "2:top:0001", "2:out:0002"]
    assert books.is_square()


def test_a_coops_sponsor_bears_what_the_coop_cannot_pay() -> None:
    money = {"0970": 5, "0970:prefund": 0, "0971": 5, "0971:prefund": 0, "0987": 10**15}
    books = Books(DALE, [("0970", "0971", 30), ("0970", "0987", 20)], money)

    assert books.fail() == PARTIAL

    assert books.ids() == ["part:0970", "share:0987", "out:0971", "out:0987"]
    assert books.settlement.bearers == (
        Bearer(participant="0970", by="itself", failing="0970", minor=5),
        Bearer(participant="0987", by="sponsor", failing="0970", minor=45),
    )
    assert books.money["0971:prefund"] == 30
    # The coop owes its sponsor now, not the network; the sponsor's mirror is even again.
    assert {code: books.positions[code] for code in ("0970", "0971", "0987")} == {
        "0970": 0,
        "0971": 30,
        "0987": 0,
    }


def test_an_exchange_cycle_settles_between_current_accounts_and_leaves_positions_even() -> None:
    books = deferred([("0001", "0002", 700)], {"0001": 700, "0002": 0})

    assert books.run() == SETTLED

    assert books.ids() == ["in:0001", "out:0002"]
    assert books.money["0002"] == 700
    # Together with the orders, which are posted now, every position is zero.
    assert (books.positions["0001"], books.positions["0002"]) == (700, -700)


def test_unwinding_gives_back_the_failing_participants_own_orders_and_settles_the_rest() -> None:
    transfers = [("0001", "0002", 700), ("0003", "0001", 50), ("0003", "0002", 5)]
    books = deferred(transfers, {"0001": 10, "0002": 0, "0003": 100}, fund=100)

    assert books.fail() == PARTIAL

    assert books.settlement.unwound == ("order-0",)
    assert books.settlement.round == 2
    assert books.ids() == ["in:0003", "back:0003", "2:in:0003", "2:out:0001", "2:out:0002"]
    left = {"0001": 60, "0002": 5, "0003": 45, "guarantee": 100, "settlement": 0}
    assert books.money == left
    assert books.settlement.bearers == (
        Bearer(participant="0001", by="unwound", failing="0001", minor=700),
    )


def test_a_return_in_the_window_stays_in_the_nets_when_others_are_unwound() -> None:
    books = deferred([("0001", "0002", 700), ("0003", "0002", 50)], {"0001": 10, "0003": 50})
    books.money["0002"] = 0
    books.orders.pop()  # The second is a return: posted, so no order holds it.

    assert books.fail() == PARTIAL

    assert books.settlement.nets == {"0001": 0, "0002": 50, "0003": -50}
    assert books.money == {"0001": 10, "0002": 50, "0003": 0, "guarantee": 0, "settlement": 0}


def test_who_owes_only_a_return_cannot_be_unwound_so_it_fails() -> None:
    books = deferred([("0001", "0002", 700)], {"0001": 10, "0002": 0})
    books.orders.clear()

    assert books.fail() == FAILED
    assert books.money == {"0001": 10, "0002": 0, "guarantee": 0, "settlement": 0}


def test_losses_are_shared_by_what_each_received_of_the_orders_that_are_left() -> None:
    transfers = [("0001", "0002", 900), ("0001", "0003", 90), ("0003", "0004", 90)]
    books = deferred(transfers, {"0001": 0, "0002": 500, "0003": 0, "0004": 500})
    books.rules = ("loss_sharing", "unwind")

    assert books.fail() == PARTIAL

    assert books.settlement.unwound == ("order-0", "order-1")
    assert books.settlement.bearers[1:] == (
        Bearer(participant="0004", by="loss_sharing", failing="0003", minor=90),
    )


def test_money_that_comes_to_the_prefund_while_a_top_up_waits_counts() -> None:
    books = national([("0001", "0002", 700)], prefund=100, current=0, fund=1_000)
    books.run()
    books.money["0001:prefund"] += 500
    books.money["0001"] += 100

    assert books.fail() == SETTLED

    assert books.ids() == ["in:0001", "more:0001", "part:0001", "out:0002"]
    assert books.ids("DROPPED") == ["top:0001"]
    assert books.money["guarantee"] == 1_000


def test_unwinding_goes_on_when_it_makes_another_participant_fail() -> None:
    transfers = [("0001", "0002", 700), ("0002", "0003", 600)]
    books = deferred(transfers, {"0001": 0, "0002": 0, "0003": 0})

    assert books.fail() == PARTIAL

    assert books.settlement.unwound == ("order-0", "order-1")
    assert books.settlement.round == 3
    assert books.positions == {}


def test_an_immediate_transfer_is_never_unwound() -> None:
    books = national([("0001", "0002", 700)], prefund=0, current=0)
    before = dict(books.positions)

    books.fail()

    assert books.settlement.unwound == ()
    assert books.positions == before


@pytest.mark.parametrize("minor", [1, 2, 99, 100, 101, 10**12 + 1])
def test_shares_leave_no_cent_over(minor: int) -> None:
    parts = shares(minor, {"0002": 1, "0003": 1, "0004": 1})

    assert sum(parts.values()) == minor
    assert max(parts.values()) - min(parts.values()) <= 1
    assert list(parts.values()) == sorted(parts.values(), reverse=True), "ties go by code"


_codes = st.sampled_from(("0001", "0002", "0003", "0004"))
_transfers = st.lists(
    st.tuples(_codes, _codes, st.integers(1, 500)).filter(lambda one: one[0] != one[1]),
    min_size=1,
    max_size=8,
)


@given(
    _transfers,
    st.integers(0, 300),
    st.integers(0, 300),
    st.integers(0, 500),
    st.sampled_from((NATIONAL, DEFERRED)),
)
def test_money_is_conserved_and_positions_agree_with_it_however_it_ends(
    transfers: list[Transfer], prefund: int, current: int, fund: int, cycle: str
) -> None:
    codes = {code for one in transfers for code in one[:2]}
    if cycle == NATIONAL:
        books = national(transfers, prefund=prefund, current=current, fund=fund)
    else:
        books = deferred(transfers, dict.fromkeys(codes, current), fund)
    total = sum(books.money.values())

    ended = books.fail()

    assert ended in (SETTLED, PARTIAL, FAILED)
    assert sum(books.money.values()) == total
    assert min(books.money.values()) >= 0
    assert books.money["settlement"] == 0
    if cycle == NATIONAL and ended != FAILED:
        assert books.is_square()
    if cycle == DEFERRED:
        assert ended != FAILED, "unwinding always ends"
        left = [one for one in books.orders if one.transfer_id not in books.settlement.unwound]
        for order in left:
            books._post(order.entries[0])
        assert {books.positions.get(code, 0) for code in codes} == {0}
