"""What a verification says: the report and its findings."""

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Literal

MAX_FINDINGS = 20

Problem = Literal[
    "header",
    "key",
    "entry",
    "missing",
    "reordered",
    "repeated",
    "changed",
    "time",
    "join",
    "break-glass",
    "truncated",
    "checkpoint",
    "signature",
    "size",
    "root",
    "head",
    "quorum",
    "manifest",
    "segment",
    "column",
]
"""What kind of thing a finding found; docs/log-format.md says what each means."""


class UnusableInput(Exception):
    """The file cannot be read, or a key or head that was given is none: nothing was verified."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong; `line` counts from 1 in the file."""

    line: int
    problem: Problem
    message: str


@dataclass
class Findings:
    """All that is wrong, of which only the first are kept."""

    first: list[Finding] = field(default_factory=list)
    count: int = 0

    def add(self, line: int, problem: Problem, message: str) -> None:
        """Take one up."""
        self.count += 1
        if self.count <= MAX_FINDINGS:
            self.first.append(Finding(line, problem, message))


@dataclass(frozen=True)
class Restored:
    """The entry with this index tells of a backup of `size` entries that was put back, when a head of `known` was known (0: none)."""

    index: int
    size: int
    known: int

    @property
    def words(self) -> str:
        """The same for people."""
        lost = f"; {self.known - self.size} that a known head had are lost" if self.known > self.size else ""
        return f"entry {self.index} says that the store was put back from a backup of {self.size} entries{lost}"


@dataclass(frozen=True)
class Report:
    """What was verified; `findings` holds the first 20 of `finding_count`, and `verified` means that there are none.

    Entry times are microseconds since the epoch. `witnesses` maps the name of each witness that cosigned to the second at which it
    says it did. `head` is the size of the known head that was compared. `open` counts the permits without an outcome. `restored` has the
    first 20 restores from a backup that the log tells of.
    """

    verified: bool
    origin: str
    key: str
    key_pinned: bool
    size: int
    root: str
    unwitnessed: bool
    witnesses: dict[str, int]
    head: int | None
    writers: int
    kinds: dict[str, int]
    unknown_kinds: dict[str, int]
    permits: int
    denials: int
    outcomes: int
    open: int
    restored: tuple[Restored, ...]
    first_time: int | None
    last_time: int | None
    finding_count: int
    findings: tuple[Finding, ...]

    def to_json(self) -> str:
        """The report as one JSON object."""
        return json.dumps(asdict(self), indent=2)

    def to_text(self, source: str = "the export") -> str:
        """The report for people; `source` is what was verified, in words."""
        return "\n".join(self._lines(source))

    def _lines(self, source: str) -> list[str]:
        witnesses = ", ".join(f"{name} at {clock(second * 1_000_000)}" for name, second in self.witnesses.items())
        lines = [
            f"{'verified' if self.verified else 'NOT VERIFIED'}: {self.size} entries of {self.writers} writers"
            + (", by a key that came with them" if self._unvouched else ""),
            f"log: {self.origin or 'unknown'}",
            f"root: {self.root}",
            f"key: {self.key or 'none'}{' (pinned)' if self.key_pinned else f', taken from {source}, not pinned'}",
            *self._whose(source),
            f"witness: {witnesses or 'unwitnessed'}",
            f"known head: {'none given' if self.head is None else f'of {self.head} entries'}",
            f"time: {clock(self.first_time)} to {clock(self.last_time)}",
            f"decisions: {self.permits} permits, {self.denials} denials, {self.outcomes} outcomes, {self.open} open",
        ]
        lines += [f"restored: {restored.words}" for restored in self.restored]
        lines += [f"unknown kind: `{kind}`, {count} times" for kind, count in self.unknown_kinds.items()]
        lines += [f"line {finding.line}: {finding.problem}: {finding.message}" for finding in self.findings]
        if self.finding_count > len(self.findings):
            lines.append(f"and {self.finding_count - len(self.findings)} more findings")
        return lines

    @property
    def _unvouched(self) -> bool:
        """Whether nobody whom the caller knows has signed what verifies: a witness signs of logs alone whose key it knows."""
        return self.verified and not self.key_pinned and not self.witnesses

    def _whose(self, source: str) -> list[str]:
        if not self._unvouched:
            return []
        return [
            f"whose: NOT SHOWN. It is whole, and as it was signed; but whoever can write {source} can sign another with a key of "
            "their own. Give the key that you have from elsewhere by --key (`remit log key` prints it where the log is kept)"
        ]


@dataclass(frozen=True)
class ArchiveReport(Report):
    """What was verified of an archive of `segments` with `size` entries together, when the log had `signed`.

    Findings count entries from 1 over all segments; 0 is none.
    """

    segments: int
    signed: int

    def to_text(self, source: str = "the archive") -> str:
        """The report for people."""
        return super().to_text(source)

    def _lines(self, source: str) -> list[str]:
        verdict, *rest = super()._lines(source)
        return [verdict, f"archive: {self.segments} segments, of a log that had {self.signed} entries then", *rest]


def shown(text: object) -> str:
    """Text of unknown origin, short and safe to print; of a list or object only that it is one."""
    if isinstance(text, (list, dict)):
        text = type(text).__name__
    return str(text)[:80].encode("unicode_escape").decode("ascii")


def clock(time: int | None) -> str:
    """A time in microseconds since the epoch, in UTC, to the second."""
    if time is None:
        return "never"
    return datetime.fromtimestamp(time // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
