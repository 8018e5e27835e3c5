"""`remit policy check` proposes annotations for tools that have none: lines that a bundle can be written with, kept at their worst."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remit.model.tool import Annotations, Reach, Tool, ToolEffect
from remit.pap.annotating import MAX_ARGUMENTS, as_line, proposed
from remit.pap.reading.folder import bundle_of
from remit.pap.validate import check
from tests.pap.bundles import files, small

SEND: dict[str, Any] = {
    "type": "object",
    "properties": {
        "to": {"type": "array", "items": {"type": "string"}}, "cc": {"type": "string", "format": "email"}, "body": {"type": "string"},
        "when": {"type": "string", "format": "date-time"}, "urgent": {"type": "boolean"}, "kind": {"enum": ["a", "b"]},
        "odd one": {"type": "string"}, "count": {"type": "integer"}, "order": {"type": "integer"},
    },
}  # fmt: skip


def test_a_proposal_by_name_description_and_schema() -> None:
    found = proposed(Tool("send_mail", description="Sends a mail.", schema=SEND))
    assert found is not None
    assert as_line(found) == (
        'annotations: {effect: send, reach: external, destinations: [to, cc, "odd one", order], content: [body, when, urgent, kind, count]}'
    )


@pytest.mark.parametrize(
    ("name", "fields", "effect", "reach", "destinations"),
    [
        ("get_page", {"url": {"type": "string"}}, ToolEffect.READ, Reach.EXTERNAL, ("url",)),
        ("get_page", {"where": {"type": "string", "format": "uri"}}, ToolEffect.READ, Reach.EXTERNAL, ("where",)),
        ("get_file", {"path": {"type": "string"}}, ToolEffect.READ, Reach.INTERNAL, ()),
        ("write_file", {"path": {"type": "string"}, "content": {"type": "string"}}, ToolEffect.WRITE, Reach.INTERNAL, ("path",)),
        ("run_script", {"text": {"type": "string"}}, ToolEffect.EXECUTE, Reach.EXTERNAL, ("text",)),
        ("pay", {"to": {"type": "string"}, "amount": {"type": "number"}}, ToolEffect.SPEND, Reach.EXTERNAL, ("to",)),
        ("send", {"body": {"type": "string", "format": "uri"}}, ToolEffect.SEND, Reach.EXTERNAL, ("body",)),
        ("send", {"body": {}}, ToolEffect.SEND, Reach.EXTERNAL, ("body",)),
    ],
)
def test_what_is_not_understood_is_a_destination(
    name: str, fields: dict[str, Any], effect: ToolEffect, reach: Reach, destinations: tuple[str, ...]
) -> None:
    found = proposed(Tool(name, schema={"type": "object", "properties": fields}))
    assert found is not None and (found.effect, found.reach, found.destinations) == (effect, reach, destinations)


def test_what_the_catalogue_says_is_kept_and_nothing_is_made_up() -> None:
    said = Annotations(effect=ToolEffect.WRITE, output_trusted=True, destinations=("a",))
    found = proposed(Tool("delete_it", said, schema={"properties": {"b": {"type": "string"}}}))
    assert found is not None and (found.effect, found.destinations, found.output_trusted) == (ToolEffect.WRITE, ("a",), True)
    assert proposed(Tool("weather")) is None
    many = {f"a{n}": {"type": "string"} for n in range(MAX_ARGUMENTS + 1)}
    found = proposed(Tool("send", schema={"properties": many}))
    assert found is not None and not found.destinations and not found.content


def test_check_proposes_and_says_that_it_is_a_proposal() -> None:
    tools = "- {name: delete_file, schema: {type: object, properties: {path: {type: string}}}}\n- {name: weather}\n"
    first, second = [problem for problem in check(small(tools=tools)) if problem.code == "unannotated"]
    assert "is taken as critical" in first.message and "to be read before it is used" in first.hint
    line = "annotations: {effect: delete, reach: internal, destinations: [path]}"
    assert f"`{line}`" in first.hint
    assert "is taken as high" in second.message and "neither its name nor its description says" in second.hint
    written = tools.replace("{name: delete_file,", "{name: delete_file, " + line + ",")
    assert [p.code for p in check(bundle_of(files(tools=written))) if "delete_file" in p.message] == []


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),
    st.text(max_size=20),
    st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6), st.sampled_from([{}, {"type": "string"}, True]), max_size=3),
)  # fmt: skip
def test_whatever_a_tool_is_called(name: str, description: str, fields: dict[str, Any]) -> None:
    found = proposed(Tool(f"send mail {name}", description=description, schema={"type": "object", "properties": fields}))
    assert found is not None and found.complete and "\n" not in as_line(found)
