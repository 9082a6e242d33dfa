from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from directory.wire import DirectoryWire
from scheme.people import REFERENCE_PEOPLE
from scheme.reasons import ReasonCode
from tests.support.directory_fakes import MemoryDirectoryStore, a_service, golden, lima_clock

NEW = golden("prxy.001-new")
LOOKUP = golden("prxy.003")


async def a_wire(
    store: MemoryDirectoryStore | None = None, at: str = "2026-01-15T10:25:00.431", **rules: Any
) -> DirectoryWire:
    service = a_service(store or MemoryDirectoryStore(), clock=lima_clock(at), rules=rules)
    await service.seed(REFERENCE_PEOPLE)
    return DirectoryWire(service)


def changed(body: bytes, *path: str | int, to: Any) -> bytes:
    """Return a message with one element replaced; None takes it out."""
    tree = msgspec.json.decode(body)
    at = tree["BusMsg"]
    for name in path[:-1]:
        at = at[name]
    if to is None:
        del at[path[-1]]
    else:
        at[path[-1]] = to
    return msgspec.json.encode(tree)


def result_of(answer: bytes) -> dict[str, Any]:
    document = msgspec.json.decode(answer)["BusMsg"]["Document"]
    if "PrxyRegnRspn" in document:
        result: dict[str, Any] = document["PrxyRegnRspn"]["RegnRspn"]
    elif "PrxyLookUpRspn" in document:
        result = document["PrxyLookUpRspn"]["LkUpRspn"]["RegnRspn"]
    else:
        result = document["MessageReject"]["Rsn"]
    return result


def reason_of(answer: bytes) -> str:
    result = result_of(answer)
    if "RjctgPtyRsn" in result:
        return str(result["RjctgPtyRsn"])
    assert result["PrxRspnSts"] == "RJCT"
    return str(result["StsRsnInf"]["Prtry"])


async def test_the_printed_registration_gets_the_printed_answer() -> None:
    wire = await a_wire()
    assert await wire.answer(NEW) == golden("prxy.002-accepted")


async def test_a_second_account_for_the_phone_gets_the_printed_refusal() -> None:
    wire = await a_wire()
    await wire.answer(NEW)
    second = NEW.replace(b"000031", b"000032").replace(
        b"97000110020030040142", b"97000110020030041944"
    )
    reply = await wire.reply(second)
    assert reply.body == golden("prxy.002-refused")
    assert reply.fault == "Prxy.Val: the phone has an account at this entity already"


async def test_the_printed_deactivation_is_accepted_once() -> None:
    wire = await a_wire()
    await wire.answer(NEW)
    deactivation = golden("prxy.001-deactivate")
    assert result_of(await wire.answer(deactivation))["PrxRspnSts"] == "ACTC"
    assert reason_of(await wire.answer(deactivation)) == "UREG"


async def test_the_printed_lookup_gets_the_printed_answer() -> None:
    wire = await a_wire(at="2026-01-15T10:26:05.640")
    assert await wire.answer(LOOKUP) == golden("prxy.004-found")


async def test_an_empty_list_gets_the_printed_message_reject() -> None:
    wire = await a_wire(at="2026-01-15T10:26:05.640")
    empty = changed(LOOKUP, "Document", "PrxyLookUp", "SplmtryData", "Envlp", "Proxy", to=[])
    assert await wire.answer(empty) == golden("prxy.004-message-reject")


async def test_a_lookup_of_two_minds_about_its_sender_gets_the_printed_refusal() -> None:
    wire = await a_wire(at="2026-01-15T10:26:05.640")
    header = {"FIId": {"FinInstnId": {"Othr": {"Id": "0971"}}}}
    assert await wire.answer(changed(LOOKUP, "AppHdr", "Fr", to=header)) == golden(
        "prxy.004-refused"
    )


async def test_a_list_too_long_is_rejected_and_counted() -> None:
    wire = await a_wire()
    proxies = [{"Type": "M", "Value": "+51900000202"}] * 101
    body = changed(LOOKUP, "Document", "PrxyLookUp", "SplmtryData", "Envlp", "Proxy", to=proxies)
    reply = await wire.reply(body)
    result = result_of(reply.body)
    assert (result["RsnDesc"], result["AddtlData"]) == ("AT MOST 100 PHONES", "101 ENTRIES")
    assert reply.fault == "SplmtryData.Envlp.Proxy: at most 100 phones"


async def test_present_is_a_boolean_where_the_profile_says_so() -> None:
    wire = await a_wire(present_as="boolean")
    answer = await wire.answer(LOOKUP)
    assert b'"Present":true' in answer
    assert b'"Present":false' in answer


@pytest.mark.parametrize(
    ("style", "printed"),
    [("local_z", b"2026-01-15T10:25:00.431Z"), ("utc", b"2026-01-15T15:25:00.431Z")],
)
async def test_timestamps_are_printed_as_the_profile_says(style: str, printed: bytes) -> None:
    wire = await a_wire(timestamps=style)
    assert printed in await wire.answer(NEW)


@pytest.mark.parametrize(
    "written", ["2026-01-15T15:25:00.120Z", "2026-01-15T10:25:00-05:00", "yesterday"]
)
async def test_no_timestamp_is_a_ground_for_refusal(written: str) -> None:
    wire = await a_wire()
    body = NEW.replace(b"2026-01-15T10:25:00.120Z", written.encode())
    assert result_of(await wire.answer(body))["PrxRspnSts"] == "ACTC"


REGN = ("Document", "PrxyRegn", "Regn")
GROUP = ("Document", "PrxyRegn", "GrpHdr")


@pytest.mark.parametrize(
    ("path", "to", "fault"),
    [
        ((*REGN, "RegnTp"), "XXXX", "RegnTp: NEWR, AMND or DEAC"),
        ((*REGN, "RegnSubTp"), "CARD", "RegnSubTp: ACCT"),
        ((*REGN, "Prxy", "Tp"), "E", "Prxy.Tp: M"),
        ((*REGN, "Prxy", "Val"), "900000101", "Prxy.Val: +51 and nine digits"),
        ((*REGN, "Prxy", "Val"), "+51100000101", "Prxy.Val: +51 and nine digits"),
        ((*REGN, "Prxy"), None, "Prxy: mandatory"),
        ((*REGN, "PrxyRegn", "Acct", "AcctHldrTp"), "X", "Acct.AcctHldrTp: N or J"),
        ((*GROUP, "MsgSndr", "Agt", "FinInstnId", "Nm"), None, "FinInstnId.Nm: mandatory"),
        ((*GROUP, "MsgSndr", "Agt", "FinInstnId", "Nm"), "12", "FinInstnId.Nm: 20 digits"),
        (
            (*GROUP, "MsgSndr", "Agt", "FinInstnId", "Nm"),
            "97100220030040050213",
            "FinInstnId.Nm: an account of the sender",
        ),
        (
            (*GROUP, "MsgSndr", "Agt", "FinInstnId", "Othr", "Id"),
            "0971",
            "MsgSndr.Agt.FinInstnId.Othr.Id: the sender of the header",
        ),
        (
            ("AppHdr", "To", "FIId", "FinInstnId", "Othr", "Id"),
            "0971",
            "To.FIId.FinInstnId.Othr.Id: 0998",
        ),
    ],
)
async def test_a_wrong_field_of_a_registration_is_refused_by_name(
    path: tuple[str, ...], to: Any, fault: str
) -> None:
    wire = await a_wire()
    reply = await wire.reply(changed(NEW, *path, to=to))
    assert reason_of(reply.body) == "FF02"
    assert reply.fault is not None
    assert fault in reply.fault


async def test_a_refused_registration_still_names_what_it_answers() -> None:
    wire = await a_wire()
    body = changed(NEW, *REGN, "Prxy", to=None)
    answer = msgspec.json.decode(await wire.answer(body))["BusMsg"]
    assert answer["AppHdr"]["To"]["FIId"]["FinInstnId"]["Othr"]["Id"] == "0970"
    response = answer["Document"]["PrxyRegnRspn"]
    assert response["OrgnlGrpInf"]["OrgnlMsgId"] == "M2026011510250009701000031"
    assert response["PrxyRegn"]["RegnId"] == "R202601151025000970000031"
    assert response["GrpHdr"]["MsgId"] == "M2026011510250009981000031"


async def test_a_sender_out_of_quota_is_told_to_wait() -> None:
    wire = await a_wire(bucket_size=1)
    assert result_of(await wire.answer(LOOKUP))["PrxRspnSts"] == "ACTC"
    assert reason_of(await wire.answer(LOOKUP)) == "FF07"


async def test_a_sender_nobody_knows_is_refused() -> None:
    wire = await a_wire()
    assert reason_of(await wire.answer(LOOKUP.replace(b"0970", b"0989"))) == "DNOR"


async def test_a_wrong_alias_type_of_a_lookup_is_refused() -> None:
    wire = await a_wire()
    assert reason_of(await wire.answer(LOOKUP.replace(b'"Type":"M"', b'"Type":"E"', 1))) == "FF02"


async def test_answers_are_no_questions() -> None:
    wire = await a_wire()
    for name in ("prxy.002-accepted", "prxy.004-found", "prxy.004-message-reject"):
        assert reason_of(await wire.answer(golden(name))) == "FF02"


async def test_a_store_that_fails_is_answered_and_nothing_is_claimed() -> None:
    store = MemoryDirectoryStore()
    wire = await a_wire(store)
    store.is_broken = True
    assert reason_of(await wire.answer(NEW)) == "FF07"
    assert reason_of(await wire.answer(LOOKUP)) == "FF07"


async def test_an_edge_can_refuse_for_its_own_reason() -> None:
    wire = await a_wire()
    assert reason_of(wire.refuse(NEW, ReasonCode.DS0A)) == "DS0A"
    assert reason_of(wire.refuse(LOOKUP, ReasonCode.DS0D)) == "DS0D"


async def test_the_sender_is_the_one_of_the_header() -> None:
    wire = await a_wire()
    assert wire.sender(NEW) == "0970"
    assert wire.sender(LOOKUP) == "0970"
    assert wire.sender(b"{}") is None
    assert wire.sender(b"\xff" * 10) is None
    assert wire.sender(b"[" * 100_000) is None


async def test_every_torn_message_gets_an_answer() -> None:
    wire = await a_wire()
    for whole in (NEW, LOOKUP):
        for end in range(0, len(whole), 7):
            assert reason_of(await wire.answer(whole[:end])) == "FF02"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)
PATHS = st.sampled_from(
    [
        ("AppHdr",),
        ("AppHdr", "Fr"),
        ("AppHdr", "BizMsgIdr"),
        ("Document",),
        ("Document", "PrxyRegn"),
        GROUP,
        (*GROUP, "MsgId"),
        REGN,
        (*REGN, "PrxyRegn", "RegnId"),
        (*REGN, "PrxyRegn", "DsplNm"),
    ]
)


@given(st.binary(max_size=200) | JSON.map(msgspec.json.encode))
async def test_garbage_gets_an_answer(body: bytes) -> None:
    wire = await a_wire()
    wire.sender(body)
    assert reason_of(await wire.answer(body)) == "FF02"


@given(PATHS, JSON)
async def test_a_message_with_any_element_replaced_gets_an_answer(
    path: tuple[str, ...], value: Any
) -> None:
    wire = await a_wire()
    assert result_of(await wire.answer(changed(NEW, *path, to=value)))
