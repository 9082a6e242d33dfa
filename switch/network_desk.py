"""The calls of coops about aliases, put to the network's part in the directory."""

from collections.abc import Mapping
from typing import Any, Final

from directory.core.alias import Refusal, registered_phone
from directory.core.dale import Payable
from directory.core.registry import Instruction, Order
from directory.dale import Dale
from scheme.network import Participant
from scheme.reasons import ReasonCode
from switch.core.network_calls import AliasCall, LookupCall
from switch.routes import Problem

_WALLETS: Final[Mapping[str, str]] = {"0901": "YAPE", "0902": "PLIN"}


class NetworkDesk:
    """Carries the calls out and puts the outcome in the words of the wire.

    Args:
        fleet: all participants, for their names.
    """

    def __init__(self, dale: Dale, fleet: Mapping[str, Participant]) -> None:
        self._dale = dale
        self._fleet = fleet

    def check(self, asked: AliasCall) -> None:
        """Raise Problem for an alias that cannot be one."""
        if registered_phone(asked.phone) is None:
            hint = "+51 and nine digits, the first a 9"
            raise Problem(400, "no mobile phone", field="phone", hint=hint)

    async def register(self, coop: str, asked: AliasCall) -> Mapping[str, Any]:
        """Carry a checked instruction out on both sides; return what became of it."""
        phone = registered_phone(asked.phone)
        assert phone is not None, "checked before"
        order = Order(
            instruction=Instruction(asked.action),
            phone=phone,
            participant=coop,
            cci=asked.cci,
            registration_id=self._dale.registration_id(coop),
            display_name=asked.display_name,
            holder_type=asked.holder_type,
        )
        done = await self._dale.register(order)
        answer: dict[str, Any] = {
            "requestId": asked.request_id,
            "status": done.status,
            "registrationId": done.registration_id,
            "upstream": done.upstream,
            "network": done.network,
        }
        if done.reason is not None:
            answer |= {"reason": done.reason, "field": done.field, "rule": done.rule}
        return answer

    async def look_up(self, coop: str, asked: LookupCall) -> Mapping[str, Any]:
        """Return who can be paid at each phone.

        Raises:
            Problem: the lookup is refused.
        """
        found = await self._dale.look_up(coop, asked.phones)
        if isinstance(found, Refusal):
            raise _problem(found)
        results = [
            {"phone": one.phone, "entities": [self._entity(named) for named in one.entities]}
            for one in found.results
        ]
        return {"requestId": asked.request_id, "partial": found.partial, "results": results}

    def _entity(self, payable: Payable) -> Mapping[str, str]:
        member = self._fleet.get(payable.code)
        return {
            "code": payable.code,
            # A code that we do not know either is shown by its number.
            "name": _WALLETS.get(payable.code, payable.code) if member is None else member.name,
            "route": payable.route,
            "directory": payable.directory,
        }


def _problem(refusal: Refusal) -> Problem:
    if refusal.reason is ReasonCode.FF07:
        hint = "FF07: only waiting helps; phones that nobody knows cost most"
        return Problem(429, refusal.rule, field=refusal.field, hint=hint)
    if refusal.reason is ReasonCode.DNOR:
        return Problem(403, refusal.rule, field="participant", hint="DNOR")
    return Problem(400, "this cannot be looked up", field=refusal.field, hint=refusal.rule)
