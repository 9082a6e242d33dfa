"""Topics of the agent lane and of notices, and who may write and read which.

One table for all brokers (docs/wire/mqtt.md): what it does not allow is forbidden.
"""

from typing import Final

_AGENTS: Final = "cq1/a"
_MIRROR: Final = "cq1/j"
_MEMBERS: Final = "cq1/m"
_INSTITUTIONS: Final = "cq1/i"
UP: Final = "u"
DOWN: Final = "d"
STATE: Final = "s"
ALL_UP: Final = f"{_AGENTS}/+/{UP}"
ALL_STATES: Final = f"{_AGENTS}/+/{STATE}"

SWITCH: Final = "switch"
NOTIFIER: Final = "notifier"
WATCH: Final = "watch"
"""Reads everything, for people who look into it."""
SERVICES: Final = (SWITCH, NOTIFIER, WATCH)
MEMBER_PREFIX: Final = "m-"
INSTITUTION_PREFIX: Final = "i-"


def up(device: str) -> str:
    """Return where a terminal writes."""
    return f"{_AGENTS}/{device}/{UP}"


def down(device: str) -> str:
    """Return where a terminal is answered."""
    return f"{_AGENTS}/{device}/{DOWN}"


def state(device: str) -> str:
    """Return where it is kept whether a terminal is there."""
    return f"{_AGENTS}/{device}/{STATE}"


def mirror(device: str, direction: str) -> str:
    """Return where one direction of a terminal is said once more as JSON."""
    return f"{_MIRROR}/{device}/{direction}"


def member(member_id: str) -> str:
    """Return where a member is told of debits, credits and rejections."""
    return f"{_MEMBERS}/{member_id}/n"


def institution(code: str) -> str:
    """Return where an institution is told of windows and of its position."""
    return f"{_INSTITUTIONS}/{code}/n"


def device_of(topic: str) -> str:
    """Return the terminal that a topic of the agent lane belongs to, or nothing."""
    parts = topic.split("/")
    return parts[2] if len(parts) == 4 and topic.startswith(_AGENTS + "/") else ""


def writable(username: str) -> tuple[str, ...]:
    """Return the filters of the topics that a client may write."""
    if username == SWITCH:
        return (f"{_AGENTS}/+/{DOWN}", f"{_MIRROR}/#")
    if username == NOTIFIER:
        return (f"{_MEMBERS}/+/n", f"{_INSTITUTIONS}/+/n")
    if username == WATCH or username.startswith((MEMBER_PREFIX, INSTITUTION_PREFIX)):
        return ()
    return (up(username), state(username))


def readable(username: str) -> tuple[str, ...]:
    """Return the filters of the topics that a client may read."""
    if username == SWITCH:
        return (ALL_UP, ALL_STATES)
    if username == NOTIFIER:
        return ()
    if username == WATCH:
        return ("cq1/#",)
    if username.startswith(MEMBER_PREFIX):
        return (member(username.removeprefix(MEMBER_PREFIX)),)
    if username.startswith(INSTITUTION_PREFIX):
        return (institution(username.removeprefix(INSTITUTION_PREFIX)),)
    return (down(username),)


def may_write(username: str, topic: str) -> bool:
    """Tell whether a client may write to a topic, which is no filter."""
    is_topic = "+" not in topic and "#" not in topic
    return is_topic and any(covers(allowed, topic) for allowed in writable(username))


def may_read(username: str, wanted: str) -> bool:
    """Tell whether a client may read a topic, or all that a filter stands for."""
    return any(covers(allowed, wanted) for allowed in readable(username))


def covers(allowed: str, wanted: str) -> bool:
    """Tell whether a filter allows all that a topic or another filter stands for."""
    here, there = allowed.split("/"), wanted.split("/")
    for place, level in enumerate(here):
        if level == "#":
            return True
        if place >= len(there):
            return False
        asked = there[place]
        if asked == "#" or (asked == "+" and level != "+") or level not in ("+", asked):
            return False
    return len(here) == len(there)
