"""Several workers at one port: each thing once, whichever of them is asked, and whichever dies."""

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from remit.decision_log.entry import TaskOpened
from remit.local.trust import own_issuer
from remit.local.wiring import wall_clock
from remit.model.task import Session
from remit.server.workers.watching import _remove_left
from tests.conftest import OpenStore
from tests.runtime.world import AGENT, World
from tests.server.idp import Holder
from tests.server.serving import Answer, Client, start

WORKERS = 3


class Many(NamedTuple):
    """A server of several workers; each request is a connection of its own, and so any worker's."""

    client: Client
    world: World
    session: Session
    watching: psutil.Process

    def workers(self) -> list[psutil.Process]:
        return sorted(self.watching.children(), key=lambda one: one.create_time())

    def asks(self, tool: str = "look", door: bool = True) -> dict[str, Any]:
        remit = {"task": self.session.task, "session": self.session.id, **({"door": True} if door else {})}
        return {
            "subject": {"type": "Agent", "id": AGENT},
            "action": {"name": "tool.call"},
            "resource": {"type": "Tool", "id": tool},
            "context": {"remit": remit},
        }

    def permitted(self, tool: str = "look", **headers: str) -> str:
        answer = self.client.post("evaluation", self.asks(tool), **headers)
        assert answer.status == 200 and answer.body["decision"], answer.text
        return str(answer.body["context"]["id"])

    def act(self, decision: str) -> Answer:
        return self.client.post(f"/v1/decisions/{decision}/act", {})

    def tell(self, decision: str, **report: Any) -> Answer:
        return self.client.post(f"/v1/decisions/{decision}/outcome", report)

    def outcomes(self) -> dict[str, str]:
        seen = self.world.outcomes()
        assert len({one.decision for one in seen}) == len(seen), "each is told once"
        return {one.decision: one.status for one in seen}


def until(true: Callable[[], Any], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture
def many(open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Many]:
    world = open_store("store", clock=wall_clock)
    monkeypatch.setenv("REMIT_HOME", str(tmp_path / "store"))
    folder = Path(tempfile.mkdtemp(prefix="w"))
    monkeypatch.setenv("TMPDIR", str(folder))
    server, client = start(tmp_path, "--workers", str(WORKERS))
    try:
        yield Many(client, world, world.open_session(), psutil.Process(server.pid))
    finally:
        server.terminate()
        _, errors = server.communicate(timeout=60)
    assert server.returncode == 0, errors
    folder.rmdir()  # what the workers had in common is gone
    assert not world.store.writers() and world.verified().open == 0, "nothing is left open"


@pytest.mark.sqlite
def test_a_permit_is_used_once_whichever_worker_is_asked(many: Many) -> None:
    assert len(many.workers()) == WORKERS
    with ThreadPoolExecutor(16) as pool:
        for _ in range(8):
            decision = many.permitted()
            answers = list(pool.map(lambda _: many.act(decision), range(16)))  # noqa: B023 - used at once
            assert {answer.status for answer in answers} == {200}
            assert Counter(answer.body["stands"] for answer in answers) == {True: 1, False: 15}


@pytest.mark.postgresql
def test_an_outcome_is_recorded_once_and_known_best_whichever_worker_is_told(many: Many) -> None:
    unused = [many.permitted("secret") for _ in range(8)]
    for decision in unused:
        for _ in range(3):
            answer = many.tell(decision, status="not-performed")
            assert answer.status == 200, answer.text
        assert many.tell(decision, status="succeeded", content="x").status == 409
    assert many.outcomes() == dict.fromkeys(unused, "not-performed")
    after = many.world.store.session(many.session.id)
    assert after is not None and after.reached.confidentiality.rank == 0, "that nobody used it is known by the one that gave it"
    used = many.permitted()
    assert many.act(used).body["stands"] is True
    assert many.tell(used, status="succeeded", content="seen").status == 200


@pytest.mark.postgresql
def test_a_request_that_comes_again_is_decided_once(many: Many) -> None:
    with ThreadPoolExecutor(8) as pool:
        for key in ("a", "b", "c", "d"):
            answers = list(pool.map(lambda _: many.permitted("look", **{"Idempotency-Key": key}), range(12)))  # noqa: B023
            assert len(set(answers)) == 1
    assert len(many.world.decisions()) == 4
    assert len({many.permitted("look", **{"Idempotency-Key": "a"}) for _ in range(6)}) == 1
    other = many.client.post("evaluation", many.asks("secret"), **{"Idempotency-Key": "a"})
    assert other.status == 422, "whichever is asked"
    malformed = {**many.asks(), "resource": 5}
    statuses = [many.client.post("evaluation", malformed, **{"Idempotency-Key": "e"}).status for _ in range(6)]
    assert statuses == [400] * 6, "what was not decided may be asked again"


@pytest.mark.sqlite
def test_what_changes_something_is_done_once_or_not_done_again(many: Many) -> None:
    def open_task(purpose: str = "look around") -> Answer:
        return many.client.post("/v1/tasks", {"purpose": purpose, "agent": AGENT}, **{"Idempotency-Key": "k"})

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: open_task(), range(12)))
    assert {answer.status for answer in answers} == {200} and len({answer.text for answer in answers}) == 1
    assert answers[0].headers["content-type"] == "application/json" and answers[0].headers["cache-control"] == "no-store"
    assert {open_task("another").status for _ in range(6)} == {422}, "and the answer under the key stays"
    assert {open_task().text for _ in range(6)} == {answers[0].text}
    before = {one.pid for one in many.workers()}
    for worker in many.workers():
        worker.kill()
    until(lambda: len(many.workers()) == WORKERS and not before & {one.pid for one in many.workers()})
    assert [open_task().status for _ in range(6)] == [409] * 6, "nobody knows any more whether it was done"
    opened = [entry for entry in many.world.entries() if isinstance(entry.body, TaskOpened)]
    assert len(opened) == 2, "that one, and the world's own"


def test_a_worker_that_dies_is_followed_by_another_and_takes_its_permits_with_it(many: Many) -> None:
    permits = [many.permitted("secret") for _ in range(9)]
    died = many.workers()[0]
    given = Counter(writer for writer in many.world.store.writers() for _ in many.world.store.permits_of(writer))
    assert sum(given.values()) == 9
    died.kill()
    until(lambda: len(many.workers()) == WORKERS and died.pid not in [one.pid for one in many.workers()])
    for _ in range(10):
        many.permitted()
    until(lambda: set(many.outcomes().values()) <= {"unknown"} and many.client.send("GET", "/healthz", None, {}).status == 200)
    answers = [many.act(decision) for decision in permits]
    lost = [one for one, answer in zip(permits, answers, strict=True) if answer.status != 200 or not answer.body["stands"]]
    assert {answer.status for answer in answers} <= {200, 421}, "only the one that gave it knows whether it was used"
    assert len(lost) in given.values() or not lost
    until(lambda: [one for one in permits if many.outcomes().get(one)] == lost)


@pytest.mark.sqlite
def test_no_connection_is_lost_that_a_dead_worker_had_not_taken(many: Many) -> None:
    for worker in many.workers():
        worker.kill()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: many.permitted(), range(16)))
    assert len(set(answers)) == 16


@pytest.mark.sqlite
def test_workers_end_with_whoever_watches_them(open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_store("store", clock=wall_clock)
    monkeypatch.setenv("REMIT_HOME", str(tmp_path / "store"))
    with tempfile.TemporaryDirectory(prefix="w", dir="/tmp") as short:  # the address of a socket is limited
        place = Path(short)
        monkeypatch.setenv("TMPDIR", short)
        (place / "remit-of-another").mkdir()
        server, _ = start(tmp_path, "--workers", "2")
        workers = psutil.Process(server.pid).children()
        assert len(workers) == 2
        server.kill()
        _, alive = psutil.wait_procs(workers, timeout=30)
        assert alive == []
        server.communicate(timeout=20)
        [left] = [one for one in place.iterdir() if one.name != "remit-of-another"]
        server, _ = start(tmp_path, "--workers", "2")
        now = {one.name for one in place.iterdir()}
        assert left.name not in now and len(now) == 2, "what it left is removed by the next one"
        _remove_left(place)
        assert {one.name for one in place.iterdir()} == now, "and nothing that is used, or of somebody else"
        server.terminate()
        server.communicate(timeout=60)


_QUICK = """
import runpy, sys
from remit.server.workers import watching
watching.BEAT_SECONDS, watching.HUNG_SECONDS = 0.2, 2.0
runpy.run_module("remit.cli.main", run_name="__main__", alter_sys=True)
"""


@pytest.mark.sqlite
def test_one_that_hangs_is_followed_and_one_that_dies_again_and_again_ever_later(
    open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = open_store("store", clock=wall_clock)
    monkeypatch.setenv("REMIT_HOME", str(tmp_path / "store"))
    server, client = start(tmp_path, "--workers", "2", program=("-c", _QUICK))
    many = Many(client, world, world.open_session(), psutil.Process(server.pid))
    try:
        hangs, lives = many.workers()
        hangs.suspend()
        until(lambda: not hangs.is_running() and len(many.workers()) == 2)
        assert lives.is_running(), "who beats is left alone"
        for _ in range(8):
            many.permitted()
        for _ in range(2):
            known = {one.pid for one in many.workers()}
            newest = many.workers()[-1]
            newest.kill()
            until(lambda: {one.pid for one in many.workers()} - known and len(many.workers()) == 2)  # noqa: B023 - used at once
            many.permitted()
    finally:
        server.terminate()
        said = server.communicate(timeout=60)[1]
    assert server.returncode == 0, said
    assert f"worker {hangs.pid} has said nothing for 2 s" in said
    pauses = [float(one) for one in re.findall(r"another follows in ([0-9.]+) s", said)]
    assert len(pauses) == 3 and pauses[2] > pauses[1] > 0


@pytest.mark.sqlite
def test_whoever_comes_while_workers_end_is_taken_or_led_to_another(many: Many) -> None:
    alone = many.workers()[0]
    alone.terminate()
    until(lambda: alone.pid not in [one.pid for one in many.workers()] and len(many.workers()) == WORKERS)

    def connected() -> bool:
        """At once; where a socket takes none, a beginning is dropped, and comes again after a second."""
        with suppress(TimeoutError), socket.create_connection(("127.0.0.1", many.client.port), 0.5):
            return True
        return False

    until(lambda: all(connected() for _ in range(24)))  # its successor takes what comes to the same socket
    last = many.permitted()
    many.watching.send_signal(signal.SIGTERM)
    end = time.monotonic() + 1.5

    def ask(_: int) -> Counter[int]:
        statuses = Counter[int]()
        while time.monotonic() < end:
            statuses[many.client.send("GET", "/readyz", None, {}).status] += 1
        return statuses

    with ThreadPoolExecutor(8) as pool:
        statuses = sum(pool.map(ask, range(8)), Counter[int]())
    assert set(statuses) <= {200, 503} and statuses[503] > 8
    assert many.act(last).body["stands"] is True


@pytest.mark.sqlite
def test_without_room_for_what_they_share_they_do_not_begin(open_store: OpenStore, tmp_path: Path) -> None:
    open_store("store", clock=wall_clock).close()
    begun = subprocess.run(
        [sys.executable, "-P", "-m", "remit.cli.main", "serve", "--dev", "--port", "0", "--workers", "2"],
        env={**os.environ, "REMIT_HOME": str(tmp_path / "store")},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8 << 20, 8 << 20)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert begun.returncode != 0 and "no room for what workers share" in begun.stderr and "`TMPDIR`" in begun.stderr


@pytest.mark.sqlite
def test_a_proof_of_possession_counts_once_among_them(
    open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = open_store("store", clock=wall_clock)
    session = world.open_session()
    monkeypatch.setenv("REMIT_HOME", str(tmp_path / "store"))
    server, client = start(tmp_path, "--workers", str(WORKERS), dev=False)
    url, holder = f"http://127.0.0.1:{client.port}", Holder()
    token = own_issuer(world.home, url, wall_clock).agent_token(AGENT, url, 300, holder.public)
    many = Many(client, world, session, psutil.Process(server.pid))
    path = "/access/v1/evaluation"
    try:
        body = json.dumps(many.asks()).encode()

        def once(proof: str) -> Answer:
            headers = {"Content-Type": "application/json", "Authorization": f"DPoP {token}", "DPoP": proof}
            return client.send("POST", path, body, headers)

        asked = once(holder.proof("POST", url + path, token))
        assert asked.status == 401
        holder.nonce = asked.headers["dpop-nonce"]
        with ThreadPoolExecutor(12) as pool:
            for _ in range(5):
                proof = holder.proof("POST", url + path, token)
                statuses = Counter(answer.status for answer in pool.map(once, [proof] * 12))
                assert statuses == {200: 1, 401: 11}, "and its nonce is taken by all"
        many.workers()[0].kill()
        until(lambda: len(many.workers()) == WORKERS)
        assert [once(proof).status for _ in range(12)] == [401] * 12, "what a dead worker has seen is known"
    finally:
        server.send_signal(signal.SIGINT)
        _, said = server.communicate(timeout=60)
    assert server.returncode == 0, said
    assert said.count(f"remit enrol {url}/v1/enrolment#") == 1, "nobody administers this one yet"


@pytest.mark.sqlite
def test_what_is_wrong_is_said_once(open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.cli.running import error

    world = open_store("store", clock=wall_clock)
    monkeypatch.setenv("REMIT_HOME", str(tmp_path / "store"))
    server, client = start(tmp_path, "--workers", "2")
    try:
        said = error("serve", "--dev", "--port", str(client.port), "--workers", "2")
        assert "--port" in said.message, "a port that others share out among themselves is taken all the same"
    finally:
        server.terminate()
        server.communicate(timeout=60)
    world.close()
    os.chmod(world.home / "remit.db", 0o666)
    assert "chmod" in error("serve", "--dev", "--port", "0", "--workers", "2").message
    os.chmod(world.home / "remit.db", 0o600)
