"""Why a core's 0210 is no answer to its 0200, where whoever asked takes it for silence."""

from typing import Final

from scheme.errors import MalformedMessage
from scheme.masking import mask_cci
from scheme.wire.iso8583_spec import Fields
from scheme.wire.iso8583_tlv import decode_tlv
from switch.core.iso8583_codes import UNDECIDED

_WITHDRAWAL: Final = "01"
_REQUESTS: Final = frozenset({"0200", "0201"})
_COMPARED: Final = {"4": "another amount", "49": "another currency", "102": "another account"}
_ACCOUNTS: Final = ("102", "103")
_ID: Final = "62.01"


def objection(asked: Fields, answer: Fields) -> str:
    """Return what an issuer's answer to a withdrawal leaves open, ``element: rule``, or nothing."""
    # A reversal carries the DE3 of its original, and its 0430 answers another question.
    if asked["t"] not in _REQUESTS or not asked.get("3", "").startswith(_WITHDRAWAL):
        return ""
    if answer["t"] != "0210":
        return "MTI: not a 0210"
    # What it does not echo it does not contradict.
    for element, rule in _COMPARED.items():
        sent = asked.get(element)
        if sent is not None and answer.get(element, sent).rstrip() != sent.rstrip():
            return f"DE{element}: {rule}"
    if _value(answer, _ID) not in ("", _value(asked, _ID)):
        return f"DE{_ID}: another order"
    code = answer.get("39", "")
    if not code or code in UNDECIDED:
        return f"DE39: {code or 'absent'} does not say whether it was posted"
    return ""


def against(rule: str, asked: Fields, answer: Fields) -> str:
    """Return which request an unfit answer is held against, and what was sent there.

    Args:
        rule: ``element: rule``.
    """
    request = f"{asked['t']} with DE11 {asked['11']}"
    element = rule.partition(":")[0].removeprefix("DE")
    sent = _value(asked, element)
    if not sent:
        return request
    return f"{request}: DE{element} is {_value(answer, element) or 'missing'}, sent was {sent}"


def _value(fields: Fields, element: str) -> str:
    """Return an element, or a tag of one, as it may be logged."""
    whole, dot, tag = element.partition(".")
    text = fields.get(whole, "")
    if not dot:
        return mask_cci(text) if whole in _ACCOUNTS else text
    try:
        return decode_tlv(text, whole).get(tag, "")
    except MalformedMessage:
        return ""
