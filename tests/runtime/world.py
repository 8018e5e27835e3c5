"""A small world to test in: a clock that is set by hand, a bundle of a few tools, and stores that are opened and closed."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from remit.decision_log.encoding import decode
from remit.decision_log.entry import BundlePublished, DecisionMade, Entry, OutcomeSeen
from remit.decision_log.verify import Report, verify_export
from remit.inventory.agents import registered
from remit.local import entering
from remit.local.config import Settings
from remit.local.replaying import replay
from remit.local.wiring import Embedded
from remit.model.authorizer import Outcome, OutcomeStatus
from remit.model.decision import Decision, Deny, Permit, Reason
from remit.model.identity import EntityRef, Operator
from remit.model.request import TOOL_CALL, EvaluationRequest
from remit.model.task import Session, Task
from remit.model.values import freeze
from remit.pap.bundle import from_document, to_document
from remit.pap.contents import Bundle, SourceFile
from remit.pap.reading.folder import bundle_of
from remit.reviews.replay import Replayed
from remit.runtime import administration, sessions, tasks
from remit.runtime.tasks import Opening

NOON = 1_800_000_000_000_000
"""When every test begins, µs since the epoch."""
ANA, BEN, CARL = (Operator(name, "os") for name in ("ana", "ben", "carl"))
AGENT = "bot"

MANIFEST = "name: small\ntask_free: ['tool.call free']\ndirectory: ['boss@corp.com', '@partner.org']\n"

POLICIES = """
@id("any-tool") permit (principal, action == Action::"tool.call", resource) unless { resource == Tool::"nobody" };
@id("any-file") permit (principal, action in Action::"file", resource);
@id("steered") @requestable("one") @description("untrusted data chose where this goes")
forbid (principal, action == Action::"tool.call", resource == Tool::"send")
  when { !context.flow.steered.isEmpty() } unless { context.approval.granted };
@id("restricted-stays") @description("restricted data does not leave")
forbid (principal, action == Action::"tool.call", resource == Tool::"send") when { context.session.confidentialityRank >= 3 };
@id("pay-asks") @requestable("one")
forbid (principal, action == Action::"tool.call", resource == Tool::"pay") unless { context.approval.granted };
@id("wipe-asks") @requestable("four-eyes")
forbid (principal, action == Action::"tool.call", resource == Tool::"wipe") unless { context.approval.granted };
@id("careless") forbid (principal, action == Action::"tool.call", resource == Tool::"careless")
  when { context.args.limit > 10 };
@id("never") forbid (principal, action == Action::"tool.call", resource == Tool::"never");
@id("hurried") @obligation("deadline:0.2") permit (principal, action == Action::"tool.call", resource == Tool::"hurried");
@id("small") @obligation("limit-result:8") permit (principal, action == Action::"tool.call", resource == Tool::"small");
@id("redacted") @obligation("redact-result:password") permit (principal, action == Action::"tool.call", resource == Tool::"account");
@id("broken") @obligation("limit-result:many") permit (principal, action == Action::"tool.call", resource == Tool::"broken");
"""

TOOLS = """
- {name: read, annotations: {effect: read, reach: internal}}
- {name: look, annotations: {effect: read, reach: internal, sensitivity: public, output_trusted: true}}
- {name: free, annotations: {effect: read, reach: internal, sensitivity: public, output_trusted: true}}
- {name: secret, annotations: {effect: read, reach: internal, sensitivity: restricted, output_trusted: true}}
- {name: write, annotations: {effect: write, reach: workspace, sensitivity: public, output_trusted: true}}
- name: send
  annotations: {effect: send, reach: external, destinations: [to], content: [body], sensitivity: public, output_trusted: true}
- name: mail
  annotations: {effect: send, reach: external, destinations: [message.to], content: [message.body]}
- {name: pay, annotations: {effect: spend, reach: external, destinations: [to], sensitivity: public, output_trusted: true}}
- {name: wipe, annotations: {effect: delete, reach: internal, destinations: [table]}}
- {name: careless, annotations: {effect: read, reach: internal}}
- {name: never, annotations: {effect: read, reach: internal}}
- {name: hurried, annotations: {effect: read, reach: internal}}
- {name: small, annotations: {effect: read, reach: internal}}
- {name: account, annotations: {effect: read, reach: internal}}
- {name: broken, annotations: {effect: read, reach: internal}}
- name: closed
  annotations: {effect: read, reach: internal}
  schema: {type: object, properties: {n: {type: integer}, price: {type: number}}, additionalProperties: false}
"""

RESOURCES = (
    "- {type: File, pattern: '/secret/*', sensitivity: restricted}\n- {type: File, pattern: '/public/*', sensitivity: public}\n"
)

SMALL: Mapping[str, str] = {
    "bundle.yaml": MANIFEST,
    "policies/all.cedar": POLICIES,
    "tools.yaml": TOOLS,
    "resources.yaml": RESOURCES,
}


def small_bundle(**files: str) -> Bundle:
    """The small bundle, with some of its files replaced (`policies`, `tools`, `manifest`, `resources`, `task_types`)."""
    names = {"manifest": "bundle.yaml", "policies": "policies/all.cedar", "tools": "tools.yaml", "resources": "resources.yaml"}
    names["task_types"] = "task_types.yaml"
    texts = {**SMALL, **{names[name]: text for name, text in files.items()}}
    return bundle_of([SourceFile(path, text) for path, text in texts.items()])


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self, now: int = NOON) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def forward(self, seconds: float) -> None:
        """Let time pass, or go backwards."""
        self.now += int(seconds * 1_000_000)


class World:
    """One opened store with an agent, as a door and its operator see it."""

    def __init__(self, home: Path, clock: Callable[[], int], lock_seconds: float = 2.0, store: str | None = None) -> None:
        self.home = home
        self.url = os.environ.get("REMIT_STORE", "") if store is None else store
        self.embedded = Embedded(home, Settings(store=self.url, lock_seconds=lock_seconds), clock)
        self.runtime = self.embedded.runtime
        self.tampered = False
        self.store = self.embedded.store

    def publish(self, bundle: Bundle) -> None:
        """Make a bundle the active one."""
        active = self.store.active_bundle()
        previous = active[0] if active else ""
        published = BundlePublished(bundle.digest, bundle.name, bundle.contents.manifest.mode.value, previous, "ana", False)
        administration.activate_bundle(self.runtime, published, to_document(bundle)).result()

    def register(self, agent: str = AGENT) -> None:
        """Register an agent, owned by ben."""
        administration.change_agent(self.runtime, agent, lambda a: registered(a, agent, "ben", "helps", ()), ANA).result()

    def open_task(self, purpose: str = "send the report to boss@corp.com", **opening: Any) -> Task:
        """Ana opens a task for the agent."""
        return tasks.open_task(self.runtime, Opening(**{"agent": AGENT, **opening}, purpose=purpose), ANA).result()

    def open_session(self, task: Task | None = None, **opening: Any) -> Session:
        """A session of a task, of a new one if none is given."""
        return sessions.open_session(self.runtime, (task or self.open_task(**opening)).id).result()

    def ask(self, session: Session | None, tool: str, arguments: Mapping[str, Any] | None = None, /, **request: Any) -> Decision:
        """Evaluate one call, durably."""
        return self.embedded.evaluate(asked(session, tool, arguments, **request)).result()

    def perform(self, session: Session, tool: str, content: str | None, arguments: Mapping[str, Any] | None = None) -> Permit:
        """A call that is permitted, made, and returns `content`."""
        given = permit(self.ask(session, tool, arguments))
        assert self.embedded.may_act(given.id)
        self.report(given, session, OutcomeStatus.SUCCEEDED, content)
        return given

    def report(self, given: Permit, session: Session | None, status: OutcomeStatus, content: str | None = None) -> None:
        """Report an outcome."""
        self.embedded.report(Outcome(given.id, session.id if session else None, status, content)).result()

    def entries(self) -> list[Entry]:
        """The whole log."""
        return [decode(index, line) for index, line in enumerate(self.store.log.lines())]

    def decisions(self) -> list[DecisionMade]:
        """The decisions of the log, in order."""
        return [entry.body for entry in self.entries() if isinstance(entry.body, DecisionMade)]

    def outcomes(self) -> list[OutcomeSeen]:
        """The outcomes of the log, in order."""
        return [entry.body for entry in self.entries() if isinstance(entry.body, OutcomeSeen)]

    def verified(self) -> Report:
        """Export the log and have a stranger verify it; fails where it does not."""
        export = self.home / f"log-{len(list(self.home.iterdir()))}.export"
        self.embedded.head.export(export, overwrite=False)
        report = verify_export(export, self.embedded.head.vkey)
        assert report.verified, report.to_text()
        return report

    def replayed(self, bundle: Bundle, before: Bundle | None = None, since: int = 0) -> Replayed:
        """The log asked again of a bundle."""
        return replay(self.home, Settings(store=self.url), self.store, bundle, before, since)

    def enter_default(self) -> None:
        """Make this the store that `remit.guard` and `remit.task` find (REMIT_HOME must name its folder)."""
        entering._opened[os.getpid(), str(self.home)] = self.embedded

    def faithful(self) -> None:
        """What the bundle of one decision says to it again is what was logged: nothing is changed by replaying."""
        bundles = {made.bundle for made in self.decisions()}
        if len(bundles) != 1 or not (document := self.store.document(bundles.pop())):
            return
        found = replay(self.home, Settings(store=self.url), self.store, from_document(document), thorough=True)
        assert not found.changed, msgspec.json.format(msgspec.json.encode(found), indent=1).decode()
        assert set(found.gaps) <= {"its task was erased"}, found.gaps

    def close(self) -> None:
        """Close the store; safe to call twice."""
        self.embedded.close()


def asked(session: Session | None, tool: str, arguments: Mapping[str, Any] | None = None, /, **request: Any) -> EvaluationRequest:
    """A request of the agent to call a tool; any part of it can be given as something else."""
    parts: dict[str, Any] = {
        "subject": EntityRef("Agent", session.agent if session else AGENT),
        "action": TOOL_CALL,
        "resource": EntityRef("Tool", tool),
        "arguments": freeze(dict(arguments or {})),
        "task": session.task if session else None,
        "session": session.id if session else None,
    }
    return EvaluationRequest(**{**parts, **request})


def reason(decision: Decision) -> Reason:
    """Why a request was denied; fails for a permit."""
    assert isinstance(decision, Deny), decision
    return decision.reason


def permit(decision: Decision) -> Permit:
    """The permit; fails for a denial."""
    assert isinstance(decision, Permit), decision
    return decision
