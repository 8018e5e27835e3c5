"""`remit session` and `remit log erase` as an operator types them: what is missing is said before anything happens."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from remit.model.errors import ErrorKind
from remit.runtime.approving.answering import resolve
from tests.cli.running import LOWERING, error, ok, run
from tests.runtime.world import CARL, POLICIES, Clock, World, small_bundle

pytestmark = pytest.mark.sqlite


def test_lowering_nothing_is_refused_before_anything_is_logged(guarded: World) -> None:
    session = guarded.open_session()
    before = len(guarded.entries())
    refused = error("session", "declassify", session.id, "--why", "x")
    assert refused.kind is ErrorKind.MALFORMED and "`--to`" in refused.message
    assert len(guarded.entries()) == before


def test_nobody_is_asked_to_erase_what_is_not_there(guarded: World) -> None:
    assert "there is no task `nope`" in error("log", "erase", "nope").message
    task = guarded.open_task()
    ok("task", "close", task.id)
    assert "for good?" in run("log", "erase", task.id, input="n\n").output
    assert "erased" in ok("log", "erase", task.id, "--yes")


def test_a_picture_is_an_svg(guarded: World) -> None:
    assert "`x.svg`" in error("eval", ".", "--picture", "x.png").message


def test_declassify_waits_for_whoever_approves(guarded: World, clock: Clock) -> None:
    guarded.publish(small_bundle(policies=POLICIES + LOWERING))
    session = guarded.open_session()
    guarded.perform(session, "read", "hello")
    asking = ("session", "declassify", session.id, "--to", "public", "--why", "looked at", "--json")
    with ThreadPoolExecutor(1) as others:
        lowered = others.submit(ok, *asking, "--wait", "20")
        until = time.monotonic() + 15
        while not (found := guarded.store.approvals(None, 9)) and time.monotonic() < until:
            time.sleep(0.02)
        [waiting] = found
        clock.forward(5)
        resolve(guarded.runtime, waiting.id, CARL, True, "looked at").result()
        assert json.loads(lowered.result())["label"]["confidentiality"] == "public"


def test_declassify_waits_no_longer_than_it_is_told(guarded: World) -> None:
    guarded.publish(small_bundle(policies=POLICIES + LOWERING))
    session = guarded.open_session()
    guarded.perform(session, "read", "hello")
    before = time.monotonic()
    unanswered = run("session", "declassify", session.id, "--to", "public", "--why", "looked at", "--wait", "0.3")
    assert unanswered.exit_code == 1 and "somebody else must run `remit approval approve apr_" in unanswered.output.replace(
        "\n", " "
    )
    assert 0.3 <= time.monotonic() - before < 10
