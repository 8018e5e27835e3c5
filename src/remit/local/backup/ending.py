"""What a restore ends: nothing that could act when the backup was taken can act once it is back."""

import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import msgspec
from msgspec.structs import replace

from remit import __version__
from remit.decision_log.checkpoint import Checkpoint
from remit.decision_log.encoding import encode_body, seal_line
from remit.decision_log.entry import (
    NO_ENTRY,
    BreakGlassEnded,
    EntryBody,
    KillSet,
    LogRestored,
    MemoryRaised,
    TaskClosed,
    WriterOpened,
)
from remit.decision_log.merkle import leaf_hash
from remit.decision_log.store import Line
from remit.local.backup.manifest import Manifest
from remit.model.authorizer import ApprovalState
from remit.model.break_glass import BreakGlass, Stage
from remit.model.identity import Operator, new_id
from remit.model.kill import Kill, KillKind
from remit.model.labels import Confidentiality, Label
from remit.model.memory import Memory
from remit.model.person import Person, PersonStatus
from remit.model.task import TaskStatus
from remit.runtime.store import Approval
from remit.storage.copying import AnyRow, ApprovalRow, BreakGlassRow, KillRow, MemoryRow, MetaRow, PermitRow, PersonRow, TaskRow
from remit.storage.reading import read

FURTHER = 1 << 32
"""So far on the count of administrative changes is set: whoever still knows the store as it was has seen fewer."""
_USABLE = (ApprovalState.PENDING, ApprovalState.APPROVED)
_encode = msgspec.msgpack.Encoder().encode


class Ended(msgspec.Struct, frozen=True):
    """How many open tasks, usable access requests, permits of unknown outcome and open break-glasses there were, how many memories were
    raised, and how many people are there by the backup alone."""

    tasks: int
    approvals: int
    permits: int
    memories: int
    break_glasses: int
    people: int


class Ending:
    """Goes over the rows of a backup on their way into a store, and says in the log what it did.

    `known` is the last head that the operator knew of, if any. With `memories_trusted` memories keep their labels: what was written to them
    since must be gone, too.
    """

    def __init__(
        self, manifest: Manifest, known: Checkpoint | None, operator: Operator, now: int, memories_trusted: bool = False
    ) -> None:
        self._manifest, self._known, self._operator, self._now = manifest, known, operator, now
        self._memories_trusted = memories_trusted
        self._tasks: list[str] = []
        self._memories: list[Memory] = []
        self._glasses: list[BreakGlass] = []
        self._approvals = self._permits = self._people = 0

    @property
    def ended(self) -> Ended:
        """What was ended, once the rows are read."""
        return Ended(len(self._tasks), self._approvals, self._permits, len(self._memories), len(self._glasses), self._people)

    def rows(self, rows: Iterable[AnyRow]) -> Iterator[AnyRow]:
        """The rows as they are to be put back."""
        # INVARIANT (fail closed): what was ended, used, revoked or stopped since the backup is not known to it; nothing goes on by it.
        for row in rows:
            match row:
                case MetaRow("revision", value):
                    yield replace(row, value=value + FURTHER)
                case TaskRow(id, TaskStatus.OPEN):
                    self._tasks.append(id)
                    yield replace(row, status=TaskStatus.CLOSED.value)
                case ApprovalRow():
                    yield self._approval(row)
                case MemoryRow() if not self._memories_trusted:
                    yield self._memory(row)
                case BreakGlassRow():
                    yield self._glass(row)
                case KillRow(KillKind.ALL):
                    pass
                case PersonRow():
                    yield self._person(row)
                case PermitRow():
                    self._permits += 1
                    yield row
                case _:
                    yield row
        yield KillRow(KillKind.ALL.value, "", _encode(Kill(KillKind.ALL, "", self._now, self._operator.id, self._why)))

    @property
    def _why(self) -> str:
        taken = datetime.fromtimestamp(self._manifest.taken // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
        return f"restored from backup {self._manifest.backup} of {taken} UTC: what was decided since is not known here"

    def _approval(self, row: ApprovalRow) -> AnyRow:
        approval = read(Approval, row.approval)
        if approval.state not in _USABLE:
            return row
        self._approvals += 1
        after = replace(approval, state=ApprovalState.EXPIRED, version=approval.version + 1)
        return replace(row, version=after.version, state=after.state.value, approval=_encode(after))

    def _glass(self, row: BreakGlassRow) -> AnyRow:
        glass = read(BreakGlass, row.state)
        if glass.stage not in (Stage.ASKED, Stage.OPEN):
            return row
        into = Stage.ENDED if glass.stage is Stage.OPEN else Stage.WITHDRAWN
        after = replace(glass, stage=into, version=glass.version + 1, ended_by=self._operator.id, ended=self._now)
        self._glasses.append(after)
        return replace(row, version=after.version, stage=after.stage.value, state=_encode(after))

    def _person(self, row: PersonRow) -> AnyRow:
        # INVARIANT (fail closed): whoever has left since is there by the backup, so nobody is before their source speaks of them again.
        person = read(Person, row.state)
        if not person.attests or person.status is not PersonStatus.ACTIVE:
            return row
        self._people += 1
        return replace(row, seen=0)

    def _memory(self, row: MemoryRow) -> AnyRow:
        # INVARIANT (labels come from what was touched): what was written there since is not known, so it may have been anything.
        worst = Label(Confidentiality.RESTRICTED, (f"restore:{self._manifest.backup}",))
        memory = read(Memory, row.state)
        after = memory.raised(worst, self._manifest.backup)
        if after is memory:
            return row
        self._memories.append(after)
        return replace(row, version=after.version, state=_encode(after))

    def lines(self, latest: int) -> Iterator[Line]:
        """What stands in the log behind what was restored, the newest of which is of `latest` (µs); asked for once the rows are read."""
        time, seq, prev = max(self._now, latest), 0, NO_ENTRY
        writer = new_id("wri", time)
        for body, task in self._bodies():
            line = seal_line(encode_body(body), writer, seq, time, prev)
            leaf = leaf_hash(line)
            yield Line(writer, seq, time, leaf, line, str(body.__struct_config__.tag), None, task)
            seq, prev = seq + 1, leaf.hex()

    def _bodies(self) -> Iterator[tuple[EntryBody, str | None]]:
        said, known, by = self._manifest, self._known, self._operator
        head = (known.size, known.root.hex()) if known is not None else (0, "")
        yield WriterOpened(__version__, os.getpid()), None
        yield (
            LogRestored(said.backup, said.taken, said.size, said.root, *head, self._memories_trusted, by.id, by.verified_by),
            None,
        )
        yield KillSet(KillKind.ALL.value, "", by.id, self._why, by.verified_by), None
        for task in self._tasks:
            yield TaskClosed(task, by.id, by.verified_by), task
        for glass in self._glasses:
            yield BreakGlassEnded(glass.id, glass.ended, glass.stage.value, by.id, by.verified_by, self._why), None
        for memory in self._memories:
            yield MemoryRaised(memory.name, "", None, memory.label.confidentiality.value, memory.label.sources), None
