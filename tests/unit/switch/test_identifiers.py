"""No id is ever issued twice: composed ids, our own sequence, blocks, first and later starts."""

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from scheme.messages import AV1, CT1
from scheme.wire.tin_json import decode
from switch.identifiers import BLOCK, RANGES, DurableSequence, Issuer, Youngest, after_block
from switch.ports import StoredTransfer, TransferRow
from tests.support.switch_world import golden

ORDER = decode(golden("CT1-by-cci"), CT1)
QUERY = decode(golden("AV1-by-cci"), AV1)
COMPOSED = "2026011510161209704191000124"
BEFORE = datetime(2026, 1, 15, 15, 16, 11, tzinfo=UTC)
AFTER = datetime(2026, 1, 15, 15, 16, 13, tzinfo=UTC)


class Known:
    """A store that knows some ids."""

    def __init__(self, *ids: str) -> None:
        self.ids = set(ids)
        self.looks = 0

    def is_issued(self, instruction_id: str) -> bool:
        self.looks += 1
        return instruction_id in self.ids

    def greatest_issued(self) -> str:
        return max(self.ids, default="")

    def transfer(self, transfer_id: str) -> StoredTransfer | None:
        raise AssertionError(transfer_id)

    def transfer_by_key(self, key: str) -> StoredTransfer | None:
        raise AssertionError(key)

    def row_by_key(self, key: str) -> TransferRow | None:
        raise AssertionError(key)

    def verification(self, instruction_id: str) -> Any:
        raise AssertionError(instruction_id)

    def latest_verification(self, key: str) -> Any:
        raise AssertionError(key)


def an_issuer(
    *known: str,
    started: datetime = BEFORE,
    is_first_start: bool = True,
    own: int = 800_000,
    store: Known | None = None,
) -> Issuer:
    return Issuer(
        store or Known(*known),
        started=started,
        is_first_start=is_first_start,
        own=DurableSequence("own", own, lambda *_: None),
        cancellations=DurableSequence("cancellation", 900_000, lambda *_: None),
    )


def test_an_id_is_composed_of_what_the_sender_sent() -> None:
    assert an_issuer().for_order(ORDER) == COMPOSED
    assert an_issuer().for_query(QUERY) == "2026011510153009708191000123"


def test_an_id_on_record_is_not_issued_again() -> None:
    assert an_issuer(COMPOSED).for_order(ORDER) == COMPOSED[:-6] + "800000"
    taken = (COMPOSED, COMPOSED[:-6] + "800000", COMPOSED[:-6] + "800001")
    assert an_issuer(*taken).for_order(ORDER) == COMPOSED[:-6] + "800002"
    query = "2026011510153009708191000123"
    assert an_issuer(query).for_query(QUERY) == query[:-6] + "800000"


def test_an_id_younger_than_all_others_needs_no_look_at_the_disk() -> None:
    store = Known("2026011510161109704191000124")
    issuer = an_issuer(store=store)
    assert issuer.for_order(ORDER) == COMPOSED
    assert store.looks == 0


def test_an_id_older_than_what_is_on_record_is_looked_for_there() -> None:
    store = Known(COMPOSED, "2026011510161309704191000124")
    assert an_issuer(store=store).for_order(ORDER) == COMPOSED[:-6] + "800000"


def test_an_id_that_is_remembered_and_on_record_is_not_issued_again() -> None:
    store = Known()
    issuer = an_issuer(store=store)
    store.ids.add(issuer.for_order(ORDER))
    issuer.settled(COMPOSED)
    assert issuer.for_order(ORDER) == COMPOSED[:-6] + "800000"


def test_what_is_remembered_is_bounded_and_forgetting_proves_nothing_absent() -> None:
    youngest = Youngest("0100", size_max=4)
    taken = ["0105", "0101", "0104", "0102", "0103", "0099", "0108"]
    for one in taken:
        youngest.add(one)
        assert not any(youngest.is_free(other) for other in taken[: taken.index(one) + 1])
    assert not youngest.is_free("0100")
    assert youngest.is_free("0106")
    assert youngest.is_free("0109")


def test_an_id_whose_row_is_on_the_way_to_the_disk_is_not_issued_again() -> None:
    issuer = an_issuer()
    assert issuer.for_order(ORDER) != issuer.for_order(ORDER)
    issuer = an_issuer()
    issuer.hold(COMPOSED)
    assert issuer.for_order(ORDER) == COMPOSED[:-6] + "800000"


def test_an_order_first_seen_as_a_resend_gets_an_id_of_ours() -> None:
    resend = replace(ORDER, messageTypeId="0201")
    assert an_issuer().for_order(resend) == COMPOSED[:-6] + "800000"


@pytest.mark.parametrize(
    ("is_first_start", "started", "is_composed"),
    [(True, AFTER, True), (True, BEFORE, True), (False, BEFORE, True), (False, AFTER, False)],
)
def test_an_order_from_before_this_start_may_have_been_issued_unless_it_is_the_first(
    is_first_start: bool, started: datetime, is_composed: bool
) -> None:
    issuer = an_issuer(started=started, is_first_start=is_first_start)
    assert (issuer.for_order(ORDER) == COMPOSED) is is_composed


def test_an_order_of_no_moment_is_doubtful_after_the_first_start() -> None:
    impossible = replace(ORDER, creationDate="20260231")
    issuer = an_issuer(is_first_start=False)
    assert issuer.for_order(impossible).endswith("800000")


def test_a_query_of_an_earlier_start_keeps_its_id() -> None:
    issuer = an_issuer(started=AFTER, is_first_start=False)
    assert issuer.for_query(QUERY).endswith("000123")


def test_a_query_whose_moment_and_trace_others_share_takes_no_id_of_a_former_process() -> None:
    issuer = an_issuer(started=AFTER, is_first_start=False)
    assert issuer.for_query(QUERY, is_shared=True).endswith("800000")
    assert an_issuer().for_query(QUERY, is_shared=True).endswith("000123")


@pytest.mark.parametrize("name", sorted(RANGES))
def test_after_a_crash_a_sequence_goes_on_behind_all_it_ever_gave(name: str) -> None:
    first, last = RANGES[name]
    start = first
    seen: set[int] = set()
    for taken in (0, 1, BLOCK // 2 - 1, BLOCK // 2, BLOCK, BLOCK + 1):
        saved = [after_block(name, start)]  # Written at the start.
        sequence = DurableSequence(name, start, lambda _, at, saved=saved: saved.append(at))  # type: ignore[misc]
        # The newest mark may not have reached the disk for half a block.
        numbers = [sequence.take() for _ in range(taken)]
        assert not seen & set(numbers), f"{taken=}"
        seen |= set(numbers)
        assert all(first <= number <= last for number in numbers)
        start = saved[-1]


def test_a_mark_that_is_half_a_block_late_is_early_enough() -> None:
    saved = [after_block("own", 800_000)]
    sequence = DurableSequence("own", 800_000, lambda _, at: saved.append(at))
    for taken in range(1, 4 * BLOCK):
        number = sequence.take()
        is_on_its_way = taken % BLOCK >= BLOCK // 2
        on_disk = saved[-2] if is_on_its_way else saved[-1]
        assert number < on_disk, taken


def test_a_sequence_goes_round_within_its_range() -> None:
    first, last = RANGES["own"]
    sequence = DurableSequence("own", last, lambda *_: None)
    assert [sequence.take(), sequence.take()] == [last, first]
    assert first <= after_block("own", last) <= last
