"""The file of settings: what is wrong with it is said in words, by every verb."""

import os
from pathlib import Path

import pytest

from remit.local.config import read_settings
from remit.model.errors import ErrorKind, RemitError


def test_one_that_anybody_may_write_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('url = "https://remit.example"\n')
    file.chmod(0o664)
    assert read_settings(tmp_path).url == "https://remit.example"
    file.chmod(0o666)
    with pytest.raises(RemitError, match="chmod o-w") as caught:
        read_settings(tmp_path)
    assert caught.value.kind is ErrorKind.REFUSED


def test_one_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    if os.getuid():
        file.touch(mode=0)
    else:  # who reads anything reads no folder
        file.mkdir()
    with pytest.raises(RemitError, match="cannot be read") as caught:
        read_settings(tmp_path)
    assert caught.value.kind is ErrorKind.UNAVAILABLE


def test_where_there_is_none_all_is_as_usual(tmp_path: Path) -> None:
    assert read_settings(tmp_path / "missing") == read_settings(tmp_path)
    (tmp_path / "file").touch()
    assert read_settings(tmp_path / "file").url == ""
