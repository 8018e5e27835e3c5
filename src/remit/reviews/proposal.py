"""From what honest tasks did to the bundle that permits that and nothing else: what the active one forbids stays forbidden."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import ROUND_CEILING, Decimal
from typing import Any

import msgspec

from remit.model.identity import EntityRef
from remit.model.request import TOOL_CALL
from remit.model.tool import Tool, ToolEffect
from remit.pap.bundle import compile_bundle
from remit.pap.cases import Fixture
from remit.pap.contents import Bundle, SourceFile
from remit.pap.extend import extended
from remit.pap.problems import BundleError
from remit.pap.reading.cases import read_cases
from remit.pap.reading.files import CASES, LINKS_FILE, MANIFEST_FILE, POLICIES, TOOLS_FILE
from remit.pap.reading.folder import bundle_of
from remit.pap.running import run_cases
from remit.pdp.cedar.policies import Policy
from remit.pdp.compiled import CompiledTool
from remit.pdp.entities import folder_of
from remit.reviews.usage import Place, Usage, Use

MANY = 4
"""So many files of one folder are permitted as the folder."""
FORBIDS, PROPOSED, PROPOSED_CASES = f"{POLICIES}/forbidden.cedar", f"{POLICIES}/proposed.cedar", f"{CASES}/proposed.yaml"
ANYTHING = '@id("anything") permit (principal, action, resource);\n'
STEERED = """
@id("steered") @requestable("one") @description("untrusted data chose where this goes, or what it acts on")
forbid (principal, action, resource) when { !context.flow.steered.isEmpty() } unless { context.approval.granted };
"""
_EMPTY_LIST = re.compile(r"(?m)^\[\]\s*$")
_NOT_ID = re.compile("[^A-Za-z0-9_.]+")


class Proposal(msgspec.Struct, frozen=True):
    """A bundle as files, with as many cases as pass on it; `dropped` counts those that need what a case cannot tell."""

    files: tuple[SourceFile, ...]
    permits: int
    cases: int
    dropped: int


def floor_of(base: Bundle) -> Bundle:
    """The base with its forbids alone, and everything else permitted: what no proposal may go below."""
    return bundle_of(_files(base, [SourceFile(PROPOSED, ANYTHING)]))


def propose(base: Bundle, usage: Usage) -> Proposal:
    """The base with its permits replaced by what was used. Raises `BundleError` if what was used cannot be written as a bundle."""
    base = _with_tools(base, (place.resource.id for place in usage.uses if place.action == TOOL_CALL))
    tools = compile_bundle(base).tools
    permits = _named(_permits(usage.uses, tools))
    head = "// What honest tasks did, and nothing else. Read it, name it better, take away what should not have been.\n\n"
    proposed = SourceFile(PROPOSED, head + "\n".join(permits))
    cases = [case for _, case in sorted(_cases(usage.uses))]
    kept = _passing(_files(base, [proposed]), cases)
    text = "# One call of each kind that was honest, and what none of these tasks did.\n\n" + "".join(kept)
    files = _files(base, [proposed, *([SourceFile(PROPOSED_CASES, text)] if kept else [])])
    bundle_of(files)
    return Proposal(tuple(files), len(permits), len(kept), len(cases) - len(kept))


def _named(statements: Iterable[tuple[str, str]]) -> list[str]:
    """Statements under their names; of those whose names are spelled alike the later are numbered."""
    count: Counter[str] = Counter()
    written = []
    for name, text in statements:
        plain = _NOT_ID.sub("-", name).strip("-") or "use"
        count[plain] += 1
        written.append(f"@id({_quoted(plain if count[plain] == 1 else f'{plain}.{count[plain]}')})\n{text}")
    return written


def _files(base: Bundle, more: Iterable[SourceFile]) -> list[SourceFile]:
    """The files of the base without its permits and its cases, and these."""
    gone = (f"{POLICIES}/", f"{CASES}/")
    files = {file.path: file for file in base.files if not file.path.startswith(gone) and file.path != LINKS_FILE}
    forbids = _forbids(base)
    files[FORBIDS] = SourceFile(FORBIDS, "\n\n".join(_text(policy) for policy in forbids) + "\n")
    if not any(policy.reads.context.covers("flow", "steered") for policy in forbids):
        files[FORBIDS] = SourceFile(FORBIDS, files[FORBIDS].text + STEERED)
    manifest = files[MANIFEST_FILE]
    files[MANIFEST_FILE] = SourceFile(MANIFEST_FILE, re.sub(r"(?m)^mode:.*\n?", "", manifest.text))
    files.update((file.path, file) for file in more)
    return [files[path] for path in sorted(files)]


def _with_tools(base: Bundle, used: Iterable[str]) -> Bundle:
    """The base with tools in its catalogue that were used and are not in it, described by nothing: taken at their worst."""
    known = {tool.name for tool in base.contents.tools}
    new = [Tool(name) for name in sorted(set(used) - known)]
    if not new:
        return base
    before = next((file.text for file in base.files if file.path == TOOLS_FILE), "")
    lines = "".join(f"- {json.dumps({'name': tool.name})}\n" for tool in new)
    text = f"{_EMPTY_LIST.sub('', before).rstrip()}\n\n# Used, and not described yet: taken at their worst.\n{lines}".lstrip()
    others = [file for file in base.files if file.path != TOOLS_FILE]
    try:
        return bundle_of([*others, SourceFile(TOOLS_FILE, text)])
    except BundleError:  # a catalogue in another style of YAML
        return extended(base, Fixture(tools=tuple(new)))


def _forbids(base: Bundle) -> list[Policy]:
    return [policy for policy in base.policies if policy.effect == "forbid" and not policy.is_template]


def _text(policy: Policy) -> str:
    """A statement under its own id, which those without one have from their place in a file."""
    return policy.text if "id" in policy.annotations else f"@id({_quoted(policy.id)})\n{policy.text}"


def _permits(uses: Mapping[Place, Use], tools: Mapping[str, CompiledTool]) -> Iterator[tuple[str, str]]:
    """Name and text of one statement for each type of task and tool; of other resources one for each set of them."""
    others: dict[tuple[str | None, str], list[tuple[Place, Use]]] = defaultdict(list)
    for place in sorted(uses, key=lambda place: (place.type or "", place.type is None, place.action, place.resource)):
        if place.action == TOOL_CALL:
            yield _tool(place, uses[place], tools.get(place.resource.id))
        else:
            others[place.type, place.action].append((place, uses[place]))
    for (kind, action), found in others.items():
        yield from _resources(kind, action, found)


def _tool(place: Place, use: Use, tool: CompiledTool | None) -> tuple[str, str]:
    conditions = [_within(place.type), *_numbers(use, tool)]
    return _statement(
        f"{_kind(place.type)}-{place.resource.id}", _told(place, use), place.action, f"resource == {place.resource}", conditions
    )


def _numbers(use: Use, tool: CompiledTool | None) -> Iterator[str]:
    """Bounds on numbers of tools that do more than read: nothing greater than what was."""
    if tool is None or tool.tool.annotations.effect is ToolEffect.READ:
        return
    for name, greatest in sorted(use.greatest.items()):
        expected = tool.types.root.fields.get(name)
        reached = f"context.args[{_quoted(name)}]"
        if expected is not None and expected.kind == "integer" and type(greatest) is int:
            yield f"(!(context.args has {_quoted(name)}) || {reached} <= {greatest})"
        elif expected is not None and expected.kind == "number":
            bound = Decimal(str(greatest)).quantize(Decimal("0.0001"), ROUND_CEILING)
            yield f'(!(context.args has {_quoted(name)}) || {reached}.lessThanOrEqual(decimal("{bound:f}")))'


def _resources(kind: str | None, action: str, found: Sequence[tuple[Place, Use]]) -> Iterator[tuple[str, str]]:
    folders: dict[EntityRef, list[tuple[Place, Use]]] = defaultdict(list)
    for place, use in found:
        folders[folder_of(place.resource) or place.resource].append((place, use))
    alone: list[tuple[Place, Use]] = []
    for folder, inside in folders.items():
        if len(inside) < MANY or folder == inside[0][0].resource:
            alone += inside
            continue
        count, tasks = sum(use.count for _, use in inside), len(set[str]().union(*(use.tasks for _, use in inside)))
        what = f"{_tasks(kind)}: {action} on {len(inside)} of {folder.type} {folder.id}, {_often(count, tasks)}"
        yield _statement(f"{_kind(kind)}-{action}-{folder.id}", what, action, f"resource in {folder}", [_within(kind)])
    for place, use in alone:
        name = f"{_kind(kind)}-{action}-{place.resource.id}"
        yield _statement(name, _told(place, use), action, f"resource == {place.resource}", [_within(kind)])


def _statement(name: str, description: str, action: str, resource: str, conditions: Sequence[str]) -> tuple[str, str]:
    return name, (
        f"@description({_quoted(description)})\n"
        f"permit (principal, action == Action::{_quoted(action)}, {resource})\nwhen {{ {' && '.join(conditions)} }};\n"
    )


def _told(place: Place, use: Use) -> str:
    return f"{_tasks(place.type)}: {place.action} on {place.resource.id}, {_often(use.count, len(use.tasks))}"


def _often(count: int, tasks: int) -> str:
    return f"{'once' if count == 1 else f'{count} times'} in {tasks} task{'' if tasks == 1 else 's'}"


def _tasks(kind: str | None) -> str:
    return "without a task" if kind is None else f"tasks of type {kind}" if kind else "tasks without a type"


def _kind(kind: str | None) -> str:
    return "no-task" if kind is None else kind or "untyped"


def _within(kind: str | None) -> str:
    return "!(context has task)" if kind is None else f"context has task && context.task.type == {_quoted(kind)}"


def _quoted(text: str) -> str:
    """A Cedar string literal."""
    plain = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\u{{{ord(c):x}}}" for c in plain) + '"'


def _cases(uses: Mapping[Place, Use]) -> Iterator[tuple[tuple[Any, ...], str]]:
    """One case for each use; and for each type of task one with a tool that only others used."""
    types = {place.type for place in uses}
    for place, use in uses.items():
        yield (0, str(place)), _case(f"{_kind(place.type)}: {place.action} on {place.resource.id}", place, use, "permit")
    tools = sorted({place.resource.id for place in uses if place.action == TOOL_CALL})
    for kind in types:
        mine = {place.resource.id for place in uses if place.type == kind and place.action == TOOL_CALL}
        one = next((place for place in sorted(uses, key=str) if place.type == kind), None)
        other = next((tool for tool in tools if tool not in mine), "a-tool-that-nobody-used")
        if one is not None:
            denied = Place(kind, TOOL_CALL, EntityRef("Tool", other))
            theirs = next((found for place, found in uses.items() if place.resource == denied.resource), None)
            example = msgspec.structs.replace(uses[one].example, arguments=theirs.example.arguments if theirs else {})
            yield (1, str(kind)), _case(f"{_kind(kind)}: never {other}", denied, Use(example), "deny")


def _case(name: str, place: Place, use: Use, expect: str) -> str:
    example = use.example
    step: dict[str, Any] = {"arguments": example.arguments, "expect": expect}
    if place.action == TOOL_CALL:
        step = {"call": place.resource.id, **step}
    else:
        step = {"action": place.action, "resource": str(place.resource), "expect": expect}
        step |= {"arguments": example.arguments} if example.arguments else {}
    case: dict[str, Any] = {"name": name, "agent": {"id": example.agent.id, "groups": list(example.agent.groups)}}
    if place.type is not None:
        case["task"] = {"purpose": example.purpose, **({"type": place.type} if place.type else {})}
    return "- " + json.dumps({**case, "steps": [step]}) + "\n"


def _passing(files: Sequence[SourceFile], cases: Sequence[str]) -> list[str]:
    """The cases that pass: some calls were honest for what the task had seen before, which one step cannot tell."""
    kept = []
    for case in cases:
        bundle = bundle_of([*files, SourceFile(PROPOSED_CASES, case)])
        if all(result.passed for result in run_cases(bundle, read_cases(bundle))):
            kept.append(case)
    return kept
