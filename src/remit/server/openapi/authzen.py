"""The messages of AuthZEN 1.0 and of its profile for access requests, as they are described; `server/api/messages.py` reads them."""

from typing import Annotated, Any, Literal

import msgspec

from remit.model.hints import Hints

Named = Annotated[str, msgspec.Meta(min_length=1)]
Properties = dict[str, Any] | None


class SubjectType(msgspec.Struct, frozen=True):
    """What type of subjects is searched for."""

    type: Named
    properties: Properties = None


class Subject(SubjectType, frozen=True, kw_only=True):
    """Who asks: an agent (`Agent`), or an entity that the bundle's schema lets ask."""

    id: Named


class ResourceType(msgspec.Struct, frozen=True):
    """What type of resources is searched for."""

    type: Named
    properties: Properties = None


class Resource(ResourceType, frozen=True, kw_only=True):
    """What it is asked for; a tool is of type `Tool`."""

    id: Named


class Action(msgspec.Struct, frozen=True):
    """What is asked for; `properties` are its arguments."""

    name: Named
    properties: Properties = None


class ForRemit(msgspec.Struct, frozen=True):
    """Of a context, what is for Remit alone: the task and session it is for, what would execute it and how that is described, why there
    are no arguments, and whether a door asks that asks again before it acts."""

    task: Named | msgspec.UnsetType = msgspec.UNSET
    session: Named | msgspec.UnsetType = msgspec.UNSET
    upstream: Named | msgspec.UnsetType = msgspec.UNSET
    definition: Named | msgspec.UnsetType = msgspec.UNSET
    defined: Named | msgspec.UnsetType = msgspec.UNSET
    malformed: Named | msgspec.UnsetType = msgspec.UNSET
    hints: Hints | msgspec.UnsetType = msgspec.UNSET
    door: bool = False


class Context(msgspec.Struct, frozen=True):
    """Circumstances of a request; `approval` is one that it may rest on."""

    remit: ForRemit | None = None
    approval: Any = None


class Evaluation(msgspec.Struct, frozen=True):
    """Whether a subject may do something to a resource."""

    subject: Subject
    action: Action
    resource: Resource
    context: Context | None = None


class Options(msgspec.Struct, frozen=True):
    """When an evaluation of several ends."""

    evaluations_semantic: Literal["execute_all", "deny_on_first_deny", "permit_on_first_permit"] = "execute_all"


class Evaluations(msgspec.Struct, frozen=True):
    """Several evaluations; the other members are defaults of each. Without any, it is one evaluation."""

    evaluations: list[dict[str, Any]] | None = None
    subject: Any = None
    action: Any = None
    resource: Any = None
    context: Any = None
    options: Options | None = None


class Obligation(msgspec.Struct, frozen=True):
    """What a permit asks of the enforcement point (Obligations profile, draft 1)."""

    id: str
    type: str
    properties: dict[str, Any]


class Why(msgspec.Struct, frozen=True, omit_defaults=True):
    """The decision's id and reason, and what to do; `break_glass` names what two people opened for what policy denies; `error` in its place
    where one of several could not be read."""

    id: str | msgspec.UnsetType = msgspec.UNSET
    reason: str | msgspec.UnsetType = msgspec.UNSET
    message: str | msgspec.UnsetType = msgspec.UNSET
    tier: str | msgspec.UnsetType = msgspec.UNSET
    obligations: list[Obligation] | msgspec.UnsetType = msgspec.UNSET
    approval: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    break_glass: str | msgspec.UnsetType = msgspec.UNSET
    evaluation_id: str | msgspec.UnsetType = msgspec.UNSET
    access_request: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    next_action: str | msgspec.UnsetType = msgspec.UNSET
    retry_after: int | msgspec.UnsetType = msgspec.UNSET
    remit: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    error: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class Decision(msgspec.Struct, frozen=True):
    """Whether it is permitted."""

    decision: bool
    context: Why


class Decisions(msgspec.Struct, frozen=True):
    """The decisions, in the order asked for; one decision where a single one was asked for."""

    evaluations: list[Decision] | msgspec.UnsetType = msgspec.UNSET
    decision: bool | msgspec.UnsetType = msgspec.UNSET
    context: Why | msgspec.UnsetType = msgspec.UNSET


class PageWanted(msgspec.Struct, frozen=True):
    """Which part of what is found: at most `limit` (1,000 if nobody says; with a token, as many as on the page before)."""

    limit: Annotated[int, msgspec.Meta(ge=0)] | msgspec.UnsetType = msgspec.UNSET
    token: str = ""


class SubjectSearch(msgspec.Struct, frozen=True):
    """Which subjects of a type may."""

    subject: SubjectType
    action: Action
    resource: Resource
    context: Context | None = None
    page: PageWanted | None = None


class ResourceSearch(msgspec.Struct, frozen=True):
    """Which resources of a type the subject may."""

    subject: Subject
    action: Action
    resource: ResourceType
    context: Context | None = None
    page: PageWanted | None = None


class ActionSearch(msgspec.Struct, frozen=True):
    """Which actions the subject may take on the resource."""

    subject: Subject
    resource: Resource
    context: Context | None = None
    page: PageWanted | None = None


class PageTold(msgspec.Struct, frozen=True):
    """How many are here, and where the next are; empty with the last."""

    next_token: str
    count: int


class Entity(msgspec.Struct, frozen=True):
    """A subject or resource that was found."""

    type: str
    id: str


class ActionName(msgspec.Struct, frozen=True):
    """An action that was found."""

    name: str


class EntitiesFound(msgspec.Struct, frozen=True):
    """What was found."""

    page: PageTold
    results: list[Entity]


class ActionsFound(msgspec.Struct, frozen=True):
    """What was found."""

    page: PageTold
    results: list[ActionName]


class Denial(msgspec.Struct, frozen=True):
    """The denial that access is requested for."""

    evaluation_id: str
    expires_at: str


class AccessRequest(Evaluation, frozen=True, kw_only=True):
    """What was denied, as it was evaluated, and what is said for it."""

    denial: Denial


class Cancelling(msgspec.Struct, frozen=True):
    """Why it is taken back."""

    reason: str = ""
    comment: str = ""


class AccessTask(msgspec.Struct, frozen=True):
    """Where an access request stands."""

    id: str
    status: str
    status_endpoint: str
    expires_at: str
    links: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    display: dict[str, str] | msgspec.UnsetType = msgspec.UNSET


class AccessStatus(msgspec.Struct, frozen=True):
    """An access request, and how to go on once it is approved."""

    task: AccessTask
    result: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class Metadata(msgspec.Struct, frozen=True):
    """What this decision point can do and where."""

    policy_decision_point: str
    access_evaluation_endpoint: str
    access_evaluations_endpoint: str
    search_subject_endpoint: str
    search_resource_endpoint: str
    search_action_endpoint: str
    access_request_endpoint: str
    supported_obligations: list[str]
    capabilities: list[str]
