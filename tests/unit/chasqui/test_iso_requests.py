"""Requests that are made at the command line, in the place of a core or a machine."""

from datetime import UTC, datetime
from typing import Any

import pytest

from chasqui.exits import Misused
from chasqui.iso_requests import KINDS, RAW, REVERSAL, Wish, parse_extra, request_of
from scheme.wire.iso8583_tlv import decode_tlv

NOW = datetime(2026, 11, 23, 15, 4, 5, 678_000, tzinfo=UTC)
PAYER, PAYEE = "97500100000000010197", "00299900000000020212"
SENDS: dict[str, Any] = {"debtor": PAYER, "creditor": PAYEE, "amount": 2550}


def a_wish(kind: str = "transfer", **others: Any) -> Wish:
    return Wish(**({"code": "0975", "kind": kind} | SENDS | others))


def test_a_transfer_names_amount_accounts_and_entity() -> None:
    fields = request_of(a_wish(), NOW)

    assert (fields["t"], fields["3"], fields["4"]) == ("0200", "400000", "000000002550")
    assert (fields["49"], fields["102"], fields["103"]) == ("604", PAYER, PAYEE)
    assert decode_tlv(fields["48"], 48)["01"] == "0002"


def test_times_are_utc_on_the_wire_and_limas_at_the_terminal() -> None:
    fields = request_of(a_wish(), NOW)

    assert (fields["7"], fields["12"], fields["13"]) == ("1123150405", "100405", "1123")
    assert fields["37"] == "632710" + fields["11"]


def test_elements_stand_in_the_order_of_the_bitmap() -> None:
    keys = list(request_of(a_wish(), NOW))

    assert keys[0] == "t"
    assert keys[1:] == sorted(keys[1:], key=int)


def test_a_phone_is_an_alias_at_an_entity() -> None:
    tags = decode_tlv(request_of(a_wish(creditor="900000202", entity="0901"), NOW)["48"], 48)

    assert (tags["01"], tags["02"], tags["03"]) == ("0901", "P", "900000202")


def test_a_card_stands_alone_and_a_code_goes_with_its_phone() -> None:
    card = request_of(a_wish("withdraw", card="9709750000000101"), NOW)
    code = request_of(a_wish("withdraw", phone="900000202", one_time_code="12345678"), NOW)

    assert (card["2"], "48" in card) == ("9709750000000101", False)
    grouped = request_of(a_wish("withdraw", card="9709 7500 0000-0101", stan="12"), NOW)
    assert (grouped["2"], grouped["11"]) == ("9709750000000101", "000012")
    assert decode_tlv(code["48"], 48) == {"30": "12345678", "31": "900000202"}


def test_a_reversal_names_the_original_and_what_was_dispensed() -> None:
    wish = a_wish(
        REVERSAL, of="withdraw", stan="000123", rrn="632710000123", dispensed=4000, code="0991"
    )

    fields = request_of(wish, NOW)

    assert (fields["t"], fields["3"], fields["37"]) == ("0420", "010000", "632710000123")
    assert fields["90"] == "0200" + "000123" + fields["7"] + "00000000991" + "0" * 11
    assert (fields["95"][:12], len(fields["95"])) == ("000000004000", 42)


@pytest.mark.parametrize(("kind", "repeated"), [("transfer", "0201"), (REVERSAL, "0421")])
def test_a_repeat_says_so_and_keeps_its_numbers(kind: str, repeated: str) -> None:
    fields = request_of(a_wish(kind, stan="000123", rrn="R" * 12, is_repeated=True), NOW)

    assert (fields["t"], fields["37"]) == (repeated, "R" * 12)


def test_what_is_said_by_hand_replaces_ours() -> None:
    extra = parse_extra(["49=999", "48.14=ALMUERZO", "48.05=", "41="])

    fields = request_of(a_wish(extra=extra), NOW)

    tags = decode_tlv(fields["48"], 48)
    assert (fields["49"], tags["14"], "05" in tags, "41" in fields) == (
        "999", "ALMUERZO", False, False,
    )  # fmt: skip


@pytest.mark.parametrize("word", ["49", "x=1", "1=1", "129=1", "64=00", "48.1=x", "48.=x", "²=1"])
def test_what_is_no_element_is_refused(word: str) -> None:
    with pytest.raises(Misused) as refused:
        parse_extra([word])
    assert refused.value.field == "--field"


@pytest.mark.parametrize(
    ("wish", "flag"),
    [
        (a_wish(amount=None), "--amount"),
        (a_wish(debtor="123"), "--from"),
        (a_wish(creditor="somebody"), "--to"),
        (a_wish(creditor="900000202"), "--entity"),
        (a_wish(REVERSAL), "--stan"),
        (a_wish(stan="abc"), "--stan"),
        (a_wish(stan="1234567"), "--stan"),
        (a_wish("withdraw", card="97097x"), "--card"),
        (a_wish("balance", debtor=""), "--card"),
        (a_wish("withdraw", debtor=""), "--card"),
        (a_wish("withdraw", debtor="123"), "--from"),
    ],
)
def test_what_is_missing_is_told_with_its_flag(wish: Wish, flag: str) -> None:
    with pytest.raises(Misused) as refused:
        request_of(wish, NOW)
    assert refused.value.field == flag


@pytest.mark.parametrize("kind", [one for one in KINDS if one != RAW])
def test_every_kind_makes_a_request(kind: str) -> None:
    fields = request_of(a_wish(kind, stan="000001", rrn="R" * 12), NOW)

    assert fields["11"] == "000001"
    assert fields["32"] == "0975"
