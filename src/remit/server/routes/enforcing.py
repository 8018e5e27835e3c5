"""Routes of doors without a store, and of the approver's inbox."""

from remit.local import enrolment
from remit.model.task import Session
from remit.server.api import approvals, callback, enforcing, tasks
from remit.server.api.enrolment import Enrolling, enrolled
from remit.server.openapi import doors
from remit.server.openapi.operation import Operation, Repeated
from remit.server.paging import Page
from remit.server.reading import Nothing

TASKS, DOORS, INBOX = "tasks", "enforcement", "approvals"

ENFORCING = (
    Operation(
        method="GET",
        path="/v1/approvals",
        endpoint=approvals.listed,
        tag=INBOX,
        query=approvals.ApprovalsWanted,
        answer=Page[doors.Approval],
    ),
    # Signed by its sender instead of a token, and good once by its signature.
    Operation(
        method="POST",
        path="/v1/approvals/callback",
        endpoint=callback.called,
        tag=INBOX,
        body=callback.CallbackAnswer,
        answer=doors.Called,
        fails=(401, 403, 404, 409),
        open=True,
    ),
    Operation(
        method="GET",
        path="/v1/approvals/{id}",
        endpoint=approvals.shown,
        tag=INBOX,
        query=doors.Waiting,
        answer=doors.Approval,
        fails=(429,),
    ),
    Operation(
        method="POST",
        path="/v1/approvals/{id}/answer",
        endpoint=approvals.answered,
        tag=INBOX,
        body=approvals.Answer,
        answer=doors.Approval,
        repeated=Repeated.ONCE,
        fails=(409,),
    ),
    Operation(
        method="POST",
        path="/v1/tasks",
        endpoint=tasks.open_,
        tag=TASKS,
        body=tasks.NewTask,
        answer=tasks.OpenedTask,
        repeated=Repeated.ONCE,
        fails=(404, 409),
    ),
    Operation(method="GET", path="/v1/tasks/{id}", endpoint=tasks.task, tag=TASKS, answer=tasks.TaskSeen),
    Operation(
        method="POST",
        path="/v1/tasks/{id}/close",
        endpoint=tasks.close,
        tag=TASKS,
        body=Nothing,
        answer=tasks.ClosedTask,
        repeated=Repeated.ONCE,
        fails=(409,),
    ),
    Operation(
        method="POST",
        path="/v1/tasks/{id}/sessions",
        endpoint=tasks.begin,
        tag=TASKS,
        body=Nothing,
        answer=Session,
        repeated=Repeated.ONCE,
        fails=(409,),
    ),
    Operation(method="GET", path="/v1/sessions/{id}", endpoint=tasks.session, tag=TASKS, answer=Session),
    Operation(
        method="POST",
        path="/v1/sessions/{id}/resume",
        endpoint=tasks.resume,
        tag=TASKS,
        body=Nothing,
        answer=Session,
        repeated=Repeated.ONCE,
        fails=(409,),
    ),
    Operation(
        method="POST",
        path="/v1/sessions/{id}/inherit",
        endpoint=tasks.inherit,
        tag=TASKS,
        body=tasks.Inheriting,
        answer=Session,
        repeated=Repeated.ONCE,
        fails=(409,),
    ),
    # A permit is used once, so its use is not repeated under any key; a report can be said again as it is.
    Operation(method="POST", path="/v1/decisions/{id}/act", endpoint=enforcing.act, tag=DOORS, body=Nothing, answer=doors.Stands),
    Operation(
        method="POST",
        path="/v1/decisions/{id}/outcome",
        endpoint=enforcing.outcome,
        tag=DOORS,
        body=enforcing.Report,
        answer=doors.Reported,
        fails=(409,),
    ),
    Operation(method="GET", path="/v1/caller", endpoint=enforcing.caller, tag=DOORS, answer=doors.Taken),
    # Its code is good once, so no key makes it good again.
    Operation(
        method="POST",
        path=enrolment.PATH,
        endpoint=enrolled,
        tag=DOORS,
        body=Enrolling,
        answer=doors.Enrolled,
        fails=(403,),
        open=True,
    ),
    Operation(
        method="GET",
        path="/v1/watch",
        endpoint=enforcing.watch,
        tag=DOORS,
        query=doors.Watching,
        answer=doors.Watched,
        fails=(429,),
    ),
)
