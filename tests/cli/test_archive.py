"""`remit log archive` as an operator uses it, and `remit log verify` and the stranger's program on what it wrote."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from remit.cli import verbs
from remit.cli.main import app
from remit.decision_log import archive
from remit.decision_log.verify import archive as verified
from remit.decision_log.verify.__main__ import main
from remit.local import archiving, head
from remit.model.errors import ErrorKind, RemitError
from tests.decision_log.building import private_key, vkey
from tests.runtime.world import World

pytestmark = pytest.mark.sqlite
SMALL = 256

if not app.registered_commands:
    verbs.register(app)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def worked(guarded: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A store with more entries than a segment has, which are few."""
    for module in (archive, head, archiving, verified):
        monkeypatch.setattr(module, "SEGMENT", SMALL)
    session = guarded.open_session()
    while guarded.store.log.size() < SMALL + 5:
        guarded.ask(session, "never", {"who": "x"})
    guarded.close()
    return guarded


def test_a_store_is_archived_verified_and_archived_again(
    worked: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, key = str(tmp_path / "archive"), json.loads(run("log", "key", "--json").stdout)["key"]
    told = run("log", "archive", folder)
    assert told.exit_code == 0 and "wrote 1 segment to" in told.stdout and key in told.stdout, told.exception
    verified = run("log", "verify", folder, "--key", key)
    assert (
        verified.exit_code == 0 and f"verified: {SMALL} entries" in verified.stdout and "archive: 1 segments" in verified.stdout
    )
    (tmp_path / "head").write_text(run("log", "head").stdout)
    again = json.loads(run("log", "archive", folder, "--json").stdout)
    assert (again["new"], again["segments"], again["entries"], again["key"]) == (0, 1, SMALL, key) and again["size"] > SMALL
    assert run("log", "verify", folder).exit_code == 0
    assert main([folder, "--key", key, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["segments"] == 1
    (tmp_path / "archive" / "entries-000000000000.parquet").unlink()
    missing = run("log", "verify", folder, "--json")
    assert missing.exit_code == 1 and json.loads(missing.stdout)["findings"][0]["problem"] == "segment"
    assert main([folder]) == 1
    refused = run("log", "archive", folder)
    assert isinstance(refused.exception, RemitError) and refused.exception.kind is ErrorKind.CORRUPT


def test_a_folder_of_something_else(worked: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused = run("log", "archive", str(worked.home))
    assert isinstance(refused.exception, RemitError) and refused.exception.kind is ErrorKind.CONFLICT
    unusable = run("log", "verify", str(tmp_path))
    assert isinstance(unusable.exception, RemitError) and unusable.exception.kind is ErrorKind.MALFORMED
    assert main([str(tmp_path)]) == 2 and "is no archive" in capsys.readouterr().err


def test_a_witness_that_is_away_is_said(worked: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    witness, key = vkey(private_key(2), "w.org/w", 4), run("log", "key").stdout.strip()
    (worked.home / "witnesses").write_text(f"log {key}\nwitness w {witness} http://127.0.0.1:1/\nquorum w\n")
    monkeypatch.setenv("REMIT_WITNESSES", "witnesses")
    told = run("log", "archive", str(tmp_path / "archive"))
    assert told.exit_code == 0 and "unwitnessed" in told.stdout
    assert "unwitnessed" not in run("log", "archive", str(tmp_path / "archive"), "--no-witness").stdout
    assert run("log", "verify", str(tmp_path / "archive"), "--policy", str(worked.home / "witnesses")).exit_code == 1
