"""All runs of one suite through the gate of an embedded store with its bundle."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from remit.decision_log.entry import BundlePublished
from remit.inventory.agents import registered
from remit.local.config import Settings
from remit.local.evaluation.corpus import Recorded
from remit.local.evaluation.playing import AGENT, USER, Answer, Play
from remit.local.wiring import Embedded, wall_clock
from remit.model.clock import Clock
from remit.model.task import Scope
from remit.pap.bundle import to_document
from remit.pap.contents import Bundle
from remit.pep import drive
from remit.runtime.administration import activate_bundle, change_agent

IN_FLIGHT = 32
"""So many runs are played at once: their commits share an fsync."""
ALONE = 100
"""At most so many runs of a suite, evenly spread, are played one at a time: the time of a decision is measured on those."""


class Played(msgspec.Struct, frozen=True):
    """The answers to the calls of a run, in order; and whether it was played alone, so that its times are one caller's."""

    answers: tuple[Answer, ...]
    alone: bool


class Replay:
    """A store with one suite's bundle published, to play runs on."""

    def __init__(self, home: Path, bundle: Bundle, clock: Clock = wall_clock) -> None:
        self._embedded = Embedded(home, Settings(), clock)
        runtime = self._embedded.runtime
        published = BundlePublished(bundle.digest, bundle.name, bundle.contents.manifest.mode.value, "", USER.id, False)
        activate_bundle(runtime, published, to_document(bundle)).result()
        change_agent(runtime, AGENT, lambda known: registered(known, AGENT, "owner", "a recorded run", ()), USER).result()

    def play(self, runs: Sequence[Recorded], scopes: Sequence[Scope], done: Callable[[], None]) -> list[Played]:
        """Put every call of every run to the gate; a run's task has the scope at its place.

        Calls `done` after each run. Raises `RemitError` (unavailable) if the store does not do its work.
        """
        plays = [Play(self._embedded, run, scope) for run, scope in zip(runs, scopes, strict=True)]
        alone = range(0, len(plays), max(1, -(-len(plays) // ALONE)))
        for index in alone:
            drive.run(plays[index].steps(), plays[index].act)
            done()
        asyncio.run(_together([play for index, play in enumerate(plays) if index not in alone], done))
        return [Played(tuple(play.answers), index in alone) for index, play in enumerate(plays)]

    def close(self) -> None:
        """Close the store."""
        self._embedded.close()


async def _together(plays: Sequence[Play], done: Callable[[], None]) -> None:
    waiting = iter(plays)

    async def work() -> None:
        for play in waiting:
            await drive.run_async(play.steps(), play.act_later)
            done()

    await asyncio.gather(*[work() for _ in range(IN_FLIGHT)])
