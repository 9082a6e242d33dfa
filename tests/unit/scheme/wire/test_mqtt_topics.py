"""Who may write and read which topic."""

import pytest

from scheme.wire import mqtt_topics as topics

DEVICE, OTHER = "0992-0001-1", "0992-0001-2"
MEMBER, OTHER_MEMBER = "0123456789ab", "ba9876543210"
ALL = {
    *(topic(one) for topic in (topics.up, topics.down, topics.state) for one in (DEVICE, OTHER)),
    *(topics.mirror(one, way) for one in (DEVICE, OTHER) for way in "ud"),
    *map(topics.member, (MEMBER, OTHER_MEMBER)),
    *map(topics.institution, ("0002", "0992")),
    "cq1", "cq1/a", "cq1/a/x/y/z", "elsewhere", "$SYS/broker/version", "",
}  # fmt: skip
RIGHTS = {
    DEVICE: ({topics.up(DEVICE), topics.state(DEVICE)}, {topics.down(DEVICE)}),
    f"m-{MEMBER}": (set(), {topics.member(MEMBER)}),
    "i-0002": (set(), {topics.institution("0002")}),
    "switch": (
        {topics.down(DEVICE), topics.down(OTHER)}
        | {topics.mirror(one, way) for one in (DEVICE, OTHER) for way in "ud"},
        {topic(one) for topic in (topics.up, topics.state) for one in (DEVICE, OTHER)},
    ),
    "notifier": (
        {topics.member(MEMBER), topics.member(OTHER_MEMBER)}
        | {topics.institution("0002"), topics.institution("0992")},
        set(),
    ),
    "watch": (set(), {one for one in ALL if one == "cq1" or one.startswith("cq1/")}),
}


@pytest.mark.parametrize("username", RIGHTS)
def test_each_user_has_its_own_topics_and_no_other(username: str) -> None:
    writes, reads = RIGHTS[username]

    assert {one for one in ALL if topics.may_write(username, one)} == writes
    assert {one for one in ALL if topics.may_read(username, one)} == reads


@pytest.mark.parametrize("username", [DEVICE, f"m-{MEMBER}", "i-0002", "notifier"])
@pytest.mark.parametrize(
    "wanted", ["#", "+/#", "cq1/#", "cq1/a/+/d", "cq1/+/+/n", "cq1/m/+/n", "+/+/+/+", "cq1/a/#"]
)
def test_no_filter_stands_for_more_than_its_reader_may_see(username: str, wanted: str) -> None:
    assert not topics.may_read(username, wanted)


@pytest.mark.parametrize(
    ("allowed", "wanted", "covered"),
    [
        ("a/+/d", "a/x/d", True),
        ("a/+/d", "a/+/d", True),
        ("a/+/d", "a/#", False),
        ("a/+/d", "a/x", False),
        ("a/+/d", "a/x/d/e", False),
        ("a/x/d", "a/+/d", False),
        ("a/#", "a", True),
        ("a/#", "a/#", True),
        ("a/#", "a/+/+", True),
        ("a/#", "b/x", False),
        ("#", "anything/at/all", True),
    ],
)
def test_a_filter_covers_what_lies_within_it(allowed: str, wanted: str, covered: bool) -> None:
    assert topics.covers(allowed, wanted) is covered


@pytest.mark.parametrize("topic", ["cq1/a/+/d", "cq1/j/#", "cq1/a/0992-0001-1/#"])
def test_nobody_writes_to_a_filter(topic: str) -> None:
    assert not topics.may_write("switch", topic)


def test_a_terminal_is_told_by_its_topic() -> None:
    assert topics.device_of(topics.up(DEVICE)) == DEVICE
    assert topics.device_of(topics.member(MEMBER)) == ""
    assert topics.device_of("cq1/a/too/long/u") == ""
