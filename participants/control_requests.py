"""What the calls of the test hook have in common: reading a request, refusing it, answering."""

from typing import Any, Final

import msgspec

from participants.core.candidates import clean_phone, is_phone
from runtime.http_server import Request, Response
from scheme import cci as ccis
from scheme.profile import Profile

_NUMBER_DIGITS_MAX: Final = 18
_CARD_DIGITS_MAX: Final = 19

_json = msgspec.json.Encoder().encode


class BadRequest(Exception):
    """A call that cannot be carried out as it was made."""

    def __init__(self, error: str, named: str | None = None, status: int = 400) -> None:
        super().__init__(error)
        self.response = as_json({"error": error, "field": named}, status)


def read_body(request: Request, expected: type[Any]) -> Any:
    """Return what a request's JSON says, or raise BadRequest."""
    try:
        return msgspec.json.decode(request.body, type=expected)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `$.")
        raise BadRequest(text, path.rstrip("`") or None) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadRequest("a JSON object is needed") from None


def phone_of(text: str, named: str) -> str:
    """Return a phone as nine digits, or raise BadRequest."""
    found = clean_phone(text)
    if not is_phone(found):
        raise BadRequest("nine digits, the first a 9", named)
    return found


def digits_of(text: str, named: str) -> str:
    """Return a text of digits, or an empty one, or raise BadRequest."""
    if text and not (text.isascii() and text.isdigit() and len(text) <= _CARD_DIGITS_MAX):
        raise BadRequest("digits", named)
    return text


def cci_of(text: str | None, named: str, profile: Profile) -> str | None:
    """Return a CCI as 20 digits, None if there is none, or raise BadRequest."""
    if not text:
        return None
    cci = ccis.clean(text)
    fault = ccis.fault(cci, ccis.CciCheck(profile.cci.originator))
    if fault is not None:
        raise BadRequest(fault, named)
    return cci


def number_of(request: Request, name: str, otherwise: int, most: int | None) -> int:
    """Return a number of the query, or raise BadRequest."""
    text = request.query.get(name, "")
    if not text:
        return otherwise
    if not text.isascii() or not text.isdigit() or len(text) > _NUMBER_DIGITS_MAX:
        raise BadRequest("a whole number", name)
    return int(text) if most is None else max(1, min(int(text), most))


def as_json(content: object, status: int = 200) -> Response:
    """Return a JSON answer."""
    return Response(status, _json(content))
