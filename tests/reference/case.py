"""A case to decide: the policies, what the bundle says besides, and the state a request meets."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from remit.model.identity import Agent, EntityRef
from remit.model.labels import Confidentiality
from remit.model.request import EvaluationRequest
from remit.model.task import Session, TaskState
from remit.model.tool import Tool


@dataclass(frozen=True)
class Rule:
    """One statement. `reads` are the argument paths its condition can read (None: all); `flow`: whether it asks where values come from."""

    id: str
    effect: str
    scope: str
    condition: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)
    reads: tuple[tuple[str, ...], ...] | None = ()
    flow: bool = False

    @property
    def text(self) -> str:
        notes = "".join(f'@{name}("{value}") ' for name, value in {"id": self.id, **self.annotations}.items())
        return f"{notes}{self.effect} ({self.scope}) {self.condition};"


@dataclass(frozen=True, repr=False)
class Catalogue:
    """What a bundle says besides its policies. `classes` are (pattern, sensitivity, trusted) of files."""

    tools: Mapping[str, Tool]
    classes: tuple[tuple[str, Confidentiality, bool], ...]
    parents: Mapping[EntityRef, tuple[EntityRef, ...]]
    directory: tuple[str, ...]
    task_free: tuple[str, ...]

    def __repr__(self) -> str:
        return "the pool's"


@dataclass(frozen=True)
class Case:
    """Everything a decision is made from. `seen` are outputs as (source, untrusted, text); `delegator` is whether who delegated is
    `active`, `suspended` or `unregistered`."""

    rules: tuple[Rule, ...]
    catalogue: Catalogue
    shadow: bool
    request: EvaluationRequest
    agent: Agent | None
    chain: tuple[TaskState, ...]
    complete: bool
    session: Session | None
    seen: tuple[tuple[str, bool, str], ...]
    now: int
    latest: int
    grant: Any = None
    delegator: str = "active"
