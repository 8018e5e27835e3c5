"""All that callers were told, held until it is compared with the log."""

import threading
import time
from collections import Counter
from typing import NamedTuple


class Answered(NamedTuple):
    """A decision as its caller was told it; `approval` is the one that it named."""

    permit: bool
    reason: str
    session: str
    approval: str = ""


class Told:
    """What every caller was told. Safe between threads.

    `lost` counts, by session, requests for a decision that got no answer, or one that does not say whether there is a decision.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.decisions: dict[str, Answered] = {}
        self.repeated: list[tuple[str, ...]] = []
        """The decisions that were answered to one request, sent more than once under its key."""
        self.lost: Counter[str] = Counter()
        self.used: Counter[str] = Counter()
        """How often a permit was said to stand."""
        self.reported: dict[str, str] = {}
        """The outcome that was said to be recorded."""
        self.late: set[str] = set()
        """Permits whose report was refused, for they were settled before."""
        self.tasks: dict[str, tuple[str, int]] = {}
        """The tasks that were opened, each with its one budget: `calls` or `amount`, and how much."""
        self.exhausted: set[str] = set()
        """The tasks whose budget was said to be used up."""
        self.approved: dict[str, bool] = {}
        """Access requests that were approved, and whether everybody was answered who then came with one."""
        self.statuses: Counter[int] = Counter()
        self.waits: list[float] = []
        self.latest = time.monotonic()
        self.silence = 0.0
        """The longest time (s) in which nobody was answered."""

    def heard(self, status: int, seconds: float) -> None:
        """An answer came; status 0 for none."""
        with self._lock:
            self.statuses[status] += 1
            if status:
                self.waits.append(seconds)
                now = time.monotonic()
                self.silence, self.latest = max(self.silence, now - self.latest), now

    def decided(self, decision: str, answered: Answered) -> None:
        """A decision was answered. The same may come twice, if it was asked for twice under one key."""
        with self._lock:
            known = self.decisions.setdefault(decision, answered)
        assert known == answered, f"one decision, told in two ways: {known}, {answered}"

    def missed(self, session: str) -> None:
        """A request for a decision got no answer."""
        with self._lock:
            self.lost[session] += 1

    def stood(self, decision: str) -> None:
        """A permit was said to stand."""
        with self._lock:
            self.used[decision] += 1
