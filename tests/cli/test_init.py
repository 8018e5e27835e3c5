"""`remit init`: alone, twice at once, and where something is in the way."""

import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from remit.model.errors import ErrorKind
from tests.cli.running import error, ok

pytestmark = pytest.mark.sqlite
ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REMIT_HOME", str(tmp_path / ".remit"))
    monkeypatch.delenv("REMIT_STORE", raising=False)
    return tmp_path


def test_several_at_once_make_one_store(here: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", "remit.cli.main", "init", "--agent", "bot"]
    running = [
        subprocess.Popen(command, cwd=here, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(4)
    ]
    said = [process.communicate(timeout=60)[0] for process in running]
    assert [process.returncode for process in running] == [0] * 4, said
    assert sum("published it as" in text for text in said) == sum("registered agent bot" in text for text in said) == 1
    assert sum("wrote the baseline" in text for text in said) == 1
    assert sorted(path.name for path in here.iterdir()) == [".remit", "policy"], "nothing is left behind"
    assert "0 errors" in ok("policy", "check", "policy") and "verified" in ok("log", "verify")
    assert "everything is there already" in ok("init")


def test_whoever_commits_their_folder_commits_no_key(here: Path) -> None:
    ok("init")
    subprocess.run(["git", "init", "--quiet", "."], check=True, timeout=20)
    told = subprocess.run(
        ["git", "status", "--porcelain", "-uall"], check=True, timeout=20, capture_output=True, text=True
    ).stdout
    assert "policy/bundle.yaml" in told and ".remit" not in told
    (here / ".remit" / ".gitignore").write_text("log.key\n")
    ok("init")
    assert (here / ".remit" / ".gitignore").read_text() == "log.key\n", "what exists is left as it is"


def test_what_is_in_the_way_is_said_before_a_store_is_made(here: Path) -> None:
    (here / "policy").write_text("")
    refused = error("init")
    assert refused.kind is ErrorKind.MALFORMED and "`policy` is no folder" in refused.message
    (here / "other").mkdir()
    assert "bundle.yaml" in error("init", "--policy", "other").message
    assert not (here / ".remit").exists()
    assert "published" in ok("init", "--policy", "third")


def test_a_log_that_was_named_otherwise_says_how_it_is_named(here: Path) -> None:
    """Whoever follows the guide late: nothing is decided under another name, and the way back is told."""
    ok("init")
    ok("log", "head")
    (here / ".remit" / "config.toml").write_text('origin = "remit.example/log"\n')
    said = error("agent", "list")
    assert said.kind is ErrorKind.CORRUPT
    assert "signed as `remit.local/log`, the setting `origin` says `remit.example/log`: put it back" in said.message
    (here / ".remit" / "config.toml").write_text('origin = "remit.local/log"\n')
    assert "verified" in ok("log", "verify")
    (here / ".remit" / "log.head").write_text('{"note": "remit.example/log\\n"}')
    assert "cannot be read" in error("agent", "list").message, "what is no head names no log"


def test_a_working_folder_never_says_who_is_shown_a_password(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that was cloned may have a `.remit` that names anybody's server."""
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        address = f"postgresql://remit@127.0.0.1:{elsewhere.getsockname()[1]}/remit"
        taker = threading.Thread(target=_hang_up, args=(elsewhere, came := list[bytes]()), daemon=True)
        taker.start()
        file = here / ".remit" / "config.toml"
        file.parent.mkdir()
        for home in (None, ".remit"):
            monkeypatch.delenv("REMIT_HOME") if home is None else monkeypatch.setenv("REMIT_HOME", home)
            for variable, suffix in (
                ("PGPASSWORD", ""),
                ("PGSERVICE", ""),
                ("TERM", "?service=theirs"),
                ("TERM", "?%73ervice=theirs"),
            ):
                file.write_text(f'store = "{address}{suffix}"\n')
                with monkeypatch.context() as drawn:
                    drawn.setenv(variable, "s3cret")
                    for verb in (("agent", "list"), ("init",), ("doctor",)):
                        said = error(*verb)
                        assert (
                            said.kind is ErrorKind.MALFORMED and "`REMIT_STORE`" in said.message and "s3cret" not in said.message
                        )
        assert not came

        file.write_text(f'store = "{address}?application_name=customer-service"\n')
        for name, value in (("REMIT_STORE", address), ("REMIT_HOME", str(file.parent)), ("TERM", "no password at all")):
            with monkeypatch.context() as chosen:
                chosen.setenv(name, value)
                if name != "TERM":
                    chosen.setenv("PGPASSWORD", "s3cret")
                assert error("agent", "list").kind is ErrorKind.UNAVAILABLE and came
                came.clear()


def _hang_up(listening: socket.socket, came: list[bytes]) -> None:
    with suppress(OSError):
        while True:
            with listening.accept()[0] as connection:
                came.append(connection.recv(1 << 10))
