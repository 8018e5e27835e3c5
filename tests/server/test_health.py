"""Whether a server can decide: asked of it, and answered truly."""

import json
import sqlite3
import threading
import time
from urllib.parse import urlsplit

import pytest

from remit.model.decision import Reason
from remit.model.errors import STORE_FAILED
from remit.server.observing.figures import Figures
from remit.server.observing.trouble import AGAIN, Trouble
from remit.storage.sqlite.database import explain
from tests.conftest import OpenStore
from tests.faults.disk import DISK_FULL, FaultyConnection
from tests.postgres import Server
from tests.runtime.world import Clock, World, permit, reason
from tests.server.serving import Answer, Client, serving


def ready(client: Client) -> tuple[int, str]:
    answer = client.send("GET", "/readyz", None, {})
    return answer.status, answer.text.decode()


def full(world: World) -> FaultyConnection:
    """A disk that is full: what has nothing to write is committed all the same."""
    wrote = False

    def before(query: str) -> None:
        nonlocal wrote
        if query == "COMMIT" and wrote:
            raise DISK_FULL
        wrote = query.startswith(("INSERT", "UPDATE", "DELETE")) or (wrote and not query.startswith("BEGIN"))

    return FaultyConnection(world, before)


def test_one_that_can_decide_is_ready_and_leaves_nothing(world: World) -> None:
    before = len(world.entries())
    with serving(world.embedded) as client:
        assert ready(client) == (200, "ready\n")
    assert len(world.entries()) == before


def test_without_a_bundle_it_is_not(open_store: OpenStore) -> None:
    with serving(open_store(again=True).embedded) as client:
        status, text = ready(client)
        assert status == 503 and "bundle" in text
        assert client.send("GET", "/healthz", None, {}).status == 200


@pytest.mark.sqlite
def test_without_its_store_it_is_not_until_it_is_back_and_strangers_are_not_told_where_that_is(world: World) -> None:
    with serving(world.embedded) as client:
        disk = full(world)
        status, text = ready(client)
        assert status == 503 and "the store cannot be written" in text and "full" not in text and str(world.home) not in text
        disk.mend()
        time.sleep(1.1)
        assert ready(client)[0] == 200


def test_by_a_clock_that_went_back_it_is_not_until_it_has_caught_up(
    world: World, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    figures = Figures()
    figures.follow(world.embedded)
    permit(world.ask(None, "free"))
    clock.forward(-0.9)
    with serving(world.embedded, figures=figures) as client:
        assert ready(client)[0] == 200, "so far time services set it back"
        clock.forward(-3600)
        time.sleep(1.1)
        status, text = ready(client)
        assert status == 503 and "the clock is 3600.9 s behind the last decision: set it right" in text
        assert reason(world.ask(None, "free")) is Reason.CLOCK_BACKWARDS
        said = [record.getMessage() for record in caplog.records if record.name == "remit.server"]
        assert len(said) == 1 and said[0].startswith("nothing can be decided: the clock is 3600.9 s behind")
        clock.forward(3601)
        permit(world.ask(None, "free"))
        time.sleep(1.1)
        assert ready(client)[0] == 200
    figures.leave(world.embedded)


@pytest.mark.sqlite
def test_that_nothing_can_be_decided_is_said_once_and_when_it_is_over(world: World, caplog: pytest.LogCaptureFixture) -> None:
    figures = Figures()
    figures.follow(world.embedded)
    message = {"subject": {"type": "Agent", "id": "bot"}, "action": {"name": "tool.call"},
               "resource": {"type": "Tool", "id": "free"}}  # fmt: skip
    with serving(world.embedded, figures=figures) as client:
        disk = full(world)
        for _ in range(3):
            context = client.post("evaluation", message).body["context"]
            assert (context["reason"], context["message"]) == ("store-unavailable", STORE_FAILED), "a model may read it"
        assert ready(client)[0] == 503
        said = [record.getMessage() for record in caplog.records if record.name == "remit.server"]
        assert len(said) == 1 and "nothing can be decided" in said[0] and "full: free some space" in said[0]
        disk.mend()
        assert client.post("evaluation", message).body["decision"] is True
        assert "again" in caplog.records[-1].getMessage()
    figures.leave(world.embedded)


@pytest.mark.sqlite
def test_that_a_store_is_damaged_is_for_the_log_too(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(*_asked: object) -> None:
        raise explain(sqlite3.DatabaseError("database disk image is malformed"), world.home / "remit.db")

    figures = Figures()
    figures.follow(world.embedded)
    message = {"subject": {"type": "Agent", "id": "bot"}, "action": {"name": "tool.call"},
               "resource": {"type": "Tool", "id": "free"}}  # fmt: skip
    with serving(world.embedded, figures=figures) as client:
        monkeypatch.setattr(world.embedded.runtime.view, "agent", damaged)
        context = client.post("evaluation", message).body["context"]
        assert (context["reason"], context["message"]) == ("internal-error", STORE_FAILED)
        said = [record.getMessage() for record in caplog.records if record.name == "remit.server"]
        assert len(said) == 1 and f"{world.home}/remit.db" in said[0] and "restore a backup" in said[0]
    figures.leave(world.embedded)


ASKED: tuple[tuple[str, str, dict[str, str] | None], ...] = (
    ("POST", "/v1/tasks", {"agent": "bot", "purpose": "look around"}), ("POST", "/v1/kills", {"kind": "agent", "name": "bot", "why": "x"}),
    ("GET", "/v1/agents", None), ("GET", "/v1/approvals", None), ("GET", "/v1/log/head", None), ("GET", "/scim/v2/Groups", None),
)  # fmt: skip


@pytest.mark.postgresql
def test_where_the_store_is_and_what_it_answers_is_for_the_log_alone(
    world: World, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    figures, name = Figures(), urlsplit(world.url).path[1:]
    figures.follow(world.embedded)
    with serving(world.embedded, figures=figures) as client:

        def answers(asked: tuple[str, str, dict[str, str] | None]) -> Answer:
            method, path, body = asked
            headers = {"Content-Type": "application/json"} if body is not None else {}
            return client.send(method, path, None if body is None else json.dumps(body).encode(), headers)

        try:
            server.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            server.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
            found = [answers(asked) for asked in ASKED]
        finally:
            server.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        assert [(one.status, one.body["detail"]) for one in found] == [(503, STORE_FAILED)] * len(ASKED)
        assert name in "".join(record.getMessage() for record in caplog.records if record.name == "remit.server")
        end = time.monotonic() + 20
        while answers(ASKED[2]).status != 200:
            assert time.monotonic() < end
            time.sleep(0.1)
    figures.leave(world.embedded)


def test_trouble_that_comes_and_goes_is_said_once_a_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    trouble, now = Trouble(), [0.0]
    monkeypatch.setattr("remit.server.observing.trouble.time.monotonic", lambda: now[0])
    for _ in range(100):
        now[0] += 0.5
        trouble.met("the store is slow")
        now[0] += 0.5
        trouble.over()
    assert [line.levelname for line in caplog.records] == ["ERROR", "WARNING"] * 2
    trouble.met("the store is gone")
    now[0] += AGAIN
    trouble.met("the store is gone")
    assert caplog.records[-1].getMessage() == "still nothing can be decided, for 60 s: the store is gone"


def test_one_that_is_to_end_is_not_ready_answers_who_waits_and_permits_no_door(world: World) -> None:
    with serving(world.embedded) as client:
        revision = client.send("GET", "/v1/watch", None, {}).body["revision"]
        took: list[float] = []

        def wait() -> None:
            begun = time.monotonic()
            client.send("GET", f"/v1/watch?since={revision}&wait=15", None, {})
            took.append(time.monotonic() - begun)

        waiting = threading.Thread(target=wait)
        waiting.start()
        time.sleep(0.3)
        world.embedded.ending = True
        waiting.join(5)
        assert took and took[0] < 3
        assert ready(client)[0] == 503
        message = {"subject": {"type": "Agent", "id": "bot"}, "action": {"name": "tool.call"},
                   "resource": {"type": "Tool", "id": "free"}}  # fmt: skip
        assert client.post("evaluation", {**message, "context": {"remit": {"door": True}}}).status == 503
        assert client.post("evaluation", message).body["decision"] is True, "whoever asks once is answered"
    assert len(world.decisions()) == 1
