"""Each kind of entry as the OCSF event that fits it; docs/ocsf.md says why."""

from typing import Any, assert_never

from remit.decision_log.entry import (
    AgentChanged,
    ApprovalEscalated,
    ApprovalGiven,
    ApprovalRequested,
    ApprovalResolved,
    ApprovalSubmitted,
    BackupTaken,
    BreakGlassAsked,
    BreakGlassEnded,
    BreakGlassReviewed,
    BreakGlassStarted,
    BreakGlassUsed,
    BundlePublished,
    DecisionMade,
    EntryBody,
    FlowGranted,
    GroupChanged,
    IssuerRotated,
    KeyDestroyed,
    KillReleased,
    KillSet,
    LogRestored,
    MemoryRaised,
    OutcomeSeen,
    PeopleConfirmed,
    PeopleImported,
    PersonChanged,
    PersonErased,
    PersonReadmitted,
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
        case ApprovalRequested() | ApprovalSubmitted() | ApprovalGiven() | ApprovalEscalated() | ApprovalResolved():
            return _request(body)
        case SessionOpened():
            return _session(body)
        case ToolSeen():
            return _managed(ocsf.CREATE, _entity("Tool Definition", body.digest), ("digest",), None, correlation=body.decision)
        case ToolApproved():
            entity, by = _entity("Tool Definition", body.digest), {"operator": body.operator}
            return _managed(ocsf.ACTIVATE, entity, ("digest",), by)
        case TokenIssued():
            return _managed(ocsf.CREATE, _entity("Token", body.id), ("id",), {"operator": body.operator}, correlation=body.task)
        case IssuerRotated():
            severity = ocsf.HIGH if body.refused else ocsf.INFORMATIONAL
            entity, by = _entity("Signing Key", body.key), {"operator": body.operator}
            return _managed(ocsf.DEACTIVATE, entity, ("key",), by, severity=severity)
        case WriterOpened():
            app = {"name": "Remit", "vendor_name": "Remit", "version": body.version}
            return Event(ocsf.LIFECYCLE, ocsf.START, {"app": app}, ("version",))
        case BreakGlassAsked() | BreakGlassStarted() | BreakGlassUsed() | BreakGlassEnded() | BreakGlassReviewed():
            return _break_glass(body)
        case SessionJoined():
            return Event(ocsf.BASE, Caption(ocsf.OTHER, "session.joined"), {}, ())
        case MemoryRaised():
            return Event(ocsf.BASE, Caption(ocsf.OTHER, "memory.raised"), {}, (), correlation=body.decision or None)
        case PersonChanged() | PersonErased() | PersonReadmitted() | PeopleImported() | PeopleConfirmed() | GroupChanged():
            return _people(body)
        case _:
            return _administration(body)


def _request(
    body: ApprovalRequested | ApprovalSubmitted | ApprovalGiven | ApprovalEscalated | ApprovalResolved,
) -> Event:
    entity, about = _entity("Access Request", body.id), body.decision
    match body:
        case ApprovalRequested():
            return _managed(ocsf.CREATE, entity, ("id",), None, correlation=about)
        case ApprovalSubmitted():
            return _managed(ocsf.UPDATE, entity, ("id",), {"requester": body.requester}, correlation=about)
        case ApprovalGiven():
            return _managed(ocsf.UPDATE, entity, ("id",), {"operator": body.operator}, correlation=about)
        case ApprovalEscalated():
            return _managed(ocsf.UPDATE, entity, ("id",), None, correlation=about)
        case ApprovalResolved():
            by = {"operator": body.operator} if body.operator else None
            return _managed(ocsf.UPDATE, entity, ("id", "state"), by, status=Caption(ocsf.OTHER, body.state), correlation=about)
        case _:
            assert_never(body)


def _administration(
    body: BundlePublished
    | AgentChanged
    | TaskOpened
    | TaskClosed
    | FlowGranted
    | KeyDestroyed
    | KillSet
    | KillReleased
    | BackupTaken
    | LogRestored,
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
        case BackupTaken():
            severity = ocsf.HIGH if body.keys else ocsf.INFORMATIONAL
            by = {"operator": body.operator}
            return _managed(ocsf.READ, _entity("Backup", body.backup), ("backup",), by, severity=severity)
        case LogRestored():
            by = {"operator": body.operator}
            return _managed(ocsf.UPDATE, _entity("Decision Log", body.backup), ("backup",), by, severity=ocsf.HIGH)
        case _:
            assert_never(body)


def _people(
    body: PersonChanged | PersonErased | PersonReadmitted | PeopleImported | PeopleConfirmed | GroupChanged,
) -> Event:
    by = {"operator": body.operator}
    match body:
        case PersonChanged():
            change = ocsf.CREATE if body.version == 1 else ocsf.UPDATE if body.status == "active" else ocsf.DEACTIVATE
            return _managed(change, _entity("Person", body.person), ("person",), by)
        case PersonErased():
            return _managed(ocsf.DELETE, _entity("Person", body.person), ("person",), by)
        case PersonReadmitted():
            return _managed(ocsf.RESUME, _entity("Person", body.person), ("person",), by)
        case PeopleConfirmed():
            return _managed(ocsf.UPDATE, _entity("People", body.source or "all"), (), by)
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
        severity=_severity(body),
        correlation=body.id,
        profiles=("security_control",),
    )


def _severity(body: DecisionMade) -> Caption:
    if body.effect == "permit":
        return ocsf.HIGH if body.break_glass else ocsf.INFORMATIONAL
    return _DENIED_SEVERITIES.get(body.tier, ocsf.HIGH)


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


def _break_glass(
    body: BreakGlassAsked | BreakGlassStarted | BreakGlassUsed | BreakGlassEnded | BreakGlassReviewed,
) -> Event:
    """Loud from the asking to the end of the review: an alert on this severity misses none of it."""
    attributes: dict[str, Any] = {"entity": _entity("Break-Glass", body.id)}
    carries: tuple[str, ...] = ("id",)
    status = ocsf.SUCCESS
    match body:
        case BreakGlassUsed():
            return Event(ocsf.ENTITY, ocsf.UPDATE, attributes, carries, severity=ocsf.HIGH, correlation=body.decision)
        case BreakGlassAsked():
            activity, carries = ocsf.CREATE, ("id", "reason")
            attributes["comment"] = body.reason
        case BreakGlassStarted():
            activity = ocsf.ACTIVATE
        case BreakGlassEnded():
            activity, carries = ocsf.DEACTIVATE, ("id", "why")
            attributes["comment"] = body.why
        case BreakGlassReviewed():
            activity, carries, status = ocsf.UPDATE, ("id", "verdict", "comment"), Caption(ocsf.OTHER, body.verdict)
            attributes["comment"] = body.comment
        case _:
            assert_never(body)
    attributes["actor"] = {"user": _person(body.operator)}
    return Event(
        ocsf.ENTITY, activity, attributes, (*carries, "operator"), status=status, severity=ocsf.HIGH, correlation=body.id
    )


def _managed(
    activity: Caption,
    entity: dict[str, Any],
    carries: tuple[str, ...],
    by: dict[str, str] | None,
    *,
    status: Caption = ocsf.SUCCESS,
    severity: Caption = ocsf.INFORMATIONAL,
    correlation: str | None = None,
) -> Event:
    """Something that is administered; `by` is the field that names who did it, and what it says."""
    attributes: dict[str, Any] = {"entity": entity}
    for field, person in (by or {}).items():
        attributes["actor"] = {"user": _person(person)}
        carries = (*carries, field)
    return Event(ocsf.ENTITY, activity, attributes, carries, status=status, severity=severity, correlation=correlation)


def _entity(type: str, uid: str) -> dict[str, Any]:
    return {"type_id": ocsf.OTHER, "type": type, "uid": uid}


def _agent(name: str) -> dict[str, Any]:
    return {"uid": name, "name": name.rpartition("::")[2], "type_id": 4, "type": "Service"}


def _person(name: str) -> dict[str, Any]:
    return {"uid": name, "name": name, "type_id": 1, "type": "User"}
