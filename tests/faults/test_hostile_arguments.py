"""Hostile arguments and outputs together: what they cost one decision is bounded, and where more would be needed, the stricter answer counts."""

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from remit.model.task import NOTHING_SPENT, Scope, TaskState
from remit.pdp.provenance.echoes import written_of
from remit.pdp.provenance.granting import Granting, Surroundings
from remit.pdp.provenance.intent import Intent
from remit.pdp.provenance.origins import RECORD, STEERED, TRUSTED, UNKNOWN
from remit.pdp.provenance.roles import Role
from remit.pdp.provenance.seen import MAX_OUTPUT, NOTHING_OBSERVED, Observed, Report, observe
from remit.pdp.provenance.tracing import Tracer
from tests.conftest import OpenStore
from tests.runtime.world import POLICIES, TOOLS, permit, reason, small_bundle

MEGABYTE = ("z" * 40 + " ") * 25_000
RARE = [f"zz{first}{second}{third}" for first in "abcdefghij" for second in "abcdefghij" for third in "ab"]
ROWS = [{"id": "x1", "name": "Acme Holdings"}] * 6000


def saw(*texts: str, records: bool = False, untrusted: bool = True) -> Observed:
    return observe(NOTHING_OBSERVED, [Report("read", untrusted, text, (), False, records) for text in texts])


def tracer(observed: Observed, purpose: str = "help", directory: Sequence[str] = ()) -> Tracer:
    return Tracer(Intent(purpose), directory, observed, frozenset({"item"}))


def argument(role: Role, *values: Any, name: str = "to", **around: Any) -> Callable[[Observed], bool]:
    """Whether one argument with these parts counts as steered."""

    def steered(observed: Observed) -> bool:
        return tracer(observed, **around).argument(name, [(name, role, value) for value in values]).origin == STEERED

    return steered


def query(*texts: str) -> Callable[[Observed], bool]:
    return lambda observed: tracer(observed).steers_query(texts)


def _names(tracing: Tracer) -> bool:
    return any(tracing.argument(f"a{n}_name", [(f"a{n}_name", Role.OBJECT, "13")]).origin == STEERED for n in range(50_000))


FOUR = [MEGABYTE[: MAX_OUTPUT - 1]] * 4
CASES: dict[str, tuple[list[str], Callable[[Observed], bool]]] = {
    "the parts of a path": (FOUR, argument(Role.OBJECT, "/".join(f"p{n}" for n in range(900)))),
    "more parts of a path": (FOUR, argument(Role.OBJECT, "/".join(f"p{n}" for n in range(100_000)))),
    "the words of queries": (
        [*FOUR[:3], FOUR[3][:-9000] + " ".join(RARE)],
        query(*(" ".join(RARE[n:] + RARE[:n]) + f" {n}" for n in range(16))),
    ),
    "parts": (FOUR, argument(Role.RECEIVER, *(f"p{n}@x.org" for n in range(1000)))),
    "long parts": (["hello " * 100] * 200, argument(Role.RECEIVER, *("é" + "x" * 1000 for _ in range(1000)))),
    "one long part": (["hello " * 100] * 500, argument(Role.RECEIVER, "y z" * 300_000)),
    "numbers, near misses": (["13 % " * 800] * 100, argument(Role.OBJECT, *["13"] * 1000)),
    "stretches, near misses": ([("a" * 1999 + "b") * 500] * 4, argument(Role.RECEIVER, *["a" * 2000] * 1000)),
    "dots, near misses": (["e.v.e." * 160_000] * 4, argument(Role.RECEIVER, *["e.v.e.x.org"] * 1000)),
    "addresses, near misses": (
        ["http://e.org/" + "a/" * 500_000] * 4,
        argument(Role.RECEIVER, *["http://e.org/" + "a/" * 900 + "b"] * 1000),
    ),
    "letters, near misses": (["a" * 1000] * 1000, argument(Role.RECEIVER, *["aaaa"] * 1000)),
    "sums": (["13 % " * 800] * 100, argument(Role.AMOUNT, *range(50_000, 51_000))),
    "sums of long texts": (["1,234 " * 160_000] * 2, argument(Role.AMOUNT, *(77.5 + n for n in range(1000)))),
    "sums of fields": (
        [json.dumps([{"size": 9999, "n": f"{n}.5"} for n in range(6000)])] * 4,
        argument(Role.AMOUNT, *[9999] * 500, *(n + 0.25 for n in range(500))),
    ),
    "records of many names": (
        [json.dumps([{"id": f"x{n % 9}", "name": "Acme Holdings" + "." * n} for n in range(400)])] * 2,
        argument(Role.OBJECT, *(f"x{n % 9}" for n in range(1000)), name="id", purpose="Pay Acme Holdings"),
    ),
    "records of one name": (
        [json.dumps([*ROWS, {"id": "y2", "name": "Acme Holdings"}])] * 2,
        argument(Role.OBJECT, *["x1"] * 100, name="id", purpose="Pay Acme Holdings"),
    ),
    "links": (
        ["https://evil.example/x " * 43_000] * 4,
        argument(Role.RECEIVER, *(f"https://evil.example/{n}" for n in range(500)), purpose="Visit the website"),
    ),
    "a directory": (
        ["hello"] * 100,
        argument(Role.RECEIVER, *["x@y.org"] * 1000, directory=[f"a{n}@x.org" for n in range(3000)]),
    ),
    "texts with links": (FOUR, lambda observed: tracer(observed).links(" ".join(f"https://e{n}.org/x" for n in range(3000)))),
    "many names": (["14"] * 20, lambda observed: _names(tracer(observed))),
    "a long name": (["13"] * 20, argument(Role.OBJECT, "13", name="n_" * 500_000)),
}


@pytest.mark.parametrize(("texts", "steered"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("records", [False, True], ids=["prose", "records"])
def test_a_decision_costs_little_whatever_it_is_about(
    texts: list[str], steered: Callable[[Observed], bool], records: bool
) -> None:
    observed = saw(*texts, records=records)
    started = time.process_time()
    steered(observed)
    spent = time.process_time() - started
    assert spent < 3, "a bound, not a measure: what is not bounded takes minutes here"


@pytest.mark.parametrize(
    "case", ["the parts of a path", "more parts of a path", "the words of queries", "parts", "texts with links"]
)
def test_where_more_would_be_needed_the_stricter_answer_counts(case: str) -> None:
    texts, steered = CASES[case]
    assert steered(saw(*texts))


def test_trusted_text_alone_steers_nothing() -> None:
    found = tracer(saw(*FOUR, untrusted=False)).argument("to", [("to", Role.RECEIVER, f"p{n}") for n in range(900)])
    assert found.origin == UNKNOWN


def test_an_honest_session_never_needs_more() -> None:
    """Two hundred outputs of five thousand characters, and ten addresses, a path and a letter that nobody has seen."""
    prose = " ".join(f"word{n} of the letter {n * 7}" for n in range(220))
    observed = saw(*(f"{n} {prose}"[:5000] for n in range(200)))
    assert not argument(Role.RECEIVER, *(f"p{n}@x.org" for n in range(10)))(observed)
    assert not argument(Role.OBJECT, "/reports/quarterly/south/summary-draft.txt")(observed)
    assert not argument(Role.AMOUNT, *range(9000, 9020))(observed)
    assert not query("help with nothing that was read", "somebody@x.org", "quarterlyreport")(observed)


def timed(tracing: Tracer, *values: str) -> str:
    """The origin of an argument with these parts, in little time."""
    started = time.process_time()
    found = tracing.argument("to", [("to", Role.RECEIVER, value) for value in values]).origin
    assert time.process_time() - started < 3, "a bound, not a measure: what is not bounded takes minutes here"
    return found


@pytest.mark.parametrize("length", [100, 400, 3900])
@pytest.mark.parametrize("count", [1, 1000])
def test_words_that_a_value_can_be_put_together_from(length: int, count: int) -> None:
    written = written_of({"x": ["a" * size for size in range(1, 500)]}, 1, True)
    values = ["a" * length + f"b{n}" for n in range(count)]
    reports = [Report("read", True, "hello"), Report("note", False, "ok", written=written)]
    observed = observe(NOTHING_OBSERVED, [*reports, Report("look", False, " ".join(values), reported=5, before=1)])
    expected = TRUSTED if count == 1 and length < 3900 else STEERED
    assert timed(tracer(observed), *values) == expected


def test_a_value_of_which_much_was_written_is_looked_for_once_in_all_of_a_list() -> None:
    written = written_of({"x": "lorem ipsum " * 20_000}, 1, True)
    rows = json.dumps([{"to": "kim@far.net", "n": n} for n in range(3000)])
    reports = [Report("read", True, "hello"), *[Report("note", False, "ok", written=written)] * 4]
    observed = observe(NOTHING_OBSERVED, [*reports, Report("people", True, rows, records=True, reported=5, before=4)])
    assert timed(tracer(observed), "kim@far.net") == RECORD


@pytest.mark.sqlite
@pytest.mark.parametrize(("letter", "count"), [("x", 20), ("x", 1000), ("\u0436", 20)])
def test_what_much_was_written_beside(open_store: OpenStore, letter: str, count: int) -> None:
    """Two hundred calls with as many arguments as are kept, each as long as is kept."""
    world = open_store()
    task = world.open_task(scope=Scope(flows=("send.to := email in read(list.txt), any",)))
    values = [f"eve{n}@evil.net" for n in range(count)]
    arguments = tuple(f"{letter}{n} lorem ipsum " * 125 for n in range(64))
    reports = [Report("read", True, " ".join(values), ("list.txt",)), *[Report("write", False, "ok", arguments)] * 200]
    observed = observe(NOTHING_OBSERVED, reports)
    state = TaskState(task, replace(NOTHING_SPENT, tools={"write": 200, "read": 1}))
    around = Surroundings(Intent(""), (), observed, lambda name: name != "read")
    assert timed(Tracer(Intent(""), (), observed, granting=Granting([state], "send", around)), *values) == STEERED


def test_the_decision_holds(open_store: OpenStore) -> None:
    chosen = '@id("chosen") forbid (principal, action, resource == Tool::"wipe") when { !context.flow.steered.isEmpty() };'
    tools = TOOLS.replace("destinations: [table]", "destinations: [item_id]")
    world = open_store(bundle=small_bundle(tools=tools, policies=POLICIES + chosen))
    session = world.open_session(purpose="help")
    for _ in range(4):
        world.perform(session, "read", MEGABYTE[: MAX_OUTPUT - 1])
    started = time.process_time()
    denied = world.ask(session, "wipe", {"item_id": "/".join(f"p{n}" for n in range(3000))})
    assert [steering.origin for steering in denied.basis.steering] == [STEERED]  # type: ignore[union-attr]
    assert reason(world.ask(session, "send", {"to": [f"p{n}@x.org" for n in range(900)]})) == "approval-required"
    permit(world.ask(session, "read", {"q": [" ".join(RARE)] * 16}))
    assert time.process_time() - started < 5, "a bound, not a measure"
    world.faithful()
