"""OCSF: every kind of entry becomes an event that the schema of OCSF 1.8 accepts, with nothing of the entry lost."""

import json
import types
from functools import cache
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from remit.decision_log.encoding import encode_body, seal_line
from remit.decision_log.entry import Body, DecisionMade, EntryBody, KillSet, OutcomeSeen, SessionJoined
from remit.decision_log.ocsf.classes import VERSION
from remit.decision_log.ocsf.events import events, write_ocsf
from remit.model.authorizer import ApprovalState, OutcomeStatus
from remit.model.errors import ErrorKind, RemitError
from remit.model.hints import NO_HINTS, Hints
from remit.model.identity import AgentStatus
from remit.model.request import ACTIONS, Tier
from tests.conftest import OpenStore
from tests.decision_log.building import NOON
from tests.runtime.world import CARL

KINDS: tuple[type[Body], ...] = get_args(EntryBody)
SCHEMA = get_ocsf_schema(VERSION)
"""The schema of OCSF (Apache-2.0), as the package `ocsf-json-schema` (MIT) carries it."""
WORDS = {
    "effect": ("permit", "deny"),
    "action": ACTIONS,
    "tier": tuple(Tier),
    "state": tuple(ApprovalState),
    "target": ("agent", "task", "task-type", "tool", "all"),
}


@cache
def validator(class_uid: int, profiles: tuple[str, ...]) -> Draft202012Validator:
    schemas = OcsfJsonSchemaEmbedded(SCHEMA)
    name = next(name for name, found in SCHEMA["classes"].items() if found["uid"] == class_uid)
    return Draft202012Validator(schemas.get_class_schema(name, list(profiles)))


def check(event: dict[str, Any]) -> None:
    """By the schema, and, what a JSON Schema does not say, that each caption is that of its number."""
    profiles = tuple(event["metadata"].get("profiles", ()))
    errors = [error.message for error in validator(event["class_uid"], profiles).iter_errors(event)]
    assert errors == [], (event, errors)
    found = next(one for one in SCHEMA["classes"].values() if one["uid"] == event["class_uid"])
    for name, sibling in (
        ("category_uid", "category_name"),
        ("class_uid", "class_name"),
        ("activity_id", "activity_name"),
        ("type_uid", "type_name"),
        ("severity_id", "severity"),
        ("status_id", "status"),
        ("action_id", "action"),
        ("disposition_id", "disposition"),
    ):
        if name in event and event[name] != 99:
            assert event[sibling] == found["attributes"][name]["enum"][str(event[name])]["caption"], name
    assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]


def values(name: str, hint: Any) -> st.SearchStrategy[Any]:
    """Any value of a field's type, often one of the words that it has in practice."""
    if get_origin(hint) in (Union, types.UnionType):
        return st.one_of(*[values(name, one) for one in get_args(hint)])
    if get_origin(hint) is tuple:
        return st.lists(st.text(max_size=9), max_size=3).map(tuple)
    if get_origin(hint) is dict:
        return st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=2)
    plain: dict[Any, st.SearchStrategy[Any]] = {
        str: st.text(max_size=12) | st.just("Agent::bot"),
        int: st.integers(0, 2**53),
        bool: st.booleans(),
        bytes: st.binary(max_size=20),
        type(None): st.none(),
        Hints: st.builds(Hints, *[st.none() | st.booleans()] * 4),
    }
    if name == "status":
        return st.sampled_from([*OutcomeStatus, *AgentStatus]).map(str) | plain[str]
    return st.sampled_from(WORDS[name]).map(str) | plain[str] if hint is str and name in WORDS else plain[hint]


def bodies(kind: type[Body]) -> st.SearchStrategy[Body]:
    hints = get_type_hints(kind)
    return st.builds(kind, **{name: values(name, hints[name]) for name in kind.__struct_fields__})


def lines(*made: Body) -> list[bytes]:
    return [seal_line(encode_body(body), "wri_1", n, NOON + n, "0" * 64) for n, body in enumerate(made)]  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__struct_config__.tag)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_every_entry_is_an_event_that_the_schema_accepts(kind: type[Body], data: st.DataObject) -> None:
    body = data.draw(bodies(kind))
    [line] = lines(body)
    [event] = events("example.com/log", [line])
    check(msgspec.json.decode(msgspec.json.encode(event)))
    assert event["time"] == NOON // 1000 and event["metadata"]["uid"] == "example.com/log/0"
    fields = json.loads(line)
    assert {name: fields[name] for name in event["unmapped"]} == event["unmapped"], "as it stands in the log"
    told = json.dumps({name: value for name, value in event.items() if name != "unmapped"})
    for name in fields.keys() - event["unmapped"].keys() - {"time"}:
        gone = [one for one in (fields[name] if type(fields[name]) is list else [fields[name]]) if one not in ("", None)]
        assert all(json.dumps(one).strip('"') in told for one in gone), f"{name} is neither mapped nor unmapped"


@settings(max_examples=30, deadline=None)
@given(decision=bodies(DecisionMade), outcome=bodies(OutcomeSeen))
def test_an_outcome_says_of_which_call_it_is(decision: Any, outcome: Any) -> None:
    made = msgspec.structs.replace(decision, effect="permit", id="dec_1")
    first, second, third = events("x", lines(made, *[msgspec.structs.replace(outcome, decision="dec_1")] * 2))
    for event in (first, second, third):
        check(event)
    assert [first[name] == second[name] for name in ("api", "actor", "activity_id")] == [True] * 3
    assert first["metadata"]["correlation_uid"] == second["metadata"]["correlation_uid"] == "dec_1"
    assert third["api"]["operation"] == "unknown", "the permit had its outcome"


def made(**fields: Any) -> Body:
    """A decision with these fields."""
    hints = get_type_hints(DecisionMade)
    empty = {str: "", int: 0, bool: True, bytes: b"", Hints: NO_HINTS}
    values = {
        name: empty.get(hints[name], () if get_origin(hints[name]) is tuple else None)
        for name in hints
        if name in DecisionMade.__struct_fields__
    }
    return DecisionMade(**{**values, **fields})


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"effect": "permit", "action": "file.read"}, ("Read", "Allowed", "Allowed", "Success", "Informational")),
        ({"effect": "deny", "action": "file.write", "tier": "critical"}, ("Update", "Denied", "Blocked", "Failure", "High")),
        ({"effect": "deny", "action": "tool.call", "tier": "low"}, ("tool.call", "Denied", "Blocked", "Failure", "Low")),
        ({"effect": "deny", "action": "file.delete", "enforced": False, "tier": "high"}, ("Delete", "Observed", "Logged", "Failure", "Medium")),
    ],
)  # fmt: skip
def test_what_a_decision_says(fields: dict[str, Any], found: tuple[str, ...]) -> None:
    [event] = events("x", lines(made(subject="Agent::bot", **fields)))
    names = ("activity_name", "action", "disposition", "status", "severity")
    assert tuple(event[name] for name in names) == found
    assert event["class_uid"] == 6003 and event["actor"]["user"]["name"] == "bot"


def test_a_kill_is_grave_and_what_fits_no_class_is_a_base_event() -> None:
    killed, joined = events("x", lines(KillSet("all", "", "ana", "it went astray"), SessionJoined("s", None, "c", "public", ())))
    assert (killed["activity_name"], killed["severity"], killed["entity"]["uid"]) == ("Suspend", "High", "everything")
    assert (joined["class_uid"], joined["activity_name"]) == (0, "session.joined") and joined["unmapped"]["child"] == "c"


def test_a_stores_log_as_events(open_store: OpenStore, tmp_path: Path) -> None:
    from remit.runtime.approving import answering
    from remit.runtime.tasks import close_task

    world = open_store()
    session = world.open_session()
    world.perform(session, "look", "seen")
    denied: Any = world.ask(session, "pay", {"to": "x"})
    answering.resolve(world.runtime, denied.approval, CARL, True, "fine").result()
    close_task(world.runtime, session.task or "", "ana").result()  # type: ignore[arg-type]
    file = tmp_path / "log.ocsf"
    log = world.store.log
    count = write_ocsf(file, "example.com/log", log.lines())
    found = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert count == len(found) == log.size()
    for event in found:
        check(event)
    assert [event["metadata"]["sequence"] for event in found] == list(range(count))
    calls = [event for event in found if event["class_uid"] == 6003]
    assert [event["status"] for event in calls] == ["Success", "Success", "Failure"]
    assert {event["resources"][0]["name"] for event in calls[:2]} == {"look"}
    with pytest.raises(RemitError) as caught:
        write_ocsf(file, "example.com/log", log.lines())
    assert caught.value.kind is ErrorKind.CONFLICT
    with pytest.raises(RemitError, match="cannot be read"):
        write_ocsf(tmp_path / "other", "x", [b"{}"])
    assert not (tmp_path / "other").exists()


def test_every_kind_stands_in_the_document_with_its_class() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "ocsf.md").read_text("utf-8")
    stated = {line.split("`")[1]: line.split("|")[2] for line in text.splitlines() if line.startswith("| `")}
    assert stated.keys() >= {kind.__struct_config__.tag for kind in KINDS}
    for kind in KINDS:
        tag = str(kind.__struct_config__.tag)
        assert any(f"({one['uid']})" in stated[tag] for one in SCHEMA["classes"].values()), tag
