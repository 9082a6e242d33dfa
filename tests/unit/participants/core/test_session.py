from __future__ import annotations

from participants.core.session import SessionState
from scheme.messages import SNM971, SNM972, SNM982
from tests.support.fleet_world import golden


def off(peer: str, time: str = "080006") -> SNM982:
    return golden(
        "SNM982",
        SNM982,
        participantIdentification=peer,
        participantStatus="SIGNOFF",
        eventTime=time,
    )


def on(peer: str, time: str = "080006") -> SNM982:
    return golden("SNM982", SNM982, participantIdentification=peer, eventTime=time)


def test_a_peer_of_the_fleet_may_trade_until_a_notice_says_otherwise() -> None:
    state = SessionState("0970", ["0970", "0971"])
    assert state.may_trade("0971")
    assert not state.may_trade("0989")

    state.hear(off("0971"))
    assert not state.may_trade("0971")

    state.hear(on("0971", "090000"))
    assert state.may_trade("0971")


def test_of_two_notices_the_later_one_stands_whichever_comes_first() -> None:
    state = SessionState("0970", ["0971"])

    state.hear(on("0971", "090000"))

    assert state.hear(off("0971", "080000")) == ()
    assert state.may_trade("0971")


def test_a_member_nobody_knew_is_one_once_it_is_announced() -> None:
    state = SessionState("0970", [])

    state.hear(on("0985"))

    assert state.may_trade("0985")


def test_blocks_and_suspension_are_told_by_notices() -> None:
    state = SessionState("0971", ["0971"])

    state.hear(golden("SNM972", SNM972, memberIdentification="0971", status="BLOCKED"))
    state.hear(golden("SNM971", SNM971, newServiceStatus="SUSPENDED"))

    assert state.is_blocked
    assert state.is_suspended


def test_what_was_saved_is_known_again() -> None:
    state = SessionState("0970", ["0971"])
    facts = (*state.sign(on=True), *state.hear(off("0971")))

    again = SessionState("0970", ["0971"], facts)

    assert again.is_signed_on
    assert not again.may_trade("0971")
    assert again.hear(on("0971", "070000")) == ()
    assert dict(again.described()) == {"self": "SIGNON", "session:0971": "SIGNOFF"}
