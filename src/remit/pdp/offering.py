"""The data flows that an approver may grant for the rest of a task, instead of one call: what each would let through."""

import re
from collections.abc import Iterator
from contextlib import suppress

import msgspec

from remit.model.decision import Steering
from remit.model.errors import RemitError
from remit.model.flow import FlowGrant, flow_grant
from remit.pdp.effects import counted_as
from remit.pdp.inputs import Inputs
from remit.pdp.locus import locus_of
from remit.pdp.provenance.folding import exact, folded
from remit.pdp.provenance.forms import alone, stands, strict
from remit.pdp.provenance.granting import MAX_SOURCE
from remit.pdp.provenance.origins import DOCUMENT, LINKED, NAMED, RECORD, STEERED
from remit.pdp.provenance.searching import DEAR, EDGE, Exhausted, Work, holds

MAX_SHOWN, MAX_VALUE = 10, 200
"""So many values are listed, each of so many characters; where there are more, or longer ones, only the one at hand is offered."""
_GRANTABLE = frozenset({NAMED, RECORD, LINKED, DOCUMENT, STEERED})
_FORMS = ("email", "url", "iban")
_WORDS = re.compile(rf"[^\s{EDGE},;<>()\"\[\]]{{6,{MAX_VALUE}}}")
MAX_WORDS = 20_000
MAX_WORK, LOOKED = 128 << 20, 16
"""So much may all offers of one call cost, in characters gone through; where a form is looked for, each counts so many times."""


class Offer(msgspec.Struct, frozen=True):
    """A grant as it would be written, and which values beside the one at hand it would let through."""

    flow: str
    others: tuple[str, ...] = ()


def offers(inputs: Inputs, steering: tuple[Steering, ...]) -> tuple[Offer, ...]:
    """A grant for each value that some output chose: this output alone, as it was, for as long as the task lasts."""
    if not inputs.chain or inputs.bundle is None:
        return ()
    if not locus_of(inputs.bundle, inputs.agent, inputs.request, inputs.target).steered:
        return ()  # where no policy asks about flows, a grant would let nothing through
    call, work, found = counted_as(inputs.request.action, inputs.request.resource.id), Work(MAX_WORK), list[Offer]()
    with suppress(Exhausted):  # what would take longer to find is not offered
        for one in steering:
            if one.origin in _GRANTABLE:
                found += _offers(call, one, inputs, work)
    return tuple(found)


def _offers(call: str, steering: Steering, inputs: Inputs, work: Work) -> Iterator[Offer]:
    for output in inputs.observed.outputs:
        if output.source != steering.source or output.cut or len(output.prose) > MAX_SOURCE:
            continue
        work.spend(DEAR)
        grant = FlowGrant(f"{call}.{steering.argument}", output.source, digest=output.digest, uses=None)
        form = next((form for form in _FORMS if _stands(form, steering.value, output.letters, work)), "")
        others = _others(form, steering.value, output.letters, work) if form else None
        if others is not None:
            grant = msgspec.structs.replace(grant, form=form, any_of=True)
        elif form or holds(output.letters, exact(steering.value), exhausted=False, work=work):
            grant = msgspec.structs.replace(grant, literal=steering.value)
        else:
            continue
        if _reads_back(grant):
            yield Offer(str(grant), others or ())
        return


def _stands(form: str, text: str, letters: str, work: Work) -> bool:
    value = strict(form, text)
    if value is None:
        return False
    work.spend(LOOKED * len(letters))
    return stands(form, value, letters)


def _others(form: str, text: str, letters: str, work: Work) -> tuple[str, ...] | None:
    """All other values of the form, None where they cannot all be shown, or something else there could be taken for one."""
    own, found, missed = strict(form, text), set[str](), set[str]()
    for count, word in enumerate(_WORDS.finditer(letters)):
        value = strict(form, word[0].strip(".:'!?"))
        if value is not None and value != own and value not in found | missed:
            (found if _stands(form, value, letters, work) else missed).add(value)
        if max(len(found), len(missed)) > MAX_SHOWN or count > MAX_WORDS:
            return None
    work.spend(LOOKED * len(letters) * (2 + len(found)))
    # INVARIANT (an approval is for what was shown): a value that is found in no other way than by asking for it is offered to nobody.
    return tuple(sorted(found)) if own is not None and alone(form, {own, *found}, letters) else None


def _reads_back(grant: FlowGrant) -> bool:
    """Whether what an approver would read is what would be granted, letter by letter."""
    try:
        return flow_grant(str(grant)) == grant and (not grant.literal or folded(grant.literal) == exact(grant.literal))
    except RemitError:
        return False
