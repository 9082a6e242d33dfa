"""What stored transfers say of themselves to the files of a batch."""

import msgspec
import pytest
from msgspec.structs import replace

from switch.core.payment import PaymentRecord, PaymentState, pack_payment
from switch.core.records import TransferRecord, pack
from switch.movements import movement_of
from tests.support.switch_world import an_order
