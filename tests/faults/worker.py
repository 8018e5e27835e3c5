"""A process of its own on one store: `python -m tests.faults.worker HOME SESSION TOOL ARGUMENTS COUNT [report]`.

Prints one line for each decision: its effect, id, reason and approval. Begins when a line comes in.
"""

import asyncio
import json
import sys
from pathlib import Path

from remit.local.wiring import wall_clock
from remit.model.authorizer import OutcomeStatus
from remit.model.decision import Decision, Permit
from remit.model.identity import SessionId
from remit.runtime.sessions import resume
from tests.runtime.world import World, asked


def shown(decision: Decision) -> str:
    effect = "permit" if isinstance(decision, Permit) else "deny"
    return f"{effect} {decision.id} {decision.reason.value} {decision.approval or '-'}"


async def main(home: str, session_id: str, tool: str, arguments: str, count: str, *then: str) -> None:
    """Ask in eight asynchronous tasks at once."""
    world = World(Path(home), wall_clock, lock_seconds=20)
    session = resume(world.runtime, SessionId(session_id))
    print("ready", flush=True)
    sys.stdin.readline()

    async def some(number: int) -> None:
        for _ in range(number):
            decision = await world.embedded.evaluate(asked(session, tool, json.loads(arguments)))
            print(shown(decision))
            if then and isinstance(decision, Permit):
                await asyncio.to_thread(world.report, decision, session, OutcomeStatus.SUCCEEDED, "seen")

    await asyncio.gather(*[some(int(count) // 8) for _ in range(8)])
    world.close()
    print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
