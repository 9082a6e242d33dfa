"""What a reason code means to a person, and what to do about it."""

import re
from collections.abc import Mapping
from gettext import gettext as _

from chasqui.language import N_
from chasqui.told import find, told
from scheme.reasons import ReasonCode

_MEANINGS: dict[str, tuple[str, str]] = {
    ReasonCode.AC01: (
        N_("the account number is wrong or unknown to the institution"),
        N_("Check the number; find one that exists with: chasqui customers"),
    ),
    ReasonCode.AC06: (
        N_("the account is blocked or inactive"),
        N_("Choose another account."),
    ),
    ReasonCode.AC07: (N_("the account is closed"), N_("Choose another account.")),
    ReasonCode.AC11: (
        N_("the account is kept in another currency"),
        N_("Give the currency of the account: --currency"),
    ),
    ReasonCode.AC14: (
        N_("this type of transfer is not allowed for the account"),
        N_("Choose another account."),
    ),
    ReasonCode.AM01: (N_("the amount is zero"), N_("Give an amount above zero.")),
    ReasonCode.AM05: (
        N_("the same key was used before with other content"),
        N_("Give the new order a key of its own; the first one stands."),
    ),
    ReasonCode.AM09: (
        N_("the amount is wrong: outside the limits, or without funds"),
        N_("Look at the limits of the profile and at the balance of the debtor."),
    ),
    ReasonCode.BE08: (
        N_("the debtor's name is missing"),
        N_("Put the name into the message."),
    ),
    ReasonCode.BE15: (
        N_("the reference is missing, unknown or expired"),
        N_("Verify the account again and send the order with the new reference."),
    ),
    ReasonCode.BE16: (
        N_("the debtor's document is not valid"),
        N_("Check its type and length."),
    ),
    ReasonCode.CH11: (
        N_("the phone or token is not affiliated to an account there"),
        N_("See where it can be paid: chasqui lookup"),
    ),
    ReasonCode.DNOR: (
        N_("the debtor's institution is not registered, not signed on, or blocked"),
        N_("Look at it and sign it on: chasqui participants, chasqui signon"),
    ),
    ReasonCode.DS0A: (
        N_("the signature is missing or does not verify"),
        N_("Check what was signed: chasqui jws verify"),
    ),
    ReasonCode.DS0B: (
        N_("the form of the signature is not known"),
        N_("Check the members of the JWS: chasqui jws verify"),
    ),
    ReasonCode.DS0D: (
        N_("the signing certificate is not valid"),
        N_("Check its dates and thumbprint against the participant's certificate."),
    ),
    ReasonCode.DS16: (
        N_("the version of the public key is wrong"),
        N_("Renew the key that was exchanged."),
    ),
    ReasonCode.DS24: (
        N_("the waiting time is over"),
        N_("See who was silent: chasqui show"),
    ),
    ReasonCode.FF02: (
        N_("the format of a field is wrong"),
        N_("See the field and its rule: chasqui show -v"),
    ),
    ReasonCode.FF07: (
        N_("the operation is not supported here and now"),
        N_("The detail says which rule; if there is none, ask: chasqui route"),
    ),
    ReasonCode.RR04: (N_("a regulatory reason"), N_("Ask the institution that refused.")),
    ReasonCode.RR10: (
        N_("a character is not allowed"),
        N_("Use letters without marks, digits and blanks."),
    ),
    ReasonCode.AB05: (
        N_("the creditor's institution did not answer in time"),
        N_("Nothing was credited. See how the institution stands: chasqui participants"),
    ),
    ReasonCode.IREG: (
        N_("the alias is registered already"),
        N_("Deactivate it where it is registered first."),
    ),
    ReasonCode.UREG: (
        N_("the alias is not registered"),
        N_("See where it can be paid: chasqui lookup"),
    ),
    "QR01": (
        N_("a field of the QR, or of the call, breaks its rule"),
        N_("Take the text of the QR again, whole."),
    ),
    "QR02": (
        N_("the QR is not registered at the clearing house"),
        N_("Ask the payee for another QR."),
    ),
    "QR03": (N_("the QR has expired"), N_("Ask the payee for another QR.")),
    "QR04": (N_("the QR has been paid already"), N_("Ask the payee for another QR.")),
    "QR05": (N_("the QR was altered"), N_("Do not pay it; ask the payee for another QR.")),
    "QR06": (
        N_("the token of the QR module is unknown or has expired"),
        N_("Ask for a new token, and call again."),
    ),
    "QR07": (N_("the user or the password is wrong"), N_("Give the password: --password")),
    "QR08": (
        N_("the account is kept by another institution"),
        N_("Ask for the QR in the name of that institution."),
    ),
    "QR99": (N_("the QR module is not available just now"), N_("Try again in a moment.")),
}
_STEPS: dict[str, str] = {
    "the payee's institution is unknown, signed off or blocked": N_(
        "See how it stands: chasqui participants"
    ),
    "this institution is signed off or blocked": N_("See how it stands: chasqui participants"),
    "the clearing house has suspended the system": N_("Resume it: chasqui notice 971 NORMAL"),
    "the account has not enough money": N_("Pay less, or from another account."),
    "the phone is known, but not there": N_("See where it can be paid: chasqui lookup"),
    "nobody can be paid at this phone": N_("Find people to pay with: chasqui customers"),
    "the verification was not answered": N_("Nothing moved: try again."),
    "the directory did not answer": N_("Nothing moved: try again."),
    "the QR module did not answer": N_("Nothing moved: try again."),
}
"""What to do about what an institution says without a code."""
_SILENT_INSTITUTION = (
    N_("the other institution cannot be asked: it is signed off, blocked, or has no link"),
    N_("Nothing was asked for, so nothing is owed. See how it stands: chasqui participants"),
)
_CODE = (
    N_("the one-time code is wrong, used up or too old"),
    N_("Ask the member for the code again, or issue a new one: chasqui cash code"),
)
_TAKEN_BACK = (
    N_("its own institution took it back"),
    N_("The money is where it was: nothing, unless it was meant to be paid after all."),
)
_BY_RULE: Mapping[str, tuple[str, str]] = {
    "the issuer {code} is blocked": _SILENT_INSTITUTION,
    "the issuer {code} is not signed on": _SILENT_INSTITUTION,
    "no link to the issuer; nothing is owed to it": _SILENT_INSTITUTION,
    "no connection to it could be established; nothing is owed to it": _SILENT_INSTITUTION,
    "wrong; attempts left: {count}": _CODE,
    "wrong, and void now: too many wrong codes": _CODE,
    "void after too many wrong codes": _CODE,
    "no code was issued for this phone": _CODE,
    "used already": _CODE,
    "it expired at {time}": _CODE,
    "the code is for {currency}": (
        N_("the one-time code is for another currency"),
        N_("Give the currency of the code: --currency"),
    ),
    "the code is for exactly {minor}": (
        N_("the one-time code is for another amount"),
        N_("Ask for exactly that amount, or issue another code: chasqui cash code"),
    ),
    "no participant issued it": (
        N_("no institution here issued the card"),
        N_("Find one with: chasqui customers --cards"),
    ),
    "its debtor's institution took the order back": _TAKEN_BACK,
    "the machine took it back before there was an outcome": _TAKEN_BACK,
    "its reversal came first; it is never executed": _TAKEN_BACK,
}
"""What a code means under a rule, by the rule's template: it says more than the code alone."""
_QR_ANSWER = re.compile(r"(QR\d\d)(?:: | )[^:]*(?:: (.+))?")


def meaning(reason: str | None, rule: str = "") -> str:
    """Return what a reason code means, or the code itself if it is none of ours.

    Args:
        rule: field and rule behind it, where they are known.
    """
    if not reason:
        return ""
    known = _by_rule(rule) or _MEANINGS.get(reason)
    return _(known[0]) if known else reason


def advice(reason: str | None, rule: str = "") -> str:
    """Return what to do about a reason code, or nothing; arguments as for ``meaning``."""
    known = (_by_rule(rule) if reason else None) or _MEANINGS.get(reason or "")
    return _(known[1]) if known else ""


def _by_rule(rule: str) -> tuple[str, str] | None:
    """Return what is said of a rule, wherever it stands behind fields and deciders."""
    parts = rule.split(": ")
    for start in range(len(parts)):
        found = find(": ".join(parts[start:]))
        if found is not None and found.template in _BY_RULE:
            return _BY_RULE[found.template]
    return None


def step_after(text: str) -> str:
    """Return what to do about an institution's explanation, or nothing."""
    answer = _QR_ANSWER.fullmatch(text)
    if answer is not None:
        return advice(answer[1])
    step = _STEPS.get(text)
    return _(step) if step else ""


def explained(text: str) -> str:
    """Return what the country says about a payment, in the language in use.

    The QR module answers with a code and a text of the wire, which is Spanish: the code is what
    is explained.
    """
    answer = _QR_ANSWER.fullmatch(text)
    if answer is None or answer[1] not in _MEANINGS:
        return told(text)
    line = f"{answer[1]}: {meaning(answer[1])}"
    return f"{line} ({told(answer[2])})" if answer[2] else line
