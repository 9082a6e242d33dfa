"""A field agent's requests by account, through the desk, to a simulated core and back."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from scheme.network import Participant
from scheme.wire.iso8583_codec import codec
from scheme.wire.iso8583_spec import Fields
from scheme.wire.iso8583_tlv import decode_tlv
from tests.contract.test_cash_keys import Lane
from tests.support.fleet_world import CREDITOR_CCI
from tests.support.iso8583_mapping import NOW, a_transfer, lane_fleet
from tests.support.lane_fleet import CODE, LaneWorld
from tests.support.single_message import Books
from tests.support.switch_world import world

AGENTS: Final = "0992"
OPENING: Final = 100_000
FLEET: Final = lane_fleet() | {
    AGENTS: Participant(code=AGENTS, name="RED SIMULADA", kind="acquirer", lane="mqtt"),
    CODE: Participant(code=CODE, name="CAJA SIMULADA", kind="caja", lane="iso8583"),
}


class Link:
    """What lies between the clearing house and the core: the messages, written and read."""

    def __init__(self, core: LaneWorld, fleet: Mapping[str, Participant]) -> None:
        self._core = core
        self._fleet = fleet
        self._stan = 0

    def prepare(self, participant: str, fields: Fields) -> bytes:
        """Number and encode a request."""
        self._stan += 1
        own = {"7": "0115151613", "11": f"{self._stan:06}", "33": "9999"}
        return codec(self._fleet[participant].iso8583.spec).encode({**fields, **own})

    async def ask(self, participant: str, prepared: bytes, subject: str) -> Fields:
        """Have the core answer."""
        del subject
        spoken = codec(self._fleet[participant].iso8583.spec)
        return spoken.decode(spoken.encode(await self._core.answer(spoken.decode(prepared))))


@asynccontextmanager
async def lane(folder: Path) -> AsyncIterator[tuple[Lane, LaneWorld]]:
    core = LaneWorld()
    async with world(folder, members=FLEET, peers=Books(), start=NOW) as one:
        here = Lane(one, FLEET, Link(core, FLEET))
        yield here, core
        await here.cash.idle()
        await one.audited()
    await core.close()


def asked(kind: str, stan: int, minor: int = 0) -> Fields:
    """Return what a terminal's operation is worded as."""
    fields = a_transfer(de32=AGENTS, de102=CREDITOR_CCI, de103="") | {
        "3": f"{kind}0000",
        "4": f"{minor:012}",
        "11": f"{stan:06}",
        "18": "6010",
        "22": "010",
        "37": "000110000000",
        "41": "A00011  ",
    }
    left_out = {"48"} if minor else {"48", "4"}
    return {key: value for key, value in fields.items() if key not in left_out}


async def test_cash_is_paid_out_once_and_balance_and_statement_tell_of_it(tmp_path: Path) -> None:
    async with lane(tmp_path) as (here, core):
        paid = await here.ask(asked("01", 1, 1_250))
        again = await here.ask(asked("01", 1, 1_250) | {"t": "0201"})
        short = await here.ask(asked("01", 2, 99_000))
        balance = await here.ask(asked("31", 3))
        statement = await here.ask(asked("38", 4))

        assert (paid["39"], paid["102"], again) == ("00", CREDITOR_CCI, paid)
        assert (short["39"], core.balance) == ("51", OPENING - 1_250)
        assert balance["54"] == f"0002604C{OPENING - 1_250:012}"
        assert decode_tlv(statement["62"], 62) == {"20": "2601151016,-1250,RETIRO EN 0992"}
