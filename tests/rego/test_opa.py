"""OPA asked over the network: its answers are logged inputs, and an OPA that is down, slow, wrong or another one permits nothing."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from remit.decision_log.sealed import open_sealed
from remit.local.config import Settings
from remit.local.opa import OpaClient
from remit.local.replaying import replay
from remit.model.decision import Deny, Permit, Reason
from remit.pap.contents import Bundle
from remit.pap.problems import BundleError
from remit.pap.rego.served import opa_bundle
from remit.pdp.outside import Opa, Unanswered
from tests.conftest import OpenStore
from tests.opa import OpaServer, served
from tests.rego.bundles import made, regopy
from tests.runtime.world import World, asked, permit, reason

TOOLS = '[{"name": "look", "annotations": {"effect": "read", "reach": "internal"}}, {"name": "pay"}, {"name": "never"}]'
POLICIES = """
permit contains {"id": "any", "obligation": "limit-result:99"} if input.action.name == "tool.call"

forbid contains {"id": "pay-asks", "requestable": "one"} if {
	input.resource.id == "pay"
	not input.context.approval.granted
}

forbid contains {"id": "never", "description": "nobody does that"} if input.resource.id == "never"
"""


def policies(text: str, **opa: object) -> Bundle:
    manifest: dict[str, object] = {"opa": opa} if opa else {}
    return made({"policies/main.rego": "package remit\n\nimport rego.v1\n" + text, "tools.yaml": TOOLS}, **manifest)


def packed(folder: Path, name: str, bundle: Bundle) -> list[str]:
    file = folder / f"{name}.tar.gz"
    file.write_bytes(opa_bundle(bundle))
    return ["--bundle", str(file)]


@pytest.fixture
def opa(tmp_path: Path) -> Iterator[OpaServer]:
    regopy()
    with served(*packed(tmp_path, "first", policies(POLICIES))) as server:
        yield server


@pytest.fixture
def world(open_store: OpenStore, opa: OpaServer) -> World:
    return open_store(bundle=policies(POLICIES, url=opa.url, seconds=5))


@pytest.fixture
def client() -> Iterator[OpaClient]:
    """Asks, and hangs up at the end."""
    opened = OpaClient()
    yield opened
    opened.close()


def test_its_answers_decide_and_are_on_record(world: World, opa: OpaServer) -> None:
    session = world.open_session()
    given = permit(world.ask(session, "look", {"a": "line\nbreak", "n": 2**53 + 1}))
    assert [(one.type, one.argument) for one in given.obligations] == [("limit-result", "99")]
    denied = world.ask(session, "never")
    assert reason(denied) is Reason.FORBIDDEN and "nobody does that" in denied.message
    first, second = world.decisions()
    revision = policies(POLICIES).contents.rego.digest  # type: ignore[union-attr]
    assert first.engine.startswith("opa ") and first.engine.endswith(revision) and second.engine == first.engine
    sealed = open_sealed(first, world.runtime.view.key(session.task))
    assert sealed is not None and sealed.outside is not None
    [answer] = sealed.outside.answers.values()
    assert json.loads(bytes(answer)) == {"forbid": [], "permit": [{"id": "any", "obligation": "limit-result:99"}]}
    world.verified()


def test_an_approval_lifts_what_it_says(world: World) -> None:
    from remit.runtime.approving.answering import resolve
    from tests.runtime.world import CARL

    session = world.open_session()
    denied = world.ask(session, "pay")
    assert isinstance(denied, Deny) and denied.reason is Reason.APPROVAL_REQUIRED and denied.approval is not None
    resolve(world.runtime, denied.approval, CARL, True).result()
    assert permit(world.ask(session, "pay")).approval == denied.approval
    assert reason(world.ask(session, "pay")) is Reason.APPROVAL_REQUIRED


def test_what_it_said_is_what_a_replay_goes_by(world: World, opa: OpaServer) -> None:
    session = world.open_session()
    permit(world.ask(session, "look"))
    reason(world.ask(session, "never"))
    opa.stop()
    found = world.replayed(policies(POLICIES, url=opa.url, seconds=5))
    assert (found.decisions, found.changed, found.gaps) == (2, 0, {})
    stricter = policies(POLICIES.replace('== "never"', '== "look"'))
    [change] = [change for change in world.replayed(stricter).changes if change.resource == "Tool::look"]
    assert (change.before.effect, change.after.effect) == ("permit", "deny")
    other = policies(POLICIES + "\n# another\n", url=opa.url)
    assert world.replayed(other).gaps == {"its policy engine gave no answer": 2}


def test_a_server_that_is_down_permits_nothing_and_says_so(world: World, opa: OpaServer, tmp_path: Path) -> None:
    session = world.open_session()
    permit(world.ask(session, "look"))
    opa.stop()
    denied = world.ask(session, "look")
    assert reason(denied) is Reason.ENGINE_UNAVAILABLE and opa.url in denied.message
    assert [(made.effect, made.reason) for made in world.decisions()] == [("permit", "permitted"), ("deny", "engine-unavailable")]
    opa.start(*packed(tmp_path, "first", policies(POLICIES)))
    permit(world.ask(session, "look"))


def test_a_server_with_other_policies_decides_nothing(world: World, opa: OpaServer, tmp_path: Path) -> None:
    session = world.open_session()
    permit(world.ask(session, "look"))
    opa.stop()
    opa.start(*packed(tmp_path, "other", policies(POLICIES + "\n# changed\n")))
    denied = world.ask(session, "look")
    assert reason(denied) is Reason.ENGINE_REVISION and "revision" in denied.message
    assert world.decisions()[-1].reason == "engine-revision"


def test_a_server_without_the_policies_decides_nothing(open_store: OpenStore) -> None:
    regopy()
    with served() as empty:
        world = open_store(bundle=policies(POLICIES, url=empty.url, seconds=5))
        assert reason(world.ask(world.open_session(), "look")) is Reason.ENGINE_REVISION


def test_a_servers_own_policies_can_be_asked(open_store: OpenStore, tmp_path: Path) -> None:
    regopy()
    folder = tmp_path / "own" / "agents"
    folder.mkdir(parents=True)
    (folder / "a.rego").write_text("package org.agents\n\nimport rego.v1\n" + POLICIES)
    (tmp_path / "own" / ".manifest").write_text('{"revision": "v7", "roots": ["org"]}')
    with served("--bundle", str(tmp_path / "own")) as server:
        at = {"url": server.url, "package": "org.agents", "seconds": 5}
        world = open_store(bundle=made({"tools.yaml": TOOLS}, opa={**at, "revision": "v7"}))
        session = world.open_session()
        permit(world.ask(session, "look"))
        assert world.decisions()[-1].engine.endswith(" v7")
        world.publish(made({"tools.yaml": TOOLS}, opa={**at, "revision": "v8"}))
        assert reason(world.ask(session, "look")) is Reason.ENGINE_REVISION
        world.publish(made({"tools.yaml": TOOLS}, opa={**at, "package": "org.nosuch"}))
        denied = world.ask(session, "look")
        assert reason(denied) is Reason.ENGINE_UNAVAILABLE and "gave no answer" in denied.message
        world.tampered = True  # the last bundle has another digest than the first decisions


def test_a_policy_that_errs_denies(open_store: OpenStore, tmp_path: Path) -> None:
    regopy()
    erring = POLICIES + '\nforbid contains {"id": "f"} if to_number(input.context.args.text) > 3\n'
    broken = policies(erring, url="http://127.0.0.1:1")
    with served(*packed(tmp_path, "broken", broken)) as server:
        world = open_store(bundle=policies(erring, url=server.url, seconds=5))
        session = world.open_session()
        assert reason(world.ask(session, "look", {"text": "5"})) is Reason.FORBIDDEN
        denied = world.ask(session, "look", {"text": "five"})
        assert reason(denied) is Reason.ENGINE_UNAVAILABLE and "500" in denied.message


Answering = Callable[[socket.socket], None]


@contextmanager
def misbehaving(answer: Answering) -> Iterator[str]:
    """A server that takes connections and answers each as told."""
    listener = socket.create_server(("127.0.0.1", 0))
    held: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            held.append(connection)
            threading.Thread(target=_quietly, args=(answer, connection), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()
        for connection in held:
            connection.close()


def _quietly(answer: Answering, connection: socket.socket) -> None:
    try:
        connection.recv(65536)
        answer(connection)
    except OSError:
        pass


def _whole(body: str, status: str = "200 OK", length: int | None = None) -> Answering:
    text = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body) if length is None else length}\r\n\r\n{body}"
    return lambda connection: connection.sendall(text.encode())


def _drip(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    for _ in range(100):
        connection.sendall(b" ")
        time.sleep(0.1)


GOOD = '{"result": {"permit": [{"id": "p"}], "forbid": []}}'


@pytest.mark.parametrize(
    "answer",
    [
        lambda connection: time.sleep(5),
        _drip,
        lambda connection: connection.close(),
        _whole("no json"),
        _whole("[]"),
        _whole("{}"),
        _whole('{"result": {}}'),
        _whole('{"result": {"permit": [{"id": "p"}]}}'),
        _whole('{"result": {"permit": true, "forbid": []}}'),
        _whole('{"result": {"permit": [{"id": "p"}], "forbid": []}, "result": {"permit": [{"id": "p"}], "forbid": []}}'),
        _whole(GOOD, "500 Internal Server Error"),
        _whole(GOOD, "301 Moved Permanently"),
        _whole(GOOD, "204 No Content"),
        _whole(GOOD, length=10_000),
        _whole(GOOD[:-1]),
        _whole('{"result": {"permit": [' + ",".join('{"id": "p"}' for _ in range(2000)) + '], "forbid": []}}'),
        _whole(" " * (2 << 20) + GOOD),
        lambda connection: connection.sendall(b"\x00\xff" * 500),
    ],
    ids=[
        "silence",
        "a slow loris",
        "nothing",
        "no JSON",
        "no object",
        "no result",
        "an empty result",
        "no forbid",
        "a permit that is true",
        "a name twice",
        "500",
        "301",
        "204",
        "longer than it says",
        "cut",
        "too many",
        "too long",
        "garbage",
    ],
)
def test_what_is_no_answer_in_time_is_none(answer: Answering, client: OpaClient) -> None:
    with misbehaving(answer) as url:
        begun = time.monotonic()
        said = client.ask(Opa(url, seconds=0.6), b"{}")
        assert isinstance(said.answer, Unanswered) and url in said.answer.message
        assert time.monotonic() - begun < 3


def test_a_good_answer_of_the_same_server_counts(client: OpaClient) -> None:
    with misbehaving(_whole(GOOD)) as url:
        for _ in range(3):  # it closes no connection and answers only once on each
            said = client.ask(Opa(url, seconds=0.5), b"{}")
            client.close()
            assert said.answer == b'{"forbid":[],"permit":[{"id":"p"}]}'


def test_a_connection_that_was_closed_meanwhile_is_opened_anew(opa: OpaServer, tmp_path: Path, client: OpaClient) -> None:
    at = Opa(opa.url, seconds=5)
    assert isinstance(client.ask(at, b"{}").answer, bytes)
    opa.stop()
    opa.start(*packed(tmp_path, "first", policies(POLICIES)))
    assert isinstance(client.ask(at, b"{}").answer, bytes)


def test_a_token_is_sent_and_never_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, client: OpaClient) -> None:
    rules = tmp_path / "authz.rego"
    rules.write_text(
        'package system.authz\n\nimport rego.v1\n\ndefault allow := false\n\nallow if input.identity == "s3cret"\n\nallow if input.path == ["health"]\n'
    )
    remit = tmp_path / "main.rego"
    remit.write_text('package remit\n\nimport rego.v1\n\npermit contains {"id": "p"} if true\n\nforbid := set()\n')
    with served("--authentication=token", "--authorization=basic", str(rules), str(remit)) as server:
        at = Opa(server.url, seconds=5)
        refused = client.ask(at, b"{}").answer
        assert isinstance(refused, Unanswered) and "401" in refused.message
        monkeypatch.setenv("REMIT_OPA_TOKEN", "s3cret")
        monkeypatch.setenv("REMIT_OPA_TOKEN_FOR", server.url.upper().replace("HTTP", "http") + "/")
        assert isinstance(client.ask(at, b"{}").answer, bytes)
        monkeypatch.setenv("REMIT_OPA_TOKEN", "wr0ng")
        assert "wr0ng" not in str(client.ask(at, b"{}").answer)


def test_nobody_else_waits_for_a_slow_server(open_store: OpenStore) -> None:
    regopy()
    with misbehaving(lambda connection: time.sleep(5)) as url:
        world = open_store(bundle=policies(POLICIES, url=url, seconds=0.5))
        sessions = [world.open_session() for _ in range(8)]

        async def ask_all() -> tuple[list[Any], float, int]:
            ticks = 0

            async def tick() -> None:
                nonlocal ticks
                while True:
                    await asyncio.sleep(0.01)
                    ticks += 1

            ticking = asyncio.ensure_future(tick())
            begun = time.monotonic()
            answers = await asyncio.gather(*(_awaited(world, asked(session, "look")) for session in sessions))
            ticking.cancel()
            return answers, time.monotonic() - begun, ticks

        answers, took, ticks = asyncio.run(ask_all())
        assert {reason(answer) for answer in answers} == {Reason.ENGINE_UNAVAILABLE}
        assert took < 2.5 and ticks > 20


async def _awaited(world: World, request: Any) -> Any:
    return await world.embedded.evaluate(request)


def test_a_task_that_ends_while_it_is_asked_is_denied(open_store: OpenStore) -> None:
    from remit.runtime.tasks import close_task

    regopy()
    world: World
    closing: list[str] = []

    def close_then_answer(connection: socket.socket) -> None:
        if closing:
            close_task(world.runtime, closing.pop(), "ana").result()  # type: ignore[arg-type]
        _whole(GOOD)(connection)

    with misbehaving(close_then_answer) as url:
        world = open_store(bundle=made({"tools.yaml": TOOLS}, opa={"url": url, "seconds": 5}))
        session = world.open_session()
        assert isinstance(world.ask(session, "look"), Permit)
        closing.append(session.task or "")
        world_client_closed()
        assert reason(world.ask(session, "look")) is Reason.TASK_CLOSED


def world_client_closed() -> None:
    """The misbehaving server answers once on each connection."""
    import os

    from remit.local.wiring import _client

    _client(os.getpid()).close()


def test_a_bundle_whose_cases_the_server_does_not_pass_is_not_published(world: World, opa: OpaServer, tmp_path: Path) -> None:
    from remit.local.policy import publish_folder
    from remit.pap.publish import NotPublished
    from tests.runtime.world import ANA

    folder = tmp_path / "bundle"
    (folder / "policies").mkdir(parents=True)
    (folder / "cases").mkdir()
    (folder / "policies/main.rego").write_text("package remit\n\nimport rego.v1\n" + POLICIES)
    (folder / "tools.yaml").write_text(TOOLS)
    (folder / "bundle.yaml").write_text(
        json.dumps({"name": "made", "opa": {"url": opa.url, "seconds": 5}, "description": "again"})
    )
    case = "- {name: look, agent: {id: a}, task: {purpose: p}, steps: [{call: look, expect: %s}]}\n"
    (folder / "cases/a.yaml").write_text(case % "deny")
    with pytest.raises(NotPublished):
        publish_folder(world.embedded, folder, ANA)
    (folder / "cases/a.yaml").write_text(case % "permit")
    assert publish_folder(world.embedded, folder, ANA) is not None
    opa.stop()
    (folder / "bundle.yaml").write_text(json.dumps({"name": "made", "opa": {"url": opa.url}}))
    with pytest.raises(NotPublished, match="cannot be asked"):
        publish_folder(world.embedded, folder, ANA)


def test_a_bundle_that_nobody_here_can_check_says_what_is_missing() -> None:
    with pytest.raises(BundleError):
        made({}, opa={"url": "http://example.com"})


def test_replaying_in_shares_asks_too(world: World, opa: OpaServer) -> None:
    session = world.open_session()
    permit(world.ask(session, "look"))
    found = replay(world.home, Settings(store=world.url), world.store, policies(POLICIES, url=opa.url, seconds=5))
    assert found.gaps == {} and found.decisions == 1


def test_an_explanation_says_who_answered(world: World, opa: OpaServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from remit.cli.main import app
    from remit.cli.verbs import register

    if not app.registered_commands:
        register(app)
    monkeypatch.setenv("REMIT_HOME", str(world.home))
    denied = world.ask(world.open_session(), "never")
    world.embedded.close()
    said = CliRunner().invoke(app, ["decision", "explain", denied.id])
    assert said.exit_code == 0 and "(in Rego, answered by opa " in said.output and "never" in said.output
