"""Each kind of entry as the OCSF event that fits it; docs/ocsf.md says why."""

from typing import Any, assert_never

from remit.decision_log.entry import (
    AgentChanged,
    ApprovalRequested,
    ApprovalResolved,
    ApprovalSubmitted,
    BundlePublished,
    DecisionMade,
    EntryBody,
    FlowGranted,
    GroupChanged,
    KeyDestroyed,
    KillReleased,
    KillSet,
    MemoryRaised,
    OutcomeSeen,
    PeopleImported,
    PersonChanged,
    PersonErased,
    SessionJoined,
    SessionOpened,
    TaskClosed,
    TaskOpened,
    TokenIssued,
    ToolApproved,
    ToolSeen,
    WriterOpened,
)
from remit.decision_log.ocsf import classes as ocsf
from remit.decision_log.ocsf.classes import Caption, Event
from remit.model.request import FILE_DELETE, FILE_READ, FILE_WRITE

_ACTIVITIES = {FILE_READ: ocsf.READ, FILE_WRITE: ocsf.UPDATE, FILE_DELETE: ocsf.DELETE}
_DENIED_SEVERITIES = {"low": ocsf.LOW, "moderate": ocsf.LOW, "high": ocsf.MEDIUM, "critical": ocsf.HIGH}
_STATUSES = {"succeeded": ocsf.SUCCESS, "failed": ocsf.FAILURE, "unknown": ocsf.UNKNOWN}
_AGENT_CHANGES = {"suspended": ocsf.SUSPEND, "retired": ocsf.DEACTIVATE}


def event_of(body: EntryBody, decision: DecisionMade | None) -> Event:
    """The event; `decision` is the one that an outcome is of."""
    match body:
        case DecisionMade():
            return _decision(body)
        case OutcomeSeen():
            return _outcome(body, decision)
        case ApprovalRequested():
            entity = _entity("Access Request", body.id)
            return _managed(ocsf.CREATE, entity, ("id",), None, correlation=body.decision)
        case ApprovalSubmitted():
            entity, by = _entity("Access Request", body.id), {"requester": body.requester}
            return _managed(ocsf.UPDATE, entity, ("id",), by, correlation=body.decision)
        case ApprovalResolved():
            entity, status = _entity("Access Request", body.id), Caption(ocsf.OTHER, body.state)
            by = {"operator": body.operator}
            return _managed(ocsf.UPDATE, entity, ("id", "state"), by, status=status, correlation=body.decision)
        case SessionOpened():
            return _session(body)
        case ToolSeen():
            return _managed(ocsf.CREATE, _entity("Tool Definition", body.digest), ("digest",), None, correlation=body.decision)
        case ToolApproved():
            entity, by = _entity("Tool Definition", body.digest), {"operator": body.operator}
            return _managed(ocsf.ACTIVATE, entity, ("digest",), by)
        case TokenIssued():
            return _managed(ocsf.CREATE, _entity("Token", body.id), ("id",), {"operator": body.operator}, correlation=body.task)
        case WriterOpened():
            app = {"name": "Remit", "vendor_name": "Remit", "version": body.version}
            return Event(ocsf.LIFECYCLE, ocsf.START, {"app": app}, ("version",))
        case SessionJoined():
            return Event(ocsf.BASE, Caption(ocsf.OTHER, "session.joined"), {}, ())
        case MemoryRaised():
            return Event(ocsf.BASE, Caption(ocsf.OTHER, "memory.raised"), {}, (), correlation=body.decision)
        case PersonChanged() | PersonErased() | PeopleImported() | GroupChanged():
            return _people(body)
        case _:
            return _administration(body)


def _administration(
    body: BundlePublished | AgentChanged | TaskOpened | TaskClosed | FlowGranted | KeyDestroyed | KillSet | KillReleased,
) -> Event:
    match body:
        case BundlePublished():
            policy = {"uid": body.digest, "name": body.name}
            entity = {"type_id": 5, "type": "Policy", "uid": body.digest, "name": body.name, "policy": policy}
            return _managed(ocsf.ACTIVATE, entity, ("digest", "name"), {"operator": body.operator})
        case AgentChanged():
            change = ocsf.CREATE if body.version == 1 else _AGENT_CHANGES.get(body.status, ocsf.UPDATE)
            return _managed(change, _entity("Agent", body.agent), ("agent",), {"operator": body.operator})
        case TaskOpened():
            return _managed(ocsf.CREATE, _entity("Task", body.task), ("task",), {"opener": body.opener}, correlation=body.task)
        case TaskClosed():
            by = {"operator": body.operator}
            return _managed(ocsf.DEACTIVATE, _entity("Task", body.task), ("task",), by, correlation=body.task)
        case FlowGranted():
            by = {"operator": body.operator}
            return _managed(ocsf.UPDATE, _entity("Task", body.task), ("task",), by, correlation=body.task)
        case KeyDestroyed():
            by = {"operator": body.operator}
            return _managed(ocsf.DELETE, _entity("Data Key", body.task), ("task",), by, correlation=body.task)
        case KillSet():
            return _kill(ocsf.SUSPEND, body, ocsf.HIGH)
        case KillReleased():
            return _kill(ocsf.RESUME, body, ocsf.INFORMATIONAL)
        case _:
            assert_never(body)


def _people(body: PersonChanged | PersonErased | PeopleImported | GroupChanged) -> Event:
    by = {"operator": body.operator}
    match body:
        case PersonChanged():
            change = ocsf.CREATE if body.version == 1 else ocsf.UPDATE if body.status == "active" else ocsf.DEACTIVATE
            return _managed(change, _entity("Person", body.person), ("person",), by)
        case PersonErased():
            return _managed(ocsf.DELETE, _entity("Person", body.person), ("person",), by)
        case PeopleImported():
            return _managed(ocsf.UPDATE, _entity("People", body.digest), ("digest",), by)
        case GroupChanged():
            change = ocsf.DELETE if body.removed else ocsf.CREATE if body.version == 1 else ocsf.UPDATE
            return _managed(change, _entity("People Group", body.group), ("group",), by)


def _decision(body: DecisionMade) -> Event:
    permitted = body.effect == "permit"
    action, disposition = ocsf.ALLOWED, ocsf.LET_THROUGH
    if not permitted:
        action, disposition = (ocsf.DENIED, ocsf.BLOCKED) if body.enforced else (ocsf.OBSERVED, ocsf.LOGGED)
    attributes = {
        **_call(body),
        "action_id": action.id,
        "action": action.name,
        "disposition_id": disposition.id,
        "disposition": disposition.name,
        "policy": {"uid": body.bundle, "is_applied": body.enforced},
        "authorizations": [{"decision": body.effect, "policy": {"uid": policy}} for policy in body.policies],
        "status_code": body.reason,
    }
    carries = ("id", "reason", "subject", "action", "resource_type", "resource", "bundle", "policies", "session")
    return Event(
        ocsf.CALL,
        _activity(body),
        attributes,
        carries,
        status=ocsf.SUCCESS if permitted else ocsf.FAILURE,
        severity=ocsf.INFORMATIONAL if permitted else _DENIED_SEVERITIES.get(body.tier, ocsf.HIGH),
        correlation=body.id,
        profiles=("security_control",),
    )


def _outcome(body: OutcomeSeen, decision: DecisionMade | None) -> Event:
    call = {"actor": {"app_name": "Remit"}, "api": {"operation": "unknown", "request": {"uid": body.decision}}}
    return Event(
        ocsf.CALL,
        _activity(decision) if decision else ocsf.UNKNOWN,
        _call(decision) if decision else call,
        ("decision",),
        status=_STATUSES.get(body.status) or Caption(ocsf.OTHER, body.status),
        severity=ocsf.INFORMATIONAL if body.status != "unknown" else ocsf.LOW,
        correlation=body.decision,
    )


def _activity(body: DecisionMade) -> Caption:
    return _ACTIVITIES.get(body.action) or Caption(ocsf.OTHER, body.action)


def _call(body: DecisionMade) -> dict[str, Any]:
    actor: dict[str, Any] = {"user": _agent(body.subject)}
    if body.session is not None:
        actor["session"] = {"uid": body.session}
    resource = {"uid": body.resource, "name": body.resource, "type": body.resource_type, "role_id": 1, "role": "Target"}
    return {
        "actor": actor,
        "api": {"operation": body.action, "request": {"uid": body.id}},
        "resources": [resource],
    }


def _session(body: SessionOpened) -> Event:
    attributes = {"user": _agent(body.agent), "session": {"uid": body.session}, "privileges": [f"task {body.task}"]}
    return Event(ocsf.SESSION, ocsf.ASSIGN, attributes, ("session", "agent"), correlation=body.task)


def _kill(activity: Caption, body: KillSet | KillReleased, severity: Caption) -> Event:
    entity = _entity(body.target, body.name or "everything")
    attributes = {"entity": entity, "comment": body.why, "actor": {"user": _person(body.operator)}}
    return Event(ocsf.ENTITY, activity, attributes, ("target", "name", "why", "operator"), severity=severity)


def _managed(
    activity: Caption,
    entity: dict[str, Any],
    carries: tuple[str, ...],
    by: dict[str, str] | None,
    *,
    status: Caption = ocsf.SUCCESS,
    correlation: str | None = None,
) -> Event:
    """Something that is administered; `by` is the field that names who did it, and what it says."""
    attributes: dict[str, Any] = {"entity": entity}
    for field, person in (by or {}).items():
        attributes["actor"] = {"user": _person(person)}
        carries = (*carries, field)
    return Event(ocsf.ENTITY, activity, attributes, carries, status=status, correlation=correlation)


def _entity(type: str, uid: str) -> dict[str, Any]:
    return {"type_id": ocsf.OTHER, "type": type, "uid": uid}


def _agent(name: str) -> dict[str, Any]:
    return {"uid": name, "name": name.rpartition("::")[2], "type_id": 4, "type": "Service"}


def _person(name: str) -> dict[str, Any]:
    return {"uid": name, "name": name, "type_id": 1, "type": "User"}
