"""What happens to access requests, found by comparing looks at the list of a server."""

from collections.abc import Iterator

import msgspec

from remit.cli.inboxes import Afar
from remit.cli.seen import Seen, seen_in
from remit.model.authorizer import ApprovalState

LOOKED = 500
"""No look goes behind so many of the newest."""
_OPEN = frozenset({ApprovalState.PENDING.value, ApprovalState.APPROVED.value})
"""What is in one of these states may yet be in another."""
Look = dict[str, tuple[Seen, msgspec.Raw]]


class Changes:
    """What was seen at the last look. Ids are in the order of time: what is not behind `_floor` is older than that look went."""

    def __init__(self) -> None:
        self._known: dict[str, Seen] | None = None
        self._floor = ""
        self.missed = False

    def since(self, at: Afar) -> Iterator[tuple[str, msgspec.Raw]]:
        """Each event since the last look, with the request as it is now; `waiting` at first. Where it raises `RemitError` nothing was seen.

        `missed` is whether one that was watched is too old to be seen again.
        """
        first = self._known is None
        known = self._known or {}
        if first:
            waiting = _read(at.listed(LOOKED, False))
            found, floor = _window(at, min(waiting, default=None))
            found = {**waiting, **found}
            told = [("waiting", text) for _, (seen, text) in sorted(found.items()) if seen.waits]
        else:
            live = [id for id, seen in known.items() if seen.state in _OPEN]
            found, floor = _window(at, min([*live, max(known)]) if known else "")
            told = [
                (event, text)
                for id, (seen, text) in sorted(found.items())
                if id in known or id > self._floor
                for event in _events(known.get(id), seen)
            ]
            self.missed = any(id not in found for id in live)
        self._known, self._floor = {id: seen for id, (seen, _) in found.items()}, floor
        yield from told


def _read(items: list[msgspec.Raw]) -> Look:
    return {seen.id: (seen, text) for text in items for seen in (seen_in(text),)}


def _window(at: Afar, oldest: str | None) -> tuple[Look, str]:
    """The newest, down to this one (all there are if it is empty, a page if there is none), and before which there may be others."""
    found: Look = {}
    for page, following in at.pages(everything=True):
        found |= _read(page)
        if not following:
            return found, ""
        if len(found) >= LOOKED or oldest is None or (oldest and min(found, default="") <= oldest):
            break
    return found, min(found, default="")


def _events(before: Seen | None, seen: Seen) -> Iterator[str]:
    """What has happened in between, as far as it can be told from how it was and how it is."""
    if before is None:
        yield "opened"
    if seen.submitted is not None and (before is None or before.submitted is None):
        yield "submitted"
    if seen.waits and len(seen.approved_by) > (len(before.approved_by) if before is not None else 0):
        yield "given"
    if seen.escalated and (before is None or not before.escalated):
        yield "escalated"
    was = before.state if before is not None else ApprovalState.PENDING.value
    if seen.state != was:
        yield _became(was, seen.state)


def _became(was: str, state: str) -> str:
    """How it is told, as the log of a store would have it; what no answer and no lapse of time brought about has changed."""
    if was != ApprovalState.PENDING or state not in set(ApprovalState):
        return "changed"
    return "expired" if state == ApprovalState.EXPIRED else "answered"
