"""What deploy/ and the operator's guide say: units that systemd accepts, commands that there are, a server that runs with next to no rights."""

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from remit.cli.main import app
from remit.local.config import Settings
from tests.cli.running import ok

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
UNITS = sorted([*DEPLOY.glob("*.service"), *DEPLOY.glob("*.timer"), *DEPLOY.glob("*.d/*.conf")])
GUIDE = (ROOT / "docs" / "operating.md").read_text("utf-8")
CONTAINER = (DEPLOY / "Containerfile").read_text("utf-8")


def blocks() -> list[str]:
    return re.findall(r"^ *```\n(.*?)^ *```", GUIDE, re.DOTALL | re.MULTILINE)


def commands() -> Iterator[tuple[str, list[str]]]:
    """Each call of `remit` in a unit, in the container or in the guide, with where it stands."""
    for unit in UNITS:
        for line in re.findall(r"^Exec\w+=(/opt/remit/bin/remit .*)$", unit.read_text("utf-8"), re.MULTILINE):
            yield unit.name, shlex.split(line)[1:]
    [check] = re.findall(r"^HEALTHCHECK .*CMD (\[.*\])$", CONTAINER, re.MULTILINE)
    [serve] = re.findall(r"^CMD (\[.*\])$", CONTAINER, re.MULTILINE)
    yield "Containerfile", list(eval(check))[1:]
    yield "Containerfile", list(eval(serve))
    for line in "".join(blocks()).splitlines():
        found = re.search(r"(?:^ *|/bin/| remit )remit (.*)$", line)
        if found and " build " not in line and "run -d" not in line and not line.startswith("remit()"):
            yield "operating.md", shlex.split(found[1].partition("  #")[0])


COMMANDS = list(commands())


@pytest.mark.parametrize(("where", "words"), COMMANDS, ids=[f"{where} {' '.join(words)}"[:60] for where, words in COMMANDS])
def test_every_command_is_one(where: str, words: list[str]) -> None:
    """Parsed as the command line parses it: verb, options and their values; nothing is run."""
    command: Any = typer.main.get_command(app)
    context = command.make_context("remit", [], resilient_parsing=True)
    left = list(words)
    while left and hasattr(command, "commands") and not left[0].startswith("-"):
        command = command.commands[left.pop(0)]
    if left != ["--version"]:
        assert not hasattr(command, "commands"), words
        command.make_context("remit", left, parent=context)
    assert where


def test_there_are_commands_to_be_tested() -> None:
    assert {where for where, _ in COMMANDS} == {
        "remit.service",
        "tls.conf",
        "remit-backup.service",
        "Containerfile",
        "operating.md",
    }
    assert len(COMMANDS) > 20


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    """Each alone and with each drop-in; what a unit must not be able to do is counted, too."""
    program = tmp_path / "remit"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for dropin in (None, *sorted((DEPLOY / "remit.service.d").glob("*.conf"))):
        units = tmp_path / (dropin.stem if dropin else "alone")
        (units / "remit.service.d").mkdir(parents=True)
        for unit in UNITS:
            if unit.parent == DEPLOY or unit == dropin:
                text = unit.read_text("utf-8").replace("/opt/remit/bin/remit", str(program))
                (units / unit.relative_to(DEPLOY)).write_text(text)
        said = analyze(units, "verify", "remit.service", "remit-backup.service", "remit-backup.timer")
        assert said == "", (units.name, said)
        (units / "remit.service.d" / "wrong.conf").write_text("[Service]\nPrivateMagic=yes\n")
        assert "PrivateMagic" in analyze(units, "verify", "remit.service"), "and what is wrong in a drop-in is noticed"
    for name in ("remit.service", "remit-backup.service"):
        exposure = re.findall(r"exposure level for .*: ([0-9.]+)", analyze(tmp_path / "alone", "security", "--offline=yes", name))
        assert [float(level) <= 2.0 for level in exposure] == [True], exposure


def analyze(units: Path, *arguments: str) -> str:
    environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{units}:", "SYSTEMD_LOG_LEVEL": "warning", "SYSTEMD_PAGER": "cat"}
    done = subprocess.run(
        ["systemd-analyze", *arguments], env=environment, cwd=units, capture_output=True, text=True, timeout=60, check=False
    )
    ours = [line for line in (done.stdout + done.stderr).splitlines() if "remit" in line or "PrivateMagic" in line]
    return "\n".join(ours)


def test_the_container_is_built_of_what_is_there() -> None:
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    sent = [line[1:] for line in ignored if line.startswith("!")]
    copied = [shlex.split(line)[0] for line in re.findall(r"^COPY (?!--from)(.*)$", CONTAINER, re.MULTILINE)]
    assert copied and set(copied) == set(sent) and ignored.index("*") < ignored.index("!src/remit")
    assert [path for path in copied if not (ROOT / path).exists()] == []
    assert re.findall(r"^USER (.*)$", CONTAINER, re.MULTILINE) == ["10001:10001"]
    assert (
        re.findall(r"^VOLUME (.*)$", CONTAINER, re.MULTILINE) == re.findall(r"REMIT_HOME=(\S+)", CONTAINER) == ["/var/lib/remit"]
    )
    assert "STOPSIGNAL SIGTERM" in CONTAINER and "ADD " not in CONTAINER and "curl" not in CONTAINER
    assert re.findall(r"^FROM (\S+)", CONTAINER, re.MULTILINE) == ["python:3.13-slim"] * 2
    assert Settings().url == "" and "REMIT_URL" in GUIDE, "which a server that listens everywhere demands"


def test_what_is_installed_is_what_is_tested() -> None:
    """Every version of deploy/install's lock is that of the tests' lock, with a hash, and nothing of the run lock lacks."""
    locks = {name: pinned(name) for name in ("run", "serve", "otel", "test")}
    assert locks["run"].keys() <= locks["serve"].keys() <= locks["test"].keys()
    wanted = locks["serve"] | locks["otel"]
    assert {
        name: (version, locks["test"].get(name)) for name, version in wanted.items() if locks["test"].get(name) != version
    } == {}
    text = (DEPLOY / "install").read_text("utf-8")
    assert "--require-hashes" in text and "--only-binary :all:" in text and "for pinned in serve " in text
    subprocess.run(["sh", "-n", str(DEPLOY / "install")], check=True, timeout=10)


def pinned(name: str) -> dict[str, str]:
    text = (ROOT / "requirements" / f"{name}.txt").read_text("utf-8")
    found = re.findall(r"^([a-z0-9-]+)(?:\[\w+\])?==(\S+)(.*?)(?=^[a-z0-9]|\Z)", text, re.MULTILINE | re.DOTALL)
    assert all("--hash=sha256:" in rest for _, _, rest in found), name
    return {package: version for package, version, _ in found}


PYTHON = """#!/bin/sh
case "$1 $2" in "-m pip") exec "$REAL" -c "$INSTALL" "$@" ;; *) exec "$REAL" "$@" ;; esac
"""
INSTALL = """
import re, sys
from importlib.metadata import distribution
from pathlib import Path
assert {"--require-hashes", "--only-binary"} <= set(sys.argv)
[site] = Path(sys.argv[sys.argv.index("--python") + 1]).parents[1].glob("lib/python3*/site-packages")
for name, marker in re.findall(r"^([a-z0-9-]+).*?==[^ ;]+( ;)?", Path(sys.argv[-1]).read_text(), re.MULTILINE):
    try:
        found = distribution(name)
    except ImportError:
        assert marker, name
        continue
    for top in {file.parts[0] for file in found.files} - {".."}:
        (site / top).exists() or (site / top).symlink_to(found.locate_file(top))
"""
"""In the place of `pip install`: links what these tests run with, of what the lock names and nothing else, so that no index is needed."""


def test_the_steps_of_the_container_make_a_remit_that_serves(tmp_path: Path) -> None:
    """The files that it copies, in a folder of their own, installed as it does; what was there before stays beside it."""
    for path in re.findall(r"^COPY (?!--from)(\S+) ", CONTAINER, re.MULTILINE):
        (tmp_path / "build" / path).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / path).is_dir() else shutil.copy2
        copy(ROOT / path, tmp_path / "build" / path)
    python, to = tmp_path / "python", tmp_path / "opt"
    python.write_text(PYTHON)
    python.chmod(0o755)
    [step] = re.findall(r"^RUN \S+ (deploy/install) /opt/remit \$WITH$", CONTAINER, re.MULTILINE)
    bare = {"PATH": os.environ["PATH"], "REAL": sys.executable, "INSTALL": INSTALL, "PYTHON": str(python)}

    def said(*command: str | Path) -> str:
        done = subprocess.run(command, cwd=tmp_path / "build", env=bare, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    assert said(step, to).endswith(f"installed in {to}\n")
    without = subprocess.run(
        [to / "bin" / "python", "-c", "import opentelemetry.sdk"], capture_output=True, timeout=30, check=False
    )
    assert without.returncode == 1
    assert said(step, to, "otel").endswith(f"what was there is in {to}.old\n")
    said(to / "bin" / "python", "-c", "import opentelemetry.sdk, opentelemetry.exporter.otlp.proto.http")
    wrong = subprocess.run(
        [step, to, "othel"], cwd=tmp_path / "build", env=bare, capture_output=True, text=True, timeout=30, check=False
    )
    assert wrong.returncode == 2 and "`othel`" in wrong.stderr
    shutil.rmtree(tmp_path / "build" / "src")
    remit = to / "bin" / "remit"
    said(remit, "init")
    said(remit, "policy", "check", "policy")
    command = [remit, "serve", "--dev", "--port", "0"]
    with subprocess.Popen(command, cwd=tmp_path / "build", env=bare, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert "it can decide" in said(remit, "ping", server.stdout.readline().split()[-1], "--ready", "--wait", "30")
        server.terminate()
        assert "stopped" in server.communicate(timeout=30)[0]


CONTAINED = """
set -eu
mount --make-rprivate /
mount -t tmpfs -o mode=0700 tmpfs "$VOLUME"
mount --bind / / && mount -o remount,bind,ro /
! touch /remit-was-here 2>/dev/null
cd "$VOLUME"
remit() { setpriv --bounding-set=-all --inh-caps=-all --no-new-privs "$PYTHON" -P -c "$DENY" "$@"; }
remit init
setpriv --bounding-set=-all --inh-caps=-all --no-new-privs "$PYTHON" -P -c "$DENY" serve --host 0.0.0.0 --port "$PORT" --behind-proxy &
server=$!
remit ping "http://127.0.0.1:$PORT" --wait 60
remit ping "http://127.0.0.1:$PORT" --ready
remit backup create backup
kill -TERM $server
wait $server
! remit ping "http://127.0.0.1:$PORT"
echo ended well
"""
DENY = "import runpy,sys,ctypes;assert ctypes.CDLL(None).prctl(65,1,0,0,0)in(0,-1);sys.argv[0]='remit';runpy.run_module('remit.cli.main',run_name='__main__')"
"""Runs Remit where no memory can be made executable (PR_SET_MDWE), as the unit has it, on kernels that can."""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a root that is read-only")
def test_it_runs_on_a_read_only_root_without_any_capability(tmp_path: Path) -> None:
    """As the container and the unit run it: one folder to write to, no capability, and the health check that they ask."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("REMIT_")},
        "VOLUME": str(tmp_path),
        "REMIT_HOME": str(tmp_path / "home"),
        "REMIT_URL": "https://remit.example",
        "PYTHON": sys.executable,
        "PYTHONPATH": str(ROOT / "src"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PORT": str(port),
        "DENY": DENY,
    }
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", CONTAINED],
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0 and done.stdout.endswith("ended well\n"), (done.stdout, done.stderr)
    for words in ("listening on", "it answers", "wrote bkp_", "stopped"):
        assert words in done.stdout, words


def test_the_drill_of_the_guide_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Word by word, in a folder with a backup that is called as it is there."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("REMIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("REMIT_HOME", "real")
    ok("init", "--agent", "bot")
    ok("task", "open", "look around", "--agent", "bot")
    ok("backup", "create", "newest")
    (tmp_path / "kept").mkdir()
    shutil.copy("real/log.key", "kept/log.key")
    [drill] = [block for block in blocks() if "REMIT_HOME=drill" in block]
    told = ""
    for line in drill.splitlines():
        program, *words = shlex.split(line)
        if program == "export":
            for name, _, value in (word.partition("=") for word in words):
                monkeypatch.setenv(name, value)
        elif program == "remit":
            told += ok(*words)
        else:
            subprocess.run([program, *words], cwd=tmp_path, check=True, timeout=10)
    for text in ("verified: bkp_", "everything is stopped", "state: as the log says", "restored: entry", "bot", "closed"):
        assert text in told, text
    assert not (tmp_path / "drill").exists()
    monkeypatch.setenv("REMIT_HOME", "real")
    assert "nothing is stopped" in ok("kill"), "what runs is as it was"
