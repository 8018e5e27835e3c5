"""Exports: byte for byte what the grammar says, whole or not at all, and never of entries the checkpoint does not sign."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from remit.decision_log.checkpoint import Checkpoint, sign_checkpoint
from remit.decision_log.export import ExportSummary, write_export
from remit.decision_log.keys import Ed25519Signer
from remit.decision_log.merkle import leaf_hash, root_of
from remit.decision_log.verify import verify_export
from remit.model.errors import ErrorKind, RemitError
from tests.decision_log.building import (
    ORIGIN,
    checkpoint_text,
    cosignature,
    export_bytes,
    naive_root,
    private_key,
    sample,
    signature,
    signed_note,
    vkey,
)

pytestmark = pytest.mark.disk

LINES = sample().lines
KEY = vkey(private_key())


def export(path: Path, lines: list[bytes] | Iterator[bytes] = LINES, note: str | None = None, **options: Any) -> ExportSummary:
    return write_export(path, iter(lines), note or signed_note(LINES), KEY, **options)


def refused(path: Path, *arguments: Any, **options: Any) -> RemitError:
    """The error, after checking that nothing was left behind."""
    before = sorted(path.parent.iterdir())
    with pytest.raises(RemitError) as caught:
        export(path, *arguments, **options)
    assert sorted(path.parent.iterdir()) == before
    return caught.value


def test_an_export_is_byte_for_byte_what_the_grammar_says_and_verifies(tmp_path: Path) -> None:
    file = tmp_path / "log.export"
    summary = export(file)
    assert file.read_bytes() == export_bytes(LINES)
    leaves = [leaf_hash(line) for line in LINES]
    assert summary == ExportSummary(str(file), ORIGIN, len(LINES), root_of(leaves), len(export_bytes(LINES)))
    assert summary.root == naive_root(leaves)
    assert verify_export(file, KEY).verified
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_an_empty_log_is_exported_and_verifies(tmp_path: Path) -> None:
    summary = export(tmp_path / "empty", [], signed_note([]))
    assert summary.size == 0
    report = verify_export(tmp_path / "empty", KEY)
    assert (report.verified, report.size, report.writers, report.first_time) == (True, 0, 0, None)


def test_the_writers_own_checkpoint_is_taken(tmp_path: Path) -> None:
    signer = Ed25519Signer.generate("example.com/ours")
    note = sign_checkpoint(Checkpoint("example.com/ours", len(LINES), root_of(map(leaf_hash, LINES))), signer)
    write_export(tmp_path / "log", LINES, note, signer.key.text)
    assert verify_export(tmp_path / "log", signer.key.text).verified


def test_cosignatures_are_carried_in_the_order_of_their_names(tmp_path: Path) -> None:
    text, one, two = checkpoint_text(LINES), private_key(2), private_key(3)
    ours, a, b = signature(private_key(), text), cosignature(one, text, "a.org/w", 10), cosignature(two, text, "b.org/w", 20)
    export(tmp_path / "log", note=f"{text}\n{ours}{a}{b}")
    report = verify_export(tmp_path / "log", KEY, witnesses=[vkey(two, "b.org/w", 4), vkey(one, "a.org/w", 4)])
    assert (report.verified, report.witnesses) == (True, {"a.org/w": 10, "b.org/w": 20})
    for disorder in (ours + b + a, ours + a + a, a + ours, ours + ours, ours + a + ours):
        assert refused(tmp_path / "other", note=f"{text}\n{disorder}").kind is ErrorKind.REFUSED


def test_an_existing_file_is_kept_unless_told_otherwise(tmp_path: Path) -> None:
    file = tmp_path / "log.export"
    file.write_text("mine")
    assert refused(file).kind is ErrorKind.CONFLICT
    assert file.read_text() == "mine"
    export(file, overwrite=True)
    assert file.read_bytes() == export_bytes(LINES)


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "log.export"

    def lines() -> Iterator[bytes]:
        yield from LINES
        file.write_text("mine")

    with pytest.raises(RemitError) as caught:
        export(file, lines())
    assert caught.value.kind is ErrorKind.CONFLICT
    assert file.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [file]


def test_a_failed_overwrite_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "log.export"
    file.write_text("mine")
    assert refused(file, LINES[:-1], overwrite=True).kind is ErrorKind.CORRUPT
    assert file.read_text() == "mine"


@pytest.mark.parametrize(
    "lines",
    [
        LINES[:-1],
        [*LINES, b"{}"],
        [*LINES[:3], LINES[3].replace(b"d1", b"d2"), *LINES[4:]],
        [LINES[1], LINES[0], *LINES[2:]],
        [],
    ],
)
def test_entries_that_the_checkpoint_does_not_sign_are_not_exported(tmp_path: Path, lines: list[bytes]) -> None:
    assert refused(tmp_path / "log", lines).kind is ErrorKind.CORRUPT


@pytest.mark.parametrize("line", [b"", b"{}\n", b'{"a":\n1}'])
def test_what_is_not_one_line_is_not_exported(tmp_path: Path, line: bytes) -> None:
    assert refused(tmp_path / "log", [*LINES[:-1], line]).kind is ErrorKind.MALFORMED


def test_a_checkpoint_of_another_key_is_not_exported(tmp_path: Path) -> None:
    assert refused(tmp_path / "log", note=signed_note(LINES, private_key(2))).kind is ErrorKind.REFUSED


def test_a_reader_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    def lines() -> Iterator[bytes]:
        yield from LINES[:5]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(tmp_path / "log", lines())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("broken", ["fsync", "link", "write"])
def test_a_failing_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    def full(*arguments: Any, **options: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if broken == "write":
        small = os.open("/dev/full", os.O_WRONLY)
        monkeypatch.setattr(os, "open", lambda path, *rest: os.dup(small))
    else:
        monkeypatch.setattr(os, broken, full)
    error = refused(tmp_path / "log")
    assert error.kind is ErrorKind.UNAVAILABLE
    assert "No space left on device" in error.message


def test_file_systems_without_hard_links_are_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*arguments: Any) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    export(tmp_path / "log")
    assert (tmp_path / "log").read_bytes() == export_bytes(LINES)
    assert refused(tmp_path / "log").kind is ErrorKind.CONFLICT


def test_a_folder_that_is_not_there_is_reported(tmp_path: Path) -> None:
    with pytest.raises(RemitError, match="No such file or directory") as caught:
        export(tmp_path / "missing" / "log")
    assert caught.value.kind is ErrorKind.UNAVAILABLE
