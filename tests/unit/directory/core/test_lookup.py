from directory.core.alias import CLEARING_HOUSE, PLIN, YAPE, Found, Resolution
from directory.core.lookup import Asked, Presence, resolve, sweep

KNOWN = {
    "900000202": [
        Found(YAPE, "0002", "cci-yape"),
        Found(CLEARING_HOUSE, "0988", "cci-0988"),
        Found(CLEARING_HOUSE, "0971", "cci-0971"),
    ],
    "900000299": [Found(YAPE, "0002", "cci-299")],
}


def read(phone: str) -> list[Found]:
    return KNOWN.get(phone, [])


def asked(*phones: str) -> list[Asked]:
    return [Asked("+51" + phone, phone) for phone in phones]


def test_every_directory_answers_for_every_phone_in_the_order_asked() -> None:
    swept = sweep(asked("900000299", "900000202"), read)
    assert [answer.directory for answer in swept.answers] == [CLEARING_HOUSE, YAPE, PLIN]
    for answer in swept.answers:
        assert [one.phone for one in answer.presences] == ["+51900000299", "+51900000202"]


def test_the_clearing_house_lists_entities_and_a_wallet_stands_for_its_own() -> None:
    swept = sweep(asked("900000202"), read)
    assert [answer.presences[0] for answer in swept.answers] == [
        Presence("+51900000202", True, ("0971", "0988")),
        Presence("+51900000202", True, None),
        Presence("+51900000202", False, None),
    ]


def test_a_phone_asked_twice_is_answered_and_counted_twice() -> None:
    swept = sweep(asked("900000202", "900000202", "900000777"), read)
    assert len(swept.answers[0].presences) == 3
    assert (swept.known, swept.unknown) == (2, 1)


def test_a_choice_leads_to_the_account_at_that_entity_or_wallet() -> None:
    found = KNOWN["900000202"]
    assert resolve(found, "0971") == Resolution("0971", "cci-0971")
    assert resolve(found, "0988") == Resolution("0988", "cci-0988")
    assert resolve(found, YAPE) == Resolution("0002", "cci-yape")


def test_what_no_lookup_names_cannot_be_chosen() -> None:
    found = KNOWN["900000202"]
    assert resolve(found, PLIN) is None
    assert resolve(found, "0002") is None, "only its wallet's directory knows the phone"
    assert resolve(found, CLEARING_HOUSE) is None, "it names entities, it is none"
    assert resolve([], "0971") is None
