"""The commands of the guides, run as they stand and in the order in which they stand, where nothing was done before."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.cli.running import ok, run
from tests.server.serving import start
from tests.test_documents import BLOCK

ROOT = Path(__file__).resolve().parent.parent
SECTION = r"^#+ {}$(.*?)(?=^#|\Z)"


def shown(document: str, section: str = "") -> list[str]:
    """The lines of the blocks of a shell in a document, or in one of its sections, without comments."""
    text = (ROOT / "docs" / document).read_text("utf-8")
    if section:
        [text] = re.findall(SECTION.format(re.escape(section)), text, re.DOTALL | re.MULTILINE)
    blocks = [block for kind, block in BLOCK.findall(text) if kind in ("", "sh")]
    lines = [re.sub(r"(^|\s+)#.*", "", line).strip() for line in "".join(blocks).splitlines()]
    return [line for line in lines if line]


def words(line: str, known: Mapping[str, str] | None = None) -> list[str]:
    """The words behind `remit`, what stands for something replaced by it."""
    program, *found = [(known or {}).get(word, word) for word in shlex.split(line.removeprefix("$ "))]
    assert program == "remit", line
    return found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to work in, without any setting."""
    for name in [name for name in os.environ if name.startswith("REMIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    yield tmp_path


SERVED = """
set -eu
ip link set lo up
mount --make-rprivate /
mount -t tmpfs -o mode=0755 tmpfs /run && mkdir /run/remit
remit init >/dev/null
"""
ONE = """
{line} >said 2>&1 &
server=$!
remit ping {address} --wait 60 || {{ cat said; exit 1; }}
until grep -q "listening on {address}" said; do sleep 0.1; done
{ask}
kill -TERM $server && wait $server
echo ended well
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give it a network of its own, in which its port is free")
def test_each_way_of_serving_is_one(folder: Path) -> None:
    """docs/serving.md: each server as it is started there, until it answers, and ended by a signal; and the requests to try."""
    lines = shown("serving.md")
    servers = [line for line in lines if line.startswith("remit serve")]
    whole = shown("serving.md", "From an agent to an answer")
    [curl] = [line for line in lines if line.startswith("curl") and line not in whole]
    assert len(servers) == 5
    (folder / "examples").symlink_to(ROOT / "examples")
    (folder / "bin").mkdir()
    (folder / "bin" / "remit").write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m remit.cli.main "$@"\n')
    (folder / "bin" / "remit").chmod(0o755)
    script = SERVED
    asks = {servers[1]: "{ set -e; " + "; ".join(whole) + "; } >whole", servers[2]: f"{curl} >answer"}
    for line in servers:
        address = "unix:///run/remit/remit.sock" if "--socket" in line else "http://127.0.0.1:8181"
        script += ONE.format(line=line, address=address, ask=asks.get(line, ""))
    environment = {**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "src")}
    command = ["unshare", "--net", "--mount", "sh", "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180, check=False)
    assert (done.returncode, done.stdout.count("ended well")) == (0, 5), (done.stdout, done.stderr)
    assert '"decision":true' in (folder / "answer").read_text()
    registered, decision, context = (folder / "whole").read_text().partition('{"decision"')
    [said] = re.findall(r"^```json\n(.*?)^```", (ROOT / "docs" / "serving.md").read_text("utf-8"), re.DOTALL | re.MULTILINE)
    answered = re.sub(r"dec_\w+", "dec_…", decision + context)
    assert json.loads(registered)["id"] == "helper" and json.loads(answered) == json.loads(said)


def test_who_is_calling(folder: Path) -> None:
    """docs/identity.md: an agent's key and token, and the first administrator by the link that a server prints."""
    key, token, mine, enrol = shown("identity.md")
    ok("init", "--agent", "bot")
    assert "bot.jwk" in ok(*words(key)) and ok(*words(token)) and (folder / "bot.token").read_text().count(".") == 2
    server, client = start(folder, dev=False)
    try:
        assert server.stderr is not None
        [link] = re.findall(r"remit enrol (\S+)", next(line for line in server.stderr if "remit enrol" in line))
        ok(*words(mine))
        [example] = [word for word in words(enrol) if word.endswith("#CODE")]
        ok(*words(enrol, {example: link}))
        assert (folder / "ana.token").stat().st_mode & 0o777 == 0o600
        given = (folder / "ana.token").read_text().strip()
        refused = client.send("GET", "/v1/caller", None, {"Authorization": f"Bearer {given}"})
        assert refused.status == 401 and "proof" in refused.body["detail"], "a token that is bound to a key"
    finally:
        server.terminate()
        server.communicate(timeout=20)


def test_people_and_what_watches(folder: Path) -> None:
    """docs/people.md and docs/observability.md: a file of people, a token for a provisioning service, one for Prometheus, in its file."""
    ok("init")
    (folder / "people.csv").write_text("id,user_name,active\n1,ana@corp.example,true\n2,gus@corp.example,false\n")
    dry, whole, provisioner = shown("people.md")
    assert "would change: 2 new" in ok(*words(dry)) and ok("people", "list", "--json").strip() == "[]"
    assert "2 new" in ok(*words(whole)) and "gus@corp.example" in ok("people", "list", "--gone")
    told = ok(*words(provisioner))
    assert "whoever has it can use it; `--key`" in told and len(re.findall(r"^ey\S+\.\S+\.\S+$", told, re.MULTILINE)) == 1
    monitor, otel = shown("observability.md")
    told, _, file = monitor.partition(" > ")
    assert ok(*words(told)).count(".") == 2 and file == "/etc/prometheus/remit.token"
    assert otel == "OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318 remit serve", "which tests/server/test_otel.py does"


ASKS = """
@id("pay-asks") @requestable("one")
forbid (principal, action == Action::"tool.call", resource == Tool::"pay") unless { context.approval.granted };
"""
AGENT = """
import remit

@remit.guard
def pay(to: str, amount: int) -> str:
    return f"paid {amount} to {to}"

with remit.task(resume="TASK"):
    print(pay("acme", 3))
"""


def test_a_call_is_held_approved_and_made(folder: Path) -> None:
    """docs/python.md (a task that outlives the program) and docs/approving.md."""
    ok("init", "--agent", "payables-bot")
    (folder / "policy" / "tools.yaml").write_text(
        "- {name: pay, annotations: {effect: spend, reach: external, destinations: [to]}}\n"
    )
    (folder / "policy" / "policies" / "pay.cedar").write_text(ASKS)
    ok("policy", "publish", "policy")
    opened, _said, run_it, approve, again = shown("python.md", "`remit.task`")
    [task] = re.findall(r"tsk_\w+", ok(*words(opened)))[:1]
    (folder / "agent.py").write_text(AGENT.replace("TASK", task))
    assert run_it == again == "$ python agent.py"
    held = agent(folder)
    [request] = set(re.findall(r"apr_\w+", held.stderr))
    assert held.returncode != 0 and "approval-required" in held.stderr
    listed, card, approved, *_afar = shown("approving.md")
    assert request in ok(*words(listed)) and "acme" in ok(*words(card, {"apr_…": request}))
    assert words(approved)[: len(words(approve))] == words(approve)
    ok(*words(approved, {"apr_…": request}))
    assert agent(folder).stdout == "paid 3 to acme\n"


def agent(folder: Path) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    return subprocess.run(
        [sys.executable, "agent.py"], cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_operators_guide_from_the_first_start_to_a_restore(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/operating.md: what `systemctl` and `deploy/install` do is left out, the drill is run in tests/deploy."""
    monkeypatch.setenv("REMIT_HOME", ".remit")
    for line in shown("operating.md", "First start"):
        if line.startswith("remit "):
            ok(*words(line))
        elif not line.startswith("systemctl"):
            subprocess.run(["sh", "-euc", line], check=True)
    assert ok("log", "key").startswith("remit.example/log+"), "the settings were there before anything was signed"
    ok("agent", "register", "bot", "--owner", "gus", "--purpose", "helps")
    (folder / "people.csv").write_text("id,user_name,active\n1,ana,true\n2,gus,true\n")
    ok("people", "import", "people.csv", "--whole")
    [task] = re.findall(r"tsk_\w+", ok("task", "open", "look around", "--agent", "bot"))[:1]
    ok("task", "close", task)
    (folder / "newest.head").write_text(ok("log", "head"))
    for line in shown("operating.md", "Upgrades"):
        if line.startswith("remit"):
            assert "bkp_" in ok(*words(line))
    told = [ok(*words(line)) for line in shown("operating.md", "The log does not verify")]
    assert "verified" in told[0] and (folder / "evidence.export").exists()

    shutil.copy(".remit/log.key", "kept.key")
    monkeypatch.setenv("REMIT_HOME", "restored")
    restore, *anew = shown("operating.md", "Restoring for real")
    known = {"BACKUP": "before-upgrade", "LOG.KEY": "kept.key", "NEWEST.HEAD": "newest.head"}
    assert "everything is stopped" in ok(*words(restore, known))
    (folder / "gone.csv").write_text("id,user_name,active\n1,gus,false\n")
    known = {"GONE.csv": "gone.csv", "NAME": "bot", "WHY": "left", "FOLDER": "policy", "TASK": task}
    for line in anew:
        if "PERSON" in line:
            known["PERSON"] = re.findall(r"per_\w+", ok("people", "show", "gus"))[0]
        done = run(*words(line, known), input="y\n")
        assert done.exit_code == 0, (line, done.output, done.exception)
    assert "agent" in ok("kill") and "suspended" in ok("agent", "list") and "erased" in ok("people", "list")
