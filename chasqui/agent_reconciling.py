"""The tills of field agents for ``chasqui reconcile --books``: how they are read and told."""

from collections.abc import Iterable, Iterator, Mapping
from gettext import gettext as _
from pathlib import Path

import click

from chasqui.agent_answers import (
    DeviceRow,
    DevicesPage,
    OperationRow,
    OperationsPage,
    TillsAnswer,
)
from chasqui.agent_books import AgentBook, AgentComparison
from chasqui.calling import as_called
from chasqui.country import Api
from chasqui.exits import Misused, Unknown
from chasqui.output import amount_text, paragraph
from chasqui.settings import whereabouts
from participants.agent_queue import QueueTaken, queue_path, read_queue
from participants.core.agent_book import Entry
from scheme.errors import StoreError
from scheme.limits import PAGE_ROWS_MAX


def read_agent_books(
    operator: Api, home: Path, codes: Iterable[str]
) -> tuple[dict[str, AgentBook], str]:
    """Return the books of some institutions of the agent lane, and why there is none.

    Raises:
        Failure: the operator API does not answer.
    """
    try:
        devices = list(_devices(operator))
    except Misused:
        text = _("the lane of field agents is off; start it with: chasqui up --broker embedded")
        return {}, as_called(text)
    return {code: _book(operator, home, code, devices) for code in codes}, ""


def agents_document(one: AgentComparison) -> dict[str, object]:
    """Return what a comparison says beside its findings."""
    return {
        "participant": one.code,
        "operations": one.operations,
        "without_verdict": one.open,
        "terminals": one.terminals,
        "queues_compared": one.queues,
        "queues_busy": one.busy,
        "waiting_in_queues": one.waiting,
        "cash": one.cash,
    }


def print_agents(one: AgentComparison) -> None:
    """Say what was compared of an institution's agents, and what cash there is."""
    text = _(
        "{code}: operations compared: {count}; terminals: {number}; "
        "queues of terminals in this folder compared: {queues}"
    )
    paragraph(
        text.format(code=one.code, count=one.operations, number=one.terminals, queues=one.queues)
    )
    for row in one.cash:
        text = _(
            "  Taken {taken}, paid out {paid}: its position moved by {moved}, "
            "besides fees of {fees}."
        )
        click.echo(
            text.format(
                taken=amount_text(row.taken, row.currency),
                paid=amount_text(row.paid, row.currency),
                moved=amount_text(row.moved, row.currency),
                fees=amount_text(row.fees, row.currency),
            )
        )
        if row.returned:
            text = _("  Returned to its position later, and in no till: {amount}")
            click.echo(text.format(amount=amount_text(row.returned, row.currency)))
    if one.open:
        click.echo(_("  Without a verdict yet: {count}").format(count=one.open))
    if one.waiting:
        text = _("  In the terminals' queues, waiting for a session: {count}")
        click.echo(text.format(count=one.waiting))
    if one.busy:
        text = _("  In use, so their queues were not compared: {codes}")
        click.echo(text.format(codes=", ".join(one.busy)))


def _devices(operator: Api) -> Iterator[DeviceRow]:
    after: str | None = None
    while True:
        page = operator.get("/agents", DevicesPage, after=after, limit=PAGE_ROWS_MAX)
        yield from page.devices
        after = page.next
        if after is None or not page.devices:
            return


def _book(operator: Api, home: Path, code: str, devices: Iterable[DeviceRow]) -> AgentBook:
    names = [one.device for one in devices if one.institution == code]
    # The queues first: what a terminal was told is on the switch's disk by then.
    queues, busy = _queues(home, names) if _is_home_of(home, operator) else ({}, ())
    before = operator.get("/agents/tills", TillsAnswer).tills
    operations = {name: tuple(_operations(operator, name)) for name in names}
    after = operator.get("/agents/tills", TillsAnswer).tills
    agents = {one.agent for one in devices if one.institution == code}
    return AgentBook(
        code=code,
        operations=operations,
        before=[one for one in before if one.agent in agents],
        after=[one for one in after if one.agent in agents],
        queues=queues,
        busy=busy,
    )


def _operations(operator: Api, device: str) -> Iterator[OperationRow]:
    path, after = f"/agents/{device}/operations", 0
    while True:
        page = operator.get(path, OperationsPage, after=after, limit=PAGE_ROWS_MAX)
        yield from page.operations
        if page.next is None or not page.operations:
            return
        after = page.next


def _is_home_of(home: Path, operator: Api) -> bool:
    """Tell whether the queues in a home are of the country that was asked."""
    running = whereabouts(home)
    url = running.operator_url if running else ""
    return not url or url.rstrip("/") == operator.url.rstrip("/")


def _queues(
    home: Path, names: Iterable[str]
) -> tuple[Mapping[str, tuple[Entry, ...]], tuple[str, ...]]:
    queues: dict[str, tuple[Entry, ...]] = {}
    busy: list[str] = []
    for name in names:
        path = queue_path(home, name)
        if not path.exists():
            continue
        try:
            queues[name] = tuple(read_queue(path))
        except QueueTaken:
            busy.append(name)
        except StoreError as error:
            raise Unknown(str(error)) from error
    return queues, tuple(busy)
