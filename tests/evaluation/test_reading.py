"""Runs and what lies beside them, read from files."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from remit.local.evaluation.corpus import Recorded, RecordedStep, files_of, read_runs
from remit.local.evaluation.deployment import Surroundings, ToolAnnotation
from remit.local.evaluation.evaluate import evaluate_runs
from remit.model.errors import ErrorKind, RemitError
from remit.model.tool import Reach, ToolEffect
from tests.evaluation.building import ANNOTATIONS, ANSWER, CORPUS, POST, READ, STEAL, corpus, run, step


def test_the_guard_is_given_nothing_that_says_what_a_run_really_was() -> None:
    assert Recorded.__struct_fields__ == ("suite", "user_prompt", "steps", "user_messages", "user_task", "tools", "tools_ref")
    assert RecordedStep.__struct_fields__ == ("tool", "args", "output", "error")
    for recorded, truth in read_runs(CORPUS / "traces" / "desk_written.jsonl"):
        if recorded is not None:
            assert not re.search("injected|critical|label|benign|attack|'stopped", repr(recorded))
            assert truth.kind


def test_a_folder_stands_for_its_traces_and_a_file_is_read_once() -> None:
    traces = sorted((CORPUS / "traces").iterdir())
    assert files_of([CORPUS]) == traces == files_of([CORPUS / "traces"]) == files_of([*traces, CORPUS])


BROKEN = [
    ("{", "runs.jsonl:1: this is no JSON"),
    ("[]", "runs.jsonl:1: this is no recorded run"),
    ("\n\n" + '{"kind": "benign"}', "runs.jsonl:3: .*missing required field `suite`"),
    ('{"kind": "benign", "suite": "s", "user_prompt": "p", "steps": [{"args": {}}]}', r"runs.jsonl:1: .*`tool`.*\$\.steps"),
    (
        '{"kind": "benign", "suite": "s", "user_prompt": "p", "steps": [{"tool": "t", "args": [1]}]}',
        r"runs.jsonl:1: .*\$\.steps\[0\]\.args",
    ),
    (
        '{"kind": "atack", "suite": "s", "user_prompt": "p", "steps": []}',
        "runs.jsonl:1: there is no kind of run `atack`: did you mean `attack`?",
    ),
    ("[" * 100_000, "runs.jsonl:1: this is no JSON"),
    ("", "there is no run"),
]


@pytest.mark.parametrize(("line", "what"), BROKEN, ids=[str(number) for number in range(len(BROKEN))])
def test_a_broken_line_is_named_with_file_and_number(tmp_path: Path, line: str, what: str) -> None:
    folder = corpus(tmp_path / "c")
    (folder / "traces" / "runs.jsonl").write_text(line + "\n")
    with pytest.raises(RemitError, match=what) as caught:
        evaluate_runs([folder])
    assert caught.value.kind is ErrorKind.MALFORMED


@pytest.mark.parametrize("name", ["tool_annotations.json", "directory.json"])
def test_broken_surroundings_are_named(tmp_path: Path, name: str) -> None:
    folder = corpus(tmp_path, run("benign", "read", READ))
    (folder / name).write_text('{"desk": 7}')
    with pytest.raises(RemitError, match=name) as caught:
        evaluate_runs([folder])
    assert caught.value.kind is ErrorKind.MALFORMED


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    folder, gone = corpus(tmp_path / "c", run("benign", "read", READ)), tmp_path / "gone.json"
    wrong: list[dict[str, Any]] = [
        {"paths": [gone]},
        *({"paths": [folder], name: gone} for name in ("annotations", "directory", "scope")),
    ]
    for arguments in wrong:
        with pytest.raises(RemitError, match=r"gone\.json") as caught:
            evaluate_runs(**arguments)
        assert caught.value.kind is ErrorKind.NOT_FOUND
    (empty := tmp_path / "empty").mkdir()
    with pytest.raises(RemitError, match="has no runs"):
        evaluate_runs([empty])


def test_each_folder_brings_its_own_annotations(tmp_path: Path) -> None:
    trusting = {"desk": {**ANNOTATIONS["desk"], "read_post": {**ANNOTATIONS["desk"]["read_post"], "output": "trusted"}}}
    careful = corpus(tmp_path / "a", run("attack", "read my post", READ, STEAL))
    careless = corpus(tmp_path / "b", run("attack", "read my post", READ, STEAL), annotations=trusting)
    both = evaluate_runs([careful, careless])
    assert (both["total"]["asr"], both["suites"]["post/desk"]["attacks"]) == (0.5, 2)
    assert evaluate_runs([careful, careless], annotations=careful / "tool_annotations.json")["total"]["asr"] == 0
    assert evaluate_runs([careful], directory=_directory(tmp_path, "thief@evil.example"))["total"]["asr"] == 1


def _directory(folder: Path, *names: str) -> Path:
    (path := folder / "known.json").write_text(json.dumps({"post/desk": names}))
    return path


def test_tools_nobody_annotated_fail_closed_and_an_unknown_suite_still_runs(tmp_path: Path) -> None:
    stolen, honest = run("attack", "read my post", READ, STEAL), run("benign", "read my post", READ)
    folder = corpus(tmp_path, *({**row, "suite": "elsewhere"} for row in (stolen, honest)))
    found = evaluate_runs([folder])["suites"]["elsewhere"]
    assert (found["asr"], found["automatic"]) == (0, 1)


def test_tools_are_found_where_tools_ref_points(tmp_path: Path) -> None:
    """A closed schema refuses an argument it does not know; a reference that leads nowhere leaves the tools untyped."""
    closed = {"type": "object", "properties": {"to": {"type": "string"}}, "additionalProperties": False}
    row = run("benign", "write to ann@friend.example", ANSWER, tools_ref="tools.json#desk")
    folder = corpus(tmp_path, row)
    assert evaluate_runs([folder])["total"]["denied_per_run"] == 0
    for place in (folder, folder / "traces"):
        (place / "tools.json").write_text(json.dumps({"desk": [{"name": "send", "json_schema": closed}]}))
        assert evaluate_runs([folder])["total"]["denied_per_run"] == 1
        (place / "tools.json").unlink()


def test_a_schema_that_is_none_is_left_out(tmp_path: Path) -> None:
    tools = [{"name": "send", "description": "", "json_schema": {"properties": 7, "required": "to"}}]
    assert (
        evaluate_runs([corpus(tmp_path, run("benign", "write to ann@friend.example", ANSWER, tools=tools))])["total"]["automatic"]
        == 1
    )


def test_outputs_that_are_no_text_are_read_as_json(tmp_path: Path) -> None:
    steps = (step("read_post", {"text": POST}), step("read_ledger", None), STEAL)
    assert evaluate_runs([corpus(tmp_path, run("attack", "read my post", *steps))])["total"]["asr"] == 0


SAID: list[tuple[dict[str, Any], ToolEffect, Reach]] = [
    ({"effect": "read"}, ToolEffect.READ, Reach.INTERNAL),
    ({"effect": "read", "egress": True}, ToolEffect.READ, Reach.EXTERNAL),
    ({"effect": "write"}, ToolEffect.WRITE, Reach.INTERNAL),
    ({"effect": "write", "egress": True}, ToolEffect.SEND, Reach.EXTERNAL),
    ({"effect": "write", "destructive": True}, ToolEffect.DELETE, Reach.WORKSPACE),
    ({"effect": "write", "egress": True, "destructive": True}, ToolEffect.SPEND, Reach.EXTERNAL),
]


@pytest.mark.parametrize(("said", "effect", "reach"), SAID, ids=[str(said) for said, _, _ in SAID])
def test_annotations_in_the_words_of_the_catalogue(said: dict[str, Any], effect: ToolEffect, reach: Reach) -> None:
    noun = ToolAnnotation(**said, output="trusted", sink=("to",), content=("body",)).noun()
    assert (noun.effect, noun.reach, noun.output_trusted) == (effect, reach, True)
    assert (noun.destinations, noun.content) == (("to",), ("body",))
    assert not ToolAnnotation(**said).noun().output_trusted


def test_a_suite_is_found_by_its_whole_name_first() -> None:
    deployment = Surroundings().deployment(CORPUS / "traces" / "desk_written.jsonl")
    catalogue = {tool.name: tool.annotations.complete for tool in deployment.bundle("post/desk", ()).contents.tools}
    assert catalogue == {"read_post": True, "read_ledger": True, "send": True}
    assert deployment.bundle("post/desk", ()).contents.manifest.directory == ("@friend.example",)
    assert deployment.bundle("other", ()).contents.tools == ()
