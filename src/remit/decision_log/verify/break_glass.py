"""What was permitted against policy: only what two people had opened, while it was open, for whom and on what it was opened."""

import re
from dataclasses import dataclass
from typing import Any

from .entries import Entry
from .report import Findings, shown

MINUTE, TOLERANCE = 60_000_000, 1_000_000
MOST_MINUTES = 60
NEVER = ("session.declassify", "agent.delegate")
_FIELDS: dict[str, dict[str, type]] = {
    "break-glass.asked": {
        "at": int,
        "agent": str,
        "tools": list,
        "resources": list,
        "minutes": int,
        "confirm_by": int,
        "operator": str,
        "verified_by": str,
    },
    "break-glass.started": {"at": int, "until": int, "operator": str, "verified_by": str},
    "break-glass.used": {"decision": str},
    "break-glass.ended": {"at": int, "operator": str},
    "break-glass.reviewed": {"at": int, "operator": str, "verified_by": str},
}


@dataclass
class Glass:
    """One break-glass by now: as it was asked for, who confirmed it and until when, whether it was ended, and reviewed."""

    asked: Entry
    confirmed: Entry | None = None
    ended: bool = False
    reviewed: bool = False


class BreakGlasses:
    """Follows all of them."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._known: dict[str, Glass] = {}
        self._permits: dict[str, str] = {}
        self._owed: dict[str, tuple[int, str]] = {}
        """Of each writer: the decision under one, and its line, that the writer's next entry must say is a use."""

    def follow(self, line: int, kind: str, entry: Entry) -> None:
        """Check one entry, if it is about break-glass, or stands where one about it must."""
        self._next_of(str(entry.get("writer")), kind, entry)
        if kind == "decision":
            if entry.get("break_glass") or entry.get("reason") == "break-glass":
                self._decision(line, entry)
            return
        fields = _FIELDS.get(kind)
        if fields is None:
            return
        name = entry.get("id")
        if type(name) is not str or any(type(entry.get(field)) is not kind for field, kind in fields.items()):
            self._wrong(line, f"an entry `{kind}` lacks what it must say")
            return
        glass = self._known.get(name)
        if kind == "break-glass.asked":
            self._asked(line, name, glass, entry)
        elif glass is None:
            self._wrong(line, f"`{shown(name)}` was not asked for above")
        elif kind == "break-glass.started":
            self._started(line, glass, entry)
        elif kind == "break-glass.used":
            self._used(line, name, entry)
        elif kind == "break-glass.ended":
            if glass.ended or glass.reviewed:
                self._wrong(line, f"`{shown(name)}` was over")
            glass.ended = True
        else:
            self._reviewed(line, glass, entry)

    def _wrong(self, line: int, message: str) -> None:
        self._findings.add(line, "break-glass", message)

    def _asked(self, line: int, name: str, known: Glass | None, entry: Entry) -> None:
        if known is not None:
            self._wrong(line, f"`{shown(name)}` was asked for above")
        elif not 1 <= entry["minutes"] <= MOST_MINUTES:
            self._wrong(line, f"`{shown(name)}` is asked for {shown(entry['minutes'])} minutes, {MOST_MINUTES} are the most")
        self._known.setdefault(name, Glass(entry))

    def _started(self, line: int, glass: Glass, entry: Entry) -> None:
        asked, name = glass.asked, shown(entry["id"])
        if glass.confirmed is not None or glass.ended:
            self._wrong(line, f"`{name}` was confirmed or ended before: it is good once")
            return
        glass.confirmed = entry
        if not _another(entry, asked):
            self._wrong(line, f"`{name}` was confirmed by who asked for it, or by somebody whom nobody can tell from them")
        if not asked["at"] - TOLERANCE <= entry["at"] < asked["confirm_by"]:
            self._wrong(line, f"`{name}` was confirmed too late, or before it was asked for")
        if not 0 < entry["until"] - entry["at"] <= min(asked["minutes"], MOST_MINUTES) * MINUTE:
            self._wrong(line, f"`{name}` is open for longer than was asked for")

    def _used(self, line: int, name: str, entry: Entry) -> None:
        if self._permits.pop(entry["decision"], None) != name:
            self._wrong(line, f"`{shown(name)}` is said to be used by a decision that was not made under it")

    def _reviewed(self, line: int, glass: Glass, entry: Entry) -> None:
        name = shown(entry["id"])
        if glass.confirmed is None or glass.reviewed:
            self._wrong(line, f"`{name}` was never open, or was reviewed before")
            return
        glass.reviewed = True
        if not glass.ended and entry["at"] < glass.confirmed["until"]:
            self._wrong(line, f"`{name}` was reviewed before it was over")
        if not _another(entry, glass.asked) or not _another(entry, glass.confirmed):
            self._wrong(line, f"`{name}` was reviewed by one of the two who opened it")

    def _decision(self, line: int, entry: Entry) -> None:
        name, id = entry.get("break_glass"), entry.get("id")
        glass = self._known.get(name) if type(name) is str else None
        problem = _problem(glass, entry)
        if problem:
            self._wrong(line, f"decision `{shown(id)}` rests on break-glass `{shown(name)}`, {problem}")
        if type(id) is str and type(name) is str:
            self._permits[id] = name
            self._owed[str(entry.get("writer"))] = (line, id)

    def _next_of(self, writer: str, kind: str, entry: Entry) -> None:
        line, decision = self._owed.pop(writer, (0, ""))
        if decision and (kind != "break-glass.used" or entry.get("decision") != decision):
            self._wrong(line, f"decision `{shown(decision)}` rests on break-glass, and no `break-glass.used` behind it says so")


def _problem(glass: Glass | None, entry: Entry) -> str:
    """Why a decision may not rest on it; empty if it may."""
    if glass is None or glass.confirmed is None:
        return "which two people have not opened above"
    if entry.get("effect") != "permit" or entry.get("reason") != "break-glass" or entry.get("approval") is not None:
        return "but is no permit by it"
    if glass.ended or glass.reviewed:
        return "which was over"
    at = entry.get("at")
    if type(at) is not int or not glass.confirmed["at"] - TOLERANCE <= at < glass.confirmed["until"]:
        return "which was not open then"
    return "" if _covers(glass.asked, entry) else "which does not cover it"


def _covers(asked: Entry, entry: Entry) -> bool:
    action, resource = entry.get("action"), entry.get("resource")
    if entry.get("subject") != f"Agent::{asked['agent']}" or asked.get("task") not in (None, entry.get("task")):
        return False
    if action == "tool.call":
        return resource in asked["tools"]
    return type(resource) is str and action not in NEVER and any(_fits(pattern, resource) for pattern in asked["resources"])


def _fits(pattern: Any, resource: str) -> bool:
    """Whether a pattern has a resource: `*` is any text; what ends with `/` is a folder, and all in it."""
    if type(pattern) is not str:
        return False
    if pattern.endswith("/"):
        return resource.startswith(pattern) or resource == pattern[:-1]
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), resource, re.DOTALL) is not None


def _another(one: Entry, other: Entry) -> bool:
    """Whether two entries were surely made by two people: other names, vouched for in the same way."""
    return one["operator"].casefold() != other["operator"].casefold() and bool(one["verified_by"] == other["verified_by"] != "")
