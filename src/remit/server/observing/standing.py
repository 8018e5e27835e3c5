"""What a scrape is given: the figures of every worker, and how the store stands just now."""

import asyncio
import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from remit import __version__
from remit.local.wiring import Embedded
from remit.model.authorizer import ApprovalState
from remit.model.break_glass import Stage
from remit.model.clock import SECOND
from remit.model.errors import RemitError
from remit.runtime.store import Approval
from remit.server.observing.figures import Figures
from remit.server.observing.instruments import place, shared_folder

MAX_HOLDS = 4096
"""So many holds are counted."""
_FIRST_HOLDS = 64
SECONDS = 5.0
"""So long the store may take to say how it stands; then a scrape goes without."""

_MEANINGS = {
    "remit_store_up": "1 if the store said in time how it stands",
    "remit_holds_open": "Access requests that wait for an answer and have not expired",
    "remit_holds_oldest_age_seconds": "How long the oldest of them waits",
    "remit_permits_open": "Permits whose outcome is not known",
    "remit_break_glasses_open": "Break-glasses that are open",
    "remit_kills_in_force": "Kills that are in force",
    "remit_log_entries": "Entries of the log",
    "remit_log_head_entries": "Entries that the kept head of the log signs",
    "remit_log_head_age_seconds": "How long that head is kept",
    "remit_log_head_cosignatures": "Witnesses that have cosigned it",
}


class StoreGauges:
    """How the store stands, asked for at most once at a time."""

    def __init__(self, embedded: Embedded, figures: Figures) -> None:
        self._embedded, self._figures, self._instruments = embedded, figures, figures.instruments
        self._lock = threading.Lock()
        self._asking: Future[dict[str, float]] | None = None
        self._known: dict[str, float] = {"remit_store_up": 0}

    async def scraped(self) -> bytes:
        """All figures, as Prometheus reads them. A store that errs or hangs is told as one that is not up."""
        return await asyncio.to_thread(self._scraped)

    def _scraped(self) -> bytes:
        self.look()
        return self._written()

    def look(self) -> None:
        """Ask the store, and wait for it a while; then count what has happened until now."""
        with self._lock:
            # A store that hangs is asked by one thread, not by one more each time; and whoever ends does not wait for that one.
            if self._asking is None or self._asking.done():
                self._asking = Future()
                threading.Thread(target=self._ask, args=(self._asking,), name="remit-standing", daemon=True).start()
            asking = self._asking
        try:
            self._known = asking.result(SECONDS)
        except (TimeoutError, RemitError):
            self._known = {"remit_store_up": 0}
            self._instruments.store_errors.labels("scrape").inc()
        self._figures.count()

    def _ask(self, asking: "Future[dict[str, float]]") -> None:
        try:
            asking.set_result(self._asked())
        except BaseException as error:  # the edge of a thread: whoever waits is told, whatever happened
            asking.set_exception(error)

    def _asked(self) -> dict[str, float]:
        embedded, now = self._embedded, self._embedded.runtime.clock()
        store, found = embedded.store, dict[str, float]()
        held = _held(embedded, now)
        found["remit_holds_open"] = len(held)
        found["remit_holds_oldest_age_seconds"] = max((now - one.opened for one in held), default=0) / SECOND
        found["remit_permits_open"] = store.open_permits()
        glasses = store.break_glasses([Stage.OPEN])
        found["remit_break_glasses_open"] = sum(now < glass.until for glass in glasses)
        found["remit_kills_in_force"] = len(store.kills())
        found["remit_log_entries"] = store.log.size()
        kept = embedded.head.kept()
        found["remit_log_head_entries"] = kept.size if kept is not None else 0
        found["remit_log_head_cosignatures"] = kept.cosignatures if kept is not None else 0
        if kept is not None:
            found["remit_log_head_age_seconds"] = max(0, now - kept.since) / SECOND
        return {"remit_store_up": 1, **found}

    def _written(self) -> bytes:
        registry = CollectorRegistry()
        folder = shared_folder()
        if folder:
            every: Any = MultiProcessCollector
            every(registry, folder)
        else:
            registry.register(_Of(self._instruments.registry))
        registry.register(_Of(self))
        registry.register(_Workers(Path(folder)) if folder else ProcessCollector(registry=None))
        for collector in (PlatformCollector, GCCollector):
            collector(registry=registry)
        return generate_latest(registry)

    def collect(self) -> Iterator[Metric]:
        """How the store stood when it was last asked, and what serves it."""
        kind = "postgresql" if self._embedded.settings.store else "embedded"
        built = GaugeMetricFamily("remit_build_info", "Always 1: what serves, and from which store", labels=["version", "store"])
        built.add_metric([__version__, kind], 1)
        yield built
        for name, meaning in _MEANINGS.items():
            if name in self._known:
                yield GaugeMetricFamily(name, meaning, value=self._known[name])


def _held(embedded: Embedded, now: int) -> list[Approval]:
    """The access requests that are pending and have not expired: the newest first, and behind the first that has expired are only such."""
    look = _FIRST_HOLDS
    while True:
        found = embedded.store.approvals(ApprovalState.PENDING, look)
        current = [one for one in found if now < one.expires]
        if len(current) < look or look >= MAX_HOLDS:
            return current
        look *= 4


class _Of(Collector):
    """The figures of something else that collects."""

    def __init__(self, other: CollectorRegistry | StoreGauges) -> None:
        self._other = other

    def collect(self) -> Iterable[Metric]:
        """These."""
        return self._other.collect()


class _Workers(Collector):
    """What each worker takes of the machine, by its place."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        """One family of each kind, with a sample for each worker that there is."""
        found: dict[str, Metric] = {}
        for file in sorted(self._folder.glob("worker_*")):
            try:
                number = int(file.read_text("ascii"))
            except (OSError, ValueError):
                continue  # it begins, or is gone
            for family in ProcessCollector(pid=number.__int__, registry=None).collect():
                kept = found.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                for sample in family.samples:
                    kept.add_sample(sample.name, {**sample.labels, "worker": file.name.partition("_")[2]}, sample.value)
        return found.values()


def present() -> None:
    """Say in the shared folder which process is at this place, if there is such a folder."""
    if folder := shared_folder():
        (Path(folder) / f"worker_{place()}").write_text(str(os.getpid()), "ascii")
