"""`remit policy propose`: from a window in shadow mode to a bundle."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from remit.cli.comparing import active_bundle, span_of
from remit.cli.output import JsonFlag, counted, say, show_json, store

if TYPE_CHECKING:
    from remit.local.proposing import Proposed


def propose(
    folder: Annotated[Path, typer.Argument(help="The new folder to write the bundle to.")],
    since: Annotated[str, typer.Option(help="From the decisions of so long: `30d`, `12h`, or `all`.")] = "all",
    without: Annotated[list[str] | None, typer.Option(help="A task that was not honest; may be repeated.")] = None,
    json: JsonFlag = False,
) -> None:
    """Propose a bundle that permits what honest tasks did, for each type of task, and nothing else. Nothing is published.

    What the active bundle forbids stays forbidden. Read the files, edit them, then `remit policy publish` them.
    """
    from remit.local.proposing import propose_bundle, write_folder

    span = span_of(since)
    with store() as embedded:
        begin = embedded.runtime.clock() - span if span is not None else 0
        proposed = propose_bundle(embedded.store, active_bundle(embedded), begin, frozenset(without or ()))
    write_folder(proposed.proposal, folder)
    if json:
        show_json(_document(proposed, folder))
        return
    _tell(proposed, folder)


def _document(proposed: "Proposed", folder: Path) -> dict[str, object]:
    usage = proposed.usage
    return {
        "folder": str(folder),
        "decisions": usage.decisions,
        "tasks": usage.tasks,
        "permits": proposed.proposal.permits,
        "cases": proposed.proposal.cases,
        "left_out": {why: msgspec.to_builtins(left) for why, left in usage.left_out.items()},
        "gaps": usage.gaps,
        "changes": msgspec.to_builtins(proposed.replayed.changes),
    }


def _tell(proposed: "Proposed", folder: Path) -> None:
    usage, proposal = proposed.usage, proposed.proposal
    honest = usage.decisions - sum(left.count for left in usage.left_out.values()) - sum(usage.gaps.values())
    say(f"{counted(usage.decisions, 'decision')}: {honest} honest, in {counted(usage.tasks, 'task')}")
    for why, left in sorted(usage.left_out.items(), key=lambda item: -item[1].count):
        say(f"left out: {counted(left.count, 'decision')}: {why} (for example {left.decision})", "yellow")
    for why, count in sorted(usage.gaps.items()):
        say(f"not read: {counted(count, 'decision')}: {why}", "yellow")
    say(f"wrote {counted(proposal.permits, 'permit')} and {counted(proposal.cases, 'case')} to {folder}")
    if proposal.dropped:
        say(f"{counted(proposal.dropped, 'call')} got no case: what the task had seen before had a part in them")
    lost = [change for change in proposed.replayed.changes if change.before.effect == "permit"]
    for change in lost:
        say(f"would be denied now: {change.count} x {change.action} {change.resource} ({change.after.reason})", "red")
    say(
        f"next: read {folder / 'policies'}, then `remit policy check {folder}`, `remit policy diff active {folder} --replay 30d`, publish"
    )
