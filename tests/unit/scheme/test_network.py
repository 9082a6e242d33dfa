"""Fleets: every participant that cannot be is refused when the file is read, and named."""

import pytest

from scheme.errors import ConfigError
from scheme.network import Fleet

ONE = '[[participant]]\ncode = "0970"\nname = "X"\nkind = "coop"\n'


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ('code = "970"', "code: four digits"),
        ('code = "09701"', "code: four digits"),
        ('code = "٠٩٧٠"', "code: four digits"),
        ('name = ""', "name"),
        ('kind = "shop"', "kind: one of"),
        ("port = 65536", "port"),
        ("port = -1", "port"),
        ('lane = "smoke"', "lane: one of"),
        ('ledger = "moon"', "ledger: one of national"),
        ('ledger = "dale"', "sponsor: a coop of the network needs one"),
        ('ledger = "dale"\nsponsor = "0987"', "sponsor: 0987 is not in this file"),
        ('ledger = "dale"\nsponsor = "0970"', "sponsor: 0970 is a coop of the network itself"),
        ('sponsor = "0987"', "sponsor: only a coop"),
        ("line = { PEN = 5 }", "line: only a coop"),
        ('ledger = "dale"\nline = { PEN = -5 }', "line"),
        ("currencies = []", "currencies"),
        ('currencies = ["EUR"]', "currencies: one of PEN, USD"),
        ('currencies = ["PEN", "PEN"]', "currencies: named twice"),
        ("prefund = { PEN = -5 }", "prefund"),
        ('currencies = ["PEN"]\nprefund = { USD = 5 }', "prefund: one of PEN"),
        ('issues = "901"', "issues: four digits"),
        ('sponsor = "bank"', "sponsor: four digits"),
        ('directories = ["0901", "zzz"]', "directories: four digits"),
        ("customers = -1", "customers"),
        ('simulated = false\nurl = "ftp://x"', "url: starts with"),
        ('url = "http://127.0.0.1:9000"', "url: give simulated = false"),
        ('control_url = "127.0.0.1:9000"', "control_url: starts with"),
        ("behaviour = { latency_ms_median = -1.0 }", "latency_ms_median"),
        ("behaviour = { latency_sigma = nan }", "latency_sigma"),
        ('wire = { shape = "cubic" }', "wire"),
        ("surprise = 1", "surprise"),
    ],
)
def test_a_participant_that_cannot_be_is_refused_by_name(said: str, named: str) -> None:
    key = said.partition(" = ")[0]
    lines = [line for line in ONE.splitlines() if not line.startswith(f"{key} = ")]

    with pytest.raises(ConfigError, match=rf"^mine\.toml: .*{named}"):
        Fleet.parse("\n".join([*lines, said]), origin="mine.toml")


def test_two_participants_share_neither_code_nor_port() -> None:
    with pytest.raises(ConfigError, match="'0970': code: declared twice"):
        Fleet.parse(ONE + ONE)
    with pytest.raises(ConfigError, match="'0971': port: taken by 0970"):
        Fleet.parse(
            f"{ONE}port = 7200\n{ONE}port = 7200\n".replace("0970", "0971").replace(
                "0971", "0970", 1
            )
        )


SPONSOR = '[[participant]]\ncode = "0987"\nname = "S"\nkind = "sponsor"\n'


def test_codes_of_directories_and_sponsors_are_taken() -> None:
    said = 'directories = ["0901"]\nissues = "0901"\nprefund = { USD = 0 }\n'
    member = 'ledger = "dale"\nsponsor = "0987"\nline = { PEN = 7 }\n'
    coop = Fleet.parse(ONE + said + member + SPONSOR).by_code()["0970"]
    assert (coop.sponsor, coop.is_tiered, coop.line) == ("0987", True, {"PEN": 7})


def test_a_sponsor_holds_a_position_in_every_currency_of_its_coops() -> None:
    member = 'ledger = "dale"\nsponsor = "0987"\n'
    with pytest.raises(ConfigError, match="currencies: its sponsor 0987 holds no position in USD"):
        Fleet.parse(ONE + member + SPONSOR + 'currencies = ["PEN"]\n')


LANE = (
    '[[participant]]\ncode = "{code}"\nname = "X"\nkind = "coop"\nlane = "iso8583"\n'
    "iso8583 = {{ bins = {bins} }}\n"
)


@pytest.mark.parametrize(
    ("one", "other"),
    [("970975", "970975"), ("970975", "97097512"), ("97097512", "970975")],
)
def test_no_card_can_be_of_two_issuers(one: str, other: str) -> None:
    said = LANE.format(code="0975", bins=f'["{one}"]') + LANE.format(
        code="0976", bins=f'["970976", "{other}"]'
    )
    named = f"'0976': iso8583.bins: {other} and {one} of 0975 begin the same cards"
    with pytest.raises(ConfigError, match=named):
        Fleet.parse(said)


def test_an_issuer_may_have_cards_of_several_kinds() -> None:
    fleet = Fleet.parse(LANE.format(code="0975", bins='["970975", "97097512", "970976"]'))
    assert fleet.by_code()["0975"].iso8583.bins == ("970975", "97097512", "970976")
