"""What Rego cannot be relied on for is refused when it is read: nothing of a policy may silently not hold."""

import pytest

from remit.pap.problems import BundleError, Problem
from remit.pap.rego.builtins import IN_PROCESS, REFUSED
from remit.pap.validate import check
from tests.rego.bundles import ALL, HEAD, made, regopy

pytestmark = pytest.mark.usefixtures("_engine")
FREE = 'permit contains {"id": "p"} if true\n'


@pytest.fixture(scope="module")
def _engine() -> None:
    regopy()


def refused(policies: str | dict[str, str], data: str = "", **manifest: object) -> list[Problem]:
    with pytest.raises(BundleError) as caught:
        made(policies, data, **manifest)
    return list(caught.value.problems)


@pytest.mark.parametrize(
    ("rule", "code", "line", "says"),
    [
        ('forbid contains {"id": "f"} if net.cidr_contains("10.0.0.0/8", input.context.args.ip)', "rego-builtin", 6, "`net.cidr_contains`"),
        ('forbid contains {"id": "f"} if opa.runtime().env.HOME', "rego-builtin", 6, "`opa.runtime`"),
        ('forbid contains {"id": "f"} if time.now_ns() > 1', "rego-builtin", 6, "`time.now_ns`"),
        ('forbid contains {"id": "f"} if rand.intn("x", 2) == 1', "rego-builtin", 6, "`rand.intn`"),
        ('forbid contains {"id": "f"} if http.send({"method": "get", "url": "http://127.0.0.1:1/"}).body', "rego-builtin", 6, "`http.send`"),
        ('forbid contains {"id": "f"} if print("x")', "rego-builtin", 6, "`internal.print`"),
        ('forbid contains {"id": "f"} if { some x in numbers.range(1, 1000000000); x == 5 }', "rego-builtin", 6, "`numbers.range`"),
        ('forbid contains {"id": "f"} if nosuch(input.subject.id)', "rego-undefined", 6, "`nosuch`"),
        ('forbid contains {"id": "f"} if unknown > 5', "rego-undefined", 6, "nothing defines"),
        ('forbid contains {"id": "f"} if data.lists.blocked == input.subject.id', "rego-undefined", 6, "`data.lists`"),
        ('forbid contains {"id": "f"} if input.context.sesion.untrusted', "rego-input", 6, "`input.context.sesion`"),
        ('forbid contains {"id": "f"} if input.principal.id == "x"', "rego-input", 6, "`input.principal`"),
        ('forbid contains {"id": "f"} if input.context.task.onBehalf', "rego-input", 6, "`input.context.task.onBehalf`"),
        ('forbid contains {"id": "f"} if {', "rego", 6, "unclosed"),
    ],
)  # fmt: skip
def test_what_would_silently_not_hold_is_refused_with_its_line(rule: str, code: str, line: int, says: str) -> None:
    problems = refused(FREE + rule)
    assert [(p.file, p.line, p.code) for p in problems if p.code == code] == [("policies/main.rego", line, code)]
    assert says in problems[0].message and problems[0].hint


def test_a_name_that_was_mistyped_is_suggested() -> None:
    [problem] = refused(FREE + 'forbid contains {"id": "f"} if input.context.sesion.untrusted')
    assert "`session`" in problem.hint


def test_every_refused_builtin_says_what_to_do_and_none_is_let_through() -> None:
    assert not IN_PROCESS & REFUSED.keys()
    assert all(hint and not hint.endswith(".") for hint in REFUSED.values())


def test_what_one_engine_lacks_another_may_have() -> None:
    rule = 'forbid contains {"id": "f"} if net.cidr_contains("10.0.0.0/8", input.context.args.ip)'
    assert made(FREE + rule, opa={"url": "http://127.0.0.1:8181"}).contents.rego is not None
    assert refused(FREE + 'forbid contains {"id": "f"} if time.now_ns() > 1', opa={"url": "http://127.0.0.1:8181"})


def test_a_rule_that_decides_nothing_is_a_warning() -> None:
    bundle = made(FREE + 'forbids contains {"id": "f"} if input.subject.id == "x"\nforbid := set()\n')
    [problem] = [p for p in check(bundle) if p.code == "rego-unused"]
    assert "`remit.forbids`" in problem.message and "`forbid`" in problem.hint and problem.line == 6


def test_rules_in_other_modules_and_data_are_found() -> None:
    library = "package remit.lib\n\nimport rego.v1\n\nblocked(name) if name in data.blocked\n"
    main = HEAD + FREE + 'forbid contains {"id": "f"} if data.remit.lib.blocked(input.subject.id)\n'
    bundle = made({"policies/main.rego": main, "policies/lib.rego": library}, '{"blocked": ["bob"]}')
    assert [p for p in check(bundle) if p.code.startswith("rego")] == []
    assert bundle.contents.rego is not None and bundle.contents.rego.data


@pytest.mark.parametrize("data", ["[]", "{", '{"a": 1, "a": 2}', "5"])
def test_data_that_is_no_object_is_refused(data: str) -> None:
    assert refused({"policies/main.rego": ALL}, data)[0].file == "data.json"


def test_data_without_a_policy_is_refused() -> None:
    assert "data.json" in {
        problem.file for problem in refused({"policies/a.cedar": "permit (principal, action, resource);"}, "{}")
    }


@pytest.mark.parametrize("depth", [100, 20_000])
def test_nesting_that_may_kill_the_engine_is_refused(depth: int) -> None:
    assert "nest" in refused(FREE + "x := " + "[" * depth + "]" * depth)[0].message


def test_a_digest_names_the_rego_files_alone() -> None:
    one, same = made({"policies/main.rego": ALL}), made({"policies/main.rego": ALL}, description="other")
    other = made({"policies/main.rego": ALL + "# changed\n"})
    assert one.contents.rego and same.contents.rego and other.contents.rego
    assert one.contents.rego.digest == same.contents.rego.digest != other.contents.rego.digest
    assert one.digest != same.digest


@pytest.mark.parametrize(
    "opa",
    [
        {"url": "http://opa.example:8181"},
        {"url": "ftp://127.0.0.1"},
        {"url": "http://127.0.0.1:8181/v1/data"},
        {"url": "http://me:secret@127.0.0.1:8181"},
        {"url": "http://127.0.0.1:99999"},
        {"url": "http://127.0.0.1:8181", "package": "a/b"},
        {"url": "http://127.0.0.1:8181", "seconds": 0},
        {"url": "http://127.0.0.1:8181", "seconds": 3600},
        {"url": "http://127.0.0.1:8181", "extra": 1},
        {},
    ],
)
def test_a_server_that_cannot_be_trusted_to_answer_is_refused(opa: dict[str, object]) -> None:
    assert refused({"policies/main.rego": ALL}, opa=opa)[0].file == "bundle.yaml"


def test_a_servers_own_policies_are_a_warning_unless_their_revision_is_named() -> None:
    open_to_all = made({}, opa={"url": "https://opa.example"})
    assert [p.code for p in check(open_to_all)] == ["opa-open"]
    assert check(made({}, opa={"url": "https://opa.example", "revision": "r1"})) == ()
