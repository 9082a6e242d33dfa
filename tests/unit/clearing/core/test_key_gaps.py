"""Whether a key may be on disk: never a wrong no, and seldom a needless look."""

from bisect import bisect_left, bisect_right, insort

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearing.core import key_gaps
from clearing.core.key_gaps import ABOVE_ALL, KeyGaps


class Disk:
    """Keys on disk, and a memory of gaps that is asked first."""

    def __init__(self, *keys: str) -> None:
        self.keys = sorted(keys)
        self.gaps = KeyGaps()
        self.looks = 0

    def has(self, key: str) -> bool:
        if self.gaps.lacks(key):
            return False
        self.looks += 1
        place = bisect_left(self.keys, key)
        if place < len(self.keys) and self.keys[place] == key:
            return True
        if self.gaps.is_learning:
            above = self.keys[bisect_right(self.keys, key) :]
            self.gaps.learn(self.keys[place - 1] if place else "", above[0] if above else ABOVE_ALL)
        return False

    def add(self, key: str) -> None:
        insort(self.keys, key)
        self.gaps.add(key)


# Few letters, so that keys meet; some beyond what two bytes hold, to see that the order agrees.
_KEYS = st.text(alphabet="ab\u00f1\uffee\U0001f600", max_size=3)


@given(
    old=st.lists(_KEYS, unique=True),
    asked=st.lists(_KEYS, max_size=60),
    recent_max=st.integers(0, 4),
    gaps_max=st.integers(0, 4),
)
def test_a_key_on_disk_is_never_denied(
    old: list[str], asked: list[str], recent_max: int, gaps_max: int
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(key_gaps, "LEDGER_RECENT_KEYS_MAX", recent_max)
        patched.setattr(key_gaps, "LEDGER_GAPS_MAX", gaps_max)
        disk = Disk(*old)
        known = set(old)
        for key in asked:
            assert disk.has(key) == (key in known)
            if key not in known:
                known.add(key)
                disk.add(key)


def test_keys_that_grow_are_looked_up_once() -> None:
    disk = Disk("0970:1", "0971:5")
    for number in range(100):
        key = f"0970:2{number:03}"
        assert not disk.has(key)
        disk.add(key)
    assert disk.looks == 1
    assert disk.has("0970:2050")


def test_a_range_does_not_hold_its_ends() -> None:
    disk = Disk("a", "c")
    assert not disk.has("b")
    assert disk.has("a")
    assert disk.has("c")


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_gaps, "LEDGER_RECENT_KEYS_MAX", 10)
    disk = Disk()
    for number in range(100):
        key = f"{number:03}"
        assert not disk.has(key)
        disk.add(key)
    assert disk.looks == pytest.approx(100 / 11, abs=1)
    assert all(disk.has(f"{number:03}") for number in range(100))
