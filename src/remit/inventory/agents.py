"""Agents: registered with an owner and a purpose, suspended, resumed, retired. Pure steps; who commits them is above."""

import re

from msgspec.structs import replace

from remit.model.errors import conflict, malformed, not_found, refused
from remit.model.identity import Agent, AgentId, AgentStatus

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/-]{0,127}")


def checked_name(name: str, what: str) -> str:
    """A name that is safe to show, log and put into a policy. Raises `RemitError` (malformed)."""
    if not _NAME.fullmatch(name) or ".." in name:
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


def with_status(agent: Agent | None, name: str, status: AgentStatus) -> Agent:
    """The agent in another state. Raises `RemitError`: not-found, refused once retired, conflict if it is in that state."""
    if agent is None:
        raise not_found(f"agent `{name}` is not registered: see `remit agent list`")
    if agent.status is AgentStatus.RETIRED:
        raise refused(f"agent `{name}` is retired for good: register a new one")
    if agent.status is status:
        raise conflict(f"agent `{name}` is {status.value} already")
    return replace(agent, status=status, version=agent.version + 1)
