"""The one writer of a process: commits are grouped, the leader's fsync covers all that wait, a failed one poisons the writer."""

import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from remit.decision_log.encoding import seal_line
from remit.decision_log.entry import NO_ENTRY
from remit.decision_log.merkle import leaf_hash
from remit.decision_log.store import CommitFailed, GroupStore, GroupTransaction, Line, Record
from remit.model.errors import store_failed

if TYPE_CHECKING:
    import asyncio  # costs a tenth of a first call's time, and whoever never awaits does without

W = TypeVar("W")
MAX_GROUP = 512


class _Place(NamedTuple):
    """Where a writer's chain ends: the number of its entries, the leaf hash (hex) of the last, and its time."""

    seq: int
    prev: str
    latest: int


class Committed(NamedTuple):
    """How a group went: of how many commits, in how many seconds, and how many of them conflicted; `failed`: the store took none."""

    size: int
    seconds: float
    conflicts: int
    failed: bool


class Conflict(Exception):
    """What the commit was decided from has changed meanwhile: load it again and decide again."""


class Ticket(Generic[W]):
    """One commit under way: bodies to append, writes to apply with them, and the answer once both are durable.

    `revision` is that of the administrative state (bundle, agents, tasks, approvals) it was decided on.
    """

    __slots__ = ("_appender", "_error", "_waiter", "bodies", "done", "revision", "time", "writes")

    def __init__(self, bodies: Sequence[Record], writes: Sequence[W], revision: int, time: int) -> None:
        self.bodies = bodies
        self.writes = writes
        self.revision = revision
        self.time = time
        self.done = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._appender: Appender[W] | None = None

    def result(self) -> None:
        """Block until durable. Raises `Conflict`, or `RemitError` (unavailable) if nothing was written."""
        assert self._appender is not None
        while not self.done:
            self._appender.flush()
        if self._error is not None:
            raise self._error

    def __await__(self) -> Generator[Any, Any, None]:
        """Await durability; raises as `result` does."""
        assert self._appender is not None
        if not self.done:
            import asyncio

            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            self._appender.wake_after(loop)
            if not self.done:
                yield from self._waiter
        if self._error is not None:
            raise self._error

    def settle(self, error: Exception | None) -> "asyncio.Future[None] | None":
        """Set the answer; returns the future that somebody awaits, if so."""
        self._error = error
        self.done = True
        return self._waiter


class Appender(Generic[W]):
    """Chains, groups and commits. Any thread that waits may lead: it commits everything queued so far in one transaction.

    `writer` names this process's chain, `opening` is its first entry, written with the first commit; a fork must open an appender of
    its own.
    """

    def __init__(self, store: GroupStore[W], writer: str, opening: Record) -> None:
        self._store = store
        self._opening = opening
        self._queue: deque[Ticket[W]] = deque()
        self._leading = threading.Lock()
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None
        self._waking: asyncio.AbstractEventLoop | None = None
        self._poison: str | None = None
        self._closed = False
        self.writer = writer
        self.told: list[Callable[[Committed], None]] = []
        """Whoever is told of each group, by the thread that committed it; they must neither wait nor raise."""
        self._place = _Place(0, NO_ENTRY, 0)
        self._doubt: _Place | None = None

    def submit(self, ticket: Ticket[W]) -> Ticket[W]:
        """Queue a commit; commits of one appender are applied in the order they were submitted."""
        ticket._appender = self
        if self._poison is not None:
            ticket.settle(store_failed(self._poison))
        else:
            self._queue.append(ticket)
        return ticket

    def flush(self) -> None:
        """Commit the group that is queued, after waiting for the leader that is committing now."""
        with self._leading:
            if self._queue:
                self._commit_group()

    def alone(self, act: Callable[[], None]) -> None:
        """Do something to the store while nothing is being committed."""
        with self._leading:
            act()

    def wake_after(self, loop: "asyncio.AbstractEventLoop") -> None:
        """Let the background thread lead once all that is ready in this loop has run, so that it commits together.

        A leader that was woken by the first would commit that one alone while the rest is being decided.
        """
        if self._waking is not loop:
            self._waking = loop
            loop.call_soon(self._wake_now)

    def _wake_now(self) -> None:
        self._waking = None
        self.wake()

    def wake(self) -> None:
        """Let the background thread lead, for callers that must not block."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="remit-appender", daemon=True)
            self._thread.start()
        self._wanted.set()

    def _serve(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            while self._queue:
                self.flush()
            if self._closed:
                return

    def close(self) -> None:
        """Commit what is queued and stop the background thread."""
        while self._queue:
            self.flush()
        self._closed = True
        self._poison = self._poison or "the log was closed: open the store again"
        self._wanted.set()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def _commit_group(self) -> None:
        group: list[Ticket[W]] = []
        while self._queue and len(group) < MAX_GROUP:
            group.append(self._queue.popleft())
        began, answers = perf_counter(), list[Exception | None]()
        try:
            answers = self._write(group)
            self._settle(group, answers)
        except CommitFailed as failure:
            # INVARIANT (durable before permit): after a failed fsync nobody knows what is on disk, so this writer is done.
            if failure.poisons:
                self._poison = f"the log could not be made durable ({failure}): restart after mending the store"
            error = store_failed(f"nothing was permitted, the log could not be written ({failure})")
            self._settle(group, [error] * len(group))
        except BaseException as error:  # whatever ended the writer, nobody may be left waiting for it
            self._poison = f"the log's writer failed ({type(error).__name__}: {error}): restart"
            self._settle(group, [store_failed(self._poison)] * len(group))
            if not isinstance(error, Exception):
                raise
        finally:
            if self.told:
                went = _how(answers, len(group), perf_counter() - began)
                for tell in self.told:
                    tell(went)

    def _write(self, group: list[Ticket[W]]) -> list[Exception | None]:
        if self._poison is not None:
            return [store_failed(self._poison)] * len(group)
        after = self._place
        try:
            with self._store.transaction() as transaction:
                fits = transaction.apply([(ticket.writes, ticket.revision) for ticket in group])
                if transaction.reopened or self._doubt is not None:
                    self._find_place(transaction)
                lines, after = self._sealed([ticket for ticket, fit in zip(group, fits, strict=True) if fit])
                transaction.append(lines)
        except CommitFailed as failure:
            if failure.doubtful:
                self._doubt = after
            raise
        # Only a transaction that ended without an error moves the head of the chain.
        self._place = after
        return [None if fit else Conflict() for fit in fits]

    def _sealed(self, tickets: list[Ticket[W]]) -> tuple[list[Line], _Place]:
        lines: list[Line] = []
        seq, prev, latest = self._place
        for ticket in tickets:
            latest = max(latest, ticket.time)
            for body in ticket.bodies if seq else (self._opening, *ticket.bodies):
                line = seal_line(body.body, self.writer, seq, latest, prev)
                leaf = leaf_hash(line)
                lines.append(Line(self.writer, seq, latest, leaf, line, body.kind, body.decision, body.task))
                seq, prev = seq + 1, leaf.hex()
        return lines, _Place(seq, prev, latest)

    def _find_place(self, transaction: GroupTransaction[W]) -> None:
        """Go on where the chain ends: before or after the group of which nobody knew, and nowhere else."""
        stored = transaction.last(self.writer)
        for place in (self._place, self._doubt):
            if place is not None and place[:2] == stored:
                self._place, self._doubt = place, None
                return
        # INVARIANT (the log convinces a stranger): what was acknowledged is never written anew, nor left out in silence.
        message = (
            f"the store has {stored[0]} entries of this process, which wrote {self._place.seq}: it lost what it had committed"
        )
        raise CommitFailed(message, poisons=True)

    @staticmethod
    def _settle(group: list[Ticket[W]], answers: Sequence[Exception | None]) -> None:
        waiting: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
        for ticket, answer in zip(group, answers, strict=True):
            future = ticket.settle(answer)
            if future is not None:
                waiting.setdefault(future.get_loop(), []).append(future)
        for loop, futures in waiting.items():
            try:
                loop.call_soon_threadsafe(_resolve, futures)
            except RuntimeError:
                continue  # that loop was closed while its task waited: nobody is there to answer


def _how(answers: Sequence[Exception | None], size: int, seconds: float) -> Committed:
    conflicts = sum(isinstance(answer, Conflict) for answer in answers)
    return Committed(size, seconds, conflicts, failed=answers.count(None) + conflicts < size)


def _resolve(futures: "list[asyncio.Future[None]]") -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)
