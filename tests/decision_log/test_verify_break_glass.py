"""Break-glass, as a stranger verifies it: whatever rests on it without two people, in time and in scope, is found."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from remit.decision_log.verify import verify_export
from tests.decision_log.building import NOON, Log, export_bytes, private_key, vkey, write

MINUTE = 60_000_000
ASKED = {
    "id": "g",
    "at": NOON,
    "agent": "bot",
    "task": None,
    "tools": ["never"],
    "resources": ["/secret/", "db-*"],
    "minutes": 10,
    "confirm_by": NOON + 10 * MINUTE,
    "operator": "ana",
    "verified_by": "idp",
}
STARTED = {"id": "g", "at": NOON + 1, "until": NOON + 1 + 10 * MINUTE, "operator": "carl", "verified_by": "idp"}
DECISION = {
    "id": "d",
    "at": NOON + 2,
    "effect": "permit",
    "reason": "break-glass",
    "subject": "Agent::bot",
    "action": "tool.call",
    "resource": "never",
    "task": "t",
    "approval": None,
    "break_glass": "g",
}
ENDED = {"id": "g", "at": NOON + 3, "operator": "carl"}
REVIEWED = {"id": "g", "at": NOON + 4, "operator": "dora", "verified_by": "idp"}
STORY: tuple[tuple[str, dict[str, Any]], ...] = (
    ("break-glass.asked", ASKED),
    ("break-glass.started", STARTED),
    ("decision", DECISION),
    ("break-glass.used", {"id": "g", "decision": "d"}),
    ("break-glass.ended", ENDED),
    ("break-glass.reviewed", REVIEWED),
)


def found(folder: Path, *story: tuple[str, dict[str, Any]]) -> list[str]:
    """What a verifier finds in a log that tells this; of an approval that is none, more than we ask for."""
    log = Log()
    for kind, fields in story:
        log.add(kind, **fields)
    report = verify_export(write(folder / "log", export_bytes(log.lines)), vkey(private_key()))
    assert {one.problem for one in report.findings} <= {"break-glass", "entry"}, report.to_text()
    assert report.verified is not bool(report.findings)
    return [one.message for one in report.findings if one.problem == "break-glass"]


def with_(kind: str, **fields: Any) -> list[tuple[str, dict[str, Any]]]:
    """The story with some fields of one entry said otherwise."""
    return [(one, {**said, **fields} if one == kind else said) for one, said in STORY]


def test_a_true_story_verifies(tmp_path: Path) -> None:
    assert found(tmp_path, *STORY) == []
    by_itself = [one for one in with_("break-glass.reviewed", at=STARTED["until"]) if one[0] != "break-glass.ended"]
    assert found(tmp_path, *by_itself) == []
    withdrawn = {"id": "g", "at": NOON + 1, "operator": "ana"}
    assert found(tmp_path, ("break-glass.asked", ASKED), ("break-glass.ended", withdrawn)) == []


@pytest.mark.parametrize(
    ("kind", "fields", "words"),
    [
        ("break-glass.asked", {"minutes": 61}, "60 are the most"),
        ("break-glass.asked", {"minutes": 0}, "are the most"),
        ("break-glass.asked", {"tools": "never"}, "lacks what it must say"),
        ("break-glass.started", {"operator": "ana"}, "by who asked for it"),
        ("break-glass.started", {"operator": "ANA"}, "by who asked for it"),
        ("break-glass.started", {"verified_by": "os"}, "nobody can tell from them"),
        ("break-glass.started", {"at": NOON + 10 * MINUTE, "until": NOON + 11 * MINUTE}, "too late"),
        ("break-glass.started", {"at": NOON - 2_000_000, "until": NOON + MINUTE}, "before it was asked"),
        ("break-glass.started", {"until": NOON + 2 + 10 * MINUTE}, "longer than was asked for"),
        ("break-glass.started", {"until": NOON + 1}, "longer than was asked for"),
        ("break-glass.started", {"until": "never"}, "lacks what it must say"),
        ("decision", {"effect": "deny"}, "is no permit by it"),
        ("decision", {"reason": "permitted"}, "is no permit by it"),
        ("decision", {"approval": 5}, "is no permit by it"),
        ("decision", {"break_glass": "h"}, "two people have not opened"),
        ("decision", {"break_glass": ""}, "two people have not opened"),
        ("decision", {"break_glass": ["g"]}, "two people have not opened"),
        ("decision", {"at": STARTED["until"]}, "was not open then"),
        ("decision", {"at": NOON - 2_000_000}, "was not open then"),
        ("decision", {"at": None}, "was not open then"),
        ("decision", {"subject": "Agent::other"}, "does not cover it"),
        ("decision", {"subject": "User::bot"}, "does not cover it"),
        ("decision", {"resource": "nevermore"}, "does not cover it"),
        ("decision", {"action": "file.read", "resource": "never"}, "does not cover it"),
        ("decision", {"action": "file.read", "resource": "/secrets/x"}, "does not cover it"),
        ("decision", {"action": "file.read", "resource": 5}, "does not cover it"),
        ("decision", {"action": "session.declassify", "resource": "db-1"}, "does not cover it"),
        ("decision", {"action": "agent.delegate", "resource": "db-1"}, "does not cover it"),
        ("break-glass.used", {"decision": "other"}, "was not made under it"),
        ("break-glass.reviewed", {"operator": "Carl"}, "one of the two"),
        ("break-glass.reviewed", {"operator": "ana"}, "one of the two"),
        ("break-glass.reviewed", {"verified_by": "os"}, "one of the two"),
        ("break-glass.reviewed", {"id": "h"}, "was not asked for above"),
    ],
)
def test_what_is_not_as_it_must_be_is_found(tmp_path: Path, kind: str, fields: dict[str, Any], words: str) -> None:
    messages = found(tmp_path, *with_(kind, **fields))
    assert any(words in one for one in messages), messages


@pytest.mark.parametrize("resource", ["/secret", "/secret/", "/secret/a/b", "db-", "db-\n7"])
def test_resources_that_fit_are_covered(tmp_path: Path, resource: str) -> None:
    assert found(tmp_path, *with_("decision", action="file.read", resource=resource)) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda story: [story[1], *story[2:]], "was not asked for above"),
        (lambda story: [story[0], *story[2:]], "two people have not opened"),
        (lambda story: [story[0], story[2], story[3], story[1]], "two people have not opened"),
        (lambda story: [*story[:2], story[4], *story[2:4]], "which was over"),
        (lambda story: [*story[:2], story[1]], "good once"),
        (lambda story: [story[0], story[4], story[1]], "good once"),
        (lambda story: [story[0], *story], "was asked for above"),
        (lambda story: [*story, story[5]], "reviewed before"),
        (lambda story: [*story[:5], story[4]], "was over"),
        (lambda story: [*story[:4], story[5]], "before it was over"),
        (lambda story: [story[0], story[4], story[5]], "never open"),
        (lambda story: [*story[:4], story[3]], "was not made under it"),
    ],
)
def test_what_does_not_stand_where_it_must_is_found(tmp_path: Path, change: Callable[[Any], Any], words: str) -> None:
    assert any(words in one for one in found(tmp_path, *change(STORY)))


def test_a_task_that_is_named_is_the_only_one(tmp_path: Path) -> None:
    named = ("break-glass.asked", {**ASKED, "task": "t"})
    assert found(tmp_path, named, *STORY[1:]) == []
    other = ("decision", {**DECISION, "task": "u"})
    assert any("does not cover" in one for one in found(tmp_path, named, STORY[1], other))
