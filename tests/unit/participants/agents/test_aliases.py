from collections.abc import AsyncIterator

import pytest

from participants.agents import aliases
from scheme.messages.proxy import Action, ProxyRegistration, ProxyRegistrationResponse
from tests.support.fleet_world import DEBTOR_CCI, World, an_account


@pytest.fixture
async def world() -> AsyncIterator[World]:
    account = an_account(cci=DEBTOR_CCI, participant="0970", phone="900000101")
    made = World("0970", [account])
    yield made
    await made.close()


@pytest.mark.parametrize(("action", "cci"), [("NEWR", DEBTOR_CCI), ("DEAC", None)])
async def test_a_customer_s_phone_is_told_under_ids_of_one_moment_and_trace(
    world: World, action: Action, cci: str | None
) -> None:
    accepted = ProxyRegistrationResponse(
        recipient="0970", business_message_id="", msg_id="", created="", status="ACTC"
    )
    world.house.will("prxy.001", lambda _: accepted)
    done = await aliases.register(world.institution, world.account(DEBTOR_CCI), action)
    assert done.status == "ACTC"
    ((_, order),) = world.house.asked
    assert isinstance(order, ProxyRegistration)
    assert (order.action, order.alias.value, order.cci) == (action, "+51900000101", cci)
    assert order.msg_id[1:] == order.business_message_id[1:]
    assert order.registration_id[1:19] == order.msg_id[1:19]
    assert order.registration_id[-6:] == order.msg_id[-6:]
