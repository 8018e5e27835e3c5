"""Routes of management: agents, tokens, tasks, decisions, bundles, kills, break-glass, the log, and how the server is."""

from typing import Any

from remit.inventory.directory import OwnedAgent
from remit.model.identity import Agent
from remit.model.kill import Kill
from remit.model.person import Person
from remit.model.task import Session
from remit.runtime.emergency.overview import BreakGlassSeen, BreakGlassTold
from remit.server.api.management import agents, break_glass, bundles, decisions, health, kills, log, people, tasks, tokens
from remit.server.api.tasks import TaskSeen
from remit.server.direct import Endpoint
from remit.server.openapi.operation import Operation, Repeated
from remit.server.paging import Page, Paged
from remit.server.reading import Nothing


def _get(path: str, endpoint: Endpoint, answer: Any, query: Any = None) -> Operation:
    return Operation(method="GET", path=path, endpoint=endpoint, tag=_tag(path), answer=answer, query=query)


def _change(path: str, endpoint: Endpoint, body: Any, answer: Any, status: int = 200) -> Operation:
    """What changes something: done once for each `Idempotency-Key`."""
    return Operation(
        method="POST",
        path=path,
        endpoint=endpoint,
        tag=_tag(path),
        body=body,
        answer=answer,
        status=status,
        repeated=Repeated.ONCE,
        fails=(404, 409),
    )


def _ask(path: str, endpoint: Endpoint, body: Any, answer: Any) -> Operation:
    """What is asked by POST, and changes nothing."""
    return Operation(method="POST", path=path, endpoint=endpoint, tag=_tag(path), body=body, answer=answer)


def _tag(path: str) -> str:
    return path.split("/")[2]


MANAGING = (
    _get("/v1/agents", agents.listed, Page[OwnedAgent], agents.AgentsWanted),
    _change("/v1/agents", agents.register, agents.Registering, Agent, 201),
    # The name of an agent may have slashes; what ends like one of the first is not asked for by the last.
    _change("/v1/agents/{id:path}/status", agents.move, agents.Moving, Agent),
    _change("/v1/agents/{id:path}/bind", agents.bind, agents.Naming, Agent),
    _change("/v1/agents/{id:path}/unbind", agents.unbind, agents.Naming, Agent),
    _change("/v1/agents/{id:path}/tokens", tokens.for_agent, tokens.AgentToken, tokens.Token, 201),
    _get("/v1/agents/{id:path}", agents.shown, OwnedAgent),
    _get("/v1/people", people.listed, Page[Person], people.PeopleWanted),
    _get("/v1/people/{id}", people.shown, Person),
    _change("/v1/operators/{name:path}/tokens", tokens.for_operator, tokens.OperatorToken, tokens.Token, 201),
    _get("/v1/tasks", tasks.listed, Page[TaskSeen], tasks.TasksWanted),
    _get("/v1/tasks/{id}/sessions", tasks.sessions, Page[Session], Paged),
    _change("/v1/tasks/{id}/tokens", tokens.for_task, tokens.TaskToken, tokens.Token, 201),
    _get("/v1/decisions", decisions.listed, Page[decisions.DecisionShown], decisions.DecisionsWanted),
    _get("/v1/decisions/{id}", decisions.shown, decisions.Explained),
    _get("/v1/bundles", bundles.history, Page[bundles.Activated], Paged),
    _change("/v1/bundles", bundles.publish, bundles.Publishing, bundles.Published),
    _ask("/v1/bundles/check", bundles.checked, bundles.Files, bundles.Checked),
    _change("/v1/bundles/rollback", bundles.rollback, bundles.RollingBack, bundles.Published),
    _get("/v1/bundles/active", bundles.active, bundles.BundleShown),
    _get("/v1/bundles/{digest}", bundles.shown, bundles.BundleShown),
    _get("/v1/kills", kills.listed, Page[Kill], Paged),
    _change("/v1/kills", kills.kill, kills.Killing, Kill, 201),
    _change("/v1/kills/release", kills.release, kills.Releasing, kills.Released),
    _get("/v1/break-glass", break_glass.listed, Page[BreakGlassSeen], break_glass.BreakGlassWanted),
    _change("/v1/break-glass", break_glass.ask, break_glass.AskingFor, BreakGlassSeen, 201),
    _change("/v1/break-glass/{id}/confirm", break_glass.confirm, Nothing, BreakGlassSeen),
    _change("/v1/break-glass/{id}/end", break_glass.end, break_glass.Ending, BreakGlassSeen),
    _change("/v1/break-glass/{id}/review", break_glass.review, break_glass.Reviewing, BreakGlassTold),
    _get("/v1/break-glass/{id}", break_glass.shown, BreakGlassTold),
    _get("/v1/log", log.entries, Page[log.Logged], log.EntriesWanted),
    _get("/v1/log/head", log.head, log.LogHead),
    _get("/v1/log/{index:int}/proof", log.prove, log.LogProof),
    _ask("/v1/log/growth", log.grew, log.Since, log.LogProof),
    _get("/v1/health", health.health, health.Health),
)
