"""Cases read from YAML: what stands there, turned into the nouns, every fault at its line."""

from collections.abc import Iterator
from typing import Any

import msgspec

from remit.model.hints import NO_HINTS, Hints
from remit.model.identity import AGENT, EntityRef
from remit.model.request import RESOURCE_TYPES, TOOL_CALL
from remit.model.task import Scope
from remit.model.tool import Tool
from remit.pap.cases import (
    Begin,
    Case,
    CaseAgent,
    CaseTask,
    Expectation,
    ExpectedEffect,
    Fixture,
    Step,
)
from remit.pap.contents import Bundle
from remit.pap.problems import BundleError, Problem, error, in_order
from remit.pap.reading.documents import Document, read_document
from remit.pap.reading.files import CASES
from remit.pap.reading.shapes import read_as, read_list
from remit.pap.reading.written import BudgetsEntry, Malformed, entity_ref
from remit.pdp.compiled import ResourceClass
from remit.pdp.parties import CONTEXT, RESOURCE, SUBJECT

_NOBODY = CaseAgent("nobody")
MAX_AFTER = 366 * 24 * 3600


class TaskEntry(msgspec.Struct, frozen=True):
    """A task as it is written in a case; see `CaseTask`."""

    purpose: str
    type: str = ""
    on_behalf_of: str = "user"
    opener: str = "user"
    scope: Scope = Scope()
    budgets: BudgetsEntry = BudgetsEntry()
    seconds: int | None = None
    purpose_trusted: bool = True
    parent: "TaskEntry | None" = None

    def noun(self) -> CaseTask:
        """The task. Raises `Malformed`."""
        parent = self.parent.noun() if self.parent else None
        return CaseTask(
            self.purpose,
            self.type,
            self.on_behalf_of,
            self.opener,
            self.scope,
            self.budgets.noun(),
            self.seconds,
            self.purpose_trusted,
            parent,
        )


class StepEntry(msgspec.Struct, frozen=True):
    """A step as it is written in a case: `call` names a tool, or `action` and `resource` anything else; see `Step`."""

    expect: ExpectedEffect | Expectation
    call: str | None = None
    action: str | None = None
    resource: str | None = None
    arguments: dict[str, Any] = {}
    approve: bool | str | tuple[str, ...] = False
    then: ExpectedEffect | Expectation | None = None
    returns: str = ""
    fails: str = ""
    after: int = 0
    definition: str = ""
    begin: Begin | None = None
    hints: Hints = NO_HINTS
    upstream: str = ""
    subject: str | None = None
    properties: dict[str, dict[str, Any]] = {}

    def noun(self, line: int) -> Step:
        """The step. Raises `Malformed`."""
        if (self.then is not None) != bool(self.approve):
            raise Malformed("`approve` and `then` belong together", "say what is expected once it is approved")
        if abs(self.after) > MAX_AFTER:
            raise Malformed(f"a step {self.after} s after the one before", f"write at most {MAX_AFTER} seconds")
        action, resource = self._what()
        told = self.then if self.then is not None else self.expect
        if (self.returns or self.fails) and _expectation(told).decision is ExpectedEffect.DENY:
            raise Malformed("what is denied gives nothing back", "remove `returns` and `fails`: no later step would see them")
        named = (self.approve,) if isinstance(self.approve, str) else () if isinstance(self.approve, bool) else self.approve
        return Step(
            line,
            action,
            resource,
            self.arguments,
            _expectation(self.expect),
            None if self.then is None else _expectation(self.then),
            named,
            self.returns,
            self.fails,
            self.after,
            self.definition,
            self.begin,
            self.hints,
            self.upstream,
            self._subject(),
            self._properties(),
        )

    def _subject(self) -> EntityRef | None:
        if self.subject is None:
            return None
        subject = entity_ref(self.subject)
        if subject.type == AGENT:
            raise Malformed(f"`{self.subject}` is an agent", "write a case with it as its `agent`")
        if self.begin is not None:
            raise Malformed("a subject that is no agent has no sessions to begin", "remove `begin`")
        return subject

    def _properties(self) -> dict[str, dict[str, Any]]:
        parts = (SUBJECT, RESOURCE, CONTEXT)
        if other := next((name for name in self.properties if name not in parts), ""):
            raise Malformed(f"nothing is said of `{other}`", f"write properties of {', '.join(f'`{part}`' for part in parts)}")
        return self.properties

    def _what(self) -> tuple[str, EntityRef]:
        if self.call is not None and self.action is None and self.resource is None:
            return TOOL_CALL, EntityRef("Tool", self.call)
        if self.call is not None or self.action is None or self.resource is None:
            raise Malformed("it is not clear what is done", "write `call`, or else `action` and `resource`")
        if '::"' in self.resource:
            return self.action, entity_ref(self.resource)
        kind = RESOURCE_TYPES.get(self.action)
        if kind is None:
            raise Malformed(f"the type of `{self.resource}` does not follow from `{self.action}`", 'write `Type::"id"`')
        return self.action, EntityRef(kind, self.resource)


def _expectation(written: ExpectedEffect | Expectation) -> Expectation:
    return written if isinstance(written, Expectation) else Expectation(written)


class CaseEntry(msgspec.Struct, frozen=True):
    """A case as it is written; see `Case`."""

    name: str
    steps: list[StepEntry]
    agent: CaseAgent | None = None
    task: TaskEntry | None = None
    agents: tuple[CaseAgent, ...] = ()


class FileEntry(msgspec.Struct, frozen=True):
    """A file of cases that adds to the bundle; see `Fixture`. A file may also be the list of `cases` alone."""

    cases: list[CaseEntry]
    tools: tuple[Tool, ...] = ()
    resources: tuple[ResourceClass, ...] = ()
    directory: tuple[str, ...] = ()


def read_cases(bundle: Bundle) -> tuple[Case, ...]:
    """The cases of a bundle, file by file. Raises `BundleError`."""
    cases: list[Case] = []
    problems: list[Problem] = []
    for file in bundle.files:
        if file.path.startswith(f"{CASES}/"):
            try:
                cases.extend(parse_cases(file.text, file.path))
            except BundleError as fault:
                problems.extend(fault.problems)
    if problems:
        raise BundleError(in_order(problems))
    return tuple(cases)


def parse_cases(text: str, file: str) -> tuple[Case, ...]:
    """The cases of one file: a list of them, one alone, or a mapping with `cases` and what they add to the bundle.

    Raises `BundleError` with every problem in it.
    """
    document = read_document(text, file)
    problems: list[Problem] = []
    entries, fixture, path = _entries(document, problems)
    cases = list(_cases(document, entries, fixture, path, problems)) if not problems else []
    if problems:
        raise BundleError(in_order(problems))
    return tuple(cases)


def _entries(document: Document, problems: list[Problem]) -> tuple[list[CaseEntry], Fixture, tuple[str, ...] | None]:
    """The entries of a file, what they share, and the path to them; None where the file is one case."""
    if isinstance(document.data, dict) and "cases" in document.data:
        whole = read_as(document, FileEntry, problems)
        fixture = Fixture(whole.tools, whole.resources, whole.directory) if whole else Fixture()
        return whole.cases if whole else [], fixture, ("cases",)
    if isinstance(document.data, dict):
        one = read_as(document, CaseEntry, problems)
        return [one] if one else [], Fixture(), None
    return [entry for _, entry in read_list(document, CaseEntry, problems)], Fixture(), ()


def _cases(
    document: Document,
    entries: list[CaseEntry],
    fixture: Fixture,
    path: tuple[str, ...] | None,
    problems: list[Problem],
) -> Iterator[Case]:
    seen: set[str] = set()
    for position, entry in enumerate(entries):
        here: tuple[str | int, ...] = () if path is None else (*path, position)
        line = document.line(*here)
        try:
            task = entry.task.noun() if entry.task else None
        except Malformed as fault:
            place = document.file, document.line(*here, "task")
            problems.append(error(place, "malformed", str(fault), fault.hint))
            continue
        steps = tuple(_steps(document, entry, (*here, "steps"), problems))
        if not entry.steps:
            problems.append(error((document.file, line), "case", f"case `{entry.name}` has no step", "write one"))
        if task is None and any(step.begin for step in steps):
            message = f"case `{entry.name}` begins something anew, and has no task"
            problems.append(error((document.file, line), "case", message, "give it a `task`, or remove `begin`"))
        if entry.agent is None and any(step.subject is None for step in steps):
            message = f"case `{entry.name}` has no agent, and a step of it no subject"
            problems.append(error((document.file, line), "case", message, "give it an `agent`, or each of its steps a `subject`"))
        if entry.name in seen:
            message = f"case `{entry.name}` stands twice in this file"
            problems.append(error((document.file, line), "case", message, "rename it"))
        seen.add(entry.name)
        yield Case(entry.name, document.file, line, entry.agent or _NOBODY, task, steps, fixture, entry.agents)


def _steps(document: Document, entry: CaseEntry, path: tuple[str | int, ...], problems: list[Problem]) -> Iterator[Step]:
    for position, step in enumerate(entry.steps):
        line = document.line(*path, position)
        try:
            yield step.noun(line)
        except Malformed as fault:
            problems.append(error((document.file, line), "malformed", str(fault), fault.hint))
