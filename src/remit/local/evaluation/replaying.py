"""Recorded runs, call by call, through the gate of an embedded store with the baseline bundle."""

import json
import time
from collections.abc import Iterable, Mapping
from importlib.resources import as_file, files
from pathlib import Path

import msgspec

from remit.decision_log.entry import BundlePublished
from remit.inventory.agents import registered
from remit.local.config import Settings
from remit.local.evaluation.corpus import Recorded, RecordedStep, Surroundings, annotations_of, principals_of
from remit.local.wiring import Embedded
from remit.model.authorizer import Outcome, OutcomeStatus
from remit.model.decision import Decision, Permit, Reason
from remit.model.errors import RemitError
from remit.model.identity import EntityRef, Operator
from remit.model.request import TOOL_CALL, EvaluationRequest
from remit.model.task import Scope, Session
from remit.model.values import NO_ARGUMENTS, freeze
from remit.pap.bundle import to_document
from remit.pap.contents import Bundle, SourceFile
from remit.pap.reading.folder import bundle_of, read_bundle
from remit.runtime.administration import activate_bundle, change_agent
from remit.runtime.sessions import open_session
from remit.runtime.tasks import MAX_PURPOSE, Opening, open_task

AGENT = "recorded-agent"
USER = Operator("user", "recorded")


class Answer(msgspec.Struct, frozen=True):
    """What the gate said to one call, and how long that took (µs). `held` means that an approval could lift it."""

    permitted: bool
    held: bool
    reason: Reason
    microseconds: float


class Replay:
    """One store with one suite's bundle published."""

    def __init__(self, home: Path, bundle: Bundle) -> None:
        self._embedded = Embedded(home, Settings())
        runtime = self._embedded.runtime
        published = BundlePublished(bundle.digest, bundle.name, bundle.contents.manifest.mode.value, "", USER.id, False)
        activate_bundle(runtime, published, to_document(bundle)).result()
        change_agent(runtime, AGENT, lambda known: registered(known, AGENT, "owner", "a recorded run", ()), USER).result()

    def play(self, run: Recorded) -> list[Answer]:
        """Put every call of a run to the gate, in a task and a session of its own.

        A permitted call's output is reported as its door would; what was denied or held never happened, so it shows the session nothing.
        """
        runtime = self._embedded.runtime
        opening = Opening(AGENT, _purpose(run.intent), "user", scope=Scope(tools=run.declared), seconds=24 * 3600)
        task = open_task(runtime, opening, USER).result()
        session = open_session(runtime, task.id).result()
        answers = [self._call(session, step) for step in run.steps]
        with runtime.view.lock:
            runtime.view.forget(session.id, [task.id])
        return answers

    def _call(self, session: Session, step: RecordedStep) -> Answer:
        request = _request(session, step)
        started = time.perf_counter()
        decision: Decision = self._embedded.evaluate(request).result()
        taken = (time.perf_counter() - started) * 1_000_000
        if isinstance(decision, Permit):
            self._embedded.may_act(decision.id)
            status = OutcomeStatus.FAILED if step.failed else OutcomeStatus.SUCCEEDED
            self._embedded.report(Outcome(decision.id, session.id, status, step.output)).result()
            return Answer(True, False, decision.reason, taken)
        return Answer(False, decision.requestable is not None, decision.reason, taken)

    def close(self) -> None:
        """Close the store."""
        self._embedded.close()


def _request(session: Session, step: RecordedStep) -> EvaluationRequest:
    arguments, problem = NO_ARGUMENTS, ""
    try:
        arguments = freeze(step.arguments)
    except RemitError as error:
        problem = error.message
    tool = EntityRef("Tool", step.tool)
    return EvaluationRequest(EntityRef("Agent", AGENT), TOOL_CALL, tool, arguments, session.task, session.id, malformed=problem)


def _purpose(intent: str) -> str:
    shown = "".join(c if c.isprintable() or c in "\n\t" else " " for c in intent)
    return shown[:MAX_PURPOSE].strip() or "(nothing was asked)"


def suite_bundle(suite: str, runs: Iterable[Recorded], around: Surroundings) -> Bundle:
    """The baseline's policies, with the suite's tools as the deployment describes them, and the principals it knows."""
    with as_file(files("remit.pap") / "baseline") as baseline:
        policies = [file for file in read_bundle(baseline).files if file.path.startswith("policies/")]
    tools: dict[str, Mapping[str, object]] = {}
    for run in runs:
        for tool in run.tools:
            tools.setdefault(str(tool["name"]), tool)
    catalogue = [_entry(suite, name, tool, around) for name, tool in tools.items()]
    manifest = {"name": "evaluation", "directory": list(principals_of(suite, around))}
    # JSON is YAML: no writer of YAML is needed.
    made = [SourceFile("bundle.yaml", json.dumps(manifest)), SourceFile("tools.yaml", json.dumps(catalogue))]
    return bundle_of([*policies, *made])


def _entry(suite: str, name: str, tool: Mapping[str, object], around: Surroundings) -> dict[str, object]:
    said = annotations_of(suite, name, around)
    entry: dict[str, object] = {"name": name}
    if isinstance(tool.get("json_schema"), dict):
        entry["schema"] = tool["json_schema"]
    if said is not None:
        entry["annotations"] = {key: value for key, value in msgspec.to_builtins(said).items() if value not in (None, [])}
    return entry
