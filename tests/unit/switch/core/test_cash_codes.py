"""What a typed one-time code is worth, rule by rule."""

import pytest
from msgspec.structs import replace

from switch.core.cash_codes import (
    Code,
    code_digest,
    given_back,
    judge,
    pack_code,
    unpack_code,
)

SALT = bytes(16)
NOW_MS = 1_000_000


def a_code(**changes: object) -> Code:
    code = Code(
        phone="999000111",
        issuer="0975",
        account="97500100000000000101",
        amount=20_000,
        currency="PEN",
        salt=SALT,
        digest=code_digest(SALT, "12345678"),
        created_ms=0,
        expires_ms=NOW_MS + 1,
        attempts_left=3,
    )
    return replace(code, **changes)


def told(code: Code | None, given: str = "12345678", **changes: object) -> str:
    asked = {"amount": 20_000, "currency": "PEN", "now_ms": NOW_MS, **changes}
    refused = judge(code, given, **asked)  # type: ignore[arg-type]
    return "00" if refused is None else refused.response_code


def test_the_right_code_for_the_right_amount_is_good() -> None:
    assert told(a_code()) == "00"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (None, "55"),
        (a_code(attempts_left=0), "75"),
        (a_code(expires_ms=NOW_MS), "54"),
        (a_code(used_by="W1"), "55"),
        (a_code(currency="USD"), "57"),
        (a_code(amount=19_000), "61"),
        (a_code(amount=21_000), "13"),
    ],
)
def test_each_rule_has_its_answer(code: Code | None, expected: str) -> None:
    assert told(code) == expected


@pytest.mark.parametrize("given", ["", "1234567", "123456789", "12345679", "doce", "\uff11234567"])
def test_a_wrong_code_costs_an_attempt(given: str) -> None:
    refused = judge(a_code(), given, amount=20_000, currency="PEN", now_ms=NOW_MS)
    assert refused is not None
    assert refused.after == a_code(attempts_left=2)
    assert "attempts left: 2" in refused.rule


def test_the_last_wrong_code_makes_it_void() -> None:
    code = a_code(attempts_left=1)
    refused = judge(code, "0", amount=20_000, currency="PEN", now_ms=NOW_MS)
    assert refused is not None
    assert (refused.response_code, refused.after) == ("75", a_code(attempts_left=0))
    assert told(refused.after) == "75"


@pytest.mark.parametrize("spoilt", [{"attempts_left": 0}, {"expires_ms": 0}, {"used_by": "W1"}])
def test_one_that_is_no_good_says_nothing_about_what_was_typed(spoilt: dict[str, object]) -> None:
    code = a_code(**spoilt)
    assert told(code, "12345678") == told(code, "00000000")


def test_it_is_given_back_to_the_withdrawal_that_used_it_only() -> None:
    used = a_code(used_by="W1")
    assert given_back(used, "W1") == a_code()
    assert given_back(used, "W2") is None
    assert given_back(None, "W1") is None


def test_it_is_kept_without_its_digits() -> None:
    packed = pack_code(a_code())
    assert b"12345678" not in packed
    assert unpack_code(packed) == a_code()
