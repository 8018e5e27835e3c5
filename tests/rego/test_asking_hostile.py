"""Attacks on asking an OPA server: many callers at once, and callers that go away."""

import asyncio
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from remit.model.decision import Permit, Reason
from remit.model.identity import SessionId
from remit.runtime.line import Line
from tests.conftest import OpenStore
from tests.rego.bundles import made
from tests.rego.test_opa_hostile import YES, answering, body_of, serving
from tests.runtime.world import asked, reason

TOOLS = '[{"name": "look", "annotations": {"effect": "read", "reach": "internal"}}]'


def _silent(connection: socket.socket) -> None:
    while body_of(connection) is not None:
        pass


def _slow(connection: socket.socket) -> None:
    while body_of(connection) is not None:
        time.sleep(0.02)
        connection.sendall(answering(YES, provenance={"version": "1"}))


@pytest.mark.sqlite
def test_no_caller_waits_longer_than_was_said_for_others(open_store: OpenStore) -> None:
    """docs/rego.md: "No answer within `seconds` …: denied"; but 48 awaiting callers stand in line for a handful of threads."""
    with serving(_silent) as url:
        world = open_store(bundle=made({"tools.yaml": TOOLS}, opa={"url": url, "seconds": 1}))
        sessions = [world.open_session() for _ in range(48)]

        async def timed(session: Any) -> tuple[Any, float]:
            begun = time.monotonic()
            return await world.embedded.evaluate(asked(session, "look")), time.monotonic() - begun

        async def ask_all() -> list[tuple[Any, float]]:
            return await asyncio.gather(*map(timed, sessions))

        answers = asyncio.run(ask_all())
        assert {reason(answer) for answer, _ in answers} == {Reason.ENGINE_UNAVAILABLE}
        assert max(took for _, took in answers) < 5, "a handful at a time, they take eight seconds"


@pytest.mark.sqlite
def test_many_calls_in_one_session_are_answered(open_store: OpenStore) -> None:
    """A server's own policies see all of a session, whose counters move with each decision: each commit makes all others ask again."""
    with serving(_slow) as url:
        world = open_store(bundle=made({"tools.yaml": TOOLS}, opa={"url": url, "seconds": 5}))
        session = world.open_session()
        with ThreadPoolExecutor(24) as pool:
            answers = list(pool.map(lambda _: world.ask(session, "look"), range(48)))
        refused = [answer.message for answer in answers if not isinstance(answer, Permit)]
        assert not refused, f"{len(refused)} of 48: {refused[0]}"


@pytest.mark.sqlite
def test_what_cedar_read_is_on_record_beside_rego(open_store: OpenStore) -> None:
    """docs/rego.md: "Only what policies read is sent to the engine and logged": of a bundle in both, only Rego's half is."""
    files = {
        "policies/a.cedar": '@id("few") forbid (principal, action, resource) when { context.args.n > 10 };',
        "policies/b.rego": "package remit\n\nimport rego.v1\n\n"
        'permit contains {"id": "p"} if input.resource.id == "look"\nforbid := set()\n',
        "tools.yaml": TOOLS,
    }
    world = open_store(bundle=made(files))
    answer = world.ask(world.open_session(), "look", {"n": 50})
    assert reason(answer) is Reason.FORBIDDEN
    assert b"50" in answer.basis.read and b"look" in answer.basis.read, answer.basis.read


def test_who_leaves_before_waiting_holds_up_nobody() -> None:
    gone, next_ = Line(1, SessionId("ses_a")), Line(1, SessionId("ses_a"))
    gone.leave()
    gone.wait(1)
    next_.wait(1)
    assert next_.first and not gone.first
    next_.leave()
    assert not next_.taken
