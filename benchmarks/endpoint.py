"""The program that the service is compared to: a bare ASGI endpoint that asks cedarpy what the service would ask, and keeps nothing.

It takes policies, entities and the rest of the context from a store with what the service decides by.
"""

import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cedarpy
import msgspec
import uvicorn

from benchmarks import asking
from benchmarks.furnishing import expect_permit, opened
from remit.local.wiring import Embedded
from remit.model.identity import AgentId
from remit.pdp.locus import locus_of
from remit.server.api.messages import request_of

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_Ask = Callable[[dict[str, Any]], Any]


def slices(embedded: Embedded, session: dict[str, str]) -> dict[str, _Ask]:
    """For each resource how cedarpy is asked: the policies that match, the entities they reach, and the context but for the arguments."""
    asked = [kind(session) for kind in (asking.small, asking.wide, asking.person)]
    return {message["resource"]["id"]: _slice(embedded, message) for message in asked}


def _slice(embedded: Embedded, message: dict[str, Any]) -> _Ask:
    request, view = request_of(message), embedded.runtime.view
    basis = expect_permit(embedded.evaluate(request).result()).basis
    agent = view.agent(AgentId(request.subject.id)) if request.subject.type == "Agent" else None
    assert view.bundle is not None
    locus = locus_of(view.bundle, agent, request)
    principal, action, resource = locus.uids
    policies, entities = locus.slice.handle.handle, cedarpy.Entities(locus.entities)
    context: dict[str, Any] = _decode(basis.read)

    def ask(arguments: dict[str, Any]) -> Any:
        given = {"principal": principal, "action": action, "resource": resource, "context": {**context, "args": arguments}}
        return cedarpy.is_authorized(given, policies, entities)

    assert ask(message["action"]["properties"]).allowed, "the bare engine must permit what the service permits"
    return ask


def application(asks: dict[str, _Ask]) -> Any:
    """The endpoint."""

    async def app(_scope: dict[str, Any], receive: Any, send: Any) -> None:
        body = (await receive())["body"]
        message = _decode(body)
        found = asks[message["resource"]["id"]](message["action"]["properties"])
        told = _encode({"decision": found.allowed, "context": {"reason": sorted(found.diagnostics.reasons)}})
        headers: Sequence[tuple[bytes, bytes]] = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(told))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": told})

    return app


def main(home: Path, task: str, session: str) -> None:
    """Serve on a free port until killed."""
    with opened(home) as embedded:
        app = application(slices(embedded, {"task": task, "session": session}))
    config = uvicorn.Config(
        app, lifespan="off", ws="none", log_config=None, access_log=False, server_header=False, proxy_headers=False
    )
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as taken:
        print(f"listening on http://127.0.0.1:{taken.getsockname()[1]}", flush=True)
        uvicorn.Server(config).run(sockets=[taken])


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
