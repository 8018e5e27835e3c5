"""What is asked over HTTP: messages of the AuthZEN Authorization API, with a place for a value that is another each time."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from benchmarks import bundles
from benchmarks.furnishing import AGENT
from remit.model.request import TOOL_CALL

FIRST = 100_000
"""Where values begin: all have six digits, so that every message of a kind is as long as the next."""
EVALUATION, EVALUATIONS = "/access/v1/evaluation", "/access/v1/evaluations"


class Message(msgspec.Struct, frozen=True):
    """One message: a POST to `path`, its text around each value that may change. `headers` are more than every request has."""

    path: str
    parts: tuple[str, ...]
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def body(self) -> str:
        """The message with the first value."""
        return str(FIRST).join(self.parts)


def small(session: dict[str, str]) -> dict[str, Any]:
    """An agent's call in its task: the rule of the rivals, three arguments."""
    return _call(session, "send_email", {"amount": FIRST, "domain": "example.com", "tainted": False})


def wide(session: dict[str, str]) -> dict[str, Any]:
    """An agent's call in its task: 20 arguments, all of which policies read."""
    return _call(session, bundles.WIDE, bundles.wide_arguments(FIRST))


def person(_session: dict[str, str]) -> dict[str, Any]:
    """A subject that is no agent and needs no task."""
    action = {"name": "read", "properties": {"page": FIRST}}
    return {"subject": {"type": "user", "id": "alice"}, "action": action, "resource": {"type": "record", "id": "record-1"}}


def single(asked: dict[str, Any]) -> Message:
    """One evaluation."""
    return _message(EVALUATION, asked)


def batch(asked: Sequence[dict[str, Any]]) -> Message:
    """Several evaluations in one request."""
    return _message(EVALUATIONS, {"evaluations": list(asked)})


def _call(session: dict[str, str], tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {
        "subject": {"type": "Agent", "id": AGENT},
        "action": {"name": TOOL_CALL, "properties": arguments},
        "resource": {"type": "Tool", "id": tool},
        "context": {"remit": session},
    }


def _message(path: str, body: dict[str, Any]) -> Message:
    return Message(path, tuple(json.dumps(body, separators=(",", ":")).split(str(FIRST))))
