"""Definitions of tools that nobody pinned: the first that is used counts, in every process, until an operator approves another."""

from msgspec.structs import replace

from remit.decision_log.encoding import encode_body
from remit.decision_log.entry import ToolApproved, ToolSeen
from remit.decision_log.store import Record
from remit.model.definition import KnownDefinition
from remit.model.errors import conflict, malformed, not_found
from remit.model.identity import Operator
from remit.model.request import EvaluationRequest
from remit.pdp.inputs import Inputs
from remit.runtime.pending import Driven, Steps
from remit.runtime.runtime import Change, Runtime, administer
from remit.runtime.view import View
from remit.runtime.writes import ApproveDefinition, SeeDefinition

MAX_WHY = 1000
MIN_PREFIX = 12
"""So much of a digest names it: fewer digits could be made to fit another definition."""


def seen(view: View, inputs: Inputs, known: KnownDefinition | None) -> Change:
    """What a decision adds to the log and the store for the definition it was made on (`known`: if it learned something of it).

    A decision on a definition that is not durable yet carries it along: whichever is committed first, they stand on the same.
    """
    # INVARIANT (one commit): a definition is remembered with the decision that saw it, by compare and set, or that is made again.
    request = inputs.request
    first = known is not None and inputs.known is None
    if known is not None:
        view.define(known, first)
    else:
        known = view.defining.get((request.upstream, request.resource.id))
        if known is None or known.digest != request.definition:
            return [], []
        known, first = replace(known, decision=inputs.decision), True
    body = ToolSeen(known.upstream, known.tool, known.digest, inputs.decision)
    records = [Record(encode_body(body), "tool.seen", inputs.decision, request.task)] if first else []
    return records, [SeeDefinition(known)]


def durable(view: View, request: EvaluationRequest) -> None:
    """A decision was committed: the definition that it carried along, if it did, need not be any more."""
    place = request.upstream, request.resource.id
    known = view.defining.get(place)
    if known is not None and known.digest == request.definition:
        view.defining.pop(place, None)


def approve(runtime: Runtime, known: KnownDefinition, digest: str, why: str, operator: Operator) -> Driven[KnownDefinition]:
    """Let the definition that was offered last count, if `digest` (or at least its first 12 digits) is its own.

    Raises `RemitError`: malformed, not-found if nothing waits, conflict if it is another one that does.
    """
    return Driven(lambda: _approve(runtime, known, digest, why, operator))


def _approve(runtime: Runtime, known: KnownDefinition, digest: str, why: str, operator: Operator) -> Steps[KnownDefinition]:
    if not why.strip() or len(why) > MAX_WHY or not why.isprintable():
        raise malformed(f"say why in words, up to {MAX_WHY} printable characters")
    if len(digest) < MIN_PREFIX:
        raise malformed(f"name the definition by its digest, {MIN_PREFIX} digits of it at least: see `remit tool show`")
    made: list[KnownDefinition] = []

    def prepare() -> Change:
        stored = runtime.view.store.definition(known.upstream, known.tool)
        if stored is None or not stored.offered:
            raise not_found(f"no other definition of tool `{known.tool}` waits: see `remit tool list`")
        if not stored.offered.startswith(digest):
            offered = f"`{stored.offered[:MIN_PREFIX]}…`"
            raise conflict(f"the definition of tool `{known.tool}` that waits is {offered}, not that one: look again")
        after = KnownDefinition(
            stored.upstream,
            stored.tool,
            stored.offered,
            stored.offered_text,
            runtime.clock(),
            stored.decision,
            stored.version + 1,
            operator.id,
            why,
        )
        made[:] = [after]
        body = ToolApproved(after.upstream, after.tool, after.digest, stored.digest, operator.id, operator.verified_by, why)
        return [Record(encode_body(body), "tool.approved")], [ApproveDefinition(after)]

    yield from administer(runtime, prepare)
    return made[0]
