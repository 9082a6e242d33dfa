from scheme.reasons import ReasonCode
from scheme.validation import RECEIVER_ORDER, Check


def test_every_check_stands_in_the_order_once() -> None:
    assert [step.check for step in RECEIVER_ORDER] == list(Check)


def test_a_query_is_not_asked_for_what_only_an_order_has() -> None:
    only_orders = [step.check for step in RECEIVER_ORDER if not step.in_query]

    assert only_orders == [
        Check.DEBTOR_CCI,
        Check.AMOUNT,
        Check.PRODUCT_LIMITS,
        Check.DEBTOR_NAME,
        Check.REFERENCE,
        Check.ALIAS_LIMITS,
    ]


def test_affiliation_is_checked_on_the_query_alone() -> None:
    step = next(step for step in RECEIVER_ORDER if step.check is Check.ALIAS_AFFILIATED)

    assert (step.in_query, step.in_order, step.reasons) == (True, False, (ReasonCode.CH11,))
