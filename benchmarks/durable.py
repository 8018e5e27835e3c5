"""Decisions that are on the disk before they are answered: one caller, and 64 at once on one core."""

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import bundles, figures
from benchmarks.figures import Report, progress
from benchmarks.furnishing import call_once, expect_permit, furnish, open_sessions, opened, request
from benchmarks.processes import run_module
from benchmarks.rounds import Case, Plan, interleaved, ratio
from remit.model.decision import Decision
from remit.model.request import EvaluationRequest

ROW = b"x" * 900
"""About as long as the entry of a decision."""


def measure(report: Report, folder: Path, quick: bool) -> None:
    """One store on the disk of this checkout."""
    bundles.write_many(folder / "bundle", 100)
    home = folder / "store"
    progress("durable: one caller, beside a bare SQLite commit")
    with opened(home) as embedded:
        furnish(embedded, folder / "bundle")
        [session] = open_sessions(embedded.runtime, 1)
        call = request(session, bundles.WIDE, bundles.wide_arguments())
        call_once(embedded, call)

        def decide(asked: EvaluationRequest) -> Decision:
            return expect_permit(embedded.evaluate(asked).result())

        cases = {"bare": bare(folder), "remit": Case(decide, lambda calls: [call] * calls)}
        times = interleaved(cases, Plan(rounds=3 if quick else 15, calls=40))
    report.judge(figures.ALONE, ratio(times, "remit", "bare"))
    report.tell("bare SQLite commit of one 900-byte row, WAL, synchronous=FULL", median(times["bare"]), "µs")
    report.tell("durable decision, one caller", median(times["remit"]), "µs")
    _many_callers(report, home, quick)


def bare(folder: Path) -> Case:
    """A commit of one row, as durable as those of the store, in the same folder."""
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, row BLOB)")

    def commit(row: bytes) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO rows (row) VALUES (?)", (row,))
        connection.execute("COMMIT")

    return Case(commit, lambda calls: [ROW] * calls)


def _many_callers(report: Report, home: Path, quick: bool) -> None:
    progress("durable: 64 async callers in sessions of their own, one core")
    rounds, seconds = (1, 0.7) if quick else (5, 2.0)
    found = json.loads(run_module("benchmarks.callers", str(home), str(rounds), str(seconds)))
    report.judge(figures.DECISIONS, _median(found["decisions"], "per_second"))
    report.judge(figures.PAIRS, _median(found["pairs"], "per_second"))
    report.tell("durable decisions of new values, 64 async callers, one core", _median(found["new"], "per_second"), "1/s")
    report.tell("CPU of one durable decision, 64 async callers", _median(found["decisions"], "cpu"), "µs")
    report.tell("CPU of one durable decision + outcome pair, 64 async callers", _median(found["pairs"], "cpu"), "µs")


def _median(rounds: Sequence[dict[str, Any]], field: str) -> float:
    return float(median(one[field] for one in rounds))
