"""Lowering a session's label: an action like any other, that two people must want."""

from msgspec.structs import replace

from remit.model.decision import Reason
from remit.model.labels import Confidentiality, Label
from remit.model.request import SESSION_DECLASSIFY
from remit.model.task import Session
from remit.pdp.inputs import Inputs
from remit.pdp.refusal import Refusal

_ARGUMENTS = frozenset({"confidentiality", "sources", "why", "by"})


def check_declassification(inputs: Inputs) -> None:
    """The request is about its own session, and says what is lowered and why. Raises `Refusal`."""
    request, session = inputs.request, inputs.session
    if request.action != SESSION_DECLASSIFY:
        return
    if session is None or request.resource.id != session.id:
        raise Refusal(
            Reason.MALFORMED_REQUEST, "a label is lowered of the session that asks for it: name that session as the resource"
        )
    under_way = max(session.unreported, len(session.pending))
    if under_way:
        # What they touch is not known yet: it would join at its worst, or be taken for lowered.
        raise Refusal(Reason.MALFORMED_REQUEST, f"{under_way} calls are under way: wait until their outcomes are reported")
    if inputs.under_way:
        raise Refusal(
            Reason.MALFORMED_REQUEST,
            f"{inputs.under_way} calls of other sessions of the task are under way: wait until their outcomes are reported",
        )
    if lowered(inputs) == session.label:
        raise Refusal(
            Reason.MALFORMED_ARGUMENTS, "there is nothing to lower: name a `confidentiality` below the session's, or `sources`"
        )


def lowered(inputs: Inputs) -> Label:
    """The session's label as the arguments would have it. Raises `Refusal` for arguments that would raise it, or say nothing of it."""
    assert inputs.session is not None
    label, values = inputs.session.label, inputs.request.arguments.values
    unknown = sorted(values.keys() - _ARGUMENTS)
    if unknown:
        raise _malformed(f"`{unknown[0]}` is no argument of `{SESSION_DECLASSIFY}`: it has {', '.join(sorted(_ARGUMENTS))}")
    if not isinstance(values.get("why"), str) or not values["why"].strip():
        raise _malformed("say in `why` for what reason the label is lowered")
    if not isinstance(values.get("by", ""), str):
        raise _malformed("`by` is the person who asks for it, as text")
    return Label(_level(label, values.get("confidentiality")), _sources(label, values.get("sources")))


def _level(label: Label, wanted: object) -> Confidentiality:
    if wanted is None:
        return label.confidentiality
    try:
        level = Confidentiality(str(wanted))
    except ValueError:
        raise _malformed(f"`{wanted}` is no class: use {', '.join(Confidentiality)}") from None
    if level.rank > label.confidentiality.rank:
        raise _malformed(f"the session's data is {label.confidentiality.value}: {level.value} would be higher")
    return level


def _sources(label: Label, wanted: object) -> tuple[str, ...]:
    if wanted is None:
        return label.sources
    if not isinstance(wanted, list) or not all(isinstance(source, str) for source in wanted):
        raise _malformed("`sources` is a list of names: those that shall count as trusted")
    strange = sorted(set(wanted) - set(label.sources))
    if strange:
        raise _malformed(f"`{strange[0]}` is no untrusted source of this session: it has {', '.join(label.sources) or 'none'}")
    return tuple(source for source in label.sources if source not in wanted)


def _malformed(message: str) -> Refusal:
    return Refusal(Reason.MALFORMED_ARGUMENTS, message)


def declassified(inputs: Inputs, session: Session) -> Session:
    """The session with its label lowered, if that is what was asked for. What values came from stays as it was."""
    # INVARIANT (labels come from what was touched): only this lowers one, in the commit of a permit that two people stand behind.
    if inputs.request.action != SESSION_DECLASSIFY:
        return session
    label = lowered(inputs)
    forgiven = sorted({*session.forgiven, *session.label.sources} - set(label.sources))
    return replace(session, label=label, forgiven=tuple(forgiven), settled=inputs.beside or {})


def touches_of(inputs: Inputs) -> int:
    """How often the session has touched something, and where a label is to be lowered, all those beside it: whoever approves that was
    shown it as it was then."""
    own = inputs.session.touches if inputs.session is not None else 0
    return own + sum(inputs.beside.values()) if inputs.beside else own


def provenance_of(session: Session) -> Label:
    """What a session has touched, with the sources that were taken out of its label: whose words may be in what it writes."""
    return session.reached.join(Label(sources=session.forgiven)) if session.forgiven else session.reached
