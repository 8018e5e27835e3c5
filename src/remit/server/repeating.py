"""A request that comes again under its `Idempotency-Key` is answered as it was, and not decided twice."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import msgspec

from remit.server.problems import Problem

MAX_KEY = 128
MAX_KEPT = 10_000
"""So many of the latest answers are kept."""
_digested = msgspec.json.Encoder(order="deterministic").encode
_Answer = dict[str, Any]


class Repeats:
    """The latest answers of this process, by who asked and under which key."""

    def __init__(self, kept: int = MAX_KEPT) -> None:
        self._kept = kept
        self._known: dict[tuple[str, str], tuple[bytes, asyncio.Task[_Answer]]] = {}

    async def once(self, key: tuple[str, str], message: _Answer, decide: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """The answer to a message, decided once under a key. Raises `Problem` for a key that was another message's."""
        if not key[1]:
            return await decide()
        if len(key[1]) > MAX_KEY:
            raise Problem(HTTPStatus.BAD_REQUEST, f"an `Idempotency-Key` has at most {MAX_KEY} characters")
        digest = hashlib.sha256(_digested(message)).digest()
        known = self._known.get(key)
        if known is None:
            # It goes on when whoever asked hangs up: the same question, asked again, must find its answer.
            known = self._known[key] = digest, asyncio.ensure_future(_awaited(decide))
            self._forget()
        elif known[0] != digest:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "this `Idempotency-Key` was sent with another request: take a new one")
        try:
            return await asyncio.shield(known[1])
        except Exception:
            self._known.pop(key, None)  # nothing was decided, so it may be asked again
            raise

    def _forget(self) -> None:
        if len(self._known) > self._kept:
            for key in [key for key, (_, asked) in self._known.items() if asked.done()][: self._kept // 10 + 1]:
                del self._known[key]


async def _awaited(decide: Callable[[], Awaitable[_Answer]]) -> _Answer:
    return await decide()
