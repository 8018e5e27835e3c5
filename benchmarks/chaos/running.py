"""One run: a server of several workers, callers, somebody who kills, and the comparison with the log afterwards."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psycopg

from benchmarks.chaos.callers import Caller, Server, Shared
from benchmarks.chaos.checking import AMOUNT, AMOUNTS, CALLS, Recorded, faults
from benchmarks.chaos.killing import Killing
from benchmarks.chaos.told import Told
from benchmarks.figures import Report, progress
from benchmarks.furnishing import furnish, opened
from benchmarks.workplace import ROOT
from remit.decision_log.encoding import decode
from remit.local.trust import own_issuer
from remit.local.wiring import wall_clock
from remit.model.caller import Role

CALLERS, TASKS = 12, 4
LONGER = 60.0
"""So much longer (s) it may take until there are enough decisions."""
SETTLED = 60.0
"""So long (s) workers that live may take to settle what others left open."""
_OPEN = """
SELECT count(*) FROM permits p WHERE NOT EXISTS (
    SELECT 1 FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND ((l.classid::bigint << 32) | l.objid::bigint) = hashtextextended(p.writer, 0)
)
"""
_BUNDLE = {
    "bundle.yaml": "name: chaos\n",
    "policies/all.cedar": """
@id("any-tool") permit (principal, action == Action::"tool.call", resource);
@id("pay-asks") @requestable("one")
forbid (principal, action == Action::"tool.call", resource == Tool::"pay") unless { context.approval.granted };
""",
    "tools.yaml": """
- {name: spend, annotations: {effect: write, reach: workspace, sensitivity: public, output_trusted: true}}
- {name: pay, annotations: {effect: spend, reach: internal, sensitivity: public, output_trusted: true}}
""",
}
_ROLES = {"door": Role.ENFORCEMENT_POINT, "approver": Role.APPROVER, "administrator": Role.ADMINISTRATOR}


class Plan(msgspec.Struct, frozen=True):
    """How long to kill, or longer until `least` decisions were told; how many workers there are, and the least and most time (s) between
    kills; how many calls, or calls of `spend`, a task has."""

    seconds: float
    workers: int = 4
    between: tuple[float, float] = (1.0, 7.0)
    callers: int = CALLERS
    calls: int = 60
    least: int = 0
    seed: int = 1


def held(plan: Plan, folder: Path, url: str) -> tuple[Report, list[str]]:
    """What happened on the PostgreSQL store at `url`, which has nothing yet, and all in which the log is not as callers were told."""
    home = folder / "home"
    _write_bundle(folder / "bundle")
    with opened(home, url) as embedded:
        furnish(embedded, folder / "bundle")
    told, environment = Told(), _environment(home, url)
    with _serving(plan.workers, environment) as (server, port):
        begun = time.monotonic()
        killed = _loaded(plan, told, server, port, home)
        seconds = time.monotonic() - begun
        left = _left_open(url)
    verified = json.loads(_verified(environment))
    with opened(home, url) as embedded:
        recorded = Recorded(decode(index, line) for index, line in enumerate(embedded.store.log.lines()))
    found = [*faults(told, recorded), *(f"not as logged: {one}" for one in verified["state"])]
    if left:
        found.append(f"{left} permits of workers that died were not settled by those that live")
    if not verified["verified"] or verified["open"]:
        found.append(f"the log does not verify: {verified['open']} permits open, {verified['findings']}")
    return _report(told, recorded, killed, seconds, len(found)), found


def _loaded(plan: Plan, told: Told, process: "subprocess.Popen[str]", port: int, home: Path) -> int:
    """Work and kill as planned; how many workers were killed."""
    address = f"http://127.0.0.1:{port}"
    issuer = own_issuer(home, address, wall_clock)
    tokens = {name: issuer.operator_token(name, [role], address, 7200) for name, role in _ROLES.items()}
    server, over = Server(port, tokens, told), threading.Event()
    limits = (AMOUNTS, plan.calls * AMOUNT + 3), (CALLS, plan.calls)  # neither is used up by whole calls alone
    shared = [Shared(server, *limits[number % 2]) for number in range(TASKS)]
    callers = [Caller(server, shared[number % TASKS], plan.seed * 1000 + number, over) for number in range(plan.callers)]
    threads = [threading.Thread(target=one.work, name=f"caller-{number}") for number, one in enumerate(callers)]
    killing = Killing(process.pid, plan.seed, plan.between, over)
    broken: list[BaseException] = []
    threading.excepthook = lambda told: broken.append(told.exc_value or SystemExit())
    for thread in (*threads, killing):
        thread.start()
    told.latest = time.monotonic()
    until = time.monotonic() + plan.seconds
    while not broken and (time.monotonic() < until or (len(told.decisions) < plan.least and time.monotonic() < until + LONGER)):
        time.sleep(min(5.0, max(0.2, until - time.monotonic())))
        progress(f"chaos: {len(told.decisions)} decisions told, {killing.killed} workers killed")
    over.set()
    for thread in (*threads, killing):
        thread.join()
    server.close()
    threading.excepthook = threading.__excepthook__
    if broken:
        raise broken[0]
    return killing.killed


def _report(told: Told, recorded: Recorded, killed: int, seconds: float, found: int) -> Report:
    report, waits = Report(), sorted(told.waits)
    permits = [made for made in recorded.decisions if made.effect == "permit"]
    report.tell("faults: decisions or reports lost, double or unrecorded; budgets, permits or approvals used twice", found, "")
    report.tell("load, workers being killed", seconds, "s")
    report.tell("workers killed", killed, "")
    report.tell("requests answered", len(waits), "")
    report.tell("requests without an answer", told.statuses[0], "")
    report.tell("requests answered with 5xx", sum(count for status, count in told.statuses.items() if status >= 500), "")
    report.tell("decisions told", len(told.decisions), "")
    report.tell("decisions in the log", len(recorded.decisions), "")
    report.tell("of them permits", len(permits), "")
    report.tell("permits said to stand", sum(told.used.values()), "")
    report.tell("reports said to be recorded", len(told.reported), "")
    report.tell("reports refused, the permit being settled", len(told.late), "")
    report.tell("approvals given", len(told.approved), "")
    report.tell("budgets used up", len(told.exhausted), "")
    report.tell("requests sent more than once under a key", len(told.repeated), "")
    report.tell("of them decided anew, the worker having died", sum(len(set(one)) > 1 for one in told.repeated), "")
    report.tell("longest time in which nobody was answered", told.silence, "s")
    for name, part in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)):
        report.tell(f"an answer, {name}", 1000 * waits[int(part * (len(waits) - 1))] if waits else 0.0, "ms")
    return report


def _left_open(url: str) -> int:
    """How many permits of dead workers are still open although there was time to settle them, the others serving on."""
    until = time.monotonic() + SETTLED
    with psycopg.connect(url, autocommit=True) as connection:
        while (row := connection.execute(_OPEN).fetchone()) is not None and row[0] and time.monotonic() < until:
            time.sleep(0.2)
    return int(row[0]) if row is not None else 0


@contextmanager
def _serving(workers: int, environment: dict[str, str]) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """`remit serve --workers`, ended by a signal; it must end well."""
    command = [sys.executable, "-P", "-m", "remit.cli.main", "serve", "--port", "0", "--workers", str(workers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as server:
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            found = re.search(r"listening on http://127\.0\.0\.1:(\d+)", line)
            assert found is not None, f"the server has not started: {line}"
            yield server, int(found[1])
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(120)
    assert server.returncode == 0, f"the server ended with {server.returncode}"


def _verified(environment: dict[str, str]) -> str:
    """What the product's own verifier says of the store and its log."""
    command = [sys.executable, "-P", "-m", "remit.cli.main", "log", "verify", "--json"]
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False).stdout


def _environment(home: Path, url: str) -> dict[str, str]:
    known = {name: value for name, value in os.environ.items() if not name.startswith("REMIT_")}
    return {**known, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")]), "REMIT_HOME": str(home), "REMIT_STORE": url}


def _write_bundle(folder: Path) -> None:
    for name, text in _BUNDLE.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
