"""The programs that `stores` runs, one process each: callers of a store on a server, or the bare transactions beside them.

Each prints `ready`, waits for a line, and prints what it did as JSON. A kill is looked for in the times of the acts.
"""

import asyncio
import json
import sys
import threading
import time
from pathlib import Path

import psycopg

from benchmarks import bundles
from benchmarks.furnishing import OPERATOR, expect_permit, opened, request
from remit.model.authorizer import Outcome, OutcomeStatus
from remit.model.decision import Permit
from remit.runtime import sessions, tasks
from remit.runtime.tasks import Opening

ROW = b"x" * 900
"""About as long as the entry of a decision."""


def _wait() -> None:
    print("ready", flush=True)
    sys.stdin.readline()


def decide(home: str, url: str, callers: int, seconds: float) -> None:
    """So many async callers, each in a task and session of its own."""
    with opened(Path(home), url) as embedded:
        runtime = embedded.runtime
        opened_tasks = [tasks.open_task(runtime, Opening("bot", "be measured"), OPERATOR).result() for _ in range(callers)]
        mine = [sessions.open_session(runtime, task.id).result() for task in opened_tasks]

        async def caller(number: int, until: float) -> int:
            done = 0
            while time.perf_counter() < until:
                expect_permit(await embedded.evaluate(request(mine[number], bundles.WIDE, bundles.wide_arguments())))
                done += 1
            return done

        async def load(length: float) -> float:
            begun = time.perf_counter()
            done = await asyncio.gather(*[caller(number, begun + length) for number in range(callers)])
            return sum(done) / (time.perf_counter() - begun)

        asyncio.run(load(0.5))
        _wait()
        print(json.dumps(asyncio.run(load(seconds))), flush=True)


def bare(name: str, url: str, callers: int, seconds: float) -> None:
    """So many threads, each with a connection, a row to update and a chain to insert into."""
    done = [0] * callers
    ready, go = threading.Barrier(callers + 1), threading.Event()
    until = [0.0]

    def caller(number: int) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            key = f"{name}-{number}-{time.monotonic_ns()}"
            connection.execute("INSERT INTO bare_state VALUES (%s, 0, %b)", (key, ROW))
            ready.wait()
            go.wait()
            while time.perf_counter() < until[0]:
                with connection.transaction():
                    connection.execute("INSERT INTO bare_entries VALUES (%s, %s, %b)", (key, done[number], ROW))
                    connection.execute("UPDATE bare_state SET version = version + 1, state = %b WHERE id = %s", (ROW, key))
                done[number] += 1

    threads = [threading.Thread(target=caller, args=(number,)) for number in range(callers)]
    for thread in threads:
        thread.start()
    ready.wait()
    _wait()
    until[0] = time.perf_counter() + seconds
    go.set()
    for thread in threads:
        thread.join()
    print(json.dumps(sum(done) / seconds), flush=True)


def act(home: str, url: str) -> None:
    """Ask and act without a pause until a line comes; when each act began, on the clock that all processes of a machine share."""
    acts: list[float] = []
    over = threading.Event()
    with opened(Path(home), url) as embedded:
        task = tasks.open_task(embedded.runtime, Opening("bot", "be measured"), OPERATOR).result()
        session = sessions.open_session(embedded.runtime, task.id).result()
        _wait()
        threading.Thread(target=lambda: (sys.stdin.readline(), over.set()), daemon=True).start()
        while not over.is_set():
            decision = embedded.evaluate(request(session, bundles.WIDE, bundles.wide_arguments())).result()
            if isinstance(decision, Permit):
                if embedded.may_act(decision.id):
                    acts.append(time.monotonic())
                    embedded.report(Outcome(decision.id, session.id, OutcomeStatus.SUCCEEDED, "ok")).result()
            else:
                time.sleep(0.002)
    print(json.dumps(acts), flush=True)


if __name__ == "__main__":
    program, where, address, *rest = sys.argv[1:]
    match program:
        case "decide":
            decide(where, address, int(rest[0]), float(rest[1]))
        case "bare":
            bare(where, address, int(rest[0]), float(rest[1]))
        case _:
            act(where, address)
