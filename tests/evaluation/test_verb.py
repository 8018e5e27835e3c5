"""`remit eval` as it is typed, and what it leaves behind."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from remit.local.evaluation import evaluate
from remit.local.evaluation.corpus import Recorded, RecordedStep
from remit.local.evaluation.deployment import Surroundings
from remit.local.evaluation.evaluate import evaluate_runs
from remit.local.evaluation.replaying import Replay
from remit.model.errors import ErrorKind, RemitError
from remit.model.task import Scope
from tests.evaluation.building import CORPUS


def remit_eval(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "remit.cli.main", "eval", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(Path(evaluate.__file__).parents[3])}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_it_prints_what_programs_read() -> None:
    done = remit_eval(CORPUS, "--json", "--scope", CORPUS / "scopes.jsonl")
    assert (done.returncode, done.stderr) == (0, "")
    figures = json.loads(done.stdout)
    assert set(figures) == {"suites", "sets", "total", "rules", "passed", "held"}
    for found in (*figures["suites"].values(), figures["total"]):
        assert {"asr", "automatic", "holds_per_run", "attacks", "benign", "p50_us", "p99_us"} <= set(found)
    assert figures["total"]["asr"] == 0


def test_it_shows_people_a_table_and_says_what_it_does_not_say() -> None:
    done = remit_eval(CORPUS)
    assert done.returncode == 0
    [row] = [line.split() for line in done.stdout.splitlines() if line.startswith("post/desk  ")]
    assert row[:9] == ["post/desk", "3", "33.3", "%", "2", "50.0", "%", "1.00", "0"]
    for said in ("1 runs that failed", "2 lines were left out", "no scope declared", "a recording does not react"):
        assert said in done.stdout


def test_it_shows_each_policy_and_on_request_each_case(tmp_path: Path) -> None:
    done = remit_eval(CORPUS, "--list", "--mutate", "4", "--picture", tmp_path / "picture.svg")
    assert (done.returncode, done.stderr) == (0, "")
    [row] = [line.split() for line in done.stdout.splitlines() if line.startswith("steered-effect")]
    assert row == ["steered-effect", "3", "60.0", "%", "1", "33.3", "%", "1", "50.0", "%"]
    for said in (
        "got through: 2 attacks",
        "held or denied: 1 benign run",
        "from directory",
        "held by steered-effect: this needs",
    ):
        assert said in done.stdout
    assert "under other names (seed 4)" in done.stdout and "thief" not in done.stdout
    assert (tmp_path / "picture.svg").read_text().startswith("<svg")


def test_without_annotations_every_tool_is_unknown() -> None:
    done = remit_eval(CORPUS, "--unannotated", "--json")
    assert json.loads(done.stdout)["total"]["asr"] == 0
    both = remit_eval(CORPUS, "--unannotated", "--annotations", CORPUS / "tool_annotations.json")
    assert (both.returncode, both.stdout) == (2, "") and "given and withheld" in both.stderr


def test_a_picture_that_has_no_place_is_said_before_anything_is_played(tmp_path: Path) -> None:
    done = remit_eval(CORPUS, "--picture", tmp_path / "gone" / "picture.svg")
    assert (done.returncode, done.stdout) == (2, "") and "there is no folder for" in done.stderr
    (tmp_path / "folder.svg").mkdir()
    done = remit_eval(CORPUS, "--picture", tmp_path / "folder.svg")
    assert (done.returncode, done.stdout) == (3, "") and "cannot be written" in done.stderr


def test_a_broken_line_ends_it_with_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "runs.jsonl").write_text('{"kind": "attack"\n')
    done = remit_eval(tmp_path / "runs.jsonl")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{tmp_path / 'runs.jsonl'}:1: this is no JSON" in done.stderr


def test_it_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("REMIT_HOME", str(tmp_path / "home"))
    seen: list[tuple[int, int, str]] = []
    evaluate_runs([CORPUS], progress=lambda done, total, suite: seen.append((done, total, suite)))
    assert [done for done, _, _ in seen] == list(range(1, 12))
    assert {(total, suite) for _, total, suite in seen} == {(11, "post/desk"), (11, "post/desk (recorded)")}
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_fails_is_no_attack_that_was_stopped(tmp_path: Path) -> None:
    """What cannot be decided is denied; but it must not be counted as the policy's merit."""
    deployment = Surroundings().deployment(CORPUS / "traces" / "desk_written.jsonl")
    replay = Replay(tmp_path / "home", deployment.bundle("post/desk", ()))
    run = Recorded("post/desk", "read my post", (RecordedStep("read_post"),))
    assert replay.play([run], [Scope()], lambda: None)[0].answers[0].permitted
    shutil.rmtree(tmp_path / "home")
    with pytest.raises(RemitError) as caught:
        replay.play([run], [Scope()], lambda: None)
    assert caught.value.kind is ErrorKind.UNAVAILABLE
    replay.close()
