"""One-time codes for cash without a card: bound to phone, account, currency and exact amount.

Of a code only a salted hash is kept. A wrong one costs an attempt, whoever types it; a right one
is used up with the money it holds, and comes back if that is given back.
"""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from scheme.clock import from_ms
from scheme.reasons import ReasonCode
from switch.core.iso8583_codes import (
    ABOVE_LIMIT,
    EXPIRED_CODE,
    INVALID_AMOUNT,
    NOT_PERMITTED,
    TOO_MANY_ATTEMPTS,
    WRONG_CODE,
)

CODE_FACT: Final = "cash:code:"
"""Prefix of the facts that keep codes; phone and issuer follow."""
CODE_KEY_FACT: Final = "cash:code-key:"
"""Prefix of the facts that keep which keys were used to ask for codes."""
SALT_BYTES: Final = 16
# Codes are short: a plain hash of one would be tried out whole in a second.
_HASH_ROUNDS: Final = 512
_HASH_BLOCKS: Final = 8


class Code(Struct, frozen=True, gc=False, array_like=True, kw_only=True):
    """A one-time code as the switch remembers it.

    Attributes:
        issuer: whose member it was issued to; account: the CCI that pays.
        amount: minor units, exactly.
        digest: of salt and code.
        attempts_left: wrong codes until it is void.
        used_by: id of the withdrawal that used it; empty while it is good.
    """

    phone: str
    issuer: str
    account: str
    amount: int
    currency: str
    salt: bytes
    digest: bytes
    created_ms: int
    expires_ms: int
    attempts_left: int
    used_by: str = ""


class CodeRefusal(Struct, frozen=True, gc=False):
    """Why a code does not give cash.

    Attributes:
        after: codes as they stand from now on, if that has changed.
    """

    response_code: str
    reason: str
    rule: str
    after: tuple[Code, ...] = ()


def code_digest(salt: bytes, digits: str) -> bytes:
    """Return what is kept of a code."""
    return hashlib.scrypt(digits.encode(), salt=salt, n=_HASH_ROUNDS, r=_HASH_BLOCKS, p=1)


def code_name(phone: str, issuer: str = "") -> str:
    """Return the name of the fact that keeps an issuer's code for a phone.

    Without an issuer: what the names of all codes for the phone begin with.
    """
    return f"{CODE_FACT}{phone}:{issuer}"


def judge(
    codes: Sequence[Code], given: str, *, amount: int, currency: str, now_ms: int
) -> Code | CodeRefusal:
    """Return which code of a phone was typed, or why it gives no cash.

    Void, expired and used ones are told before the typed one is looked at, so they can be tried
    for ever and say nothing. A machine does not know whose code it is: it is tried against each
    that is live, and a wrong one costs each of them an attempt.
    """
    if not codes:
        return _wrong("DE48.30: no code was issued for this phone")
    live = [code for code in codes if _dead(code, now_ms) is None]
    if not live:
        told = _dead(max(codes, key=lambda code: code.created_ms), now_ms)
        assert told is not None, "none is live"
        return told
    typed = [code for code in live if _is_typed(code, given)]
    if not typed:
        return _missed(live)
    unfit = [_unfit(code, amount, currency) for code in typed]
    # Two issuers may have drawn the same digits: then the one that fits is meant.
    for code, refusal in zip(typed, unfit, strict=True):
        if refusal is None:
            return code
    assert unfit[0] is not None, "one that fits was returned"
    return unfit[0]


def _dead(code: Code, now_ms: int) -> CodeRefusal | None:
    if code.attempts_left <= 0:
        return CodeRefusal(
            TOO_MANY_ATTEMPTS, ReasonCode.BE15, "DE48.30: void after too many wrong codes"
        )
    if now_ms >= code.expires_ms:
        at = from_ms(code.expires_ms).isoformat(timespec="seconds")
        return CodeRefusal(EXPIRED_CODE, ReasonCode.BE15, f"DE48.30: it expired at {at}")
    if code.used_by:
        return _wrong("DE48.30: used already")
    return None


def _is_typed(code: Code, given: str) -> bool:
    return hmac.compare_digest(code_digest(code.salt, given), code.digest)


def _unfit(code: Code, amount: int, currency: str) -> CodeRefusal | None:
    if currency != code.currency:
        rule = f"DE49: the code is for {code.currency}"
        return CodeRefusal(NOT_PERMITTED, ReasonCode.AC11, rule)
    if amount != code.amount:
        above = ABOVE_LIMIT if amount > code.amount else INVALID_AMOUNT
        return CodeRefusal(above, ReasonCode.AM09, f"DE4: the code is for exactly {code.amount}")
    return None


def _wrong(rule: str) -> CodeRefusal:
    return CodeRefusal(WRONG_CODE, ReasonCode.BE15, rule)


def _missed(live: Sequence[Code]) -> CodeRefusal:
    after = tuple(replace(code, attempts_left=code.attempts_left - 1) for code in live)
    left = max(code.attempts_left for code in after)
    if left <= 0:
        rule = "DE48.30: wrong, and void now: too many wrong codes"
        return CodeRefusal(TOO_MANY_ATTEMPTS, ReasonCode.BE15, rule, after)
    return CodeRefusal(WRONG_CODE, ReasonCode.BE15, f"DE48.30: wrong; attempts left: {left}", after)


def given_back(code: Code, transfer_id: str) -> Code | None:
    """Return a code as good again after its withdrawal came to nothing.

    None if there is nothing to give back: it was replaced, or used by another.
    """
    if code.used_by != transfer_id:
        return None
    return replace(code, used_by="")


_encoder: Final = msgspec.msgpack.Encoder()
_codes: Final = msgspec.msgpack.Decoder(Code)


def pack_code(code: Code) -> bytes:
    """Return a code as a stored fact."""
    return _encoder.encode(code)


def unpack_code(data: bytes) -> Code:
    """Read a stored code."""
    return _codes.decode(data)
