"""`remit decision`: what was permitted or denied, and why."""

from typing import Annotated, Any

import msgspec
import typer

from remit.cli.break_glass import opened_by
from remit.cli.output import JsonFlag, asked, say, show_json, show_list, show_table, store, when
from remit.decision_log.entry import DecisionMade
from remit.local.decisions import find, joined, policy_texts
from remit.local.wiring import Embedded
from remit.model.break_glass import BreakGlass
from remit.model.errors import not_found
from remit.model.identity import BreakGlassId, TaskId

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
        rows = [joined(embedded, entry) for entry in made]
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
            _passed(r) if r["effect"] == "permit" else _denied(r),
        )
        for r in rows
    ]
    show_list((columns, table), (("decision", "agent", "tool or action", "decision"), short), "no decisions yet")


@app.command("show")
def show(decision: Id, json: JsonFlag = False) -> None:
    """Show one decision from request to outcome."""
    with store() as embedded:
        row = joined(embedded, find(embedded, decision))
        glass = _opened(embedded, row)
    if json:
        show_json(row)
        return
    told = row | {"at": f"{when(row['at'])} UTC"}
    if glass is not None:
        told["break_glass"] = opened_by(glass)
    show_table(("", ""), [(key, _text(value)) for key, value in told.items()], "")


@app.command("explain")
def explain(decision: Id, json: JsonFlag = False) -> None:
    """Explain one decision: which policies, entities and attributes decided."""
    with store() as embedded:
        entry = find(embedded, decision)
        row, texts = joined(embedded, entry), policy_texts(embedded, entry)
        glass = _opened(embedded, row)
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
    if glass is not None:
        say(f"BREAK-GLASS {opened_by(glass)}")


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


def _opened(embedded: Embedded, row: dict[str, Any]) -> BreakGlass | None:
    return embedded.store.break_glass(BreakGlassId(row["break_glass"])) if row["break_glass"] else None


def _passed(row: dict[str, Any]) -> str:
    return "permit" if not row["break_glass"] else "permit (BREAK-GLASS)"


def _denied(row: dict[str, Any]) -> str:
    """Why it was denied, in a list that has no room for more."""
    return str(row["reason"]) + ("" if row["enforced"] else " (shadow)")


def _text(value: Any) -> str:
    if value is None or value == "" or value == []:
        return "-"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
