"""The data flows that an approver may grant for the rest of a task, instead of one call: what each would let through."""

from collections.abc import Iterator

import msgspec

from remit.model.decision import Steering
from remit.model.errors import RemitError
from remit.model.flow import FlowGrant, flow_grant
from remit.pdp.effects import counted_as
from remit.pdp.inputs import Inputs
from remit.pdp.provenance.folding import folded
from remit.pdp.provenance.forms import has_form, only, plain, values_in
from remit.pdp.provenance.tracing import DOCUMENT, LINKED, NAMED, RECORD, STEERED

MAX_SHOWN = 10
_GRANTABLE = frozenset({NAMED, RECORD, LINKED, DOCUMENT, STEERED})
_BY_ROLE = {"amount": ("amount",)}
_FORMS = ("email", "url", "iban", "account")
"""Forms that a value is told by, the narrowest first."""


class Offer(msgspec.Struct, frozen=True):
    """A grant as it would be written, and which values beside the one at hand it would let through (`more`: how many are not listed)."""

    flow: str
    others: tuple[str, ...] = ()
    more: int = 0


def offers(inputs: Inputs, steering: tuple[Steering, ...]) -> tuple[Offer, ...]:
    """A grant for each value that some output chose: this output alone, as it was, for as long as the task lasts."""
    if not inputs.chain:
        return ()
    call = counted_as(inputs.request.action, inputs.request.resource.id)
    return tuple(offer for one in steering if one.origin in _GRANTABLE for offer in _offers(call, one, inputs))


def _offers(call: str, steering: Steering, inputs: Inputs) -> Iterator[Offer]:
    value = folded(steering.value)
    for output in inputs.observed.outputs:
        if output.source != steering.source or value not in output.prose:
            continue
        form = next((form for form in _BY_ROLE.get(steering.role, _FORMS) if has_form(form, value)), "")
        found = only(values_in(output.prose, form)) if form else None
        known = found is not None and plain(form, value) in found
        grant = FlowGrant(
            f"{call}.{steering.argument}",
            output.source,
            form if known else "",
            "" if known else steering.value,
            digest=output.digest,
            any_of=known,
            uses=None,
        )
        if _reads_back(grant):
            others = sorted(found - {plain(form, value)}) if known and found is not None else []
            yield Offer(str(grant), tuple(others[:MAX_SHOWN]), max(0, len(others) - MAX_SHOWN))
        return


def _reads_back(grant: FlowGrant) -> bool:
    """Whether what an approver would read is what would be granted: names and values with quotes or spaces of their own may not be."""
    try:
        return flow_grant(str(grant)) == grant
    except RemitError:
        return False
