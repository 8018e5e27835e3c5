"""Every figure that a server counts: its name, kind, labels and meaning. No label has a value that a caller chooses."""

import os
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, metrics, values

from remit.model.errors import unavailable

SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that names the folder in which the workers of one server keep their figures; the name is the library's."""
PLACE = "REMIT_WORKER"
"""The variable that says which of these workers a process is: none that runs at the same time is the same."""

_FILES = ("counter", "histogram", "gauge_livemin", "gauge_livemax", "gauge_livesum")
_ROOM = 1 << 20
_WHOLE = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_STAGE = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0)
_GROUP = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_PEOPLE = (5, 15, 30, 60, 120, 300, 600, 1200, 1800)


def environment_of_worker(folder: Path, place: int) -> dict[str, str]:
    """The variables with which a worker counts in a folder that is its server's alone, so that a scrape of any gives the whole.

    A worker that follows another at its place goes on with what that one had counted.
    """
    return {SHARED: str(folder), PLACE: str(place)}


def shared_folder() -> str:
    """The folder of the figures of several workers, empty where this process is the only one."""
    return os.environ.get(SHARED, "")


def place() -> str:
    """Which worker this is."""
    return os.environ.get(PLACE, "") or str(os.getpid())


def _begin_sharing() -> None:
    """Count in files from now on. What the one before at this place had as of a moment is not so any more.

    Raises `RemitError` (unavailable) where there is no room for them.
    """
    folder = Path(shared_folder())
    try:
        for file in folder.glob(f"gauge_*_{place()}.db"):
            file.unlink(missing_ok=True)
        for kind in _FILES:
            file = folder / f"{kind}_{place()}.db"
            if not file.exists():
                # They are mapped into memory: room that is missing only when it is written to would end this process.
                file.write_bytes(bytes(_ROOM))
    except OSError as error:
        raise unavailable(f"there is no place for the figures of a worker in `{folder}` ({error.strerror})") from None
    shared: Any = values.MultiProcessValue
    values.ValueClass = shared(place)  # a place, unlike a process id, is taken by whoever follows


class Distribution(Histogram):
    """A histogram that takes many values at once: so much does one value cost alone that a decision would notice."""

    def add(self, values: Sequence[float]) -> None:
        """Observe all of these."""
        bounds, counts = self._upper_bounds, [0] * len(self._upper_bounds)
        for value in values:
            counts[bisect_left(bounds, value)] += 1
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)
        self._sum.inc(sum(values))


class Instruments:
    """The figures of one server process."""

    def __init__(self) -> None:
        if shared_folder():
            _begin_sharing()
        metrics.disable_created_metrics()  # type: ignore[no-untyped-call] # they would be as many again, and nobody reads them
        self.registry = CollectorRegistry(auto_describe=True)
        self.decisions = self._counter("remit_decisions", "Decisions, by effect and reason", "effect", "reason")
        self.decision_seconds = self._histogram("remit_decision_seconds", "From the request to its durable decision", _WHOLE)
        self.stage_seconds = self._histogram("remit_decision_stage_seconds", "Each stage of a decision", _STAGE, "stage")
        self.retries = self._counter("remit_decision_retries", "Times that something was decided again, by cause", "cause")
        self.commit_seconds = self._histogram("remit_commit_seconds", "One commit of a group", _STAGE)
        self.commit_size = self._histogram("remit_commit_group_size", "Changes in one commit", _GROUP)
        self.store_errors = self._counter("remit_store_errors", "What the store did not do, by what was asked of it", "operation")
        self.requests = self._counter("remit_requests", "Requests answered", "method", "route", "status")
        self.request_seconds = self._histogram("remit_request_seconds", "From a request to its whole answer", _WHOLE, "route")
        self.waiting = self._gauge(
            "remit_requests_waiting", "Requests that wait for an answer by a person, or a change", "livesum"
        )
        self.faults = self._counter("remit_faults", "Faults of the server itself")
        self.tokens = self._counter("remit_tokens", "Tokens that were shown, by what came of them", "kind", "result")
        self.key_fetches = self._counter("remit_issuer_key_fetches", "Attempts to get an issuer's keys", "issuer", "result")
        self.keys_fetched = self._gauge(
            "remit_issuer_keys_fetched_timestamp_seconds", "When an issuer's keys last came", "livemin", "issuer"
        )
        self.keys_failing = self._gauge(
            "remit_issuer_keys_failing", "1 if the last attempt to get an issuer's keys failed", "livemax", "issuer"
        )
        self.answer_seconds = self._histogram("remit_hold_answer_seconds", "From a hold to its answer", _PEOPLE, "answer")
        self.outcomes = self._counter("remit_outcomes", "Reported outcomes of permits", "status")
        self.settled = self._counter("remit_permits_settled", "Permits whose outcome nobody reported, settled")
        self.lines_dropped = self._counter("remit_log_lines_dropped", "Lines about the server that nobody took")

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(name, meaning, labels, registry=self.registry)

    def _gauge(self, name: str, meaning: str, mode: Any, *labels: str) -> Gauge:
        return Gauge(name, meaning, labels, registry=self.registry, multiprocess_mode=mode)

    def _histogram(self, name: str, meaning: str, buckets: tuple[float, ...], *labels: str) -> Distribution:
        return Distribution(name, meaning, labels, registry=self.registry, buckets=buckets)
