from directory.core.alias import CLEARING_HOUSE, PLIN, YAPE
from directory.core.qr import REFERENCE_DYNAMIC, REFERENCE_STATIC
from directory.core.seed import TokenEntry, entries_of, qrs_of, tokens_of
from scheme.people import Holding, Person

NOW_MS = 1_768_490_700_000


def a_person(*holdings: Holding) -> Person:
    return Person("SOCIA UNO DEMO PRUEBA", "00000101", "2", "900000101", "N", holdings)


def test_each_directory_of_a_holding_becomes_an_entry() -> None:
    holding = Holding("0003", "cci", directories=(CLEARING_HOUSE, PLIN))
    entries = list(entries_of([a_person(holding)], now_ms=NOW_MS))
    assert [(one.phone, one.directory, one.participant, one.cci) for one in entries] == [
        ("900000101", CLEARING_HOUSE, "0003", "cci"),
        ("900000101", PLIN, "0003", "cci"),
    ]
    assert entries[0].display_name == "SOCIA UNO D."
    assert [len(one.registration_id) for one in entries] == [25, 25]
    assert entries[0].registration_id != entries[1].registration_id


def test_a_phone_has_one_account_per_entity_and_one_per_wallet() -> None:
    person = a_person(
        Holding("0970", "first", directories=(CLEARING_HOUSE,)),
        Holding("0970", "second", directories=(CLEARING_HOUSE,)),
        Holding("0003", "third", directories=(PLIN,)),
        Holding("0011", "fourth", directories=(PLIN,)),
    )
    assert [one.cci for one in entries_of([person], now_ms=NOW_MS)] == ["first", "third"]


def test_a_holding_in_no_directory_is_not_found() -> None:
    assert list(entries_of([a_person(Holding("0970", "cci"))], now_ms=NOW_MS)) == []


def test_tokens_belong_to_wallets_only() -> None:
    with_token = Holding("0002", "cci", directories=(CLEARING_HOUSE, YAPE), wallet_token="f00d")
    without = Holding("0970", "other", directories=(CLEARING_HOUSE,))
    assert list(tokens_of([a_person(with_token, without)])) == [
        TokenEntry("f00d", YAPE, "0002", "cci")
    ]


def test_the_printed_qrs_are_registered_where_their_holder_lives() -> None:
    assert qrs_of([a_person(Holding("0970", "cci"))]) == ()
    holder = a_person(Holding("0971", REFERENCE_STATIC.cci))
    assert qrs_of([holder]) == (REFERENCE_STATIC, REFERENCE_DYNAMIC)
