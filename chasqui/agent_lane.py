"""The part of the operator API that is there only where the country has a broker."""

from collections.abc import Iterator
from contextlib import contextmanager
from gettext import gettext as _

from chasqui.country import Country
from chasqui.exits import Misused
from chasqui.session import Session

_NO_ROUTE = "path"
"""What the clearing house says is wrong where it offers no such thing at all."""


def no_broker() -> Misused:
    """Return the failure of whatever needs a broker that is not there."""
    return Misused(
        _("The country runs without a broker: field agents and notices over MQTT are off."),
        _("Start it with one: chasqui up --broker embedded"),
    )


@contextmanager
def lane(session: Session) -> Iterator[Country]:
    """Yield the country to ask it about field agents, or about notices over MQTT.

    Raises:
        Misused: it runs without a broker, so it offers neither.
    """
    try:
        yield session.country()
    except Misused as error:
        if error.field == _NO_ROUTE:
            raise no_broker() from error
        raise
