"""The policies that one request can match, cut out of the bundle once and kept: what is evaluated."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import msgspec

from remit.model.identity import EntityRef
from remit.pdp.cedar.engine import CompiledPolicies, compile_policies
from remit.pdp.cedar.policies import Policy, check_ids
from remit.pdp.cedar.reads import ReadSet, union
from remit.pdp.cedar.scopes import ScopeTrie
from remit.pdp.memo import Memo

_Request: TypeAlias = tuple[EntityRef, frozenset[EntityRef], str, EntityRef, frozenset[EntityRef]]

REMEMBERED_REQUESTS = 65_536
REMEMBERED_SLICES = 4_096


class Slice(msgspec.Struct, frozen=True):
    """Some policies of a bundle, parsed, with all that evaluating them can read.

    `ids` are in the order of the bundle; `annotations` are those of each, `by_approver` those that can read who approved. Equal
    candidates share one slice.
    """

    ids: tuple[str, ...]
    handle: CompiledPolicies
    reads: ReadSet
    annotations: Mapping[str, Mapping[str, str]]
    by_approver: frozenset[str]


class PolicyIndex:
    """The policies of a bundle, found by scope; built once per bundle, shared by threads."""

    def __init__(self, policies: Sequence[Policy], action_parents: Mapping[str, frozenset[str]] | None = None) -> None:
        """`action_parents` maps an action's id to the ids of all action groups it is in, however far above.

        Templates are left out: only what is linked decides. Raises `PolicyError` if two policies share an id.
        """
        check_ids(policies)
        self._policies = tuple(policy for policy in policies if not policy.is_template)
        self._trie = ScopeTrie([policy.scope for policy in self._policies], action_parents or {})
        self._texts: dict[str, str] = {}
        self._slices: Memo[tuple[int, ...], Slice] = Memo(REMEMBERED_SLICES)
        self._requests: Memo[_Request, Slice] = Memo(REMEMBERED_REQUESTS)

    def texts(self, ids: Iterable[str]) -> list[str]:
        """The statements of these ids, annotations included."""
        if not self._texts:
            self._texts = {policy.id: policy.text for policy in self._policies}
        return [self._texts[name] for name in ids]

    def reads(self, *path: str) -> bool:
        """Whether any policy can read this part of the context."""
        return any(policy.reads.context.reaches(*path) for policy in self._policies)

    def __len__(self) -> int:
        return len(self._policies)

    def candidates(
        self,
        principal: EntityRef,
        principal_ancestors: frozenset[EntityRef],
        action: str,
        resource: EntityRef,
        resource_ancestors: frozenset[EntityRef],
    ) -> tuple[str, ...]:
        """The ids, in the order of the bundle, of the policies whose scope the request satisfies.

        The ancestors must include every entity above the principal and the resource in the entities that are
        evaluated.
        """
        request = (principal, principal_ancestors, action, resource, resource_ancestors)
        return tuple(self._policies[position].id for position in self._trie.candidates(*request))

    def slice_for(
        self,
        principal: EntityRef,
        principal_ancestors: frozenset[EntityRef],
        action: str,
        resource: EntityRef,
        resource_ancestors: frozenset[EntityRef],
    ) -> Slice:
        """The candidates, ready to evaluate; a repeated request costs one look-up."""
        request = (principal, principal_ancestors, action, resource, resource_ancestors)
        known = self._requests.find(request)
        return known or self._requests.keep(request, self._slice(self._trie.candidates(*request)))

    def _slice(self, positions: tuple[int, ...]) -> Slice:
        known = self._slices.find(positions)
        if known is not None:
            return known
        policies = [self._policies[position] for position in positions]
        ids = tuple(policy.id for policy in policies)
        cut = Slice(
            ids=ids,
            handle=compile_policies(ids, [policy.text for policy in policies]),
            reads=union(policy.reads for policy in policies),
            annotations={policy.id: policy.annotations for policy in policies},
            by_approver=frozenset(policy.id for policy in policies if policy.reads.context.covers("approval", "approver")),
        )
        return self._slices.keep(positions, cut)
