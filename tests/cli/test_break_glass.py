"""`remit break-glass`: as its page tells it, step by step; loud wherever somebody looks."""

import json
import pwd
import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest

import remit
from remit.local.wiring import wall_clock
from remit.model.errors import ErrorKind
from remit.runtime.emergency import break_glass
from tests.cli.running import error, ok
from tests.conftest import OpenStore
from tests.faults.processes import python
from tests.pap.bundles import ROOT
from tests.runtime.world import ANA, CARL, MANIFEST, Clock, World, small_bundle
from tests.server.serving import start

PAGE = (ROOT / "docs/break-glass.md").read_text("utf-8")
ASK = ("break-glass", "ask", "--agent", "bot", "--tool", "never", "--incident", "INC-7", "--reason", "the queue is stuck")


@pytest.fixture
def who(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The user of this machine who runs the verbs, as the operating system would say."""
    user = SimpleNamespace(pw_name="ana")
    monkeypatch.setattr(pwd, "getpwuid", lambda _: user)
    return user


@remit.guard
def never() -> str:
    return "it moves"


@pytest.mark.sqlite
def test_the_page_is_true(guarded: World, who: SimpleNamespace, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    [block] = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    names = {"brg_…": "", "dec_…": ""}
    said: list[str] = []
    for line in block.splitlines():
        if (told := re.match(r"# (\w+)", line)) is not None:
            who.pw_name = told[1]
            if told[1] == "agent":
                clock.now = wall_clock()
                with remit.task("move the queue", agent="bot"):
                    assert never() == "it moves"
                names["dec_…"] = guarded.decisions()[-1].id
        elif line:
            said.append(ok(*shlex.split(line.replace("brg_…", names["brg_…"]).replace("dec_…", names["dec_…"]))[1:]))
            names["brg_…"] = names["brg_…"] or said[0].split("`")[1]
    glass = guarded.store.break_glasses()[0]
    assert (glass.asked_by, glass.confirmed_by, glass.reviewed_by, glass.stage) == ("ana", "carl", "dora", "reviewed")
    text = "\n".join(said)
    assert (
        names["dec_…"] in text
        and "OPEN for another" in text
        and "1 decision under it" in text
        and "1 review open, 0 overdue" in text
    )
    assert any("BREAK-GLASS: decision" in record.message and glass.id in record.message for record in caplog.records)
    opened_by = f"`{glass.id}` (incident `INC-7`) for agent `bot`, asked for by `ana`, confirmed by `carl`: the queue is stuck"
    assert f"BREAK-GLASS {opened_by}" in text, "explained"
    assert opened_by in " ".join(ok("decision", "show", names["dec_…"]).split())
    guarded.verified()


@pytest.mark.sqlite
def test_one_person_alone_opens_nothing(guarded: World, who: SimpleNamespace) -> None:
    asked = json.loads(ok(*ASK, "--json"))
    refusal = error("break-glass", "confirm", asked["id"])
    assert refusal.kind is ErrorKind.REFUSED and "asked for it" in refusal.message
    assert "withdrawn" in ok("break-glass", "end", asked["id"])
    assert error("break-glass", "show", "brg_0").kind is ErrorKind.NOT_FOUND


@pytest.mark.sqlite
def test_the_doctor_says_what_is_open_once(guarded: World, who: SimpleNamespace) -> None:
    name = json.loads(ok(*ASK, "--minutes", "5", "--json"))["id"]
    who.pw_name = "carl"
    assert "OPEN until" in ok("break-glass", "confirm", name)
    [warning] = json.loads(ok("doctor", "--json"))["warnings"]
    assert "BREAK-GLASS" in warning and name in warning and "never" in warning
    guarded.publish(small_bundle(manifest=MANIFEST + "mode: shadow\n"))
    with python("-m", "remit.cli.main", "doctor", REMIT_HOME=str(guarded.home)) as process:
        assert process.wait(20) == 1 and process.stdout is not None and process.stderr is not None
        said = process.stdout.read() + process.stderr.read()
    assert said.count("BREAK-GLASS") == said.count(name) == said.count("SHADOW MODE") == 1, said


@pytest.mark.sqlite
def test_a_review_that_nobody_made_is_said_to_be_overdue(
    open_store: OpenStore, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.forward(-8 * 86_400)
    world = open_store()
    asked = break_glass.ask(
        world.runtime, break_glass.EmergencyRequest("stuck", "INC-7", agent="bot", tools=("never",)), ANA
    ).result()
    break_glass.confirm(world.runtime, asked.id, CARL).result()
    monkeypatch.setenv("REMIT_HOME", str(world.home))
    [warning] = json.loads(ok("doctor", "--json"))["warnings"]
    assert warning.startswith("1 review of break-glass overdue")
    assert "review overdue" in ok("break-glass", "list", "--unreviewed") and "1 overdue" in ok("break-glass", "status")
    server, _ = start(tmp_path)
    server.terminate()
    assert "1 review of break-glass overdue" in server.communicate(timeout=20)[1]


def test_the_page_names_every_verb() -> None:
    assert set(re.findall(r"remit break-glass (\w+)", PAGE)) == {"ask", "confirm", "show", "status", "end", "list", "review"}
