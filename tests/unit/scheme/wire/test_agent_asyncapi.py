"""docs/wire/agents.asyncapi.yaml: sound AsyncAPI 3, and what the code says."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, get_args

import pytest
import yaml  # type: ignore[import-untyped]
from jsonschema import Draft7Validator  # type: ignore[import-untyped]
from msgspec import Struct, inspect

from scheme.limits import MQTT_KEEPALIVE_S
from scheme.wire import mqtt_topics
from scheme.wire.agent_payload import VERSION, Down, Operation, Presence, Row, Up, Verdict
from switch.notifier import wording

ROOT: Final = Path(__file__).parents[4]
GOLDEN: Final = ROOT / "tests" / "golden"
DOCUMENT: Final[Mapping[str, Any]] = yaml.safe_load(
    (ROOT / "docs" / "wire" / "agents.asyncapi.yaml").read_text(encoding="utf-8")
)
SCHEMAS: Final[Mapping[str, Any]] = DOCUMENT["components"]["schemas"]
MESSAGES: Final[Mapping[str, type[Struct]]] = {
    one.__name__: one for one in (*get_args(Up), *get_args(Down))
}
NESTED: Final = (Operation, Verdict, Row, Presence)
NOTICES: Final = (wording.MemberNotice, wording.PrefundNotice, wording.WindowNotice)
DEVICE: Final = "0992-0001-1"


def resolved(reference: str) -> Any:
    """Return what a reference inside the document points to."""
    assert reference.startswith("#/"), reference
    found: Any = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def schema(node: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = resolved(node["$ref"]) if "$ref" in node else node
    return found


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for one in node.values():
            yield from references(one)
    elif isinstance(node, list):
        for one in node:
            yield from references(one)


def validator(node: Mapping[str, Any]) -> Draft7Validator:
    return Draft7Validator({**node, "components": DOCUMENT["components"]})


def test_it_is_sound_by_the_initiatives_own_schema() -> None:
    official = json.loads((GOLDEN / "asyncapi" / "asyncapi-3.0.0.json").read_text())
    Draft7Validator.check_schema(official)
    broken = sorted(Draft7Validator(official).iter_errors(DOCUMENT), key=str)
    assert [(list(one.absolute_path), one.message[:200]) for one in broken] == []
    without = {key: value for key, value in DOCUMENT.items() if key != "info"}
    assert list(Draft7Validator(official).iter_errors(without)) != []


def test_every_reference_leads_somewhere_and_nothing_is_there_for_nobody() -> None:
    named = set(references(DOCUMENT))
    for one in named:
        resolved(one)
    for kind, group in DOCUMENT["components"].items():
        for name in group:
            assert f"#/components/{kind}/{name}" in named, name


def test_channels_are_the_topics_and_have_the_messages_of_their_direction() -> None:
    channels = DOCUMENT["channels"]
    values = {"device": DEVICE, "direction": "u", "member": "8641503d7f6e", "institution": "0971"}
    assert {name: one["address"].format(**values) for name, one in channels.items()} == {
        "up": mqtt_topics.up(DEVICE),
        "down": mqtt_topics.down(DEVICE),
        "state": mqtt_topics.state(DEVICE),
        "mirror": mqtt_topics.mirror(DEVICE, "u"),
        "member": mqtt_topics.member(values["member"]),
        "institution": mqtt_topics.institution(values["institution"]),
    }
    assert list(channels["up"]["messages"]) == [one.__name__ for one in get_args(Up)]
    assert list(channels["down"]["messages"]) == [one.__name__ for one in get_args(Down)]
    mirrored = DOCUMENT["components"]["messages"]["Mirror"]["payload"]["oneOf"]
    assert [one["$ref"].rsplit("/", 1)[1] for one in mirrored] == list(MESSAGES)


def test_a_terminal_may_do_what_its_operations_say_and_nobody_else() -> None:
    users = {"member": "m-8641503d7f6e", "institution": "i-0971", "mirror": mqtt_topics.WATCH}
    values = {"device": DEVICE, "direction": "u", "member": "8641503d7f6e", "institution": "0971"}
    told: dict[str, set[str]] = {"send": set(), "receive": set()}
    for one in DOCUMENT["operations"].values():
        channel = one["channel"]["$ref"].rsplit("/", 1)[1]
        told[one["action"]].add(channel)
        topic = resolved(one["channel"]["$ref"])["address"].format(**values)
        user = users.get(channel, DEVICE)
        allowed = mqtt_topics.writable if one["action"] == "send" else mqtt_topics.readable
        assert any(mqtt_topics.covers(filter_, topic) for filter_ in allowed(user)), topic
        binding = schema(one["bindings"])["mqtt"]
        assert (binding["qos"], binding["retain"]) == (1, channel == "state")
    assert told == {"send": {"up", "state"}, "receive": {"down", *users}}


def test_servers_ask_for_a_password_keep_the_session_and_take_a_last_will() -> None:
    assert {name: one["host"] for name, one in DOCUMENT["servers"].items()} == {
        "plain": "127.0.0.1:7084",
        "tls": "localhost:7085",
    }
    for one in DOCUMENT["servers"].values():
        assert [schema(way)["type"] for way in one["security"]] == ["userPassword"]
        binding = schema(one["bindings"])["mqtt"]
        assert (binding["cleanSession"], binding["keepAlive"]) == (False, MQTT_KEEPALIVE_S)
        will = binding["lastWill"]
        assert (will["topic"], will["qos"], will["retain"]) == (mqtt_topics.state(DEVICE), 1, True)


@pytest.mark.parametrize("kind", [*MESSAGES.values(), *NESTED])
def test_a_schema_has_the_fields_and_bounds_of_its_type(kind: type[Struct]) -> None:
    told = SCHEMAS[kind.__name__]
    about = inspect.type_info(kind)
    assert isinstance(about, inspect.StructType)
    head = ["version", "message"] if kind.__name__ in MESSAGES else []
    assert list(told["properties"]) == [*head, *(one.name for one in about.fields)]
    required = [one.name for one in about.fields if one.required]
    assert told["required"] == [*head, *required]
    if head:
        assert schema(told["properties"]["version"])["const"] == VERSION
        assert told["properties"]["message"]["const"] == kind.__name__
    for one in about.fields:
        shown = schema(told["properties"][one.name])
        if "const" not in shown:
            assert shape(shown) == expected(one.type), one.name


def shape(node: Mapping[str, Any]) -> Any:
    """Return what a schema says, without its words."""
    node = schema(node)
    if node.get("type") == "object":
        return "object"
    if "oneOf" in node:
        return [shape(one) for one in node["oneOf"]]
    bounds = {key: node[key] for key in node if key not in ("description", "items")}
    items = node.get("items")
    if items is None:
        return bounds
    inner = [shape(one) for one in items] if isinstance(items, list) else shape(items)
    return {**bounds, "items": inner}


def expected(kind: inspect.Type) -> Any:
    """Return what the schema of a type has to say."""
    match kind:
        case inspect.IntType(ge=low, le=high, lt=below):
            top = below - 1 if below is not None else high
            bounds = {"minimum": low, "maximum": top}
            return {"type": "integer"} | {
                key: one for key, one in bounds.items() if one is not None
            }
        case inspect.StrType(min_length=low, max_length=high):
            lengths = {"minLength": low, "maxLength": high}
            return {"type": "string"} | {
                key: one for key, one in lengths.items() if one is not None
            }
        case inspect.BytesType(min_length=low):
            exact = "^[0-9a-f]{16}$"
            return {"type": "string", "pattern": exact if low else "^([0-9a-f]{2}){0,8}$"}
        case inspect.BoolType():
            return {"type": "boolean"}
        case inspect.VarTupleType(item_type=inner, max_length=high):
            limit = {} if high is None else {"maxItems": high}
            return {"type": "array", **limit, "items": expected(inner)}
        case inspect.TupleType(item_types=inners):
            size = len(inners)
            pair = [expected(one) for one in inners]
            return {"type": "array", "minItems": size, "maxItems": size, "items": pair}
        case inspect.UnionType(types=either):
            return [expected(one) for one in either]
        case inspect.StructType():
            return "object"
        case _:
            raise AssertionError(kind)


@pytest.mark.parametrize("kind", NOTICES)
def test_a_notice_has_the_fields_that_are_sent(kind: type[Struct]) -> None:
    told = SCHEMAS[kind.__name__]
    assert set(told["properties"]) == set(kind.__struct_encode_fields__)
    about = inspect.type_info(kind)
    assert isinstance(about, inspect.StructType)
    required = {one.encode_name for one in about.fields if one.required}
    assert set(told["required"]) == required
    assert told["properties"]["v"]["const"] == wording.VERSION


def test_notices_kinds_and_their_parts_are_those_that_are_sent() -> None:
    told = {kind.__name__: SCHEMAS[kind.__name__]["properties"] for kind in NOTICES}
    assert set(told["MemberNotice"]["kind"]["enum"]) == {
        wording.CREDIT,
        wording.DEBIT,
        wording.REJECTION,
    }
    prefund = {wording.LOW_PREFUND, wording.RESTORED}
    assert set(told["PrefundNotice"]["kind"]["enum"]) == prefund
    assert told["WindowNotice"]["kind"]["const"] == wording.WINDOW_CLOSED
    assert set(told["MemberNotice"]["with"]["properties"]) == set(
        wording.Counterpart.__struct_fields__
    )
    assert set(told["MemberNotice"]["reason"]["properties"]) == set(
        wording.Reason.__struct_fields__
    )


@pytest.mark.parametrize(
    "path", sorted((GOLDEN / "agents").glob("*.json")), ids=lambda one: one.stem
)
def test_every_golden_message_fits_its_schema(path: Path) -> None:
    mirror = json.loads(path.read_text())["json"]
    name = mirror.get("message", "Presence")
    assert [one.message for one in validator(SCHEMAS[name]).iter_errors(mirror)] == []
    wrong = {**mirror, "version": VERSION + 1}
    assert list(validator(SCHEMAS[name]).iter_errors(wrong)) != []


def test_examples_are_golden_messages() -> None:
    for name, message in DOCUMENT["components"]["messages"].items():
        assert message["name"] == name
        for example in message.get("examples", ()):
            told = json.loads((GOLDEN / "agents" / f"{example['name']}.json").read_text())
            assert example["payload"] == told["json"]


def test_what_is_compact_says_so_and_what_is_json_does() -> None:
    compact = {*MESSAGES, "Presence"}
    for name, message in DOCUMENT["components"]["messages"].items():
        kind = "application/msgpack" if name in compact else "application/json"
        assert message["contentType"] == kind
