"""`./run bench service [--json] [--quick]`: decisions over HTTP, durable, beside a bare endpoint that asks cedarpy for the same."""

import argparse
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from benchmarks import asking, bundles, durable, figures, servers, tokens
from benchmarks.asking import Message
from benchmarks.figures import Report, progress
from benchmarks.furnishing import AGENT, OPERATOR, call_once, furnish, opened
from benchmarks.loading import Load, Reached
from benchmarks.servers import Loader, Server
from benchmarks.workplace import temporary_folder
from remit.runtime import sessions, tasks
from remit.runtime.tasks import Opening
from remit.server.api.messages import request_of

CONNECTIONS = 32
POLICIES = 100
BATCH = 100
_BARE, _NEW, _SAME = "bare", "new", "same"
_Kind = Callable[[dict[str, str]], dict[str, Any]]
_Sessions = Sequence[dict[str, str]]


class Pace(msgspec.Struct, frozen=True):
    """How long to measure: so many rounds, of every load so many seconds."""

    rounds: int
    seconds: float


FULL, QUICK = Pace(rounds=7, seconds=1.5), Pace(rounds=2, seconds=0.4)


class Place(msgspec.Struct, frozen=True):
    """Where a measurement works: a store as it was furnished, the sessions in it, and the bare endpoint that knows the same."""

    home: Path
    sessions: _Sessions
    bare: Server
    loader: Loader
    pace: Pace

    @contextmanager
    def served(self) -> Iterator[Server]:
        """The service on a copy of the store: what earlier loads left open must not count."""
        copy = self.home.with_name("copy")
        shutil.copytree(self.home, copy)
        try:
            with servers.service(copy) as server:
                yield server
        finally:
            shutil.rmtree(copy)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 0; a bar that does not hold is told, not an error."""
    parser = argparse.ArgumentParser(
        prog="./run bench service", description="Measure decisions over HTTP beside a bare endpoint that asks cedarpy."
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: under a minute")
    given = parser.parse_args(arguments)
    report = measured(QUICK if given.quick else FULL)
    print(report.to_json() if given.json else report.to_text())
    progress(f"{sum(figure.holds is False for figure in report.figures)} bars do not hold")
    return 0


def measured(pace: Pace) -> Report:
    """Every figure of the service, and of the tokens that its callers come with."""
    report = Report()
    with temporary_folder() as folder:
        home = folder / "home"
        known = _furnished(home, folder / "bundle")
        shutil.copytree(home, folder / "bare")
        with servers.endpoint(folder / "bare", known[0]) as bare, servers.loader() as loader:
            place = Place(home, known, bare, loader, pace)
            reached = _many(report, place, "3 arguments", asking.small, (figures.SERVICE_NEW, figures.SERVICE_SAME))
            _many(report, place, "20 arguments", asking.wide)
            _many(report, place, "a person, no task", asking.person)
            _at_half_load(report, place, reached / 2)
            _alone(report, place)
            _together(report, place)
        tokens.measure(report, home, pace.rounds)
    return report


def _furnished(home: Path, bundle: Path) -> _Sessions:
    """An agent with an open task and session for each connection, as they are in the middle of their work."""
    bundles.write_served(bundle, POLICIES)
    found = []
    with opened(home) as embedded:
        furnish(embedded, bundle)
        for _ in range(CONNECTIONS):
            task = tasks.open_task(embedded.runtime, Opening(AGENT, "be measured"), OPERATOR).result()
            found.append({"task": task.id, "session": sessions.open_session(embedded.runtime, task.id).result().id})
            for kind in (asking.small, asking.wide):
                call_once(embedded, request_of(kind(found[-1])))
    return found


def _many(report: Report, place: Place, what: str, kind: _Kind, judged: tuple[str, str] | None = None) -> float:
    """Requests a second over all connections; returns those of new values."""
    progress(f"service: {CONNECTIONS} connections, {what}, beside the bare endpoint")
    messages = tuple([asking.single(kind(session)) for session in place.sessions])
    with place.served() as server:
        ports = {_BARE: place.bare, _NEW: server, _SAME: server}
        loads = {
            name: Load(one.port, one.shown(messages), place.pace.seconds, fresh=name != _SAME) for name, one in ports.items()
        }
        found, spent = _rounds(place, loads, ports)
    for name, said, bar in zip((_NEW, _SAME), ("new values", "remembered"), judged or ("", ""), strict=True):
        ratio = median(ours / bare for ours, bare in zip(found[name], found[_BARE], strict=True))
        if bar:
            report.judge(bar, ratio)
        else:
            report.tell(f"requests over HTTP, {what}, {said} / bare endpoint", ratio, "ratio")
        cpu = median(bare / ours for ours, bare in zip(spent[name], spent[_BARE], strict=True))
        report.tell(f"the same by processor time, {what}, {said}", cpu, "ratio")
    for name, said in ((_BARE, "bare endpoint"), (_NEW, "service, new values"), (_SAME, "service, remembered")):
        report.tell(f"{said}, {what}, {CONNECTIONS} connections", median(found[name]), "1/s")
        report.tell(f"{said}, {what}: processor time of a request", median(spent[name]), "µs")
    return median(found[_NEW])


def _rounds(
    place: Place, loads: Mapping[str, Load], ports: Mapping[str, Server]
) -> tuple[Mapping[str, Sequence[float]], Mapping[str, Sequence[float]]]:
    """Requests a second of each load, and µs of its server's processor for one, in rounds that alternate; one round warms up."""
    found: dict[str, list[float]] = {name: [] for name in loads}
    spent: dict[str, list[float]] = {name: [] for name in loads}
    for number in range(-1, place.pace.rounds):
        for name in list(loads)[:: -1 if number % 2 == 1 else 1]:
            before = ports[name].cpu
            reached = place.loader.reach(loads[name])
            assert reached.permits == reached.answered, "a benchmark of denials would measure something else"
            if number >= 0:
                found[name].append(reached.per_second)
                spent[name].append((ports[name].cpu - before) / reached.answered)
    return found, spent


def _at_half_load(report: Report, place: Place, rate: float) -> None:
    progress(f"service: {rate:.0f} requests a second, half of what it can")
    messages = tuple([asking.single(asking.small(session)) for session in place.sessions])
    with place.served() as server:
        ports = {_BARE: place.bare, _NEW: server}
        loads = {
            name: Load(one.port, one.shown(messages), place.pace.seconds, fresh=True, rate=rate) for name, one in ports.items()
        }
        found: dict[str, list[Reached]] = {name: [] for name in loads}
        commits: list[float] = []
        for _ in range(place.pace.rounds + 1):
            for name, load in loads.items():
                found[name].append(place.loader.reach(load))
            commits.append(_slowest_commit(place))
    report.judge(figures.SERVICE_TAIL, median(one.p99 for one in found[_NEW][1:]) / 1000)
    report.tell("requests over HTTP, new values, half load, p50", median(one.p50 for one in found[_NEW][1:]) / 1000, "ms")
    report.tell("bare endpoint, as many requests a second, p99", median(one.p99 for one in found[_BARE][1:]) / 1000, "ms")
    report.tell("bare SQLite commit of one 900-byte row, nothing else asked meanwhile, p99", median(commits[1:]), "ms")


def _slowest_commit(place: Place) -> float:
    """The ms that 99 of 100 bare commits beside the stores take at most: what the disk adds to a tail, whoever writes."""
    commit = durable.bare(place.home.parent)
    took = []
    for row in commit.prepare(200):
        begun = time.perf_counter()
        commit.call(row)
        took.append(time.perf_counter() - begun)
    return sorted(took)[len(took) * 99 // 100] * 1000


def _alone(report: Report, place: Place) -> None:
    progress("service: one connection")
    message = asking.single(asking.small(place.sessions[0]))
    with place.served() as server:
        ports = {_BARE: place.bare, _NEW: server}
        loads = {name: Load(one.port, one.shown((message,)), place.pace.seconds / 2, fresh=True) for name, one in ports.items()}
        found: dict[str, list[float]] = {name: [] for name in loads}
        for _ in range(place.pace.rounds + 1):
            for name, load in loads.items():
                found[name].append(place.loader.reach(load).p50)
    report.judge(figures.SERVICE_ALONE, median(found[_NEW][1:]) / 1000)
    report.tell("bare endpoint, one connection, p50", median(found[_BARE][1:]) / 1000, "ms")


def _together(report: Report, place: Place) -> None:
    progress(f"service: {BATCH} evaluations in one request, and in as many")
    asked = [asking.small(session) for session in place.sessions]
    singles: tuple[Message, ...] = tuple(map(asking.single, asked))
    batch = asking.batch([asked[number % len(asked)] for number in range(BATCH)])
    with place.served() as server:
        kinds = {"batch": (batch,), "single": singles[:1], "many": singles}
        loads = {
            name: Load(server.port, server.shown(several), place.pace.seconds, fresh=True) for name, several in kinds.items()
        }
        found: dict[str, list[float]] = {name: [] for name in loads}
        for _ in range(place.pace.rounds + 1):
            for name, load in loads.items():
                reached = place.loader.reach(load)
                found[name].append(reached.permits / reached.answered * reached.per_second)
    faster = {
        name: median(a / b for a, b in zip(found["batch"][1:], found[name][1:], strict=True)) for name in ("single", "many")
    }
    report.judge(figures.SERVICE_BATCH, faster["single"])
    report.tell(f"{BATCH} evaluations in one request / {BATCH} requests over {CONNECTIONS} connections", faster["many"], "ratio")
    report.tell(f"evaluations in requests of {BATCH}", median(found["batch"][1:]), "1/s")


if __name__ == "__main__":
    raise SystemExit(main())
