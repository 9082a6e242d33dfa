"""How one ISO 8583 link speaks: table of elements, MAC, keys, and the messages of its session.

Keys live here in memory and nowhere else; nothing in this module logs or prints one.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from scheme.wire import iso8583_mac as mac
from scheme.wire.iso8583_codec import Codec, IsoFault, codec
from scheme.wire.iso8583_spec import Fields
from scheme.wire.iso8583_tlv import decode_tlv, encode_tlv

SIGN_ON: Final = "001"
SIGN_OFF: Final = "002"
KEY_CHANGE: Final = "101"
ECHO: Final = "301"
NOTICE: Final = "701"

REQUESTS: Final = frozenset({"0200", "0201", "0420", "0421", "0800"})
APPROVED: Final = "00"
FORMAT_ERROR: Final = "30"
NOT_PERMITTED: Final = "58"
MAC_ERROR: Final = "96"

NO_MAC: Final = "none"
KEY_BYTES: Final[Mapping[str, int]] = {"x9.19": 16, "aes-cmac": 16}
"""Length of keys by algorithm."""
RULE_TAG: Final = "04"
KEY_TAG: Final = "40"
CHECK_TAG: Final = "41"
_RULE_CHARACTERS_MAX: Final = 200
_ECHOED: Final = (
    *("3", "4", "7", "11", "12", "13", "32"),
    *("37", "41", "42", "49", "70", "102", "103"),
)


class BadMac(IsoFault):
    """A message whose MAC is missing or wrong; ``raw`` has its fields, none to be believed."""


class Speech:
    """Turns fields into a link's messages and back, with the MAC of its session.

    Args:
        algorithm: of the MAC, or ``none``.
        kek: key under which session keys travel; it also covers the key change itself.
    """

    __slots__ = ("_kek", "_key", "algorithm", "codec")

    def __init__(self, spec: str, algorithm: str = NO_MAC, kek: bytes = b"") -> None:
        self.codec: Codec = codec(spec)
        self.algorithm = algorithm
        self._kek = kek
        self._key = b""

    @property
    def is_keyed(self) -> bool:
        """Whether messages can be told genuine: a session key is there, or none is needed."""
        return bool(self._key) or self.algorithm == NO_MAC

    @property
    def check_value(self) -> str:
        """The check value of the session key, which tells keys apart and reveals none."""
        return mac.key_check_value(self.algorithm, self._key) if self._key else ""

    def write(self, fields: Fields, encoded: bytes = b"") -> bytes:
        """Return a message's bytes; under the session key, if there is one yet.

        Args:
            encoded: what the codec makes of the fields, if that is known already.

        Raises:
            IsoFault: an element does not fit the table.
        """
        key = self._key_for(fields)
        if not key:
            return encoded or self.codec.encode(fields)
        return mac.seal(self.codec, fields, self.algorithm, key)

    def read(self, body: bytes) -> Fields:
        """Return a message's fields.

        Raises:
            BadMac: it cannot be told genuine.
            IsoFault: it breaks a rule of the table.
        """
        fields = self.codec.decode(body)
        key = self._key_for(fields)
        if key:
            fault = mac.check(self.codec, fields, body, self.algorithm, key)
            if fault is not None:
                raise BadMac(fault.field, fault.rule, fault.at, raw=fields)
        return fields

    def adopt(self, key: bytes) -> None:
        """Speak under a new session key from now on."""
        self._key = key

    def wrapped(self, key: bytes) -> Mapping[str, str]:
        """Return a new session key as it travels: its cryptogram and check value, by tag."""
        cryptogram = mac.wrap_key(self._kek, key, self.algorithm)
        return {KEY_TAG: cryptogram, CHECK_TAG: mac.key_check_value(self.algorithm, key)}

    def unwrapped(self, answer: Fields) -> bytes:
        """Return the session key that the answer to a key change carries.

        Raises:
            IsoFault: it carries none, or another than its check value says.
        """
        tags = decode_tlv(answer.get("48", ""), 48)
        key = mac.unwrap_key(self._kek, tags.get(KEY_TAG, ""), self.algorithm)
        found = mac.key_check_value(self.algorithm, key)
        if found != tags.get(CHECK_TAG):
            rule = f"the key's check value is {found}: another key-encrypting key was used"
            raise IsoFault(f"DE48.{CHECK_TAG}", rule)
        return key

    def _key_for(self, fields: Fields) -> bytes:
        if self.algorithm == NO_MAC:
            return b""
        if fields.get("70") == KEY_CHANGE and fields["t"].startswith("08"):
            return self._kek
        return self._key


def transmitted(now: datetime) -> str:
    """Return DE7 for an instant: ``MMDDhhmmss``, UTC."""
    return f"{now.month:02}{now.day:02}{now.hour:02}{now.minute:02}{now.second:02}"


def network_request(function: str, *, stan: int, now: datetime, acquirer: str) -> Fields:
    """Return an 0800."""
    return {
        "t": "0800",
        "7": transmitted(now),
        "11": f"{stan:06}",
        "32": acquirer,
        "70": function,
    }


def refusal_of(fault: IsoFault) -> Fields | None:
    """Return the answer to a request that could not be taken; None if nobody can be addressed."""
    read = fault.raw or {}
    if read.get("t", "") not in REQUESTS or "11" not in read:
        return None
    code = MAC_ERROR if isinstance(fault, BadMac) else FORMAT_ERROR
    return brief_answer(read, code, str(fault))


def answer_type(kind: str) -> str:
    """Return the message type that answers a request's, also a repeated one's."""
    return f"{kind[:2]}{int(kind[2]) + 1}0"


def brief_answer(request: Mapping[str, str], response_code: str, rule: str = "") -> Fields:
    """Return an answer that says only a code, and the rule behind it where there is one."""
    answer = {"t": answer_type(request["t"])}
    for key in _ECHOED:
        value = request.get(key)
        if value is not None:
            answer[key] = value
    answer["39"] = response_code
    if rule:
        answer["62"] = encode_tlv({RULE_TAG: rule[:_RULE_CHARACTERS_MAX]})
    return answer
