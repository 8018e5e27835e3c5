"""Rego in this process: answers read strictly, and what the engine is known to misread refused."""

import functools
import json
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remit.model.decision import Reason
from remit.pap.problems import BundleError
from remit.pdp.answer import EngineAnswer, together
from remit.pdp.arguments import Unrepresentable
from remit.pdp.rego.engine import RegoPolicies
from remit.pdp.rego.reading import Unreadable, canonical, read_answer
from remit.runtime.emergency import break_glass
from tests.conftest import OpenStore
from tests.opa import binary
from tests.rego.bundles import HEAD, made, regopy
from tests.runtime.world import ANA, CARL, permit, reason


@pytest.fixture(autouse=True, scope="module")
def _engine() -> None:
    regopy()


def answer(policies: str, document: dict[str, Any]) -> EngineAnswer:
    text = RegoPolicies({"main.rego": HEAD + policies}).evaluate(json.dumps(document, ensure_ascii=False).encode())
    return read_answer(text)


BOTH = 'permit contains {"id": "p"} if input.a\nforbid contains {"id": "f", "requestable": "one"} if input.b\n'


@pytest.mark.parametrize(
    ("document", "allowed", "reasons"),
    [({}, False, ()), ({"a": True}, True, ("p",)), ({"a": True, "b": 1}, False, ("f",)), ({"b": 1}, False, ("f",))],
)
def test_a_forbid_outranks_every_permit(document: dict[str, Any], allowed: bool, reasons: tuple[str, ...]) -> None:
    found = answer(BOTH, document)
    assert (found.allowed, found.reasons, found.errors) == (allowed, reasons, ())
    assert set(found.annotations) == set(reasons)


def test_two_people_open_what_rego_forbids_unless_it_says_never(open_store: OpenStore) -> None:
    rules = """permit contains {"id": "p", "obligation": "limit-result:8"} if true
forbid contains {"id": "f"} if true
forbid contains {"id": "g", "break_glass": "never"} if input.resource.id == "shut"
"""
    files = {"tools.yaml": "- {name: queue}\n- {name: shut}\n", "policies/main.rego": HEAD + rules}
    world = open_store(bundle=made(files))
    session = world.open_session()
    asking = break_glass.EmergencyRequest("stuck", "INC-7", agent="bot", tools=("queue", "shut"))
    glass = break_glass.ask(world.runtime, asking, ANA).result()
    break_glass.confirm(world.runtime, glass.id, CARL).result()
    [duty] = permit(world.ask(session, "queue")).obligations
    assert (duty.type, duty.argument, duty.policy) == ("limit-result", "8", "p"), "what the permit that was beaten asks for"
    assert reason(world.ask(session, "shut")) is Reason.FORBIDDEN
    world.verified()


@pytest.mark.parametrize(
    "policies",
    [
        'permit contains {"id": "p"} if true\n',  # no forbid
        'forbid contains {"id": "f"} if true\n',  # no permit
        'permit := true\nforbid := set()\n',
        'permit contains "p" if true\nforbid := set()\n',
        'permit contains {"name": "p"} if true\nforbid := set()\n',
        'permit contains {"id": ""} if true\nforbid := set()\n',
        'permit contains {"id": "p", "more": "x"} if true\nforbid := set()\n',
        'permit contains {"id": 5} if true\nforbid := set()\n',
        'permit contains {"id": "p"} if true\nforbid contains {"id": "f"} if to_number("x") > 1\n',  # a builtin that fails
        'permit contains {"id": "p"} if 1 / input.zero > 0\nforbid := set()\n',
    ],
)  # fmt: skip
def test_what_is_no_answer_is_an_error(policies: str) -> None:
    with pytest.raises(Unreadable):
        answer(policies, {"zero": 0})


def test_rules_that_contradict_each_other_are_an_error() -> None:
    with pytest.raises(Unreadable):
        answer(
            'level := 1 if input.a\nlevel := 2 if input.b\npermit contains {"id": "p"} if level == 1\nforbid := set()\n',
            {"a": 1, "b": 1},
        )


def test_one_id_that_says_two_things_is_an_error() -> None:
    found = answer(
        'permit contains {"id": "p"} if true\npermit contains {"id": "p", "obligation": "deadline:5"} if true\nforbid := set()\n',
        {},
    )
    assert not found.allowed and "two things" in found.errors[0]


def test_the_old_syntax_for_sets_is_no_answer() -> None:
    with pytest.raises(Unreadable):
        RegoPolicies({"m.rego": 'package remit\npermit[{"id": "p"}] { true }\nforbid[{"id": "f"}] { false }\n'}).evaluate(b"{}")


@pytest.mark.parametrize(
    "value", ["a\nb", 'say "hi"', "back\\slash", "nul\x00byte", "\x1f", 2**63, -(2**63) - 1, [{"deep": "a\tb"}], {'k"ey': 1}]
)
def test_what_the_engine_misreads_is_refused(value: object) -> None:
    with pytest.raises(Unrepresentable):
        answer(BOTH, {"a": value})


SAFE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.integers(-(10**12), 10**12).map(lambda n: n / 10_000)
    | st.text(st.characters(exclude_characters='"\\', min_codepoint=32, exclude_categories=["Cs"]), max_size=20),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(st.characters(exclude_characters='"\\', min_codepoint=32, exclude_categories=["Cs"]), max_size=8), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@functools.cache
def _same() -> RegoPolicies:
    """Tells by its answer whether two values are the same to the engine."""
    rules = ('permit contains {"id": "same"} if input.a == input.b', 'forbid contains {"id": "less"} if input.a < input.b')
    return RegoPolicies({"m.rego": HEAD + "\n".join(rules) + "\n"})


@settings(max_examples=400, deadline=None)
@given(SAFE, SAFE)
def test_values_cross_the_boundary_whole(one: object, other: object) -> None:
    text = json.loads(_same().evaluate(json.dumps({"a": one, "b": one}, ensure_ascii=False).encode()))
    assert text == {"permit": [{"id": "same"}], "forbid": []}
    text = json.loads(_same().evaluate(json.dumps({"a": one, "b": other}, ensure_ascii=False).encode()))
    assert bool(text["permit"]) == _equal(one, other)


def _equal(one: object, other: object) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    return one == other


def test_threads_do_not_see_each_others_requests() -> None:
    policies = RegoPolicies({"m.rego": HEAD + 'permit contains {"id": input.name} if true\nforbid := set()\n'})
    wrong: list[str] = []

    def ask(name: str) -> None:
        for _ in range(50):
            if read_answer(policies.evaluate(json.dumps({"name": name}).encode())).reasons != (name,):
                wrong.append(name)

    threads = [threading.Thread(target=ask, args=(f"agent-{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    "result", [None, [], {}, {"permit": []}, {"permit": [], "forbid": {}}, {"permit": [{"id": "a\nb"}], "forbid": []}]
)
def test_what_a_server_may_send_is_read_as_strictly(result: object) -> None:
    with pytest.raises(Unreadable):
        canonical(result)


def test_an_answer_that_was_changed_denies() -> None:
    for text in (b"", b"{}", b'{"permit":[],"forbid":[],"more":1}', b'{"permit":[{"id":1}],"forbid":[]}'):
        assert not read_answer(text).allowed and read_answer(text).errors


PERMIT, FORBID, NEITHER = EngineAnswer(True, ("p",), ()), EngineAnswer(False, ("f",), ()), EngineAnswer(False, (), ())
BROKEN = EngineAnswer(False, (), ("broken",))


def test_two_engines_together() -> None:
    other = EngineAnswer(True, ("q",), ())
    assert together(PERMIT, NEITHER) == together(NEITHER, PERMIT) == PERMIT
    assert together(PERMIT, FORBID) == together(FORBID, PERMIT) == FORBID
    assert together(PERMIT, other).reasons == ("p", "q") and together(PERMIT, other).allowed
    assert together(NEITHER, NEITHER) == NEITHER
    assert together(PERMIT, BROKEN).errors == ("broken",)
    assert "two languages" in together(PERMIT, PERMIT).errors[0]


def test_both_languages_in_one_bundle() -> None:
    from remit.pap.reading.cases import read_cases
    from remit.pap.running import run_cases

    cases = """
- name: cedar permits, rego forbids what is large
  agent: {id: bot}
  task: {purpose: Count}
  steps:
    - {call: count, arguments: {n: 5}, expect: {decision: permit, policies: [counting]}}
    - {call: count, arguments: {n: 50}, expect: {decision: deny, reason: forbidden, requestable: false, policies: [large]}}
    - {call: measure, arguments: {n: 50}, expect: {decision: permit, policies: [measuring], obligations: ["deadline:5"]}}
    - {call: else, expect: {decision: deny, reason: no-permit}}
"""
    files = {
        "policies/a.cedar": '@id("counting")\npermit (principal, action == Action::"tool.call", resource == Tool::"count");\n',
        "policies/b.rego": HEAD
        + 'permit contains {"id": "measuring", "obligation": "deadline:5"} if input.resource.id == "measure"\n'
        + 'forbid contains {"id": "large"} if { input.resource.id == "count"; input.context.args.n > 10 }\n',
        "tools.yaml": '[{"name": "count"}, {"name": "measure"}, {"name": "else"}]',
        "cases/a.yaml": cases,
    }
    bundle = made(files)
    results = list(run_cases(bundle, read_cases(bundle)))
    assert [result.failures for result in results] == [()]


def test_an_engine_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "regopy", None)
    with pytest.raises(BundleError, match=r"remit\[rego\]"):
        made(BOTH.replace("input.a", "true").replace("input.b", "false"))


def test_opa_accepts_what_these_tests_take_for_rego(tmp_path: Any) -> None:
    import subprocess

    file = tmp_path / "main.rego"
    file.write_text(HEAD + BOTH)
    assert subprocess.run([binary(), "check", "--strict", str(file)], check=False).returncode == 0
