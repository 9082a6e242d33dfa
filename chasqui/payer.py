"""Finding the account of a payer or payee among the institutions."""

from collections.abc import Collection, Sequence
from gettext import gettext as _

import click

from chasqui.answers import Account, Participant
from chasqui.country import Country
from chasqui.exits import Failure, Misused
from chasqui.output import is_interactive
from scheme.cci import clean, is_well_formed, participant_of

_PHONE_DIGITS = 9


def phone_of(text: str) -> str | None:
    """Return the 9 digits of a Peruvian mobile number as people type it, or None."""
    digits = clean(text).removeprefix("+").removeprefix("00")
    if len(digits) == _PHONE_DIGITS + 2:
        digits = digits.removeprefix("51")
    is_mobile = len(digits) == _PHONE_DIGITS and digits.isdigit() and digits.startswith("9")
    return digits if is_mobile and digits.isascii() else None


def cci_of(text: str) -> str | None:
    """Return the 20 digits of a CCI as people type it, or None."""
    digits = clean(text)
    return digits if is_well_formed(digits) else None


def find_account(
    country: Country,
    text: str,
    *,
    agent: str | None,
    currency: str | None,
    label: str,
    preferred: Collection[str] = (),
) -> tuple[Participant, Account | None, str]:
    """Return the institution that keeps an account, and what to call the account there.

    Args:
        text: phone or CCI.
        agent: institution to choose when a phone has accounts at several.
        label: the flag concerned, for messages.
        preferred: institutions to choose from when a phone has an account at any of them.

    Returns:
        The institution, the account if it was looked for, and its CCI.
    """
    cci = cci_of(text)
    if cci is not None:
        one = country.participant(participant_of(cci))
        country.hook(one)
        return one, None, cci
    phone = phone_of(text)
    if phone is None:
        raise Misused(
            _("{label}: {text!r} is neither a phone (9 digits) nor a CCI (20 digits).").format(
                label=label, text=text
            ),
            _("Find accounts with: chasqui customers"),
        )
    if agent is not None:
        country.hook(country.participant(agent))
    found = _by_phone(country, phone, agent=agent, currency=currency)
    if not found and agent is not None:
        raise Misused(
            _("{label}: {code} keeps no account for {phone}.").format(
                label=label, code=agent, phone=phone
            ),
            _("Find accounts with: chasqui customers"),
        )
    if not found:
        raise Misused(
            _("{label}: no simulated institution keeps an account for {phone}.").format(
                label=label, phone=phone
            ),
            _("Find accounts with: chasqui customers"),
        )
    fitting = [(one, account) for one, account in found if one.code in preferred]
    one, account = _choose(fitting or found, label)
    return one, account, account.cci


def _by_phone(
    country: Country, phone: str, *, agent: str | None, currency: str | None
) -> list[tuple[Participant, Account]]:
    found = []
    for one in country.participants():
        if not one.hook_url or (agent is not None and one.code != agent):
            continue
        try:
            accounts = list(country.accounts(one, phone=phone))
        except Failure:
            if agent is not None:
                raise
            continue  # Not there, or a hook without this call: the others may know the phone.
        found += [
            (one, account)
            for account in accounts
            if account.phone == phone and currency in {None, account.currency}
        ]
    return found


def _choose(
    found: Sequence[tuple[Participant, Account]], label: str
) -> tuple[Participant, Account]:
    if len(found) == 1:
        return found[0]
    if not is_interactive():
        one, account = found[0]
        elsewhere = sorted({other.code for other, _account in found} - {one.code})
        others = ", ".join(elsewhere or (other.cci for _one, other in found[1:]))
        note = _("{label}: the account at {code} {name} is used; others: {others}")
        click.echo(note.format(label=label, code=one.code, name=one.name, others=others), err=True)
        return found[0]
    for number, (one, account) in enumerate(found, 1):
        click.echo(
            f"  {number}  {one.code} {one.name}  {account.cci}  {account.currency}", err=True
        )
    answer: int = click.prompt(
        _("Which account?"), type=click.IntRange(1, len(found)), default=1, err=True
    )
    return found[answer - 1]
