"""Files with keys, secrets and tokens: read where nobody else can, and nobody is kept waiting by what is no file."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from remit.credentials.holder_keys import Holder, public_key
from remit.credentials.private_files import read_private
from remit.decision_log.keys import Ed25519Signer
from remit.local.config import MAX_TOKEN_FILE, server_token
from remit.model.errors import ErrorKind, RemitError

PRIVATE: dict[str, Callable[[Path], object]] = {
    "secret": lambda path: read_private(path, "secret", "write one", 100),
    "key of the log": lambda path: Ed25519Signer.load("log.test", path),
    "key of a holder": lambda path: Holder.load(path, lambda: 0),
}


def _token(path: Path) -> str:
    os.environ["REMIT_TOKEN_FILE"] = str(path)  # put back by the fixture
    return server_token()


READERS = {**PRIVATE, "public half": public_key, "token": _token}


@pytest.fixture(autouse=True)
def without_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMIT_TOKEN_FILE", "")
    monkeypatch.delenv("REMIT_TOKEN", raising=False)


def _raised(reader: Callable[[Path], object], path: Path) -> RemitError:
    with pytest.raises(RemitError) as raised:
        reader(path)
    return raised.value


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda path: None, ErrorKind.NOT_FOUND, "there is no "),
        (Path.mkdir, ErrorKind.MALFORMED, "`{path}` is no file"),
        (lambda path: os.mkfifo(path, 0o600), ErrorKind.MALFORMED, "`{path}` is no file"),
        (lambda path: path.symlink_to(path), ErrorKind.UNAVAILABLE, "could not be read"),
    ],
    ids=["none", "folder", "pipe", "loop"],
)
@pytest.mark.parametrize("name", READERS)
def test_what_is_no_file(tmp_path: Path, name: str, make: Callable[[Path], None], kind: ErrorKind, words: str) -> None:
    path = tmp_path / "secret"
    make(path)
    error = _raised(READERS[name], path)
    assert error.kind is kind and words.format(path=path) in error.message and str(path) in error.message


@pytest.mark.parametrize("name", PRIVATE)
def test_what_others_may_read_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "secret"
    path.touch()
    path.chmod(0o604)
    error = _raised(PRIVATE[name], path)
    assert error.kind is ErrorKind.REFUSED and f"`{path}` is open to others than its owner: run `chmod 600`" in error.message


def test_no_more_of_a_private_file_is_read_than_is_wanted(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.touch(0o600)
    path.write_bytes(b"0123456789")
    assert read_private(path, "secret", "write one", 4) == b"0123"


def test_a_token_is_read_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_bytes(b"t" * MAX_TOKEN_FILE)
    assert _token(path) == "t" * MAX_TOKEN_FILE
    path.write_bytes(b"t" * (MAX_TOKEN_FILE + 1))
    assert _raised(_token, path).kind is ErrorKind.MALFORMED
