"""Routes of the decision API (AuthZEN 1.0) and of access requests."""

from typing import Any

from remit.server.api import access, issuing, readiness, requests
from remit.server.api.metadata import metadata
from remit.server.api.metrics import PATH as METRICS
from remit.server.api.metrics import metrics
from remit.server.api.requestable import REQUESTS
from remit.server.openapi import authzen as az
from remit.server.openapi import doors
from remit.server.openapi.operation import Operation, Repeated
from remit.server.openapi.served import served

TAG, ACCESS = "decisions", "access requests"
TASK_HEADERS = {
    "Remit-Task": "a task token, which says in which task the agent asks",
    "Remit-Task-Key": "the thumbprint of the key whose possession an enforcement point has seen its caller prove",
}


DECIDING = (
    Operation(
        method="POST",
        path="/access/v1/evaluation",
        endpoint=access.evaluation,
        tag=TAG,
        body=az.Evaluation,
        answer=az.Decision,
        repeated=Repeated.ITSELF,
        fails=(429,),
        headers=TASK_HEADERS,
    ),
    Operation(
        method="POST",
        path="/access/v1/evaluations",
        endpoint=access.evaluations,
        tag=TAG,
        body=az.Evaluations,
        answer=az.Decisions,
        headers=TASK_HEADERS,
    ),
    Operation(
        method="POST",
        path="/access/v1/search/subject",
        endpoint=access.search_subject,
        fails=(429,),
        tag=TAG,
        body=az.SubjectSearch,
        answer=az.EntitiesFound,
        headers=TASK_HEADERS,
    ),
    Operation(
        method="POST",
        path="/access/v1/search/resource",
        endpoint=access.search_resource,
        fails=(429,),
        tag=TAG,
        body=az.ResourceSearch,
        answer=az.EntitiesFound,
        headers=TASK_HEADERS,
    ),
    Operation(
        method="POST",
        path="/access/v1/search/action",
        endpoint=access.search_action,
        fails=(429,),
        tag=TAG,
        body=az.ActionSearch,
        answer=az.ActionsFound,
        headers=TASK_HEADERS,
    ),
    Operation(
        method="POST",
        path=REQUESTS,
        endpoint=requests.submission,
        tag=ACCESS,
        body=az.AccessRequest,
        answer=az.AccessStatus,
        status=202,
        also=(201,),
        repeated=Repeated.ITSELF,
        fails=(404, 409, 410),
    ),
    Operation(
        method="GET",
        path=f"{REQUESTS}/{{id}}",
        endpoint=requests.status,
        tag=ACCESS,
        answer=az.AccessStatus,
        headers={"Prefer": "`wait=SECONDS` (RFC 7240): answer once somebody has"},
        fails=(429,),
    ),
    Operation(
        method="POST",
        path=f"{REQUESTS}/{{id}}/cancel",
        endpoint=requests.cancellation,
        tag=ACCESS,
        body=az.Cancelling,
        bodiless=True,
        answer=az.AccessStatus,
        fails=(409,),
    ),
    Operation(method="GET", path="/.well-known/authzen-configuration", endpoint=metadata, tag=TAG, answer=az.Metadata, open=True),
    Operation(method="GET", path=issuing.KEYS, endpoint=issuing.keys, tag="server", answer=doors.Keys, open=True),
    Operation(
        method="GET",
        path="/.well-known/oauth-authorization-server",
        endpoint=issuing.issuer,
        tag="server",
        answer=doors.IssuerDescribed,
        open=True,
    ),
    Operation(method="GET", path="/healthz", endpoint=readiness.lives, tag="server", answer=str, open=True),
    Operation(method="GET", path="/readyz", endpoint=readiness.ready, tag="server", answer=str, open=True),
    Operation(method="GET", path=METRICS, endpoint=metrics, tag="server", answer=str),
    Operation(method="GET", path="/v1/openapi.json", endpoint=served, tag="server", answer=dict[str, Any], open=True),
)
