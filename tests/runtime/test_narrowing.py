"""A scope or budget that is asked for never reaches beyond what is above it; task types bind only here, so this must hold alone."""

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remit.model.decision import Permit
from remit.model.errors import ErrorKind, RemitError
from remit.model.identity import EntityRef
from remit.model.labels import Confidentiality
from remit.model.task import Amount, Budgets, Scope
from remit.runtime.narrowing import narrow_budgets, narrow_scope
from remit.runtime.tasks import AgentOpener, Opening, open_task
from tests.conftest import OpenStore
from tests.runtime.world import World, asked, small_bundle

PIECES = st.sampled_from(["/", "a", "b", "*", "/a", "/b/", "a*", "."])
PATTERNS = st.lists(PIECES, min_size=1, max_size=4).map(lambda parts: "/" + "".join(parts).lstrip("/"))
PATHS = st.lists(st.sampled_from(["a", "b", "aa", "ab", "."]), min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))
TUPLES = st.none() | st.lists(PATTERNS, max_size=3).map(tuple)


def covers(pattern: str, path: str) -> bool:
    """As a scope's patterns are documented: `*` any text, a trailing `/` a folder."""
    return path.startswith(pattern) or path == pattern[:-1] if pattern.endswith("/") else fnmatchcase(path, pattern)


@given(TUPLES, st.lists(TUPLES, max_size=3), st.lists(PATHS, min_size=1, max_size=8))
def test_a_narrowed_scope_covers_nothing_that_is_outside_above(
    wanted: tuple[str, ...] | None, above: list[tuple[str, ...] | None], paths: list[str]
) -> None:
    try:
        narrowed = narrow_scope(Scope(resources=wanted), [Scope(resources=bound) for bound in above]).resources
    except RemitError as error:
        assert error.kind is ErrorKind.REFUSED
        return
    for path in paths:
        if narrowed is None or any(covers(pattern, path) for pattern in narrowed):
            for bound in above:
                assert bound is None or any(covers(pattern, path) for pattern in bound), (path, bound)


@given(
    st.lists(st.sampled_from(["read", "send", "group:x"]), max_size=3).map(tuple),
    st.lists(st.sampled_from(["read", "group:x"]), max_size=2).map(tuple),
)
def test_tools_are_narrowed_by_name(wanted: tuple[str, ...], bound: tuple[str, ...]) -> None:
    if set(wanted) <= set(bound):
        assert narrow_scope(Scope(tools=wanted), [Scope(tools=bound)]).tools == wanted
    else:
        with pytest.raises(RemitError):
            narrow_scope(Scope(tools=wanted), [Scope(tools=bound)])


@given(st.sampled_from([None, *Confidentiality]), st.sampled_from([None, *Confidentiality]))
def test_confidentiality_only_goes_down(wanted: Confidentiality | None, bound: Confidentiality | None) -> None:
    try:
        narrowed = narrow_scope(Scope(confidentiality=wanted), [Scope(confidentiality=bound)]).confidentiality
    except RemitError:
        assert wanted is not None and bound is not None and wanted.rank > bound.rank
        return
    assert bound is None or (narrowed is not None and narrowed.rank <= bound.rank)


AMOUNTS = st.dictionaries(st.sampled_from(["a.n", "b.n"]), st.integers(0, 10).map(Amount), max_size=2)
BUDGETS = st.builds(
    Budgets, st.none() | st.integers(0, 10), st.dictionaries(st.sampled_from(["a", "b"]), st.integers(0, 10), max_size=2), AMOUNTS
)


@given(BUDGETS, st.lists(BUDGETS, max_size=3))
def test_a_budget_is_the_smallest_of_all(wanted: Budgets, above: list[Budgets]) -> None:
    narrowed = narrow_budgets(wanted, above)
    for bound in (wanted, *above):
        assert bound.calls is None or (narrowed.calls is not None and narrowed.calls <= bound.calls)
        assert all(narrowed.tools[tool] <= limit for tool, limit in bound.tools.items())
        assert all(narrowed.amounts[key] <= limit for key, limit in bound.amounts.items())


TYPES = """
- {name: mailing, agent_may_open: true, seconds: 600, scope: {destinations: ['@corp.com'], tools: [send], resources: ['/data/*']}, budgets: {calls: 3}}
- {name: closed, scope: {tools: [send]}}
"""


@pytest.fixture
def typed(open_store: OpenStore) -> World:
    """The small bundle with two task types."""
    return open_store(bundle=small_bundle(task_types=TYPES))


@pytest.mark.parametrize("destination", [
    "https://evil.com/@corp.com", "evil.com,a@corp.com", "evil.com?x=@corp.com", "@evil.com", "a@corp.com.evil.com", "x <evil.com> @corp.com", "*", "@",
    "@corp.com.evil.com", "a@evil.com@corp.com",
])  # fmt: skip
def test_an_agent_cannot_name_a_destination_beyond_its_task_type(typed: World, destination: str) -> None:
    """A type is not asked again at each call: what its tasks declare is all that binds them."""
    opening = Opening("bot", "send it", type="mailing", scope=Scope(destinations=(destination,)))
    try:
        task = open_task(typed.runtime, opening, AgentOpener(typed.store.agents()[0].id)).result()
    except RemitError as error:
        assert error.kind is ErrorKind.REFUSED
        return
    session = typed.open_session(task)
    assert not isinstance(typed.embedded.evaluate(asked(session, "send", {"to": destination})).result(), Permit)


@pytest.mark.parametrize("destination", ["a@corp.com", "A@Corp.com", "@corp.com"])
def test_it_can_name_one_within(typed: World, destination: str) -> None:
    opening = Opening("bot", "send it", type="mailing", scope=Scope(destinations=(destination,)))
    task = open_task(typed.runtime, opening, AgentOpener(typed.store.agents()[0].id)).result()
    assert task.scope == Scope(("send",), ("/data/*",), (destination,))
    assert isinstance(typed.ask(typed.open_session(task), "send", {"to": "a@corp.com"}), Permit)


def test_a_type_bounds_time_budget_and_who_may_open_it(typed: World) -> None:
    agent = AgentOpener(typed.store.agents()[0].id)
    task = open_task(typed.runtime, Opening("bot", "send it", type="mailing"), agent).result()
    assert task.expires == task.opened + 600 * 1_000_000 and task.budgets.calls == 3 and not task.purpose_trusted
    for opening in (
        Opening("bot", "send it", type="mailing", seconds=601),
        Opening("bot", "send it", type="closed"),
        Opening("bot", "send it"),
        Opening("bot", "send it", type="mailing", scope=Scope(tools=("send", "pay"))),
        Opening("bot", "send it", type="mailing", scope=Scope(resources=("/etc/*",))),
        Opening("bot", "send it", type="unheard-of"),
    ):
        with pytest.raises(RemitError):
            open_task(typed.runtime, opening, agent).result()


def test_a_tool_outside_of_the_type_is_outside_of_the_task(typed: World) -> None:
    session = typed.open_session(type="mailing")
    denied = typed.ask(session, "pay", {"to": "a@corp.com"})
    assert denied.reason.value == "outside-scope"
    elsewhere = typed.ask(session, "", action="file.read", resource=EntityRef("File", "/etc/passwd"))
    assert elsewhere.reason.value == "outside-scope"
