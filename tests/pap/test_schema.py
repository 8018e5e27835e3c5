"""The schema says what policies can read, no more and no less than a decision gives them."""

import json
from typing import Any

import cedarpy
import msgspec
import pytest

from remit.model.decision import Steering
from remit.model.errors import RemitError
from remit.model.identity import Agent, AgentId, EntityRef
from remit.model.labels import PUBLIC_TRUSTED
from remit.model.request import ACTIONS, TOOL_CALL, EvaluationRequest, Tier
from remit.model.request import RESOURCE_TYPES as TYPE_OF_ACTION
from remit.model.task import Task, TaskState
from remit.model.tool import Tool
from remit.model.values import freeze
from remit.pap.bundle import compile_bundle
from remit.pap.running import BEGIN
from remit.pap.schema import parse, schema_text, vocabulary
from remit.pdp.arguments import ArgumentTypes, argument_types
from remit.pdp.cedar.reads import Node
from remit.pdp.context import Situation, context_of
from remit.pdp.entities import principal_document, resource_document
from tests.pap.bundles import small

ARGUMENTS: dict[str, dict[str, Any]] = {
    "tool.call": {"to": "a", "size": 3, "price": 1.5},
    "file.read": {"path": "/a", "size": 3},
    "file.write": {"path": "/a"},
    "file.delete": {"path": "/a"},
    "net.request": {"url": "https://a/", "method": "GET", "size": 1},
    "model.invoke": {"model": "m", "tokens": 1},
    "agent.delegate": {"purpose": "p"},
    "session.declassify": {"why": "published", "confidentiality": "public", "sources": ["read"], "by": "ana"},
}
IDS = {"Tool": "send", "File": "/a/b", "Host": "a.example", "Model": "m", "Agent": "bot", "Session": "ses_1"}
BUNDLE = small()
COMPILED = compile_bundle(BUNDLE)
AGENT = Agent(AgentId("bot"), "olga", "tests", ("g",))


def situation(action: str, with_task: bool = True) -> Situation:
    """Everything a context can be made from."""
    resource = EntityRef(TYPE_OF_ACTION[action], IDS[TYPE_OF_ACTION[action]])
    request = EvaluationRequest(AGENT.ref, action, resource, freeze(ARGUMENTS[action]))
    task = TaskState(Task("tsk_1", AGENT.id, "p", "ana", "ben", BEGIN, BEGIN + 1))  # type: ignore[arg-type]
    return Situation(
        COMPILED,
        request,
        Tier.HIGH,
        BEGIN,
        (task,) if with_task else (),
        None,
        PUBLIC_TRUSTED,
        COMPILED.tools.get(resource.id) if action == TOOL_CALL else None,
        (Steering("to", "a", "nowhere"),),
    )


def entity(document: object) -> dict[str, object]:
    """An entity as Cedar reads it."""
    built = msgspec.to_builtins(document)
    return {"uid": built["ref"], "attrs": built["attributes"], "parents": built["parents"]}


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("with_task", [True, False])
def test_what_a_decision_gives_fits_the_schema(action: str, with_task: bool) -> None:
    known = situation(action, with_task)
    context = context_of(Node(True), known).read.decode()
    names = {
        name: json.loads(msgspec.json.encode(ref))
        for name, ref in {"principal": AGENT.ref, "resource": known.request.resource}.items()
    }
    request = {**names, "action": {"type": "Action", "id": action}, "context": json.loads(context)}
    documents = [entity(principal_document(AGENT)), entity(resource_document(COMPILED, known.request))]
    if action == "agent.delegate":
        documents = documents[:1]
    answer = cedarpy.is_authorized(
        request,
        "permit (principal, action, resource);",
        json.dumps(documents),
        schema=schema_text("", "{to: String, size?: Long, price?: decimal}"),
    )
    assert answer.allowed, answer.diagnostics.errors


def test_a_context_that_does_not_fit_would_be_noticed() -> None:
    request = {"principal": 'Agent::"a"', "action": 'Action::"file.read"', "resource": 'File::"/a"', "context": {}}
    answer = cedarpy.is_authorized(request, "permit (principal, action, resource);", "[]", schema=schema_text(""))
    assert not answer.allowed and answer.diagnostics.errors


def test_the_vocabulary_is_ours_and_the_bundles() -> None:
    own = """
      entity User in [Group] { department?: String };
      entity Record, Note in [Record] = { status: String };
      namespace Acme { entity Person; action zip appliesTo { principal: [Person], resource: [Person] }; }
      action "read", "write" in ["any", "records"] appliesTo { principal: [Agent], resource: [Record, Acme::Person] };
      action records in ["any"];
      // entity Group;
    """
    names = vocabulary(parse(own))
    assert names.actions["read"] == ("any", "records")
    assert names.actions["file.read"] == ("file", "any")
    assert set(names.actions) == {*ACTIONS, "read", "write"}
    assert names.groups == {"any": (), "file": ("any",), "records": ("any",)}
    assert {"Record", "Note", "Acme::Person", "User", "Agent", "Group"} <= names.types
    assert "entity User in [Group];" not in schema_text(own) and "entity Group in [Group];" in schema_text(own)


def test_what_is_ours_cannot_be_redeclared() -> None:
    for own in ("entity Tool;", 'action "tool.call";', "type TaskContext = {};"):
        with pytest.raises(RemitError):
            parse(own)


def test_arguments_are_those_of_the_tool() -> None:
    tool = Tool(
        "t", schema={"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}}
    )
    text = str(parse(BUNDLE.contents.schema, argument_types(tool.schema).cedar_type()))
    assert "a: Long" in text and "b?: String" in text
    assert "b?: String" not in str(parse(BUNDLE.contents.schema, ArgumentTypes().cedar_type()))
