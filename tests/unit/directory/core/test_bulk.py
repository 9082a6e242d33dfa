import pytest

from directory.core import bulk
from directory.core.alias import Refusal
from directory.core.bulk import Fault, Record
from directory.core.registry import Instruction, Order
from scheme.reasons import ReasonCode

CCI = "97000110020030040142"
FILE = (
    b"L05,H03,L03,L08\r\n"
    b"NEWR,B202601152300000970151,97000110020030040142,+51900000101\r\n"
    b"DEAC,B202601152300000970152,97000110020030041944,+51900000199\r\n"
    b"REGISTROS = 2\r\n"
)


def the_records(data: bytes) -> list[Record]:
    records = bulk.read("0970", data)
    assert isinstance(records, list)
    return records


def a_file(*rows: str) -> bytes:
    return "\n".join([bulk.HEADER, *rows, f"REGISTROS = {len(rows)}"]).encode()


def test_the_example_of_the_wire_is_read() -> None:
    first, second = the_records(FILE)
    assert first.id == "B202601152300000970151"
    assert first.order == Order(
        instruction=Instruction.NEWR,
        phone="900000101",
        participant="0970",
        cci=CCI,
        registration_id="R202601152300000970151",
    )
    assert isinstance(second.order, Order)
    assert second.order.instruction is Instruction.DEAC


@pytest.mark.parametrize(
    ("data", "complete"),
    [
        (FILE, True),
        (FILE.rstrip(), True),
        (FILE + b"\n\n", True),
        (FILE[: FILE.index(b"REG")], False),
        (FILE[:-5], False),
        (b"", False),
        (b"REGISTROS=0", True),
    ],
)
def test_a_file_is_complete_once_its_total_is_there(data: bytes, complete: bool) -> None:
    assert bulk.is_complete(data) is complete


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (FILE.replace(b"= 2", b"= 3"), "REGISTROS is the number of the records"),
        (FILE.replace(b"L08", b"L09"), "the first line is L05,H03,L03,L08"),
        (FILE.replace(b"+519", b"\xf1519"), "UTF-8 is needed"),
        (FILE[: FILE.index(b"REG")], "the last line is REGISTROS = n"),
        (b"", "the last line is REGISTROS = n"),
    ],
)
def test_a_file_that_is_not_one_is_refused_whole(data: bytes, rule: str) -> None:
    assert bulk.read("0970", data) == Fault(ReasonCode.FF02, rule)


@pytest.mark.parametrize(
    ("row", "named", "field"),
    [
        ("NEWR,B1,97000110020030040142", "B1", "L05"),
        ("NEWW,B1,97000110020030040142,+51900000101", "B1", "L05"),
        ("NEWR,B1,97000110020030040142,900000101", "B1", "L08"),
        ("NEWR,B1,97100220030040050213,+51900000101", "B1", "L03"),
        ("DEAC,B1,97100220030040050213,+51900000101", "B1", "L03"),
        ("NEWR,,97000110020030040142,+51900000101", "LINEA 2", "H03"),
        ("garbage", "LINEA 2", "L05"),
        (f"NEWR,{'B' * 65},97000110020030040142,+51900000101", "LINEA 2", "H03"),
    ],
)
def test_a_line_that_cannot_be_read_is_refused_alone(row: str, named: str, field: str) -> None:
    bad, good = the_records(a_file(row, "DEAC,B2,,+51900000101"))
    assert bad.id == named
    assert isinstance(bad.order, Refusal)
    assert (bad.order.reason, bad.order.field) == (ReasonCode.FF02, field)
    assert isinstance(good.order, Order)


@pytest.mark.parametrize(
    ("name", "participant"),
    [
        ("0970DIRECTORIO202601152300.csv", "0970"),
        ("0970DIRECTORIO20260115230.csv", None),
        ("970DIRECTORIO202601152300.csv", None),
        ("0970directorio202601152300.csv", None),
    ],
)
def test_the_name_says_whose_file_it_is(name: str, participant: str | None) -> None:
    assert bulk.participant_of(name) == participant


def test_what_is_applied_at_once_has_no_phone_twice() -> None:
    rows = [f"NEWR,B{n},{CCI},+5190000010{phone}" for n, phone in enumerate((1, 2, 2, 3, 4, 3))]
    groups = list(bulk.chunks(the_records(a_file(*rows, "garbage")), 3))
    assert [[one.id for one in group] for group in groups] == [
        ["B0", "B1"],
        ["B2", "B3", "B4"],
        ["B5", "LINEA 8"],
    ]


def test_the_answer_has_a_line_for_each_record_and_their_number() -> None:
    refusal = Refusal(ReasonCode.IREG, "Prxy.Val", "there already")
    answer = bulk.control_file([("B1", None), ("B2", refusal)])
    assert answer == b"B1,ACTC\nB2,RJCT,IREG\nREGISTROS = 2\n"
    whole = bulk.control_file_of(Fault(ReasonCode.DNOR, "a registered participant"))
    assert whole == b"ARCHIVO,RJCT,DNOR,a registered participant\nREGISTROS = 0\n"
