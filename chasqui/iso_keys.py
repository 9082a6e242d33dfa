"""Whether the MAC of a key change holds: the first thing that a new core gets wrong."""

import os
from gettext import gettext as _
from typing import Final

from chasqui.iso_frames import Frame, message_of
from chasqui.session import Session
from chasqui.told import told
from runtime.iso8583_speech import KEY_BYTES, KEY_CHANGE, NO_MAC
from runtime.kek import VARIABLE, kek_of, kek_path
from scheme.network import Participant
from scheme.wire import iso8583_mac as mac
from scheme.wire.iso8583_codec import codec

_NETWORK: Final = "08"


def mac_note(session: Session, one: Participant, raw: bytes, frame: Frame) -> str:
    """Return what can be said of a frame's MAC without the session it came in; or nothing."""
    algorithm = one.iso8583.mac
    if frame.is_broken or algorithm == NO_MAC:
        return ""
    spoken = codec(frame.spec)
    body = message_of(raw, frame)
    fields = spoken.decode(body)
    if not fields.keys() & {"64", "128"}:
        line = _("It has no MAC, though {code} wants {algorithm}.")
        return line.format(code=one.code, algorithm=algorithm)
    if not (frame.message.startswith(_NETWORK) and fields.get("70") == KEY_CHANGE):
        return _("Its MAC is under the session key of its link: see chasqui iso findings")
    if VARIABLE + one.code not in os.environ and not kek_path(session.home, one.code).exists():
        return ""  # To look at a frame makes no key.
    kek = kek_of(session.home, one.code, KEY_BYTES[algorithm])
    fault = mac.check(spoken, fields, body, algorithm, kek)
    if fault is not None:
        return f"{fault.field}: {told(fault.rule)}"
    line = _("Its MAC holds under the key-encrypting key, check value {value}.")
    return line.format(value=mac.key_check_value(algorithm, kek))
