"""Whether two commands push each other out: the broker has one connection for each user."""

import asyncio
from gettext import gettext as _
from typing import Final

from chasqui.exits import Refused

_SHORT_S: Final = 5.0
"""A connection that is lost sooner was most likely taken over."""
_SHORT_MAX: Final = 3
"""So many of them in a row, and one of the two has to give way."""


class Rivals:
    """Looks at how long the connections of one user last."""

    def __init__(self, username: str) -> None:
        self._username = username
        self._up_at: float | None = None
        self._short = 0

    def up(self) -> None:
        """Note that it is connected."""
        self._up_at = asyncio.get_running_loop().time()

    def down(self) -> bool:
        """Note that a connection, or an attempt, has ended; tell whether to give way."""
        up_at, self._up_at = self._up_at, None
        if up_at is None:
            # An attempt says nothing: the broker is away, or it was taken over before it was up.
            return False
        is_short = asyncio.get_running_loop().time() - up_at < _SHORT_S
        self._short = self._short + 1 if is_short else 0
        return self._short >= _SHORT_MAX

    def failure(self) -> Refused:
        """Return what to say then, and what to do."""
        text = _("Another client of the user {name} pushes this one out, again and again.")
        return Refused(
            text.format(name=self._username),
            _("The broker has one connection for each user: end the other one, and try again."),
        )
