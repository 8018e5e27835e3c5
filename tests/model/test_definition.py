"""The canonical form of a definition: RFC 8785, whatever order it comes in; anything that a model is told changes its digest."""

import copy
import json
import random
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from remit.model.characters import hidden
from remit.model.definition import MAX_BYTES, Definition, changes, definition_of, is_digest
from remit.model.errors import ErrorKind, RemitError
from remit.model.hints import Hints

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=8)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=4)
TOOLS = st.fixed_dictionaries(
    {"name": st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)},
    optional={
        "title": NAMES,
        "description": NAMES,
        "inputSchema": OBJECTS,
        "outputSchema": OBJECTS,
        "annotations": st.fixed_dictionaries({}, optional={"title": NAMES, "readOnlyHint": st.booleans(), "x": VALUES}),
    },
)
MEMBERS = ("name", "title", "description", "inputSchema", "outputSchema", "annotations")
SEND = {
    "name": "send",
    "description": "Sends a mail.",
    "inputSchema": {"type": "object", "properties": {"to": {"type": "string"}, "n": {"type": "number", "default": 1.5}}},
    "annotations": {"destructiveHint": False},
}


def shuffled(value: Any, order: random.Random) -> Any:
    if isinstance(value, dict):
        names = list(value)
        order.shuffle(names)
        return {name: shuffled(value[name], order) for name in names}
    return [shuffled(item, order) for item in value] if isinstance(value, list) else value


@given(TOOLS, st.randoms())
def test_it_is_rfc_8785_and_the_order_of_names_does_not_matter(tool: dict[str, Any], order: random.Random) -> None:
    found = definition_of(tool)
    assert found.canonical == rfc8785.dumps({name: value for name, value in tool.items() if value is not None})
    assert definition_of(shuffled(tool, order)).digest == found.digest and is_digest(found.digest)
    assert definition_of({**tool, "_meta": {"x": 1}, "icons": []}).digest == found.digest
    assert definition_of(json.loads(found.canonical)).digest == found.digest


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


@given(TOOLS, st.data())
def test_any_change_of_it_changes_the_digest(tool: dict[str, Any], data: st.DataObject) -> None:
    before = definition_of(tool)
    where = data.draw(st.sampled_from([place for place in places(tool) if len(place) > 1] or [("description",)]))
    changed = copy.deepcopy(tool)
    here = changed
    for step in where[:-1]:
        here = here[step]
    here[where[-1]] = data.draw(st.just("more") | st.just(["more"])) if len(where) > 1 else tool.get("description", "") + "more"
    try:
        after = definition_of(changed)
    except RemitError:
        return  # a hint that is none
    same = rfc8785.dumps(changed) == rfc8785.dumps(tool)
    assert (after.digest == before.digest) is same
    assert bool(changes(before.members, after.members)) is not same


@pytest.mark.parametrize("member", MEMBERS)
def test_every_member_counts(member: str) -> None:
    whole = {**SEND, "title": "Send", "outputSchema": {"type": "object"}}
    without = {name: value for name, value in whole.items() if name != member}
    if member != "name":
        assert definition_of(without).digest != definition_of(whole).digest == definition_of({**whole}).digest
    assert definition_of({**whole, member: {} if isinstance(whole[member], dict) else "x"}).digest != definition_of(whole).digest


def test_it_is_the_same_for_ever() -> None:
    found = definition_of(SEND)
    assert found.canonical == (
        b'{"annotations":{"destructiveHint":false},"description":"Sends a mail.","inputSchema":{"properties":'
        b'{"n":{"default":1.5,"type":"number"},"to":{"type":"string"}},"type":"object"},"name":"send"}'
    )
    assert found.digest == "74b1d7006f35f86cd07539dace9d803dc0b4377944a767df4e5b245c32f4484b"
    assert (found.name, found.hints) == ("send", Hints(destructive=False))


@pytest.mark.parametrize(
    "wrong",
    [
        None, [], "send", {}, {"name": ""}, {"name": 7}, {"name": "x", "description": 7}, {"name": "x", "inputSchema": "y"},
        {"name": "x", "annotations": []}, {"name": "x", "annotations": {"destructiveHint": "no"}}, {"name": "\ud800"},
        {"name": "x", "inputSchema": {"default": float("nan")}}, {"name": "x", "inputSchema": {"default": float("-inf")}},
        {"name": "x", "inputSchema": {"default": object()}}, {"name": "x", "description": "x" * MAX_BYTES},
        {"name": "x", "inputSchema": {"\udfff": 1}},
    ],
)  # fmt: skip
def test_what_is_no_definition_is_refused(wrong: Any) -> None:
    with pytest.raises(RemitError) as caught:
        definition_of(wrong)
    assert caught.value.kind is ErrorKind.MALFORMED and len(caught.value.message) < 400


def test_one_without_a_bottom_is_refused() -> None:
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    with pytest.raises(RemitError):
        definition_of({"name": "x", "inputSchema": deep})


def test_what_differs_and_what_nobody_sees() -> None:
    other = {
        **SEND,
        "description": "Sends a mail.\u200b\u202e",
        "inputSchema": {"type": "object", "properties": {"t\u200bo": {}}},
    }
    found = definition_of(other)
    places_ = [change.place for change in changes(definition_of(SEND).members, found.members)]
    assert places_ == ["description", "inputSchema.properties.n", "inputSchema.properties.to", "inputSchema.properties.t\u200bo"]
    unseen = list(hidden(found.members))
    assert unseen[0] == "description: U+200B ZERO WIDTH SPACE (1)" and "U+202E RIGHT-TO-LEFT OVERRIDE" in unseen[1]
    assert "a name in inputSchema.properties: U+200B" in unseen[2] and len(unseen) == 3
    for plain in ("Grüße, 你好 — “x”\n\t", "naïve é"):
        assert not list(hidden(plain))
    for char in "\U000e0041\ufeff\u2066\u3164\xad\x1b\ue000\u2028":
        assert len(list(hidden({"a": [f"x{char}y"]}))) == 1, ascii(char)


def test_an_empty_description_is_not_none() -> None:
    assert isinstance(definition_of({"name": "x"}), Definition)
    assert definition_of({"name": "x"}).digest != definition_of({"name": "x", "description": ""}).digest
    assert definition_of({"name": "x"}).digest == definition_of({"name": "x", "description": None}).digest
