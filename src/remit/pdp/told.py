"""What calls told that facts may be taken from: what each was called with, how it ended, and what it returned."""

from collections.abc import Iterable
from typing import Any

import msgspec

from remit.model.decision import CallAbout
from remit.model.errors import RemitError
from remit.model.values import read_json, thaw

MAX_TEXT = 1 << 18
"""Longer outputs (characters) give no facts."""
MAX_CALL = 1 << 16
"""Of a call whose arguments take more bytes it is not known what it was about: it may be anything."""
MAX_KEPT = 4 << 20
"""So many characters of outputs are kept for the facts of one session; of what came before, nothing is known any more."""
MAX_CALLS = 1 << 12
"""So many calls are remembered for the facts of one session; after more of them there are no facts of outputs."""

PERFORMED, FAILED, UNKNOWN, NOT_PERFORMED = "succeeded", "failed", "unknown", "not-performed"
"""How a call ended. One that was not performed changed nothing and told nothing."""


class Nothing(Exception):
    """There is nothing to read: it was not seen, too large, or no JSON."""


class _Read(msgspec.Struct):
    """What was read of a text, once somebody asked."""

    call: Any = msgspec.UNSET
    output: Any = msgspec.UNSET


class Told(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One call that facts hang on.

    `call` are its arguments in canonical form, empty where they are not known. `asked` and `reported` are the times (µs) of the permit
    and of the outcome, `session` the one it was made in, `status` how it ended, `text` what came back (None: not seen, or too large);
    `trusted` says that nobody outside can have written its fields, as the tool, its server's hints and its memory were at the call.
    """

    tool: str
    call: str
    asked: int
    reported: int
    session: str
    status: str = PERFORMED
    text: str | None = None
    trusted: bool = True
    read: _Read = msgspec.field(default_factory=_Read)

    @property
    def arguments(self) -> dict[str, Any]:
        """What it was called with. Raises `Nothing`."""
        if not self.call:
            raise Nothing
        if self.read.call is msgspec.UNSET:
            self.read.call = thaw(self.call.encode()).values
        found: dict[str, Any] = self.read.call
        return found

    @property
    def output(self) -> Any:
        """What it returned, as JSON. Raises `Nothing` for a call that failed, what was not seen, what is not JSON, and what somebody
        outside may have written."""
        # INVARIANT (fail closed): what somebody outside may have written gives no fact, whatever the tool is else known for.
        if not self.trusted:
            raise Nothing
        if self.read.output is msgspec.UNSET:
            self.read.output = _parsed(self.text) if self.status == PERFORMED else None
        if self.read.output is None:
            raise Nothing
        return self.read.output


def _parsed(text: str | None) -> Any:
    """A list or an object; None for anything else: facts are taken from records."""
    # INVARIANT (fail closed): what is not JSON, or names something twice, tells nothing.
    if text is None:
        return None
    try:
        value = read_json(text)
    except RemitError:
        return None
    return value if isinstance(value, dict | list) else None


def told_of(about: CallAbout, text: str | None, reported: int, status: str, trusted: bool) -> Told:
    """What a call told: what it was about, what came back of it when, how it ended, and whether nobody outside can have written that."""
    kept = text if about.gives and text is not None and len(text) <= MAX_TEXT else None
    return Told(about.tool, about.call, about.asked, reported, about.session, status, kept, trusted)


def remember(known: tuple[Told, ...], more: Iterable[Told]) -> tuple[Told, ...]:
    """What was told, oldest first, and more of it. Where it is too much, the oldest outputs are forgotten, but not that there were any."""
    together = [*known, *more]
    left = MAX_KEPT
    for place in range(len(together) - 1, -1, -1):
        one = together[place]
        size = len(one.text or "") + len(one.call)
        left -= size
        if left < 0 and size:
            together[place] = Told(one.tool, "", one.asked, one.reported, one.session, one.status)
    return tuple(together[: MAX_CALLS + 1])
