"""Cash without a card over real sockets: codes, machines that give out less, a killed switch."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scheme.wire.iso8583_spec import Fields
from tests.support.country import until
from tests.support.scripted_core import (
    Link,
    LinkLost,
    ScriptedCore,
    cut,
    private,
    repeat_of,
    reversal_of,
)
from tests.support.scripted_country import CARD, ISSUER, MACHINES, LoneSwitch

WITHDRAWAL, REVERSAL = "0200/01", "0420"
SOLES = 10_000
CODE_S = 0.2
PHONES = (f"9000003{number:02}" for number in itertools.count())
Strike = Callable[[LoneSwitch, Fields], None]


@pytest.fixture(scope="module")
def country(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoneSwitch]:
    home = tmp_path_factory.mktemp("cash-kill") / "home"
    rules = {"iso8583": {"cash_answer_s": 0.6}}
    with LoneSwitch(home, (ISSUER, MACHINES), rules=rules) as country:
        yield country
        country.assert_reconciled()


@pytest.fixture
def machines(country: LoneSwitch) -> ScriptedCore:
    return country.cores[MACHINES]


@pytest.fixture
def issuer(country: LoneSwitch) -> Iterator[ScriptedCore]:
    core = country.cores[ISSUER]
    core.heard.clear()
    yield core
    core.clear()
    core.refuses = ""
    country.assert_books_equal()


def a_code(country: LoneSwitch) -> tuple[str, str]:
    phone = next(PHONES)
    return phone, country.issue_code(phone, SOLES, key=phone)


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10 ** len(code):0{len(code)}}"


def test_a_code_gives_cash_once(
    country: LoneSwitch, machines: ScriptedCore, issuer: ScriptedCore
) -> None:
    phone, code = a_code(country)
    before = issuer.balance
    order = machines.withdrawal(SOLES, phone=phone, code=code)

    answers = [machines.ask(order), machines.ask(repeat_of(order))]
    second = machines.ask(machines.withdrawal(SOLES, phone=phone, code=code))

    assert [one["39"] for one in answers] == ["00", "00"]
    assert second["39"] not in ("00", "")
    assert issuer.balance == before - SOLES
    assert issuer.types() == ["0200"]


def test_three_wrong_codes_void_it(
    country: LoneSwitch, machines: ScriptedCore, issuer: ScriptedCore
) -> None:
    phone, code = a_code(country)

    said = [
        machines.ask(machines.withdrawal(SOLES, phone=phone, code=typed))["39"]
        for typed in (wrong(code), wrong(code), wrong(code), code)
    ]

    assert said[:2] == ["55", "55"]
    assert said[2] in ("55", "75")
    assert said[3] == "75"
    assert issuer.types() == []


def test_attempts_are_counted_across_a_killed_switch(
    country: LoneSwitch, machines: ScriptedCore, issuer: ScriptedCore
) -> None:
    phone, code = a_code(country)
    for _ in range(2):
        machines.ask(machines.withdrawal(SOLES, phone=phone, code=wrong(code)))
    country.kill_now()
    country.restart()
    machines.ask(machines.withdrawal(SOLES, phone=phone, code=wrong(code)))

    assert machines.ask(machines.withdrawal(SOLES, phone=phone, code=code))["39"] == "75"
    assert issuer.types() == []


def test_an_expired_code_gives_nothing(tmp_path: Path) -> None:
    rules = {"cash": {"code_s": CODE_S}}
    with LoneSwitch(tmp_path / "home", (ISSUER, MACHINES), rules=rules) as country:
        phone, code = a_code(country)
        time.sleep(CODE_S + 0.05)  # The switch is a process of its own, with its own clock.
        machines = country.cores[MACHINES]

        answer = machines.ask(machines.withdrawal(SOLES, phone=phone, code=code))

        assert answer["39"] == "54"
        assert country.cores[ISSUER].types() == []


def unread(country: LoneSwitch, reversal: Fields) -> None:
    """The 0420 has come, and nobody has read it."""
    country.freeze()
    country.cores[MACHINES].say(reversal)
    country.kill_now()


def unwritten(country: LoneSwitch, reversal: Fields) -> None:
    """The 0420 was read, and what goes back does not reach the disk."""
    country.disk_full()
    country.cores[MACHINES].say(reversal)


def untold(country: LoneSwitch, reversal: Fields) -> None:
    """What goes back is on disk and asked of the issuer; the machine was told nothing."""
    machines, issuer = country.cores[MACHINES], country.cores[ISSUER]

    def strike(_: Fields, __: Link) -> None:
        machines.hang_up()
        country.kill_now()

    issuer.once(REVERSAL, strike)
    machines.say(reversal)


def undone(country: LoneSwitch, reversal: Fields) -> None:
    """The issuer has said that it gave back, and nobody has read it."""
    country.cores[ISSUER].once(REVERSAL, country.killed_unread)
    country.cores[MACHINES].say(reversal)


STRIKES: tuple[Strike, ...] = (unread, unwritten, untold, undone)


@pytest.mark.parametrize("dispensed", [None, 4_000])
def test_what_was_not_dispensed_goes_back_once(
    country: LoneSwitch, machines: ScriptedCore, issuer: ScriptedCore, dispensed: int | None
) -> None:
    before = issuer.balance
    phone, code = a_code(country)
    order = machines.withdrawal(SOLES, phone=phone, code=code)
    subject = private(machines.ask(order))["01"]

    for repeated in (False, True):
        reversal = reversal_of(order, dispensed=dispensed, repeated=repeated)
        assert machines.ask(reversal)["39"] == "00"

    issuer.until(REVERSAL)
    assert given(country, subject) == (dispensed or 0)
    assert issuer.balance == before - (dispensed or 0)
    assert issuer.types() == ["0200", "0420"]


def given(country: LoneSwitch, subject: str) -> int:
    found = country.transfer(subject)
    assert found["withdrawal"]["state"] == "APPROVED"
    return int(found["withdrawal"]["dispensed"])


@pytest.mark.parametrize(
    ("strike", "dispensed"), [*((strike, 4_000) for strike in STRIKES), (untold, None)]
)
def test_a_switch_killed_over_a_reversal_gives_back_once(
    country: LoneSwitch,
    machines: ScriptedCore,
    issuer: ScriptedCore,
    strike: Strike,
    dispensed: int | None,
) -> None:
    before = issuer.balance
    order = machines.withdrawal(SOLES, card=CARD)
    subject = private(machines.ask(order))["01"]
    strike(country, reversal_of(order, dispensed=dispensed))
    until(lambda: not country.runs(), "the switch ends")
    machines.dial_later()
    country.restart()

    again = reversal_of(order, dispensed=dispensed, repeated=True)
    answers = [machines.ask(again), machines.ask(again)]

    assert [one["39"] for one in answers] == ["00", "00"]
    country.operations.wait_until_quiet(10)
    assert given(country, subject) == (dispensed or 0)
    until(lambda: issuer.balance == before - (dispensed or 0), "given back")
    assert set(issuer.types()[1:]) <= {"0420", "0421"}
    assert machines.ask(repeat_of(order))["39"] == "00"


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_withdrawal_whose_issuer_stays_silent_is_undone(
    country: LoneSwitch, machines: ScriptedCore, issuer: ScriptedCore, is_killed: bool
) -> None:
    before = issuer.balance
    phone, code = a_code(country)
    order = machines.withdrawal(SOLES, phone=phone, code=code)
    if is_killed:
        issuer.once(WITHDRAWAL, country.killed_unread)
        with pytest.raises(LinkLost):
            machines.ask(order)
        country.restart()
    else:
        issuer.once(WITHDRAWAL, cut)

    answer = machines.ask(repeat_of(order) if is_killed else order)

    assert answer["39"] not in ("00", "")
    until(lambda: country.state(private(answer)["01"]) == "CANCELLED", "undone")
    assert issuer.balance == before
    assert issuer.count(REVERSAL) == 1


def test_an_issuer_that_keeps_what_was_not_dispensed_is_a_dispute(
    country: LoneSwitch, machines: ScriptedCore, issuer: ScriptedCore
) -> None:
    order = machines.withdrawal(SOLES, card=CARD)
    subject = private(machines.ask(order))["01"]
    issuer.refuses = "57"

    assert machines.ask(reversal_of(order, dispensed=4_000))["39"] == "00"

    until(lambda: country.state(subject) == "DISPUTED_POSTED", "disputed")
    assert subject in country.call("stuck").stdout
