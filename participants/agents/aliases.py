"""What an institution tells the directory of its customers' phones."""

from participants.agents.institution import Institution
from participants.core.book import Account
from participants.core.candidates import COUNTRY
from scheme.clock import wire_date_time
from scheme.messages.proxy import Action, Alias, ProxyRegistration, ProxyRegistrationResponse
from scheme.wire.proxy_json import format_timestamp

DEACTIVATION = "DEAC"
ACTIONS = ("NEWR", "AMND", DEACTIVATION)


async def register(own: Institution, account: Account, action: Action) -> ProxyRegistrationResponse:
    """Register, amend or deactivate the phone of an account.

    Raises:
        PeerError: no sound answer came; it may have been carried out.
        TimeoutError: none in time; likewise.
    """
    now = own.clock.now()
    created = format_timestamp(now)
    moment = "".join(wire_date_time(now))
    trace = own.stamp(now).trace
    order = ProxyRegistration(
        sender=own.code,
        business_message_id=f"B{moment}{own.code}1{trace}",
        msg_id=f"M{moment}{own.code}1{trace}",
        created=created,
        action=action,
        alias=Alias(value=COUNTRY + account.phone),
        cci=None if action == DEACTIVATION else account.cci,
        registration_id=f"R{moment}{own.code}{trace}",
    )
    async with own.within(own.profile.timers.owed_answer_s):
        return await own.house.register(order)
