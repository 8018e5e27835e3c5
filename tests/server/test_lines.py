"""What a server says on standard error: one line for each event whatever is in it, no secrets, and nobody waits for who reads it."""

import json
import logging
import os
import re
import shlex
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remit.local.config import Settings
from remit.local.trust import own_issuer
from remit.local.wiring import wall_clock
from remit.model.caller import Role
from remit.model.decision import Decision
from remit.model.request import EvaluationRequest
from remit.runtime.pending import Driven
from remit.server.observing.lines import Lines
from remit.server.observing.reporting import reporting, stack_of
from remit.server.observing.written import LONGEST, Format, Line, as_json, as_text
from tests.conftest import OpenStore
from tests.runtime.world import NOON, World
from tests.server.serving import CERTIFICATION, Client, serving, start
from tests.server.test_metrics import asked, figure, scrape
from tests.server.test_serving import Faulty

NAMES = st.sampled_from(["request", "caller", "route", "message", "stack", "decision", "trace"])
VALUES = st.one_of(st.text(max_size=60), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(min_size=250))
LINES = st.builds(
    Line, st.integers(0, 2**52), st.sampled_from(["info", "error"]), st.text(max_size=20), st.dictionaries(NAMES, VALUES)
)
HOSTILE = 'a\r\n{"level":"error"}\x1b[31m\x07\x7f\x85\u2028\u202e\u200b\ud800"\\ b=c'


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


@given(LINES)
def test_whatever_is_in_it_a_line_is_one_of_printable_ascii(line: Line) -> None:
    for text in (as_json(line), as_text(line)):
        assert re.fullmatch(r"[ -~]*\n", text) and len(text) <= LONGEST
    told = json.loads(as_json(line))
    assert (told.pop("level"), told.pop("time")[-1]) == (line.level, "Z")
    for name, value in line.values.items():
        cut = isinstance(value, str) and told[name] != value
        assert (
            (told[name] == value)
            if not cut
            else (value.startswith(told[name][:-1]) and told[name].endswith("…") and len(value) > 20)
        )


@given(st.dictionaries(NAMES, st.text(max_size=25)))
def test_in_text_nothing_passes_for_another_value(values: Mapping[str, str]) -> None:
    text = as_text(Line(NOON, "info", "request", values))
    found = re.findall(r' (\w+)=("(?:[^"\\]|\\.)*"|[^ "\n]+)', text)
    assert {name: json.loads(value) if value.startswith('"') else value for name, value in found} == values


@pytest.mark.parametrize("format", Format)
def test_a_hostile_value_begins_no_line(format: Format, capfd: pytest.CaptureFixture[str]) -> None:
    with reporting(format, lambda: NOON) as lines:
        lines.write("info", "request", caller=HOSTILE)
        logging.getLogger("remit.server").warning("of `%s`", HOSTILE)
        logging.getLogger("uvicorn.error").error("first %s", HOSTILE)
        logging.getLogger("remit.server").info("%d", "no number")
    text = capfd.readouterr().err
    assert text.count("\n") == 4 and re.fullmatch(r"[ -~\n]*", text)
    if format is Format.JSON:
        told = lines_of(text)
        assert (told[0]["caller"], told[1]["message"]) == (HOSTILE, f"of `{HOSTILE}`")
        assert told[2]["message"] == "first a\r" and told[3]["error"] == "TypeError"


def test_where_an_error_comes_from_is_told_without_its_words(capfd: pytest.CaptureFixture[str]) -> None:
    def inner(password: str) -> None:
        raise KeyError(password)

    def outer(password: str) -> None:
        try:
            inner(password)
        except KeyError as error:
            error.add_note(password)
            raise ValueError(f"bad {password}") from error

    def gone() -> None:
        raise ExceptionGroup("s3cret", [ValueError("s3cret")])

    with reporting(Format.JSON, lambda: NOON):
        try:
            outer("s3cret")
        except ValueError as error:
            told = stack_of(error)
            logging.getLogger("asyncio").error("it was never retrieved\nfuture: <Task %r>", error, exc_info=error)
            logging.getLogger("uvicorn.error").error(traceback.format_exc())
        ended = threading.Thread(target=gone)
        ended.start()
        ended.join()
    assert re.match(r"ValueError at .*test_lines\.py:\d+ outer < .* \| for KeyError at .*inner < .*outer$", told), told
    text = capfd.readouterr().err
    assert "s3cret" not in told + text
    assert [(one["message"], one.get("error")) for one in lines_of(text)] == [
        ("it was never retrieved", "ValueError"),
        ("ended by an error (ValueError)", None),
        ("a thread ended by an error", "ExceptionGroup"),
    ]


def _accounted_for(text: bytes) -> int:
    """Of how many requests whole lines say that they were written, or lost."""
    told = lines_of(text[: text.rfind(b"\n") + 1].decode())
    return sum(one["count"] if one["event"] == "lines-dropped" else one["event"] == "request" for one in told)


def test_whoever_does_not_read_keeps_nobody_waiting_and_what_was_lost_is_told() -> None:
    reading, writing = os.pipe()
    lost: list[int] = []
    lines = Lines(writing, Format.JSON, lambda: NOON, lost.append, waiting=100)
    began = time.monotonic()
    for number in range(5000):
        lines.write("info", "request", number=number, filling="x" * 280)
    assert time.monotonic() - began < 5 and sum(lost) > 4000
    text, until = b"", time.monotonic() + 20
    os.set_blocking(reading, False)
    while _accounted_for(text) < 5000 and time.monotonic() < until:  # before there may be no room for one more
        try:
            text += os.read(reading, 1 << 16)
        except BlockingIOError:
            time.sleep(0.01)
    lines.write("info", "last")
    assert lines.close()
    os.close(writing)
    while part := os.read(reading, 1 << 16):
        text += part
    os.close(reading)
    told = lines_of(text.decode())
    dropped = sum(one["count"] for one in told if one["event"] == "lines-dropped")
    written = [one["number"] for one in told if one["event"] == "request"]
    assert dropped == sum(lost) and dropped + len(written) == 5000 and told[-1]["event"] == "last"
    assert written == sorted(written) and b"".join(text.splitlines(keepends=True)) == text


def test_a_pipe_that_nobody_will_ever_read_loses_lines_and_nothing_else() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    lost: list[int] = []
    broken, absent = (Lines(one, Format.TEXT, lambda: NOON, lost.append) for one in (writing, None))
    for lines in (broken, absent):
        for _ in range(10):
            lines.write("info", "request")
        assert lines.close()
    os.close(writing)
    assert sum(lost) >= 20


@pytest.mark.sqlite
def test_a_request_is_told_without_what_was_in_it(open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = open_store("home", clock=wall_clock)
    session = world.open_session(world.open_task())
    monkeypatch.setenv("REMIT_HOME", str(world.home))
    server, client = start(tmp_path, dev=False)
    try:
        url = f"http://127.0.0.1:{client.port}"
        token = own_issuer(world.home, url, wall_clock).operator_token("the-door", [Role.ENFORCEMENT_POINT], url, 60)
        shown = {"Authorization": f"Bearer {token}", "X-Other": "in-a-header", "Content-Type": "application/json"}
        trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        body = json.dumps(asked(session, "look", name="in-an-argument")).encode()
        about = {"X-Request-ID": "mine \x85=1", "traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
        permitted = client.send("POST", "/access/v1/evaluation", body, {**shown, **about}).body
        client.send("POST", f"/v1/decisions/{permitted['context']['id']}/act", b"{}", shown)
        client.send("GET", "/v1/approvals/in-a-path?wait=0&x=in-a-query", None, shown)
        again = {**shown, "Idempotency-Key": "in-a-key"}
        repeated = {client.send("POST", "/access/v1/evaluation", body, again).body["context"]["id"] for _ in range(2)}
        assert client.send("GET", "/healthz", None, {}).status == client.send("GET", "/readyz", None, {}).status == 200
        refused = client.send("GET", "/v1/caller", None, {**shown, "Authorization": f"Bearer {token[:-3]}AAA"})
    finally:
        server.terminate()
        _, errors = server.communicate(timeout=20)
    assert server.returncode == 0
    told = [one for one in lines_of(errors) if one["event"] == "request"]
    shape = [(one["method"], one["route"], one["status"], one.get("decision"), one.get("caller")) for one in told]
    decision, door = permitted["context"]["id"], f"{url}#the-door"
    assert shape == [
        ("POST", "/access/v1/evaluation", 200, decision, door),
        ("POST", "/v1/decisions/{id}/act", 200, decision, door),
        ("GET", "/v1/approvals/{id}", 404, None, door),
        *[("POST", "/access/v1/evaluation", 200, one, door) for one in [*repeated] * 2],
        ("GET", "/v1/caller", 401, None, None),
    ]
    assert len(repeated) == 1
    assert [one.get("refused") for one in told] == [*[None] * 5, "invalid_token"], "why nobody was let in"
    assert (told[0]["request"], told[0]["trace"]) == ("mine \x85=1", trace)
    assert told[-1]["request"] == refused.headers["x-request-id"] and 0 < told[0]["seconds"] < 20
    for secret in (
        token,
        token.rpartition(".")[2],
        "in-a-header",
        "in-an-argument",
        "in-a-path",
        "in-a-query",
        "in-a-key",
        "Bearer",
    ):
        assert secret not in errors


class Mute(Faulty):
    """A store whose decisions fail with words of the request."""

    def evaluate(self, request: EvaluationRequest) -> Driven[Decision]:
        raise RuntimeError(f"{request.subject.id} {request.arguments}")


def test_a_fault_is_told_once_under_the_id_that_was_answered(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    embedded = Mute(tmp_path / "home", Settings())
    with reporting(Format.JSON, wall_clock), serving(embedded) as client:
        answer = client.post(
            "evaluation",
            {
                "subject": {"type": "user", "id": "s3cret"},
                "action": {"name": "read", "properties": {"a": "s3cret"}},
                "resource": {"type": "record", "id": "x"},
            },
        )
        still = client.send("GET", "/healthz", None, {})
        assert figure(scrape(client), "remit_faults_total") == 1
    embedded.close()
    text = capfd.readouterr().err
    [told] = [one for one in lines_of(text) if one["level"] == "error"]
    assert (answer.status, still.status, told["error"], told["route"]) == (500, 200, "RuntimeError", "/access/v1/evaluation")
    assert f"`{told['fault']}`" in answer.body["detail"] and "test_lines.py" in told["stack"]
    assert "s3cret" not in text and b"s3cret" not in answer.text


def decided(client: Client) -> None:
    message = {
        "subject": {"type": "user", "id": "alice"},
        "action": {"name": "read"},
        "resource": {"type": "record", "id": "record-1"},
    }
    assert client.post("evaluation", message).body["decision"] in (True, False)


@pytest.mark.sqlite
def test_deciding_goes_on_where_standard_error_stalls(tmp_path: Path) -> None:
    server, client = start(tmp_path, "--bundle", str(CERTIFICATION))
    for _ in range(400):  # more than a pipe holds
        client.send("GET", "/nothing", None, {"X-Request-ID": "x" * 200})
    decided(client)
    server.terminate()
    assert server.wait(20) == 0
    server.communicate()


@pytest.mark.sqlite
@pytest.mark.parametrize("gone", ["closed", "hung up"])
def test_deciding_goes_on_without_standard_error_and_writes_nowhere_else(world: World, tmp_path: Path, gone: str) -> None:
    home = world.home
    world.close()
    arguments = [sys.executable, "-P", "-m", "remit.cli.main", "serve", "--dev", "--port", "0"]
    command = ["sh", "-c", f"exec {shlex.join(arguments)}{' 2>&-' if gone == 'closed' else ''}"]
    environment = {**os.environ, "REMIT_HOME": str(home)}
    server = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None and server.stderr is not None
        found = re.search(r"listening on http://127\.0\.0\.1:(\d+)", server.stdout.readline())
        assert found is not None
        client = Client(int(found[1]))
        if gone == "hung up":
            server.stderr.close()
        for _ in range(20):
            decided(client)
        until = time.monotonic() + 10
        while figure(text := scrape(client), "remit_log_lines_dropped_total") < 20 and time.monotonic() < until:
            pass
        assert figure(text, "remit_log_lines_dropped_total") >= 20
        server.terminate()
        assert server.wait(20) == 0
    finally:
        if server.poll() is None:
            server.kill()
        for stream in (server.stdout, server.stderr):
            assert stream is not None
            stream.close()
        server.wait(20)
    verify = [sys.executable, "-P", "-m", "remit.cli.main", "log", "verify"]
    assert subprocess.run(verify, cwd=tmp_path, env=environment, capture_output=True, check=False).returncode == 0


@pytest.mark.sqlite
def test_lines_are_json_unless_a_person_reads_them(tmp_path: Path) -> None:
    for format, begins in (("json", "{"), ("text", "20")):
        server, client = start(tmp_path, "--bundle", str(CERTIFICATION), "--log-format", format)
        client.send("GET", "/nothing", None, {})
        server.terminate()
        [line] = [one for one in server.communicate(timeout=20)[1].splitlines() if "request" in one and "404" in one]
        assert line.startswith(begins)
