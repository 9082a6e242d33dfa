"""Golden bytes of the directory messages, and what must not pass for one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scheme.errors import MalformedMessage
from scheme.messages.proxy import (
    ProxyLookup,
    ProxyLookupResponse,
    ProxyRegistration,
    ProxyRegistrationResponse,
)
from scheme.wire.proxy_json import decode_proxy, encode_proxy

GOLDEN = Path(__file__).parent.parent / "golden"
NAMES = sorted(path.stem for path in GOLDEN.glob("prxy.*.json"))


def golden(name: str) -> bytes:
    return (GOLDEN / f"{name}.json").read_bytes().rstrip(b"\n")


def changed(name: str, change: Callable[[Any], object]) -> bytes:
    document = json.loads(golden(name))
    change(document["BusMsg"])
    return json.dumps(document).encode()


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_message_survives_decoding_and_encoding_byte_for_byte(name: str) -> None:
    assert encode_proxy(decode_proxy(golden(name))) == golden(name)


@pytest.mark.parametrize("name", NAMES)
def test_every_truncation_is_malformed(name: str) -> None:
    body = golden(name)
    for length in range(len(body)):
        with pytest.raises(MalformedMessage):
            decode_proxy(body[:length])


def test_a_registration_reads_as_its_contents() -> None:
    message = decode_proxy(golden("prxy.001-new"))

    assert isinstance(message, ProxyRegistration)
    assert (message.sender, message.recipient, message.action) == ("0970", "0998", "NEWR")
    assert message.alias.value == "+51900000101"
    assert message.cci == "97000110020030040142"
    assert message.registration_id == "R202601151025000970000031"
    assert (message.display_name, message.holder_type) == ("SOCIA UNO D.", "N")


def test_a_deactivation_carries_no_account() -> None:
    message = decode_proxy(golden("prxy.001-deactivate"))

    assert isinstance(message, ProxyRegistration)
    assert (message.action, message.cci) == ("DEAC", None)


def test_a_lookup_reads_as_its_list_of_phones() -> None:
    message = decode_proxy(golden("prxy.003"))

    assert isinstance(message, ProxyLookup)
    assert message.lookup_id == "2026011510260509708152000041"
    assert [alias.value for alias in message.aliases] == ["+51900000202", "+51900000299"]


def test_null_and_empty_entity_lists_stay_different() -> None:
    def empty(bus: Any) -> None:
        bus["Document"]["SplmtryData"]["Envlp"]["Directories"][1]["Proxy"][0]["BankCode"] = []

    body = changed("prxy.004-found", empty)
    message = decode_proxy(body)

    assert isinstance(message, ProxyLookupResponse)
    assert message.directories is not None
    entries = message.directories[1].entries
    assert entries is not None
    assert [entry.bank_codes for entry in entries] == [(), None]
    assert json.loads(encode_proxy(message)) == json.loads(body)


def test_a_directory_without_entries_is_kept() -> None:
    def nothing(bus: Any) -> None:
        bus["Document"]["SplmtryData"]["Envlp"]["Directories"][0]["Proxy"] = None

    message = decode_proxy(changed("prxy.004-found", nothing))

    assert isinstance(message, ProxyLookupResponse)
    assert message.directories is not None
    assert message.directories[0].entries is None


def test_only_the_text_true_means_present() -> None:
    def as_boolean(bus: Any) -> None:
        bus["Document"]["SplmtryData"]["Envlp"]["Directories"][0]["Proxy"][0]["Present"] = True

    body = changed("prxy.004-found", as_boolean)
    message = decode_proxy(body)

    assert isinstance(message, ProxyLookupResponse)
    assert message.directories is not None
    answers = [entry.is_present for part in message.directories for entry in part.entries or ()]
    assert answers == [False, False, True, True, False, False]
    assert json.loads(encode_proxy(message)) == json.loads(body)


def test_an_answer_without_directories_is_an_answer() -> None:
    message = decode_proxy(
        changed("prxy.004-found", lambda bus: bus["Document"].pop("SplmtryData"))
    )

    assert isinstance(message, ProxyLookupResponse)
    assert (message.status, message.directories) == ("ACTC", None)


def test_a_message_reject_names_the_lookup() -> None:
    message = decode_proxy(golden("prxy.004-message-reject"))

    assert isinstance(message, ProxyLookupResponse)
    assert message.reject is not None
    assert message.status is None
    assert message.reject.reference == "2026011510260509708152000041"
    assert message.reject.party_reason == "FF02"


def test_differing_parties_and_dates_of_the_two_headers_are_both_kept() -> None:
    def differ(bus: Any) -> None:
        bus["AppHdr"]["Fr"]["FIId"]["FinInstnId"]["Othr"]["Id"] = "0971"
        bus["AppHdr"]["CreDt"] = "2026-01-15T10:25:00.999Z"

    body = changed("prxy.001-new", differ)
    message = decode_proxy(body)

    assert isinstance(message, ProxyRegistration)
    assert (message.sender, message.header_sender) == ("0970", "0971")
    assert json.loads(encode_proxy(message)) == json.loads(body)


def test_blanks_and_empty_texts_are_taken_as_they_are_meant() -> None:
    def untidy(bus: Any) -> None:
        registration = bus["Document"]["PrxyRegn"]["Regn"]
        registration["RegnTp"] = "NEWR "
        registration["PrxyRegn"]["Acct"]["AcctHldrTp"] = ""
        bus["AppHdr"]["MsgDefIdr"] = ""

    message = decode_proxy(changed("prxy.001-new", untidy))

    assert isinstance(message, ProxyRegistration)
    assert (message.action, message.holder_type) == ("NEWR", None)


@pytest.mark.parametrize(
    ("change", "field", "rule"),
    [
        (
            lambda bus: bus["Document"]["PrxyRegn"]["Regn"].update(RegnTp="OTHER"),
            "BusMsg.Document.PrxyRegn.Regn.RegnTp",
            "NEWR, AMND or DEAC",
        ),
        (
            lambda bus: bus["Document"]["PrxyRegn"]["Regn"].pop("Prxy"),
            "BusMsg.Document.PrxyRegn.Regn.Prxy",
            "mandatory",
        ),
        (
            lambda bus: bus["Document"]["PrxyRegn"]["GrpHdr"].update(MsgId="M" * 36),
            "BusMsg.Document.PrxyRegn.GrpHdr.MsgId",
            "at most 35 characters",
        ),
        (
            lambda bus: bus["Document"]["PrxyRegn"]["GrpHdr"].update(MsgId=7),
            "BusMsg.Document.PrxyRegn.GrpHdr.MsgId",
            "another JSON type",
        ),
        (lambda bus: bus.pop("AppHdr"), "BusMsg.AppHdr", "mandatory"),
        (lambda bus: bus["Document"].pop("PrxyRegn"), "BusMsg.Document", "one known message"),
    ],
)
def test_a_broken_registration_names_the_path_and_the_rule(
    change: Callable[[Any], object], field: str, rule: str
) -> None:
    with pytest.raises(MalformedMessage) as caught:
        decode_proxy(changed("prxy.001-new", change))

    assert (caught.value.field, caught.value.rule) == (field, rule)


def test_a_broken_lookup_can_still_be_answered() -> None:
    body = changed("prxy.003", lambda bus: bus["Document"]["PrxyLookUp"].pop("SplmtryData"))

    with pytest.raises(MalformedMessage) as caught:
        decode_proxy(body)

    assert caught.value.name == "prxy.003"
    assert caught.value.raw == {
        "sender": "0970",
        "msg_id": "BARRIDO",
        "created": "2026-01-15T10:26:05.008Z",
        "lookup_id": "2026011510260509708152000041",
    }


def test_a_status_that_is_neither_yes_nor_no_is_malformed() -> None:
    def third(bus: Any) -> None:
        bus["Document"]["PrxyRegnRspn"]["RegnRspn"]["PrxRspnSts"] = "PDNG"

    with pytest.raises(MalformedMessage, match="ACTC or RJCT"):
        decode_proxy(changed("prxy.002-accepted", third))


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b"{}", b'{"BusMsg": null}', b"[" * 5000])
def test_what_is_no_directory_message_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode_proxy(body)


def test_the_shortest_answers_keep_what_they_say() -> None:
    registration = ProxyRegistrationResponse(
        recipient="0970",
        business_message_id="B1",
        msg_id="M1",
        created="2026-01-15T10:25:00.120Z",
        status="RJCT",
        reason="UREG",
    )
    lookup = ProxyLookupResponse(
        recipient="0970", created="2026-01-15T10:25:00.120Z", status="ACTC"
    )

    assert decode_proxy(encode_proxy(registration)) == registration
    assert decode_proxy(encode_proxy(lookup)) == lookup
