"""What a case opens: its task with those it was delegated from, and what a step begins anew within it."""

from collections.abc import Iterator, Sequence

import msgspec
from msgspec.structs import replace

from remit.model.clock import SECOND
from remit.model.identity import SessionId, TaskId
from remit.model.labels import PUBLIC_TRUSTED, Label
from remit.model.rate import Rate
from remit.model.task import Budgets, Scope, Session, Task, TaskState
from remit.pap.cases import Begin, Case, CaseTask
from remit.pdp.compiled import CompiledBundle, TaskType
from remit.pdp.provenance.seen import NOTHING_OBSERVED, Observed

BEGIN = 1_767_225_600 * SECOND
"""Cases begin at 2026-01-01T00:00:00Z."""
DEFAULT_SECONDS = 3600


class Opened(msgspec.Struct, frozen=True):
    """Where a case stands: the chain of its task, its session, and what that has seen. `count` tells what was opened apart."""

    chain: tuple[TaskState, ...] = ()
    session: Session | None = None
    observed: Observed = NOTHING_OBSERVED
    count: int = 0


def opened(bundle: CompiledBundle, case: Case, now: int = BEGIN, count: int = 0) -> Opened:
    """The case's task and its first session; neither without a task."""
    if case.task is None:
        return Opened()
    chain = tuple(_chain(bundle, case, now, count))
    return _with_session(Opened(chain, count=count), _label_of(chain[0].task), now)


def begun(bundle: CompiledBundle, case: Case, before: Opened, how: Begin, now: int) -> Opened:
    """What a step begins: another session goes on with what the task's sessions have touched and seen, so does a sub-task."""
    count = before.count + 1
    if how is Begin.TASK or before.session is None:
        return opened(bundle, case, now, count)
    here = replace(before, count=count)
    if how is Begin.SUB_TASK:
        above = before.chain[0].task
        task = replace(
            above,
            id=TaskId(f"{above.id}_{count}"),
            opener=above.agent,
            opened=now,
            type="",
            parent=above.id,
            purpose_trusted=False,
            purpose_label=before.session.reached,
            flows=(),
        )
        here = replace(here, chain=(TaskState(task), *before.chain))
    return _with_session(here, before.session.reached, now)


def _with_session(where: Opened, label: Label, now: int) -> Opened:
    task = where.chain[0].task
    name = SessionId(f"ses_case_{where.count}" if where.count else "ses_case")
    return replace(where, session=Session(name, task.id, task.agent, label, seen=now))


def _label_of(task: Task) -> Label:
    return PUBLIC_TRUSTED if task.purpose_trusted else task.purpose_label


def _chain(bundle: CompiledBundle, case: Case, now: int, count: int) -> Iterator[TaskState]:
    """The task of a case and those it was delegated from, leaf first, each within what is above it."""
    links: list[CaseTask] = []
    task = case.task
    while task is not None:
        links.append(task)
        task = task.parent
    prefix = f"tsk_case_{count}_" if count else "tsk_case_"
    for number, link in enumerate(links):
        kind = bundle.task_types.get(link.type) or TaskType(link.type)
        seconds = link.seconds if link.seconds is not None else kind.seconds or DEFAULT_SECONDS
        yield TaskState(
            Task(
                id=TaskId(f"{prefix}{number}"),
                agent=case.agent.noun().id,
                purpose=link.purpose,
                opener=link.opener,
                on_behalf_of=links[-1].on_behalf_of,
                opened=now,
                expires=now + seconds * SECOND,
                type=link.type,
                parent=TaskId(f"{prefix}{number + 1}") if number + 1 < len(links) else None,
                scope=replace(_scope(link.scope, kind.scope), flows=_flows(bundle, links[number:])),
                budgets=_budgets(link.budgets, kind.budgets),
                purpose_trusted=link.purpose_trusted,
            )
        )


def _flows(bundle: CompiledBundle, links: Sequence[CaseTask]) -> tuple[str, ...] | None:
    """The data-flow grants of a task: its own, else its type's, else those of the task above it."""
    for link in links:
        kind = bundle.task_types.get(link.type)
        flows = kind.scope.flows if link.scope.flows is None and kind is not None else link.scope.flows
        if flows is not None:
            return flows
    return None


def _scope(asked: Scope, kind: Scope) -> Scope:
    """What a task asks for; what it leaves out comes from its type."""
    return Scope(
        kind.tools if asked.tools is None else asked.tools,
        kind.resources if asked.resources is None else asked.resources,
        kind.destinations if asked.destinations is None else asked.destinations,
        kind.confidentiality if asked.confidentiality is None else asked.confidentiality,
    )


def _budgets(asked: Budgets, kind: Budgets) -> Budgets:
    """The smaller of each."""
    calls = [bound for bound in (asked.calls, kind.calls) if bound is not None]
    tools = {name: min(bound, kind.tools.get(name, bound)) for name, bound in asked.tools.items()}
    amounts = {key: min(bound, kind.amounts.get(key, bound)) for key, bound in asked.amounts.items()}
    rates: dict[str, Rate] = {}
    for rate in (*asked.rates, *kind.rates):
        rates[rate.key] = min(rate, rates.get(rate.key, rate), key=lambda one: one.limit)
    return Budgets(min(calls, default=None), {**kind.tools, **tools}, {**kind.amounts, **amounts}, tuple(rates.values()))
