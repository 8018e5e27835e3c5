"""Entries as Parquet: the exact line and typed columns of it, written a row group at a time, so that memory is bounded."""

from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from remit.model.errors import corrupt

ROWS = 8192
BYTES = 16 * 1024 * 1024
"""A row group ends with whichever it has first."""
TEXT = (
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
)
SCHEMA = pa.schema(
    [
        pa.field("index", pa.int64(), nullable=False),
        pa.field("line", pa.binary(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("writer", pa.string(), nullable=False),
        pa.field("seq", pa.int64(), nullable=False),
        pa.field("time", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("enforced", pa.bool_()),
        *(pa.field(name, pa.string()) for name in TEXT),
    ]
)
_UNIQUE = {"index", "line", "seq", "time", "id"}
_REPEATED = [name for name in SCHEMA.names if name not in _UNIQUE]
_SUMMED = [name for name in SCHEMA.names if name != "line"]


class _Fields(msgspec.Struct, gc=False):
    """What of an entry has a column; all else is read past."""

    kind: str
    writer: str
    seq: int
    time: int
    enforced: Any = None
    id: Any = None
    effect: Any = None
    reason: Any = None
    tier: Any = None
    subject: Any = None
    action: Any = None
    resource_type: Any = None
    resource: Any = None
    task: Any = None
    session: Any = None
    bundle: Any = None
    label: Any = None
    approval: Any = None
    decision: Any = None
    status: Any = None


_decode = msgspec.json.Decoder(_Fields).decode


def write_entries(file: BinaryIO, lines: Iterable[bytes], first: int = 0) -> int:
    """Write entries, the first of which has the index `first`, as one Parquet file; how many there were.

    Raises `RemitError` (corrupt) for a line that is no entry, `OSError` where the disk fails.
    """
    index = first
    # Without the schema of Arrow beside that of Parquet: one truth, and nothing of one library in the file.
    options = {"compression": "zstd", "store_schema": False, "use_dictionary": _REPEATED, "write_statistics": _SUMMED}
    with pq.ParquetWriter(file, SCHEMA, **options) as writer:
        for group in _groups(lines):
            writer.write_batch(_batch(index, group), row_group_size=ROWS)
            index += len(group)
    return index - first


def _groups(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    group: list[bytes] = []
    held = 0
    for line in lines:
        if group and (len(group) == ROWS or held + len(line) > BYTES):
            yield group
            group, held = [], 0
        group.append(line)
        held += len(line)
    if group:
        yield group


def _batch(first: int, lines: list[bytes]) -> pa.RecordBatch:
    fields = [_read(index, line) for index, line in enumerate(lines, first)]
    columns: dict[str, list[Any]] = {"index": list(range(first, first + len(lines))), "line": lines}
    for name in SCHEMA.names[2:]:
        columns[name] = [getattr(one, name) for one in fields]
    for name in TEXT:
        columns[name] = [value if type(value) is str else None for value in columns[name]]
    columns["enforced"] = [value if type(value) is bool else None for value in columns["enforced"]]
    try:
        return pa.record_batch(columns, schema=SCHEMA)
    except (pa.ArrowException, OverflowError, UnicodeError) as error:
        raise corrupt(
            f"one of {len(lines)} entries from {first} on cannot be read ({type(error).__name__}): verify the log"
        ) from None


def _read(index: int, line: bytes) -> _Fields:
    try:
        return _decode(line)
    except msgspec.MsgspecError as error:
        raise corrupt(f"entry {index} cannot be read ({error}): verify the log") from None
