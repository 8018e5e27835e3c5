"""Opening a task is an action: asked of policies, inspected at a tier and, where they say so, approved first."""

import itertools
import re
from typing import Any

import pytest
from msgspec.structs import replace

from remit.decision_log.entry import TaskOpened
from remit.model.caller import Proof
from remit.model.decision import Deny, Permit
from remit.model.errors import ErrorKind, RemitError
from remit.model.identity import DecisionId, Operator
from remit.model.kill import KillKind
from remit.model.request import TASK_OPEN, Tier
from remit.model.task import Budgets, Opening, Scope, Task
from remit.pap.contents import Bundle, SourceFile
from remit.pap.reading.cases import parse_cases
from remit.pap.reading.folder import bundle_of
from remit.pap.running import run_cases
from remit.runtime import kills, tasks
from remit.runtime.administration import change_agent
from remit.runtime.approving import inbox
from remit.runtime.approving.answering import resolve
from remit.runtime.approving.approvals import shown_to_approver
from remit.runtime.authorize import may_act
from remit.runtime.runtime import Runtime
from remit.runtime.tasks import AgentOpener, Opener, open_task
from tests.conftest import OpenStore
from tests.pap.bundles import ROOT
from tests.runtime.world import ANA, CARL, SMALL, World, permit
from tests.server.serving import serving

_WRITTEN = re.search(r"```\n(entity TaskType;.*?)```", (ROOT / "docs/policy.md").read_text("utf-8"), re.DOTALL)
assert _WRITTEN is not None
SCHEMA = _WRITTEN[1]
"""As the documentation has it."""
OPENING = """
@id("opened") permit (principal, action == Action::"task.open", resource);
@id("incidents-ask") @requestable("one") @description("an incident is looked at by a person first")
forbid (principal, action == Action::"task.open", resource) when { context.tier == "critical" } unless { context.approval.granted };
@id("not-long") @description("five minutes at most")
forbid (principal, action == Action::"task.open", resource) when { context.args.seconds > 300 };
"""
TYPES = """
- {name: incident, agent_may_open: true, seconds: 600, scope: {tools: [look]}}
- {name: chore, agent_may_open: true, seconds: 600}
"""
CLASSES = "- {type: TaskType, pattern: incident, tier: critical}\n"


def guarded(principals: str = "Agent, User", more: str = "") -> Bundle:
    """The small bundle, with policies about opening."""
    texts = {
        **SMALL,
        "bundle.yaml": SMALL["bundle.yaml"].replace("free']", "free', task.open]") + "request_attributed: [User]\n",
        "schema.cedarschema": SCHEMA.replace("Agent, User", principals),
        "policies/opening.cedar": OPENING + more,
        "task_types.yaml": TYPES,
        "resources.yaml": SMALL["resources.yaml"] + CLASSES,
    }
    return bundle_of([SourceFile(path, text) for path, text in texts.items()])


BOT = AgentOpener("bot")


def opened(world: World, kind: str, opener: Opener = BOT, **more: Any) -> Task:
    given: dict[str, Any] = {"purpose": "the disk is full", "type": kind, "seconds": 60, **more}
    return open_task(world.runtime, Opening("bot", **given), opener).result()


def refusal(world: World, kind: str, opener: Opener = BOT, **more: Any) -> str:
    with pytest.raises(RemitError) as caught:
        opened(world, kind, opener, **more)
    assert caught.value.kind is ErrorKind.REFUSED
    return caught.value.message


@pytest.fixture
def asked(world: World) -> World:
    world.publish(guarded())
    return world


def test_an_agent_opens_just_in_time_what_a_person_approved_and_nothing_else_by_it(asked: World) -> None:
    before = len(asked.entries())
    said = refusal(asked, "incident")
    assert "an incident is looked at by a person first" in said
    request = asked.store.approvals(None, 9)[0]
    assert request.id in said and request.task is None
    assert not [entry for entry in asked.entries()[before:] if isinstance(entry.body, TaskOpened)]
    shown = shown_to_approver(request, asked.runtime.view.sealing_key(None))
    assert shown is not None and (shown.action, shown.resource, shown.tier) == (TASK_OPEN, "incident", Tier.CRITICAL)
    assert b"the disk is full" in bytes(shown.arguments) and b'"tools":["look"]' in bytes(shown.arguments)
    with pytest.raises(RemitError):
        resolve(asked.runtime, request.id, Operator("bot", "os"), True, "mine").result()
    resolve(asked.runtime, request.id, CARL, True, "go").result()
    others: list[dict[str, Any]] = [
        {"purpose": "all is fine"},
        {"seconds": 61},
        {"budgets": Budgets(calls=9)},
        {"scope": Scope(tools=())},
    ]
    for other in others:
        assert request.id not in refusal(asked, "incident", **other)
    task = opened(asked, "incident")
    permit(asked.ask(asked.open_session(task), "look"))
    assert [made.approval for made in asked.decisions() if made.effect == "permit" and made.action == TASK_OPEN] == [request.id]
    assert request.id not in refusal(asked, "incident"), "once"
    assert [outcome.status for outcome in asked.outcomes()][:1] == ["succeeded"]
    asked.verified()
    asked.faithful()


def test_what_another_process_published_is_asked_from_the_next_task_on(open_store: OpenStore) -> None:
    world, other = open_store(), open_store(again=True)
    world.publish(guarded("User"))
    opened(other, "chore")
    world.publish(guarded())
    assert "five minutes at most" in refusal(other, "chore", seconds=400)
    assert "approval-required" in refusal(other, "incident")


def test_what_is_published_between_the_permit_and_the_opening_is_asked_too(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, other = open_store(), open_store(again=True)
    world.publish(guarded())
    acts = tasks.may_act
    published: list[int] = []

    def meanwhile(runtime: Runtime, decision: DecisionId) -> bool:
        stands = acts(runtime, decision)
        if not published:
            published.append(1)
            other.publish(guarded(more='@id("none") forbid (principal, action == Action::"task.open", resource);'))
        return stands

    monkeypatch.setattr(tasks, "may_act", meanwhile)
    before = len(world.entries())
    assert "forbidden" in refusal(world, "chore")
    added = [entry.body for entry in world.entries()][before:]
    assert published and not any(isinstance(body, TaskOpened) for body in added)


def test_policies_that_never_keep_still_open_nothing(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    world, other = open_store(), open_store(again=True)
    world.publish(guarded())
    acts, count = tasks.may_act, itertools.count()

    def meanwhile(runtime: Runtime, decision: DecisionId) -> bool:
        stands = acts(runtime, decision)
        other.publish(guarded(more=f'@id("more-{next(count)}") permit (principal, action == Action::"task.open", resource);'))
        return stands

    monkeypatch.setattr(tasks, "may_act", meanwhile)
    with pytest.raises(RemitError, match="kept changing") as caught:
        opened(world, "chore")
    assert caught.value.kind is ErrorKind.CONFLICT
    assert not any(isinstance(entry.body, TaskOpened) for entry in world.entries())


def test_over_http_it_is_the_same(asked: World) -> None:
    task = {"agent": "bot", "purpose": "the disk is full", "type": "incident", "seconds": 60}
    asked.publish(guarded("User"))
    with serving(asked.embedded) as client:
        denied = client.post("/v1/tasks", task)
        request = asked.store.approvals(None, 9)[0]
        assert denied.status == 403 and request.id in denied.body["detail"]
        resolve(asked.runtime, request.id, CARL, True, "go").result()
        assert client.post("/v1/tasks", task).status == 200
        assert client.post("/v1/tasks", task).status == 403


def test_what_policy_forbids_or_permits_is_opened_or_not_without_anybody(asked: World) -> None:
    assert "five minutes at most" in refusal(asked, "chore", seconds=400)
    task = opened(asked, "chore")
    assert opened(asked, "", AgentOpener("bot"), parent=task.id).parent == task.id, "what only narrows is not asked about"
    assert "proof-required" in refusal(asked, "chore", AgentOpener("bot", None, "agent:remit#bot", Proof.BEARER))
    assert not asked.store.approvals(None, 9)


def test_a_person_who_opens_is_asked_about_and_does_not_approve_it(asked: World) -> None:
    refusal(asked, "incident", ANA)
    request = asked.store.approvals(None, 9)[0]
    with pytest.raises(RemitError):
        resolve(asked.runtime, request.id, ANA, True, "mine").result()
    resolve(asked.runtime, request.id, CARL, True, "go").result()
    assert opened(asked, "incident", ANA).opener == "ana"


def test_a_permit_whose_task_is_not_opened_is_on_record_as_not_used(asked: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(runtime: Runtime, decision: DecisionId) -> bool:
        kills.kill(runtime, KillKind.AGENT, "bot", "stop", ANA).result()
        return may_act(runtime, decision)

    monkeypatch.setattr("remit.runtime.tasks.may_act", killed)
    tasks = len(asked.store.tasks(9))
    assert "taken back" in refusal(asked, "chore")
    assert len(asked.store.tasks(9)) == tasks
    assert [outcome.status for outcome in asked.outcomes()] == ["not-performed"]


def test_who_the_schema_does_not_name_is_not_asked_about(world: World) -> None:
    world.publish(guarded("Agent"))
    assert opened(world, "incident", ANA).type == "incident"
    refusal(world, "incident")


PARTS = """
- name: x
  agent: {id: bot, owner: ben}
  steps:
  - action: task.open
    resource: 'TaskType::"incident"'
    arguments: {agent: bot, purpose: the disk is full, on_behalf_of: WHOM, seconds: 60}
    expect: deny
    approve: WHO
    then: permit
"""


@pytest.mark.parametrize("opener", [ANA, BOT], ids=["a person", "the agent"])
@pytest.mark.parametrize(("whom", "who"), [("carl", "carl"), ("eva", "ben"), ("eva", "carl")])
def test_four_eyes_are_not_of_whom_it_is_for_nor_of_who_owns_the_agent(asked: World, opener: Opener, whom: str, who: str) -> None:
    """The same that holds within the task, once it is open; and what cases say is what becomes of it."""
    refusal(asked, "incident", opener, on_behalf_of=whom)
    [request] = asked.store.approvals(None, 9)
    written = PARTS.replace("WHOM", whom).replace("WHO", who)
    if opener is ANA:
        written = written.replace("- action", "- subject: 'User::\"ana\"'\n    action")
    [case] = run_cases(guarded(), parse_cases(written, "cases/x.yaml"))
    barred = "is whom it is for, or owns the agent"
    if (whom, who) == ("eva", "carl"):
        resolve(asked.runtime, request.id, Operator(who, "os"), True, "go").result()
        assert opened(asked, "incident", opener, on_behalf_of=whom).on_behalf_of == whom and case.passed
        return
    with pytest.raises(RemitError, match=barred):
        resolve(asked.runtime, request.id, Operator(who, "os"), True, "go").result()
    assert [barred in failure.message for failure in case.failures] == [True]


def test_who_has_come_to_own_the_agent_has_approved_nothing(asked: World) -> None:
    refusal(asked, "incident", ANA)
    [request] = asked.store.approvals(None, 9)
    resolve(asked.runtime, request.id, CARL, True, "go").result()
    change_agent(asked.runtime, "bot", lambda a: replace(a, owner="carl", version=a.version + 1), ANA).result()  # type: ignore[type-var]
    assert "whoever gave it may not approve this any more" in refusal(asked, "incident", ANA)
    lapse = inbox.card(asked.runtime, asked.store.approval(request.id)).lapse  # type: ignore[arg-type]
    assert lapse is not None and "owns the agent" in lapse.whole


def test_who_opens_it_is_told_that_somebody_else_approves(asked: World) -> None:
    refusal(asked, "incident", ANA)
    [request] = asked.store.approvals(None, 9)
    with pytest.raises(RemitError, match="`ana` asked for this: somebody else must approve it"):
        resolve(asked.runtime, request.id, ANA, True, "go").result()


def test_nobody_is_asked_to_approve_what_cannot_be_opened(asked: World) -> None:
    with pytest.raises(RemitError):
        opened(asked, "incident", seconds=601)
    with pytest.raises(RemitError):
        opened(asked, "incident", AgentOpener("another"))
    assert not asked.store.approvals(None, 9)


CASE = re.search(r"```yaml\n(# cases/opening.yaml\n.*?)```", (ROOT / "docs/policy.md").read_text("utf-8"), re.DOTALL)
assert CASE is not None


@pytest.mark.parametrize(("principals", "said"), [("Agent, User", []), ("Agent", ["expected decision `permit`, got `deny`"])])
def test_cases_ask_about_opening_as_the_documentation_has_it(principals: str, said: list[str]) -> None:
    assert CASE is not None
    cases = parse_cases(CASE[1], "cases/opening.yaml")
    [result] = run_cases(guarded(principals), cases)
    assert [any(word in failure.message for word in said) for failure in result.failures] == [True] * len(said)
    if not said:
        held, opened, by_person = result.decisions
        assert isinstance(held, Deny) and isinstance(opened, Permit) and opened.approval and isinstance(by_person, Permit)
