"""What doors and approvers are answered with, as it is described."""

from typing import Annotated, Any

import msgspec

from remit.model.break_glass import OpenGlass
from remit.model.caller import Proof, Role
from remit.model.kill import Kill
from remit.server.api.enforcing import MAX_WAIT


class Stands(msgspec.Struct, frozen=True):
    """Whether the permit may be used now; true at most once."""

    stands: bool


class Reported(msgspec.Struct, frozen=True):
    """The report as it is on record."""

    decision: str
    status: str


class Watching(msgspec.Struct, frozen=True):
    """Since which revision, and how long to wait for another (seconds)."""

    since: Annotated[float, msgspec.Meta(ge=-1, le=2.0**53)] = -1
    wait: Annotated[float, msgspec.Meta(ge=0, le=MAX_WAIT)] = 0


class Watched(msgspec.Struct, frozen=True):
    """The count of administrative changes, the mode of the published bundle, the kills in force, and what is open as break-glass."""

    revision: int
    mode: str
    kills: list[Kill]
    break_glass: list[OpenGlass]


class Taken(msgspec.Struct, frozen=True):
    """Who the caller is taken for: a name, the agent if it is one, roles, and how that was shown."""

    name: str
    agent: str | None
    roles: list[Role]
    proof: Proof


class Enrolled(msgspec.Struct, frozen=True):
    """The token of the first administrator, and how long it lasts."""

    token: str
    name: str
    roles: list[Role]
    seconds: int


class Keys(msgspec.Struct, frozen=True):
    """Public keys (RFC 7517), each for signatures by ES256."""

    keys: list[dict[str, str]]


class IssuerDescribed(msgspec.Struct, frozen=True):
    """An issuer (RFC 8414): its name, as `iss` has it, and where its keys are. There is no way to get a token by OAuth."""

    issuer: str
    jwks_uri: str
    response_types_supported: list[str]
    grant_types_supported: list[str]


class Waiting(msgspec.Struct, frozen=True):
    """How long to wait for the answer (seconds)."""

    wait: Annotated[float, msgspec.Meta(ge=0, le=MAX_WAIT)] = 0


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """An access request; `tool` names the tool, or else the resource, that it is for. `flows_by` has who granted its data flows, and to how
    many calls each (null: until the task ends), `granted` those that were granted with it. Those who may not look are told its id and
    state, in words that name nobody why an approval that was given would not count now (`lapsed`), and what whoever denied it says
    (`why`)."""

    id: str
    state: str
    decision: str | msgspec.UnsetType = msgspec.UNSET
    task: str | msgspec.UnsetType | None = msgspec.UNSET
    agent: str | msgspec.UnsetType = msgspec.UNSET
    tool: str | msgspec.UnsetType = msgspec.UNSET
    rule: str | msgspec.UnsetType = msgspec.UNSET
    opened: int | msgspec.UnsetType = msgspec.UNSET
    expires: int | msgspec.UnsetType = msgspec.UNSET
    resolver: str | msgspec.UnsetType = msgspec.UNSET
    people: int | msgspec.UnsetType = msgspec.UNSET
    approved_by: list[str] | msgspec.UnsetType = msgspec.UNSET
    flows_by: dict[str, int | None] | msgspec.UnsetType = msgspec.UNSET
    granted: list[str] | msgspec.UnsetType = msgspec.UNSET
    escalated: int | msgspec.UnsetType = msgspec.UNSET
    told: list[str] | msgspec.UnsetType = msgspec.UNSET
    group: str | msgspec.UnsetType = msgspec.UNSET
    alike: int | msgspec.UnsetType = msgspec.UNSET
    lapsed: str | msgspec.UnsetType = msgspec.UNSET
    why: str | msgspec.UnsetType = msgspec.UNSET
    look_closely: list[str] | msgspec.UnsetType = msgspec.UNSET
    shown: dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET
    submitted: dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET


class Called(msgspec.Struct, frozen=True):
    """The access request that a callback answered, as it stands now."""

    id: str
    state: str
