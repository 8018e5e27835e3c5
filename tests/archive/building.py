"""Logs in memory, archives of them, and archives that are forged with the log's key: manifest and Parquet made without the writer's code."""

import base64
from collections.abc import Collection, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from remit.decision_log.entry import Entry
from remit.decision_log.keys import Ed25519Signer
from remit.decision_log.tiles import WIDTH, Tile, grow
from remit.decision_log.verify import ArchiveReport, verify_archive
from remit.local.archiving import Archived, archive
from remit.local.head import KEY_FILE, Head
from tests.decision_log.building import ORIGIN, Log, leaf, naive_root, private_key, signature, signed_note, vkey

SMALL = 256
"""Entries of a segment in tests; see the fixture `small`."""
KEY = vkey(private_key())


class MemoryLog:
    """A log as a store gives it, whose lines are a list that a test may change."""

    def __init__(self, lines: Sequence[bytes]) -> None:
        self.stored = list(lines)

    def size(self) -> int:
        return len(self.stored)

    def lines(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        return iter(self.stored[start:stop])

    def leaves(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        return map(leaf, self.lines(start, stop))

    def tiles(self, places: Collection[tuple[int, int]]) -> list[Tile]:
        known: dict[tuple[int, int], Tile] = {}
        stop = len(self.stored) // WIDTH * WIDTH
        growing = _Growing(self, known)
        for tile in grow(growing, 0, stop):
            known[tile.level, tile.n] = tile
        return [known[place] for place in places if place in known]

    def by_decision(self, decision: str) -> list[Entry]:
        return []

    def by_task(self, task: str) -> list[Entry]:
        return []

    def by_kind(self, kind: str, limit: int) -> list[Entry]:
        return []


class _Growing:
    def __init__(self, log: MemoryLog, known: dict[tuple[int, int], Tile]) -> None:
        self.leaves, self._known = log.leaves, known

    def tiles(self, places: Collection[tuple[int, int]]) -> list[Tile]:
        return [self._known[place] for place in places if place in self._known]


def long(count: int) -> list[bytes]:
    """So many entries: decisions with all columns, their outcomes, requests and approvals, of two writers."""
    log = Log()
    for n in range(count):
        writer, turn = f"w{n % 2}", n // 2
        if turn % 3 == 0:
            log.add("decision", writer, **decision(f"d{n}"))
        elif turn % 3 == 1:
            log.add("outcome", writer, decision=f"d{n - 2}", status="succeeded", session=None, task="t1", label="public", size=3)
        else:
            log.add("note", writer, text="größe")
    return log.lines


def decision(id: str) -> dict[str, Any]:
    """The fields of a permit that have columns, and some that have none."""
    names = ("reason", "tier", "subject", "action", "resource_type", "resource", "task", "session", "bundle", "label")
    return {
        "id": id,
        "effect": "permit",
        "enforced": True,
        **{name: f"{name} of {id}" for name in names},
        "approval": None,
        "at": 3,
    }


def head_of(home: Path, log: MemoryLog) -> Head:
    """The head of a log whose key is that of the tests."""
    home.mkdir(exist_ok=True)
    if not (home / KEY_FILE).exists():
        Ed25519Signer(ORIGIN, private_key()).save(home / KEY_FILE)
    return Head(home, ORIGIN, log)


def archived(home: Path, folder: Path, log: MemoryLog) -> Archived:
    """Archive a log with a head of its own."""
    return archive(folder, head_of(home, log), log, lambda done, total: None)


def checked(folder: Path, key: str | None = KEY, **options: Any) -> ArchiveReport:
    """What a stranger with the key says."""
    return verify_archive(folder, key, **options)


def problems(report: ArchiveReport) -> list[tuple[int, str]]:
    """Line and problem of each finding."""
    assert report.verified is (report.finding_count == 0)
    return [(finding.line, finding.problem) for finding in report.findings]


def rows(lines: Sequence[bytes], first: int = 0) -> pa.Table:
    """True rows of entries, made by the naive way."""
    import json

    entries = [json.loads(line) for line in lines]
    columns: dict[str, pa.Array] = {
        "index": pa.array(range(first, first + len(lines)), pa.int64()),
        "line": pa.array(lines, pa.binary()),
    }
    for name in ("kind", "writer"):
        columns[name] = pa.array([entry[name] for entry in entries], pa.string())
    columns["seq"] = pa.array([entry["seq"] for entry in entries], pa.int64())
    columns["time"] = pa.array([entry["time"] for entry in entries], pa.timestamp("us", tz="UTC"))
    columns["enforced"] = pa.array([entry.get("enforced") for entry in entries], pa.bool_())
    for name in [
        "id",
        "effect",
        "reason",
        "tier",
        "subject",
        "action",
        "resource_type",
        "resource",
        "task",
        "session",
        "bundle",
        "label",
        "approval",
        "decision",
        "status",
    ]:
        columns[name] = pa.array([entry.get(name) for entry in entries], pa.string())
    return pa.table(columns)


def forge(folder: Path, tables: Sequence[pa.Table], lines: Sequence[bytes], note: str | None = None) -> Path:
    """An archive as only the holder of the log's key can make it: of these tables, saying that they are of these lines."""
    folder.mkdir()
    named = []
    for n, table in enumerate(tables):
        file = folder / f"entries-{n * SMALL:012}.parquet"
        pq.write_table(table, file, store_schema=False)
        root = naive_root([leaf(line) for line in lines[n * SMALL : (n + 1) * SMALL]])
        named.append(f"segment {sha256(file.read_bytes()).hexdigest()} {root.hex()}\n")
    (folder / "manifest").write_text(manifest("".join(named), len(tables) * SMALL, lines, note), "utf-8")
    return folder


def manifest(named: str, size: int, lines: Sequence[bytes], note: str | None = None) -> str:
    """A manifest of so many entries of these lines, signed."""
    text = f"remit-log-archive/1 {ORIGIN}\nkey {KEY}\n{named}"
    proof = naive_growth(size, [leaf(line) for line in lines])
    grown = "".join(base64.b64encode(node).decode() + "\n" for node in proof)
    return f"{text}\n{signature(private_key(), text)}\nold {size}\n{grown}\n{note or signed_note(lines)}"


def naive_growth(first: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PROOF of RFC 6962 section 2.1.2, word by word."""

    def subproof(m: int, part: Sequence[bytes], whole: bool) -> list[bytes]:
        if m == len(part):
            return [] if whole else [naive_root(part)]
        split = 1
        while split * 2 < len(part):
            split *= 2
        if m <= split:
            return [*subproof(m, part[:split], whole), naive_root(part[split:])]
        return [*subproof(m - split, part[split:], False), naive_root(part[:split])]

    return [] if first in (0, len(leaves)) else subproof(first, leaves, True)
