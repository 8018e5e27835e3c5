"""A process that decides one call for each line it is sent: `python -m tests.faults.asker HOME SESSION [LIMIT]`.

Prints `permit ID` or `deny REASON MESSAGE`. `LIMIT` is the largest file it may write, in bytes (RLIMIT_FSIZE).
"""

import resource
import sys
from pathlib import Path

from remit.local.wiring import wall_clock
from remit.model.decision import Permit
from remit.model.identity import SessionId
from remit.runtime.sessions import resume
from tests.runtime.world import World, asked


def main(home: str, session_id: str, limit: str = "") -> None:
    """Ask until the input ends."""
    world = World(Path(home), wall_clock, lock_seconds=1)
    session = resume(world.runtime, SessionId(session_id))
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
    print("ready", flush=True)
    for command in sys.stdin:
        if command.startswith("unlimit"):
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            continue
        decision = world.embedded.evaluate(asked(session, "look", {"text": "x" * 20_000})).result()
        shown = f"permit {decision.id}" if isinstance(decision, Permit) else f"deny {decision.reason.value} {decision.message}"
        print(shown, flush=True)
    world.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
