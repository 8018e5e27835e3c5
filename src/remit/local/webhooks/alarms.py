"""What a webhook is sent of break-glass: who opened what policy denies, for whom and until when, each use of it, its end and its review."""

from typing import Any, TypeAlias

import msgspec

from remit.decision_log.entry import (
    BreakGlassAsked,
    BreakGlassEnded,
    BreakGlassReviewed,
    BreakGlassStarted,
    BreakGlassUsed,
    Entry,
)
from remit.local.webhooks.texts import MOST, escaped, in_ascii, section
from remit.model.break_glass import BreakGlass

BREAK_GLASS = "break-glass"
"""The event, for all of it: nobody waits for a part of an alarm."""
MOST_REASON = 1000
Alarm: TypeAlias = BreakGlassAsked | BreakGlassStarted | BreakGlassUsed | BreakGlassEnded | BreakGlassReviewed


def alarm(entry: Entry, body: Alarm, glass: BreakGlass, log: str) -> bytes:
    """The body of a message. `log` names the log: with it, the place of an entry is an id that is never given twice."""
    words = in_ascii(f"BREAK-GLASS {_words(body, glass)}: {glass}")
    told = {"text": escaped(words), "mrkdwn": False, "blocks": [section(words), section(_text(glass))]}
    return msgspec.json.encode({**told, "remit": _machine(entry, body, glass, log)})


def _text(glass: BreakGlass) -> str:
    """How long, for whom and why, then what is opened, as much as there is room for; what is left out is counted."""
    shown, whom = f"`remit break-glass show {glass.id}`", f"agent {glass.agent}" + (f", task {glass.task}" if glass.task else "")
    reason = in_ascii(glass.reason)
    if len(reason) > MOST_REASON:
        reason = f"{reason[:MOST_REASON]}... (cut off: see {shown})"
    text = f"For {glass.minutes} minutes, {in_ascii(whom)}: {reason}. Opens "
    # Short patterns open most: long ones push none of them out.
    opens = sorted(map(in_ascii, (*glass.tools, *glass.resources)), key=len)
    rest, fit = f"; {len(opens)} of {len(opens)} are NOT shown here, see {shown}.", list[str]()
    for one in opens:
        if len(text) + len(", ".join((*fit, one))) + len(rest) > MOST:
            break
        fit.append(one)
    missing = len(opens) - len(fit)
    return f"{text}{', '.join(fit)}" + (
        f"; {missing} of {len(opens)} are NOT shown here, see {shown}." if missing else f". See {shown}."
    )


def _words(body: Alarm, glass: BreakGlass) -> str:
    match body:
        case BreakGlassAsked():
            return f"asked for by {body.operator}, another person must confirm it"
        case BreakGlassStarted():
            return f"OPEN, asked for by {glass.asked_by}, confirmed by {body.operator}"
        case BreakGlassUsed():
            return f"used, decision {body.decision}"
        case BreakGlassEnded():
            return f"{body.stage} by {body.operator}"
        case BreakGlassReviewed():
            return f"reviewed by {body.operator} ({body.verdict})"


def _machine(entry: Entry, body: Alarm, glass: BreakGlass, log: str) -> dict[str, Any]:
    return {
        "id": f"{log}/{entry.index}",
        "event": BREAK_GLASS,
        "time": entry.time,
        "kind": type(body).__struct_config__.tag,
        "break_glass": glass.id,
        "agent": glass.agent,
        "task": glass.task,
        "tools": glass.tools,
        "resources": glass.resources,
        "incident": glass.incident,
        "reason": glass.reason,
        "until": glass.until,
        "decision": body.decision if isinstance(body, BreakGlassUsed) else "",
        "operator": "" if isinstance(body, BreakGlassUsed) else body.operator,
    }
