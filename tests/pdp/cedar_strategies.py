"""Random Cedar worlds: policies, entities, requests and contexts, well typed and badly typed alike."""

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from remit.model.identity import EntityRef

ODD = 'q"\n../é\\`; //'
"""An id with everything that must not matter."""

AGENTS = [
    EntityRef("Agent", "a1"),
    EntityRef("Agent", "a2"),
    EntityRef("Agent", ODD),
    EntityRef("Org::Agent", "a1"),
]
GROUPS = [EntityRef("Group", "g1"), EntityRef("Group", "g2"), EntityRef("Group", ODD)]
TOOLS = [
    EntityRef("Tool", "t1"),
    EntityRef("Tool", "t2"),
    EntityRef("Tool", ODD),
    EntityRef("Org::Tool", "t1"),
]
TOOL_GROUPS = [EntityRef("ToolGroup", "tg1"), EntityRef("ToolGroup", "tg2")]
USERS = [EntityRef("User", "u1"), EntityRef("User", ODD)]
ACTIONS = ["read", "write", "send"]
ACTION_GROUPS = ["any", "effectful"]
ACTION_REFS = [EntityRef("Action", name) for name in ACTIONS + ACTION_GROUPS]
ABSENT = EntityRef("User", "absent")
ATTRIBUTES = ["level", "owner", "rec", "tagged", "missing"]
RANKS = [[*AGENTS, *TOOLS, *USERS], [GROUPS[0], TOOL_GROUPS[0]], [GROUPS[1], TOOL_GROUPS[1]], [GROUPS[2]]]
"""Parents are of a higher rank, so that there are chains and never cycles."""


def quote(text: str) -> str:
    """A Cedar string literal."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def literal(ref: EntityRef) -> str:
    """A Cedar entity literal."""
    return f"{ref.type}::{quote(ref.id)}"


def uid(ref: EntityRef) -> dict[str, str]:
    """A uid as Cedar's JSON has it."""
    return {"type": ref.type, "id": ref.id}


@dataclass(frozen=True)
class Request:
    """Who, what, on what, with what."""

    principal: EntityRef
    action: str
    resource: EntityRef
    context: dict[str, Any]


@dataclass(frozen=True)
class Link:
    """A template to be linked: its index in the text's statements, and a value for each slot."""

    template: int
    principal: EntityRef | None
    resource: EntityRef | None


@dataclass(frozen=True)
class World:
    """Statements, what to link, the entities, the groups of the actions, and requests."""

    statements: tuple[str, ...]
    links: tuple[Link, ...]
    entities: tuple[dict[str, Any], ...]
    action_parents: dict[str, frozenset[str]]
    requests: tuple[Request, ...]


_texts = st.sampled_from(["", "x", "example.com", "10.0.0.1", "1.5", 'q"', "é"])
_longs = st.sampled_from([-1, 0, 1, 7, 2**53 + 1, 2**63 - 1, -(2**63)])
_refs = st.sampled_from([*AGENTS, *USERS, *GROUPS, ABSENT])
_scalars = st.one_of(_texts, _longs, st.booleans())
_special = st.one_of(
    _refs.map(lambda ref: {"__entity": uid(ref)}),
    st.sampled_from([{"fn": "ip", "arg": "10.0.0.1"}, {"fn": "decimal", "arg": "1.5"}]).map(lambda it: {"__extn": it}),
    _refs.map(lambda ref: {"__entity": uid(ref), "x": True, "level": 7}),  # Cedar takes this for a record
)
_names = st.sampled_from(["x", "y", "level", "__entity2", 'odd "name'])
_values = st.recursive(
    _scalars | _special,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_names, inner, max_size=3),
    max_leaves=4,
)
CONTEXT_NAMES = ["a", "b", "r", "s", "u", 'odd "name', "unread"]
contexts = st.fixed_dictionaries(
    {},
    optional={
        "a": _scalars | _values,
        "b": _scalars,
        "r": st.dictionaries(_names, _values, max_size=3) | _values,
        "s": st.lists(_scalars | _special, max_size=3) | _values,
        "u": _refs.map(lambda ref: {"__entity": uid(ref)}) | _values,
        'odd "name': _values,
        "unread": _values,
    },
)


_paths = st.sampled_from(
    [
        *[
            "context.a",
            "context.b",
            "context.r",
            "context.s",
            "context.u",
            "context",
            'context["odd \\"name"]',
        ],
        *["context.r.x", "context.r.y.x", 'context.r["odd \\"name"].y', "context.u.level", "context.u.rec.x"],
        *[
            "principal",
            "resource",
            "action",
            "principal.level",
            "resource.level",
            "principal.owner",
            "resource.rec",
        ],
        *["principal.owner.level", "resource.rec.x", "principal.missing", "action.level", "context.missing"],
    ]
)
_constants = st.sampled_from(
    [
        *[
            "true",
            "false",
            "0",
            "1",
            "7",
            "-1",
            "9223372036854775807",
            '"x"',
            '"example.com"',
            '"level"',
            "[]",
            "{}",
        ],
        *[
            "{x: true}",
            '{"x": 1, "y": "x"}',
            "[1, 7]",
            '["x", "example.com"]',
            'ip("10.0.0.0/8")',
            'decimal("1.5")',
        ],
        *[literal(ref) for ref in [*AGENTS[:3], *GROUPS, *USERS, *ACTION_REFS[3:], ABSENT]],
    ]
)
_binary = st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "&&", "||", "+", "-", "*", "in", "==", "&&", "||"])
_methods = st.sampled_from(["contains", "containsAll", "containsAny", "hasTag", "getTag", "isInRange", "lessThan", "contains"])
_has = st.sampled_from(["x", "x.y", '"odd \\"name"', "level", "rec.x", "a.x", "r.x", "u.level", "missing"])
_types = st.sampled_from(["Agent", "User", "Tool", "Org::Agent", "Group"])
_patterns = st.sampled_from(['"*"', '"ex*com"', '"x"', '"\\*"'])


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    def form(shape: str, *parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return st.tuples(*parts).map(lambda made: shape.format(*made))

    return st.one_of(
        form("({} {} {})", inner, _binary, inner),
        form("({} {} {})", inner, _binary, inner),
        form("({}).{}({})", inner, _methods, inner),
        form("(({}) has {})", inner, _has),
        form("(({}) has {} && ({}).{})", _paths, st.just("x"), _paths, st.just("x")),
        form("({}).{}", inner, st.sampled_from(["x", "level", "rec", "owner"])),
        form("(if {} then {} else {})", inner, inner, inner),
        form("(if {} then {} else {}).{}", _paths, _paths, _paths, st.sampled_from(["x", "level", "a"])),
        form("(!({}))", inner),
        form("(-({}))", inner),
        form("(({}) like {})", inner, _patterns),
        form("(({}) is {})", inner, _types),
        form("(({}) is {} in {})", inner, _types, inner),
        form("[{}, {}]", inner, inner),
        form("{{x: {}, y: {}}}", inner, inner),
        form("({}).isEmpty()", inner),
        form("(ip({})).isIpv4()", inner),
    )


_any_expression = st.recursive(_paths | _paths | _constants, _grown, max_leaves=5)
_likely = st.sampled_from(
    [
        *[
            "true",
            "context.a <= 7",
            "context has a && context.a == 7",
            'context.b == "x"',
            "context.r.x",
            "context has r.x",
        ],
        *[
            "principal.level > 0",
            "principal.owner.level == 7",
            "principal.owner == context.u",
            "resource in context.u",
        ],
        *[
            "context.a + 9223372036854775807 > 0",
            "context.s.contains(context.a)",
            "context == {a: 7}",
            "context.u.level == 1",
        ],
        *[
            'principal.getTag("k") == 7',
            'principal.hasTag("k")',
            'context.b like "ex*"',
            f"principal in {literal(GROUPS[1])}",
        ],
        *[
            "(if context has a then context.r else context.u).x",
            f"{literal(USERS[0])}.level == 7",
            "principal.rec == context.r",
        ],
        *["[context.r, 1].contains({x: true})", "action in context.u", "(context.r).x == (context.r).y"],
    ]
)
expressions = _likely | _any_expression
_clauses = st.lists(
    st.tuples(st.sampled_from(["when", "when", "unless"]), expressions).map(lambda made: f"{made[0]} {{ {made[1]} }}"),
    max_size=2,
).map(" ".join)


def _party(variable: str, entities: list[EntityRef], above: list[EntityRef]) -> st.SearchStrategy[str]:
    of_type = st.sampled_from(sorted({entity.type for entity in entities}))
    container = st.sampled_from([*above, *entities[:1]]).map(literal)
    return st.one_of(
        st.just(variable),
        st.just(variable),
        st.just(variable),
        st.sampled_from(entities).map(lambda ref: f"{variable} == {literal(ref)}"),
        container.map(lambda ref: f"{variable} in {ref}"),
        of_type.map(lambda name: f"{variable} is {name}"),
        st.tuples(of_type, container).map(lambda made: f"{variable} is {made[0]} in {made[1]}"),
    )


def _slotted(variable: str, type_name: str) -> st.SearchStrategy[str]:
    return st.sampled_from(
        [
            f"{variable} == ?{variable}",
            f"{variable} in ?{variable}",
            f"{variable} is {type_name} in ?{variable}",
            variable,
        ]
    )


_action = st.one_of(
    st.just("action"),
    st.just("action"),
    st.just("action"),
    st.sampled_from(ACTION_REFS).map(lambda ref: f"action == {literal(ref)}"),
    st.sampled_from(ACTION_REFS).map(lambda ref: f"action in {literal(ref)}"),
    st.lists(st.sampled_from(ACTION_REFS), max_size=3).map(lambda refs: f"action in [{', '.join(map(literal, refs))}]"),
)
_effects = st.sampled_from(["permit", "permit", "forbid"])


def _statement(principal: st.SearchStrategy[str], resource: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(_effects, principal, _action, resource, _clauses).map(
        lambda made: f"{made[0]}({made[1]}, {made[2]}, {made[3]}) {made[4]};"
    )


policies = _statement(_party("principal", AGENTS, GROUPS), _party("resource", TOOLS, TOOL_GROUPS))
templates = _statement(_slotted("principal", "Agent"), _slotted("resource", "Tool")).filter(lambda text: "?" in text)


@st.composite
def links(draw: st.DrawFn, index: int, text: str) -> Link:
    """Fill exactly the slots of a template."""
    principal = draw(st.sampled_from([*AGENTS, *GROUPS])) if "?principal" in text else None
    resource = draw(st.sampled_from([*TOOLS, *TOOL_GROUPS])) if "?resource" in text else None
    return Link(index, principal, resource)


_attributes = st.fixed_dictionaries(
    {},
    optional={
        "level": st.sampled_from([0, 1, 7, "x"]),
        "owner": st.sampled_from(USERS).map(lambda ref: {"__entity": uid(ref)}),
        "rec": st.dictionaries(_names, _scalars, max_size=2),
        "tagged": st.lists(_scalars, max_size=2),
    },
)


@st.composite
def entity_graphs(draw: st.DrawFn) -> tuple[dict[str, Any], ...]:
    """Entities with chains of parents; some are left out."""
    documents = []
    for rank, entities in enumerate(RANKS):
        higher = [entity for above in RANKS[rank + 1 :] for entity in above]
        for entity in entities:
            if draw(st.integers(0, 9)) == 0:
                continue
            parents = draw(st.lists(st.sampled_from(higher), max_size=2, unique=True)) if higher else []
            document = {
                "uid": uid(entity),
                "attrs": draw(_attributes),
                "parents": [uid(parent) for parent in parents],
            }
            if draw(st.booleans()):
                document["tags"] = {"k": draw(st.sampled_from([7, "x"]))}
            documents.append(document)
    return tuple(documents)


def action_entities(parents: dict[str, frozenset[str]]) -> list[dict[str, Any]]:
    """The actions as entities, below their groups."""
    return [
        {
            "uid": uid(EntityRef("Action", name)),
            "attrs": {},
            "parents": [uid(EntityRef("Action", group)) for group in sorted(groups)],
        }
        for name, groups in parents.items()
    ]


def ancestors(entities: tuple[dict[str, Any], ...], ref: EntityRef) -> frozenset[EntityRef]:
    """Everything above an entity."""
    parents = {EntityRef(**document["uid"]): [EntityRef(**parent) for parent in document["parents"]] for document in entities}
    found: set[EntityRef] = set()
    waiting = [ref]
    while waiting:
        for parent in parents.get(waiting.pop(), []):
            if parent not in found:
                found.add(parent)
                waiting.append(parent)
    return frozenset(found)


_targets = st.tuples(st.sampled_from(AGENTS), st.sampled_from(ACTIONS), st.sampled_from(TOOLS))
_action_groups = st.fixed_dictionaries({name: st.frozensets(st.sampled_from(ACTION_GROUPS), max_size=2) for name in ACTIONS})


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """A bundle, entities and 36 requests: every target with every context."""
    statements = draw(st.lists(policies, min_size=3, max_size=7))
    with_slots = draw(st.lists(templates, max_size=2))
    wanted = tuple(
        draw(links(len(statements) + number, text))
        for number, text in enumerate(with_slots)
        for _ in range(draw(st.integers(0, 2)))
    )
    targets = draw(st.lists(_targets, min_size=6, max_size=6))
    said = draw(st.lists(contexts, min_size=6, max_size=6))
    return World(
        statements=(*statements, *with_slots),
        links=wanted,
        entities=draw(entity_graphs()),
        action_parents=draw(_action_groups),
        requests=tuple(Request(*target, context) for target in targets for context in said),
    )


def as_json(value: Any) -> str:
    """JSON text for Cedar."""
    return json.dumps(value, ensure_ascii=False)
