"""The README's first minute, as it stands there."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import ok

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def _run(folder: Path, *command: str) -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("REMIT_")}
    environment["PYTHONPATH"] = str(ROOT / "src")
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


def test_what_the_readme_says_works_as_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent and what it needs in processes of their own, all else in this one."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    [snippet] = [text for kind, text in blocks if kind == "python"]
    shell = "\n".join(text for kind, text in blocks if not kind)
    verbs = [part.split("#")[0].strip() for line in shell.splitlines() for part in line.split("&&") if "./run remit" in part]
    setup = [verb for verb in verbs if " init" in verb or " register" in verb]
    assert len(setup) == 2 and len(verbs) >= 8
    (tmp_path / "notes.txt").write_text("milk, bread")
    (tmp_path / "agent.py").write_text(snippet)
    for verb in setup:
        _run(tmp_path, "-m", "remit.cli.main", *_words(verb))
    assert "milk, bread" in _run(tmp_path, "agent.py")
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("REMIT_")]:
        monkeypatch.delenv(name)
    [decision] = re.findall(r"dec_\w+", ok("decision", "list"))
    for verb in verbs:
        if verb not in setup:
            ok(*[decision if word == "dec_…" else word for word in _words(verb)])
    assert "notes-bot" in ok("kill")
    assert (tmp_path / "log.export").exists() and (tmp_path / "backup").is_dir()


def test_what_the_readme_says_of_a_tool_that_nobody_described_is_so(tmp_path: Path) -> None:
    [snippet] = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    [described] = re.findall(r"^```yaml\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    for verb in (["init"], ["agent", "register", "notes-bot", "--owner", "you", "--purpose", "summarises notes"]):
        _run(tmp_path, "-m", "remit.cli.main", *verb)
    twice = (
        snippet + '    try:\n        print(read_file("other.txt"))\n    except remit.Denied as denied:\n        print(denied)\n'
    )
    (tmp_path / "agent.py").write_text(twice)
    (tmp_path / "notes.txt").write_text("milk, bread")
    (tmp_path / "other.txt").write_text("eggs")
    assert "a person must answer it" in _run(tmp_path, "agent.py")
    tools = tmp_path / "policy" / "tools.yaml"
    assert tools.read_text().endswith("\n[]\n")
    tools.write_text(tools.read_text().removesuffix("[]\n") + described)
    _run(tmp_path, "-m", "remit.cli.main", "policy", "publish", "policy")
    assert "milk, bread\neggs" in _run(tmp_path, "agent.py")


def _words(verb: str) -> list[str]:
    return shlex.split(verb)[2:]


@pytest.mark.parametrize(("options", "answered"), [(["--yes"], "yes"), ([], "Nobody is at the terminal")])
def test_the_demo_stops_the_attack_and_tells_the_story(options: list[str], answered: str, tmp_path: Path) -> None:
    told = _run(tmp_path, "-m", "remit.cli.main", "demo", *options)
    assert answered in told
    for words in ("nothing went to the attacker", "budget-exhausted", "approval-required", "verified", "is caught"):
        assert words in told, words
    assert "defect" not in told and "SUCCEEDED" not in told


def test_the_demo_leaves_its_store_where_remit_home_says(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "REMIT_HOME": str(tmp_path / "home")}
    for verb in (["demo", "--yes"], ["demo", "--yes"], ["log", "verify"], ["decision", "list"]):
        done = subprocess.run(
            [sys.executable, "-m", "remit.cli.main", *verb],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, (verb, done.stdout, done.stderr)
    assert "send_mail" in done.stdout


def test_what_the_readme_says_of_attacks_is_what_was_measured() -> None:
    """docs/efficacy.md has the figures: the total, and the suites with attacks that did harm, or whose tools somebody annotated."""
    measured = (ROOT / "docs" / "efficacy.md").read_text("utf-8")
    cell = r"\s*\**([^|*]+?)\**\s*\|"
    [table] = re.findall(r"^\| suite \| attacks \| ASR .*?^\| \*\*total.*?$", measured, re.DOTALL | re.MULTILINE)
    _head, _line, *rows = re.findall(rf"^\|{cell * 5}", table, re.MULTILINE)
    suites = {name: [part.replace(",", "").removesuffix(" %") for part in rest] for name, *rest in rows}
    total = suites.pop("total")
    harm = sum(round(int(attacks) * float(success) / 100) for attacks, success, *_ in suites.values() if attacks != "–")
    annotated = [(int(runs), float(share)) for name, (_, _, runs, share) in suites.items() if "annot" not in name]
    alone = 100 * sum(round(runs * share / 100) for runs, share in annotated) / sum(runs for runs, _ in annotated)
    said = f"{int(total[0]):,} recorded attacks under the baseline bundle {harm} still do harm, while {total[3]} % of the honest runs need"
    assert said in README and re.search(rf"nobody's word,\s+{alone:.0f} % where somebody said what the tools do", README)
