"""Every message of the TIN wire, one Struct per root key, named exactly like it."""

from scheme.messages.fields import Fault, Message
from scheme.messages.notice import (
    SNM971,
    SNM972,
    SNM981,
    SNM982,
    SNM993,
    SNM998,
    SNM999,
    Reject,
)
from scheme.messages.session import ET1, ET2, SignOff1, SignOff2, SignOn1, SignOn2
from scheme.messages.status import CTC1, CTC2, PSR1, PSR2
from scheme.messages.transfer import CT1, CT2, CT3, CT4, CT5
from scheme.messages.verification import AV1, AV2, AV3, AV4

__all__ = [
    "AV1",
    "AV2",
    "AV3",
    "AV4",
    "CT1",
    "CT2",
    "CT3",
    "CT4",
    "CT5",
    "CTC1",
    "CTC2",
    "ET1",
    "ET2",
    "PSR1",
    "PSR2",
    "SNM971",
    "SNM972",
    "SNM981",
    "SNM982",
    "SNM993",
    "SNM998",
    "SNM999",
    "Fault",
    "Message",
    "Reject",
    "SignOff1",
    "SignOff2",
    "SignOn1",
    "SignOn2",
]
