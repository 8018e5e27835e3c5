"""Break-glass: asked for by one person, confirmed by another, over by itself or ended by anybody of the roles, reviewed by a third."""

from collections.abc import Callable, Iterable, Iterator

import msgspec
from msgspec.structs import replace

from remit.decision_log.encoding import encode_body
from remit.decision_log.entry import BreakGlassAsked, BreakGlassEnded, BreakGlassReviewed, BreakGlassStarted
from remit.decision_log.store import Record
from remit.inventory.directory import CorrelatedIdentity
from remit.model.break_glass import BreakGlass, Stage, Verdict
from remit.model.caller import UNPROVEN
from remit.model.clock import MINUTE
from remit.model.decision import ApproverRule
from remit.model.errors import conflict, malformed, not_found, refused, unavailable
from remit.model.identity import Agent, AgentId, AgentStatus, BreakGlassId, EntityRef, Operator, TaskId, new_id
from remit.model.task import TaskState, TaskStatus
from remit.pap.problems import did_you_mean
from remit.pdp.checks import CLOCK_TOLERANCE
from remit.pdp.compiled import CompiledBundle
from remit.pdp.obligations import barred, owners_of
from remit.runtime.acting import acting
from remit.runtime.pending import Driven, Steps
from remit.runtime.runtime import Change, Runtime, administer
from remit.runtime.writes import HoldTask, PutBreakGlass, Write

CONFIRM_MINUTES = 10
"""So long one waits for the second person."""
MAX_NAMED, MAX_NAME, MAX_WORDS, MAX_INCIDENT = 50, 512, 1000, 200
LITERAL = 4
"""So many characters on end a pattern of resources says, or it would be of nearly everything."""
GROUP = "group:"


class EmergencyRequest(msgspec.Struct, frozen=True):
    """What is asked for: an agent or one task, the tools (names, or `group:NAME`) and resources (patterns as scopes have them) that
    policy shall not keep from it, for how many minutes (None: as many as the bundle lets), and why."""

    reason: str
    incident: str
    agent: str = ""
    task: TaskId | None = None
    tools: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    minutes: int | None = None


def ask(runtime: Runtime, asking: EmergencyRequest, operator: Operator) -> Driven[BreakGlass]:
    """Ask for it: nothing is open before somebody else confirms it.

    Raises `RemitError`: malformed, not-found, refused for who may not ask, or where the bundle allows none, unavailable for a clock that is
    behind.
    """
    return Driven(lambda: _committed(runtime, lambda now: _asked(runtime, asking, operator, now)))


def confirm(runtime: Runtime, glass: BreakGlassId, operator: Operator) -> Driven[BreakGlass]:
    """Confirm it: it is open from now on, for the minutes that were asked for. Nobody can make them more.

    Raises `RemitError`: not-found, conflict where it does not wait (any more), refused for who may not confirm it, unavailable for a clock
    that is behind.
    """
    return Driven(lambda: _committed(runtime, lambda now: _confirmed(runtime, glass, operator, now)))


def end(runtime: Runtime, glass: BreakGlassId, operator: Operator, why: str = "") -> Driven[BreakGlass]:
    """End it now, in every process at its next decision and act; or withdraw it before it was confirmed.

    Raises `RemitError`: malformed, not-found, conflict where there is nothing to end any more.
    """
    return Driven(lambda: _committed(runtime, lambda now: _ended(runtime, glass, operator, why, now)))


def review(runtime: Runtime, glass: BreakGlassId, operator: Operator, verdict: Verdict, comment: str) -> Driven[BreakGlass]:
    """Say, once it is over, what is to be thought of what was done under it.

    Raises `RemitError`: malformed, not-found, conflict where it is not over or was reviewed, refused for one of the two.
    """
    return Driven(lambda: _committed(runtime, lambda now: _reviewed(runtime, glass, operator, verdict, comment, now)))


_Made = tuple[BreakGlass, Record, list[Write]]


def _committed(runtime: Runtime, make: Callable[[int], _Made]) -> Steps[BreakGlass]:
    """Commit what `make` makes at a time (µs): every change of a break-glass is one entry and one state."""
    made: list[BreakGlass] = []

    def prepare() -> Change:
        after, record, held = make(runtime.clock())
        made[:] = [after]
        return [record], [PutBreakGlass(after), *held]

    yield from administer(runtime, prepare)
    return made[0]


def _asked(runtime: Runtime, asking: EmergencyRequest, operator: Operator, now: int) -> _Made:
    _check_clock(runtime, now)
    reason, incident = _words("reason", asking.reason, MAX_WORDS), _words("incident", asking.incident, MAX_INCIDENT)
    bundle = _bundle(runtime)
    agent, chain = _named(runtime, asking.agent, asking.task, now)
    _check_not_killed(runtime, agent.id, chain)
    by = _person(runtime, operator)
    if why := barred(operator.id, ApproverRule.FOUR_EYES, agent.id, owners_of(agent), (), by.names):
        raise refused(why)
    most = bundle.break_glass.minutes
    minutes = most if asking.minutes is None else asking.minutes
    if not 1 <= minutes <= most:
        raise malformed(f"`minutes` must be from 1 to {most}, as the published bundle says")
    tools, resources = _tools(runtime, bundle, asking.tools), _patterns(asking.resources)
    if not tools and not resources:
        raise malformed("say what shall be possible: name tools, or resources")
    glass = BreakGlass(
        BreakGlassId(new_id("brg", now)),
        agent.id,
        asking.task,
        tools,
        resources,
        minutes,
        bundle.break_glass.review_days,
        reason,
        incident,
        operator.id,
        operator.verified_by,
        now,
        now + CONFIRM_MINUTES * MINUTE,
    )
    body = BreakGlassAsked(
        glass.id, now, glass.agent, glass.task, tools, resources, minutes, glass.review_days, reason, incident, glass.confirm_by,
        operator.id, operator.verified_by,
    )  # fmt: skip
    return glass, Record(encode_body(body), "break-glass.asked", glass.id, glass.task), _held(chain)


def _confirmed(runtime: Runtime, wanted: BreakGlassId, operator: Operator, now: int) -> _Made:
    _check_clock(runtime, now)
    glass = _found(runtime, wanted)
    if (stage := glass.at(now)) is not Stage.ASKED:
        hint = ": ask anew" if stage is not Stage.OPEN else ""
        raise conflict(f"break-glass `{wanted}` is {stage.value}, it does not wait for anybody{hint}")
    agent, chain = _named(runtime, "" if glass.task is not None else glass.agent, glass.task, now)
    _check_not_killed(runtime, agent.id, chain)
    by = _person(runtime, operator)
    # INVARIANT (the guard is guarded): two people, neither of whom owns the agent.
    asked = glass.asked_by, glass.asked_verified_by
    owners = owners_of(agent, runtime.view.delegators(chain))
    involved = barred(operator.id, ApproverRule.FOUR_EYES, agent.id, owners, chain, by.names)
    if barring := _not_another(operator, by, asked, "asked for it") or involved:
        raise refused(barring)
    if glass.minutes > _bundle(runtime).break_glass.minutes:
        raise refused(f"the published bundle does not allow {glass.minutes} minutes any more: ask anew")
    after = replace(
        glass,
        stage=Stage.OPEN,
        version=glass.version + 1,
        confirmed_by=operator.id,
        confirmed_verified_by=operator.verified_by,
        started=now,
        until=now + glass.minutes * MINUTE,
    )
    body = BreakGlassStarted(glass.id, now, after.until, operator.id, operator.verified_by)
    return after, Record(encode_body(body), "break-glass.started", glass.id, glass.task), _held(chain)


def _ended(runtime: Runtime, wanted: BreakGlassId, operator: Operator, why: str, now: int) -> _Made:
    glass = _found(runtime, wanted)
    if len(why) > MAX_WORDS or not (why.isprintable() or not why):
        raise malformed(f"say why in up to {MAX_WORDS} printable characters")
    stage = glass.at(now)
    if stage not in (Stage.ASKED, Stage.OPEN):
        raise conflict(f"break-glass `{wanted}` is {stage.value}: there is nothing to end")
    into = Stage.ENDED if stage is Stage.OPEN else Stage.WITHDRAWN
    after = replace(glass, stage=into, version=glass.version + 1, ended_by=operator.id, ended=now)
    body = BreakGlassEnded(glass.id, now, into.value, operator.id, operator.verified_by, why)
    return after, Record(encode_body(body), "break-glass.ended", glass.id, glass.task), []


def _reviewed(runtime: Runtime, wanted: BreakGlassId, operator: Operator, verdict: Verdict, comment: str, now: int) -> _Made:
    glass = _found(runtime, wanted)
    comment = _words("comment", comment, MAX_WORDS)
    if (stage := glass.at(now)) is not Stage.ENDED:
        raise conflict(f"break-glass `{wanted}` is {stage.value}: one that is over and was not reviewed is")
    by = _person(runtime, operator)
    # INVARIANT (the guard is guarded): who opened it does not say what is to be thought of it.
    asked, confirmed = (glass.asked_by, glass.asked_verified_by), (glass.confirmed_by, glass.confirmed_verified_by)
    owners = owners_of(runtime.view.store.agent(glass.agent))
    own = barred(operator.id, ApproverRule.FOUR_EYES, glass.agent, owners, (), by.names)
    if (
        barring := _not_another(operator, by, asked, "asked for it")
        or _not_another(operator, by, confirmed, "confirmed it")
        or own
    ):
        raise refused(barring)
    after = replace(
        glass,
        stage=Stage.REVIEWED,
        version=glass.version + 1,
        reviewed_by=operator.id,
        reviewed=now,
        verdict=verdict,
        comment=comment,
    )
    body = BreakGlassReviewed(glass.id, now, verdict.value, comment, operator.id, operator.verified_by)
    return after, Record(encode_body(body), "break-glass.reviewed", glass.id, glass.task), []


def _found(runtime: Runtime, wanted: BreakGlassId) -> BreakGlass:
    glass = runtime.view.store.break_glass(wanted)
    if glass is None:
        raise not_found(f"there is no break-glass `{wanted}`: see `remit break-glass list`")
    return glass


def _check_clock(runtime: Runtime, now: int) -> None:
    """Nothing begins by a clock that is behind what is on record: it would end that much later."""
    behind = max(runtime.view.latest, runtime.view.store.latest_time()) - now
    if behind > CLOCK_TOLERANCE:
        raise unavailable(f"the clock is {behind / 1_000_000:.1f} s behind the log: set it right")


def _person(runtime: Runtime, operator: Operator) -> CorrelatedIdentity:
    """Somebody who was verified, is there, and is no agent. Raises `RemitError` (refused)."""
    if operator.verified_by == UNPROVEN:
        raise refused("nobody has to prove who they are here, so nobody is one of two people: serve it without `--dev`")
    known = acting(runtime, operator)
    if known.is_one_of(agent.id for agent in runtime.view.store.agents()):
        raise refused(f"`{operator.id}` is an agent: people break the glass")
    return known


def _not_another(operator: Operator, known: CorrelatedIdentity, other: tuple[str, str], what: str) -> str:
    """Why this is not surely another person than one who stands there as so verified; empty if it is."""
    name, verified_by = other
    if known.is_one_of([name]):
        return f"`{operator.id}` {what}: somebody else must do this"
    if operator.verified_by != verified_by:
        return (
            f"`{name}`, who {what}, is known by `{verified_by}`, `{operator.id}` by `{operator.verified_by}`: nobody can tell that "
            "these are two people, so both must come by the same way"
        )
    return ""


def _bundle(runtime: Runtime) -> CompiledBundle:
    bundle = runtime.view.bundle
    if bundle is None:
        raise refused("no policy is published: there is nothing to break")
    if not bundle.break_glass.minutes:
        raise refused(f"bundle `{bundle.name}` allows no break-glass (`break_glass: {{minutes: 0}}`)")
    return bundle


def _named(runtime: Runtime, wanted: str, task: TaskId | None, now: int) -> tuple[Agent, tuple[TaskState, ...]]:
    """The agent, and the chain of the task if one is named instead."""
    if bool(wanted) == (task is not None):
        raise malformed("name an agent, or one task: one of the two")
    chain, complete = runtime.view.chain(task)
    if task is not None and not (chain and complete):
        raise not_found(f"there is no task `{task}` in this store")
    if any(state.task.status is not TaskStatus.OPEN or now >= state.task.expires for state in chain):
        raise refused(f"task `{task}`, or one that it was delegated from, is closed or has expired: break-glass opens none again")
    name = chain[0].task.agent if chain else AgentId(wanted)
    agent = runtime.view.agent(name)
    if agent is None:
        hint = did_you_mean(name, [known.id for known in runtime.view.store.agents()])
        raise not_found(f"agent `{name}` is not registered{f': {hint}' if hint else ''}")
    if agent.status is not AgentStatus.ACTIVE:
        raise refused(f"agent `{name}` is {agent.status.value}: break-glass wakes nobody, its owner can resume it")
    return agent, chain


def _check_not_killed(runtime: Runtime, agent: AgentId, chain: Iterable[TaskState]) -> None:
    tasks = [state.task for state in chain]
    for kill in runtime.view.kills:
        if kill.stops(agent, EntityRef("", ""), tasks):
            raise refused(f"{kill} was stopped by `{kill.operator}`: break-glass lifts no kill, `remit release` does")


def _tools(runtime: Runtime, bundle: CompiledBundle, named: tuple[str, ...]) -> tuple[str, ...]:
    """The tools by their names, groups as those that are in them now: what is confirmed is what stands there."""
    reported = {known.tool for known in runtime.view.store.definitions()}
    found: dict[str, None] = {}
    for name in _checked(named):
        found.update(dict.fromkeys(_of_group(bundle, name.removeprefix(GROUP)) if name.startswith(GROUP) else [name]))
        if not name.startswith(GROUP) and name not in bundle.tools and name not in reported:
            # What nobody described, nobody can look at before confirming it; and a misspelt name would open nothing when it counts.
            hint = did_you_mean(name, reported | set(bundle.tools))
            raise malformed(
                f"tool `{name}` is not in the published catalogue, and no door has reported what it is, so nobody could say what this"
                f" opens: {hint or 'describe it in `tools.yaml` and publish that, then ask'}"
            )
    if len(found) > MAX_NAMED:
        raise malformed(f"{len(found)} tools are more than {MAX_NAMED}: name those that are needed")
    return tuple(sorted(found))


def _of_group(bundle: CompiledBundle, group: str) -> Iterator[str]:
    groups = {name for tool in bundle.tools.values() for name in tool.tool.groups}
    if group not in groups:
        hint = did_you_mean(group, groups)
        raise malformed(f"no tool of the published catalogue is in group `{group}`{f': {hint}' if hint else ''}")
    yield from (name for name, tool in bundle.tools.items() if group in tool.tool.groups)


def _patterns(named: tuple[str, ...]) -> tuple[str, ...]:
    for pattern in _checked(named):
        if max(map(len, pattern.split("*"))) < LITERAL:
            raise malformed(
                f"`{pattern}` is nearly every resource: name those that are needed, with {LITERAL} characters on end or more"
            )
    return tuple(sorted(set(named)))


def _checked(named: tuple[str, ...]) -> tuple[str, ...]:
    if len(named) > MAX_NAMED or not all(0 < len(name) <= MAX_NAME and name.isprintable() for name in named):
        raise malformed(f"name up to {MAX_NAMED} tools and resources, each in up to {MAX_NAME} printable characters")
    return named


def _words(what: str, text: str, most: int) -> str:
    if not text.strip() or len(text) > most or not text.isprintable():
        raise malformed(f"say the {what} in words, up to {most} printable characters")
    return text


def _held(chain: Iterable[TaskState]) -> list[Write]:
    """What keeps it from being committed once its task is closed."""
    return [HoldTask(state.task.id) for state in chain]
