"""The documents of a debtor agent that only sends: AV1 and CT1, cheap to make, exact in form."""

import random
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from msgspec import Struct

from scheme import cci
from scheme.clock import wire_date_time
from scheme.wire import jws

AMOUNTS = (100, 5_000)
"""Cents; below the amounts that make a simulated institution misbehave on purpose."""
FEE = 80
_SOLES = "604"
# The clearing house keeps the higher ones for itself.
_TRACE_MAX = 799_999


class Payee(Struct, frozen=True, gc=False):
    """An account that can be paid, and the interbank fee that an order to it carries."""

    participant: str
    cci: str
    fee: int = FEE


class _Answer(Struct, frozen=True, gc=False, rename="camel"):
    """What the sender needs of an AV4 or a CT4; a CT4 has the first three."""

    response_code: str
    instruction_id: str | None = None
    reason_code: str | None = None
    creditor_name: str | None = None
    creditor_mobile_number: str | None = None
    creditor_address_line: str | None = None
    same_customer_flag: str | None = None


class _Verified(Struct, frozen=True, gc=False):
    said: _Answer = msgspec.field(name="AV4")


class _Settled(Struct, frozen=True, gc=False):
    said: _Answer = msgspec.field(name="CT4")


_DECODE_AV4 = msgspec.json.Decoder(_Verified).decode
_DECODE_CT4 = msgspec.json.Decoder(_Settled).decode
_TEXT = msgspec.json.encode


class Verdict(Struct, frozen=True, gc=False):
    """What an AV4 or CT4 said; ``accepted`` is 00."""

    accepted: bool
    instruction_id: str
    reason: str
    answer: _Answer


class Envelope(Protocol):
    """Puts a document on the wire and takes one off."""

    def wrap(self, document: bytes) -> bytes:
        """Return what is sent."""

    def unwrap(self, body: bytes) -> bytes:
        """Return the document received."""


class Plain:
    """Unsigned documents."""

    def wrap(self, document: bytes) -> bytes:
        """Return it as it is."""
        return document

    def unwrap(self, body: bytes) -> bytes:
        """Return it as it is."""
        return body


class Signed:
    """Documents signed by the sender and by the clearing house.

    Args:
        key: the sender's.
        peer: the clearing house's certificate.
        now: the instant at which certificates are judged.
    """

    def __init__(
        self, key: RSAPrivateKey, x5t: str, peer: jws.TrustedCertificate, now: datetime
    ) -> None:
        self._key = key
        self._x5t = x5t
        self._peer = peer
        self._now = now

    def wrap(self, document: bytes) -> bytes:
        """Return it signed."""
        return jws.sign(document, self._key, self._x5t)

    def unwrap(self, body: bytes) -> bytes:
        """Return the document; BadSignature if the signature does not hold."""
        signed = jws.split(body)
        jws.verify(signed, self._peer, self._now)
        return signed.payload


class Debtor:
    """One sending agent: its identity, its sequence and its envelope.

    Args:
        code: its participant code.
        payees: whom it pays, at random.
        rng: the only chance.
        trace: where its sequence begins.
    """

    def __init__(
        self,
        code: str,
        payees: Sequence[Payee],
        rng: random.Random,
        *,
        envelope: Envelope,
        trace: int = 0,
    ) -> None:
        self.code = code
        self.cci = cci.compose(code[1:], "999", f"{rng.randrange(10**12):012}")
        self._payees = payees
        self._rng = rng
        self._envelope = envelope
        self._trace = trace

    def draw(self) -> tuple[Payee, int]:
        """Return whom to pay, and how many cents."""
        return self._rng.choice(self._payees), self._rng.randint(*AMOUNTS)

    def next_trace(self) -> str:
        """Return the next number of its sequence."""
        self._trace = self._trace % _TRACE_MAX + 1
        return f"{self._trace:06}"

    def sign_on(self, now: datetime) -> bytes:
        """Return a SignOn1."""
        date, time = wire_date_time(now)
        return self._envelope.wrap(
            (
                f'{{"SignOn1":{{"participantCode":"{self.code}","creationDate":"{date}",'
                f'"creationTime":"{time}","trace":"{self.next_trace()}"}}}}'
            ).encode()
        )

    def verification(self, payee: Payee, now: datetime) -> bytes:
        """Return an AV1."""
        date, time = wire_date_time(now)
        reference = f"{date[4:]}{time}00"
        return self._envelope.wrap(
            (
                f'{{"AV1":{{"debtorParticipantCode":"{self.code}",'
                f'"creditorParticipantCode":"{payee.participant}","creationDate":"{date}",'
                f'"creationTime":"{time}","terminalId":"BENCH001",'
                f'"retrievalReferenteNumber":"{reference}","trace":"{self.next_trace()}",'
                '"debtorName":"CLIENTE DE CARGA SIMULADO","debtorId":"00000980",'
                '"debtorIdCode":"2","debtorPhoneNumber":null,"debtorAddressLine":null,'
                '"debtorMobileNumber":"900000980","transactionType":"320","channel":"91",'
                '"creditorAddressLine":null,"creditorPhoneNumber":null,'
                f'"creditorMobileNumber":null,"creditorCCI":"{payee.cci}",'
                '"creditorCreditCard":null,"debtorTypeOfPerson":"N",'
                f'"currency":"{_SOLES}","proxyValue":null,"proxyType":null}}}}'
            ).encode()
        )

    def order(
        self, payee: Payee, cents: int, verified: Verdict, now: datetime, *, repeat: bool = False
    ) -> bytes:
        """Return the CT1 that quotes an AV4.

        Args:
            repeat: marks it as sent again; everything else must be as before.
        """
        found = verified.answer
        date, time = wire_date_time(now)
        trace = self.next_trace()
        return self._envelope.wrap(
            (
                f'{{"CT1":{{"debtorParticipantCode":"{self.code}",'
                f'"creditorParticipantCode":"{payee.participant}","creationDate":"{date}",'
                f'"creationTime":"{time}","messageTypeId":"{"0201" if repeat else "0200"}",'
                '"terminalId":"BENCH001",'
                f'"retrievalReferenteNumber":"{date[4:]}{time}00","trace":"{trace}",'
                f'"channel":"91","amount":{cents},"currency":"{_SOLES}",'
                f'"transactionReference":"BENCH-{self.code}-{trace}",'
                f'"referenceTransactionId":"{verified.instruction_id}",'
                f'"transactionType":"320","feeAmount":{payee.fee},"feeCode":"0101",'
                '"applicationCriteria":"M","debtorTypeOfPerson":"N",'
                '"debtorName":"CLIENTE DE CARGA SIMULADO","debtorAddressLine":null,'
                '"debtorIdCode":"2","debtorId":"00000980","debtorPhoneNumber":null,'
                f'"debtorMobileNumber":"900000980","debtorCCI":"{self.cci}","creditorName":'
            ).encode()
            + _TEXT(found.creditor_name)
            + b',"creditorAddressLine":'
            + _TEXT(found.creditor_address_line)
            + b',"creditorPhoneNumber":null,"creditorMobileNumber":'
            + _TEXT(found.creditor_mobile_number)
            + f',"creditorCCI":"{payee.cci}","creditorCreditCard":null,"sameCustomerFlag":'.encode()
            + _TEXT(found.same_customer_flag)
            + b',"purposeCode":"OTHR","unstructuredInformation":"PAGO DE CARGA",'
            b'"grossSalaryAmount":null,"salaryPaymentIndicator":null,'
            b'"monthOfThePayment":null,"yearOfThePayment":null}}'
        )

    def verified(self, body: bytes) -> Verdict:
        """Read an AV4."""
        return _verdict(_DECODE_AV4(self._envelope.unwrap(body)).said)

    def settled(self, body: bytes) -> Verdict:
        """Read a CT4."""
        return _verdict(_DECODE_CT4(self._envelope.unwrap(body)).said)


def _verdict(said: _Answer) -> Verdict:
    accepted = said.response_code == "00"
    return Verdict(accepted, said.instruction_id or "", said.reason_code or "", said)
