"""What a policy can read is found from its syntax tree, and only that is sent."""

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from remit.model.identity import EntityRef
from remit.pdp.cedar.engine import pst
from remit.pdp.cedar.policies import parse_policies
from remit.pdp.cedar.reads import Node, ReadSet, project, reads_of, union


def reads(condition: str) -> ReadSet:
    [policy] = parse_policies(f"permit(principal, action, resource) when {{ {condition} }};", "case.cedar")
    return policy.reads


def _paths(path: str, tree: Node) -> Iterable[str]:
    if tree.whole or (not tree.children and path != "context"):
        yield path
    for name, child in tree.children.items():
        step = f".{name}" if name.isidentifier() and name.isascii() else f"[{msgspec.json.encode(name).decode()}]"
        yield from _paths(path + step, child)


def paths_of(found: ReadSet) -> tuple[str, ...]:
    """The context paths as Cedar would write them, sorted: `context.args.amount`."""
    return tuple(sorted(_paths("context", found.context)))


def sent(condition: str, context: dict[str, Any]) -> Any:
    return project(reads(condition).context, context)


@pytest.mark.parametrize(
    ("condition", "paths"),
    [
        ("true", ()),
        ("principal.level > 3", ()),
        ("context.amount > 3", ("context.amount",)),
        ("context.args.amount > context.limit", ("context.args.amount", "context.limit")),
        ("context has a", ("context.a",)),
        ("context has a.b && context.a.b.c == 1", ("context.a.b.c",)),
        ("context.a has b", ("context.a.b",)),
        ("context == {a: 1}", ("context",)),
        ("[context].contains({a: 1})", ("context",)),
        ("{held: context}.held.a == 1", ("context",)),
        ("principal in context.groups", ("context.groups",)),
        ("context.a == context.b", ("context.a", "context.b")),
        ("context.a.b == 1 && context.a == {b: 1}", ("context.a",)),
        ("(if context.q then context.a else context.b).c", ("context.a.c", "context.b.c", "context.q")),
        ("(if context.q then context else {a: true}).a", ("context.a", "context.q")),
        ("(if context.q then context.a else context.b) == 1", ("context.a", "context.b", "context.q")),
        ("context.u is User in context.g", ("context.g", "context.u")),
        ('context.s like "a*" && !(context.t)', ("context.s", "context.t")),
        ('context["odd \\"name"].plain', ('context["odd \\"name"].plain',)),
        ("ip(context.net.ip).isLoopback()", ("context.net.ip",)),
        (
            "context.s.isEmpty() || context.t.containsAll([context.v])",
            ("context.s", "context.t", "context.v"),
        ),
        ("-context.n + 1 < 2 * 3", ("context.n",)),
        ("principal.getTag(context.key) == 1", ("context.key",)),
    ],
)
def test_context_paths(condition: str, paths: tuple[str, ...]) -> None:
    assert paths_of(reads(condition)) == paths


def test_unless_is_read_too() -> None:
    [policy] = parse_policies("forbid(principal, action, resource) unless { context.ok } when { context.on };", "case.cedar")
    assert paths_of(policy.reads) == ("context.ok", "context.on")


def test_a_scope_reads_nothing() -> None:
    [policy] = parse_policies('permit(principal in Group::"g", action, resource is Tool);', "case.cedar")
    assert policy.reads == ReadSet()


def test_attributes_are_named_however_they_are_reached() -> None:
    found = reads(
        'principal.a.b == 1 || context.ref.c || resource has d || User::"x".e\n || (if true then action else principal).f'
    )
    assert found.attributes >= {"a", "b", "c", "d", "e", "f"}
    assert not (found.any_attribute or "g" in found.attributes)


def test_tags_are_noticed() -> None:
    assert reads('principal.hasTag("x") && 1 < 2').tags
    assert reads('resource.getTag("x") == 1').tags
    assert not reads("principal.x == 1").tags


def test_entities_that_conditions_name() -> None:
    found = reads('principal in [Group::"a", Org::Group::"b"] && context.x == User::"q\\"".y\n && resource is Tool in Group::"c"')
    assert found.entities == {
        EntityRef("Group", "a"),
        EntityRef("Org::Group", "b"),
        EntityRef("User", 'q"'),
        EntityRef("Group", "c"),
    }


def test_what_is_not_understood_reads_everything() -> None:
    odd = pst.BinaryOp("eq", pst.Slot("principal"), pst.GetAttr(pst.Var("context"), "a"))
    found = reads_of((pst.When(odd),))
    assert found.context == Node(whole=True)
    assert found.any_attribute
    assert found.tags


def test_a_union_reads_what_each_part_reads() -> None:
    parts = [reads(c) for c in ("context.a.b == 1", 'context.a.c == User::"u"', 'principal.x && principal.hasTag("t")')]
    found = union(parts)
    assert paths_of(found) == ("context.a.b", "context.a.c")
    assert found.attributes >= {"x"}
    assert found.tags
    assert found.entities == {EntityRef("User", "u")}
    assert paths_of(union([*parts, reads("context == context")])) == ("context",)
    assert paths_of(union([reads("context.a == 1"), reads("context.a.b")])) == ("context.a",)
    assert union([]) == ReadSet()


FULL = {"a": {"b": {"c": 1, "d": 2}, "e": [1]}, "f": 3, "g": {"h": 1}}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("true", {}),
        ("context.f == 3", {"f": 3}),
        ("context.a.b.c == 1", {"a": {"b": {"c": 1}}}),
        ("context.a.b == {c: 1}", {"a": {"b": {"c": 1, "d": 2}}}),
        ("context has a", {"a": {}}),
        ("context has a.b", {"a": {"b": {}}}),
        ("context.missing == 1 || context.a.missing == 2", {"a": {}}),
        ("context.f.x == 1", {"f": 3}),
        ("context.a.e.x == 1", {"a": {"e": [1]}}),
        ("context == context", FULL),
    ],
)
def test_projection(condition: str, expected: dict[str, Any]) -> None:
    assert sent(condition, FULL) == expected


@pytest.mark.parametrize("escape", ["__entity", "__extn", "__expr"])
def test_what_cedar_may_take_for_an_escape_is_sent_whole(escape: str) -> None:
    trap = {escape: {"type": "User", "id": "u"}, "x": 1, "y": 2}
    assert sent("context.a.x == 1", {"a": trap, "b": 1}) == {"a": trap}
    assert sent(f'context.a["{escape}"] == 1', {"a": trap, "b": 1}) == {"a": trap}
    assert sent("context.x == 1", trap) == trap
