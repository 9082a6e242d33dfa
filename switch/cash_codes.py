"""Issues one-time codes, and keeps what became of each: on disk before anybody is told."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
import structlog
from msgspec import Struct

from scheme import cci as ccis
from scheme.cci import CciCheck
from scheme.clock import Clock, from_ms, to_ms
from scheme.ledger import PutFact
from scheme.limits import PAGE_ROWS_MAX
from scheme.network import Participant
from scheme.profile import CURRENCIES, Profile
from switch.cash_ports import AccountOf, CashStore
from switch.core.cash import CashRecord
from switch.core.cash_codes import (
    CODE_KEY_FACT,
    SALT_BYTES,
    Code,
    CodeRefusal,
    code_digest,
    code_name,
    given_back,
    judge,
    pack_code,
    unpack_code,
)
from switch.core.cash_rules import amount_fits
from switch.payment_ports import Fault, Refused, invalid
from switch.ports import Ledger

log = structlog.get_logger()

KEY_CHARACTERS_MAX: Final = 128
REPEATED_MAX: Final = 10_000
"""Codes that are told again under their key; older ones are lost, and another is to be asked."""
_PHONE_DIGITS: Final = 9


class CodeOrder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What POST /cash/codes asks for; the amount in minor units.

    Attributes:
        participant: the issuer, for whose member the code is.
        phone: the member's; account: the CCI that pays, if not the one behind the phone.
    """

    participant: str
    phone: str = ""
    account: str = ""
    amount: int
    currency: str = "PEN"


class CodeBook:
    """All one-time codes.

    Args:
        account_of: finds the account behind a phone.
        random_bytes: unpredictable bytes, for codes and salts.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        store: CashStore,
        fleet: Mapping[str, Participant],
        profile: Profile,
        clock: Clock,
        account_of: AccountOf,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._fleet = fleet
        self._rules = profile.cash
        self._check = CciCheck(profile.cci.originator)
        self._clock = clock
        self._account_of = account_of
        self._random_bytes = random_bytes
        # Decided, and perhaps not on disk yet; what is older is read there.
        self._decided: dict[str, Code] = {}
        # Codes are stored nowhere, so only this process can repeat what it has told.
        self._told: OrderedDict[str, tuple[str, asyncio.Task[bytes]]] = OrderedDict()

    # --- for the operator

    async def issue(self, order: CodeOrder, key: str) -> bytes | Refused:
        """Issue a code in place of the issuer's earlier one for the phone, or repeat what was told.

        Returns:
            The JSON answer with the code, which is kept nowhere; or why there is none.
        """
        if not 0 < len(key) <= KEY_CHARACTERS_MAX:
            hint = f"send a header of 1 to {KEY_CHARACTERS_MAX} characters, new for each code"
            return invalid("the idempotency key is missing or too long", "Idempotency-Key", hint)
        scoped, digest = f"{order.participant}:{key}", _digest(order)
        told = self._told.get(scoped)
        if told is not None:
            return await asyncio.shield(told[1]) if told[0] == digest else _OTHER_CONTENT
        known = self._store.fact(CODE_KEY_FACT + scoped)
        if known is not None:
            return _NOT_KEPT if known.decode() == digest else _OTHER_CONTENT
        account = self._account(order)
        if isinstance(account, Refused):
            return account
        # A task of its own: whoever asked may go away, and a repeat waits for the disk as well.
        task = asyncio.get_running_loop().create_task(self._issue(order, account, scoped, digest))
        self._told[scoped] = (digest, task)
        while len(self._told) > REPEATED_MAX:
            self._told.popitem(last=False)
        return await asyncio.shield(task)

    async def _issue(self, order: CodeOrder, account: str, scoped: str, digest: str) -> bytes:
        digits = self._digits()
        code = self._code(order, account, digits)
        key_fact = PutFact(name=CODE_KEY_FACT + scoped, value=digest.encode())
        await self._ledger.apply((key_fact, self.put(code)))
        self.written(code)
        log.info("cash code issued", agent=code.issuer, amount=code.amount)
        return msgspec.json.encode(
            {
                "code": digits,
                "phone": code.phone,
                "participant": code.issuer,
                "amount": code.amount,
                "currency": code.currency,
                "expires_at": from_ms(code.expires_ms).isoformat(),
            }
        )

    def _code(self, order: CodeOrder, account: str, digits: str) -> Code:
        now_ms = to_ms(self._clock.now())
        salt = self._random_bytes(SALT_BYTES)
        return Code(
            phone=order.phone,
            issuer=order.participant,
            account=account,
            amount=order.amount,
            currency=order.currency,
            salt=salt,
            digest=code_digest(salt, digits),
            created_ms=now_ms,
            expires_ms=now_ms + int(self._rules.code_s * 1000),
            attempts_left=self._rules.code_attempts,
        )

    def _digits(self) -> str:
        number = self._rules.code_digits
        # Eight bytes more than needed: what the remainder favours is past all counting.
        drawn = int.from_bytes(self._random_bytes(number + 8), "big")
        return f"{drawn % 10**number:0{number}}"

    def _account(self, order: CodeOrder) -> str | Refused:
        """Return the account that will pay, or why there can be no code."""
        issuer = self._fleet.get(order.participant)
        if issuer is None:
            error, hint = "no participant has this code", "GET /participants lists them"
            return Refused(fault=Fault.UNKNOWN, error=error, field="participant", hint=hint)
        if issuer.lane != "iso8583":
            error = f"{issuer.code} is not on the ISO 8583 lane, so it cannot be asked for cash"
            hint = "choose an institution with that lane"
            return Refused(error=error, field="participant", hint=hint)
        if order.currency not in CURRENCIES or order.currency not in issuer.currencies:
            hint = f"one of {', '.join(issuer.currencies)}"
            return invalid("the issuer holds no such currency", "currency", hint)
        unfit = amount_fits(order.amount, order.currency, self._rules)
        if unfit is not None:
            return invalid("no machine gives that out", "amount", unfit.rule.partition(": ")[2])
        is_number = order.phone.isascii() and order.phone.isdigit()
        if len(order.phone) != _PHONE_DIGITS or not is_number:
            return invalid("a phone is needed", "phone", f"{_PHONE_DIGITS} digits, the member's")
        if order.account:
            return self._named(order)
        found = self._account_of(order.phone, issuer.code)
        if found is None:
            error, hint = "no account of the issuer is behind this phone", "name the account"
            return Refused(error=error, field="phone", hint=hint)
        return found

    def _named(self, order: CodeOrder) -> str | Refused:
        account = ccis.clean(order.account)
        is_formed = ccis.is_well_formed(account)
        fault = ccis.fault(account, self._check) if is_formed else "20 digits"
        if fault is not None:
            return invalid("this is no CCI", "account", fault)
        if ccis.participant_of(account) != order.participant:
            hint = f"it belongs to {ccis.participant_of(account)}"
            return invalid("the account is not one of this institution", "account", hint)
        return account

    # --- for withdrawals; nothing here is awaited, so that what was decided cannot change

    def find(self, phone: str) -> list[Code]:
        """Return the codes of all issuers for a phone, as decided."""
        begins = code_name(phone)
        stored = self._store.facts_named(begins, "", limit=PAGE_ROWS_MAX)
        found = {name: unpack_code(value) for name, value in stored}
        decided = self._decided.items()
        found |= {name: code for name, code in decided if name.startswith(begins)}
        return [found[name] for name in sorted(found)]

    def judge(self, phone: str, given: str, *, amount: int, currency: str) -> Code | CodeRefusal:
        """Return the code that was typed, or why it gives no cash."""
        now_ms = to_ms(self._clock.now())
        return judge(self.find(phone), given, amount=amount, currency=currency, now_ms=now_ms)

    def put(self, code: Code) -> PutFact:
        """Decide how a code stands; return the command that writes it, to be applied at once."""
        name = code_name(code.phone, code.issuer)
        self._decided[name] = code
        return PutFact(name=name, value=pack_code(code))

    def written(self, code: Code) -> None:
        """Forget a code that is on disk, unless it was decided anew meanwhile."""
        name = code_name(code.phone, code.issuer)
        if self._decided.get(name) is code:
            del self._decided[name]

    def given_back(self, record: CashRecord) -> tuple[Code, ...]:
        """Return the code of a withdrawal as good again; nothing if there is none to give back."""
        codes = self.find(record.phone) if record.phone else ()
        back = (given_back(code, record.transfer_id) for code in codes)
        return tuple(code for code in back if code is not None)


def _digest(order: CodeOrder) -> str:
    content = (order.participant, order.phone, order.account, order.amount, order.currency)
    return hashlib.sha256(repr(content).encode()).hexdigest()


_NOT_KEPT: Final = Refused(
    error="a code was issued under this key, and codes are not kept",
    field="Idempotency-Key",
    hint="send a new key: the new code replaces the lost one",
)
_OTHER_CONTENT: Final = Refused(
    error="the key was used for another code",
    field="Idempotency-Key",
    hint="send a new key with a new code",
)
