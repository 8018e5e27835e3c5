"""`remit policy pin`: what changed in a server's tools is shown and, only if asked for, pinned; nothing else in the file changes."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from remit.cli import output, verbs
from remit.cli.main import app
from remit.model.definition import definition_of
from remit.model.errors import RemitError
from remit.pap.pinning import PinState, compared, listed, with_pins
from remit.pap.reading.folder import read_bundle
from remit.pap.validate import check
from tests.pap.bundles import SMALL, small, write

if not app.registered_commands:
    verbs.register(app)
SEND = {"name": "send", "description": "Sends a mail.", "inputSchema": {"type": "object"}}
LOOK = {"name": "look", "inputSchema": {"type": "object", "properties": {"url": {"type": "string"}}}}
DIGEST = definition_of(SEND).digest
TOOLS = f"""
# what the desk can do
- name: send   # mails
  definition: "{"0" * 64}"  # reviewed by ana
  description: Sends mails.
  annotations: {{effect: send, reach: external, destinations: [to]}}
- {{name: look, annotations: {{effect: read, reach: internal}}}}   # reads
- annotations: {{effect: read, reach: internal}}
  name: gone
"""


def run(folder: Path, tools: Any, *options: str) -> tuple[int, str]:
    file = folder.parent / "definitions.json"
    file.write_text(json.dumps(tools), "utf-8")
    result = CliRunner().invoke(app, ["policy", "pin", str(folder), str(file), *options])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "bundle", {**SMALL, "tools.yaml": TOOLS})


def test_new_changed_and_removed_tools_are_told_apart(folder: Path) -> None:
    new = {"name": "drop_all", "description": "Drops\u200b it."}
    standing = {
        pin.tool: pin.standing
        for pin in compared(read_bundle(folder).contents.tools, listed(json.dumps([SEND, LOOK, new]).encode()))
    }
    assert standing == {
        "send": PinState.CHANGED,
        "look": PinState.UNPINNED,
        "drop_all": PinState.NEW,
        "gone": PinState.REMOVED,
    }
    code, said = run(folder, {"tools": [SEND, LOOK, new]})
    assert code == output.NOT_SO and (folder / "tools.yaml").read_text("utf-8") == TOOLS
    for words in ('- "Sends mails."', '+ "Sends a mail."', "U+200B ZERO WIDTH SPACE", f'definition: "{DIGEST}"', "gone: removed"):
        assert words in said


def test_writing_pins_and_keeps_everything_else(folder: Path) -> None:
    code, said = run(folder, {"result": {"tools": [SEND, LOOK]}}, "--write")
    assert code == output.NOT_SO and "pinned 2 definitions" in said, "one is gone from the list"
    written = (folder / "tools.yaml").read_text("utf-8")
    assert written == TOOLS.replace("0" * 64, DIGEST).replace(
        "{name: look", f'{{definition: "{definition_of(LOOK).digest}", name: look'
    )
    assert [tool.definition for tool in read_bundle(folder).contents.tools][0] == DIGEST
    code, said = run(folder, [SEND, LOOK, {"name": "gone"}], "--write")
    assert (code, "3 as reviewed" in said) == (output.OK, True)
    assert run(folder, [SEND, LOOK, {"name": "gone"}])[0] == output.OK
    assert run(folder, [{**SEND, "description": "Sends a mail, and a copy."}, LOOK, {"name": "gone"}])[0] == output.NOT_SO


def test_what_nobody_sees_is_not_pinned_unasked(folder: Path) -> None:
    sly = {**SEND, "description": "Sends a mail.\U000e0041"}
    with pytest.raises(RemitError, match="--hidden"):
        run(folder, [sly, LOOK], "--write")
    assert (folder / "tools.yaml").read_text("utf-8") == TOOLS
    run(folder, [sly, LOOK], "--write", "--hidden")
    assert definition_of(sly).digest in (folder / "tools.yaml").read_text("utf-8")


def test_a_new_tool_comes_with_a_proposal_and_a_pin_that_is_none_is_told(folder: Path) -> None:
    new = {"name": "purge", "inputSchema": {"properties": {"table": {"type": "string"}}}}
    _, said = run(folder, [SEND, new, {"name": "odd", "inputSchema": {"required": 7}}])
    assert "annotations: {effect: delete, reach: external, destinations: [table]}" in said
    short = small(tools="- {name: look, definition: abc, annotations: {effect: read, reach: internal}}\n")
    assert "tool-definition" in [problem.code for problem in check(short)]


@pytest.mark.parametrize(
    "layout",
    [
        "- {name: a, definition: old}\n- {name: b}\n",
        "- {definition: 'old', name: a}\n-   name:   b\n    # more\n    groups: [x]\n",
        '[{"name": "a", "definition": "old"}, {"name": "b"}]\n',
        "- name: a\n  definition:   old # x\n-\n  name: b\n  groups: []\n",
        "- groups: [x]\n  name: >-\n    a\n  definition: old\n- name: b",
        "- name: a\n  definition: |-\n    old\n- name: b\n",
        "- {name: a,\n   definition: old}\n- {groups: [name], name: b}\n",
        "- {description: 'name: b', definition: old, name: a}\n- {description: 'x, name: y', name: b}\n",
    ],
)
def test_it_is_written_right_or_not_at_all(layout: str) -> None:
    before = yaml.safe_load(layout)
    written = with_pins(layout, {"a": "1" * 64, "b": "2" * 64})
    if written is None:
        assert "|-" in layout or "'x, name: y'" in layout or '"name"' in layout
        return
    wanted = [{**tool, "definition": ("1" if tool["name"] == "a" else "2") * 64} for tool in before]
    assert yaml.safe_load(written) == wanted


@given(st.lists(st.tuples(st.sampled_from("abc"), st.text("{}[],:'\"# \nxdefinition", max_size=20)), max_size=3), st.booleans())
def test_no_description_leads_it_astray(tools: list[tuple[str, str]], pinned: bool) -> None:
    entries = [{"description": text, "name": name, **({"definition": "0" * 64} if pinned else {})} for name, text in tools]
    if not entries:
        return
    text = yaml.safe_dump(entries, sort_keys=False)
    written = with_pins(text, {"a": "1" * 64})
    if written is not None:
        wanted = [{**entry, "definition": "1" * 64} if entry["name"] == "a" else entry for entry in entries]
        assert yaml.safe_load(written) == wanted


@pytest.mark.parametrize(
    "wrong",
    ["", "{}", "7", '{"tools": {}}', '{"tools": [7]}', '{"tools": [], "nextCursor": "x"}', '[{"name": "a"}, {"name": "a"}]',
     '[{"name": "a", "name": "b"}]', '[{"name": "a", "annotations": {"readOnlyHint": 1}}]', "\ud800"],
)  # fmt: skip
def test_a_list_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(RemitError):
        listed(wrong.encode("utf-8", "surrogatepass"))
