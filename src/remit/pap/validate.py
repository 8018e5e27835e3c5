"""`check`: everything that can be known to go wrong before a bundle decides anything."""

import os
from collections.abc import Iterable, Iterator

from remit.model.request import TOOL_CALL
from remit.pap.cases import Case
from remit.pap.checks.catalogue import catalogue_problems
from remit.pap.checks.context import Checking
from remit.pap.checks.facts import fact_problems
from remit.pap.checks.policies import policy_problems
from remit.pap.checks.rego import rego_problems
from remit.pap.checks.types import type_problems
from remit.pap.contents import Bundle
from remit.pap.problems import BundleError, Problem, did_you_mean, error, in_order, warning
from remit.pap.reading.cases import read_cases
from remit.pap.reading.files import CASES, POLICIES
from remit.pap.reading.folder import read_bundle

TYPE_CODES = ("undeclared-argument", "untyped-argument", "unguarded")
ARGUMENT_CODES = ("argument-nowhere", "unchecked-argument")


def check(bundle: Bundle) -> tuple[Problem, ...]:
    """Every problem of a bundle that can be read, by file and line; with an error among them it cannot be published."""
    checking = Checking(bundle)
    problems = [
        *catalogue_problems(checking),
        *fact_problems(checking),
        *policy_problems(checking),
        *type_problems(bundle, checking.matches),
        *rego_problems(checking),
    ]
    try:
        cases = read_cases(bundle)
        problems.extend(_empty(checking, cases))
        problems.extend((*_task_types(checking, cases), *_fixtures(checking, cases), *_called_tools(checking, cases)))
    except BundleError as fault:
        problems.extend(fault.problems)
    return in_order(_said_once(problems))


def _said_once(problems: list[Problem]) -> Iterator[Problem]:
    """Without the warnings on arguments of policies that are wrong in their types already."""
    wrong = {(problem.file, problem.line) for problem in problems if problem.code in TYPE_CODES}
    for problem in problems:
        if problem.code not in ARGUMENT_CODES or (problem.file, problem.line) not in wrong:
            yield problem


def _empty(checking: Checking, cases: Iterable[Case]) -> Iterator[Problem]:
    """Files that say nothing where somebody expects that they do."""
    used = {policy.source for policy in checking.contents.policies} | {case.file for case in cases}
    for file in checking.bundle.files:
        if (
            file.path.startswith((f"{POLICIES}/", f"{CASES}/"))
            and file.path.endswith((".cedar", ".yaml"))
            and file.path not in used
        ):
            what = "policy" if file.path.endswith(".cedar") else "case"
            yield warning((file.path, 1), "empty", f"the file has no {what}", "write one, or remove the file")


def _task_types(checking: Checking, cases: Iterable[Case]) -> Iterator[Problem]:
    """Cases whose task is of a type that there is not."""
    known = checking.compiled.task_types
    for case in cases:
        task = case.task
        while task is not None:
            if task.type and task.type not in known:
                message = f"case `{case.name}` has a task of type `{task.type}`, which there is not"
                yield error((case.file, case.line), "unknown-task-type", message, did_you_mean(task.type, known))
            task = task.parent


def _fixtures(checking: Checking, cases: Iterable[Case]) -> Iterator[Problem]:
    """Tools that a file of cases describes otherwise than the catalogue: they would show what does not hold."""
    known = {tool.name: tool for tool in checking.contents.tools}
    for file, fixture in {case.file: case.fixture for case in cases}.items():
        for position, tool in enumerate(fixture.tools):
            if tool != known.get(tool.name, tool):
                message = f"tool `{tool.name}` is not as the catalogue has it"
                yield error(checking.place(file, "tools", position), "case", message, "remove it here")


def _called_tools(checking: Checking, cases: Iterable[Case]) -> Iterator[Problem]:
    """Calls of tools that neither the catalogue nor the case's file has: they test the answer to an unknown tool."""
    known = {tool.name for tool in checking.contents.tools}
    for case in cases:
        here = known | {tool.name for tool in case.fixture.tools}
        for step in case.steps:
            if step.action == TOOL_CALL and step.resource.type == "Tool" and step.resource.id not in here:
                message = f"case `{case.name}` calls tool `{step.resource.id}`, which is not in the catalogue"
                hint = did_you_mean(step.resource.id, here) or "add it to the catalogue, or to `tools` of this file"
                yield warning((case.file, step.line), "unknown-tool", message, hint)


def check_folder(folder: str | os.PathLike[str]) -> tuple[Problem, ...]:
    """`check` of a bundle's folder, where it cannot be read too."""
    try:
        return check(read_bundle(folder))
    except BundleError as fault:
        return fault.problems
