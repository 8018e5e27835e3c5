"""`remit policy`: check, test, publish, roll back, show, explain and compare bundles."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from remit.cli.comparing import diff
from remit.cli.output import NOT_SO, JsonFlag, counted, cut, out, say, show_json, show_table, store, store_to_change, when
from remit.cli.pinning import pin
from remit.cli.proposing import propose
from remit.local.config import this_operator
from remit.local.policy import active_bundle, publish_folder, roll_back, tiers_of
from remit.local.wiring import ask_outside
from remit.model.decision import Permit
from remit.model.errors import RemitError, malformed
from remit.model.identity import AgentId, DecisionId, EntityRef, SessionId, TaskId
from remit.model.request import TOOL_CALL, EvaluationRequest
from remit.model.task import Session, Task, TaskState
from remit.model.values import freeze, read_json
from remit.pap.bundle import compile_bundle
from remit.pap.contents import Bundle
from remit.pap.problems import BundleError, errors
from remit.pap.publish import Publication
from remit.pap.reading.cases import read_cases
from remit.pap.reading.folder import read_bundle
from remit.pap.running import run_cases
from remit.pap.validate import check as checked
from remit.pap.validate import check_folder
from remit.pdp.compiled import Mode
from remit.pdp.decide import decide_asking
from remit.pdp.inputs import Decided, Inputs
from remit.runtime.loading import owner_state

app = typer.Typer(no_args_is_help=True)
Folder = Annotated[Path, typer.Argument(help="The bundle's folder.")]
Shadow = Annotated[bool, typer.Option("--shadow", help="Yes, a bundle in shadow mode, which enforces nothing.")]


@app.command("check")
def check(folder: Folder, json: JsonFlag = False) -> None:
    """Check a bundle: everything that can be known to go wrong, by file and line, and what to do."""
    problems = check_folder(folder)
    wrong = errors(problems)
    if json:
        show_json(problems)
    else:
        for problem in problems:
            say(str(problem), "red" if problem in wrong else "yellow")
        say(f"{counted(len(wrong), 'error')}, {counted(len(problems) - len(wrong), 'warning')}")
    if wrong:
        raise typer.Exit(NOT_SO)


@app.command("test")
def test(folder: Folder, json: JsonFlag = False) -> None:
    """Run the bundle's cases; a failure says what decided."""
    bundle = read_bundle(folder)
    if wrong := errors(checked(bundle)):
        raise BundleError(wrong)  # what such a bundle decides is nothing that could be published
    results = list(run_cases(bundle, read_cases(bundle), ask_outside))
    failed = [result for result in results if not result.passed]
    if json:
        show_json([_case_json(result) for result in results])
    else:
        for result in failed:
            say(f"failed: {result.case.name} ({result.case.file}:{result.case.line})", "red")
            for failure in result.failures:
                say(f"  {result.case.file}:{failure.line}: {failure.message}")
        say(f"{len(results) - len(failed)} passed, {len(failed)} failed")
        if not results:
            say(f"there are no cases: write some in {folder / 'cases'}")
    if failed:
        raise typer.Exit(NOT_SO)


def _case_json(result: Any) -> dict[str, Any]:
    failures = [{"line": failure.line, "message": failure.message} for failure in result.failures]
    return {"name": result.case.name, "file": result.case.file, "passed": result.passed, "failures": failures}


@app.command("opa")
def opa(
    folder: Folder,
    output: Annotated[Path, typer.Option(help="The file to write (`.tar.gz`).")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
) -> None:
    """Write the bundle's Rego policies as a bundle that an OPA server loads; its answers count only with exactly these policies."""
    from remit.decision_log.export import new_export
    from remit.pap.rego.served import opa_bundle

    bundle = read_bundle(folder)
    packed = opa_bundle(bundle)
    with new_export(output, overwrite) as file:
        file.write(packed)
    assert bundle.contents.rego is not None
    say(f"wrote {output}, revision {bundle.contents.rego.digest[:12]}: `opa run --server --bundle {output}`")


@app.command("publish")
def publish(folder: Folder, shadow: Shadow = False, json: JsonFlag = False) -> None:
    """Check, test, and make the bundle the active one, everywhere at once."""
    with store_to_change() as embedded:
        published = publish_folder(embedded, folder, this_operator(), shadow)
    if published is None:
        show_json({"active": True}) if json else say("exactly these files are active already")
        return
    _published(published, json)


@app.command("rollback")
def rollback(
    to: Annotated[str | None, typer.Option(help="The digest to go back to (default: what was active before).")] = None,
    shadow: Shadow = False,
    json: JsonFlag = False,
) -> None:
    """Make the bundle that was active before the active one again."""
    with store_to_change() as embedded:
        published = roll_back(embedded, this_operator(), to, shadow)
    _published(published, json)


def _published(published: Publication, json: bool) -> None:
    if json:
        row: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(published, document=b""))
        del row["document"]
        show_json(row)
        return
    for problem in published.warnings:
        say(str(problem), "yellow")
    verb = "rolled back to" if published.rollback else "published"
    cases = "" if published.rollback else f", {published.cases} cases passed"
    say(f"{verb} bundle {published.name} as {published.digest[:12]}{cases}")
    _warn_of_shadow(published.mode)


def _warn_of_shadow(mode: Mode) -> None:
    if mode is Mode.SHADOW:
        out.print("[bold black on yellow] SHADOW MODE [/] decisions are made and logged, but NOTHING IS ENFORCED")


@app.command("show")
def show(
    history: Annotated[bool, typer.Option("--history", help="What was active when.")] = False, json: JsonFlag = False
) -> None:
    """Show the active bundle: digest, mode, policies, tools with their tiers, task types."""
    with store() as embedded:
        if history:
            _show_history(embedded.store.activations(), json)
            return
        bundle = active_bundle(embedded)
    contents, tools = bundle.contents, tiers_of(bundle)
    if json:
        policies = {policy.id: policy.text for policy in contents.policies}
        rego = {"modules": contents.rego.modules, "revision": contents.rego.digest} if contents.rego else None
        types = msgspec.to_builtins(contents.task_types)
        manifest = msgspec.to_builtins(contents.manifest)
        show_json(
            {"digest": bundle.digest, "bundle": manifest, "policies": policies, "rego": rego, "tools": tools, "task_types": types}
        )
        return
    say(f"bundle {bundle.name} {bundle.digest[:12]}, {contents.manifest.mode.value}")
    _warn_of_shadow(contents.manifest.mode)
    rows = [(p.id, p.effect, p.annotations.get("description", ""), f"{p.source}:{p.line}") for p in contents.policies]
    show_table(("policy", "effect", "what", "where"), rows, "no policies in Cedar")
    if contents.rego is not None:
        say(f"Rego, revision {contents.rego.digest[:12]}: {', '.join(contents.rego.modules)}")
    if contents.manifest.opa is not None:
        say(f"asked of OPA at {contents.manifest.opa.url}")
    show_table(("tool", "tier"), list(tools.items()), "no tools in the catalogue: all of them are high")
    show_table(("task type", "what"), [(t.name, t.description) for t in contents.task_types], "no task types")


def _show_history(activations: list[tuple[str, str, int, str]], json: bool) -> None:
    if json:
        show_json([dict(zip(("digest", "previous", "time", "operator"), row, strict=True)) for row in activations])
        return
    rows = [(digest[:12], previous[:12] or "-", when(time), operator) for digest, previous, time, operator in activations]
    show_table(("digest", "replaced", "time (UTC)", "by"), rows, "nothing was published yet")


@app.command("explain")
def explain(
    agent: Annotated[str, typer.Option(help="The agent that would ask.")],
    tool: Annotated[str, typer.Option(help="The tool it would call.")],
    arguments: Annotated[str, typer.Option(help="Its arguments, as a JSON object.")] = "{}",
    task: Annotated[str | None, typer.Option(help="The task it would ask under (default: one without bounds).")] = None,
    purpose: Annotated[str, typer.Option(help="That task's purpose, if it is supposed.")] = "",
    json: JsonFlag = False,
) -> None:
    """Explain what would be decided for a call, without deciding it: nothing is logged or changed."""
    try:
        values = read_json(arguments)
    except RemitError as error:
        raise malformed(f"`--arguments {cut(arguments, 60)}`: {error.message}") from None
    if not isinstance(values, dict):
        raise malformed('`--arguments` is no JSON object: write it as {"name": value}')
    decided, bundle = _supposed(agent, tool, values, task, purpose)
    decision = decided.decision
    basis = decision.basis
    effect = "permit" if isinstance(decision, Permit) else "deny"
    written = {policy.id: policy.text for policy in bundle.contents.policies}
    texts = {name: written.get(name, "(in Rego)") for name in basis.policies}
    told = {
        "effect": effect,
        "reason": decision.reason.value,
        "tier": decision.tier.value if decision.tier else None,
        "message": decision.message,
        "policies": texts,
        "slice_size": basis.slice_size,
        "read": msgspec.json.decode(basis.read),
        "errors": basis.errors,
        "steering": msgspec.to_builtins(basis.steering),
        "obligations": msgspec.to_builtins(decision.obligations),
    }
    if json:
        show_json(told)
        return
    say(f"{effect} ({told['reason']}) at tier {told['tier'] or '-'}{': ' if decision.message else ''}{decision.message}")
    matching = f"{basis.slice_size} policies could match" if written else "policies in Rego were asked"
    say(f"{matching}; decided by {', '.join(texts) or 'none'}")
    for text in (written[name] for name in texts if name in written):
        say("\n".join(f"    {line}" for line in text.strip().splitlines()))
    say(f"read: {basis.read.decode()}")


def _supposed(agent: str, tool: str, values: dict[str, Any], task: str | None, purpose: str) -> tuple[Decided, Bundle]:
    with store() as embedded:
        view, now = embedded.runtime.view, embedded.runtime.clock()
        bundle = active_bundle(embedded)
        operator = this_operator().id
        named = TaskId(task or "supposed")
        unbounded = Task(named, AgentId(agent), purpose, operator, operator, now, now + 1)
        chain, complete = view.chain(named) if task else ((TaskState(unbounded),), True)
        session = Session(SessionId("supposed"), named, AgentId(agent), seen=now)
        compiled = compile_bundle(bundle)
        upstream = compiled.tools[tool].tool.upstream if tool in compiled.tools else ""
        request = EvaluationRequest(
            EntityRef("Agent", agent), TOOL_CALL, EntityRef("Tool", tool), freeze(values), named, session.id, upstream
        )
        inputs = Inputs(
            compiled,
            request,
            view.agent(AgentId(agent)),
            now,
            DecisionId("supposed"),
            chain,
            complete,
            session,
            delegators=view.delegators(chain),
            owner=owner_state(view, (view.agent(AgentId(agent)), *view.delegators(chain))),
        )
        return decide_asking(inputs, ask_outside), bundle


app.command("diff")(diff)
app.command("propose")(propose)
app.command("pin")(pin)
