"""`remit log` as an auditor uses it: the head that is kept, the store that was changed, the tables that say otherwise than the log."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from pyarrow import parquet
from typer.testing import CliRunner, Result

from remit.cli import verbs
from remit.cli.main import app
from remit.model.decision import Deny, Permit
from remit.model.errors import ErrorKind, RemitError
from remit.model.identity import Agent, AgentStatus
from remit.model.labels import Label
from remit.model.task import Session, Spent
from remit.pdp.provenance.origins import ORIGINS
from remit.runtime.approving.wording import told
from tests.runtime.world import World, permit

pytestmark = pytest.mark.sqlite

if not app.registered_commands:
    verbs.register(app)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def worked(guarded: World) -> World:
    """A store with a call that read something untrusted, one that was denied, and one that waits for an approval."""
    session = guarded.open_session()
    guarded.perform(session, "read", "from outside")
    guarded.ask(session, "never")
    guarded.ask(session, "pay", {"to": "x"})
    guarded.close()
    return guarded


def database(world: World) -> sqlite3.Connection:
    return sqlite3.connect(world.home / "remit.db", isolation_level=None)


def test_the_head_is_printed_and_known_again_in_either_form(worked: World, tmp_path: Path) -> None:
    note, document = run("log", "head"), run("log", "head", "--json")
    assert note.exit_code == document.exit_code == 0
    (tmp_path / "note").write_text(note.stdout)
    (tmp_path / "json").write_text(document.stdout)
    for kept in (tmp_path / "note", tmp_path / "json", worked.home / "log.head"):
        verified = run("log", "verify", "--head", str(kept), "--json")
        assert verified.exit_code == 0 and json.loads(verified.stdout)["head"] > 0
    for text in ("{", '{"note": 3}', "[]"):
        (tmp_path / "bad").write_text(text)
        assert run("log", "verify", "--head", str(tmp_path / "bad")).exit_code != 0


def test_json_lines_for_other_programs(worked: World, tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    told = run("log", "export", "--format", "jsonl", "--output", str(file), "--json")
    entries = [json.loads(line) for line in file.read_text().splitlines()]
    assert json.loads(told.stdout)["entries"] == len(entries) > 5 and file.stat().st_mode & 0o777 == 0o600
    assert [entry["index"] for entry in entries] == list(range(len(entries)))
    with database(worked) as store:
        assert [json.loads(row[0]) for row in store.execute("SELECT line FROM entries ORDER BY idx")] == [
            {name: value for name, value in entry.items() if name not in ("log", "index")} for entry in entries
        ]
    again = run("log", "export", "--format", "jsonl", "--output", str(file))
    assert isinstance(again.exception, RemitError) and again.exception.kind is ErrorKind.CONFLICT
    assert run("log", "export", "--format", "jsonl", "--output", str(file), "--overwrite").exit_code == 0
    assert run("log", "verify", str(file)).exit_code == 1, "nothing vouches for it"


def test_parquet_and_ocsf_for_other_programs(worked: World, tmp_path: Path) -> None:
    told = {}
    for format in ("parquet", "ocsf"):
        file = tmp_path / format
        told[format] = json.loads(run("log", "export", "--format", format, "--output", str(file), "--json").stdout)["entries"]
        again = run("log", "export", "--format", format, "--output", str(file))
        assert isinstance(again.exception, RemitError) and again.exception.kind is ErrorKind.CONFLICT
        assert run("log", "export", "--format", format, "--output", str(file), "--overwrite").exit_code == 0
        assert file.stat().st_mode & 0o777 == 0o600 and run("log", "verify", str(file)).exit_code == 1, "nothing vouches for it"
    table = parquet.read_table(tmp_path / "parquet")
    with database(worked) as store:
        lines = [row[0] for row in store.execute("SELECT line FROM entries ORDER BY idx")]
    assert table["line"].to_pylist() == lines and table["index"].to_pylist() == list(range(len(lines)))
    assert table["effect"].to_pylist().count("deny") == 2
    events = [json.loads(line) for line in (tmp_path / "ocsf").read_text().splitlines()]
    assert [event["metadata"]["sequence"] for event in events] == list(range(len(events)))
    assert len(lines) >= told["parquet"] and len(events) >= told["ocsf"] > 5


def test_a_store_that_is_as_its_log_says(worked: World) -> None:
    verified = run("log", "verify", "--json")
    assert verified.exit_code == 0 and json.loads(verified.stdout)["state"] == []
    assert "state: as the log says" in run("log", "verify").stdout


@pytest.mark.parametrize(
    "change", ["line = replace(line, 'deny', 'permit')", "line = 'x'", "line = x''", "line = 3", "kind = kind"]
)
def test_lines_that_were_changed_in_the_store_are_found(worked: World, change: str) -> None:
    with database(worked) as connection:
        connection.execute(f"UPDATE entries SET {change} WHERE idx = (SELECT max(idx) FROM entries WHERE kind = 'decision')")
    verified = run("log", "verify", "--json")
    found = json.loads(verified.stdout)
    assert (verified.exit_code, found["verified"]) == ((0, True) if change == "kind = kind" else (1, False)), verified.output


def _label(connection: sqlite3.Connection) -> None:
    for name, state in connection.execute("SELECT id, state FROM sessions").fetchall():
        clean = msgspec.structs.replace(msgspec.msgpack.decode(state, type=Session), label=Label())
        connection.execute("UPDATE sessions SET state = ? WHERE id = ?", (msgspec.msgpack.encode(clean), name))


def _calls(connection: sqlite3.Connection) -> None:
    for name, state in connection.execute("SELECT id, state FROM sessions").fetchall():
        fresh = msgspec.structs.replace(msgspec.msgpack.decode(state, type=Session), calls={})
        connection.execute("UPDATE sessions SET state = ? WHERE id = ?", (msgspec.msgpack.encode(fresh), name))


def _agent(connection: sqlite3.Connection) -> None:
    for name, state in connection.execute("SELECT id, state FROM agents").fetchall():
        other = msgspec.structs.replace(msgspec.msgpack.decode(state, type=Agent), status=AgentStatus.SUSPENDED)
        connection.execute("UPDATE agents SET state = ? WHERE id = ?", (msgspec.msgpack.encode(other), name))


def _statement(text: str, *values: object) -> Callable[[sqlite3.Connection], None]:
    return lambda connection: connection.execute(text, values) and None


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (_label, "session"),
        (_calls, "session"),
        (_statement("DELETE FROM sessions"), "session"),
        (_agent, "agent"),
        (_statement("DELETE FROM agents"), "agent"),
        (_statement("UPDATE tasks SET status = 'closed'"), "task"),
        (_statement("DELETE FROM tasks"), "task"),
        (_statement("UPDATE tasks SET spent = ?", msgspec.msgpack.encode(Spent())), "budget of"),
        (_statement("UPDATE activations SET digest = 'other'"), "bundle"),
        (_statement("DELETE FROM approvals"), "approval"),
        (_statement("INSERT INTO permits (decision, writer, permit) SELECT 'dec_0', writer, ? FROM entries LIMIT 1", b""), None),
    ],
)
def test_tables_that_say_otherwise_than_the_log_are_named(
    worked: World, change: Callable[[sqlite3.Connection], None], what: str | None
) -> None:
    with database(worked) as connection:
        change(connection)
    verified = run("log", "verify", "--json")
    if what is None:
        assert verified.exit_code != 0  # what cannot be read at all is an error of its own
        return
    found = json.loads(verified.stdout)
    assert verified.exit_code == 1 and not found["verified"]
    assert {difference["what"] for difference in found["state"]} == {what}
    assert "NOT AS LOGGED" in run("log", "verify").stdout


def test_an_export_that_would_be_replaced_says_how(worked: World, tmp_path: Path) -> None:
    target = str(tmp_path / "log.export")
    assert run("log", "export", "--output", target).exit_code == 0
    again = run("log", "export", "--output", target)
    assert again.exit_code != 0 and "--overwrite" in str(again.exception)
    assert run("log", "export", "--output", target, "--overwrite").exit_code == 0


def test_a_folder_that_is_not_there_is_said_to_be(guarded: World, tmp_path: Path) -> None:
    for verb in ("check", "test"):
        refused = run("policy", verb, str(tmp_path / "nothing"))
        assert isinstance(refused.exception, RemitError) and refused.exception.kind is ErrorKind.NOT_FOUND


def test_what_is_piped_is_a_line_for_each_row_with_nothing_cut(guarded: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    guarded.register("a" + "b" * 120)
    asked = guarded.ask(guarded.open_session(), "pay", {"to": "x" * 200})
    lines = run("agent", "list").stdout.splitlines()
    assert len(lines) == 3 and any(line.startswith("a" + "b" * 120 + "  active") for line in lines)
    assert len(run("decision", "list").stdout.splitlines()) == 2
    assert isinstance(asked, Deny) and asked.approval is not None and asked.approval in run("approval", "list").stdout


def test_an_approver_sees_the_flow_that_may_be_granted_and_grants_it(guarded: World) -> None:
    session = guarded.open_session()
    guarded.perform(session, "read", "kim@far.net and lou@near.org wrote")
    held = guarded.ask(session, "send", {"to": "kim@far.net"})
    assert isinstance(held, Deny) and held.approval is not None
    shown = run("approval", "show", held.approval).stdout
    assert "UNTRUSTED output of read" in shown and "--flow" in shown and "lou@near.org" in shown
    granted = run("approval", "approve", held.approval, "--flow")
    assert granted.exit_code == 0 and "granted for the rest of the task: send.to := email in read" in granted.stdout
    assert "send.to := email in read, any, repeatedly, sha256:" in run("task", "show", str(session.task)).stdout
    assert isinstance(guarded.ask(session, "send", {"to": "lou@near.org"}), Permit)


def test_an_approver_grants_a_flow_to_so_many_calls(guarded: World) -> None:
    session = guarded.open_session()
    guarded.perform(session, "read", "kim@far.net wrote")
    held = guarded.ask(session, "send", {"to": "kim@far.net"})
    assert isinstance(held, Deny) and held.approval is not None
    alone = run("approval", "approve", held.approval, "--times", "2")
    assert alone.exit_code != 0 and "--flow" in str(alone.exception)
    granted = run("approval", "approve", held.approval, "--flow", "--times", "2")
    assert granted.exit_code == 0 and "granted to 2 calls more: send.to := email in read" in granted.stdout
    assert "to 2 calls more" in run("approval", "show", held.approval).stdout


def test_a_card_states_nothing_of_what_nobody_reported(guarded: World) -> None:
    """A plain caller that asks and reports no outcome: what was returned may be anything, and nobody knows that it chose the receiver."""
    session = guarded.open_session()
    permit(guarded.ask(session, "read"))
    held = guarded.ask(session, "send", {"to": "kim@far.net"})
    assert isinstance(held, Deny) and held.approval is not None
    shown = " ".join(run("approval", "show", held.approval).stdout.split())
    assert "UNTRUSTED output of" not in shown and "may come from a call whose output nobody reported" in shown, shown
    assert "(or may have: what a call returned was not reported" in shown


@pytest.mark.parametrize("origin", ORIGINS)
def test_every_origin_is_told_in_words(origin: str) -> None:
    assert told(origin, "read")
