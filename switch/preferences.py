"""The rails an operator prefers for a pair of participants; on disk before they are used."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import structlog

from scheme.ledger import PutFact
from switch.core import routing
from switch.ports import Ledger

log = structlog.get_logger()

PREFERENCE_FACT: Final = "preference:"
"""Prefix of the facts that keep them; debtor's and creditor's code follow."""


class PreferenceBook:
    """Keeps and changes the operators' preferences.

    Args:
        facts: as stored.
    """

    def __init__(self, facts: Mapping[str, bytes], *, ledger: Ledger) -> None:
        self._ledger = ledger
        self._table: dict[tuple[str, str], tuple[str, ...]] = {}
        for name, value in facts.items():
            if name.startswith(PREFERENCE_FACT):
                debtor, _, creditor = name.removeprefix(PREFERENCE_FACT).partition(":")
                self._keep(debtor, creditor, msgspec.msgpack.decode(value, type=tuple[str, ...]))

    @property
    def table(self) -> routing.Preferences:
        """The preferences in force."""
        return self._table

    async def put(self, debtor: str, creditor: str, rails: Sequence[str]) -> None:
        """Prefer rails for a pair, in order; none removes the preference."""
        name = f"{PREFERENCE_FACT}{debtor}:{creditor}"
        await self._ledger.apply((PutFact(name=name, value=msgspec.msgpack.encode(rails)),))
        self._keep(debtor, creditor, tuple(rails))
        log.info("preference changed", debtor_agent=debtor, creditor_agent=creditor, rails=rails)

    def rows(self) -> list[dict[str, Any]]:
        """Return the preferences as operators see them."""
        return [
            {"debtor": debtor, "creditor": creditor, "rails": list(rails)}
            for (debtor, creditor), rails in sorted(self._table.items())
        ]

    def _keep(self, debtor: str, creditor: str, rails: tuple[str, ...]) -> None:
        if rails:
            self._table[debtor, creditor] = rails
        else:
            self._table.pop((debtor, creditor), None)
