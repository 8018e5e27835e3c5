"""The program that `durable` runs on one core: 64 async callers on an existing store, deciding, or deciding and reporting."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Coroutine
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks import bundles
from benchmarks.furnishing import call_once, expect_permit, open_sessions, opened, request
from remit.local.wiring import Embedded
from remit.model.authorizer import Outcome, OutcomeStatus
from remit.model.task import Session

CALLERS = 64
_Act = Callable[[Session], Coroutine[Any, Any, None]]


def main(home: Path, rounds: int, seconds: float) -> None:
    """Print what each round of each load reached, as JSON."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with opened(home) as embedded:
        sessions = open_sessions(embedded.runtime, CALLERS)
        for session in sessions:
            call_once(embedded, request(session, bundles.WIDE, bundles.wide_arguments()))
        loads = _loads(embedded)
        found: dict[str, list[dict[str, float]]] = {name: [] for name in loads}
        for number in range(-1, rounds):
            for name in loads if number % 2 == 0 else reversed(loads):
                reached = asyncio.run(_load(sessions, loads[name], seconds if number >= 0 else 0.3))
                if number >= 0:
                    found[name].append(reached)
    print(json.dumps(found))


def _loads(embedded: Embedded) -> dict[str, _Act]:
    fresh = count()

    async def decide(session: Session) -> None:
        expect_permit(await embedded.evaluate(request(session, bundles.WIDE, bundles.wide_arguments())))

    async def decide_new(session: Session) -> None:
        expect_permit(await embedded.evaluate(request(session, bundles.WIDE, bundles.wide_arguments(next(fresh)))))

    async def pair(session: Session) -> None:
        permit = expect_permit(await embedded.evaluate(request(session, bundles.WIDE, bundles.wide_arguments())))
        assert embedded.may_act(permit.id)
        await embedded.report(Outcome(permit.id, session.id, OutcomeStatus.SUCCEEDED, "ok"))

    return {"decisions": decide, "pairs": pair, "new": decide_new}


async def _load(sessions: list[Session], act: _Act, seconds: float) -> dict[str, float]:
    """Every caller acts again as soon as it is answered, until time is up."""
    done = 0
    begun, cpu = time.perf_counter(), time.process_time()

    async def caller(session: Session) -> None:
        nonlocal done
        while time.perf_counter() < begun + seconds:
            await act(session)
            done += 1

    await asyncio.gather(*map(caller, sessions))
    spent, worked = time.perf_counter() - begun, time.process_time() - cpu
    return {"per_second": done / spent, "cpu": worked / done * 1e6}


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
