"""Processes that are killed: `python -m tests.faults.killed HOME SESSION ACTS COUNT` forks COUNT workers, one after the other.

Every worker opens the store and makes guarded calls whose tool appends its number to the file ACTS and syncs it. A third of them kill
themselves (SIGKILL) between the commit of a permit and the act, a third between the act and its outcome, and a third are killed at
a random moment. Each fork has opened nothing before it begins.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

import remit
from remit.local import entering
from remit.local.wiring import wall_clock
from remit.model.identity import DecisionId
from tests.runtime.world import World

CALLS = 100


def kill_myself() -> None:
    """End here, as by `kill -9`."""
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def work(home: str, session: str, acts: str, number: int, calls: int, when: str) -> None:
    """Make `calls` calls, then one more that is cut off; or go on until somebody else ends it."""
    world = World(Path(home), wall_clock, lock_seconds=20)
    entering._opened[os.getpid(), home] = world.embedded
    os.environ["REMIT_HOME"] = home
    last = False

    @remit.guard
    def look(number: int, call: int) -> str:
        file = os.open(acts, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, b"%d.%d\n" % (number, call))
        os.fsync(file)
        os.close(file)
        if last and when == "after the act":
            kill_myself()
        return "done"

    def may_act(decision: DecisionId) -> bool:
        if last and when == "before the act":
            kill_myself()
        return real_may_act(decision)

    real_may_act = world.embedded.may_act
    world.embedded.may_act = may_act  # type: ignore[method-assign]
    with remit.task(session=session):
        for call in range(CALLS):
            last = call == calls
            look(number, call)
    raise AssertionError("nobody ended this worker")


def main(home: str, session: str, acts: str, count: str) -> None:
    """Fork, wait and kill; fails if a worker ended by itself."""
    chance = random.Random(4711)
    for number in range(int(count)):
        when = ("before the act", "after the act", "at random")[number % 3]
        child = os.fork()
        if child == 0:
            try:
                work(home, session, acts, number, chance.randrange(3), when)
            except BaseException as error:
                print(f"worker {number}: {error!r}", file=sys.stderr, flush=True)
            finally:
                os._exit(9)
        if when == "at random":
            time.sleep(chance.uniform(0.0, 0.08))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
            sys.exit(f"worker {number} ended by itself")
        chance.random()
    print("done")


if __name__ == "__main__":
    main(*sys.argv[1:])
