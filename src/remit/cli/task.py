"""`remit task`: open, list, show and close tasks."""

from typing import Annotated, Any

import msgspec
import typer

from remit.cli.output import JsonFlag, say, show_json, show_table, store, store_to_change, warn, when
from remit.cli.tokens import Key, Output, Seconds, Url, bound_to, issuing, place_for, show_token
from remit.local.config import this_operator
from remit.local.unknown import unknown_names
from remit.model.errors import malformed, not_found
from remit.model.identity import TaskId
from remit.model.labels import Confidentiality
from remit.model.rate import Rate
from remit.model.task import Budgets, Opening, Scope, TaskState
from remit.pdp.effects import NotAnAmount, amount_of
from remit.runtime.tasks import close_task, open_task

app = typer.Typer(no_args_is_help=True)
Id = Annotated[str, typer.Argument(help="The task's id (`tsk_…`).")]
Many = list[str] | None


@app.command("open")
def open_(
    purpose: Annotated[str, typer.Argument(help="What is to be done, in your own words: trusted intent.")],
    agent: Annotated[str, typer.Option(help="The agent that shall do it.")],
    type: Annotated[str, typer.Option(help="A task type of the bundle.")] = "",
    on_behalf_of: Annotated[str, typer.Option(help="For whom (default: you).")] = "",
    seconds: Annotated[int | None, typer.Option(help="How long it may live.")] = None,
    tool: Annotated[Many, typer.Option(help="A tool it may use (or group:NAME); may be repeated.")] = None,
    resource: Annotated[Many, typer.Option(help="A resource pattern it may touch; may be repeated.")] = None,
    destination: Annotated[Many, typer.Option(help="A destination (or @domain) it may send to; may be repeated.")] = None,
    flow: Annotated[
        Many, typer.Option(help="A data-flow grant, `TOOL.ARGUMENT := email in SOURCE(document)`; may be repeated.")
    ] = None,
    confidentiality: Annotated[Confidentiality | None, typer.Option(help="The highest class it may touch.")] = None,
    calls: Annotated[int | None, typer.Option(help="How many calls it may make.")] = None,
    budget: Annotated[Many, typer.Option(help="TOOL=CALLS or TOOL.ARGUMENT=SUM; may be repeated.")] = None,
    rate: Annotated[
        Many, typer.Option(help="TOOL=CALLS/SECONDS, TOOL.ARGUMENT=SUM/SECONDS, group:NAME=… or *=…; may be repeated.")
    ] = None,
    parent: Annotated[str | None, typer.Option(help="The task it is delegated from.")] = None,
    json: JsonFlag = False,
) -> None:
    """Open a task: entrust an agent with something, for somebody, for some time."""
    scope = Scope(_tuple(tool), _tuple(resource), _tuple(destination), confidentiality, _tuple(flow))
    opening = Opening(
        agent,
        purpose,
        on_behalf_of,
        type,
        scope,
        _budgets(calls, budget or [], rate or []),
        seconds,
        TaskId(parent) if parent else None,
    )
    with store_to_change() as embedded:
        task = open_task(embedded.runtime, opening, this_operator()).result()
        unknown = unknown_names(embedded, opening.scope, opening.budgets)
    for text in unknown:
        warn(text)
    if json:
        show_json(task)
    else:
        say(f"opened {task.id} for agent {task.agent}, until {when(task.expires)} UTC")
        say(f'enter it with REMIT_TASK={task.id}, or `with remit.task(resume="{task.id}"):`')


def _tuple(values: Many) -> tuple[str, ...] | None:
    return tuple(values) if values else None


def _budgets(calls: int | None, budgets: list[str], rates: list[str]) -> Budgets:
    tools, amounts = {}, {}
    for text in budgets:
        key, equals, value = text.partition("=")
        try:
            if not equals or not key:
                raise ValueError
            if "." in key:
                amounts[key] = amount_of(value)
            else:
                tools[key] = int(value)
        except (ValueError, NotAnAmount):
            raise malformed(f"budget `{text}` is not TOOL=CALLS or TOOL.ARGUMENT=SUM") from None
    return Budgets(calls, tools, amounts, tuple([_rate(text) for text in rates]))


def _rate(text: str) -> Rate:
    what, equals, much = text.partition("=")
    limit, slash, seconds = much.rpartition("/")
    try:
        if not equals or not slash or not what:
            raise ValueError
        if what.startswith("group:"):
            return Rate(int(seconds), int(limit), group=what.removeprefix("group:"))
        tool, dot, argument = what.rpartition(".")
        if dot:
            return Rate(int(seconds), tool=tool, argument=argument, sum=amount_of(limit))
        return Rate(int(seconds), int(limit), "" if what == "*" else what)
    except (ValueError, NotAnAmount):
        raise malformed(f"rate `{text}` is not TOOL=CALLS/SECONDS or TOOL.ARGUMENT=SUM/SECONDS") from None


@app.command("list")
def list_(limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 50, json: JsonFlag = False) -> None:
    """List tasks, newest first."""
    with store() as embedded:
        tasks = embedded.store.tasks(limit)
    if json:
        show_json([_as_json(state) for state in tasks])
        return
    rows = [
        (s.task.id, _status(s), s.task.agent, s.task.on_behalf_of, str(s.spent.calls), when(s.task.opened), s.task.purpose)
        for s in tasks
    ]
    show_table(("task", "status", "agent", "for", "calls", "opened (UTC)", "purpose"), rows, "no tasks: run `remit task open`")


def _status(state: TaskState) -> str:
    return state.task.status.value


@app.command("show")
def show(task: Id, json: JsonFlag = False) -> None:
    """Show one task: its scope, budgets and what it has spent."""
    with store() as embedded:
        state = embedded.store.task(TaskId(task))
    if state is None:
        raise not_found(f"there is no task `{task}`: see `remit task list`")
    show_json(_as_json(state)) if json else _describe(state)


def _as_json(state: TaskState) -> dict[str, Any]:
    """A task as `open` prints it, and what it has spent."""
    return {**msgspec.to_builtins(state.task), "spent": msgspec.to_builtins(state.spent)}


def _describe(state: TaskState) -> None:
    task, spent = state.task, state.spent
    lines = [
        ("task", f"{task.id} ({task.status.value})"),
        ("agent", task.agent),
        ("purpose", task.purpose + ("" if task.purpose_trusted else "  [written by an agent]")),
        ("opened by", f"{task.opener} for {task.on_behalf_of}, {when(task.opened)} UTC until {when(task.expires)} UTC"),
        ("type", task.type or "-"),
        ("parent", task.parent or "-"),
        ("tools", ", ".join(task.scope.tools) if task.scope.tools is not None else "as policy says"),
        ("resources", ", ".join(task.scope.resources) if task.scope.resources is not None else "as policy says"),
        ("destinations", ", ".join(task.scope.destinations) if task.scope.destinations is not None else "as policy says"),
        *[
            ("flow" if not n else "", _used(flow, spent.flows.get(n, 0)))
            for n, flow in enumerate((*(task.scope.flows or ()), *task.flows))
        ],
        ("calls", f"{spent.calls}" + (f" of {task.budgets.calls}" if task.budgets.calls is not None else "")),
        *[(f"  {tool}", f"{spent.tools.get(tool, 0)} of {n}") for tool, n in task.budgets.tools.items()],
        *[("  at most", str(rate)) for rate in task.budgets.rates],
        *[(f"  {k}", f"{spent.amounts.get(k, 0) / 10000:g} of {n / 10000:g}") for k, n in task.budgets.amounts.items()],
    ]
    show_table(("", ""), lines, "")


def _used(flow: str, times: int) -> str:
    return f"{flow}  (used {times} ×)" if times else flow


@app.command("close")
def close(task: Id, json: JsonFlag = False) -> None:
    """Close a task: it carries no authority from the next decision on."""
    with store_to_change() as embedded:
        operator = this_operator()
        close_task(embedded.runtime, TaskId(task), operator.id, operator.verified_by).result()
    show_json({"task": task, "status": "closed"}) if json else say(f"closed {task}")


@app.command("token")
def token(
    task: Id,
    seconds: Seconds = 900,
    key: Key = None,
    output: Output = None,
    url: Url = "",
    json: JsonFlag = False,
) -> None:
    """Make a token that stands for an open task, for its agent: it ends with the task."""
    from remit.credentials.holder_keys import thumbprint_of
    from remit.local.issuing import task_token

    with place_for(output) as file, issuing(url) as (embedded, own):
        bound = thumbprint_of(bound_to(key))
        made = task_token(embedded, own, TaskId(task), seconds, this_operator(), thumbprint=bound).result()
        show_token(made, json, key is None, file=file)
