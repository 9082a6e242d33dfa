"""The QR module of the clearing house: tokens for callers, QRs made, read and looked up."""

import asyncio
import base64
import hmac
import io
import re
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import TypeVar

import msgspec
import segno
import structlog

from directory.core.qr import (
    QrRecord,
    QrRefusal,
    QrResult,
    compose_id_qr,
    id_qr_in,
    judge,
    make_token,
    seal,
    text_of,
    token_owner,
)
from directory.core.qr_calls import (
    Answer,
    DataAnswer,
    DataCall,
    GenerateAnswer,
    GenerateCall,
    QrContent,
    ReadAnswer,
    ReadCall,
    ResultHeader,
    TokenAnswer,
    TokenCall,
    emv_tags,
    registered_content,
    result,
    wallet_content,
)
from directory.core.qr_order import QrOrder, order_of
from directory.ports import QrStore
from scheme.clock import Clock, to_ms, wire_date
from scheme.errors import MalformedMessage, StoreError
from scheme.limits import QR_CHARACTERS_MAX
from scheme.wire import emv_qr
from scheme.wire.emv_qr import QrScheme

log = structlog.get_logger()

DEFAULT_PASSWORD = "demo"  # noqa: S105 - printed in the documentation: this is a simulator
_TYPES = ("TEXT", "EMV", "BASE64")
_IMAGE_SCALE = 6
_SCHEME = "token "
_NO_JSON = QrRefusal(QrResult.FORMAT, "root: JSON")
_UNAUTHORISED = frozenset((QrResult.BAD_TOKEN, QrResult.BAD_CREDENTIALS))
_WHERE = re.compile(r" - at `\$\.?([^`]*)`")
_MISSING = re.compile(r"missing required field `([^`]+)`")

Call = TypeVar("Call", GenerateCall, ReadCall, DataCall)
T = TypeVar("T")


class QrModule:
    """Answers the four calls; nothing a caller sends makes it raise.

    Args:
        participants: codes that may ask for a token.
        token_s: how long a token is good, in seconds.
        passwords: password by user; anyone else's is ``default_password``.
    """

    def __init__(
        self,
        store: QrStore,
        *,
        clock: Clock,
        token_s: float,
        participants: Collection[str],
        passwords: Mapping[str, str] | None = None,
        default_password: str = DEFAULT_PASSWORD,
    ) -> None:
        self._store = store
        self._clock = clock
        self._token_life = timedelta(seconds=token_s)
        self._participants = frozenset(participants)
        self._passwords = dict(passwords or {})
        self._default_password = default_password
        # One at a time, so that the same static QR asked for twice at once is made once.
        self._making = asyncio.Lock()

    async def handle(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """Answer one call.

        Args:
            path: ``/qr/token``, ``/qr/generate``, ``/qr/read`` or ``/qr/data``.
            headers: names in any case.

        Returns:
            HTTP status and body: 401 without a good token or password, 404 for another path,
            400 for a body that is not JSON, else 200 with the result inside.
        """
        lowered = {name.lower(): value for name, value in headers.items()}
        try:
            answer = await self._answer(path.rstrip("/"), lowered, body)
        except StoreError as error:
            log.warning("QR call failed", path=path, cause=str(error))
            answer = _refused(path.rstrip("/"), QrRefusal(QrResult.UNAVAILABLE), body)
        if answer is None:
            header = result(QrResult.FORMAT, "path: /qr/token, generate, read or data")
            return 404, msgspec.json.encode({"header": header})
        return _status(answer.header), msgspec.json.encode(answer)

    async def paid(self, narrative: str | None, *, cci: str, transfer_id: str) -> None:
        """Count a payment towards the dynamic QR that its narrative names, if it names one.

        Args:
            cci: the account that was credited: an idQr of somebody else's counts nothing.
            transfer_id: a repeat of the same one counts nothing more.

        Raises:
            StoreError: it could not be written.
        """
        id_qr = id_qr_in(narrative)
        record = None if id_qr is None else self._store.qr(id_qr)
        if record is not None and record.is_dynamic and record.cci == cci:
            await self._store.put_payment(record.id_qr, transfer_id)

    async def _answer(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer | None:
        match path:
            case "/qr/token":
                return self._token(headers, body)
            case "/qr/generate":
                return await self._generate(headers, body)
            case "/qr/read":
                return self._read(headers, body)
            case "/qr/data":
                return self._data(headers, body)
            case _:
                return None

    def _token(self, headers: Mapping[str, str], body: bytes) -> Answer:
        call = _decoded(body, TokenCall)
        if isinstance(call, QrRefusal):
            return _refused("/qr/token", call, body)
        if not self._has_password(headers) or call.code not in self._participants:
            return _refused("/qr/token", QrRefusal(QrResult.BAD_CREDENTIALS), body)
        expires_ms = to_ms(self._clock.now() + self._token_life)
        token = make_token(self._store.key, call.code, expires_ms)
        return TokenAnswer(result(QrResult.OK), call.code, token)

    def _has_password(self, headers: Mapping[str, str]) -> bool:
        user = headers.get("user", "")
        expected = self._passwords.get(user, self._default_password)
        given = headers.get("password", "")
        # Replaced, for a header may hold what no encoding takes.
        is_right = hmac.compare_digest(given.encode(errors="replace"), expected.encode())
        return bool(user) and is_right

    def _admitted(
        self, headers: Mapping[str, str], body: bytes, kind: type[Call]
    ) -> Call | QrRefusal:
        """Return a call whose token is good and whose user is the token's, or why not."""
        text = headers.get("authorization", "")
        token = text[len(_SCHEME) :].strip() if text.lower().startswith(_SCHEME) else ""
        owner = token_owner(self._store.key, token, to_ms(self._clock.now()))
        if owner is None:
            return QrRefusal(QrResult.BAD_TOKEN)
        call = _decoded(body, kind)
        if not isinstance(call, QrRefusal) and call.header.user != owner:
            return QrRefusal(QrResult.FORMAT, "header.user: the participant of the token")
        return call

    async def _generate(self, headers: Mapping[str, str], body: bytes) -> Answer:
        path = "/qr/generate"
        call = self._admitted(headers, body, GenerateCall)
        if isinstance(call, QrRefusal):
            return _refused(path, call, body)
        if call.type not in _TYPES:
            refusal = QrRefusal(QrResult.FORMAT, f"type: {', '.join(_TYPES)}")
            return _refused(path, refusal, body)
        owner, today = call.header.user, wire_date(self._clock.now())
        order = order_of(call.data, owner=owner, today=today)
        if isinstance(order, QrRefusal):
            return _refused(path, order, body)
        async with self._making:
            record = await self._registered(order, owner, today)
        text = text_of(record)
        if call.type == "BASE64":
            # Tens of milliseconds of pure Python: not on the loop that carries payments.
            text = await asyncio.to_thread(_image, text)
        return GenerateAnswer(result(QrResult.OK), text, record.id_qr)

    async def _registered(self, order: QrOrder, owner: str, today: str) -> QrRecord:
        """Return the QR ordered: a static one that exists already, or a new one on disk."""
        if not order.is_dynamic:
            known = self._store.static_qr(order.cci, order.currency, order.name)
            if known is not None:
                return known
        id_qr = compose_id_qr(today, owner, self._store.next_qr_number())
        record = QrRecord(
            id_qr=id_qr,
            is_dynamic=order.is_dynamic,
            cci=order.cci,
            currency=order.currency,
            name=order.name,
            sealed=seal(self._store.key, id_qr, order.cci, is_dynamic=order.is_dynamic),
            minor=order.minor,
            expires=order.expires,
            payments_max=order.payments_max,
            gloss=order.gloss,
            registered=today,
        )
        await self._store.put_qr(record)
        return record

    def _read(self, headers: Mapping[str, str], body: bytes) -> Answer:
        call = self._admitted(headers, body, ReadCall)
        if isinstance(call, QrRefusal):
            return _refused("/qr/read", call, body)
        content = self._content(call.hash)
        if isinstance(content, QrRefusal):
            return _refused("/qr/read", content, body)
        return ReadAnswer(result(QrResult.OK), call.hash, content)

    def _content(self, text: str) -> QrContent | QrRefusal:
        try:
            code = emv_qr.parse(text)
        except MalformedMessage as error:
            return QrRefusal(QrResult.FORMAT, f"hash {error.field}: {error.rule}")
        if code.scheme is not QrScheme.CCE:
            return wallet_content(code)
        assert code.id_qr is not None
        record = self._store.qr(code.id_qr)
        payments = self._store.payments(code.id_qr) if code.is_dynamic else 0
        today = wire_date(self._clock.now())
        verdict = judge(record, code, payments=payments, today=today)
        if record is None or verdict is not QrResult.OK:
            return QrRefusal(verdict)
        return registered_content(record, emv_tags(code))

    def _data(self, headers: Mapping[str, str], body: bytes) -> Answer:
        call = self._admitted(headers, body, DataCall)
        if isinstance(call, QrRefusal):
            return _refused("/qr/data", call, body)
        record = self._store.qr(call.id_qr)
        if record is None or record.cci != call.id_cuenta:
            return _refused("/qr/data", QrRefusal(QrResult.UNKNOWN), body)
        content = registered_content(record, None)
        return DataAnswer(result(QrResult.OK), call.id_cuenta, call.id_qr, content)


def _status(header: ResultHeader) -> int:
    if header.cod_return in _UNAUTHORISED:
        return 401
    return 400 if header == result(_NO_JSON.code, _NO_JSON.detail) else 200


def _refused(path: str, refusal: QrRefusal, body: bytes) -> Answer:
    """Return the answer of a call that failed, with what it asked about echoed."""
    header = result(refusal.code, refusal.detail)
    asked = _salvaged(body)
    match path:
        case "/qr/token":
            return TokenAnswer(header, asked.get("code"), None)
        case "/qr/generate":
            return GenerateAnswer(header, None, None)
        case "/qr/read":
            return ReadAnswer(header, asked.get("hash"), None)
        case _:
            return DataAnswer(header, asked.get("idCuenta"), asked.get("idQr"), None)


def _salvaged(body: bytes) -> dict[str, str]:
    """Return the short texts of a body's first level; of any other body nothing."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    members = document.items() if isinstance(document, dict) else ()
    return {
        name: value
        for name, value in members
        if isinstance(value, str) and len(value) <= QR_CHARACTERS_MAX
    }


def _decoded(body: bytes, kind: type[T]) -> T | QrRefusal:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        return QrRefusal(QrResult.FORMAT, _rule(str(error)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _NO_JSON


def _rule(text: str) -> str:
    """Turn the decoder's text into field and rule: its own words might quote the caller."""
    where = _WHERE.search(text)
    path = where[1] if where else ""
    missing = _MISSING.search(text)
    if missing is not None:
        return f"{path}.{missing[1]}: mandatory".lstrip(".")
    return f"{path or 'root'}: another JSON type"


def _image(text: str) -> str:
    """Return a QR's picture as a PNG in base64."""
    picture = io.BytesIO()
    segno.make(text, micro=False).save(picture, kind="png", scale=_IMAGE_SCALE)
    return base64.b64encode(picture.getvalue()).decode()
