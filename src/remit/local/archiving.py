"""The log as Parquet: its sealed part as an archive, a folder of segments that verifies without the store; or all of it as one file."""

import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import msgspec

from remit.decision_log.archive import MANIFEST, SEGMENT, Segment, segment_name
from remit.decision_log.export import new_export
from remit.decision_log.merkle import leaf_hash, perfect_root
from remit.decision_log.store import LogReader
from remit.decision_log.tiles import Tiles
from remit.decision_log.whole_files import sync_folder
from remit.local.head import Head
from remit.local.locking import alone_in
from remit.model.errors import RemitError, conflict, corrupt, unavailable

Write: TypeAlias = Callable[[Any, Iterable[bytes], int], int]
"""Writes lines, the first of which has an index, as Parquet; see `storage.analytics.parquet.write_entries`."""
Told: TypeAlias = Callable[[int, int], None]
"""Called after each segment with how many are written and how many there will be."""


class Archived(msgspec.Struct, frozen=True):
    """An archive of `entries` in `segments`, of which `new` were written now; the log had `size` entries."""

    path: str
    segments: int
    new: int
    entries: int
    size: int


def parquet_writer() -> Write:
    """What writes Parquet. Raises `RemitError` (unavailable) where the library is not installed."""
    try:
        from remit.storage.analytics.parquet import write_entries
    except ImportError as error:
        raise unavailable(
            f"Parquet needs more than is installed ({error.name}): install `remit[archive]` (docs/operating.md says how)"
        ) from None
    return write_entries


def export_parquet(path: Path, lines: Iterable[bytes], overwrite: bool) -> int:
    """Write entries from the first on as one Parquet file with the columns of a segment; how many there were. Nothing vouches for it.

    The file appears whole and durable, or not at all. Raises `RemitError`: conflict where it exists and is not to be overwritten,
    unavailable where the library is not installed or the disk fails, corrupt for a line that is no entry.
    """
    write = parquet_writer()
    with new_export(path, overwrite) as file:
        return write(file, lines, 0)


def archive(folder: Path, head: Head, log: LogReader, told: Told) -> Archived:
    """Write the segments that the archive in `folder` lacks, and the manifest that leads from all of them to the head as of now.

    Each file appears whole and durable, or not at all, and the manifest names only files that did: whatever ends this, the next call goes
    on. Nothing is deleted from the store. Raises `RemitError`: conflict where the folder is something else or another process
    archives into it, refused where it is of another log, corrupt where the log is not the one that was archived, unavailable where the
    disk fails.
    """
    write = parquet_writer()
    head.sign()
    with _alone(folder):
        segments = _archived(folder, head)
        _keep(folder, head.manifest(segments))
        before, sealed = len(segments), head.size // SEGMENT
        for n in range(before, sealed):
            segments.append(_segment(folder, n, head.size, log, write))
            _keep(folder, head.manifest(segments))
            told(n + 1 - before, sealed - before)
    return Archived(str(folder), sealed, sealed - before, sealed * SEGMENT, head.size)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """While this process is the one that archives into the folder, which is made if need be."""
    with ExitStack() as held:
        try:
            if not folder.exists():
                folder.mkdir(exist_ok=True, mode=0o700)
                sync_folder(folder.parent)
            held.enter_context(alone_in(folder, f"another process archives into `{folder}`: let it, or end it"))
        except (FileExistsError, NotADirectoryError):
            raise conflict(f"`{folder}` is no folder: give an archive, or a new folder") from None
        except OSError as error:
            raise unavailable(f"the folder `{folder}` cannot be used ({error.strerror}): give another, or mend it") from None
        yield


def _archived(folder: Path, head: Head) -> list[Segment]:
    """The segments that the manifest names, all of which are there; of what a process left that was ended, the unfinished files go."""
    try:
        names = {path.name for path in folder.iterdir()}
        unfinished = {name for name in names if name.startswith((".entries-", f".{MANIFEST}.")) and name.endswith(".partial")}
        for name in unfinished:
            (folder / name).unlink()
        if MANIFEST not in names:
            if names - unfinished:
                raise conflict(f"`{folder}` is no archive, and not empty: give an archive, or a new folder")
            return []
        text = (folder / MANIFEST).read_text("utf-8")
    except OSError as error:
        raise unavailable(f"the folder `{folder}` cannot be used ({error.strerror}): give another, or mend it") from None
    except UnicodeDecodeError:
        raise corrupt(f"`{folder / MANIFEST}` is no text: restore it, or archive into another folder") from None
    segments = _read(folder, head, text)
    for n in range(len(segments)):
        if segment_name(n) not in names:
            raise corrupt(f"the archive lacks `{segment_name(n)}`: restore it, or archive into another folder")
    return segments


def _read(folder: Path, head: Head, text: str) -> list[Segment]:
    try:
        return head.read_manifest(text)
    except RemitError as error:
        raise RemitError(error.kind, f"the manifest of `{folder}` cannot be used: {error.message}") from None


def _segment(folder: Path, n: int, size: int, log: LogReader, write: Write) -> Segment:
    """Write one segment: exactly the entries that the stored tree has there. One that the manifest does not name is replaced."""
    first, leaves = n * SEGMENT, bytearray()

    def lines() -> Iterator[bytes]:
        for line in log.lines(first, first + SEGMENT):
            leaves.extend(leaf_hash(line))
            yield line

    root = Tiles(log, size, first).root(first, first + SEGMENT)
    with new_export(folder / segment_name(n), overwrite=True) as file:
        hashed = _Hashed(file)
        write(hashed, lines(), first)
        if perfect_root(bytes(leaves)) != root:
            raise corrupt(f"entries {first} to {first + SEGMENT - 1} are not those of the tree: the log was changed, verify it")
    return Segment(hashed.digest(), root)


def _keep(folder: Path, manifest: str) -> None:
    with new_export(folder / MANIFEST, overwrite=True) as file:
        file.write(manifest.encode())


class _Hashed(io.RawIOBase):
    """A file that is written once from its beginning to its end, and hashed as it is."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._hash = file, sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._hash.update(data)
        return self._file.write(data)

    def tell(self) -> int:
        return self._file.tell()

    def digest(self) -> bytes:
        return self._hash.digest()
