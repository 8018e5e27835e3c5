"""`remit decision`: what was permitted or denied, and why."""

from typing import Annotated, Any

import msgspec
import typer

from remit.cli.output import JsonFlag, asked, say, show_json, show_list, show_table, store, when
from remit.decision_log.entry import ApprovalResolved, DecisionMade, Entry, OutcomeSeen
from remit.decision_log.sealed import SealedDecision, open_sealed
from remit.local.wiring import Embedded
from remit.model.errors import not_found
from remit.model.identity import TaskId

app = typer.Typer(no_args_is_help=True)
Id = Annotated[str, typer.Argument(help="The decision's id (`dec_…`).")]


@app.command("list")
def list_(
    task: Annotated[str, typer.Option(help="Only those of this task.")] = "",
    denied: Annotated[bool, typer.Option("--denied", help="Only denials.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 50,
    json: JsonFlag = False,
) -> None:
    """List decisions, newest first, with what became of them."""
    with store() as embedded:
        log = embedded.store.log
        entries = log.by_task(task)[::-1] if task else log.by_kind("decision", limit * (20 if denied else 1))
        if task and not entries and embedded.store.task(TaskId(task)) is None:
            raise not_found(f"there is no task `{task}`: see `remit task list`")
        made = [entry for entry in entries if isinstance(entry.body, DecisionMade)]
        made = [entry for entry in made if not denied or entry.body.effect == "deny"][:limit]  # type: ignore[union-attr]
        rows = [_joined(embedded, entry) for entry in made]
    if json:
        show_json(rows)
        return
    table = [
        (
            r["id"],
            when(r["at"]),
            r["effect"] + ("" if r["enforced"] else " (shadow)"),
            r["reason"],
            r["tier"],
            r["subject"],
            r["resource"],
            r["outcome"] or "-",
        )
        for r in rows
    ]
    columns = ("decision", "time (UTC)", "effect", "reason", "tier", "subject", "resource", "outcome")
    short = [
        (
            r["id"],
            r["subject"].removeprefix("Agent::"),
            asked(r["action"], r["resource"]),
            "permit" if r["effect"] == "permit" else _denied(r),
        )
        for r in rows
    ]
    show_list((columns, table), (("decision", "agent", "tool or action", "decision"), short), "no decisions yet")


@app.command("show")
def show(decision: Id, json: JsonFlag = False) -> None:
    """Show one decision from request to outcome."""
    with store() as embedded:
        row = _joined(embedded, _find(embedded, decision))
    if json:
        show_json(row)
        return
    told = row | {"at": f"{when(row['at'])} UTC"}
    show_table(("", ""), [(key, _text(value)) for key, value in told.items()], "")


@app.command("explain")
def explain(decision: Id, json: JsonFlag = False) -> None:
    """Explain one decision: which policies, entities and attributes decided."""
    with store() as embedded:
        entry = _find(embedded, decision)
        row, texts = _joined(embedded, entry), _policy_texts(embedded, entry)
    explanation = {key: row[key] for key in ("id", "effect", "reason", "message", "tier", "bundle", "slice_size", "policies")}
    explanation |= {
        "policy_texts": texts,
        "entities": row["entities"],
        "read": row["read"],
        "errors": row["errors"],
        "steering": row["steering"],
    }
    if json:
        show_json(explanation)
        return
    _tell(explanation, row)


def _tell(why: dict[str, Any], row: dict[str, Any]) -> None:
    say(f"{why['effect']} ({why['reason']}) at tier {why['tier'] or '-'}: {why['message'] or 'policy permits it'}")
    say(f"{row['subject']} asked for {row['action']} on {row['resource_type']}::{row['resource']}")
    say(f"{why['slice_size']} policies of bundle {why['bundle'][:12] or '-'} could match; decided by:")
    for policy in why["policies"]:
        text = why["policy_texts"].get(policy, "(not in the active bundle any more)")
        say(f"  {policy}\n" + "\n".join(f"      {line}" for line in text.splitlines()))
    if not why["policies"]:
        say("  none: what no policy permits is denied")
    for error in why["errors"] or ():
        say(f"  error: {error}")
    say(f"entities: {', '.join(why['entities'] or ()) or '-'}")
    say(f"read: {msgspec.json.encode(why['read']).decode() if why['read'] is not None else '(erased)'}")
    for steering in why["steering"] or ():
        found = f" of {steering['source']}" if steering["source"] else ""
        say(f"argument `{steering['argument']}` = `{steering['value']}`: from {steering['origin']}{found}")


def _policy_texts(embedded: Embedded, entry: Entry) -> dict[str, str]:
    from remit.pap.bundle import from_document

    body = entry.body
    assert isinstance(body, DecisionMade)
    document = embedded.store.document(body.bundle)
    if document is None:
        return {}
    bundle = from_document(document)
    written = {policy.id: policy.text for policy in bundle.policies if policy.id in body.policies}
    rego = bundle.contents.rego is not None or bundle.contents.manifest.opa is not None
    asked = f"(in Rego, answered by {body.engine or 'this process'})"
    return {name: written.get(name, asked) for name in body.policies} if rego else written


def _find(embedded: Embedded, decision: str) -> Entry:
    for entry in embedded.store.log.by_decision(decision):
        if isinstance(entry.body, DecisionMade):
            return entry
    raise not_found(f"there is no decision `{decision}`: see `remit decision list`")


def _joined(embedded: Embedded, entry: Entry) -> dict[str, Any]:
    """A decision with its sealed part, its approval and its outcome."""
    body = entry.body
    assert isinstance(body, DecisionMade)
    opened = _opened(embedded, body)
    row: dict[str, Any] = msgspec.to_builtins(body)
    del row["kind"], row["sealed"]
    row["message"] = opened.message if opened else "(erased)"
    row["errors"] = opened.errors if opened else None
    row["entities"] = opened.entities if opened else None
    row["values"] = msgspec.json.decode(opened.arguments) if opened else None
    row["read"] = msgspec.json.decode(opened.read) if opened else None
    row["steering"] = msgspec.to_builtins(opened.steering) if opened else None
    row["outcome"], row["answered_by"] = None, None
    for other in embedded.store.log.by_decision(body.id):
        if isinstance(other.body, OutcomeSeen):
            row["outcome"] = other.body.status
        elif isinstance(other.body, ApprovalResolved):
            row["answered_by"] = f"{other.body.operator or 'nobody'} ({other.body.state})"
    row["index"], row["writer"], row["seq"] = entry.index, entry.writer, entry.seq
    return row


def _opened(embedded: Embedded, body: DecisionMade) -> SealedDecision | None:
    with embedded.runtime.view.lock:
        embedded.runtime.view.refresh()
        # Only a task that exists has a key; what named an unknown one is sealed under the store's.
        return open_sealed(body, embedded.runtime.view.key(TaskId(body.chain[0]) if body.chain else None))


def _denied(row: dict[str, Any]) -> str:
    """Why it was denied, in a list that has no room for more."""
    return str(row["reason"]) + ("" if row["enforced"] else " (shadow)")


def _text(value: Any) -> str:
    if value is None or value == "" or value == []:
        return "-"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
