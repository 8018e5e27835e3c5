"""What a process has answered under keys, and is answering."""

import asyncio
from http import HTTPStatus

from remit.model.clock import Clock
from remit.model.errors import conflict
from remit.server.problems import Problem
from remit.server.repeating.answers import Answer, Answering, Key, Sent
from remit.server.repeating.bounds import CHANGED, REPEATED, Bounds, Busy, Changed
from remit.server.repeating.shares import Shares


class Repeats:
    """What this process has answered, and is answering, by who asked and under which key."""

    def __init__(self, clock: Clock, bounds: Bounds | None = None) -> None:
        bounds = bounds or Bounds()
        self._clock = clock
        self._decisions: Shares[tuple[bytes, Answer]] = Shares(bounds.decisions, clock)
        self._changes: Shares[tuple[bytes, Answer]] = Shares(bounds.changes, clock)
        self._under_way: dict[Key, tuple[bytes, asyncio.Task[Answer]]] = {}
        self._busy, self._changed = Busy(bounds), Changed(clock, bounds)

    async def once(self, key: Key, message: Sent, decide: Answering, changes: bool = False) -> Answer:
        """The answer to a message, decided once under a key; see `Once`."""
        known = self.known(key, message.digest)
        if known is None:
            known = self._begun(key, message, decide, changes)
        return known if isinstance(known, Answer) else await asyncio.shield(known)

    def known(self, key: Key, digest: bytes) -> "Answer | asyncio.Task[Answer] | None":
        """The answer under a key, or what will be it; None if there is none, or none that holds. Raises `Problem` for another message's,
        `RemitError`: conflict for what was changed and whose answer is not kept, unavailable where the store does not say what holds."""
        asked = self._under_way.get(key)
        if asked is not None:
            _same(asked[0], digest)
            return asked[1]
        kept = self._decisions.find(*key) or self._changes.find(*key)
        if kept is not None:
            _same(kept[0], digest)
            if kept[1].holds is None or kept[1].holds():
                return kept[1]
            self._decisions.drop(*key)
            return None
        changed = self._changed.find(key)
        if changed is not None:
            _same(changed, digest)
            # INVARIANT (fail closed): an answer may be forgotten, but not that something was changed.
            raise conflict(
                "what was sent under this `Idempotency-Key` was done, and there was no room to keep its answer: look what came of it, "
                "and take a new key for anything else"
            )
        return None

    def _begun(self, key: Key, message: Sent, decide: Answering, changes: bool) -> "asyncio.Task[Answer]":
        self._busy.check(key.caller, message.size)
        until = self._clock() + (CHANGED if changes else REPEATED)
        if changes:
            self._changed.begin(key, message.digest, until)
        self._busy.enter(key.caller, message.size)
        # It goes on when whoever asked hangs up: the same question, asked again, must find its answer.
        asked = asyncio.ensure_future(self._decided(key, message, decide, changes, until))
        self._under_way[key] = message.digest, asked
        return asked

    async def _decided(self, key: Key, message: Sent, decide: Answering, changes: bool, until: int) -> Answer:
        try:
            answer = await decide()
        except Exception:  # no cancellation: what was cut short may have been done
            self._changed.drop(key)  # nothing was decided, so it may be asked again
            raise
        else:
            kept = self._changes if changes else self._decisions
            kept.keep(key.caller, key.digest, (message.digest, answer), answer.size, until)
            return answer
        finally:
            del self._under_way[key]
            self._busy.leave(key.caller, message.size)


def _same(known: bytes, digest: bytes) -> None:
    if known != digest:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "this `Idempotency-Key` was sent with another request: take a new one")
