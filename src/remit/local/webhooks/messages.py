"""What a webhook is sent: words and buttons as Slack shows them, and a part for programs."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec

from remit.decision_log.entry import (
    ApprovalEscalated,
    ApprovalGiven,
    ApprovalRequested,
    ApprovalResolved,
    ApprovalSubmitted,
    Entry,
)
from remit.local.webhooks.settings import Webhook
from remit.local.webhooks.texts import MOST, escaped, in_ascii, section
from remit.model.clock import SECOND
from remit.model.values import thaw
from remit.runtime.approving.approvals import Shown, purposes
from remit.runtime.approving.inbox import Card
from remit.runtime.approving.wording import because, came

APPROVE, DENY = "remit.approve", "remit.deny"


def event_of(body: object) -> str:
    """Which event an entry is; empty for none."""
    match body:
        case ApprovalRequested():
            return "opened"
        case ApprovalSubmitted():
            return "submitted"
        case ApprovalGiven():
            return "given"
        case ApprovalEscalated():
            return "escalated"
        case ApprovalResolved():
            return "expired" if body.state == "expired" else "answered"
        case _:
            return ""


def message(webhook: Webhook, event: str, entry: Entry, seen: Card, log: str) -> bytes:
    """The body. `log` names the log: with it, the place of an entry is an id that is never given twice."""
    words = _words(event, entry, seen)
    text = whole(webhook, seen) or in_ascii(f"{words}. See `remit approval show {seen.approval.id}`.")
    blocks: list[dict[str, Any]] = [section(in_ascii(words)), section(text)]
    if seen.waits and answerable(webhook, seen):
        blocks.append({"type": "actions", "elements": [_button("Approve", APPROVE, seen), _button("Deny", DENY, seen)]})
    told = {"text": escaped(in_ascii(words)), "mrkdwn": False, "blocks": blocks}
    return msgspec.json.encode({**told, "remit": _machine(webhook, event, entry, seen, log)})


def answerable(webhook: Webhook, seen: Card) -> bool:
    """Whether somebody can approve it from there."""
    # INVARIANT (an approval is for one exact action): who was not shown the whole of it cannot approve it.
    return bool(webhook.people) and bool(whole(webhook, seen))


def whole(webhook: Webhook, seen: Card) -> str:
    """All that an approver should see, where the webhook shows that and it fits; empty otherwise.

    In ASCII alone, so that no character is hidden or looks like another.
    """
    if not webhook.arguments or seen.shown is None:
        return ""
    text = "\n".join(f"{name}: {in_ascii(value)}" for name, value in _rows(seen, seen.shown))
    return text if len(text) <= MOST else ""


def _rows(seen: Card, shown: Shown) -> list[tuple[str, str]]:
    arguments = json.dumps(thaw(bytes(shown.arguments)).values, ensure_ascii=True)
    said, until = seen.said, datetime.fromtimestamp(seen.approval.expires // SECOND, UTC)
    return [
        ("agent", f"{shown.agent}, for {shown.on_behalf_of or '-'}"),
        *purposes(shown),
        ("wants", f"{shown.action} {shown.resource}"),
        ("arguments", arguments),
        *([("executed by", f"{shown.upstream} {shown.definition[:12]}".strip())] if shown.upstream or shown.definition else []),
        *([("said with it", bytes(shown.said).decode())] if bytes(shown.said) != b"{}" else []),
        ("because", because(shown)),
        *[("value", came(one)) for one in shown.steering],
        ("session", f"{shown.label.confidentiality.value}, {', '.join(shown.label.sources) or 'nothing untrusted'}"),
        ("before", ", ".join(f"{name} x{count}" for name, count in shown.before.items()) or "nothing"),
        *([(f"{said.requester} says", f"{said.words} (nobody checked this)")] if said and said.words not in ("", "{}") else []),
        ("needs", f"{seen.approval.rule.value}, until {until:%Y-%m-%d %H:%M:%S} UTC; covers this one call, once"),
    ]


def _words(event: str, entry: Entry, seen: Card) -> str:
    approval, body = seen.approval, entry.body
    about = f"{approval.id}: agent {approval.agent}, {approval.tool}"
    match body:
        case ApprovalResolved() if event == "answered":
            return f"{body.state} by {body.operator}: {about}"
        case ApprovalGiven():
            return f"approved by {body.operator}, another person must approve, too: {about}"
        case ApprovalEscalated():
            return f"nobody has answered yet{', asking ' + ', '.join(body.to) if body.to else ''}: {about}"
        case ApprovalResolved():
            return f"expired: {about}"
        case _:
            return f"waits for an approval ({approval.rule.value}): {about}"


def _machine(webhook: Webhook, event: str, entry: Entry, seen: Card, log: str) -> dict[str, Any]:
    approval, body, shown = seen.approval, entry.body, seen.shown
    told: dict[str, Any] = {
        "id": f"{log}/{entry.index}",
        "event": event,
        "time": entry.time,
        "request": approval.id,
        "state": seen.state,
        "decision": approval.decision,
        "task": approval.task,
        "agent": approval.agent,
        "tool": approval.tool,
        "rule": approval.rule.value,
        "people": approval.rule.people,
        "approved_by": [one.operator for one in approval.given],
        "expires": approval.expires,
        "escalated_to": approval.told,
        "operator": body.operator if isinstance(body, ApprovalResolved | ApprovalGiven) else "",
    }
    if webhook.arguments and shown is not None:
        told |= {
            "purpose": shown.purpose,
            "purpose_by": shown.purpose_by,
            "arguments": shown.arguments,
            "steering": shown.steering,
        }
        told |= {"upstream": shown.upstream, "definition": shown.definition, "properties": shown.said}
    return told


def _button(label: str, action: str, seen: Card) -> dict[str, Any]:
    return {"type": "button", "action_id": action, "value": seen.approval.id, "text": {"type": "plain_text", "text": label}}
