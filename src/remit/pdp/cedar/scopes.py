"""Which policies a request can match at all: their scopes, and a trie that finds them without evaluating."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TypeAlias

import msgspec

from remit.model.identity import EntityRef

ACTION = "Action"
"""The entity type of actions."""


class Relation(StrEnum):
    """How a scope ties one part of a request, as Cedar writes it (`any`: not at all)."""

    ANY = "any"
    EQUAL = "=="
    IN = "in"
    IS = "is"
    IS_IN = "is in"


class Constraint(msgspec.Struct, frozen=True, gc=False):
    """What a scope says about the principal, the action or the resource.

    `type` is set for `is` and `is in`, `entity` for `==`, `in` and `is in`.
    """

    relation: Relation
    type: str = ""
    entity: EntityRef | None = None


ANY = Constraint(Relation.ANY)


class PolicyScope(msgspec.Struct, frozen=True, gc=False):
    """The head of a policy. `actions` are alternatives: none (`action in []`) matches no request."""

    principal: Constraint = ANY
    actions: tuple[Constraint, ...] = (ANY,)
    resource: Constraint = ANY


_Actions: TypeAlias = dict[Constraint, list[int]]
_Principals: TypeAlias = dict[Constraint, _Actions]


class ScopeTrie:
    """Policy positions under resource, then principal, then action constraint.

    A request descends only along the constraints it satisfies, at each level over the smaller of what it
    satisfies and what policies ask, so the cost follows the policies that can match and not how many there
    are.
    """

    def __init__(self, scopes: Sequence[PolicyScope], action_parents: Mapping[str, frozenset[str]]) -> None:
        self._root: dict[Constraint, _Principals] = {}
        self._action_parents = action_parents
        for position, scope in enumerate(scopes):
            for action in scope.actions:
                actions = self._root.setdefault(scope.resource, {}).setdefault(scope.principal, {})
                actions.setdefault(action, []).append(position)

    def candidates(
        self,
        principal: EntityRef,
        principal_ancestors: frozenset[EntityRef],
        action: str,
        resource: EntityRef,
        resource_ancestors: frozenset[EntityRef],
    ) -> tuple[int, ...]:
        """The positions, ascending, of every policy whose scope this request satisfies.

        The ancestors must include every entity that the evaluated entities put above the principal and the
        resource: one too many costs time, one too few would lose a policy.
        """
        above = frozenset(EntityRef(ACTION, name) for name in self._action_parents.get(action, ()))
        actions = _satisfied(EntityRef(ACTION, action), above)
        principals = _satisfied(principal, principal_ancestors)
        found: set[int] = set()
        for on_resource in _satisfied(resource, resource_ancestors) & self._root.keys():
            by_principal = self._root[on_resource]
            for on_principal in principals & by_principal.keys():
                by_action = by_principal[on_principal]
                for on_action in actions & by_action.keys():
                    found.update(by_action[on_action])
        return tuple(sorted(found))


def _satisfied(entity: EntityRef, ancestors: frozenset[EntityRef]) -> set[Constraint]:
    """Every constraint that holds of an entity; Cedar's `in` holds of the entity itself too."""
    satisfied = {ANY, Constraint(Relation.IS, entity.type), Constraint(Relation.EQUAL, "", entity)}
    for above in (entity, *ancestors):
        satisfied.add(Constraint(Relation.IN, "", above))
        satisfied.add(Constraint(Relation.IS_IN, entity.type, above))
    return satisfied
