"""A suite's runs, tools and deployment, renamed as one world."""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from remit.local.evaluation.corpus import Definition, Recorded
from remit.local.evaluation.deployment import Deployment
from remit.local.evaluation.mutation.world import World


class Suite(msgspec.Struct, frozen=True):
    """What the guard may see of one suite, all its files together; each deployment is of this suite alone, and `scopes` are its own."""

    runs: tuple[Recorded, ...] = ()
    definitions: tuple[Definition, ...] = ()
    deployments: tuple[Deployment, ...] = ()
    scopes: tuple[tuple[str, ...], ...] = ()


def world_of(seed: int, suite: Suite) -> World:
    """New names for everything in a suite."""
    return World(seed, set(_texts(suite)), _tools(suite))


def renamed_run(world: World, run: Recorded) -> Recorded:
    """A run with the same calls in the same order; the names of its suite and its user task are the files', and stay."""
    steps = (
        replace(step, tool=world.tool(step.tool), args=_value(world, step.args), output=_value(world, step.output))
        for step in run.steps
    )
    return replace(
        run,
        user_prompt=world.text(run.user_prompt),
        user_messages=tuple(map(world.text, run.user_messages)),
        tools=tuple(renamed_definition(world, tool) for tool in run.tools),
        steps=tuple(steps),
    )


def renamed_definition(world: World, tool: Definition) -> Definition:
    """A tool's definition."""
    described = world.description(tool.name, tool.description)
    return replace(tool, name=world.tool(tool.name), description=described, json_schema=_value(world, tool.json_schema))


def renamed_deployment(world: World, deployment: Deployment) -> Deployment:
    """What is known of a suite's tools, and its principals."""
    annotations = {
        suite: {
            world.tool(name): replace(said, sink=tuple(map(world.text, said.sink)), content=tuple(map(world.text, said.content)))
            for name, said in tools.items()
        }
        for suite, tools in deployment.annotations.items()
    }
    return Deployment(annotations, {suite: tuple(map(world.text, known)) for suite, known in deployment.directory.items()})


def _value(world: World, value: Any) -> Any:
    try:
        return world.value(value)
    except RecursionError:
        return value  # deeper than any door takes: the gate refuses it as it is


def _tools(suite: Suite) -> set[str]:
    said = (name for deployment in suite.deployments for tools in deployment.annotations.values() for name in tools)
    called = (step.tool for run in suite.runs for step in run.steps)
    own = (tool.name for run in suite.runs for tool in run.tools)
    return {*said, *called, *own, *(tool.name for tool in suite.definitions), *(name for scope in suite.scopes for name in scope)}


def _texts(suite: Suite) -> Iterator[str]:
    for run in suite.runs:
        yield from (run.user_prompt, *run.user_messages)
        for step in run.steps:
            yield from _strings([step.args, step.output])
    for tool in (*suite.definitions, *(tool for run in suite.runs for tool in run.tools)):
        yield from _strings([tool.description, tool.json_schema])
    for deployment in suite.deployments:
        yield from (name for known in deployment.directory.values() for name in known)


def _strings(value: Any) -> Iterator[str]:
    pending: list[Any] = [value]
    while pending:
        found = pending.pop()
        if isinstance(found, str):
            yield found
        elif isinstance(found, dict):
            pending += [*found, *found.values()]
        elif isinstance(found, list | tuple):
            pending += found
