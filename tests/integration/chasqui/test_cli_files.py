"""Files of batches, files compared, and what-if, on the command line."""

import json
from pathlib import Path
from typing import Any

import pytest

from chasqui.exits import ExitCode
from scheme.wire.settlement_csv import COLUMNS, encode_rows
from tests.support.fake_country import Asked, Chasqui, FakeCountry

BATCH = "national-PEN-20261123-1"
FILES = f"/batches/{BATCH}/files"
OURS = f"{FILES}/0970/reconciliation.csv"
CCI = "97000110020030040142"


def a_row(number: int, **others: str) -> list[str]:
    row = {
        "origin_cci": CCI,
        "receiver_account": "00200110000000000142",
        "receiver_entity": "0002",
        "amount": f"{number}.50",
        "fee": "0.80",
        "fee_sign": "-",
        "transfer_type": "320",
        "date_time": "20261123120000",
        "channel": "91",
        "trace": f"{number:06}",
        "instruction_id": f"26112312000009704100{number:08}",
        "process_code": "00",
        "state": "approved",
    }
    return list((row | others).values())


@pytest.fixture
def batch(country: FakeCountry) -> FakeCountry:
    listed = [
        {
            "participant": code,
            "kind": kind,
            "name": f"{BATCH}.{code}.{kind}",
            "path": f"{FILES}/{code}/{kind}",
        }
        for code, kind in (("all", "net.csv"), ("0970", "reconciliation.csv"), ("0971", "net.csv"))
    ]
    country.on("GET", FILES, {"batch": BATCH, "files": listed})
    for one in listed:
        country.on("GET", one["path"], one["path"].encode())
    country.on("GET", OURS, encode_rows([COLUMNS, *(a_row(n) for n in range(1, 4))]))
    return country


def theirs(folder: Path, *rows: list[str], name: str = f"{BATCH}.0970.ours.csv") -> str:
    path = folder / name
    path.write_bytes(encode_rows([COLUMNS, *rows]))
    return str(path)


def test_files_are_written_under_their_names(
    chasqui: Chasqui, batch: FakeCountry, tmp_path: Path
) -> None:
    folder = tmp_path / "new" / "folder"

    code, out, err = chasqui("settle", "files", BATCH, "--to", str(folder))

    assert (code, err) == (ExitCode.DONE, "")
    names = sorted(one.name for one in folder.iterdir())
    assert names == sorted(
        f"{BATCH}.{rest}" for rest in ("all.net.csv", "0970.reconciliation.csv", "0971.net.csv")
    )
    assert (folder / f"{BATCH}.0971.net.csv").read_text() == f"{FILES}/0971/net.csv"
    assert "0971" in out


def test_one_institutions_files_are_written_alone(
    chasqui: Chasqui, batch: FakeCountry, tmp_path: Path
) -> None:
    words = ("settle", "files", BATCH, "--participant", "0971", "--to", str(tmp_path), "--json")

    code, out, _err = chasqui(*words)

    assert code == ExitCode.DONE
    assert [one["kind"] for one in json.loads(out)["files"]] == ["net.csv"]
    code, _out, err = chasqui("settle", "files", BATCH, "--participant", "0999")
    assert code == ExitCode.USAGE
    assert "0970, 0971, all" in err


def test_a_download_that_fails_leaves_nothing_behind(
    chasqui: Chasqui, batch: FakeCountry, tmp_path: Path
) -> None:
    busy = {"error": "8 files or replays are under way", "hint": "try again"}
    batch.on("GET", f"{FILES}/all/net.csv", (503, busy))

    code, _out, err = chasqui("settle", "files", BATCH, "--to", str(tmp_path / "to"))

    assert code == ExitCode.UNKNOWN
    assert "under way" in err
    assert list((tmp_path / "to").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_told(
    chasqui: Chasqui, batch: FakeCountry, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("x")

    code, _out, err = chasqui("settle", "files", BATCH, "--to", str(blocked / "below"))

    assert code == ExitCode.USAGE
    assert "cannot be written" in err


def test_names_that_would_leave_the_folder_are_refused(
    chasqui: Chasqui, batch: FakeCountry, tmp_path: Path
) -> None:
    evil = {"participant": "all", "kind": "net.csv", "name": "../evil.csv", "path": FILES}
    batch.on("GET", FILES, {"files": [evil]})

    code, _out, _err = chasqui("settle", "files", BATCH, "--to", str(tmp_path / "to"))

    assert code == ExitCode.UNKNOWN
    assert not (tmp_path / "evil.csv").exists()


def test_an_equal_file_is_equal_in_any_order(
    chasqui: Chasqui, batch: FakeCountry, tmp_path: Path
) -> None:
    file = theirs(tmp_path, *(a_row(n) for n in (3, 1, 2)))

    code, out, err = chasqui("reconcile", "--file", file)

    assert (code, err) == (ExitCode.DONE, "")
    assert "3 of the ledger, 3 of the file" in out
    assert "equal" in out


def test_missing_extra_and_different_movements_are_listed(
    chasqui: Chasqui, batch: FakeCountry, tmp_path: Path
) -> None:
    other = a_row(2, amount="2.51", origin_cci=CCI[::-1])
    file = theirs(tmp_path, a_row(1), other, a_row(9), name="mine.csv")
    words = ("reconcile", "--file", file, "--batch", BATCH, "--participant", "0970")

    code, out, _err = chasqui(*words, "--json")
    found = json.loads(out)

    assert code == ExitCode.REFUSED
    assert found["equal"] is False
    assert [one["instruction_id"][-1] for one in found["missing"]["listed"]] == ["3"]
    assert [(one["instruction_id"][-1], one["line"]) for one in found["extra"]["listed"]] == [
        ("9", 4)
    ]
    (different,) = found["different"]["listed"]
    assert different["line"] == 3
    assert {one["column"] for one in different["columns"]} == {"origin_cci", "amount"}
    assert CCI not in out

    code, out, _err = chasqui(*words)
    assert code == ExitCode.REFUSED
    assert "2.50" in out
    assert "2.51" in out
    assert CCI not in out


def test_the_same_movement_sent_and_received_is_two(
    chasqui: Chasqui, batch: FakeCountry, tmp_path: Path
) -> None:
    both = [a_row(1), a_row(1, fee_sign="+")]
    batch.on("GET", OURS, encode_rows([COLUMNS, *both]))

    assert chasqui("reconcile", "--file", theirs(tmp_path, *both))[0] == ExitCode.DONE
    assert chasqui("reconcile", "--file", theirs(tmp_path, both[0]))[0] == ExitCode.REFUSED


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([a_row(1), a_row(2, amount="2,51")], "line 3: amount: '2,51': the cents follow a point"),
        ([a_row(1), a_row(2), a_row(1)], "line 4: instruction_id: '2611"),
    ],
)
def test_a_wrong_file_is_told_with_its_line(
    chasqui: Chasqui, batch: FakeCountry, tmp_path: Path, rows: Any, told: str
) -> None:
    code, _out, err = chasqui("reconcile", "--file", theirs(tmp_path, *rows))

    assert code == ExitCode.USAGE
    assert told in err


@pytest.mark.parametrize("data", [b"", b"a,b,c,d\n", b"\xff\xfea", b"\xf1\n"])
def test_what_is_no_such_file_is_told(
    chasqui: Chasqui, batch: FakeCountry, tmp_path: Path, data: bytes
) -> None:
    path = tmp_path / f"{BATCH}.0970.csv"
    path.write_bytes(data)

    code, _out, err = chasqui("reconcile", "--file", str(path))

    assert code == ExitCode.USAGE
    assert path.name in err


def test_a_file_of_unknown_batch_or_that_is_not_there_is_told(
    chasqui: Chasqui, batch: FakeCountry, tmp_path: Path
) -> None:
    code, _out, err = chasqui("reconcile", "--file", theirs(tmp_path, name="mine.csv"))
    assert code == ExitCode.USAGE
    assert "--batch" in err

    gone = tmp_path / f"{BATCH}.0970.gone.csv"
    code, _out, err = chasqui("reconcile", "--file", str(gone))
    assert code == ExitCode.USAGE
    assert "cannot be read" in err


NEED = {
    "participant": "0970",
    "sent": 5_000,
    "received": 0,
    "net": -5_000,
    "paid_in": 5_000,
    "liquidity": 5_000,
    "peak": 5_000,
    "blocked": {"count": 2, "value": 700},
}
SCENARIO = {
    "windows": 3,
    "offsetting": "multilateral",
    "payments": 4,
    "gross": 9_000,
    "paid_in": 5_000,
    "liquidity": 5_000,
    "peak": 5_000,
    "blocked": {"count": 2, "value": 700},
    "unpaid": 5_000,
    "bearers": [
        {"participant": "guarantee", "by": "guarantee_fund", "for": "0970", "minor": 4_000},
        {"participant": "0971", "by": "loss_sharing", "for": "0970", "minor": 1_000},
    ],
    "participants": [NEED],
}
ANSWER = {
    "date": "20261123",
    "ledger": "national",
    "currency": "PEN",
    "cap": None,
    "failing": "0970",
    "names": {"0970": "COOPAC SIMULADA"},
    "scenarios": [SCENARIO, SCENARIO | {"offsetting": "none", "unpaid": 0, "bearers": []}],
}


def test_what_if_asks_and_prints_who_needs_what_and_who_bears_it(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    country.on("GET", "/settlement/what-if", ANSWER)
    words = ("settle", "what-if", "--date", "2026-11-23", "--cap", "50.00", "--fail", "0970")

    code, out, err = chasqui(*words, "--windows", "3")

    assert (code, err) == (ExitCode.DONE, "")
    asked = country.last("/settlement/what-if").query
    assert asked == {
        "date": "2026-11-23",
        "ledger": "national",
        "currency": "PEN",
        "windows": "3",
        "cap": "5000",
        "offsetting": "multilateral",
        "fail": "0970",
    }
    for text in ("3 windows", "no netting", "COOPAC SIMULADA", "S/ 50.00", "guarantee fund"):
        assert text in out
    assert "0970 does not pay in S/ 50.00" in " ".join(out.split())


def test_what_if_draws(chasqui: Chasqui, country: FakeCountry, tmp_path: Path) -> None:
    def answer(asked: Asked) -> Any:
        return b"<svg/>" if asked.query.get("format") == "svg" else ANSWER

    country.on("GET", "/settlement/what-if", answer)
    picture = tmp_path / "day.svg"

    code, out, _err = chasqui("settle", "what-if", "--svg", str(picture), "--json")

    assert code == ExitCode.DONE
    assert json.loads(out) == ANSWER
    assert picture.read_bytes() == b"<svg/>"


def test_what_if_of_a_day_without_payments_says_so(chasqui: Chasqui, country: FakeCountry) -> None:
    empty = ANSWER | {"scenarios": [SCENARIO | {"participants": [], "unpaid": 0}]}
    country.on("GET", "/settlement/what-if", empty)

    code, out, _err = chasqui("settle", "what-if")

    assert code == ExitCode.DONE
    assert "No payments on this day." in out
