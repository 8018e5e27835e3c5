"""Agents: registered with an owner and a purpose, suspended, resumed, retired. Pure steps; who commits them is above."""

import re
from collections.abc import Iterable

from msgspec.structs import replace

from remit.model.errors import conflict, malformed, not_found, refused
from remit.model.identity import Agent, AgentId, AgentStatus

MAX_IDENTITY = 512
MAX_IDENTITIES = 32
_ISSUER = re.compile(r"(https?|remit)://[^\s#?]+")
_SPIFFE = re.compile(r"spiffe://[a-z0-9._-]+(/[A-Za-z0-9._-]+)+")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/-]{0,127}")


def checked_name(name: str, what: str) -> str:
    """A name that is safe to show, log and put into a policy. Raises `RemitError` (malformed)."""
    if not NAME.fullmatch(name) or ".." in name:
        raise malformed(
            f"{what} `{ascii(name)[1:-1][:80]}` is no name: use up to 128 letters, digits and `._:@/-`, beginning with a letter or digit"
        )
    return name


def registered(existing: Agent | None, name: str, owner: str, purpose: str, groups: tuple[str, ...]) -> Agent:
    """A new agent. Raises `RemitError` (conflict) if the name is taken, (malformed) if owner or purpose are missing."""
    if existing is not None:
        raise conflict(f"agent `{name}` is registered already (owner `{existing.owner}`, {existing.status.value})")
    if not purpose.strip():
        raise malformed(f"agent `{name}` needs a purpose in words: a reviewer must be able to judge it")
    for group in groups:
        checked_name(group, "group")
    return Agent(AgentId(checked_name(name, "agent")), checked_name(owner, "owner"), purpose.strip(), groups)


def checked_identity(identity: str) -> str:
    """What tokens say of an agent, in the form that is looked for. Raises `RemitError` (malformed)."""
    if len(identity) > MAX_IDENTITY or not identity.isascii() or not identity.isprintable():
        raise malformed(f"an identity has at most {MAX_IDENTITY} printable ASCII characters")
    issuer, sign, subject = identity.partition("#")
    if not (_SPIFFE.fullmatch(identity) or (_ISSUER.fullmatch(issuer) and sign and subject)):
        raise malformed(
            f"`{identity[:80]}` is no identity: write `ISSUER#SUBJECT` as tokens have them (`https://idp.example#client-7`), or a SPIFFE ID"
        )
    return identity


def with_identity(agent: Agent | None, name: str, identity: str) -> Agent:
    """The agent, which is known by this identity too. Raises `RemitError`: not-found, malformed, conflict if it has it, refused once
    retired or for too many."""
    changed = _still(agent, name)
    if checked_identity(identity) in changed.identities:
        raise conflict(f"agent `{name}` has the identity `{identity}` already")
    if len(changed.identities) >= MAX_IDENTITIES:
        raise refused(
            f"agent `{name}` has {MAX_IDENTITIES} identities, and more are hard to review: register an agent for each workload"
        )
    return replace(changed, identities=(*changed.identities, identity), version=changed.version + 1)


def without_identity(agent: Agent | None, name: str, identity: str) -> Agent:
    """The agent, which is known by this identity no more. Raises `RemitError` (not-found)."""
    if agent is None or identity not in agent.identities:
        raise not_found(f"agent `{name}` has no identity `{identity}`: see `remit agent show {name}`")
    return replace(agent, identities=tuple([one for one in agent.identities if one != identity]), version=agent.version + 1)


def check_alone(agent: Agent, others: Iterable[Agent]) -> None:
    """Nobody else has an identity of this agent's. Raises `RemitError` (conflict)."""
    # INVARIANT (authority enters from outside the agent): one identity is one agent.
    mine = set(agent.identities)
    for other in others if mine else ():
        if other.id != agent.id and not mine.isdisjoint(other.identities):
            shared = sorted(mine.intersection(other.identities))[0]
            raise conflict(f"the identity `{shared}` is agent `{other.id}`'s: take it from that one first")


def _still(agent: Agent | None, name: str) -> Agent:
    if agent is None:
        raise not_found(f"agent `{name}` is not registered: see `remit agent list`")
    if agent.status is AgentStatus.RETIRED:
        raise refused(f"agent `{name}` is retired for good: register a new one")
    return agent


def with_status(agent: Agent | None, name: str, status: AgentStatus) -> Agent:
    """The agent in another state. Raises `RemitError`: not-found, refused once retired, conflict if it is in that state."""
    changed = _still(agent, name)
    if changed.status is status:
        raise conflict(f"agent `{name}` is {status.value} already")
    return replace(changed, status=status, version=changed.version + 1)
