"""Masks for what identifies a person, wherever a message is shown or logged.

Bytes at rest stay exact; only what people see goes through here.
"""

import base64
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

_STAR = "*"
_HIDDEN_MIN = 3
_PERU_PREFIX = "+51"
_CCI_DIGITS = 20
_DEPTH_MAX = 16
_SURNAMES = 2

Mask = Callable[[str], str]


def mask_phone(phone: str) -> str:
    """Return ``90*****01`` for ``900000101``, with or without the country's prefix."""
    if phone.startswith(_PERU_PREFIX):
        return _PERU_PREFIX + mask_phone(phone[len(_PERU_PREFIX) :])
    return _middle(phone, 2, 2)


def mask_cci(cci: str) -> str:
    """Return a CCI with its entity and last four digits: ``970*************0142``."""
    return _middle(cci, 3, 4)


def mask_document(number: str) -> str:
    """Return a document number with its last two characters: ``******01``."""
    return _middle(number, 0, 2)


def mask_card(number: str) -> str:
    """Return a card number with the six and four digits that card rules let people see."""
    return _middle(number, 6, 4)


def mask_token(token: str) -> str:
    """Return the first four characters of an opaque token; the length is not told."""
    return token[:4] + _STAR * 4 if len(token) > 2 * 4 else _STAR * 4


def mask_name(name: str) -> str:
    """Return the initials only: ``S*** U*** D*** P***``."""
    return " ".join(word[0] + _STAR * 3 for word in name.split())


def mask_text(text: str) -> str:
    """Return text of unknown shape with long numbers hidden, and personal JSON members too.

    Sound JSON goes through ``mask_message``. Anything else, a torn answer for instance, is
    searched for members by name; what is left loses every number of seven digits or more.
    """
    return _text(text, _DEPTH_MAX)


def mask_message(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a decoded message of any wire with every identifier of a person masked.

    Works by the names of fields, so it serves TIN messages, directory messages and QR calls,
    with unknown fields and any nesting. A signed message comes back with its payload readable.
    """
    return _object(message, _DEPTH_MAX)


def mask_display_name(name: str) -> str:
    """Return the name as directories show it: ``SOCIA UNO D.`` for ``SOCIA UNO DEMO PRUEBA``.

    Given names in full and the initial of the first surname. The last two words are taken as
    surnames, the last one alone if there are but two; a single word stands as it is.
    """
    words = name.split()
    if len(words) < _SURNAMES:
        return " ".join(words)
    first_surname = max(len(words) - _SURNAMES, 1)
    return " ".join((*words[:first_surname], words[first_surname][0] + "."))


def _middle(text: str, head: int, tail: int) -> str:
    hidden = len(text) - head - tail
    if hidden < _HIDDEN_MIN:
        # Too short to be what it is called: showing both ends would show nearly all of it.
        return _STAR * len(text)
    return text[:head] + _STAR * hidden + text[len(text) - tail :]


def _secret(_: str) -> str:
    return _STAR * 4


def _name_or_cci(text: str) -> str:
    # A registration carries the CCI where ISO 20022 has the name of the institution.
    return mask_cci(text) if len(text) == _CCI_DIGITS and text.isdigit() else mask_name(text)


def _account_or_token(text: str) -> str:
    return mask_cci(text) if text.isdigit() else mask_token(text)


def _alias(text: str) -> str:
    is_phone = text.removeprefix("+").isdigit() and len(text) <= len(_PERU_PREFIX) + 9
    return mask_phone(text) if is_phone else mask_token(text)


_LONG_NUMBER = re.compile(r"\d{7,}")


def _free_text(text: str) -> str:
    return _LONG_NUMBER.sub(lambda found: _middle(found[0], 2, 2), text)


# By the whole name in lower case, for connectors vary the spelling of capitals.
_BY_NAME: Mapping[str, Mask] = {
    "debtorname": mask_name,
    "creditorname": mask_name,
    "debtorid": mask_document,
    "creditorid": mask_document,
    "proxyvalue": _alias,
    "unstructuredinformation": _free_text,
    "eventdescription": _free_text,
    # Directory.
    "nm": _name_or_cci,
    "ustrd": _free_text,
    "dsplnm": mask_name,
    "val": _alias,
    "value": _alias,
    "rsndesc": _free_text,
    "addtldata": _free_text,
    # QR module; ``hash`` is the whole string of the QR, holder included.
    "idcuenta": _account_or_token,
    "nombrecomerciante": mask_name,
    "hash": mask_token,
    "valor": mask_token,
    "glosa": _free_text,
    # The network's calls and the test hook.
    "phone": _alias,
    "phones": _alias,
    "displayname": mask_name,
    # Secrets of any call.
    "password": _secret,
    "token": _secret,
}
_BY_SUFFIX: tuple[tuple[str, Mask], ...] = (
    ("cci", mask_cci),
    ("creditcard", mask_card),
    ("phonenumber", mask_phone),
    ("mobilenumber", mask_phone),
    ("addressline", mask_name),
)
_ACCOUNTS = frozenset({"DbtrAcct", "CdtrAcct"})
_ORIGINAL = "originalmessage"
_SIGNED = frozenset({"payload", "protected", "signature"})
# A JSON member, its value a text (closed or torn off) or a number; or any long number.
_MEMBER = re.compile(
    r'"(?P<name>\w{1,64})"\s*:\s*(?:"(?P<text>(?:[^"\\]|\\.)*+)\\?(?P<close>"|$)'
    r"|(?P<number>[0-9.]+))|(?P<loose>\d{7,})",
    re.DOTALL,
)


def _mask_of(name: str) -> Mask | None:
    key = name.lower()
    found = _BY_NAME.get(key)
    if found is None:
        found = next((mask for suffix, mask in _BY_SUFFIX if key.endswith(suffix)), None)
    return found


def _object(message: Mapping[str, Any], depth: int) -> dict[str, Any]:
    if message.keys() >= _SIGNED:
        return {**message, "payload": _payload(message["payload"], depth)}
    return {name: _member(name, value, depth) for name, value in message.items()}


def _member(name: str, value: Any, depth: int) -> Any:
    if name in _ACCOUNTS and isinstance(value, Mapping):
        return _account(value, depth)
    if name.lower() == _ORIGINAL and isinstance(value, str):
        return _text(value, depth - 1)
    mask = _mask_of(name)
    return _plain(value, depth) if mask is None else _masked(value, mask, depth)


def _account(value: Mapping[str, Any], depth: int) -> Any:
    """Mask an account of ISO 20022, wherever in it the number stands."""
    if depth <= 0:
        return _STAR * 4
    return {
        name: _account(one, depth - 1)
        if isinstance(one, Mapping)
        else _masked(one, mask_cci, depth - 1)
        for name, one in value.items()
    }


def _plain(value: Any, depth: int) -> Any:
    if depth <= 0:
        return _STAR * 4
    if isinstance(value, Mapping):
        return _object(value, depth - 1)
    if isinstance(value, list | tuple):
        return [_plain(one, depth - 1) for one in value]
    return value


def _masked(value: Any, mask: Mask, depth: int) -> Any:
    """Mask every leaf of a value: a personal field of the wrong shape is personal still."""
    if depth <= 0:
        return _STAR * 4
    if isinstance(value, Mapping):
        return _object(value, depth - 1)
    if isinstance(value, list | tuple):
        return [_masked(one, mask, depth - 1) for one in value]
    if value is None or isinstance(value, bool):
        return value
    return mask(str(value))


def _payload(payload: Any, depth: int) -> Any:
    if not isinstance(payload, str):
        return _STAR * 4
    try:
        raw = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        document = msgspec.json.decode(raw)
    except (ValueError, RecursionError):
        return mask_token(payload)
    return _plain(document, depth - 1) if isinstance(document, dict) else mask_token(payload)


def _text(text: str, depth: int) -> str:
    if depth <= 0:
        return _STAR * 4
    try:
        document = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return _MEMBER.sub(lambda found: _torn_member(found, depth), text)
    if isinstance(document, dict | list):
        return msgspec.json.encode(_plain(document, depth)).decode()
    return _free_text(text)


def _torn_member(found: re.Match[str], depth: int) -> str:
    if found["loose"] is not None:
        return _middle(found["loose"], 2, 2)
    name, number, text = found["name"], found["number"], found["text"]
    mask = _mask_of(name)
    if number is not None:
        return f'"{name}":{number}' if mask is None else f'"{name}":"{mask(number)}"'
    if name.lower() == _ORIGINAL:
        # Quoted once more; one level of back-slashes goes for good, for nobody parses this.
        shown = _text(text.replace('\\"', '"').replace("\\\\", "\\"), depth - 1)
        return f'"{name}":"{shown}{found["close"]}'
    return f'"{name}":"{text if mask is None else mask(text)}{found["close"]}'
