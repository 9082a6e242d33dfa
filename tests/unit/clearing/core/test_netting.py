"""What a window comes to."""

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from clearing.core.netting import (
    BatchRefused,
    Charges,
    carried_balances,
    digest,
    disagreement,
    make_batch,
)
from scheme.batch import Batch, decode_batch, encode_batch
from scheme.ledger import Account
from scheme.standing import Tally
from tests.support.settlement_fakes import CLOSED_AT_MS, position_account, stand, tallies_of

NAMES = {"0002": "BANK", "0970": "COOP"}
Transfer = tuple[str, str, int]


def batch_of(
    tallies: list[Tally], *, carried: dict[str, int] | None = None, charges: Charges | None = None
) -> Batch:
    return make_batch(
        stand(),
        tallies,
        names=NAMES,
        carried=carried,
        charges=charges or Charges(),
        cut_off_ms=CLOSED_AT_MS,
        closed_ms=CLOSED_AT_MS + 2_000,
        next_window="national-PEN-20261124-1",
    )


def test_counts_values_and_nets_of_each_participant_are_in_the_batch() -> None:
    tallies = tallies_of([("0970", "0002", 700), ("0970", "0002", 50), ("0002", "0970", 200)])
    tallies[0] = replace(tallies[0], opening_minor=1_000, funded=1, funded_minor=30)

    batch = batch_of(tallies)

    row = batch.participants[0]
    assert (row.participant, row.name, row.net, row.new_opening) == ("0002", "BANK", 550, 1_580)
    assert (row.received.accepted.count, row.received.accepted.value) == (2, 750)
    assert (batch.gross.count, batch.gross.value, batch.net_sum) == (3, 950, 0)
    assert (batch.cut_off, batch.closed_at) == ("20261123163515", "20261123163517")


def test_fees_due_are_only_the_houses_own_charges() -> None:
    tallies = tallies_of([("0970", "0002", 700), ("0970", "0002", 50)])
    idle = Tally(window=stand().window, account=position_account("0003"))

    batch = batch_of([*tallies, idle], charges=Charges(per_transfer=3, per_window=100))

    fees = {row.participant: row.fees_due for row in batch.participants}
    assert fees == {"0002": 100, "0003": 0, "0970": 106}


def test_a_batch_is_the_same_bytes_whatever_the_order_of_its_tallies() -> None:
    tallies = tallies_of([("0970", "0002", 700), ("0003", "0970", 50)])

    one, other = batch_of(tallies), batch_of(tallies[::-1])

    assert encode_batch(one) == encode_batch(other)
    assert digest(one) == digest(other)
    assert decode_batch(encode_batch(one)) == one


def test_its_json_is_the_published_shape() -> None:
    shown = msgspec.json.decode(encode_batch(batch_of(tallies_of([("0970", "0002", 1)]))))

    assert list(shown) == [
        *("batch", "cycle", "ledger", "currency", "settlement_date", "number", "cut_off"),
        *("opened_at", "closed_at", "next_window", "participants", "gross", "net_sum"),
    ]
    assert shown["participants"][0]["sent"] == {
        "accepted": {"count": 0, "value": 0},
        "rejected": {"count": 0, "value": 0},
    }


def test_nets_that_do_not_sum_to_zero_are_refused() -> None:
    tallies = tallies_of([("0970", "0002", 700)])
    tallies[0] = replace(tallies[0], received_accepted_minor=699)

    with pytest.raises(BatchRefused, match="sum to -1"):
        batch_of(tallies)


def test_a_tally_of_another_window_is_refused() -> None:
    tallies = [replace(one, window="other") for one in tallies_of([("0970", "0002", 700)])]

    with pytest.raises(BatchRefused, match="other"):
        batch_of(tallies)


def test_sums_beyond_64_bits_are_refused() -> None:
    tallies = tallies_of([("0970", "0002", 2**62), ("0970", "0002", 2**62)])

    with pytest.raises(BatchRefused, match="64 bits"):
        batch_of(tallies)


def test_returns_are_in_the_next_opening_but_not_in_the_net() -> None:
    tallies = tallies_of([("0970", "0002", 700)])

    batch = batch_of(tallies, carried={"0002": 650, "0970": -650})

    row = batch.participants[0]
    assert (row.net, row.returns, row.new_opening) == (700, -50, 650)


def test_what_happened_in_later_windows_is_not_carried_into_the_next_opening() -> None:
    account = position_account("0002")
    later = tallies_of([("0970", "0002", 40)])

    assert carried_balances({account: 1_040}, later) == {"0002": 1_000}


def test_a_recount_that_agrees_says_nothing_and_one_that_differs_says_where() -> None:
    tallies = tallies_of([("0970", "0002", 700)])
    batch = batch_of(tallies)

    assert disagreement(batch, tallies) == ""
    moved = [replace(one, opening_minor=7) for one in tallies]
    assert disagreement(batch, moved) == "0002 opening: 0 in the batch, 7 recounted"
    false = replace(batch, participants=tuple(replace(one, net=9) for one in batch.participants))
    assert disagreement(false, tallies) == "0002 net: 9 in the batch, 700 recounted"
    rows = tuple(replace(one, new_opening=9) for one in batch.participants)
    assert disagreement(replace(batch, participants=rows), tallies).startswith("0002 new opening")
    wrong = [tallies[0], replace(tallies[1], sent_accepted=2)]
    assert disagreement(batch, wrong) == "0970 sent_accepted: 1 in the batch, 2 recounted"
    assert disagreement(batch, tallies[:1]).startswith("0970 sent_accepted")
    stranger = tallies_of([("0003", "0002", 1)])[1]
    assert disagreement(batch, [*tallies, stranger]) == "0003: recounted, but not in the batch"


_codes = st.sampled_from(("0002", "0003", "0009", "0970"))
_transfers = st.lists(
    st.tuples(_codes, _codes, st.integers(1, 10**12)).filter(lambda one: one[0] != one[1]),
    max_size=30,
)


@given(_transfers, st.integers(0, 2**31))
def test_nets_sum_to_zero_and_balances_carry_on_for_any_traffic(
    drawn: list[Transfer], seed: int
) -> None:
    chance = random.Random(seed)
    split = chance.randint(0, len(drawn))
    tallies, later = tallies_of(drawn[:split]), tallies_of(drawn[split:])
    balances: dict[Account, int] = {one.account: 0 for one in tallies}
    for debit, credit, minor in drawn:
        for code, moved in ((debit, -minor), (credit, minor)):
            if position_account(code) in balances:
                balances[position_account(code)] += moved

    batch = batch_of(tallies, carried=carried_balances(balances, later))

    assert sum(row.net for row in batch.participants) == 0
    assert all(row.returns == 0 for row in batch.participants)
    assert batch.gross.value == sum(one[2] for one in drawn[:split])
    assert disagreement(batch, tallies) == ""
