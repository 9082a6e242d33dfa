"""Profiles and fleets from files."""

from pathlib import Path

import pytest

from runtime.files import load_country, load_fleet, load_profile
from scheme.errors import ConfigError

ROOT = Path(__file__).resolve().parents[3]


def test_a_profile_is_found_by_its_name() -> None:
    assert load_profile("peru").name == "peru"


def test_a_profile_is_found_by_its_path(tmp_path: Path) -> None:
    text = (ROOT / "scheme" / "profiles" / "peru.toml").read_text()
    path = tmp_path / "mine.toml"
    path.write_text(text.replace('name = "peru"', 'name = "mine"'))
    assert load_profile(str(path)).name == "mine"


def test_an_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"'chile': unknown: one of .*peru"):
        load_profile("chile")


@pytest.mark.parametrize("name", ["../peru", "peru/", ""])
def test_a_name_is_no_way_out_of_the_folder(name: str) -> None:
    with pytest.raises(ConfigError, match="unknown"):
        load_profile(name)


def test_a_wrong_profile_names_its_file_and_key(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('name = "x"\nsurprise = 1\n')
    with pytest.raises(ConfigError, match=r"mine\.toml: .*surprise"):
        load_profile(str(path))


def test_our_own_fleet_can_be_read() -> None:
    fleet = load_fleet(ROOT / "participants" / "fleet.toml")
    assert "0970" in fleet.by_code()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"fleet\.toml: No such file"):
        load_fleet(tmp_path / "fleet.toml")


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "fleet.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"fleet\.toml: not UTF-8"):
        load_fleet(path)


ONE = '[[participant]]\ncode = "0985"\nname = "X"\nkind = "test"\nsimulated = false\n'


def test_a_certificate_that_is_not_there_is_named_before_anything_opens(tmp_path: Path) -> None:
    path = tmp_path / "fleet.toml"
    path.write_text(f'{ONE}certificate = "{tmp_path / "its.pem"}"\n')
    with pytest.raises(ConfigError, match=r"fleet\.toml: participant '0985': .*its\.pem: certif"):
        load_fleet(path)


def test_a_certificate_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "its.pem").write_text("nothing of the kind")
    path = tmp_path / "fleet.toml"
    path.write_text(f'{ONE}certificate = "{tmp_path / "its.pem"}"\n')
    with pytest.raises(ConfigError, match=r"0985.*its\.pem: certificate"):
        load_fleet(path)


def test_our_own_rules_fit_our_own_fleet() -> None:
    rules, fleet = load_country("peru", ROOT / "participants" / "fleet.toml")
    assert rules.name == "peru"
    assert fleet.participant


@pytest.mark.parametrize(
    ("key", "present", "absent"),
    [
        ("limits.tin_min", "tin_min = { PEN = 1, USD = 1 }", "tin_min = { PEN = 1 }"),
        (
            "limits.tin_max",
            "tin_max = { PEN = 3000000, USD = 1000000 }",
            "tin_max = { PEN = 3000000 }",
        ),
        (
            "settlement.charge_per_window",
            "charge_per_window = { PEN = 0, USD = 0 }",
            "charge_per_window = { PEN = 0 }",
        ),
        ("prefund.cap_minor", "cap_minor = { PEN = 0, USD = 0 }", "cap_minor = { PEN = 0 }"),
    ],
)
def test_rules_without_a_currency_of_the_fleet_are_refused(
    tmp_path: Path, key: str, present: str, absent: str
) -> None:
    text = (ROOT / "scheme" / "profiles" / "peru.toml").read_text()
    assert present in text
    rules, fleet = tmp_path / "rules.toml", tmp_path / "fleet.toml"
    rules.write_text(text.replace(present, absent))
    fleet.write_text(ONE)

    with pytest.raises(ConfigError, match=rf"rules\.toml: {key}: no value for USD"):
        load_country(str(rules), fleet)

    fleet.write_text(f'{ONE}currencies = ["PEN"]\n')
    assert load_country(str(rules), fleet)[1].participant
