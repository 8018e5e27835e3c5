"""The first use of a tool or of a source that widens what a session can touch and do. Pure."""

from remit.model.history import History
from remit.model.labels import Label
from remit.model.request import TOOL_CALL, Tier
from remit.model.tool import Reach, ToolEffect
from remit.pdp.entities import UNKNOWN
from remit.pdp.flow import asked
from remit.pdp.history import history_of
from remit.pdp.inputs import Inputs
from remit.pdp.locus import Locus

_READ = ToolEffect.READ.value
_FARTHER = {reach.value: rank for rank, reach in enumerate(Reach)} | {UNKNOWN: len(Reach)}


_RAISED = {Tier.LOW: Tier.MODERATE, Tier.MODERATE: Tier.HIGH}


def raised(tier: Tier) -> Tier:
    """The tier of a first use: a step up to high. Critical is what an action is; that something is new does not take two people."""
    return _RAISED.get(tier, tier)


def is_first_use(inputs: Inputs, locus: Locus, reached: Label) -> bool:
    """Whether this is the first call of its tool, or on its kind of resource, under the task, and widens what can be touched or done.

    What the task declares, or its purpose speaks of, is no widening: that is what it is for.
    """
    if not inputs.chain:
        return False  # without a task there is no session whose scope could widen
    past, added = history_of(inputs.chain), locus.adds
    news = added.used if inputs.request.action == TOOL_CALL else added.sources
    known = past.used if inputs.request.action == TOOL_CALL else past.sources
    if all(name in known for name in news):
        return False
    return _widens(past, added, reached) and not _meant(inputs, locus)


def _widens(past: History, added: History, reached: Label) -> bool:
    effect, _, reach = added.effects[1].partition("-")
    if (effect, reach) == (ToolEffect.WRITE, Reach.WORKSPACE):
        return False  # what the agent writes in its own workspace reaches nobody
    touched = past.touched.join(reached)
    if added.touched.untrusted and not touched.untrusted:
        return True
    if added.touched.confidentiality.rank > touched.confidentiality.rank:
        return True
    if effect != _READ and effect not in past.effects:
        return True
    return _FARTHER[reach] > max((_FARTHER[one.partition("-")[2]] for one in past.effects if "-" in one), default=0)


def _meant(inputs: Inputs, locus: Locus) -> bool:
    if inputs.request.action == TOOL_CALL:
        return asked(inputs, locus.tool)
    return any(state.task.scope.resources is not None for state in inputs.chain)
