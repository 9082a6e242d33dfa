"""``reconcile --books`` where field agents took cash: their tills are the book."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chasqui.exits import ExitCode
from participants.agent_queue import AgentQueue, queue_path
from participants.core.agent_book import Change, Entry, EntryState, Facts
from scheme.wire.agent_payload import Kind, Operation, Verdict
from tests.support.fake_country import (
    INSTRUCTION,
    Chasqui,
    FakeCountry,
    a_participant,
    a_transfer,
)

DEVICE = "0992-0001-1"
RECONCILE = ("reconcile", "--books", "--wait", "0")


def an_operation(seq: int, **changes: Any) -> dict[str, Any]:
    row = {"seq": seq, "op_id": f"{seq:016x}", "kind": "CASH_IN", "minor": 2550, "code": "00"}
    return row | {"currency": "PEN", "reference": INSTRUCTION} | changes


def serve_operations(country: FakeCountry, *rows: dict[str, Any], taken: int = 2550) -> None:
    """Serve the operations one a page, as a long list comes."""

    def page(asked: Any) -> Any:
        after = int(asked.query.get("after", 0))
        found = [row for row in rows if row["seq"] > after][:1]
        return {"operations": found, "next": found[-1]["seq"] if found else None}

    country.on("GET", f"/agents/{DEVICE}/operations", page)
    till = {"agent": "0992-0001", "currency": "PEN", "taken": taken, "paid": 0}
    country.on("GET", "/agents/tills", {"tills": [till]})


@pytest.fixture(autouse=True)
def agents(country: FakeCountry) -> None:
    country.on("GET", "/audit", {"clean": True, "differences": []})
    country.on("GET", "/transfers", {"transfers": [a_transfer(debtor_agent="0992")], "next": None})
    everyone = [
        a_participant("0971", f"{country.url}/0971"),
        a_participant("0992", simulated=False, kind="acquirer", lane="mqtt"),
    ]
    country.on("GET", "/participants", {"participants": everyone})
    row = {"instruction_id": INSTRUCTION, "amount": 2550, "fee": 0, "currency": "PEN"}
    row |= {"sequence": 1, "role": "creditor", "state": "FINAL"}
    country.on("GET", "/0971/control/movements", {"movements": [row], "next": None})
    device = {"device": DEVICE, "agent": "0992-0001", "institution": "0992"}
    country.on("GET", "/agents", {"devices": [device], "next": None})
    serve_operations(country, an_operation(1), an_operation(2, code="51", reference=""))


@pytest.fixture
def queue(chasqui: Chasqui, tmp_path: Path) -> Iterator[AgentQueue]:
    queue = AgentQueue.open(queue_path(tmp_path / "home", DEVICE))
    yield queue
    queue.close()


def keep(queue: AgentQueue, code: str) -> None:
    operation = Operation(1, (1).to_bytes(8, "big"), Kind.CASH_IN, 2550, 0, "", "", 0, offline=True)
    verdict = Verdict(1, code, "", INSTRUCTION)
    entries = (Entry(operation, EntryState.APPLIED, verdict),)
    asyncio.run(queue.save(Change(Facts(next=2), entries)))


def test_tills_that_agree_with_the_ledger_are_a_book_that_is_equal(
    chasqui: Chasqui, queue: AgentQueue
) -> None:
    keep(queue, "00")
    queue.close()

    code, out, _err = chasqui(*RECONCILE)
    document = json.loads(chasqui(*RECONCILE, "--json")[1])

    assert code == ExitCode.DONE
    assert "All books are equal." in out
    assert "Taken S/ 25.50, paid out S/ 0.00: its position moved by -S/ 25.50" in out
    (agents,) = document["agents"]
    assert (agents["operations"], agents["terminals"], agents["queues_compared"]) == (2, 1, 1)
    assert document["not_compared"] == []


def test_differences_are_named_with_their_operations(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    serve_operations(country, an_operation(1, minor=2500), taken=2500)

    code, out, _err = chasqui(*RECONCILE)
    document = json.loads(chasqui(*RECONCILE, "--json")[1])

    assert code == ExitCode.REFUSED
    assert f"operation {DEVICE}/1: applied with another amount" in " ".join(out.split())
    assert "recorded 2500, recounted 2550" in " ".join(out.split())
    assert [one.get("operation") for one in document["different"]] == [f"{DEVICE}/1", None]


def test_a_posted_order_without_an_operation_differs_after_a_second_look(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    serve_operations(country, taken=0)

    code, out, _err = chasqui(*RECONCILE)

    assert code == ExitCode.REFUSED
    assert "no terminal's operation names it" in " ".join(out.split())


def test_a_terminal_with_another_verdict_differs(chasqui: Chasqui, queue: AgentQueue) -> None:
    keep(queue, "51")
    queue.close()

    code, out, _err = chasqui(*RECONCILE)

    assert code == ExitCode.REFUSED
    assert "another verdict than the clearing house" in " ".join(out.split())


def test_a_queue_in_use_is_named_and_left_out(chasqui: Chasqui, queue: AgentQueue) -> None:
    keep(queue, "51")

    code, out, _err = chasqui(*RECONCILE)

    assert code == ExitCode.DONE
    assert f"their queues were not compared: {DEVICE}" in out


def test_a_queue_that_cannot_be_read_is_not_compared(chasqui: Chasqui, tmp_path: Path) -> None:
    path = queue_path(tmp_path / "home", DEVICE)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"something else" * 100)

    code, out, _err = chasqui(*RECONCILE)

    assert code == ExitCode.NOT_COMPARED
    assert "0992 could not be compared: " in out
    assert "damaged" in out


def test_where_the_lane_is_off_its_institution_is_not_compared(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    del country.answers["GET", "/agents"]

    code, out, _err = chasqui(*RECONCILE)

    assert code == ExitCode.NOT_COMPARED
    assert "0992 could not be compared: the lane of field agents is off" in out
    assert chasqui(*RECONCILE, "--skip", "0992")[0] == ExitCode.DONE


def test_an_institution_of_agents_without_orders_needs_no_lane(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    del country.answers["GET", "/agents"]
    country.on("GET", "/transfers", {"transfers": [], "next": None})
    country.on("GET", "/0971/control/movements", {"movements": [], "next": None})

    assert chasqui(*RECONCILE)[0] == ExitCode.DONE
