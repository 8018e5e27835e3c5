"""`remit session`: what the runs of a task have touched, and lowering it."""

from typing import Annotated

import typer

from remit.cli.output import JsonFlag, say, show_json, show_table, store, store_to_change, when
from remit.local.config import this_operator
from remit.model.errors import malformed, not_found, refused
from remit.model.identity import AgentId, SessionId, TaskId
from remit.model.labels import Confidentiality
from remit.model.task import Session
from remit.pep.drive import run
from remit.pep.gate import Denied, Options, enforce
from remit.pep.sdk.context import Working
from remit.pep.sdk.declassify import declassification

app = typer.Typer(no_args_is_help=True)
Id = Annotated[str, typer.Argument(help="The session's id (`ses_…`).")]


@app.command("list")
def list_(task: Annotated[str, typer.Argument(help="The task's id (`tsk_…`).")], json: JsonFlag = False) -> None:
    """List the sessions of a task, oldest first."""
    with store() as embedded:
        if embedded.store.task(TaskId(task)) is None:
            raise not_found(f"there is no task `{task}`: see `remit task list`")
        found = embedded.store.sessions_of(TaskId(task))
    if json:
        show_json(found)
        return
    rows = [
        (
            one.id,
            one.reached.confidentiality.value,
            ", ".join(one.reached.sources) or "-",
            str(sum(one.calls.values())),
            when(one.seen),
        )
        for one in found
    ]
    show_table(
        ("session", "has touched", "untrusted sources", "calls", "last (UTC)"), rows, "no sessions: nobody has entered the task"
    )


@app.command("declassify")
def declassify(
    session: Id,
    why: Annotated[str, typer.Option(help="Why, for the approver and the record.")],
    to: Annotated[Confidentiality | None, typer.Option(help="The class that it shall count as having touched at most.")] = None,
    source: Annotated[
        list[str] | None, typer.Option(help="An untrusted source that shall count as trusted; may be repeated.")
    ] = None,
    wait: Annotated[float, typer.Option(help="How many seconds to wait for the approval.")] = 0.0,
    json: JsonFlag = False,
) -> None:
    """Ask that a session's label is lowered. Somebody else must approve; the same call lowers it then."""
    if to is None and not source:
        raise malformed("say what is to be lowered: `--to` a class, or `--source` and a source that shall count as trusted")
    with store_to_change() as embedded:
        found = _found(embedded.store.session(SessionId(session)), session)
        working = Working(embedded, AgentId(found.agent), found.task, found.id)
        request = declassification(working, why, to.value if to else None, source, this_operator().id)
        try:
            run(enforce(embedded, request, Options(wait)), lambda: "")
        except Denied as denied:
            if denied.decision.approval is None:
                raise refused(str(denied)) from None
            show_json({"session": session, "approval": denied.decision.approval}) if json else say(
                f"not yet: somebody else must run `remit approval approve {denied.decision.approval}`; then run this again"
            )
            raise typer.Exit(1) from None
        after = _found(embedded.store.session(found.id), session)
    if json:
        show_json(after)
    else:
        say(f"lowered {after.id}: {after.label.confidentiality.value}, untrusted: {', '.join(after.label.sources) or 'nothing'}")


def _found(session: Session | None, name: str) -> Session:
    if session is None:
        raise not_found(f"there is no session `{name}`: see `remit session list TASK`")
    return session
