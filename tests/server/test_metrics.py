"""Figures of a real server: who may read them, that they are true, and that they are whole whoever is asked."""

import asyncio
import json
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from remit.local.trust import own_issuer
from remit.local.wiring import wall_clock
from remit.model.caller import Role
from remit.model.clock import SECOND
from remit.model.decision import Decision, Permit, Reason
from remit.model.errors import unavailable
from remit.model.request import TOOL_CALL, EvaluationRequest
from remit.runtime.approving.answering import resolve
from remit.runtime.emergency.break_glass import confirm
from remit.runtime.observing import Course
from remit.server.observing import standing
from remit.server.observing.figures import LATER, Figures
from remit.server.observing.standing import StoreGauges
from tests.conftest import OpenStore
from tests.pap.bundles import ROOT
from tests.runtime.test_break_glass import DORA
from tests.runtime.test_break_glass import ask as ask_for_break_glass
from tests.runtime.world import AGENT, ANA, CARL, POLICIES, Clock, World, small_bundle
from tests.server.serving import Answer, Client, served, serving, start

NAMED = "who-must-not-be-named"
Sample = tuple[str, frozenset[tuple[str, str]]]


def samples(text: bytes) -> Mapping[Sample, float]:
    return {
        (one.name, frozenset(one.labels.items())): one.value
        for family in text_string_to_metric_families(text.decode())
        for one in family.samples
    }


def figure(text: bytes, name: str, **labels: str) -> float:
    return samples(text).get((name, frozenset(labels.items())), 0.0)


def scrape(client: Client, **headers: str) -> bytes:
    answer = client.send("GET", "/metrics", None, headers)
    assert answer.status == 200 and answer.headers["content-type"].startswith("text/plain; version=0.0.4"), answer.text
    return answer.text


def asked(session: Any, tool: str, **arguments: Any) -> dict[str, Any]:
    return {
        "subject": {"type": "Agent", "id": AGENT},
        "action": {"name": TOOL_CALL, "properties": arguments},
        "resource": {"type": "Tool", "id": tool},
        "context": {"remit": {"task": session.task, "session": session.id, "door": True}},
    }


@pytest.fixture
def figures(world: World) -> Iterator[Figures]:
    """What is counted of the store of a test."""
    counting = Figures()
    counting.follow(world.embedded)
    yield counting
    counting.leave(world.embedded)


def test_figures_are_what_happened(world: World, figures: Figures, clock: Clock) -> None:
    session = world.open_session(world.open_task())
    with serving(world.embedded, figures=figures) as client:
        permitted = client.post("evaluation", asked(session, "look")).body
        assert client.post("evaluation", asked(session, "never")).body["context"]["reason"] == "forbidden"
        held = client.post("evaluation", asked(session, "pay", to=NAMED)).body["context"]["remit"]["approval"]
        client.post("evaluations", {"evaluations": [asked(session, "look"), asked(session, NAMED)]})
        for _ in range(2):  # said again, it is no other outcome
            client.post(f"/v1/decisions/{permitted['context']['id']}/outcome", {"status": "succeeded"})
        clock.forward(10)  # nobody is late yet
        before = scrape(client)
        assert figure(before, "remit_holds_open") == 1 and figure(before, "remit_holds_oldest_age_seconds") == 10
        with ThreadPoolExecutor(1) as pool:
            waited = pool.submit(client.send, "GET", f"/v1/approvals/{held}?wait=20", None, {})
            eventually(lambda: figure(scrape(client), "remit_requests_waiting") == 1)
            client.post(f"/v1/approvals/{held}/answer", {"approve": True})
            assert waited.result().body["state"] == "approved"
        client.send("GET", f"/v1/{NAMED}", None, {})
        client.send("PROPFIND", "/healthz", None, {})
        client.send("GET", f"/scim/v2/Users/{NAMED}", None, {})
        text = scrape(client)
    found = {
        "remit_decisions_total": {("permit", "permitted"): 3, ("deny", "forbidden"): 1, ("deny", "approval-required"): 1},
        "remit_outcomes_total": {("succeeded",): 1},
        "remit_requests_total": {
            ("POST", "/access/v1/evaluation", "200"): 3,
            ("POST", "/access/v1/evaluations", "200"): 1,
            ("POST", "/v1/decisions/{id}/outcome", "200"): 2,
            ("POST", "/v1/approvals/{id}/answer", "200"): 1,
            ("GET", "/v1/approvals/{id}", "200"): 1,
            ("GET", "other", "404"): 1,
            ("GET", "/scim/v2/Users/{id}", "404"): 1,
            ("other", "/healthz", "405"): 1,
        },
    }
    for name, expected in found.items():
        order = {"remit_decisions_total": ("effect", "reason"), "remit_outcomes_total": ("status",)}
        labels = order.get(name, ("method", "route", "status"))
        told = {tuple(dict(key[1])[one] for one in labels): value for key, value in samples(text).items() if key[0] == name}
        scrapes = told.pop(("GET", "/metrics", "200"), 0)
        assert told == expected and (scrapes >= 2) is (name == "remit_requests_total")
    assert figure(text, "remit_decision_seconds_count") == 5
    for stage in ("load", "decide", "commit"):
        assert figure(text, "remit_decision_stage_seconds_count", stage=stage) == 5
    whole = figure(text, "remit_decision_seconds_sum")
    parts = sum(figure(text, "remit_decision_stage_seconds_sum", stage=stage) for stage in ("load", "decide", "commit"))
    assert 0 < parts <= whole * 1.001
    assert figure(text, "remit_commit_group_size_sum") >= 7  # decisions, an outcome and an answer
    assert figure(text, "remit_holds_open") == 0 and figure(text, "remit_requests_waiting") == 0
    assert figure(text, "remit_hold_answer_seconds_sum", answer="approved") == 10
    assert figure(text, "remit_permits_open") == 2
    assert figure(text, "remit_log_entries") == world.store.log.size()
    assert figure(text, "remit_store_up") == 1 and figure(text, "remit_faults_total") == 0
    # Nothing that a caller chose, or that is a name of anything.
    for word in (NAMED, AGENT, session.id, session.task, held, permitted["context"]["id"], "look"):
        assert word not in text.decode()


def test_a_head_that_is_signed_and_cosigned_by_nobody(world: World) -> None:
    with serving(world.embedded) as client:
        assert figure(scrape(client), "remit_log_head_entries") == 0
        signed = client.send("GET", "/v1/log/head", None, {}).body["size"]
        text = scrape(client)
    assert figure(text, "remit_log_head_entries") == signed > 0
    assert ("remit_log_head_age_seconds", frozenset()) in samples(text)
    assert figure(text, "remit_log_head_cosignatures") == 0


def test_commits_that_conflict_are_counted_as_retries(open_store: OpenStore) -> None:
    world = open_store()
    other, figures = open_store(again=True), Figures()
    session = world.open_session(world.open_task())
    world.ask(session, "look")
    figures.follow(world.embedded)
    for _ in range(3):
        other.ask(session, "look")  # the version that the first process knows of the session is behind now
        assert isinstance(world.ask(session, "look"), Permit)
    figures.leave(world.embedded)
    figures.count()
    counted = figures.instruments.registry.get_sample_value("remit_decision_retries_total", {"cause": "conflict"})
    assert counted is not None and counted >= 1


class Broken:
    """Counts, and fails at it."""

    def decided(self, request: EvaluationRequest, decision: Decision, course: Course) -> None:
        raise ZeroDivisionError(request.subject.id)


def test_whoever_counts_and_fails_changes_no_decision(world: World) -> None:
    session, observers = world.open_session(world.open_task()), world.embedded.runtime.observers
    observers.append(Broken())
    assert isinstance(world.ask(session, "look"), Permit)
    assert observers == [] and isinstance(world.ask(session, "look"), Permit)


@pytest.mark.sqlite
def test_a_store_that_errs_is_told_and_what_was_counted_stays(world: World, figures: Figures) -> None:
    session = world.open_session(world.open_task())
    with serving(world.embedded, figures=figures) as client:
        client.post("evaluation", asked(session, "look"))
        (world.home / "remit.db").rename(world.home / "gone.db")
        denied = client.post("evaluation", asked(session, "look")).body
        assert denied["context"]["reason"] == Reason.STORE_UNAVAILABLE
        world.embedded.store.open_permits = lambda: (_ for _ in ()).throw(unavailable("gone"))  # type: ignore[method-assign]
        text = scrape(client)
        (world.home / "gone.db").rename(world.home / "remit.db")
    assert figure(text, "remit_store_up") == 0 and not any(name == "remit_log_entries" for name, _ in samples(text))
    assert figure(text, "remit_decisions_total", effect="permit", reason="permitted") == 1
    assert figure(text, "remit_decisions_total", effect="deny", reason="store-unavailable") == 1
    for operation in ("commit", "decide", "scrape"):
        assert figure(text, "remit_store_errors_total", operation=operation) >= 1


@pytest.mark.sqlite
def test_a_store_that_hangs_is_asked_by_one_thread(world: World, figures: Figures, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "SECONDS", 0.05)
    asked_, go_on = [], threading.Event()

    def hanging() -> int:
        asked_.append(threading.get_ident())
        go_on.wait(20)
        return 7

    monkeypatch.setattr(world.embedded.store, "open_permits", hanging)
    scraped = StoreGauges(world.embedded, figures)

    async def several() -> tuple[list[bytes], bytes]:
        during = [await scraped.scraped() for _ in range(3)]
        assert len(asked_) == 1
        go_on.set()
        monkeypatch.setattr(standing, "SECONDS", 20)
        return during, await scraped.scraped()

    during, after = asyncio.run(several())
    assert [figure(text, "remit_store_up") for text in during] == [0, 0, 0]
    assert figure(after, "remit_store_up") == 1 and figure(after, "remit_permits_open") == 7


@pytest.mark.sqlite
def test_only_who_may_reads_them_and_a_monitor_reads_nothing_else(
    open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = open_store("home", clock=wall_clock)
    monkeypatch.setenv("REMIT_HOME", str(world.home))
    with served(tmp_path, dev=False) as client:
        url = f"http://127.0.0.1:{client.port}"
        own = own_issuer(world.home, url, wall_clock)

        def get(path: str, token: str) -> Answer:
            return client.send("GET", path, None, {"Authorization": f"Bearer {token}"} if token else {})

        by_role = {role: own.operator_token(f"the-{role}", [role], url, 60) for role in Role if role is not Role.AGENT}
        may = {role for role, token in by_role.items() if get("/metrics", token).status == 200}
        assert may == {Role.ADMINISTRATOR, Role.REVIEWER, Role.AUDITOR, Role.MONITOR}
        assert get("/metrics", own.agent_token(AGENT, url, 60)).status == 403  # type: ignore[arg-type]
        assert get("/metrics", "").status == 401
        monitor = by_role[Role.MONITOR]
        for path in ("/v1/health", "/v1/log", "/v1/agents", "/v1/decisions", "/v1/approvals", "/v1/tasks", f"/v1/agents/{AGENT}"):
            answer = get(path, monitor)
            assert answer.status in (403, 404) or answer.body["items"] == [], path
        for role in (Role.MONITOR, Role.PROVISIONER):
            assert [get(path, by_role[role]).status for path in ("/v1/kills", "/v1/watch")] == [403, 403]
        assert get("/metrics", monitor[:-4] + "AAAA").status == 401
        text = get("/metrics", monitor).text
    tokens = {
        tuple(dict(labels)[one] for one in ("kind", "result")): n
        for (name, labels), n in samples(text).items()
        if name == "remit_tokens_total"
    }
    assert set(tokens) == {("caller", "verified"), ("caller", "missing"), ("caller", "invalid_token")}
    assert (tokens["caller", "missing"], tokens["caller", "invalid_token"]) == (1, 1)
    assert figure(text, "remit_issuer_key_fetches_total", issuer=url, result="fetched") >= 1
    came = figure(text, "remit_issuer_keys_fetched_timestamp_seconds", issuer=url)
    assert abs(wall_clock() / SECOND - came) < 60 and figure(text, "remit_issuer_keys_failing", issuer=url) == 0
    for token in by_role.values():
        assert token not in text.decode() and token.rpartition(".")[2] not in text.decode()
    assert "the-" not in re.sub(r"# .*", "", text.decode())


def worker_of(answer: Answer) -> str:
    """Which process answered: ids of requests that came without one say so."""
    return answer.headers["x-request-id"].rpartition("-")[0]


def of_both(ask: Callable[[], Answer]) -> list[Answer]:
    """An answer by each of two workers: each request is a connection of its own, and so either's."""
    found, until = dict[str, Answer](), time.monotonic() + 20
    while len(found) < 2:
        assert time.monotonic() < until
        answer = ask()
        found[worker_of(answer)] = answer
    return list(found.values())


@pytest.mark.sqlite
def test_any_worker_tells_of_all_and_one_that_follows_goes_on(
    open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = open_store("home", clock=wall_clock)
    session = world.open_session(world.open_task())
    folder = Path(tempfile.mkdtemp(prefix="w"))
    monkeypatch.setenv("REMIT_HOME", str(world.home))
    monkeypatch.setenv("TMPDIR", str(folder))
    server, client = start(tmp_path, "--workers", "2")
    permits: list[str] = []

    def permit() -> Answer:
        answer = client.post("evaluation", asked(session, "look"))
        permits.append(answer.body["context"]["id"])
        return answer

    def whole() -> list[bytes]:
        """What each worker tells, once both tell of everything."""
        texts: list[bytes] = []

        def told() -> bool:
            texts[:] = [answer.text for answer in of_both(lambda: client.send("GET", "/metrics", None, {}))]
            counted = [figure(text, "remit_decisions_total", effect="permit", reason="permitted") for text in texts]
            return counted == [len(permits)] * 2

        eventually(told)
        return texts

    try:
        of_both(permit)
        for text in whole():
            assert figure(text, "remit_log_entries") == world.store.log.size() and figure(text, "remit_holds_open") == 0
            at_places = {dict(labels)["worker"] for name, labels in samples(text) if name == "process_resident_memory_bytes"}
            assert at_places == {"0", "1"}
        before = psutil.Process(server.pid).children()
        before[0].kill()
        eventually(lambda: len({*psutil.Process(server.pid).children()} - {before[0]}) == 2)
        whole()
        first = len(permits)
        of_both(permit)
        for text in whole():
            assert figure(text, "remit_decision_seconds_count") == len(permits)
        # A disk that is full later must not end a process that has these files mapped.
        files = list(folder.glob("remit-*/figures/*.db"))
        assert len(files) == 10 and all(file.stat().st_blocks * 512 >= file.stat().st_size == 1 << 20 for file in files)
    finally:
        server.terminate()
        _, errors = server.communicate(timeout=60)
    assert server.returncode == 0, errors
    folder.rmdir()  # the files of figures are gone
    told = [json.loads(line) for line in errors[errors.index("{") :].splitlines()]
    decided = [one["decision"] for one in told if one.get("route") == "/access/v1/evaluation"]
    assert set(permits[first:]) <= set(decided) <= set(permits) and len(set(decided)) == len(decided)
    [ended] = [one["message"] for one in told if one["event"] == "remit.server"]
    assert str(before[0].pid) in ended and "signal 9" in ended


def eventually(true: Callable[[], bool]) -> None:
    """Within the time in which workers count what has happened, and begin."""
    until = time.monotonic() + 20
    while not true():
        assert time.monotonic() < until
        time.sleep(LATER / 10)


def stated() -> Mapping[str, tuple[str, str, str, str]]:
    """Type, unit, labels and scope of each metric on the page."""
    text = (ROOT / "docs/observability.md").read_text("utf-8")
    rows = re.findall(r"^\| `(remit_\w+)` \| (\w+) \| ([^|]+) \| ([^|]*)\| (process|store) \| [^|]+ \|$", text, re.MULTILINE)
    return {name: (kind, unit.strip(), labels.strip(), scope) for name, kind, unit, labels, scope in rows}


def test_the_page_and_the_server_agree(world: World) -> None:
    figures, page = Figures(), stated()
    world.embedded.head.sign()
    served_ = StoreGauges(world.embedded, figures)
    served_.look()
    instruments = [one for one in vars(figures.instruments).values() if hasattr(one, "_labelnames")]
    there = {
        family.name + ("_total" if family.type == "counter" else ""): family for family in figures.instruments.registry.collect()
    }
    labels = {one._name + ("_total" if one._type == "counter" else ""): one._labelnames for one in instruments}
    there |= {family.name: family for family in served_.collect()}
    assert set(page) == set(there)
    for name, (kind, unit, named, _) in page.items():
        assert kind == there[name].type, name
        assert (unit == "seconds") is name.endswith("_seconds"), name
        if name in labels:
            assert tuple(one for one in named.split(", ") if one) == labels[name], name
    assert {name for name, row in page.items() if row[3] == "store"} == set(standing._MEANINGS)


def test_an_expired_hold_is_not_open_and_a_later_one_is(world: World, clock: Clock) -> None:
    session, figures = world.open_session(world.open_task()), Figures()
    world.ask(session, "pay", {"to": "a"})
    clock.forward(31 * 60)
    answered = world.ask(world.open_session(world.open_task()), "pay", {"to": "b"}).approval
    assert answered is not None
    resolve(world.runtime, answered, ANA, grant=True).result()
    world.ask(world.open_session(world.open_task()), "pay", {"to": "c"})
    text = asyncio.run(StoreGauges(world.embedded, figures).scraped())
    assert figure(text, "remit_holds_open") == 1 and figure(text, "remit_holds_oldest_age_seconds") == 0


def test_a_break_glass_is_open_until_its_time_has_come(world: World, clock: Clock) -> None:
    standing_ = StoreGauges(world.embedded, Figures())

    def open_now() -> float:
        return figure(asyncio.run(standing_.scraped()), "remit_break_glasses_open")

    break_glass = ask_for_break_glass(world, minutes=5)
    assert open_now() == 0
    confirm(world.runtime, break_glass.id, CARL).result()
    assert open_now() == 1
    clock.forward(301)
    assert open_now() == 0


def test_of_an_answer_by_two_the_second_is_counted(open_store: OpenStore, figures: Figures) -> None:
    rule = '"pay-asks") @requestable('
    world = open_store("two", bundle=small_bundle(policies=POLICIES.replace(f'{rule}"one")', f'{rule}"two")')))
    held = world.ask(world.open_session(world.open_task()), "pay", {"to": "a"}).approval
    assert held is not None
    counts = []
    for person in (CARL, DORA):
        figures.resolved(resolve(world.runtime, held, person, grant=True).result(), wall_clock())
        text = asyncio.run(StoreGauges(world.embedded, figures).scraped())
        counts.append({key: n for key, n in samples(text).items() if key[0] == "remit_hold_answer_seconds_count"})
    assert counts == [{}, {("remit_hold_answer_seconds_count", frozenset({("answer", "approved")})): 1}]
