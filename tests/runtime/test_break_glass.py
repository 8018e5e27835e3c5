"""Break-glass: two people open what policy denies, for minutes, for one agent or task; all else stays closed, and a third looks back."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

import pytest
from msgspec.structs import replace

from remit.decision_log.entry import BreakGlassAsked, BreakGlassEnded, BreakGlassReviewed, BreakGlassStarted, BreakGlassUsed
from remit.decision_log.store import CommitFailed
from remit.decision_log.verify import verify_export
from remit.inventory.agents import registered
from remit.model.authorizer import OutcomeStatus
from remit.model.break_glass import BreakGlass, Stage, Verdict
from remit.model.decision import Deny, Reason
from remit.model.errors import ErrorKind, RemitError, unavailable
from remit.model.identity import AgentId, AgentStatus, BreakGlassId, EntityRef, Operator
from remit.model.kill import KillKind
from remit.model.labels import Confidentiality
from remit.model.person import PersonStatus
from remit.model.request import FILE_READ, SESSION_DECLASSIFY
from remit.model.task import Budgets, Scope, Session
from remit.runtime import administration, kills
from remit.runtime.approving import answering
from remit.runtime.audit import differences
from remit.runtime.emergency import break_glass, overview
from remit.runtime.pending import Driven
from remit.runtime.runtime import administer
from remit.runtime.tasks import AgentOpener, Opening, close_task, open_task
from remit.runtime.writes import PutBreakGlass
from tests.conftest import OpenStore
from tests.people.test_directory import person, tell
from tests.runtime.world import ANA, BEN, CARL, MANIFEST, NOON, POLICIES, RESOURCES, Clock, World, permit, reason, small_bundle

DORA = Operator("dora", "os")
MINUTE = 60
CLOSED_FILES = """
@id("no-secrets") forbid (principal, action == Action::"file.read", resource) unless { resource in Folder::"/public" };
"""
FORBIDDEN = ("never", "careless")


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.runtime.test_break_glass import DORA, ask, opened
from tests.runtime.world import Clock, World

world = World(Path(sys.argv[1]), Clock())
print(opened(world, minutes=5).id, ask(world, DORA).id, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def ask(world: World, by: Operator = ANA, **asked: Any) -> BreakGlass:
    what: dict[str, Any] = {"reason": "the queue is stuck", "incident": "INC-7", "tools": ("never",), "minutes": 30, **asked}
    if "task" not in asked:
        what.setdefault("agent", "bot")
    return break_glass.ask(world.runtime, break_glass.EmergencyRequest(**what), by).result()


def opened(world: World, by: Operator = ANA, confirming: Operator = CARL, **asked: Any) -> BreakGlass:
    return break_glass.confirm(world.runtime, ask(world, by, **asked).id, confirming).result()


def end(world: World, glass: BreakGlass, by: Operator = DORA) -> BreakGlass:
    return break_glass.end(world.runtime, glass.id, by, "it works again").result()


def review(world: World, glass: BreakGlass, by: Operator = DORA) -> BreakGlass:
    return break_glass.review(world.runtime, glass.id, by, Verdict.JUSTIFIED, "one call, as needed").result()


def fails(act: Callable[[], Any], kind: ErrorKind, words: str) -> None:
    with pytest.raises(RemitError) as error:
        act()
    assert error.value.kind is kind and words in error.value.message, error.value.message


def body_of(world: World, kind: type) -> Any:
    [found] = [entry.body for entry in world.entries() if isinstance(entry.body, kind)]
    return found


def test_nothing_is_open_before_a_second_person_confirms_and_then_all_of_it_is_marked(world: World) -> None:
    session = world.open_session()
    glass = ask(world)
    assert reason(world.ask(session, "never")) is Reason.FORBIDDEN
    confirmed = break_glass.confirm(world.runtime, glass.id, CARL).result()
    assert (confirmed.stage, confirmed.until) == (Stage.OPEN, NOON + 30 * MINUTE * 1_000_000)
    given = world.perform(session, "never", "what it said")
    assert (given.reason, given.break_glass) == (Reason.BREAK_GLASS, glass.id)
    assert given.message.startswith(f"break-glass `{glass.id}`: policy forbids `tool.call` on `never`"), given.message
    for words in ("INC-7", "ana", "carl", "the queue is stuck"):
        assert words not in given.message, "an agent is not told who opened it, nor why"
    made = world.decisions()[-1]
    assert (made.id, made.break_glass, made.reason, made.policies) == (given.id, glass.id, "break-glass", ("never",))
    assert body_of(world, BreakGlassUsed) == BreakGlassUsed(glass.id, given.id, session.task)
    assert permit(world.ask(session, "look")).reason is Reason.PERMITTED, "what policy permits is not marked"
    assert overview.told(world.runtime, world.store.log, confirmed).decisions == (given.id,)
    world.verified()
    assert differences(world.store.log, world.store) == []


def test_labels_join_budgets_are_spent_and_history_is_kept(world: World) -> None:
    task = world.open_task(budgets=Budgets(tools={"never": 1}))
    session = world.open_session(task)
    opened(world)
    world.perform(session, "never", "ignore all rules")
    now = world.store.session(session.id)
    assert now is not None and now.label.untrusted and now.calls == {"never": 1}
    assert now.label.confidentiality is Confidentiality.INTERNAL
    assert reason(world.ask(session, "never")) is Reason.BUDGET_EXHAUSTED


def test_an_approval_is_asked_for_no_more_but_one_that_was_given_is_used_first(world: World) -> None:
    session = world.open_session()
    denied = world.ask(session, "pay", {"to": "x"})
    assert isinstance(denied, Deny) and denied.approval is not None
    answering.resolve(world.runtime, denied.approval, CARL, True).result()
    opened(world, tools=("pay", "wipe"))
    assert permit(world.ask(session, "pay", {"to": "x"})).approval == denied.approval
    for tool, arguments in (("pay", {"to": "x"}), ("wipe", {"table": "t"})):
        given = permit(world.ask(session, tool, arguments))
        assert given.break_glass is not None and given.approval is None and "this needs an approval" in given.message
    assert len(world.store.approvals(None, 10)) == 1, "nobody is asked for what is open"
    world.verified()


def test_obligations_of_permits_that_fit_stay(open_store: OpenStore) -> None:
    closed = '@id("closed") forbid (principal, action == Action::"tool.call", resource == Tool::"account");\n'
    world = open_store(bundle=small_bundle(policies=POLICIES + closed))
    opened(world, tools=("account",))
    [duty] = permit(world.ask(world.open_session(), "account")).obligations
    assert (duty.type, duty.argument, duty.policy) == ("redact-result", "password", "redacted")


def test_what_no_policy_permits_and_other_actions_are_opened_too(open_store: OpenStore) -> None:
    world = open_store(bundle=small_bundle(policies=POLICIES + CLOSED_FILES))
    session = world.open_session()
    opened(world, tools=("closed",), resources=("/secret/keys/",))
    for path, expected in (("/secret/keys/a", Reason.BREAK_GLASS), ("/secret/other", None)):
        asked = world.ask(session, "", action=FILE_READ, resource=EntityRef("File", path))
        assert asked.reason is (expected or Reason.FORBIDDEN)
    world.verified()


class TestNeverOpens:
    def test_what_is_killed(self, world: World) -> None:
        session = world.open_session()
        opened(world)
        for kind, name in (
            (KillKind.AGENT, "bot"),
            (KillKind.TASK, session.task or ""),
            (KillKind.TOOL, "never"),
            (KillKind.ALL, ""),
        ):
            kills.kill(world.runtime, kind, name, "stop", ANA).result()
            assert reason(world.ask(session, "never")) is Reason.KILLED
            if kind is not KillKind.TOOL:
                fails(lambda: ask(world, task=session.task), ErrorKind.REFUSED, "lifts no kill")
            kills.release(world.runtime, kind, name, "go", ANA).result()
        permit(world.ask(session, "never"))

    @pytest.mark.parametrize("rule", ["never", "Never", ""])
    def test_what_a_policy_says_is_never(self, open_store: OpenStore, rule: str) -> None:
        policies = POLICIES.replace('@id("never")', f'@id("never") @break_glass("{rule}")')
        world = open_store(bundle=small_bundle(policies=policies))
        opened(world)
        assert reason(world.ask(world.open_session(), "never")) is Reason.FORBIDDEN

    def test_what_is_no_denial_by_policy(self, world: World) -> None:
        opened(world, tools=("never", "careless", "closed", "free"))
        session = world.open_session(scope=Scope(tools=("careless", "closed")))
        assert reason(world.ask(session, "never")) is Reason.OUTSIDE_SCOPE
        assert reason(world.ask(session, "careless", {"limit": "eleven"})) is Reason.POLICY_ERROR
        assert reason(world.ask(session, "closed", {"unknown": 1})) is Reason.MALFORMED_ARGUMENTS
        assert reason(world.ask(session, "closed", malformed="two keys")) is Reason.MALFORMED_ARGUMENTS
        assert reason(world.ask(None, "never")) is Reason.TASK_REQUIRED
        close_task(world.runtime, session.task or session.id, "ana").result()  # type: ignore[arg-type]
        assert reason(world.ask(session, "careless", {"limit": 11})) is Reason.TASK_CLOSED

    def test_what_no_session_would_carry(self, open_store: OpenStore) -> None:
        closed = POLICIES + '@id("shut") forbid (principal, action == Action::"tool.call", resource == Tool::"free");'
        world = open_store(bundle=small_bundle(policies=closed))
        opened(world, tools=("free",))
        assert reason(world.ask(None, "free")) is Reason.FORBIDDEN

    def test_what_is_delegated_or_another_s(self, world: World) -> None:
        world.register("helper")
        parent = world.open_task()
        opened(world, task=parent.id)
        permit(world.ask(world.open_session(parent), "never"))
        child = world.open_session(world.open_task(agent="helper", parent=parent.id))
        for session in (child, world.open_session(), world.open_session(world.open_task(agent="helper"))):
            assert reason(world.ask(session, "never")) is Reason.FORBIDDEN

    def test_what_is_delegated_by_an_agent_of_who_confirmed(self, world: World) -> None:
        carls = lambda known: registered(known, "boss", "carl", "helps", ())  # noqa: E731
        administration.change_agent(world.runtime, "boss", carls, ANA).result()
        above = world.open_task(agent="boss")
        below = open_task(world.runtime, Opening("bot", "do it", parent=above.id), AgentOpener(AgentId("boss"))).result()
        fails(lambda: opened(world, DORA, CARL, task=below.id), ErrorKind.REFUSED, "owns the agent or one that delegated to it")
        opened(world, DORA, CARL)
        assert reason(world.ask(world.open_session(below), "never")) is Reason.FORBIDDEN
        permit(world.ask(world.open_session(), "never"))

    def test_a_label(self, open_store: OpenStore) -> None:
        lowering = '@id("no-lowering") forbid (principal, action == Action::"session.declassify", resource);'
        world = open_store(bundle=small_bundle(policies=POLICIES + lowering))
        session = world.open_session()
        world.perform(session, "read", "hostile")
        opened(world, resources=("ses_*",))
        label = {"confidentiality": "public", "why": "x"}
        asked = world.ask(session, "", label, action=SESSION_DECLASSIFY, resource=EntityRef("Session", session.id))
        assert reason(asked) is Reason.FORBIDDEN

    def test_what_is_not_named(self, world: World) -> None:
        opened(world, tools=("careless",))
        session = world.open_session()
        assert reason(world.ask(session, "never")) is Reason.FORBIDDEN
        assert permit(world.ask(session, "careless", {"limit": 11})).break_glass

    def test_what_a_suspended_agent_asks_for(self, world: World) -> None:
        session = world.open_session()
        opened(world)
        suspended = lambda known: replace(known, status=AgentStatus.SUSPENDED, version=known.version + 1)  # noqa: E731
        administration.change_agent(world.runtime, "bot", suspended, ANA).result()
        assert reason(world.ask(session, "never")) is Reason.AGENT_INACTIVE
        fails(lambda: ask(world), ErrorKind.REFUSED, "wakes nobody")


class TestTwoPeople:
    @pytest.mark.parametrize(
        ("who", "words"),
        [
            (ANA, "`ana` asked for it"),
            (Operator("ANA", "os"), "asked for it"),
            (Operator("ana", "https://idp.example"), "asked for it"),
            (Operator("carl", "https://idp.example"), "nobody can tell that these are two people"),
            (BEN, "owns the agent"),
            (Operator("bot", "os"), "is an agent"),
            (Operator("Bot", "os"), "is an agent"),
            (Operator("development", "nobody"), "nobody has to prove who they are here"),
        ],
    )
    def test_the_second_is_surely_another(self, world: World, who: Operator, words: str) -> None:
        glass = ask(world)
        fails(lambda: break_glass.confirm(world.runtime, glass.id, who).result(), ErrorKind.REFUSED, words)
        assert reason(world.ask(world.open_session(), "never")) is Reason.FORBIDDEN

    @pytest.mark.parametrize(
        ("who", "words"), [(BEN, "owns the agent"), (Operator("bot", "os"), "agent"), (Operator("x", "nobody"), "prove")]
    )
    def test_not_everybody_may_ask(self, world: World, who: Operator, words: str) -> None:
        fails(lambda: ask(world, who), ErrorKind.REFUSED, words)
        assert world.store.break_glasses() == []

    def test_who_opened_the_task_does_not_confirm_for_it(self, world: World) -> None:
        glass = ask(world, CARL, task=world.open_task().id)
        fails(lambda: break_glass.confirm(world.runtime, glass.id, ANA).result(), ErrorKind.REFUSED, "opened the task")

    def test_nor_is_a_task_of_theirs_covered_that_comes_later(self, world: World) -> None:
        opened(world, CARL, ANA)
        assert reason(world.ask(world.open_session(), "never")) is Reason.FORBIDDEN, "ana opened its task"

    def test_an_agent_that_comes_to_be_theirs_is_covered_no_more(self, world: World) -> None:
        session = world.open_session()
        opened(world)
        permit(world.ask(session, "never"))
        owned = lambda known: replace(known, owner="Ana", version=known.version + 1)  # noqa: E731
        administration.change_agent(world.runtime, "bot", owned, BEN).result()
        assert reason(world.ask(session, "never")) is Reason.FORBIDDEN

    def test_two_confirm_at_once_and_one_does(self, open_store: OpenStore) -> None:
        here, there = open_store(), open_store(again=True)
        glass = ask(here)
        found: list[str] = []
        barrier = threading.Barrier(2)

        def confirm(world: World, who: Operator) -> None:
            barrier.wait()
            try:
                found.append(break_glass.confirm(world.runtime, glass.id, who).result().confirmed_by)
            except RemitError as error:
                found.append(error.kind.value)

        threads = [threading.Thread(target=confirm, args=one) for one in ((here, CARL), (there, DORA))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(found)[0] in ("carl", "dora") or "conflict" in found
        started = body_of(here, BreakGlassStarted)
        assert {started.operator, "conflict"} == set(found)
        here.verified()


class TestTime:
    def test_it_ends_by_itself_at_the_decision_and_at_the_act(self, world: World, clock: Clock) -> None:
        session = world.open_session()
        glass = opened(world, minutes=1)
        clock.forward(55)
        given = permit(world.ask(session, "never"))
        assert given.until == glass.until, "no permit outlives it"
        clock.forward(5)
        assert not world.embedded.may_act(given.id)
        world.report(given, session, OutcomeStatus.NOT_PERFORMED)
        assert reason(world.ask(session, "never")) is Reason.FORBIDDEN
        assert overview.status(world.runtime).open == ()

    def test_it_lapses_unless_it_is_confirmed_within_minutes(self, world: World, clock: Clock) -> None:
        glass = ask(world)
        clock.forward(break_glass.CONFIRM_MINUTES * MINUTE)
        fails(lambda: break_glass.confirm(world.runtime, glass.id, CARL).result(), ErrorKind.CONFLICT, "lapsed")
        assert overview.emergencies(world.runtime)[0].stage is Stage.LAPSED

    def test_it_is_good_once(self, world: World, clock: Clock) -> None:
        glass = opened(world, minutes=1)
        fails(lambda: break_glass.confirm(world.runtime, glass.id, DORA).result(), ErrorKind.CONFLICT, "is open")
        clock.forward(61)
        fails(lambda: break_glass.confirm(world.runtime, glass.id, DORA).result(), ErrorKind.CONFLICT, "ask anew")

    def test_whoever_has_a_role_ends_it_in_every_process_at_the_next_act(self, open_store: OpenStore) -> None:
        here, there = open_store(), open_store(again=True)
        session = here.open_session()
        glass = opened(there)
        given = permit(here.ask(session, "never"))
        end(there, glass, BEN)
        assert not here.embedded.may_act(given.id)
        assert reason(here.ask(session, "never")) is Reason.FORBIDDEN
        fails(lambda: end(here, glass), ErrorKind.CONFLICT, "nothing to end")
        here.verified()

    @pytest.mark.parametrize("confirmed", [True, False])
    def test_whoever_has_left_can_only_end_it(self, world: World, confirmed: bool) -> None:
        """Ending is towards safety, as a kill is; all else is done by people who are there."""
        session, left = world.open_session(), Operator("eve", "os")
        closed, glass, waiting = opened(world), ask(world), ask(world)
        end(world, closed)
        if confirmed:
            break_glass.confirm(world.runtime, glass.id, CARL).result()
        tell(world, person(world, "eve", status=PersonStatus.INACTIVE))
        for act in (
            lambda: ask(world, left),
            lambda: break_glass.confirm(world.runtime, waiting.id, left).result(),
            lambda: review(world, closed, left),
        ):
            fails(act, ErrorKind.REFUSED, "`eve` is gone")
        before = len(world.entries())
        assert end(world, glass, left).stage is (Stage.ENDED if confirmed else Stage.WITHDRAWN)
        [ended] = [entry.body for entry in world.entries()[before:] if isinstance(entry.body, BreakGlassEnded)]
        assert (ended.id, ended.operator, ended.verified_by) == (glass.id, "eve", "os"), "by name, on record"
        assert reason(world.ask(session, "never")) is Reason.FORBIDDEN

    def test_a_decision_on_its_way_to_the_disk_is_made_again(self, open_store: OpenStore) -> None:
        here, there = open_store(), open_store(again=True)
        session = here.open_session()
        glass = opened(here)
        submit = here.runtime.appender.submit

        def ending_first(ticket: Any) -> Any:
            here.runtime.appender.submit = submit  # type: ignore[method-assign]
            end(there, glass)
            return submit(ticket)

        here.runtime.appender.submit = ending_first  # type: ignore[method-assign]
        assert reason(here.ask(session, "never")) is Reason.FORBIDDEN

    def test_a_clock_that_is_set_back_gives_no_more_time(self, world: World, clock: Clock) -> None:
        passed = 0
        world.runtime.view.steady = lambda: passed  # type: ignore[method-assign]
        session = world.open_session()
        opened(world, minutes=10)
        given = permit(world.ask(session, "never"))
        passed = 10 * MINUTE * 1_000_000  # ten minutes are over, and the clock was set back by as many: it says what it said
        assert not world.embedded.may_act(given.id)
        assert reason(world.ask(session, "never")) is Reason.FORBIDDEN
        clock.forward(-300)
        assert reason(world.ask(session, "never")) is Reason.CLOCK_BACKWARDS

    def test_nothing_begins_by_a_clock_that_is_behind(self, world: World, clock: Clock) -> None:
        glass = ask(world)
        clock.forward(-2)
        fails(lambda: break_glass.confirm(world.runtime, glass.id, CARL).result(), ErrorKind.UNAVAILABLE, "behind the log")
        fails(lambda: ask(world), ErrorKind.UNAVAILABLE, "behind the log")

    def test_it_is_not_open_where_the_clock_says_it_has_not_begun(self, open_store: OpenStore) -> None:
        """Another machine's clock is behind: it has no more time there than anywhere."""
        behind = Clock(NOON - 300 * 1_000_000)
        here, there = open_store(), open_store(again=True, clock=behind)
        session = here.open_session()
        opened(here, minutes=10)
        assert isinstance(there.ask(session, "never"), Deny)

    def test_what_a_process_that_is_gone_had_opened_ends_when_it_must(self, world: World, clock: Clock) -> None:
        session = world.open_session()
        killed = subprocess.run(
            [sys.executable, "-c", KILLED, str(world.home)], capture_output=True, text=True, timeout=60, check=False
        )
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        glass, waiting = killed.stdout.split()
        assert permit(world.ask(session, "never")).break_glass == glass
        clock.forward(10 * MINUTE)
        assert reason(world.ask(session, "never")) is Reason.FORBIDDEN
        fails(lambda: break_glass.confirm(world.runtime, BreakGlassId(waiting), CARL).result(), ErrorKind.CONFLICT, "lapsed")
        world.verified()


class TestBundle:
    def test_says_how_long_at_most(self, open_store: OpenStore) -> None:
        world = open_store(bundle=small_bundle(manifest=MANIFEST + "break_glass: {minutes: 10, review_days: 2}\n"))
        fails(lambda: ask(world, minutes=11), ErrorKind.MALFORMED, "from 1 to 10")
        fails(lambda: ask(world, minutes=0), ErrorKind.MALFORMED, "from 1 to 10")
        glass = ask(world, minutes=None)
        assert (glass.minutes, glass.review_days) == (10, 2)

    @pytest.mark.parametrize("minutes", [61, -1, "'30'"])
    def test_says_nothing_beyond_an_hour(self, minutes: object) -> None:
        with pytest.raises(RemitError) as error:
            small_bundle(manifest=MANIFEST + f"break_glass: {{minutes: {minutes}}}\n")
        assert error.value.kind is ErrorKind.MALFORMED

    def test_can_allow_none_and_closes_what_is_open(self, world: World) -> None:
        session = world.open_session()
        opened(world)
        waiting = ask(world)
        permit(world.ask(session, "never"))
        world.publish(small_bundle(manifest=MANIFEST + "break_glass: {minutes: 0}\n"))
        assert reason(world.ask(session, "never")) is Reason.FORBIDDEN
        fails(lambda: ask(world), ErrorKind.REFUSED, "allows no break-glass")
        fails(lambda: break_glass.confirm(world.runtime, waiting.id, CARL).result(), ErrorKind.REFUSED, "allows no")

    def test_names_groups_that_are_confirmed_as_their_tools(self, open_store: OpenStore) -> None:
        tools = "- {name: one, groups: [g]}\n- {name: two, groups: [g]}\n- {name: never}\n- {name: nobody}\n"
        policies = '@id("p") permit (principal, action, resource) when { false };'
        world = open_store(bundle=small_bundle(tools=tools, policies=policies, resources=RESOURCES))
        assert ask(world, tools=("group:g",)).tools == ("one", "two")
        fails(lambda: ask(world, tools=("group:h",)), ErrorKind.MALFORMED, "no tool of the published catalogue is in group `h`")

    def test_a_tool_that_nobody_described_is_refused_when_it_is_asked_for(self, world: World) -> None:
        """One that a door has reported is opened as any: what it is can be looked at (`remit tool show`)."""
        session, listed = world.open_session(), sha256(b"{}").hexdigest()
        world.publish(small_bundle(policies=POLICIES + '@id("new") forbid (principal, action, resource == Tool::"extra");'))
        fails(lambda: ask(world, tools=("extra",)), ErrorKind.MALFORMED, "describe it in `tools.yaml` and publish that, then ask")
        assert world.store.break_glasses() == []
        about = {"upstream": "mcp://desk", "definition": listed, "defined": b"{}"}
        assert reason(world.ask(session, "extra", **about)) is Reason.FORBIDDEN
        opened(world, tools=("extra",))
        assert permit(world.ask(session, "extra", **about)).reason is Reason.BREAK_GLASS


class TestReview:
    def test_is_closed_by_a_third_person_and_nobody_else(self, world: World) -> None:
        glass = opened(world)
        fails(lambda: review(world, glass), ErrorKind.CONFLICT, "is open")
        end(world, glass)
        assert [one.id for one in overview.status(world.runtime).unreviewed] == [glass.id]
        for who, words in (
            (ANA, "asked for it"),
            (CARL, "confirmed it"),
            (Operator("dora", "idp"), "nobody can tell"),
            (Operator("bot", "os"), "agent"),
        ):
            fails(lambda who=who: review(world, glass, who), ErrorKind.REFUSED, words)  # type: ignore[misc]
        done = review(world, glass)
        assert (done.stage, done.verdict, done.reviewed_by) == (Stage.REVIEWED, Verdict.JUSTIFIED, "dora")
        fails(lambda: review(world, glass), ErrorKind.CONFLICT, "reviewed")
        assert body_of(world, BreakGlassReviewed).comment == "one call, as needed"
        assert overview.status(world.runtime).unreviewed == ()
        world.verified()
        assert differences(world.store.log, world.store) == []

    def test_is_overdue_after_days(self, world: World, clock: Clock) -> None:
        glass = opened(world, minutes=1)
        clock.forward(MINUTE + 7 * 86_400 - 1)
        assert overview.status(world.runtime).overdue == 0
        clock.forward(1)
        found = overview.status(world.runtime)
        assert found.overdue == 1 and found.unreviewed[0].overdue
        review(world, glass)
        assert overview.status(world.runtime).overdue == 0

    def test_is_of_nothing_that_was_never_open(self, world: World) -> None:
        glass = ask(world)
        assert end(world, glass, CARL).stage is Stage.WITHDRAWN
        fails(lambda: review(world, glass), ErrorKind.CONFLICT, "withdrawn")
        fails(lambda: break_glass.confirm(world.runtime, glass.id, CARL).result(), ErrorKind.CONFLICT, "withdrawn")
        assert body_of(world, BreakGlassEnded).stage == "withdrawn"
        world.verified()


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"reason": " "}, "reason"),
        ({"reason": "two\nlines"}, "reason"),
        ({"incident": ""}, "incident"),
        ({"incident": "x" * 201}, "incident"),
        ({"tools": ()}, "name tools, or resources"),
        ({"tools": ("nver",)}, "did you mean `never`"),
        ({"tools": ("",)}, "printable"),
        ({"tools": (), "resources": ("*",)}, "every resource"),
        ({"tools": (), "resources": ("/",)}, "every resource"),
        ({"tools": (), "resources": tuple(map(str, range(51)))}, "up to 50"),
        ({"task": None}, "one of the two"),
        ({"agent": "bot", "task": "tsk_0"}, "one of the two"),
        ({"agent": "bott"}, "is not registered"),
        ({"task": "tsk_0"}, "there is no task"),
    ],
)
def test_what_cannot_be_asked_for_is_told_so_and_nothing_changes(world: World, asked: dict[str, Any], words: str) -> None:
    with pytest.raises(RemitError) as error:
        ask(world, **asked)
    assert words in error.value.message and error.value.kind in (ErrorKind.MALFORMED, ErrorKind.NOT_FOUND)
    assert world.store.break_glasses() == [] and not [e for e in world.entries() if isinstance(e.body, BreakGlassAsked)]


def test_what_is_not_there_is_not_found(world: World) -> None:
    gone = BreakGlassId("brg_0")
    for act in (break_glass.confirm, break_glass.end):
        fails(lambda act=act: act(world.runtime, gone, CARL).result(), ErrorKind.NOT_FOUND, "brg_0")  # type: ignore[misc]


def test_a_store_that_cannot_say_what_is_open_opens_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    session = world.open_session()
    glass = opened(world)
    given = permit(world.ask(session, "never"))

    def failing(*_: object) -> Any:
        raise unavailable("the disk is gone")

    for name in ("break_glass", "break_glasses"):
        monkeypatch.setattr(world.store, name, failing)
    world.runtime.view._glass = None
    assert reason(world.ask(session, "never")) is Reason.STORE_UNAVAILABLE
    monkeypatch.undo()
    monkeypatch.setattr(world.store, "break_glass", failing)
    kills.kill(world.runtime, KillKind.TOOL, "other", "the revision moves", ANA).result()
    assert not world.embedded.may_act(given.id)
    monkeypatch.undo()
    assert permit(world.ask(session, "never")).break_glass == glass.id


def test_one_that_was_written_into_the_store_alone_is_noticed(world: World) -> None:
    """Whoever writes to the tables opens it; but neither the log nor its verifier know of two people."""
    session: Session = world.open_session()
    glass = ask(world)
    forged = replace(
        glass, stage=Stage.OPEN, version=2, confirmed_by="carl", confirmed_verified_by="os", started=NOON, until=NOON + 10**9
    )
    Driven(lambda: administer(world.runtime, lambda: ([], [PutBreakGlass(forged)]))).result()
    permit(world.ask(session, "never"))
    export = world.home / "forged.export"
    world.embedded.head.export(export, overwrite=False)
    report = verify_export(export, world.embedded.head.vkey)
    assert not report.verified
    assert [one.problem for one in report.findings] == ["break-glass"] and "two people have not opened" in report.findings[
        0
    ].message
    assert [str(one) for one in differences(world.store.log, world.store)] == [
        f"break-glass `{glass.id}`: open in the store, asked by the log"
    ]
    world.tampered = True


def test_the_process_says_that_it_is_open(world: World, caplog: pytest.LogCaptureFixture) -> None:
    opened(world)
    world.ask(world.open_session(), "look")
    assert [record.message for record in caplog.records if "BREAK-GLASS" in record.message and "1800 s" in record.message]


def test_another_bundle_is_asked_what_it_would_have_done(world: World) -> None:
    session = world.open_session()
    opened(world)
    world.perform(session, "never", "x")
    assert world.replayed(small_bundle()).changed == 0
    closed = small_bundle(policies=POLICIES.replace('@id("never")', '@id("never") @break_glass("never")'))
    [change] = world.replayed(closed).changes
    assert (change.before.reason, change.after.effect, change.after.reason) == ("break-glass", "deny", "forbidden")
    open_ = small_bundle(policies=POLICIES.replace('@id("never") forbid', '@id("never") permit'))
    assert world.replayed(open_).changed == 0, "it would have passed either way"


def test_what_could_not_be_written_is_not_open(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    session, glass = world.open_session(), ask(world)

    @contextmanager
    def full() -> Iterator[Any]:
        raise CommitFailed("the disk is full", poisons=False)
        yield

    monkeypatch.setattr(world.store.groups, "transaction", full)
    fails(lambda: break_glass.confirm(world.runtime, glass.id, CARL).result(), ErrorKind.UNAVAILABLE, "the disk is full")
    monkeypatch.undo()
    assert reason(world.ask(session, "never")) is Reason.FORBIDDEN
    assert break_glass.confirm(world.runtime, glass.id, CARL).result().stage is Stage.OPEN, "it can be tried again"
    world.verified()
