"""`./run bench stores [--json] [--quick]`: many processes on one PostgreSQL server, beside bare transactions on the same server."""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import IO, Any

import psycopg

from benchmarks import bundles, figures
from benchmarks.figures import Report, progress
from benchmarks.furnishing import OPERATOR, call_once, expect_permit, furnish, open_sessions, opened, request
from benchmarks.rounds import Case, Plan, interleaved, ratio
from benchmarks.serving import ROW
from benchmarks.workplace import ROOT, temporary_folder
from remit.local.wiring import Embedded
from remit.model.kill import KillKind
from remit.runtime import kills
from remit.storage.postgres.store import create
from tests.postgres import served

PROCESSES, CALLERS = 4, 64
_BARE = """
CREATE TABLE bare_entries (writer text, seq bigint, line bytea, PRIMARY KEY (writer, seq));
CREATE TABLE bare_state (id text PRIMARY KEY, version bigint, state bytea) WITH (fillfactor = 70);
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 0; a bar that does not hold is told, not an error."""
    parser = argparse.ArgumentParser(
        prog="./run bench stores", description="Measure the PostgreSQL store beside bare transactions."
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: under a minute")
    given = parser.parse_args(arguments)
    report = Report()
    with temporary_folder() as folder, served() as server:
        url = server.url(server.database(empty=True))
        create(url)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(_BARE)
        bundles.write_many(folder / "bundle", 100)
        with opened(folder / "home", url) as embedded:
            furnish(embedded, folder / "bundle")
            _alone(report, embedded, url, given.quick)
            _many(report, folder, url, given.quick)
            _reach(report, embedded, folder, url, given.quick)
    print(report.to_json() if given.json else report.to_text())
    progress(f"{sum(figure.holds is False for figure in report.figures)} bars do not hold")
    return 0


def _alone(report: Report, embedded: Embedded, url: str, quick: bool) -> None:
    progress("stores: one caller, beside a bare transaction")
    [session] = open_sessions(embedded.runtime, 1)
    call = request(session, bundles.WIDE, bundles.wide_arguments())
    call_once(embedded, call)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO bare_state VALUES ('alone', 0, %b)", (ROW,))

        def commit(number: int) -> None:
            with connection.transaction():
                connection.execute("INSERT INTO bare_entries VALUES ('alone', %s, %b)", (number, ROW))
                connection.execute("UPDATE bare_state SET version = version + 1, state = %b WHERE id = 'alone'", (ROW,))

        numbers = iter(range(10**9))
        cases = {
            "bare": Case(commit, lambda calls: [next(numbers) for _ in range(calls)]),
            "remit": Case(lambda asked: expect_permit(embedded.evaluate(asked).result()), lambda calls: [call] * calls),
        }
        times = interleaved(cases, Plan(rounds=3 if quick else 15, calls=40))
    report.judge(figures.SERVED, ratio(times, "remit", "bare"))
    report.tell("PostgreSQL: bare insert-and-update transaction, one caller", median(times["bare"]), "µs")
    report.tell("PostgreSQL: durable decision, one caller", median(times["remit"]), "µs")


def _many(report: Report, folder: Path, url: str, quick: bool) -> None:
    progress(f"stores: {CALLERS} callers in {PROCESSES} processes, beside bare transactions")
    rounds, seconds = (1, 1.0) if quick else (5, 3.0)
    found: dict[str, list[float]] = {"bare": [], "decide": []}
    for number in range(rounds):
        for program in found if number % 2 == 0 else reversed(found):
            with _together(program, folder, url, str(CALLERS // PROCESSES), str(seconds)) as processes:
                for process in processes:
                    _tell(process)
                found[program].append(sum(_answer(process) for process in processes))
    report.judge(figures.SCALE, median(ours / bare for ours, bare in zip(found["decide"], found["bare"], strict=True)))
    report.tell(f"PostgreSQL: bare transactions, {CALLERS} connections of {PROCESSES} processes", median(found["bare"]), "1/s")
    report.tell(f"PostgreSQL: durable decisions, {CALLERS} callers in {PROCESSES} processes", median(found["decide"]), "1/s")


def _reach(report: Report, embedded: Embedded, folder: Path, url: str, quick: bool) -> None:
    progress("stores: kills while four processes act")
    with _together("act", folder, url) as processes:
        for process in processes:
            _tell(process)
        time.sleep(0.5)
        windows = []
        for _ in range(5 if quick else 100):
            begun = time.monotonic()
            kills.kill(embedded.runtime, KillKind.AGENT, "bot", "measured", OPERATOR).result()
            durable = time.monotonic()
            time.sleep(0.1)
            windows.append((begun, durable, time.monotonic()))
            kills.release(embedded.runtime, KillKind.AGENT, "bot", "measured", OPERATOR).result()
            time.sleep(0.1)
        for process in processes:
            _tell(process)
        acts = [sorted(_answer(process)) for process in processes]
    late = [max([0.0, *(act - begun for act in one if begun < act < end)]) for begun, _, end in windows for one in acts]
    report.judge(figures.REACH, sorted(late)[int(len(late) * 0.99)] * 1000)
    report.tell("PostgreSQL: a kill is durable, median", median(durable - begun for begun, durable, _ in windows) * 1000, "ms")
    after = sum(durable < act < end for _, durable, end in windows for one in acts for act in one)
    report.tell("PostgreSQL: acts that began after the kill was durable", after, "acts")


@contextmanager
def _together(program: str, folder: Path, url: str, *arguments: str) -> Iterator[list["subprocess.Popen[str]"]]:
    paths = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.serving", program, str(folder / f"home-{number}"), url, *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": paths},
        )
        for number in range(PROCESSES)
    ]  # fmt: skip
    try:
        for process in processes:
            assert _line(process.stdout) == "ready"
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def _line(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.readline().strip()


def _answer(process: "subprocess.Popen[str]") -> Any:
    return json.loads(_line(process.stdout))


def _tell(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


if __name__ == "__main__":
    raise SystemExit(main())
