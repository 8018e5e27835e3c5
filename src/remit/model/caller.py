"""Who calls over a network: what was verified of them, and what they are to this deployment."""

from enum import StrEnum
from typing import Any

import msgspec

from remit.model.identity import AgentId, Operator, SessionId, TaskId


class Proof(StrEnum):
    """How a caller showed that a token is theirs."""

    BEARER = "bearer"
    """Not at all: whoever has the token can use it."""
    DPOP = "dpop"
    """By a signature over this very request (RFC 9449)."""
    MTLS = "mtls"
    """By the client certificate of this very connection (RFC 8705)."""
    VOUCHED = "vouched"
    """An enforcement point, which proved who it is, says whom it asks for."""
    NONE = "none"
    """Nobody was asked: a server for development."""


KEY_BOUND = frozenset({Proof.DPOP, Proof.MTLS})
"""Proofs that a thief of the token does not have."""


UNPROVEN = "nobody"
"""What vouches for the callers of a server for development."""


_AGENT = "agent:"
"""Before the issuer of an agent that calls: no issuer begins so, whatever names are like."""


class VerifiedToken(msgspec.Struct, frozen=True):
    """What a token says, once its signature, issuer, audience, times and proof of possession hold. Only `authentication` makes one.

    `issued` and `expires` are µs since the epoch; `key` is the thumbprint of the key that it is bound to (RFC 7638, or RFC 8705's
    `x5t#S256`), empty for a bearer token; `claims` is the whole claims set.
    """

    issuer: str
    subject: str
    audience: str
    issued: int
    expires: int
    proof: Proof
    id: str = ""
    key: str = ""
    claims: dict[str, Any] = {}


class Role(StrEnum):
    """What a caller is to this deployment; what each may do is policy."""

    ADMINISTRATOR = "administrator"
    APPROVER = "approver"
    REVIEWER = "reviewer"
    AUDITOR = "auditor"
    AGENT = "agent"
    ENFORCEMENT_POINT = "enforcement-point"
    """A door that asks about others: a gateway, a proxy."""
    PROVISIONER = "provisioner"
    """A service that says who is who: an identity provider (SCIM)."""
    MONITOR = "monitor"
    """What reads the server's metrics, and nothing else."""


class Caller(msgspec.Struct, frozen=True):
    """Somebody who calls, as far as it was proven. `agent` is who they are if they are an agent; `verified_by` is the issuer that says
    so. `task` is the one task that their token is for, and `session` its one
    session; None for one that is for no task."""

    name: str
    roles: frozenset[Role]
    verified_by: str
    proof: Proof
    agent: AgentId | None = None
    key: str = ""
    task: TaskId | None = None
    session: SessionId | None = None

    @property
    def id(self) -> str:
        """The caller as the log names it: by issuer and name; an agent is told from anybody else, whatever they are called."""
        return f"{_AGENT if self.agent is not None else ''}{self.verified_by}#{self.name}"

    @property
    def whole(self) -> str:
        """The caller with all that bounds them: what may be answered to one of these and to no other."""
        return "\n".join((self.id, self.proof, self.key, self.task or "", self.session or "", *sorted(self.roles)))

    @property
    def operator(self) -> Operator:
        """The caller as somebody outside of the agent."""
        return Operator(self.name, self.verified_by)


def is_agents(caller: str) -> bool:
    """Whether a caller on record (`Caller.id`) was an agent itself. Earlier versions wrote `ISSUER#agent:NAME`, as a door can be called."""
    # INVARIANT (fail closed): what can be either is taken for no agent.
    return caller.startswith(_AGENT)
