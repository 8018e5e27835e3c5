"""Which part of a log one of several replays follows: whole trees of tasks, for nothing crosses them but agents and kills."""

from itertools import count
from zlib import crc32

import msgspec

from remit.decision_log.entry import EntryBody, FlowGranted, SessionJoined, SessionOpened, TaskClosed, TaskOpened
from remit.model.errors import corrupt
from remit.reviews.history import LoggedState

REMEMBERED = 10_000
_PLACES = 1 << 20


class _Peek(msgspec.Struct):
    """As much of a line as says whose it is."""

    task: str | None = None
    chain: tuple[str, ...] = ()


_peek = msgspec.json.Decoder(_Peek).decode
_CHAIN, _TASK = b'"chain":[', b'"task":'


class Share:
    """One of several shares of a log. Trees are dealt out in the order in which the log first names them, the same in every process.

    Lines are told by the part of them that names their tasks: cut out, because reading all of it takes as long as deciding. No text in
    an entry looks like a field, for quotes in it are escaped.
    """

    def __init__(self, history: LoggedState, share: int, shares: int) -> None:
        self._history, self._share, self._shares = history, share + 1, shares
        # Trees of one place go together: so many places even out any number of trees, and take no more memory the more there are.
        self._dealt = bytearray(_PLACES)
        self._count = count()
        self._chains: dict[bytes, bool] = {}
        self._tasks: dict[bytes, bool] = {}

    def decision(self, index: int, line: bytes) -> bool:
        """Whether the line of a decision is of this share. Raises `RemitError` (corrupt)."""
        start = line.find(_CHAIN)
        part = line[start : line.find(b"]", start)]
        known = self._chains.get(part) if start > 0 else None
        if known is None:
            chain = _peek_at(index, line).chain
            known = self._mine(chain[-1] if chain else "")
            self._remember(self._chains, part, known)
        return known

    def outcome(self, index: int, line: bytes) -> bool:
        """Whether the line of an outcome is of this share. Raises `RemitError` (corrupt)."""
        start = line.find(_TASK)
        part = line[start : line.find(b",", start)]
        known = self._tasks.get(part) if start > 0 else None
        if known is None:
            known = self._history.tasks.knows(_peek_at(index, line).task)
            self._remember(self._tasks, part, known)
        return known

    def other(self, body: EntryBody) -> bool:
        """Whether any other entry is about what every share follows, or about a task of this one."""
        match body:
            case TaskOpened():
                return self._mine(body.task) if body.parent is None else self._history.tasks.knows(body.parent)
            case SessionOpened() | SessionJoined() | TaskClosed() | FlowGranted():
                return self._history.tasks.knows(body.task)
            case _:
                return True

    def _mine(self, root: str) -> bool:
        """Whether the tree of this task is. To be asked by every share of the same tasks in the same order."""
        place = crc32(root.encode()) % _PLACES
        if not self._dealt[place]:
            self._dealt[place] = next(self._count) % self._shares + 1
        return self._dealt[place] == self._share

    @staticmethod
    def _remember(known: dict[bytes, bool], part: bytes, mine: bool) -> None:
        if len(known) >= REMEMBERED:
            known.clear()
        known[part] = mine


def _peek_at(index: int, line: bytes) -> _Peek:
    try:
        return _peek(line)
    except msgspec.MsgspecError as error:
        raise corrupt(f"entry {index} cannot be read ({error}): verify the log") from None
