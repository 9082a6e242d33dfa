"""What a typed one-time code is worth, rule by rule."""

import pytest
from msgspec.structs import replace

from switch.core.cash_codes import (
    Code,
    CodeRefusal,
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
    found = judge([] if code is None else [code], given, **asked)  # type: ignore[arg-type]
    return found.response_code if isinstance(found, CodeRefusal) else "00"


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
    refused = judge([a_code()], given, amount=20_000, currency="PEN", now_ms=NOW_MS)
    assert isinstance(refused, CodeRefusal)
    assert refused.after == (a_code(attempts_left=2),)
    assert "attempts left: 2" in refused.rule


def test_the_last_wrong_code_makes_it_void() -> None:
    code = a_code(attempts_left=1)
    refused = judge([code], "0", amount=20_000, currency="PEN", now_ms=NOW_MS)
    assert isinstance(refused, CodeRefusal)
    assert (refused.response_code, refused.after) == ("75", (a_code(attempts_left=0),))
    assert told(refused.after[0]) == "75"


@pytest.mark.parametrize("spoilt", [{"attempts_left": 0}, {"expires_ms": 0}, {"used_by": "W1"}])
def test_one_that_is_no_good_says_nothing_about_what_was_typed(spoilt: dict[str, object]) -> None:
    code = a_code(**spoilt)
    assert told(code, "12345678") == told(code, "00000000")


OTHERS = "87654321"


def of_another(**changes: object) -> Code:
    return a_code(issuer="0976", digest=code_digest(SALT, OTHERS), created_ms=1, **changes)


def test_of_two_issuers_codes_the_one_that_was_typed_pays() -> None:
    both = [a_code(), of_another(amount=5_000)]
    asked = {"currency": "PEN", "now_ms": NOW_MS}
    assert judge(both, "12345678", amount=20_000, **asked) == both[0]  # type: ignore[arg-type]
    assert judge(both, OTHERS, amount=5_000, **asked) == both[1]  # type: ignore[arg-type]
    refused = judge(both, OTHERS, amount=20_000, **asked)  # type: ignore[arg-type]
    assert isinstance(refused, CodeRefusal)
    assert (refused.response_code, refused.after) == ("61", ())


def test_of_two_with_the_same_digits_the_one_that_fits_pays() -> None:
    both = [a_code(), of_another(amount=5_000, salt=SALT)]
    both[1] = replace(both[1], digest=both[0].digest)
    assert judge(both, "12345678", amount=5_000, currency="PEN", now_ms=NOW_MS) == both[1]


def test_a_wrong_code_costs_each_live_one_an_attempt() -> None:
    live, last, used = a_code(), of_another(attempts_left=1), a_code(issuer="0977", used_by="W1")
    refused = judge([live, last, used], "0", amount=20_000, currency="PEN", now_ms=NOW_MS)
    assert isinstance(refused, CodeRefusal)
    assert refused.after == (a_code(attempts_left=2), of_another(attempts_left=0))
    assert (refused.response_code, refused.rule[-1]) == ("55", "2")


def test_without_a_live_one_the_youngest_is_told() -> None:
    dead = [a_code(attempts_left=0), of_another(used_by="W1")]
    refused = judge(dead, "0", amount=20_000, currency="PEN", now_ms=NOW_MS)
    assert isinstance(refused, CodeRefusal)
    assert (refused.response_code, refused.after) == ("55", ())


def test_it_is_given_back_to_the_withdrawal_that_used_it_only() -> None:
    used = a_code(used_by="W1")
    assert given_back(used, "W1") == a_code()
    assert given_back(used, "W2") is None


def test_it_is_kept_without_its_digits() -> None:
    packed = pack_code(a_code())
    assert b"12345678" not in packed
    assert unpack_code(packed) == a_code()
