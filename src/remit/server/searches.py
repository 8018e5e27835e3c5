"""Searches: each decides about everything that is known, so they have threads of their own, and nobody has all of these."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from remit.server.crowds import Crowd
from remit.server.known import Known

THREADS = 2
OF_ONE, OF_ALL = 8, 64
"""So many searches of one caller, and of all, are under way or in line at a time in one process."""
_Found = TypeVar("_Found")


class Searches:
    """Who searches here."""

    def __init__(self, of_one: int = OF_ONE, of_all: int = OF_ALL) -> None:
        self._crowd = Crowd(of_one, of_all, "too many searches are under way already: come again when some are answered")
        self._threads = ThreadPoolExecutor(THREADS, "remit-search")

    async def done(self, caller: Known, search: Callable[[], _Found]) -> _Found:
        """What a search finds. Raises `Problem` (429) where too many are under way, and whatever it raises."""
        with self._crowd.one(caller):
            return await asyncio.get_running_loop().run_in_executor(self._threads, search)
