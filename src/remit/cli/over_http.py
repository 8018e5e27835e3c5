"""Which request to a server does what a verb does beside the store."""

from collections.abc import Sequence

from remit.model.kill import KillKind

_AS = {
    "agent list": "GET /v1/agents --all",
    "agent show": "GET /v1/agents/NAME",
    "agent register": """POST /v1/agents --data '{"id": "NAME", "owner": "OWNER", "purpose": "PURPOSE"}'""",
    "agent suspend": """POST /v1/agents/NAME/status --data '{"status": "suspended"}'""",
    "agent resume": """POST /v1/agents/NAME/status --data '{"status": "active"}'""",
    "agent retire": """POST /v1/agents/NAME/status --data '{"status": "retired"}'""",
    "agent bind": """POST /v1/agents/NAME/bind --data '{"identity": "IDENTITY"}'""",
    "agent unbind": """POST /v1/agents/NAME/unbind --data '{"identity": "IDENTITY"}'""",
    "agent token": """POST /v1/agents/NAME/tokens --data '{"key": PUBLIC_JWK}'""",
    "operator token": """POST /v1/operators/NAME/tokens --data '{"roles": ["approver"], "key": PUBLIC_JWK}'""",
    "people list": "GET /v1/people --all",
    "people show": "GET /v1/people/ID",
    "task open": """POST /v1/tasks --data '{"agent": "NAME", "purpose": "PURPOSE"}'""",
    "task list": "GET /v1/tasks",
    "task show": "GET /v1/tasks/ID",
    "task close": "POST /v1/tasks/ID/close",
    "task token": "POST /v1/tasks/ID/tokens",
    "session list": "GET /v1/tasks/TASK/sessions",
    "decision list": "GET /v1/decisions",
    "decision show": "GET /v1/decisions/ID",
    "decision explain": "GET /v1/decisions/ID",
    "kill": "POST /v1/kills --data",
    "release": "POST /v1/kills/release --data",
    "policy publish": "POST /v1/bundles --files FOLDER",
    "policy rollback": "POST /v1/bundles/rollback",
    "policy show": "GET /v1/bundles/active",
    "break-glass ask": (
        """POST /v1/break-glass --data '{"agent": "NAME", "tools": ["TOOL"], "reason": "REASON", "incident": "INCIDENT"}'"""
    ),
    "break-glass confirm": "POST /v1/break-glass/ID/confirm",
    "break-glass end": """POST /v1/break-glass/ID/end --data '{"why": "WHY"}'""",
    "break-glass list": "GET /v1/break-glass",
    "break-glass show": "GET /v1/break-glass/ID",
    "break-glass review": """POST /v1/break-glass/ID/review --data '{"verdict": "justified", "comment": "COMMENT"}'""",
    "log head": "GET /v1/log/head",
    "log prove": "GET /v1/log/INDEX/proof",
}


def over_http(words: Sequence[str]) -> str:
    """The call that does what these words of a command line do; empty for what is done beside the store alone."""
    if words and words[0] in ("kill", "release"):
        return f"remit call {_of_kill(words)}"
    asked = _AS.get(" ".join(words[:2])) or _AS.get(" ".join(words[:1]))
    return f"remit call {asked}" if asked is not None else ""


def _of_kill(words: Sequence[str]) -> str:
    """What is asked for a kill or its release: of the kind that is named. To kill nothing is to look."""
    if words[0] == "kill" and set(words[1:]) <= {"--json"}:
        return "GET /v1/kills"
    kind = words[1] if words[1:2] and words[1] in set(KillKind) else KillKind.AGENT.value
    name = "" if kind == KillKind.ALL else ', "name": "NAME"'
    return f"""{_AS[words[0]]} '{{"kind": "{kind}"{name}, "why": "WHY"}}'"""
