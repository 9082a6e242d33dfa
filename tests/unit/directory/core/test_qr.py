import base64

import pytest
from msgspec.structs import replace

from directory.core.qr import (
    REFERENCE_DYNAMIC,
    REFERENCE_STATIC,
    TEXTS,
    QrRecord,
    QrResult,
    compose_id_qr,
    id_qr_in,
    judge,
    make_token,
    seal,
    text_of,
    token_owner,
)
from scheme.wire import emv_qr

KEY = b"a key of the store"
STATIC_TEXT = (
    "000201010211263700028001039030220260115097100000123455204482953036045802PE5911SOCIO DOS D"
    "6004Lima80550003ID10144LJzSuSGsy39bzQufE60EJpeIhc7mmF+6yHWwd+QPZV0=6304D314"
)
DYNAMIC_TEXT = (
    "00020101021226370002800103903022026011509710000012346520448295303604540525.005802PE"
    "5911SOCIO DOS D6004Lima80550003ID10144LJzSuSGsy39bzQufE60EJpeIhc7mmF+6yHWwd+QPZV0=63045F94"
)


def verdict(
    record: QrRecord | None, text: str, *, payments: int = 0, today: str = "20260115"
) -> QrResult:
    return judge(record, emv_qr.parse(text), payments=payments, today=today)


def test_every_result_has_its_text() -> None:
    assert set(TEXTS) == set(QrResult)


def test_the_printed_static_qr_is_the_registered_one() -> None:
    assert text_of(REFERENCE_STATIC) == STATIC_TEXT
    assert verdict(REFERENCE_STATIC, STATIC_TEXT) is QrResult.OK


def test_the_printed_dynamic_qr_is_the_registered_one() -> None:
    assert text_of(REFERENCE_DYNAMIC) == DYNAMIC_TEXT
    assert verdict(REFERENCE_DYNAMIC, DYNAMIC_TEXT) is QrResult.OK


def test_a_qr_nobody_registered_is_unknown() -> None:
    assert verdict(None, STATIC_TEXT) is QrResult.UNKNOWN


@pytest.mark.parametrize(
    ("today", "result"), [("20260131", QrResult.OK), ("20260201", QrResult.EXPIRED)]
)
def test_a_dynamic_qr_is_good_until_the_end_of_its_last_day(today: str, result: QrResult) -> None:
    assert verdict(REFERENCE_DYNAMIC, text_of(REFERENCE_DYNAMIC), today=today) is result


@pytest.mark.parametrize(
    ("payments", "result"), [(0, QrResult.OK), (2, QrResult.OK), (3, QrResult.USED_UP)]
)
def test_a_dynamic_qr_is_good_for_its_number_of_payments(payments: int, result: QrResult) -> None:
    record = replace(REFERENCE_DYNAMIC, payments_max=3)
    assert verdict(record, text_of(record), payments=payments) is result


def test_a_qr_without_a_limit_is_never_used_up() -> None:
    record = replace(REFERENCE_DYNAMIC, payments_max=None, expires=None)
    assert verdict(record, text_of(record), payments=10_000, today="20991231") is QrResult.OK


@pytest.mark.parametrize(
    "altered",
    [
        replace(REFERENCE_DYNAMIC, minor=100),
        replace(REFERENCE_DYNAMIC, minor=None),
        replace(REFERENCE_DYNAMIC, name="OTRA SOCIA D"),
        replace(REFERENCE_DYNAMIC, sealed=base64.b64encode(b"x" * 32).decode()),
        replace(REFERENCE_DYNAMIC, currency="USD"),
    ],
)
def test_a_string_that_differs_from_what_was_registered_is_refused(altered: QrRecord) -> None:
    assert verdict(REFERENCE_DYNAMIC, text_of(altered)) is QrResult.ALTERED


def test_the_seal_depends_on_key_account_id_and_kind() -> None:
    seals = {
        seal(KEY, "1" * 20, "cci", is_dynamic=False),
        seal(KEY, "1" * 20, "cci", is_dynamic=True),
        seal(KEY, "2" * 20, "cci", is_dynamic=False),
        seal(KEY, "1" * 20, "other", is_dynamic=False),
        seal(b"another key", "1" * 20, "cci", is_dynamic=False),
    }
    assert len(seals) == 5
    assert {len(base64.b64decode(one)) for one in seals} == {32}


def test_an_id_is_made_of_day_participant_and_number() -> None:
    assert compose_id_qr("20260115", "0971", 12345) == "26011509710000012345"


@pytest.mark.parametrize(
    ("narrative", "id_qr"),
    [
        ("26011509710000012345", "26011509710000012345"),
        ("PAGO QR:26011509710000012345 gracias", "26011509710000012345"),
        ("2601150971000001234", None),
        ("260115097100000123456", None),
        ("2601150971000001234²", None),
        ("", None),
        (None, None),
    ],
)
def test_a_narrative_names_its_qr_alone_or_wrapped_in_text(
    narrative: str | None, id_qr: str | None
) -> None:
    assert id_qr_in(narrative) == id_qr


def test_a_token_is_its_owner_s_until_it_expires() -> None:
    token = make_token(KEY, "0971", 1_000)
    assert token_owner(KEY, token, 999) == "0971"
    assert token_owner(KEY, token, 1_000) is None


@pytest.mark.parametrize("at", range(len(make_token(KEY, "0971", 1_000))))
def test_a_token_with_one_character_changed_is_nobody_s(at: int) -> None:
    token = make_token(KEY, "0971", 1_000)
    other = "0" if token[at] != "0" else "1"
    assert token_owner(KEY, token[:at] + other + token[at + 1 :], 0) is None


@pytest.mark.parametrize("token", ["", "-", "---", "demo-token-0971", "a-b-c-d-e", "ñ-0971-1-x"])
def test_what_is_no_token_of_ours_is_nobody_s(token: str) -> None:
    assert token_owner(KEY, token, 0) is None
    assert token_owner(b"another key", make_token(KEY, "0971", 1_000), 0) is None
