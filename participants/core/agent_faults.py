"""What coverage does to messages, for rehearsals: it doubles, reorders and swallows them."""

import random
from collections.abc import Sequence


class Faults:
    """Spoils what a terminal sends; the same seed spoils it the same way.

    Args:
        chance: where the chance comes from.
        duplicates, lose: shares of the payloads, from 0 to 1.
        shuffle: whether payloads that leave together change places.
    """

    def __init__(
        self,
        chance: random.Random,
        *,
        duplicates: float = 0.0,
        lose: float = 0.0,
        shuffle: bool = False,
    ) -> None:
        self._chance = chance
        self._duplicates = duplicates
        self._lose = lose
        self._shuffle = shuffle
        self.duplicated = 0
        self.lost = 0
        self.moved = 0

    def spoil(self, payloads: Sequence[bytes]) -> list[bytes]:
        """Return what of some payloads comes through, in the order it does."""
        through: list[bytes] = []
        for payload in payloads:
            if self._chance.random() < self._lose:
                self.lost += 1
                continue
            through.append(payload)
            if self._chance.random() < self._duplicates:
                self.duplicated += 1
                through.append(payload)
        if self._shuffle:
            before = list(through)
            self._chance.shuffle(through)
            self.moved += sum(one is not two for one, two in zip(before, through, strict=True))
        return through
