"""What a tool that nobody annotated says of itself can make it count as worse, never as better; and it is told apart with some sense."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remit.model.decision import Deny, Permit
from remit.model.hints import Hints
from remit.model.identity import Agent, AgentId, DecisionId, EntityRef, SessionId, TaskId
from remit.model.labels import PUBLIC_TRUSTED
from remit.model.request import TOOL_CALL, EvaluationRequest, Tier
from remit.model.task import Session, Task, TaskState
from remit.model.tool import UNANNOTATED, Annotations, Reach, Tool, ToolEffect
from remit.model.values import freeze
from remit.pdp.decide import decide
from remit.pdp.hints import counted, raised
from remit.pdp.inputs import Inputs
from remit.pdp.speaking import MAX_TEXT, spoken_effect
from remit.pdp.tier import tier_of, tier_of_annotations
from tests.pdp.hint_strategies import ANNOTATIONS, COMPILED, HINTS, bundle_with

E = ToolEffect
WORDS = st.sampled_from(
    "delete get the and to files run runs deleted of , . or grant access shell send be remove email orders list drop off can users".split()  # noqa: SIM905
)
TEXTS = st.lists(WORDS, max_size=8).map(" ".join) | st.text(max_size=30)
NAMES = st.lists(WORDS, min_size=1, max_size=4).map("_".join) | st.text(min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("name", "description", "effect"),
    [
        ("delete_file", "", E.DELETE), ("cartRemoveProduct", "", E.DELETE), ("cleanup", "Lists files and deletes the old ones.", E.DELETE),
        ("tidy", "The account will be deleted.", E.DELETE), ("x", "Use this to permanently store, or purge, a record.", E.DELETE),
        ("python", "Executes code.", E.EXECUTE), ("bash", "", E.EXECUTE), ("run_query", "", E.EXECUTE), ("x", "Run a command.", E.EXECUTE),
        ("add_user_role", "", E.GRANT), ("x", "Can grant guests access to the house.", E.GRANT), ("GrantGuestAccess", "", E.GRANT),
        ("send_money", "", E.SPEND), ("pay", "", E.SPEND), ("post_message", "", E.SEND), ("create_event", "", E.WRITE),
        ("get_file", "", E.READ), ("list_deleted_files", "Returns what was deleted.", E.READ), ("list_runs", "Lists jobs, runs and drops.", E.READ),
        ("get_drop_off", "Gets the place.", E.READ), ("get_order", "", E.READ), ("search_contacts_by_email", "Finds people.", E.READ),
        ("list_roles", "", E.READ), ("weather", "", None), ("", "", None), ("löschen", "Löscht alles.", None),
        ("x", "y" * (MAX_TEXT + 1), E.EXECUTE),
    ],
)  # fmt: skip
def test_what_is_spoken_of(name: str, description: str, effect: ToolEffect | None) -> None:
    assert spoken_effect(name, description) is effect


def tier(tool: Tool, hints: Hints) -> Tier:
    return tier_of_annotations(counted(tool, hints))


@given(NAMES, TEXTS, ANNOTATIONS, HINTS)
@settings(max_examples=600, deadline=None)
def test_no_word_lowers_a_tier(name: str, description: str, annotations: Annotations, hints: Hints) -> None:
    tool = Tool(name, annotations, description=description)
    found, silent = counted(tool, hints), counted(Tool("x", annotations), hints)
    assert tier_of_annotations(found).rank >= tier_of_annotations(silent).rank >= 0
    assert tier_of_annotations(found).rank >= tier_of_annotations(annotations).rank
    if annotations.complete and not hints:
        assert found is annotations and not raised(tool, hints), "what somebody annotated stands"
    if not annotations.complete:
        assert tier_of_annotations(found).rank >= Tier.HIGH.rank
        assert (found.effect, found.complete) in ((annotations.effect, False), (None, False))


@given(
    NAMES, TEXTS, st.sampled_from([(), ("read",)]), st.dictionaries(st.sampled_from(["to", "n"]), st.text(max_size=5), max_size=2)
)
@settings(max_examples=300, deadline=None)
def test_no_word_lets_anything_pass_under_the_baseline(
    name: str, description: str, sources: tuple[str, ...], arguments: dict[str, str]
) -> None:
    agent = Agent(AgentId("bot"), "ben", "helps")
    task = Task(TaskId("t"), agent.id, "delete the files, run it", "ana", "ana", 0, 10**12)
    label = PUBLIC_TRUSTED if not sources else Tool("read").output_label
    session = Session(SessionId("s"), task.id, agent.id, label)

    def asked(bundle: object, tool: str) -> object:
        request = EvaluationRequest(agent.ref, TOOL_CALL, EntityRef("Tool", tool), freeze(arguments), task.id, session.id)
        return decide(Inputs(bundle, request, agent, 1, DecisionId("d"), (TaskState(task),), session=session)).decision  # type: ignore[arg-type]

    if isinstance(asked(bundle_with(UNANNOTATED, name, description), name), Permit):
        assert isinstance(asked(bundle_with(UNANNOTATED, "x"), "x"), Permit)


def test_a_tool_that_is_in_no_catalogue_is_told_by_its_name() -> None:
    for name, expected in (("delete_all", Tier.CRITICAL), ("get_all", Tier.HIGH), ("weather", Tier.HIGH)):
        assert tier_of(COMPILED, TOOL_CALL, EntityRef("Tool", name), PUBLIC_TRUSTED) is expected
    unreached = Tool("x", Annotations(E.DELETE))
    assert tier(unreached, Hints()) is Tier.CRITICAL and tier(Tool("delete_x", Annotations(E.READ)), Hints()) is Tier.HIGH
    assert tier(Tool("delete_x", Annotations(E.READ, Reach.INTERNAL)), Hints()) is Tier.MODERATE


def test_a_denial_says_why_it_is_critical() -> None:
    agent = Agent(AgentId("bot"), "ben", "helps")
    task = Task(TaskId("t"), agent.id, "look", "ana", "ana", 0, 10**12)
    session = Session(SessionId("s"), task.id, agent.id)
    request = EvaluationRequest(agent.ref, TOOL_CALL, EntityRef("Tool", "purge"), freeze({}), task.id, session.id)
    denied = decide(Inputs(bundle_with(None), request, agent, 1, DecisionId("d"), (TaskState(task),), session=session)).decision
    assert isinstance(denied, Deny) and "nobody has annotated it, and it speaks of deleting" in denied.message
