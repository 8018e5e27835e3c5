"""What a policy can read, from its syntax tree: context paths, attributes, tags, entities; never too few."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from remit.model.identity import EntityRef
from remit.pdp.cedar.constants import Constants, compared, constants, together
from remit.pdp.cedar.engine import pst


class Node(msgspec.Struct, frozen=True, gc=False):
    """A place in the context.

    `whole`: its value can be read, with all that is in it; otherwise only the children, and whether it is
    there and is a record. `constants`: all that a number or a text there is compared with, None where more is asked of it.
    """

    whole: bool = False
    children: Mapping[str, "Node"] = {}
    constants: Constants | None = None

    def covers(self, *path: str) -> bool:
        """Whether the value at a path below can be read."""
        if self.whole or not path:
            return self.whole
        child = self.children.get(path[0])
        return child is not None and child.covers(*path[1:])

    def reaches(self, *path: str) -> bool:
        """Whether anything at or below a path can be read."""
        if self.whole or not path:
            return True
        child = self.children.get(path[0])
        return child is not None and child.reaches(*path[1:])

    def at(self, name: str) -> "Node":
        """What can be read below a name."""
        return WHOLE if self.whole else self.children.get(name, NOTHING)


WHOLE, NOTHING = Node(True), Node()


class ReadSet(msgspec.Struct, frozen=True, gc=False):
    """What evaluating policies can depend on besides principal, action, resource and the entities' parents.

    `attributes` are names that may be read of any entity, unless `any_attribute` says that no list is known.
    `tags` says that tags of entities may be read. `entities` are those a condition names.
    """

    context: Node = Node()
    attributes: frozenset[str] = frozenset()
    any_attribute: bool = False
    tags: bool = False
    entities: frozenset[EntityRef] = frozenset()


def reads_of(clauses: Sequence[pst.Clause]) -> ReadSet:
    """What the `when` and `unless` clauses of one policy can read."""
    reader = _Reader()
    for clause in clauses:
        reader.use(clause.expr)
    return ReadSet(
        reader.context.freeze(),
        frozenset(reader.attributes),
        reader.any_attribute,
        reader.tags,
        frozenset(reader.entities),
    )


def union(parts: Iterable[ReadSet]) -> ReadSet:
    """What several policies together can read."""
    everything = list(parts)
    return ReadSet(
        merge([part.context for part in everything]),
        frozenset().union(*(part.attributes for part in everything)),
        any(part.any_attribute for part in everything),
        any(part.tags for part in everything),
        frozenset().union(*(part.entities for part in everything)),
    )


def project(node: Node, context: Mapping[str, Any]) -> dict[str, Any]:
    """The part of `context`, in Cedar's JSON form, that can be read; what is missing stays missing.

    Evaluation depends on nothing else as long as Cedar accepts the whole context: a float or a null in a part
    that no policy reads is no longer noticed. A value that is not a record where a path goes on is sent
    whole, to err as it would have.
    """
    # Cedar takes `{"__entity": …}` with other names for a record, so a part of one could turn into an entity.
    if node.whole or "__entity" in context or "__extn" in context or "__expr" in context:
        return dict(context)
    projected: dict[str, Any] = {}
    for name, child in node.children.items():
        if name in context:
            value = context[name]
            projected[name] = value if child.whole or type(value) is not dict else project(child, value)
    return projected


def stand_in(node: Node, projected: dict[str, Any]) -> dict[str, Any]:
    """What was projected, with numbers and texts replaced by others that policies cannot tell from them; itself if none are."""
    if node.whole or "__entity" in projected or "__extn" in projected or "__expr" in projected:
        return projected
    alike = projected
    for name, child in node.children.items():
        if name not in projected or (child.whole and child.constants is None):
            continue
        value = projected[name]
        other = _stand_in(child, value)
        if other is not value:
            alike = dict(projected) if alike is projected else alike
            alike[name] = other
    return alike


def _stand_in(node: Node, value: Any) -> Any:
    if node.constants is not None:
        return node.constants.stand_in(value)
    return stand_in(node, value) if type(value) is dict else value


class _Place:
    """A path tree being built. `literals` are those that its value is compared with, None where it is not."""

    __slots__ = ("children", "literals", "whole")

    def __init__(self) -> None:
        self.whole = False
        self.literals: set[int | str] | None = None
        self.children: dict[str, _Place] = {}

    def child(self, name: str) -> "_Place":
        return self.children.setdefault(name, _Place())

    def freeze(self) -> Node:
        if self.whole:
            return Node(True)
        if self.literals is not None:
            return Node(True, constants=constants(self.literals))
        return Node(False, {name: self.children[name].freeze() for name in sorted(self.children)})


class _Reader:
    """Walks expressions; no deeper than the 100 levels to which cedarpy builds trees."""

    def __init__(self) -> None:
        self.context = _Place()
        self.attributes: set[str] = set()
        self.any_attribute = False
        self.tags = False
        self.entities: set[EntityRef] = set()

    def use(self, expression: pst.Expr) -> None:
        """The value of this expression matters, wholly."""
        for place in self.places(expression):
            place.whole = True

    def places(self, expression: pst.Expr) -> list[_Place]:
        """Note what evaluating reads; return the context places that its value may be, still unread."""
        match expression:
            case pst.Var(name="context"):
                return [self.context]
            case pst.Var() | pst.BoolLit() | pst.LongLit() | pst.StringLit():
                return []
            case pst.EntityLit(value=uid):
                self.entities.add(entity_ref(uid))
                return []
            case pst.GetAttr(base=base, attr=attribute):
                return self._step(base, (attribute,))
            case pst.HasAttr(base=base, attrs=attributes):
                self._step(base, attributes)
                return []
            case pst.IfThenElse(cond=condition, then_expr=then, else_expr=otherwise):
                self.use(condition)
                return self.places(then) + self.places(otherwise)
            case _:
                self._operands(expression)
                return []

    def _step(self, base: pst.Expr, attributes: tuple[str, ...]) -> list[_Place]:
        """Follow attributes from a record or an entity: the context can hold references to entities."""
        self.attributes.update(attributes)
        places = self.places(base)
        for attribute in attributes:
            places = [place.child(attribute) for place in places]
        return places

    def _compare(self, value: pst.Expr, literals: Iterable[int | str]) -> None:
        """Nothing matters of this value but how it compares."""
        for place in self.places(value):
            place.literals = (place.literals or set()).union(literals)

    def _operands(self, expression: pst.Expr) -> None:
        match expression:
            case pst.BinaryOp(op=operator, left=left, right=right) if (found := compared(operator, left, right)) is not None:
                self._compare(*found)
            case pst.BinaryOp(op=operator, left=left, right=right):
                self.tags = self.tags or operator in ("get_tag", "has_tag")
                self.use(left)
                self.use(right)
            case pst.UnaryOp(arg=operand) | pst.Like(base=operand):
                self.use(operand)
            case pst.Is(base=base, in_expr=container):
                self.use(base)
                if container is not None:
                    self.use(container)
            case pst.Set(elements=elements):
                for element in elements:
                    self.use(element)
            case pst.Record(fields=fields):
                for field in fields.values():
                    self.use(field)
            case _:
                self._everything(expression)

    def _everything(self, expression: pst.Expr) -> None:
        """INVARIANT (reads are sound): what is not understood may read all there is."""
        self.context.whole = self.any_attribute = self.tags = True
        self.entities.update(entity_ref(uid) for uid in pst.entity_uids(expression))


def entity_ref(uid: pst.EntityUid) -> EntityRef:
    """An engine uid as our noun."""
    return EntityRef(str(uid.type), uid.id)


def merge(trees: Sequence[Node]) -> Node:
    """What can be read by any of several."""
    wholly = [tree.constants for tree in trees if tree.whole]
    if wholly:
        known = [one for one in wholly if one is not None]
        return Node(True, constants=together(known) if len(known) == len(wholly) else None)
    by_name: dict[str, list[Node]] = {}
    for tree in trees:
        for name, child in tree.children.items():
            by_name.setdefault(name, []).append(child)
    return Node(False, {name: merge(by_name[name]) for name in sorted(by_name)})
