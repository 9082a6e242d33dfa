"""What an issuer says of a member's account: its balance, or its last movements.

Nothing of it is kept, and nothing repeated: the next one to ask is told anew.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

from scheme.clock import Clock
from scheme.errors import MalformedMessage, NoAnswer, NotConnected
from scheme.money import CURRENCY_BY_CODE
from scheme.network import Participant
from scheme.wire.iso8583_spec import Fields
from scheme.wire.iso8583_statement import STATEMENT_TAG, encode_statement, sound_rows
from scheme.wire.iso8583_tlv import decode_tlv, encode_tlv
from switch.cash_asking import ask_in_time
from switch.cash_ports import Cores
from switch.core import cash_rules as rules
from switch.core.cash import CashAnswer
from switch.core.cash_messages import (
    ANSWER,
    account_named,
    issuer_of,
    keeper_of,
    malformed,
    reason_named,
    request_to_issuer,
)
from switch.core.iso8583_codes import APPROVED, reason_of
from switch.core.iso8583_requests import STATEMENT
from switch.core.sessions import NetworkState

_AMOUNTS: Final = "54"


class CashEnquiries:
    """Asks issuers' cores.

    Args:
        state: who is signed on and blocked at this moment.
        wait: for an answer.
    """

    def __init__(
        self,
        *,
        cores: Cores,
        fleet: Mapping[str, Participant],
        clock: Clock,
        state: Callable[[], NetworkState],
        wait: timedelta,
    ) -> None:
        self._cores = cores
        self._fleet = fleet
        self._clock = clock
        self._state = state
        self._wait = wait

    async def ask(self, acquirer: Participant, fields: Fields) -> CashAnswer:
        """Return what the issuer of a card, or the keeper of an account, says of it."""
        currency = CURRENCY_BY_CODE.get(fields.get("49", ""))
        try:
            account = account_named(fields, acquirer)
        except MalformedMessage as error:
            return malformed(f"{error.field}: {error.rule}")
        if currency is None or not (account or fields.get("2")):
            return malformed("DE2 and DE49: a card, and 604 or 840")
        issuer = keeper_of(account, self._fleet) if account else issuer_of(fields["2"], self._fleet)
        state, named_by = self._state(), "DE102" if account else "DE2"
        refused = rules.acquirer_operates(acquirer.code, state)
        refused = refused or rules.issuer_fits(issuer, acquirer, currency, state, named_by=named_by)
        if refused is not None:
            return refused
        assert issuer is not None, "an unknown one does not fit"
        request = request_to_issuer(fields, acquirer.code, account=account)
        try:
            prepared = self._cores.prepare(issuer.code, request)
            answer = await ask_in_time(self._cores, issuer.code, prepared, self._clock, self._wait)
        except NotConnected:
            return rules.UNREACHABLE
        except NoAnswer:
            return rules.SILENT
        return _told(answer, request, issuer.code)


def _told(answer: Fields, request: Fields, issuer: str) -> CashAnswer:
    code = answer.get("39", "") if answer["t"] == ANSWER else ""
    account = request.get("102", "")
    # Nobody is told of an account that he did not ask about.
    if not code or (account and answer.get("102", account).rstrip() != account):
        return rules.SILENT
    if code == APPROVED:
        is_statement = request["3"].startswith(STATEMENT)
        extra = _movements(answer) if is_statement else _balance(answer)
        return CashAnswer(response_code=code, auth=answer.get("38", "").strip(), extra=extra)
    reason = reason_of(code, reason_named(answer))
    rule = f"DE39: refused by the issuer {issuer}"
    return CashAnswer(response_code=code, reason=reason, rule=rule)


def _balance(answer: Fields) -> Fields:
    return {_AMOUNTS: answer[_AMOUNTS]} if _AMOUNTS in answer else {}


def _movements(answer: Fields) -> Fields:
    """Return the rows that have the form of one: what else a core wrote may be anything."""
    try:
        text = decode_tlv(answer.get("62", ""), "62").get(STATEMENT_TAG, "")
    except MalformedMessage:
        return {}
    told = encode_statement(sound_rows(text))
    return {"62": encode_tlv({STATEMENT_TAG: told})} if told else {}
