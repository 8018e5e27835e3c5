"""Workers of a server, killed at random."""

import random
import threading
from contextlib import suppress

import psutil


class Killing(threading.Thread):
    """Kills a worker, or two at once, after a time between `least` and `most` seconds, again and again until `over`."""

    def __init__(self, watching: int, seed: int, between: tuple[float, float], over: threading.Event) -> None:
        super().__init__(name="killing", daemon=True)
        self._watching, self._random, self._between, self._over = psutil.Process(watching), random.Random(seed), between, over
        self.killed = 0

    def run(self) -> None:
        """Kill until it is over."""
        while not self._over.wait(self._random.uniform(*self._between)):
            workers = self._watching.children()
            for worker in self._random.sample(workers, min(len(workers), self._random.choice((1, 1, 1, 2)))):
                with suppress(psutil.NoSuchProcess):
                    worker.kill()
                    self.killed += 1
