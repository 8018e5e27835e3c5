"""What a scope and budgets name that does not exist, of task types and of tasks that are opened."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from remit.model.errors import RemitError
from remit.model.flow import flow_grant
from remit.model.rate import Rate
from remit.model.request import ACTIONS
from remit.model.task import Budgets, Scope
from remit.model.tool import ToolEffect
from remit.pap.problems import did_you_mean
from remit.pdp.compiled import CompiledTool


def scope_faults(
    tools: Mapping[str, CompiledTool], scope: Scope, budgets: Budgets
) -> Iterator[tuple[str, str, tuple[str | int, ...]]]:
    """What a scope and budgets name that does not exist: message, hint, and the path to it."""
    groups = {group for known in tools.values() for group in known.tool.groups}
    for position, name in enumerate(scope.tools or ()):
        what, named, known = _named(tools, groups, name)
        if named not in known:
            yield f"there is no {what} `{named}`", did_you_mean(named, known), ("scope", "tools", position)
    for position, text in enumerate(scope.flows or ()):
        yield from ((message, hint, ("scope", "flows", position)) for message, hint in _flow_faults(tools, text))
    for name in budgets.tools:
        if name not in tools and "." not in name:
            yield f"there is no tool `{name}`", did_you_mean(name, tools), ("budgets", "tools", name)
    yield from rate_faults(tools, groups, budgets.rates)
    for key in budgets.amounts:
        name, _, argument = key.rpartition(".")
        path = ("budgets", "amounts", key)
        if name not in tools:
            yield f"there is no tool `{name}`", did_you_mean(name, tools), path
        elif tools[name].types.closed and argument not in tools[name].types.root.fields:
            hint = did_you_mean(argument, tools[name].types.root.fields)
            yield f"tool `{name}` has no argument `{argument}`", hint, path


def _named(tools: Mapping[str, CompiledTool], groups: Collection[str], name: str) -> tuple[str, str, Collection[str]]:
    """What an entry of a scope's tools names: its kind, its name, and those of that kind there are."""
    if name.startswith("group:"):
        return "tool group", name.removeprefix("group:"), groups
    if name.startswith("effect:"):
        return "effect", name.removeprefix("effect:"), tuple(ToolEffect)
    return "tool", name, tools


def _flow_faults(tools: Mapping[str, CompiledTool], text: str) -> Iterator[tuple[str, str]]:
    try:
        grant = flow_grant(text)
    except RemitError as problem:
        said, _, hint = problem.message.rpartition(": ")
        yield said, hint
        return
    into = next((name for name in (*tools, *ACTIONS) if grant.target.startswith(f"{name}.")), None)
    if into is None:
        name = grant.target.rpartition(".")[0]
        yield f"there is no tool `{name}`", did_you_mean(name, tools)
    elif into in tools and tools[into].types.closed:
        argument, fields = grant.target.removeprefix(f"{into}.").partition(".")[0], tools[into].types.root.fields
        if argument not in fields:
            yield f"tool `{into}` has no argument `{argument}`", did_you_mean(argument, fields)
    if grant.source not in tools and grant.source not in ACTIONS:
        yield f"there is no tool `{grant.source}`", did_you_mean(grant.source, tools)


def rate_faults(
    tools: Mapping[str, CompiledTool], groups: Collection[str], rates: Sequence[Rate]
) -> Iterator[tuple[str, str, tuple[str | int, ...]]]:
    """What rates name that does not exist: message, hint, and the path to it."""
    for position, rate in enumerate(rates):
        path = ("budgets", "rates", position)
        if rate.tool and rate.tool not in tools and "." not in rate.tool:
            yield f"there is no tool `{rate.tool}`", did_you_mean(rate.tool, tools), path
        if rate.group and rate.group not in groups:
            yield f"there is no tool group `{rate.group}`", did_you_mean(rate.group, groups), path
        known = tools.get(rate.tool)
        if rate.argument and known is not None and known.types.closed and rate.argument not in known.types.root.fields:
            hint = did_you_mean(rate.argument, known.types.root.fields)
            yield f"tool `{rate.tool}` has no argument `{rate.argument}`", hint, path
