"""The data flows that an approver may grant for the rest of a task, instead of one call: what each would let through."""

import re
from collections.abc import Iterator

import msgspec

from remit.model.decision import Steering
from remit.model.errors import RemitError
from remit.model.flow import FlowGrant, flow_grant
from remit.pdp.effects import counted_as
from remit.pdp.inputs import Inputs
from remit.pdp.provenance.folding import exact, folded
from remit.pdp.provenance.forms import alone, stands, strict
from remit.pdp.provenance.granting import MAX_SOURCE
from remit.pdp.provenance.origins import DOCUMENT, LINKED, NAMED, RECORD, STEERED
from remit.pdp.provenance.searching import EDGE, holds
from remit.pdp.provenance.seen import Seen

MAX_SHOWN, MAX_VALUE = 10, 200
"""So many values are listed, each of so many characters; where there are more, or longer ones, only the one at hand is offered."""
_GRANTABLE = frozenset({NAMED, RECORD, LINKED, DOCUMENT, STEERED})
_FORMS = ("email", "url", "iban")
_WORDS = re.compile(rf"[^\s{EDGE},;<>()\"\[\]]{{6,{MAX_VALUE}}}")
MAX_WORDS = 20_000


class Offer(msgspec.Struct, frozen=True):
    """A grant as it would be written, and which values beside the one at hand it would let through."""

    flow: str
    others: tuple[str, ...] = ()


def offers(inputs: Inputs, steering: tuple[Steering, ...]) -> tuple[Offer, ...]:
    """A grant for each value that some output chose: this output alone, as it was, for as long as the task lasts."""
    if not inputs.chain:
        return ()
    call = counted_as(inputs.request.action, inputs.request.resource.id)
    return tuple(offer for one in steering if one.origin in _GRANTABLE for offer in _offers(call, one, inputs))


def _offers(call: str, steering: Steering, inputs: Inputs) -> Iterator[Offer]:
    for output in inputs.observed.outputs:
        if output.source != steering.source or output.cut or len(output.prose) > MAX_SOURCE:
            continue
        grant = FlowGrant(f"{call}.{steering.argument}", output.source, digest=output.digest, uses=None)
        form = next((form for form in _FORMS if _stands(form, steering.value, output)), "")
        others = _others(form, steering.value, output.letters) if form else None
        if others is not None:
            grant = msgspec.structs.replace(grant, form=form, any_of=True)
        elif holds(output.letters, exact(steering.value), exhausted=False) or form:
            grant = msgspec.structs.replace(grant, literal=steering.value)
        else:
            continue
        if _reads_back(grant):
            yield Offer(str(grant), others or ())
        return


def _stands(form: str, text: str, output: Seen) -> bool:
    value = strict(form, text)
    return value is not None and stands(form, value, output.letters)


def _others(form: str, text: str, letters: str) -> tuple[str, ...] | None:
    """All other values of the form, None where they cannot all be shown, or something else there could be taken for one."""
    own, found = strict(form, text), dict[str, None]()
    words = _WORDS.finditer(letters)
    for count, word in enumerate(words):
        value = strict(form, word[0].strip(".:'!?"))
        if value is not None and value != own and stands(form, value, letters):
            found[value] = None
        if len(found) > MAX_SHOWN or count > MAX_WORDS:
            return None
    # INVARIANT (an approval is for what was shown): a value that is found in no other way than by asking for it is offered to nobody.
    return tuple(sorted(found)) if own is not None and alone(form, {own, *found}, letters) else None


def _reads_back(grant: FlowGrant) -> bool:
    """Whether what an approver would read is what would be granted, letter by letter."""
    try:
        return flow_grant(str(grant)) == grant and (not grant.literal or folded(grant.literal) == exact(grant.literal))
    except RemitError:
        return False
