"""What the bundle of a decision says of its action, worked out once for all decisions that are alike."""

from collections.abc import Hashable

from remit.decision_log.entry import DecisionMade
from remit.model.hints import Hints
from remit.model.history import NO_HISTORY, History
from remit.model.identity import EntityRef
from remit.model.labels import PUBLIC_TRUSTED, Label
from remit.model.request import TOOL_CALL
from remit.pdp.compiled import CompiledBundle
from remit.pdp.hints import heard
from remit.pdp.history import added_by
from remit.pdp.memory import memory_of
from remit.pdp.tier import output_label
from remit.reviews.archive import Archive


class Actions:
    """Actions on resources, under the bundles that an archive has. Of a bundle that it lacks nothing is known."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._worst: dict[tuple[Hashable, ...], Label] = {}
        self._adds: dict[tuple[Hashable, ...], History] = {}
        self._memories: dict[tuple[str, str, str, str], str] = {}

    def worst(self, body: DecisionMade) -> Label:
        """The worst that what came back can have touched."""
        place = _place(body)
        known = self._worst.get(place)
        if known is None:
            bundle = self._archive.bundle(body.bundle)
            known = output_label(bundle, body.action, _resource(body), _heard(bundle, body)) if bundle else PUBLIC_TRUSTED
            self._worst[place] = known
        return known

    def adds(self, body: DecisionMade) -> History:
        """What it adds to its task's history."""
        place = _place(body)
        known = self._adds.get(place)
        if known is None:
            bundle = self._archive.bundle(body.bundle)
            known = self._adds[place] = (
                added_by(bundle, body.action, _resource(body), _heard(bundle, body)) if bundle else NO_HISTORY
            )
        return known

    def memory(self, body: DecisionMade) -> str:
        """The name of the memory that it writes or reads; empty for none."""
        place = body.bundle, body.action, body.resource_type, body.resource
        name = self._memories.get(place)
        if name is None:
            bundle = self._archive.bundle(body.bundle)
            name = self._memories[place] = memory_of(bundle, body.action, _resource(body)) if bundle else ""
        return name

    def groups(self, body: DecisionMade) -> tuple[str, ...]:
        """The groups of the tool that was called."""
        bundle = self._archive.bundle(body.bundle) if body.action == TOOL_CALL else None
        known = bundle.tools.get(body.resource) if bundle is not None else None
        return known.tool.groups if known is not None else ()


def _place(body: DecisionMade) -> tuple[Hashable, ...]:
    return body.bundle, body.action, body.resource_type, body.resource, body.upstream, body.hints


def _resource(body: DecisionMade) -> EntityRef:
    return EntityRef(body.resource_type, body.resource)


def _heard(bundle: CompiledBundle, body: DecisionMade) -> Hints:
    return heard(bundle, body.action, _resource(body), body.upstream, body.hints)
