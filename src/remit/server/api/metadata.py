"""What this decision point can do and where (AuthZEN 1.0, section on metadata)."""

from starlette.requests import Request
from starlette.responses import Response

from remit.server.api.requestable import CAPABILITY, REQUESTS
from remit.server.responding import answer


async def metadata(request: Request) -> Response:
    """`GET /.well-known/authzen-configuration`: what this decision point can do and where."""
    base: str = request.app.state.url
    return answer(
        {
            "policy_decision_point": base,
            "access_evaluation_endpoint": f"{base}/access/v1/evaluation",
            "access_evaluations_endpoint": f"{base}/access/v1/evaluations",
            "search_subject_endpoint": f"{base}/access/v1/search/subject",
            "search_resource_endpoint": f"{base}/access/v1/search/resource",
            "search_action_endpoint": f"{base}/access/v1/search/action",
            "access_request_endpoint": f"{base}{REQUESTS}",
            "supported_obligations": ["custom"],
            "capabilities": [CAPABILITY],
        }
    )
