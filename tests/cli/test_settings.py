"""The file of settings: what is wrong with it is said in words, by every verb."""

import os
from pathlib import Path

import pytest

from remit.local.config import Settings, read_settings
from remit.local.trust import read_trust
from remit.local.wiring import wall_clock
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


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "1e9"])
def test_nobody_waits_for_no_time_or_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: str) -> None:
    monkeypatch.setenv("REMIT_LOCK_SECONDS", seconds)
    with pytest.raises(RemitError, match="more than 0") as caught:
        read_settings(tmp_path)
    assert caught.value.kind is ErrorKind.MALFORMED


def test_the_password_in_an_address_is_not_said_again(tmp_path: Path) -> None:
    for words in ({"url": "https://u:s3cret@remit.example"}, {"jwks_url": "http://u:s3cret@idp.example/keys"}):
        issuers = ({"issuer": "https://idp.example", **words},) if "jwks_url" in words else ()
        with pytest.raises(RemitError) as caught:
            read_trust(Settings(issuers=issuers), tmp_path, words.get("url", "https://remit.example"), wall_clock)
        assert "s3cret" not in caught.value.message and ".example" in caught.value.message


def test_where_there_is_none_all_is_as_usual(tmp_path: Path) -> None:
    assert read_settings(tmp_path / "missing") == read_settings(tmp_path)
    (tmp_path / "file").touch()
    assert read_settings(tmp_path / "file").url == ""
