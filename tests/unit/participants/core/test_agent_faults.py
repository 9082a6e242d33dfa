"""What coverage does to messages, in a rehearsal."""

import random

from participants.core.agent_book import (
    Entry,
)
from participants.core.agent_faults import Faults
from scheme.wire.agent_payload import (
    Operation,
)

# --- faults


def test_faults_come_at_their_rates_and_the_same_for_a_seed() -> None:
    sent = [bytes([one]) for one in range(200)]
    rates = {"duplicates": 0.1, "lose": 0.05, "shuffle": True}
    one, two = (Faults(random.Random(3), **rates) for _ in range(2))  # type: ignore[arg-type]
    assert one.spoil(sent) == two.spoil(sent) != sent
    assert (one.duplicated > 5, one.lost > 2, one.moved > 100) == (True, True, True)
    assert Faults(random.Random(3)).spoil(sent) == sent


def test_the_journal_of_a_verdict_names_what_was_made() -> None:
    operation = Operation(1, b"12345678", 1, 5, 0, "", "", 0, offline=True)
    assert (Entry(operation).seq, Entry(operation).is_settled) == (1, False)
