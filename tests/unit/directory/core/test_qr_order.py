from typing import Any

import msgspec
import pytest

from directory.core.qr import QrRefusal, QrResult
from directory.core.qr_calls import GenerateData
from directory.core.qr_order import QrOrder, order_of

CCI = "97100220030040050213"
STATIC = {"qrTipo": "11", "idCuenta": CCI, "moneda": "604", "nombreComerciante": "SOCIO DOS D"}
DYNAMIC = {**STATIC, "qrTipo": "12"}


def ordered(**fields: Any) -> QrOrder | QrRefusal:
    data = msgspec.convert(fields, GenerateData)
    return order_of(data, owner="0971", today="20260115")


def test_a_static_order_is_an_account_a_currency_and_a_name() -> None:
    expected = QrOrder(is_dynamic=False, cci=CCI, currency="PEN", name="SOCIO DOS D")
    assert ordered(**STATIC) == expected


@pytest.mark.parametrize("amount", ["99", 99, "00000099"])
def test_a_dynamic_order_has_terms_in_text_or_numbers(amount: str | int) -> None:
    order = ordered(
        **DYNAMIC, importe=amount, fechaVencimiento="20260115", cantidadPagos=2, glosa="mesa 4"
    )
    assert order == QrOrder(
        is_dynamic=True,
        cci=CCI,
        currency="PEN",
        name="SOCIO DOS D",
        minor=99,
        expires="20260115",
        payments_max=2,
        gloss="mesa 4",
    )


def test_every_term_of_a_dynamic_order_may_be_missing_or_empty() -> None:
    order = ordered(**DYNAMIC, importe="", fechaVencimiento=None, cantidadPagos="", glosa="")
    assert order == QrOrder(is_dynamic=True, cci=CCI, currency="PEN", name="SOCIO DOS D")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"qrTipo": "13"}, "qrTipo"),
        ({"moneda": "978"}, "moneda"),
        ({"idCuenta": CCI[:-1]}, "idCuenta"),
        ({"idCuenta": "97199999999999999999"}, "idCuenta"),
        ({"nombreComerciante": ""}, "nombreComerciante"),
        ({"nombreComerciante": "N" * 100}, "nombreComerciante"),
        ({"nombreComerciante": "A\x1b[2J"}, "nombreComerciante"),
        ({"importe": "0"}, "importe"),
        ({"importe": -1}, "importe"),
        ({"importe": "25.00"}, "importe"),
        ({"importe": "1" * 13}, "importe"),
        ({"importe": "²"}, "importe"),
        ({"cantidadPagos": "0"}, "cantidadPagos"),
        ({"cantidadPagos": 10_000}, "cantidadPagos"),
        ({"fechaVencimiento": "20260114"}, "fechaVencimiento"),
        ({"fechaVencimiento": "20260230"}, "fechaVencimiento"),
        ({"fechaVencimiento": "2026-01-20"}, "fechaVencimiento"),
        ({"glosa": "x" * 141}, "glosa"),
    ],
)
def test_a_wrong_field_is_named_with_its_rule(fields: dict[str, Any], field: str) -> None:
    refusal = ordered(**{**DYNAMIC, **fields})
    assert isinstance(refusal, QrRefusal)
    assert refusal.code is QrResult.FORMAT
    assert refusal.detail.startswith(f"data.{field}: ")


@pytest.mark.parametrize(
    "fields", [{"nombreComerciante": "N" * 99}, {"importe": "9" * 12}, {"cantidadPagos": 9999}]
)
def test_the_limit_itself_is_allowed(fields: dict[str, Any]) -> None:
    assert isinstance(ordered(**{**DYNAMIC, **fields}), QrOrder)


@pytest.mark.parametrize(
    "term",
    [{"importe": "1"}, {"glosa": "x"}, {"cantidadPagos": 1}, {"fechaVencimiento": "20270101"}],
)
def test_a_static_qr_has_no_terms(term: dict[str, Any]) -> None:
    assert isinstance(ordered(**STATIC, **term), QrRefusal)


def test_nobody_makes_qrs_for_accounts_of_another_entity() -> None:
    refusal = ordered(**{**STATIC, "idCuenta": "97000110020030040142"})
    assert refusal == QrRefusal(QrResult.NOT_YOURS)
