"""Who pays whom: accounts that the institutions' hooks name, and what each order would cost."""

import random
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from msgspec import Struct

from loadtests.bench.orders import Payee
from loadtests.day.calls import Api
from loadtests.day.plan import BANK_AGENTS, COOP_AGENTS
from scheme.cci import compose
from scheme.network import Participant

EACH = 60
_MAGIC_PHONES = "900099"
_OFFICE = "999"
_SAMPLE_CENTS = 2_500
_ACCOUNTS_MAX = 500


class Customer(Struct, frozen=True):
    """An account in soles of a simulated institution."""

    participant: str
    cci: str
    balance: int


def customers(fleet: Mapping[str, Participant], each: int = EACH) -> dict[str, list[Customer]]:
    """Return some customers of every simulated institution, by its code.

    Only accounts of one office are taken: what an order costs depends on the offices.
    """
    found: dict[str, list[Customer]] = {}
    for code, one in fleet.items():
        if not one.simulated:
            continue
        hook = Api(one.port)
        page = hook.get(f"/control/accounts?limit={_ACCOUNTS_MAX}")["accounts"]
        cheerful = [
            account["cci"]
            for account in page
            if account["currency"] == "PEN"
            and not account["phone"].startswith(_MAGIC_PHONES)
            and account["cci"][3:6] == _OFFICE
        ][:each]
        found[code] = [
            Customer(code, cci, int(hook.get(f"/control/accounts/{cci}")["balance"]))
            for cci in cheerful
        ]
    return found


def fee(api: Api, debtor: str, creditor: str, amount: int, rail: str) -> int:
    """Return what the clearing house says that an order would cost."""
    query = urlencode(
        {"from": debtor, "to": creditor, "amount": amount, "currency": "PEN", "rail": rail}
    )
    return int(api.get(f"/routes?{query}")["fee"])


def payees_of_agents(
    api: Api, everyone: Mapping[str, Sequence[Customer]]
) -> dict[str, list[Payee]]:
    """Return whom each of the generator's agents may pay, each payee with its fee."""
    found: dict[str, list[Payee]] = {}
    for agent in (*BANK_AGENTS, *COOP_AGENTS):
        account = compose(agent[1:], _OFFICE, f"{random.Random(agent).randrange(10**12):012}")
        for own in everyone.values():
            if own:
                price = fee(api, account, own[0].cci, _SAMPLE_CENTS, "auto")
                found.setdefault(agent, []).extend(
                    Payee(one.participant, one.cci, price) for one in own
                )
    return found
