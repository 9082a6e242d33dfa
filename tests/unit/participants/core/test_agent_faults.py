"""What coverage does to messages, in a rehearsal."""

import random

from participants.core.agent_faults import Faults

# --- faults


def test_faults_come_at_their_rates_and_the_same_for_a_seed() -> None:
    sent = [bytes([one]) for one in range(200)]
    rates = {"duplicates": 0.1, "lose": 0.05, "shuffle": True}
    one, two = (Faults(random.Random(3), **rates) for _ in range(2))  # type: ignore[arg-type]
    assert one.spoil(sent) == two.spoil(sent) != sent
    assert (one.duplicated > 5, one.lost > 2, one.moved > 100) == (True, True, True)
    assert Faults(random.Random(3)).spoil(sent) == sent
