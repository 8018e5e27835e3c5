"""Files with keys and secrets: read where nobody else can, and nobody is kept waiting by what is no file."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from remit.credentials.private_files import read_private
from remit.model.errors import ErrorKind, RemitError


def _open_to_all(path: Path) -> None:
    path.touch()
    path.chmod(0o604)


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda path: None, ErrorKind.NOT_FOUND, "there is no secret at `{path}`: write one"),
        (_open_to_all, ErrorKind.REFUSED, "the secret `{path}` is open to others than its owner"),
        (Path.mkdir, ErrorKind.MALFORMED, "`{path}` is no file"),
        (lambda path: os.mkfifo(path, 0o600), ErrorKind.MALFORMED, "`{path}` is no file"),
        (lambda path: path.symlink_to(path), ErrorKind.UNAVAILABLE, "the secret `{path}` could not be read"),
    ],
)
def test_what_is_no_private_file(tmp_path: Path, make: Callable[[Path], None], kind: ErrorKind, words: str) -> None:
    path = tmp_path / "secret"
    make(path)
    with pytest.raises(RemitError) as raised:
        read_private(path, "secret", "write one", 100)
    assert raised.value.kind is kind
    assert raised.value.message.startswith(words.format(path=path))


def test_no_more_of_a_private_file_is_read_than_is_wanted(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.touch(0o600)
    path.write_bytes(b"0123456789")
    assert read_private(path, "secret", "write one", 4) == b"0123"
