"""All that watches one server process, begun and ended together."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from remit.local.wiring import Embedded
from remit.server.observing.figures import Figures
from remit.server.observing.lines import Lines
from remit.server.observing.reporting import reporting
from remit.server.observing.standing import present
from remit.server.observing.tracing import Tracing, tracing
from remit.server.observing.written import Format


class Observed(NamedTuple):
    """What counts, what says, and what traces what happens."""

    figures: Figures
    lines: Lines | None = None
    tracing: Tracing | None = None

    @property
    def told(self) -> bool:
        """Whether anybody is told of single requests."""
        return self.lines is not None or self.tracing is not None


@contextmanager
def observed(embedded: Embedded, format: Format) -> Iterator[Observed]:
    """Watch a process that serves this store; its lines are of this format.

    Raises `RemitError` (unavailable) where its figures have no place.
    """
    figures = Figures()
    figures.follow(embedded)
    present()
    try:
        with reporting(format, embedded.runtime.clock, figures.dropped) as lines:
            found = tracing(embedded, figures)
            try:
                yield Observed(figures, lines, found)
            finally:
                if found is not None:
                    embedded.runtime.observers[:] = [one for one in embedded.runtime.observers if one is not found]
                    found.close()
    finally:
        figures.leave(embedded)
