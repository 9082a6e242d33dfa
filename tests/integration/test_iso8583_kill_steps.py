"""``kill -9`` of the switch at each step of a transfer between two cores, on real processes.

The moment is chosen by what has reached a core, never by time. Afterwards the debtor's repeat gets
the one true answer, and the books of ledger and core are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future

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
    silence,
)
from tests.support.scripted_country import CREDITOR, DEBTOR, OTHERWISE, LoneSwitch

ORDER, REVERSAL = "0200/40", "0420"
SOLES = 1_500
_VOLATILE = frozenset({"7", "64", "128"})
Strike = Callable[[LoneSwitch], None]


@pytest.fixture(scope="module")
def country(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoneSwitch]:
    home = tmp_path_factory.mktemp("kill-steps") / "home"
    with LoneSwitch(home, (DEBTOR, CREDITOR, OTHERWISE)) as country:
        yield country
        country.assert_reconciled()


@pytest.fixture
def debtor(country: LoneSwitch) -> ScriptedCore:
    return country.cores[DEBTOR]


@pytest.fixture
def creditor(country: LoneSwitch) -> Iterator[ScriptedCore]:
    core = country.cores[CREDITOR]
    core.heard.clear()
    yield core
    core.clear()
    core.refuses = ""
    country.assert_books_equal()


def unread(country: LoneSwitch) -> None:
    """The order has come, and nobody has read it."""
    country.freeze()


def unwritten(country: LoneSwitch) -> None:
    """The reservation does not reach the disk."""
    country.disk_full()


def asked(country: LoneSwitch) -> None:
    """The 0200 has left."""
    country.cores[CREDITOR].once(ORDER, country.kill_now)


def answered(country: LoneSwitch) -> None:
    """The 0210 has come, and nobody has read it."""
    country.cores[CREDITOR].once(ORDER, country.killed_unread)


def unposted(country: LoneSwitch) -> None:
    """The 0210 was read, and the posting does not reach the disk."""
    country.cores[CREDITOR].once(ORDER, country.answered_unwritten)


def reversal_asked(country: LoneSwitch) -> None:
    """The 0420 has left."""
    country.cores[CREDITOR].once(ORDER, silence)
    country.cores[CREDITOR].once(REVERSAL, country.kill_now)


def reversal_answered(country: LoneSwitch) -> None:
    """The 0430 has come, and nobody has read it."""
    country.cores[CREDITOR].once(ORDER, silence)
    country.cores[CREDITOR].once(REVERSAL, country.killed_unread)


def reversal_kept(country: LoneSwitch) -> None:
    """The 0430 was read, and striking off does not reach the disk."""
    country.cores[CREDITOR].once(ORDER, silence)
    country.cores[CREDITOR].once(REVERSAL, country.answered_unwritten)


NOT_ASKED: tuple[Strike, ...] = (unread, unwritten)
ASKED: tuple[Strike, ...] = (asked, answered, unposted)
REVERSED: tuple[Strike, ...] = (reversal_asked, reversal_answered, reversal_kept)


def struck(country: LoneSwitch, strike: Strike, order: Fields) -> None:
    """Send an order to a switch that ends over it, and start the switch anew."""
    debtor = country.cores[DEBTOR]
    strike(country)
    answer = debtor.order(order)
    if strike is unread:
        country.kill_now()
    ended(country, answer)


def ended(country: LoneSwitch, answer: Future[Fields]) -> None:
    """Wait for the end of the switch, and start it anew; nobody was told two things."""
    until(lambda: not country.runs(), "the switch ends")
    if not answer.done():
        with pytest.raises(LinkLost):
            answer.result(5)
    country.restart()


def told(debtor: ScriptedCore, order: Fields) -> Fields:
    """Return what an order's repeat is answered: the same at every repeat."""
    first, again = (debtor.ask(repeat_of(order)) for _ in range(2))
    assert _lasting(first) == _lasting(again)
    assert first["4"] == order["4"]
    return first


def _lasting(answer: Fields) -> Fields:
    return {key: value for key, value in answer.items() if key not in _VOLATILE}


@pytest.mark.parametrize("strike", NOT_ASKED)
def test_an_order_without_a_reservation_is_a_first_one_when_it_comes_again(
    country: LoneSwitch, debtor: ScriptedCore, creditor: ScriptedCore, strike: Strike
) -> None:
    order = debtor.transfer(CREDITOR, SOLES)

    struck(country, strike, order)

    assert creditor.types() == []
    answer = told(debtor, order)
    assert answer["39"] == "00"
    assert creditor.types() == ["0200"]
    assert country.state(private(answer)["01"]) == "CONFIRMED"
    assert debtor.ask(reversal_of(order))["39"] == "21"


@pytest.mark.parametrize("strike", ASKED)
def test_an_order_that_may_be_posted_is_expired_and_undone_once(
    country: LoneSwitch, debtor: ScriptedCore, creditor: ScriptedCore, strike: Strike
) -> None:
    before, order = creditor.balance, debtor.transfer(CREDITOR, SOLES)

    struck(country, strike, order)

    answer = told(debtor, order)
    assert answer["39"] not in ("00", "")
    until(lambda: country.state(private(answer)["01"]) == "CANCELLED", "undone")
    assert creditor.types() in (["0200", "0420"], ["0200", "0421"])
    assert creditor.balance == before
    assert debtor.ask(reversal_of(order))["39"] == "00"


def test_it_is_so_in_the_other_variant_with_another_mac_and_a_tpdu_too(
    country: LoneSwitch, debtor: ScriptedCore
) -> None:
    creditor, order = country.cores[OTHERWISE], debtor.transfer(OTHERWISE, SOLES)
    creditor.once(ORDER, country.killed_unread)

    ended(country, debtor.order(order))

    answer = told(debtor, order)
    assert answer["39"] not in ("00", "")
    until(lambda: country.state(private(answer)["01"]) == "CANCELLED", "undone")
    assert creditor.types() in (["0200", "0420"], ["0200", "0421"])
    assert creditor.balance == 0
    country.assert_books_equal()


@pytest.mark.parametrize(
    ("strike", "refusal", "state"),
    [*((strike, "", "CANCELLED") for strike in REVERSED), (reversal_answered, "57", "DISPUTED")],
)
def test_a_reversal_that_may_be_done_is_sent_again_and_done_once(
    country: LoneSwitch,
    debtor: ScriptedCore,
    creditor: ScriptedCore,
    strike: Strike,
    refusal: str,
    state: str,
) -> None:
    before, order = creditor.balance, debtor.transfer(CREDITOR, SOLES)
    creditor.refuses = refusal

    struck(country, strike, order)

    answer = told(debtor, order)
    assert answer["39"] not in ("00", "")
    until(lambda: country.state(private(answer)["01"]) == state, state)
    assert creditor.types() == ["0200", "0420", "0421"]
    assert creditor.balance == (before + SOLES if refusal else before)
    assert debtor.ask(reversal_of(order))["39"] == "00"


def test_a_posting_that_nobody_was_told_of_is_told_after_the_restart(
    country: LoneSwitch, debtor: ScriptedCore, creditor: ScriptedCore
) -> None:
    order, subject = an_order_without_its_debtor(creditor, debtor)
    until(lambda: country.state(subject) == "CONFIRMED", "posted")

    country.kill_now()
    debtor.dial_later()
    country.restart()

    answer = told(debtor, order)
    assert (answer["39"], private(answer)["01"]) == ("00", subject)
    assert creditor.types() == ["0200"]


def an_order_without_its_debtor(
    creditor: ScriptedCore, debtor: ScriptedCore, answers: bool = True
) -> tuple[Fields, str]:
    """Send an order whose debtor's core is gone before there is an answer."""

    def debtor_gone(answer: Fields, _: Link) -> Fields | None:
        debtor.hang_up()
        return answer if answers else None

    order = debtor.transfer(CREDITOR, SOLES)
    creditor.once(ORDER, debtor_gone)
    answer = debtor.order(order)
    with pytest.raises(LinkLost):
        answer.result(5)
    creditor.until(ORDER)
    return order, private(creditor.heard[-1].fields)["01"]


def test_a_debtors_core_that_comes_back_cannot_take_back_what_is_posted(
    country: LoneSwitch, debtor: ScriptedCore, creditor: ScriptedCore
) -> None:
    order, subject = an_order_without_its_debtor(creditor, debtor)
    until(lambda: country.state(subject) == "CONFIRMED", "posted")
    debtor.dial()

    for repeated in (False, True):
        answer = debtor.ask(reversal_of(order, repeated=repeated))
        assert (answer["t"], answer["39"]) == ("0430", "21")
        assert private(answer)["05"] == f"00{subject}"
    assert told(debtor, order)["39"] == "00"
    assert creditor.types() == ["0200"]


def test_a_debtors_core_that_comes_back_takes_an_open_order_back_once(
    country: LoneSwitch, debtor: ScriptedCore, creditor: ScriptedCore
) -> None:
    before = creditor.balance
    order, subject = an_order_without_its_debtor(creditor, debtor, answers=False)
    debtor.dial()

    answers = [debtor.ask(reversal_of(order, repeated=repeated)) for repeated in (False, True)]

    assert [one["39"] for one in answers] == ["00", "00"]
    until(lambda: country.state(subject) == "CANCELLED", "undone")
    assert creditor.types() == ["0200", "0420"]
    assert creditor.balance == before
    assert told(debtor, order)["39"] != "00"


@pytest.mark.parametrize("is_killed", [False, True])
def test_an_order_whose_reversal_came_first_is_refused_for_ever(
    country: LoneSwitch, debtor: ScriptedCore, creditor: ScriptedCore, is_killed: bool
) -> None:
    order = debtor.transfer(CREDITOR, SOLES)
    assert debtor.ask(reversal_of(order))["39"] == "25"
    if is_killed:
        country.kill_now()
        country.restart()

    answer = debtor.ask(order)

    assert answer["39"] not in ("00", "")
    assert _lasting(debtor.ask(repeat_of(order))) == _lasting(answer)
    assert debtor.ask(reversal_of(order, repeated=True))["39"] == "25"
    assert creditor.types() == []


def test_a_link_cut_before_the_answer_leads_to_one_reversal(
    country: LoneSwitch, debtor: ScriptedCore, creditor: ScriptedCore
) -> None:
    before, order = creditor.balance, debtor.transfer(CREDITOR, SOLES)
    creditor.once(ORDER, cut)

    answer = debtor.ask(order)

    assert answer["39"] not in ("00", "")
    until(lambda: country.state(private(answer)["01"]) == "CANCELLED", "undone")
    assert creditor.types() == ["0200", "0420"]
    assert creditor.balance == before
