"""The benchmark's own settings files."""

import tomllib
from pathlib import Path

import pytest

from loadtests.bench.local_country import FLEET
from loadtests.bench.settings_files import write_fleet, write_toml
from runtime.files import load_fleet


@pytest.mark.parametrize("jws", [False, True])
def test_the_fleet_answers_at_once_on_its_own_ports(tmp_path: Path, jws: bool) -> None:
    path = tmp_path / "fleet.toml"
    written = write_fleet(path, FLEET, range(20_000, 20_040), jws=jws)
    read = load_fleet(path)
    assert read == written
    assert [one.code for one in read.participant] == [
        one.code for one in load_fleet(FLEET).participant
    ]
    for one in read.participant:
        assert one.jws is jws
        assert one.behaviour.latency_ms_median == 0.0
        assert (one.port >= 20_000) is one.simulated


def test_whoever_speaks_on_another_lane_stays_away(tmp_path: Path) -> None:
    written = write_fleet(tmp_path / "f", FLEET, range(20_000, 20_040), jws=False, lanes=("tin",))
    kept = [one.code for one in load_fleet(FLEET).participant if one.lane == "tin"]
    assert [one.code for one in written.participant] == kept
    assert load_fleet(tmp_path / "f") == written


def test_settings_come_back_as_they_were(tmp_path: Path) -> None:
    settings = {"a": 'x"y\\z', "b": True, "c": 3, "d": 0.5, "e": ["p", "q"], "f": {"PEN": 1}}
    path = tmp_path / "x.toml"
    write_toml(path, settings)
    assert tomllib.loads(path.read_text()) == settings


def test_what_has_no_place_in_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="NoneType"):
        write_toml(tmp_path / "x.toml", {"a": None})
