"""One segment of an archive: a Parquet file, read a little at a time, whose columns must say what its lines say."""

from collections.abc import Iterator
from typing import Any, BinaryIO

from .entries import Entry, Envelope
from .notes import Wrong
from .report import UnusableInput

ROWS = 2048
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
TYPES = {
    "index": "int64",
    "line": "binary",
    "kind": "string",
    "writer": "string",
    "seq": "int64",
    "time": "timestamp[us, tz=UTC]",
    "enforced": "bool",
    **dict.fromkeys(TEXT, "string"),
}
"""The columns and their types, as the library names them; what they hold is in docs/log-format.md."""

Rows = dict[str, list[Any]]


def check_library() -> None:
    """Raises `UnusableInput` where nothing can read Parquet."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise UnusableInput(
            "an archive is in Parquet, which needs `pyarrow`: install it, or `remit[archive]`, and repeat"
        ) from None


def read_rows(file: BinaryIO) -> Iterator[Rows]:
    """The rows of a segment in order, times in microseconds. Raises `Wrong` for a file that is no segment."""
    import pyarrow
    import pyarrow.parquet

    try:
        segment = pyarrow.parquet.ParquetFile(file, pre_buffer=False)
        found = [(field.name, str(field.type)) for field in segment.schema_arrow]
        if found != list(TYPES.items()):
            raise Wrong("it has other columns than a segment has")
        for batch in segment.iter_batches(ROWS, use_threads=False):
            times = batch.column("time").cast(pyarrow.int64())
            rows = {name: batch.column(name) for name in TYPES} | {"time": times}
            yield {name: column.to_pylist() for name, column in rows.items()}
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        raise Wrong(f"it cannot be read as Parquet ({type(error).__name__})") from None


def row_of(index: int, line: bytes, said: tuple[Envelope, Entry] | None) -> dict[str, Any]:
    """What the columns of an entry hold; of a line that is no entry nothing is known."""
    if said is None:
        return {"index": index, "line": line}
    (kind, _, writer, seq, time, _), entry = said
    row: dict[str, Any] = {name: value if type(value := entry.get(name)) is str else None for name in TEXT}
    enforced = entry.get("enforced")
    row["enforced"] = enforced if type(enforced) is bool else None
    return row | {"index": index, "line": line, "kind": kind, "writer": writer, "seq": seq, "time": time}
