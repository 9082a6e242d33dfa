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
from msgspec import Struct

from directory.core.qr import (
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
from directory.core.qr_calls import (
    Answer,
    DataAnswer,
    DataCall,
    GenerateAnswer,
    GenerateCall,
    GenerateData,
    ReadAnswer,
    ReadCall,
    ResultHeader,
    TokenAnswer,
    TokenCall,
    Written,
    emv_tags,
    registered_content,
    result,
    wallet_content,
)
from directory.ports import QrStore
from scheme import cci as account
from scheme.clock import Clock, parse_wire, to_ms, wire_date
from scheme.errors import MalformedMessage, StoreError
from scheme.limits import QR_CHARACTERS_MAX
from scheme.money import CURRENCY_BY_CODE, MINOR_DIGITS_MAX
from scheme.wire import emv_qr
from scheme.wire.emv_qr import QrScheme

log = structlog.get_logger()

DEFAULT_PASSWORD = "demo"  # noqa: S105 - printed in the documentation: this is a simulator
_STATIC, _DYNAMIC = "11", "12"
_TYPES = ("TEXT", "EMV", "BASE64")
_NAME_CHARACTERS_MAX = 99
_GLOSS_CHARACTERS_MAX = 140
_PAYMENTS_MAX = 9999
_IMAGE_SCALE = 6
_SCHEME = "token "
_NO_JSON = "root: JSON"
_WHERE = re.compile(r" - at `\$\.?([^`]*)`")
_MISSING = re.compile(r"missing required field `([^`]+)`")

T = TypeVar("T")


class _Refused(Exception):
    """A call that ends in a result other than success; caught where the answer is shaped."""

    def __init__(self, code: QrResult, detail: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail


class _Terms(Struct, frozen=True, kw_only=True):
    """What a dynamic QR asks for."""

    minor: int | None = None
    expires: str | None = None
    payments_max: int | None = None
    gloss: str | None = None


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
        match path.rstrip("/").rsplit("/", 1)[-1]:
            case "token":
                return self._sent(self._token(lowered, body))
            case "generate":
                return self._sent(await self._generate(lowered, body))
            case "read":
                return self._sent(self._read(lowered, body))
            case "data":
                return self._sent(self._data(lowered, body))
            case _:
                header = result(QrResult.FORMAT, "path: /qr/token, generate, read or data")
                return 404, msgspec.json.encode({"header": header})

    async def paid(self, narrative: str | None, *, cci: str, transfer_id: str) -> None:
        """Count a payment towards the dynamic QR that its narrative names, if it names one.

        Args:
            cci: the account that was credited: an idQr of somebody else's counts nothing.
            transfer_id: a repeat of the same one counts nothing more.

        Raises:
            StoreError: it could not be written.
        """
        id_qr = id_qr_in(narrative)
        record = None if id_qr is None else self._store.qr(id_qr, is_dynamic=True)
        if record is not None and record.cci == cci:
            await self._store.put_payment(record.id_qr, transfer_id)

    def _sent(self, answer: Answer) -> tuple[int, bytes]:
        header = answer.header
        status = 200
        if header.cod_return in {QrResult.BAD_TOKEN, QrResult.BAD_CREDENTIALS}:
            status = 401
        elif header == result(QrResult.FORMAT, _NO_JSON):
            status = 400
        return status, msgspec.json.encode(answer)

    def _token(self, headers: Mapping[str, str], body: bytes) -> TokenAnswer:
        code = None
        try:
            code = _decoded(body, TokenCall).code
            self._check_password(headers, code)
        except _Refused as refused:
            return TokenAnswer(result(refused.code, refused.detail), _short(code), None)
        expires_ms = to_ms(self._clock.now() + self._token_life)
        token = make_token(self._store.key, code, expires_ms)
        return TokenAnswer(result(QrResult.OK), code, token)

    def _check_password(self, headers: Mapping[str, str], code: str) -> None:
        user = headers.get("user", "")
        expected = self._passwords.get(user, self._default_password)
        given = headers.get("password", "")
        is_right = hmac.compare_digest(given.encode(errors="replace"), expected.encode())
        if not user or not is_right or code not in self._participants:
            raise _Refused(QrResult.BAD_CREDENTIALS)

    def _owner(self, headers: Mapping[str, str]) -> str:
        text = headers.get("authorization", "")
        token = text[len(_SCHEME) :] if text.lower().startswith(_SCHEME) else ""
        owner = token_owner(self._store.key, token.strip(), to_ms(self._clock.now()))
        if owner is None:
            raise _Refused(QrResult.BAD_TOKEN)
        return owner

    def _check_user(self, headers: Mapping[str, str], user: str) -> str:
        owner = self._owner(headers)
        if user != owner:
            raise _Refused(QrResult.FORMAT, "header.user: the participant of the token")
        return owner

    async def _generate(self, headers: Mapping[str, str], body: bytes) -> GenerateAnswer:
        try:
            self._owner(headers)
            call = _decoded(body, GenerateCall)
            owner = self._check_user(headers, call.header.user)
            if call.type not in _TYPES:
                raise _Refused(QrResult.FORMAT, f"type: {', '.join(_TYPES)}")
            async with self._making:
                record = await self._registered(owner, call.data)
            text = text_of(record)
        except _Refused as refused:
            return GenerateAnswer(result(refused.code, refused.detail), None, None)
        except StoreError as error:
            return GenerateAnswer(_unavailable(error), None, None)
        if call.type == "BASE64":
            # Tens of milliseconds of pure Python: not on the loop that carries payments.
            text = await asyncio.to_thread(_image, text)
        return GenerateAnswer(result(QrResult.OK), text, record.id_qr)

    async def _registered(self, owner: str, data: GenerateData) -> QrRecord:
        """Return the QR asked for: a static one that exists already, or a new one on disk."""
        is_dynamic = _is_dynamic(data)
        currency = CURRENCY_BY_CODE.get(str(data.moneda))
        if currency is None:
            raise _Refused(QrResult.FORMAT, f"data.moneda: {' or '.join(CURRENCY_BY_CODE)}")
        self._check_account(owner, data.id_cuenta)
        name = data.nombre_comerciante
        if not (0 < len(name) <= _NAME_CHARACTERS_MAX and name.isprintable()):
            rule = f"data.nombreComerciante: 1 to {_NAME_CHARACTERS_MAX} printable characters"
            raise _Refused(QrResult.FORMAT, rule)
        today = wire_date(self._clock.now())
        terms = _terms(data, is_dynamic=is_dynamic, today=today)
        if not is_dynamic:
            known = self._store.static_qr(data.id_cuenta, currency, name)
            if known is not None:
                return known
        id_qr = compose_id_qr(today, owner, self._store.next_qr_number())
        record = QrRecord(
            id_qr=id_qr,
            is_dynamic=is_dynamic,
            cci=data.id_cuenta,
            currency=currency,
            name=name,
            sealed=seal(self._store.key, id_qr, data.id_cuenta, is_dynamic=is_dynamic),
            minor=terms.minor,
            expires=terms.expires,
            payments_max=terms.payments_max,
            gloss=terms.gloss,
            registered=today,
        )
        await self._store.put_qr(record)
        return record

    def _check_account(self, owner: str, cci: str) -> None:
        if not account.is_well_formed(cci) or account.is_placeholder(cci):
            raise _Refused(QrResult.FORMAT, "data.idCuenta: a CCI of 20 digits")
        if account.participant_of(cci) != owner:
            raise _Refused(QrResult.NOT_YOURS)

    def _read(self, headers: Mapping[str, str], body: bytes) -> ReadAnswer:
        text = None
        try:
            self._owner(headers)
            call = _decoded(body, ReadCall)
            text = call.hash
            self._check_user(headers, call.header.user)
            try:
                code = emv_qr.parse(text)
            except MalformedMessage as error:
                raise _Refused(QrResult.FORMAT, f"hash {error.field}: {error.rule}") from error
            if code.scheme is not QrScheme.CCE:
                return ReadAnswer(result(QrResult.OK), text, wallet_content(code))
            record = self._payable(code)
        except _Refused as refused:
            return ReadAnswer(result(refused.code, refused.detail), _short(text), None)
        except StoreError as error:
            return ReadAnswer(_unavailable(error), _short(text), None)
        content = registered_content(record, emv_tags(code))
        return ReadAnswer(result(QrResult.OK), text, content)

    def _payable(self, code: emv_qr.QrCode) -> QrRecord:
        assert code.id_qr is not None
        record = self._store.qr(code.id_qr, is_dynamic=code.is_dynamic)
        payments = self._store.payments(code.id_qr) if code.is_dynamic else 0
        today = wire_date(self._clock.now())
        verdict = judge(record, code, payments=payments, today=today)
        if record is None or verdict is not QrResult.OK:
            raise _Refused(verdict)
        return record

    def _data(self, headers: Mapping[str, str], body: bytes) -> DataAnswer:
        cci = id_qr = None
        try:
            self._owner(headers)
            call = _decoded(body, DataCall)
            cci, id_qr = call.id_cuenta, call.id_qr
            self._check_user(headers, call.header.user)
            record = self._store.qr(id_qr, is_dynamic=False)
            record = record or self._store.qr(id_qr, is_dynamic=True)
            if record is None or record.cci != cci:
                raise _Refused(QrResult.UNKNOWN)
        except _Refused as refused:
            header = result(refused.code, refused.detail)
            return DataAnswer(header, _short(cci), _short(id_qr), None)
        except StoreError as error:
            return DataAnswer(_unavailable(error), _short(cci), _short(id_qr), None)
        return DataAnswer(result(QrResult.OK), cci, id_qr, registered_content(record, None))


def _decoded(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise _Refused(QrResult.FORMAT, _rule(str(error))) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _Refused(QrResult.FORMAT, _NO_JSON) from error


def _rule(text: str) -> str:
    """Turn the decoder's text into field and rule: its own words might quote the caller."""
    where = _WHERE.search(text)
    path = where[1] if where else ""
    missing = _MISSING.search(text)
    if missing is not None:
        return f"{path}.{missing[1]}: mandatory".lstrip(".")
    return f"{path or 'root'}: another JSON type"


def _is_dynamic(data: GenerateData) -> bool:
    kind = str(data.qr_tipo)
    if kind not in {_STATIC, _DYNAMIC}:
        raise _Refused(QrResult.FORMAT, f"data.qrTipo: {_STATIC} static or {_DYNAMIC} dynamic")
    return kind == _DYNAMIC


def _terms(data: GenerateData, *, is_dynamic: bool, today: str) -> _Terms:
    given = (data.importe, data.fecha_vencimiento, data.cantidad_pagos, data.glosa)
    if not is_dynamic:
        if any(one not in {None, ""} for one in given):
            rule = "data: importe, fechaVencimiento, cantidadPagos and glosa only with qrTipo 12"
            raise _Refused(QrResult.FORMAT, rule)
        return _Terms()
    gloss = data.glosa or None
    if gloss is not None and (len(gloss) > _GLOSS_CHARACTERS_MAX or not gloss.isprintable()):
        rule = f"data.glosa: at most {_GLOSS_CHARACTERS_MAX} printable characters"
        raise _Refused(QrResult.FORMAT, rule)
    minor_max = 10**MINOR_DIGITS_MAX - 1
    return _Terms(
        minor=_count(data.importe, "importe", minor_max),
        expires=_last_day(data.fecha_vencimiento, today),
        payments_max=_count(data.cantidad_pagos, "cantidadPagos", _PAYMENTS_MAX),
        gloss=gloss,
    )


def _count(written: Written | None, field: str, highest: int) -> int | None:
    text = "" if written is None else str(written)
    if not text:
        return None
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(highest))
    if not is_number or not 0 < int(text) <= highest:
        raise _Refused(QrResult.FORMAT, f"data.{field}: a whole number from 1 to {highest}")
    return int(text)


def _last_day(written: Written | None, today: str) -> str | None:
    text = "" if written is None else str(written)
    if not text:
        return None
    is_date = text.isascii() and text.isdigit() and len(text) == len(today)
    if not is_date or parse_wire(text, "000000") is None or text < today:
        raise _Refused(QrResult.FORMAT, "data.fechaVencimiento: yyyyMMdd, today or later")
    return text


def _image(text: str) -> str:
    """Return a QR's picture as a PNG in base64."""
    picture = io.BytesIO()
    segno.make(text, micro=False).save(picture, kind="png", scale=_IMAGE_SCALE)
    return base64.b64encode(picture.getvalue()).decode()


def _unavailable(error: StoreError) -> ResultHeader:
    log.error("QR call failed", cause=str(error))
    return result(QrResult.UNAVAILABLE)


def _short(text: str | None) -> str | None:
    """Return what may be echoed of a refused call."""
    return text if text is not None and len(text) <= QR_CHARACTERS_MAX else None
