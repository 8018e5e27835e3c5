"""Tokens of Remit's own issuer, and the key that signs them: recorded first, then handed out, or exchanged."""

from collections.abc import Iterable
from typing import Any

from remit.authentication.jose.compact import MAX_BYTES, read_compact
from remit.credentials.minting import TokenIssuer
from remit.decision_log.entry import IssuerRotated, TokenIssued
from remit.local.wiring import Embedded
from remit.model.caller import Role
from remit.model.clock import SECOND
from remit.model.errors import malformed, not_found, refused
from remit.model.identity import AgentId, AgentStatus, Operator, SessionId, TaskId
from remit.model.task import TaskStatus
from remit.runtime.administration import begin_rotation, hand_out
from remit.runtime.pending import Driven


def agent_token(
    embedded: Embedded, own: TokenIssuer, agent: AgentId, seconds: int, key: dict[str, Any] | None, by: Operator
) -> str:
    """A token that says who a registered agent is. Raises `RemitError`: not-found, refused for one that may not act."""
    _check_active(embedded, agent)
    return _recorded(embedded, own.agent_token(agent, own.name, seconds, key), by).result()


def operator_token(
    embedded: Embedded, own: TokenIssuer, name: str, roles: Iterable[Role], seconds: int, key: dict[str, Any] | None, by: Operator
) -> str:
    """A token that says who a person or a service is, and which roles they have. Raises `RemitError` (malformed)."""
    given = frozenset(roles)
    if not given or Role.AGENT in given:
        raise malformed(
            "say which roles: of an administrator, approver, reviewer, auditor, enforcement-point, provisioner or monitor"
        )
    return _recorded(embedded, own.operator_token(name, given, own.name, seconds, key), by).result()


def task_token(
    embedded: Embedded,
    own: TokenIssuer,
    task: TaskId,
    seconds: int,
    by: Operator,
    *,
    session: SessionId | None = None,
    thumbprint: str = "",
) -> Driven[str]:
    """A token that stands for an open task, bound to the key of this thumbprint (RFC 7638), if one is given.

    Raises `RemitError`: not-found, refused for a task that has ended, or of an agent that may not act.
    """
    state = embedded.store.task(task)
    if state is None:
        raise not_found(f"there is no task `{task}`")
    if state.task.status is not TaskStatus.OPEN:
        raise refused(f"task `{task}` is closed: nothing stands for it any more")
    _check_active(embedded, state.task.agent)
    about = state.task.id, state.task.agent, own.name, state.task.expires
    return _recorded(embedded, own.task_token(*about, seconds=seconds, session=session, thumbprint=thumbprint), by)


def rotate(embedded: Embedded, own: TokenIssuer, refuse: bool, by: Operator) -> tuple[str, str]:
    """Sign with a new key from now on, and tell the id of the old one and its; with `refuse`, no token that was made before stands.

    Raises `RemitError`.
    """
    before = []

    def record(old: str) -> None:
        begin_rotation(embedded.runtime, IssuerRotated(old, refuse, by.id, by.verified_by)).result()
        before.append(old)

    fresh = own.rotate(refuse=refuse, record=record)
    return before[0], fresh


def _check_active(embedded: Embedded, agent: AgentId) -> None:
    known = embedded.store.agent(agent)
    if known is None:
        raise not_found(f"agent `{agent}` is not registered: see `remit agent list`")
    if known.status is not AgentStatus.ACTIVE:
        raise refused(f"agent `{agent}` is {known.status.value}: it is given no token")


def _recorded(embedded: Embedded, token: str, by: Operator) -> Driven[str]:
    claims = read_compact(token, MAX_BYTES).claims
    issued = TokenIssued(
        claims["jti"],
        claims["sub"],
        tuple(claims.get("roles", ())),
        claims.get("task"),
        claims["aud"],
        claims["exp"] * SECOND,
        claims.get("cnf", {}).get("jkt", ""),
        by.id,
        by.verified_by,
    )
    return hand_out(embedded.runtime, issued, token)
