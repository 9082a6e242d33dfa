"""The desk of the ISO 8583 lane: repeats first, one exchange for each key, no guessed outcome."""

import asyncio

import pytest

from scheme.clock import from_ms
from scheme.wire.iso8583_spec import Fields
from switch.core import rules
from switch.core.cash import CashAnswer
from switch.core.iso8583_requests import key_of
from switch.flight import (
    NotAccepting,
    Reversal,
    ReversalOutcome,
    UnknownOutcome,
)
from tests.support.iso8583_bench import FLEET, ORDERED, VERIFIED, Bench, result
from tests.support.iso8583_mapping import (
    ACQUIRER,
    BANK,
    CORE,
    NOW,
    OTHER_CORE,
    a_deposit,
    a_reversal,
    a_transfer,
    a_verification,
    account,
    any_transfer,
    changed,
    tags,
)

BY_ALIAS = {"01": "0901", "02": "P", "03": "900000202"}


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_transfer_between_cores_is_ordered_at_once(bench: Bench) -> None:
    answer = await bench.ask(a_transfer())

    ((ct1, entered),) = bench.orders.taken
    assert not bench.queries.asked
    assert not bench.tasks
    assert (answer["t"], answer["39"], tags(answer)) == ("0210", "00", {"01": ORDERED})
    assert (ct1.creditorParticipantCode, entered.binding.creditor_agent) == (OTHER_CORE,) * 2
    assert entered.key == key_of(a_transfer(), FLEET[CORE], NOW)
    assert from_ms(entered.binding.created_ms) == NOW


@pytest.mark.parametrize(
    "fields", [a_transfer(de103=account(BANK)), a_transfer(BY_ALIAS, de103="")]
)
async def test_a_transfer_to_another_wire_is_verified_first(bench: Bench, fields: Fields) -> None:
    answer = await bench.ask(fields)

    ((ct1, entered),) = bench.orders.taken
    assert len(bench.queries.asked) == 1
    assert answer["39"] == "00"
    assert (ct1.referenceTransactionId, entered.binding.instruction_id) == (VERIFIED, VERIFIED)
    assert (ct1.creditorCCI, ct1.sameCustomerFlag) == (account(BANK), "O")
    assert rules.binding_agrees(ct1, entered.binding) is None


async def test_a_core_is_verified_first_where_an_alias_names_its_member(bench: Bench) -> None:
    await bench.ask(a_transfer({"01": OTHER_CORE, "02": "P", "03": "900000202"}))

    assert len(bench.queries.asked) == 1


async def test_an_earlier_verification_is_quoted_and_not_asked_again(bench: Bench) -> None:
    found = await bench.ask(a_verification(de11="000123"))
    quoted = tags(found)["01"]

    answer = await bench.ask(a_transfer({"10": quoted}, de103=""))

    assert len(bench.queries.asked) == 1
    assert answer["39"] == "00"
    assert bench.orders.taken[0][0].referenceTransactionId == quoted


@pytest.mark.parametrize("stranger", [True, False])
async def test_an_unknown_verification_is_refused(bench: Bench, stranger: bool) -> None:
    if stranger:
        await bench.ask(a_verification(de32=OTHER_CORE))
    answer = await bench.ask(a_transfer({"10": VERIFIED}, de103=""))

    assert answer["39"] == "25"
    assert tags(answer)["03"] == "BE15"
    assert tags(answer)["04"].startswith("DE48.10: ")
    assert not bench.orders.taken


async def test_a_deposit_is_an_order_of_the_acquirer(bench: Bench) -> None:
    answer = await bench.ask(a_deposit())

    ((ct1, _),) = bench.orders.taken
    assert (answer["39"], ct1.debtorParticipantCode) == ("00", ACQUIRER)


async def test_a_verification_moves_nothing(bench: Bench) -> None:
    answer = await bench.ask(a_verification())

    assert (answer["39"], answer["103"]) == ("00", account(BANK))
    assert tags(answer, "48")["08"]
    assert not bench.orders.taken


@pytest.mark.parametrize("seed", range(30))
async def test_a_repeat_gets_the_same_answer_and_moves_nothing(bench: Bench, seed: int) -> None:
    fields = any_transfer(seed)
    bench.orders.refusal = rules.OVERLOADED if seed % 3 == 0 else None
    first = await bench.ask(fields | {"t": "0200"})

    again = await bench.ask(fields | {"t": "0201"})

    assert again == first
    assert len(bench.orders.taken) == 1


async def test_a_known_key_with_other_content_is_refused(bench: Bench) -> None:
    await bench.ask(a_transfer())

    answer = await bench.ask(a_transfer(de4="000000012501", t="0201"))

    assert (answer["39"], tags(answer)["03"]) == ("94", "AM05")
    assert tags(answer)["04"].startswith("DE11: ")
    assert len(bench.orders.taken) == 1


async def test_a_refused_verification_refuses_the_transfer_for_good(bench: Bench) -> None:
    bench.queries.refusal = rules.UNKNOWN_ALIAS
    refused = await bench.ask(a_transfer(BY_ALIAS, de103=""))
    bench.queries.refusal = None

    answer = await bench.ask(a_transfer(BY_ALIAS, de103="", t="0201"))

    assert (refused["39"], tags(refused)["03"]) == ("56", "CH11")
    assert tags(refused)["04"].startswith("DE48.03: ")
    assert answer == refused
    assert not bench.orders.taken


async def test_a_directory_that_is_away_refuses_for_good_and_says_so(bench: Bench) -> None:
    bench.queries.refusal = rules.DIRECTORY_AWAY
    verified = await bench.ask(a_verification(BY_ALIAS, de103=""))
    refused = await bench.ask(a_transfer(BY_ALIAS, de103=""))
    bench.queries.refusal = None

    answer = await bench.ask(a_transfer(BY_ALIAS, de103="", t="0201"))

    assert answer == refused
    assert (refused["39"], tags(refused)["03"]) == ("57", "FF07")
    assert tags(refused)["04"] == "message: the directory could not be read; send a new request"
    # A verification is not kept: there a repeat may well be answered otherwise.
    assert tags(verified)["04"].endswith("try again")
    assert (await bench.ask(a_verification(BY_ALIAS, de103="", t="0201")))["39"] == "00"


async def test_an_overloaded_verifier_states_no_outcome(bench: Bench) -> None:
    bench.queries.refusal = rules.OVERLOADED
    fields = a_transfer(BY_ALIAS, de103="")
    assert await bench.desk.handle(FLEET[CORE], fields) is None
    bench.queries.refusal = None

    answer = await bench.ask(fields | {"t": "0201"})

    assert answer["39"] == "00"


@pytest.mark.parametrize(
    ("parties", "elements", "named"),
    [
        (BY_ALIAS, {"de103": account(BANK, 2)}, "DE103"),
        ({"10": VERIFIED}, {"de103": account(BANK, 2)}, "DE103"),
        ({"10": VERIFIED, "02": "P", "03": "900000303"}, {"de103": ""}, "DE48.03"),
        ({"10": VERIFIED, "01": BANK, "02": "Q", "03": "x"}, {"de103": ""}, "DE48.03"),
    ],
)
@pytest.mark.parametrize("first", [a_verification(), a_verification(BY_ALIAS, de103="")])
async def test_whoever_is_named_twice_is_one_or_nobody_is_paid(
    bench: Bench, first: Fields, parties: dict[str, str], elements: dict[str, str], named: str
) -> None:
    assert (await bench.ask(first | {"11": "000200"}))["39"] == "00"

    answer = await bench.ask(a_transfer(parties, **elements))

    assert (answer["39"], tags(answer)["03"]) == ("30", "FF02")
    assert tags(answer)["04"].startswith(f"{named}: ")
    assert not bench.orders.taken


@pytest.mark.parametrize("parties", [BY_ALIAS, {"10": VERIFIED} | BY_ALIAS])
async def test_a_payee_may_be_named_twice(bench: Bench, parties: dict[str, str]) -> None:
    first = a_verification(BY_ALIAS, de103="", de11="000200")
    assert (await bench.ask(first))["103"] == account(BANK)

    answer = await bench.ask(a_transfer(parties, de103=account(BANK)))

    assert answer["39"] == "00"
    assert len(bench.orders.taken) == 1


async def test_a_verification_that_names_two_payees_is_refused(bench: Bench) -> None:
    answer = await bench.ask(a_verification(BY_ALIAS, de103=account(BANK, 2)))

    assert (answer["39"], tags(answer)["04"].partition(":")[0]) == ("30", "DE103")


@pytest.mark.parametrize("verifying", [True, False])
@pytest.mark.parametrize(
    ("element", "value"), [("de4", "000000000001"), ("de49", "840"), ("de13", "0116")]
)
async def test_a_reversal_is_of_its_original_or_names_what_differs(
    bench: Bench, verifying: bool, element: str, value: str
) -> None:
    bench.queries.gate = asyncio.Event()
    original = a_transfer(de103=account(BANK)) if verifying else a_transfer()
    sent = bench.start(original)
    await settle()

    answer = await bench.ask(a_reversal(original, **{element: value}))

    if element == "de13":
        # Of its own day, after midnight: DE90 says when the original was sent.
        assert bench.orders.reversed == [(key_of(original, FLEET[CORE], NOW), CORE)]
        assert answer["13"] == value
    else:
        assert (answer["39"], tags(answer)["03"]) == ("30", "FF02")
        assert tags(answer)["04"].startswith(f"{element.upper()}: ")
        assert not bench.orders.reversed
    bench.queries.gate.set()
    await sent


async def test_a_reversal_of_what_never_came_is_remembered_for_either_day(bench: Bench) -> None:
    original = a_transfer()

    answer = await bench.ask(a_reversal(original, de13="0116"))

    assert answer["39"] == "25"
    keys = [key_of(original | {"13": day}, FLEET[CORE], NOW) for day in ("0115", "0116")]
    assert bench.orders.reversed == [(key, CORE) for key in keys]


async def test_repeats_join_the_one_that_is_being_verified(bench: Bench) -> None:
    bench.queries.gate = asyncio.Event()
    fields = a_transfer(de103=account(BANK))
    asked = [bench.start(fields), bench.start(fields | {"t": "0201"}), bench.start(fields)]
    await settle()
    other = await bench.ask(a_transfer(de103=account(BANK), de4="000000000001"))
    bench.queries.gate.set()

    answers_ = await asyncio.gather(*asked)

    assert answers_[0] is not None
    assert answers_[0]["39"] == "00"
    assert answers_[1:] == answers_[:1] * 2
    assert (other["39"], tags(other)["03"]) == ("94", "AM05")
    assert len(bench.queries.asked) == len(bench.orders.taken) == 1


async def test_a_client_that_goes_away_changes_nothing(bench: Bench) -> None:
    bench.queries.gate = asyncio.Event()
    fields = a_transfer(de103=account(BANK))
    gone = bench.start(fields)
    await settle()
    gone.cancel()
    await settle()
    bench.queries.gate.set()
    await settle()

    answer = await bench.ask(fields | {"t": "0201"})

    assert gone.cancelled()
    assert answer["39"] == "00"
    assert len(bench.queries.asked) == len(bench.orders.taken) == 1


@pytest.mark.parametrize("fields", [a_transfer(), a_transfer(de103=account(BANK))])
@pytest.mark.parametrize("part", ["orders", "queries"])
async def test_an_unknown_outcome_is_not_answered(bench: Bench, fields: Fields, part: str) -> None:
    getattr(bench, part).error = UnknownOutcome("the disk")

    answer = await bench.desk.handle(FLEET[CORE], fields)

    is_asked = part == "orders" or fields["103"] == account(BANK)
    assert (answer is None) is is_asked
    assert not bench.desk._verifying


async def test_a_bug_while_verifying_is_not_answered(bench: Bench) -> None:
    bench.queries.error = RuntimeError("a bug")

    assert await bench.desk.handle(FLEET[CORE], a_transfer(de103=account(BANK))) is None
    assert not bench.desk._verifying


@pytest.mark.parametrize("fields", [a_transfer(), a_transfer(de103=account(BANK))])
async def test_a_stopping_house_states_no_outcome(bench: Bench, fields: Fields) -> None:
    bench.orders.error = NotAccepting()

    assert await bench.desk.handle(FLEET[CORE], fields) is None


async def test_the_routers_refusal_is_told_by_element(bench: Bench) -> None:
    bench.orders.refusal = rules.Refusal("AC01", "creditor_refused", "creditorCCI", "refused")

    answer = await bench.ask(a_transfer())

    assert answer["39"] == "14"
    assert tags(answer) == {"01": ORDERED, "03": "AC01", "04": "DE103: refused"}


@pytest.mark.parametrize(
    ("fields", "code", "element"),
    [
        (a_transfer(de3="990000"), "57", "DE3"),
        (a_transfer(de3=""), "30", "DE3"),
        (a_transfer(de4=""), "30", "DE4"),
        (a_transfer(de13=""), "30", "DE13"),
        (a_transfer(de102=""), "30", "DE102"),
        (a_transfer(de32="0976"), "58", "DE32"),
        (a_transfer({"04": ""}), "30", "DE48.04"),
        (a_transfer(de48="04999x"), "30", "DE48.04"),
        (a_transfer({"04": ""}, de103=account(BANK)), "30", "DE48.04"),
        (a_transfer({"01": BANK, "02": "P", "03": "9"}, de49="840"), "30", "DE49"),
        (a_transfer(de4="000000000000"), "13", "DE4"),
        (a_transfer(de4="000000000000", de103=account(BANK)), "13", "DE4"),
        (a_reversal(a_transfer(), de90=""), "30", "DE90"),
        (a_reversal(a_transfer(), de90="0" * 42), "30", "DE90"),
        (a_reversal(a_transfer(), de3="990000"), "57", "DE3"),
    ],
)
async def test_every_refusal_names_its_element(
    bench: Bench, fields: Fields, code: str, element: str
) -> None:
    answer = await bench.desk.handle(FLEET[CORE], fields)

    assert answer is not None
    assert answer["39"] == code
    assert len(tags(answer)["03"]) == 4
    assert tags(answer)["04"].startswith(f"{element}: ")
    assert not bench.orders.taken


async def test_the_acquirer_may_be_filled_up_with_zeros(bench: Bench) -> None:
    answer = await bench.desk.handle(FLEET[CORE], a_transfer(de32=f"{CORE:0>11}"))

    assert answer is not None
    assert (answer["39"], answer["32"]) == ("00", f"{CORE:0>11}")
    assert bench.orders.taken[0][1].key == key_of(a_transfer(), FLEET[CORE], NOW)


@pytest.mark.parametrize(
    ("kind", "asked"), [("010000", "withdraw"), ("310000", "enquire"), ("380000", "enquire")]
)
async def test_cash_and_what_accounts_hold_are_the_cash_desks(
    bench: Bench, kind: str, asked: str
) -> None:
    bench.cash.answer = CashAnswer(
        response_code="00", subject="W1", auth="A1B2C3", extra={"54": "9"}
    )
    fields = changed(a_transfer(de32=ACQUIRER, de103=""), de3=kind, de2="9709750000000001")

    answer = await bench.ask(fields)

    assert bench.cash.asked == [asked]
    assert (answer["39"], answer["38"], answer["54"]) == ("00", "A1B2C3", "9")


async def test_a_refused_withdrawal_says_why(bench: Bench) -> None:
    bench.cash.answer = CashAnswer(response_code="55", reason="FF07", rule="DE48.30: wrong")
    fields = changed(a_transfer(de32=ACQUIRER, de103=""), de3="010000")

    answer = await bench.ask(fields)

    assert (answer["39"], tags(answer)) == ("55", {"03": "FF07", "04": "DE48.30: wrong"})
    assert "38" not in answer


@pytest.mark.parametrize(
    ("outcome", "code", "original"),
    [
        (ReversalOutcome.POSTED, "21", "00" + ORDERED),
        (ReversalOutcome.UNDONE, "00", "57" + ORDERED),
        (ReversalOutcome.REFUSED, "00", "57" + ORDERED),
        (ReversalOutcome.UNKNOWN, "25", None),
    ],
)
@pytest.mark.parametrize("kind", ["0420", "0421"])
async def test_a_reversal_is_told_its_outcome(
    bench: Bench, outcome: ReversalOutcome, code: str, original: str | None, kind: str
) -> None:
    was = result("00", None) if outcome is ReversalOutcome.POSTED else result("05", "DS24")
    bench.orders.reversal = Reversal(outcome, ORDERED, was)

    answer = await bench.ask(a_reversal(a_transfer(), t=kind))

    assert (answer["t"], answer["39"]) == ("0430", code)
    assert tags(answer).get("05") == original
    assert ("03" in tags(answer)) is (code != "00")
    assert bench.orders.reversed == [(key_of(a_transfer(), FLEET[CORE], NOW), CORE)]


async def test_a_reversal_of_cash_is_the_cash_desks(bench: Bench) -> None:
    bench.cash.reversal = CashAnswer(response_code="00", subject="W1", auth="A1B2C3")

    answer = await bench.ask(a_reversal(changed(a_transfer(de32=ACQUIRER), de3="010000")))

    assert (answer["t"], answer["39"], tags(answer)) == ("0430", "00", {"01": "W1"})
    assert "38" not in answer
    assert not bench.orders.reversed


async def test_a_reversal_without_an_outcome_is_not_answered(bench: Bench) -> None:
    bench.orders.error = UnknownOutcome("the disk")

    assert await bench.desk.handle(FLEET[CORE], a_reversal(a_transfer())) is None
