"""A whole store as rows that no kind of store owns: read from one consistent view of it, to be put into an empty one of either kind."""

from collections.abc import Iterator
from typing import Any, ClassVar, TypeAlias

import msgspec

from remit.model.errors import corrupt
from remit.storage.reading import PAGE, Rows, StoredLog

SCHEMA = 8
"""Counts what the tables can hold: raised with each migration, so that an older Remit does not take what it would cut short."""


class Row(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag_field="table"):
    """One row, its table first. `key` is what it is read in order of, empty for a table that is read at once."""

    key: ClassVar[str] = "id"


class MetaRow(Row, frozen=True, tag="meta"):
    """A count: of administrative changes, of memories, of definitions."""

    key: ClassVar[str] = ""
    name: str
    value: int


class TaskRow(Row, frozen=True, tag="tasks"):
    """A task, and what it has spent."""

    id: str
    status: str
    opened: int
    task: bytes
    spent_version: int
    spent: bytes


class DataKeyRow(Row, frozen=True, tag="data_keys"):
    """The secret of a task's data key, None once it was destroyed."""

    key: ClassVar[str] = "task"
    task: str
    secret: bytes | None


class SessionRow(Row, frozen=True, tag="sessions"):
    """A session."""

    id: str
    version: int
    state: bytes


class AgentRow(Row, frozen=True, tag="agents"):
    """An agent, and what it has spent."""

    id: str
    version: int
    state: bytes
    spent_version: int
    spent: bytes


class PermitRow(Row, frozen=True, tag="permits"):
    """A permit whose outcome is not known."""

    key: ClassVar[str] = "decision"
    decision: str
    writer: str
    permit: bytes


class ApprovalRow(Row, frozen=True, tag="approvals"):
    """An access request."""

    id: str
    version: int
    state: str
    digest: str
    approval: bytes


class ObservationRow(Row, frozen=True, tag="observations"):
    """What a session saw."""

    key: ClassVar[str] = "n"
    session: str
    decision: str
    source: str
    untrusted: bool
    sealed: bytes


class BundleRow(Row, frozen=True, tag="bundles"):
    """A bundle that was published."""

    key: ClassVar[str] = "digest"
    digest: str
    document: bytes


class ActivationRow(Row, frozen=True, tag="activations"):
    """When a bundle became the active one."""

    key: ClassVar[str] = "n"
    digest: str
    previous: str
    time: int
    operator: str


class MemoryRow(Row, frozen=True, tag="memories"):
    """A memory."""

    key: ClassVar[str] = "name"
    name: str
    version: int
    state: bytes


class DefinitionRow(Row, frozen=True, tag="definitions"):
    """The definition of a tool that counts."""

    id: str
    digest: str
    version: int
    state: bytes


class PersonRow(Row, frozen=True, tag="people"):
    """A person, as one source knows them."""

    id: str
    source: str
    version: int
    seen: int
    state: bytes


class PersonNameRow(Row, frozen=True, tag="person_names"):
    """A name that a person goes by."""

    key: ClassVar[str] = ""
    name: str
    person: str


class GroupRow(Row, frozen=True, tag="people_groups"):
    """A group of people."""

    id: str
    source: str
    version: int
    state: bytes


class BreakGlassRow(Row, frozen=True, tag="break_glass"):
    """A break-glass, from the asking to the review."""

    id: str
    version: int
    stage: str
    state: bytes


class KillRow(Row, frozen=True, tag="kills"):
    """A kill in force."""

    key: ClassVar[str] = ""
    kind: str
    name: str
    state: bytes


AnyRow: TypeAlias = (
    MetaRow
    | TaskRow
    | DataKeyRow
    | SessionRow
    | AgentRow
    | PermitRow
    | ApprovalRow
    | ObservationRow
    | BundleRow
    | ActivationRow
    | MemoryRow
    | DefinitionRow
    | PersonRow
    | PersonNameRow
    | GroupRow
    | BreakGlassRow
    | KillRow
)
TABLES: tuple[type[Row], ...] = (
    MetaRow,
    TaskRow,
    DataKeyRow,
    SessionRow,
    AgentRow,
    PermitRow,
    ApprovalRow,
    ObservationRow,
    BundleRow,
    ActivationRow,
    MemoryRow,
    DefinitionRow,
    PersonRow,
    PersonNameRow,
    GroupRow,
    BreakGlassRow,
    KillRow,
)
"""In the order in which they are copied. What the log and its tree have is not among them: the log is copied as its lines."""
COUNTS = ("revision", "memories", "definitions")
"""The counts of `meta` that every kind of store has."""


class Found(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What an entry is found by, beside its index: the decision and the task that it is about."""

    decision: str | None
    task: str | None


def table_of(kind: type[Row]) -> str:
    """The table of a kind of row."""
    return str(kind.__struct_config__.tag)


def fields_of(kind: type[Row]) -> tuple[str, ...]:
    """Its columns."""
    return kind.__struct_fields__


class CopiedLog(StoredLog):
    """The log as it was at one moment: its size does not change."""

    def __init__(self, rows: Rows, log: str, size: int) -> None:
        super().__init__(rows, log)
        self._size = size

    def size(self) -> int:
        """How many entries it has."""
        return self._size


class Snapshot:
    """One consistent view of a store, as long as the transaction behind `rows` lasts. `places` has the index of each entry of `log`."""

    def __init__(self, rows: Rows, log: str, places: str) -> None:
        self._rows, self._log = rows.rows, log
        newest = rows.row(f"SELECT max(idx) FROM {places}")[0]  # noqa: S608 - a constant
        self.size = 0 if newest is None else int(newest) + 1
        self.log = CopiedLog(rows, log, self.size)

    def rows(self) -> Iterator[AnyRow]:
        """All rows, table by table. Raises `RemitError` (unavailable; corrupt for a row that was changed by hand)."""
        for kind in TABLES:
            for values in self._values(kind):
                try:
                    row: AnyRow = msgspec.convert([table_of(kind), *values], AnyRow, strict=False)
                except msgspec.ValidationError as error:
                    raise corrupt(f"a row of `{table_of(kind)}` is not what was written ({error}): restore a backup") from None
                yield row

    def _values(self, kind: type[Row]) -> Iterator[Any]:
        table, fields = table_of(kind), ", ".join(kind.__struct_fields__)
        if kind is MetaRow:
            yield from self._rows(f"SELECT {fields} FROM meta WHERE name IN (?, ?, ?) ORDER BY name", *COUNTS)  # noqa: S608
        elif not kind.key:
            yield from self._rows(f"SELECT {fields} FROM {table} ORDER BY {fields}")  # noqa: S608 - constants
        else:
            first = f"SELECT {fields}, {kind.key} FROM {table} ORDER BY {kind.key} LIMIT {PAGE}"  # noqa: S608 - constants
            page = self._rows(first)
            while page:
                yield from [row[:-1] for row in page]
                page = self._rows(first.replace(" ORDER", f" WHERE {kind.key} > ? ORDER"), page[-1][-1])

    def found(self) -> Iterator[Found]:
        """What each entry of the log is found by, in order."""
        for start in range(0, self.size, PAGE):
            query = f"SELECT decision, task FROM {self._log} WHERE idx >= ? AND idx < ? ORDER BY idx"  # noqa: S608 - a constant
            for decision, task in self._rows(query, start, start + PAGE):
                yield Found(decision, task)
