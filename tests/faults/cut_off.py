"""A process of its own that acts as often as it is permitted: `python -m tests.faults.cut_off HOME STORE SESSION`.

Prints a line for each attempt: when it was asked and when it acted (monotonic seconds, the same clock in all processes of a machine), and
the reason. Begins when a line comes in.
"""

import sys
import time
from pathlib import Path

from remit.local.wiring import wall_clock
from remit.model.authorizer import OutcomeStatus
from remit.model.decision import Permit
from remit.model.errors import RemitError
from remit.model.identity import SessionId
from remit.runtime.sessions import resume
from tests.runtime.world import World, asked


def main(home: str, store: str, session_id: str) -> None:
    """Ask, look once more just before the act, act, report; again and again."""
    world = World(Path(home), wall_clock, 1.0, store)
    session = resume(world.runtime, SessionId(session_id))
    print("ready", flush=True)
    sys.stdin.readline()
    while True:
        begun = time.monotonic()
        decision = world.embedded.evaluate(asked(session, "look")).result()
        if isinstance(decision, Permit) and world.embedded.may_act(decision.id):
            print(f"acted {begun} {time.monotonic()} {decision.reason.value}", flush=True)
            try:
                world.report(decision, session, OutcomeStatus.SUCCEEDED, "seen")
            except RemitError as error:
                print(f"unreported {begun} {time.monotonic()} {error.kind.value}", flush=True)
        else:
            print(f"denied {begun} {time.monotonic()} {decision.reason.value}", flush=True)
        time.sleep(0.02)


if __name__ == "__main__":
    main(*sys.argv[1:])
