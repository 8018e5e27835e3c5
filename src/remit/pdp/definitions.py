"""Whether a tool is still the one that was reviewed, or first used: another definition is another tool, until somebody approves it."""

import hashlib

from msgspec.structs import replace

from remit.model.decision import Reason
from remit.model.definition import MAX_BYTES, KnownDefinition, changes_in, is_digest
from remit.model.request import TOOL_CALL, EvaluationRequest
from remit.pdp.compiled import CompiledBundle, CompiledTool
from remit.pdp.inputs import Decided, Inputs
from remit.pdp.refusal import Refusal


class Redefined(Refusal):
    """A definition other than the one that counts; `known` is that one, with what was offered instead."""

    def __init__(self, message: str, known: KnownDefinition) -> None:
        super().__init__(Reason.DEFINITION_CHANGED, message)
        self.known = known


def asks_for_known(bundle: CompiledBundle | None, request: EvaluationRequest) -> bool:
    """Whether a decision needs to know which definition was first used: a server's tool is called, and the catalogue pins none."""
    if not (request.definition or request.upstream) or request.action != TOOL_CALL or bundle is None:
        return False
    tool = bundle.tools.get(request.resource.id)
    return tool is None or not tool.tool.definition


def check_definition(inputs: Inputs, tool: CompiledTool | None) -> None:
    """The definition that a door reports is the one that the catalogue pins, or else the first that was used. Raises `Refusal`."""
    request, known = inputs.request, inputs.known
    if request.action != TOOL_CALL:
        return
    if not request.definition:
        if request.upstream and (known is not None or (tool is not None and tool.tool.definition)):
            # INVARIANT (fail closed): whoever leaves out what a tool is does not call what was reviewed.
            raise Refusal(Reason.DEFINITION_CHANGED, _unreported(request))
        return
    if tool is not None and tool.tool.definition:
        if tool.tool.definition != request.definition:
            raise Refusal(Reason.DEFINITION_CHANGED, _repinned(request, tool.tool.definition))
    elif known is None or known.digest != request.definition:
        _check_reported(request)
        if known is not None:
            # INVARIANT (fail closed): whoever changes what a tool is said to do is not believed by whom was told otherwise.
            raise Redefined(_redefined(request, known), _offered(known, inputs))


def _check_reported(request: EvaluationRequest) -> None:
    if not is_digest(request.definition):
        message = "the door reports a definition that is no digest: it must be SHA-256 in 64 lower-case hex digits"
        raise Refusal(Reason.MALFORMED_REQUEST, message)


def _text(request: EvaluationRequest) -> bytes:
    """What a door reports beside the digest, to be shown to people; nothing if it is not what has that digest."""
    text = request.defined
    if not isinstance(text, bytes) or len(text) > MAX_BYTES or hashlib.sha256(text).hexdigest() != request.definition:
        return b""
    return text


def first_used(decided: Decided, inputs: Inputs, tool: CompiledTool | None) -> Decided:
    """The decision, and that its definition counts from now on: the first that anybody reported."""
    request = inputs.request
    if request.action != TOOL_CALL or inputs.known is not None or (tool is not None and tool.tool.definition):
        return decided
    upstream, name = request.upstream, request.resource.id
    known = KnownDefinition(upstream, name, request.definition, _text(request), inputs.now, inputs.decision)
    return replace(decided, effects=replace(decided.effects, definition=known))


def _offered(known: KnownDefinition, inputs: Inputs) -> KnownDefinition:
    request = inputs.request
    if known.offered == request.definition:
        return known
    return replace(known, offered=request.definition, offered_text=_text(request), offered_at=inputs.now)


def _unreported(request: EvaluationRequest) -> str:
    what = f"the door does not report the definition of `{request.resource.id}`, which is pinned or was seen before"
    return f"{what}: it must send what the server lists, or nobody knows that it is still that tool"


def _repinned(request: EvaluationRequest, pinned: str) -> str:
    seen = f"its server now says `{request.definition[:12]}…`, the catalogue pins `{pinned[:12]}…`"
    what = f"the definition of `{request.resource.id}` is not the one that was reviewed ({seen})"
    return f"{what}: an administrator compares them with `remit policy pin`, and publishes the new one or stops using the tool"


def _redefined(request: EvaluationRequest, known: KnownDefinition) -> str:
    # What the server now says is not repeated: it may be meant for the agent that reads this message.
    where = changes_in(known.text, _text(request))
    members = sorted({change.place.split(".")[0] for change in where or ()})
    changed = f"its {' and '.join(f'`{name}`' for name in members)} changed" if members else "its definition changed"
    what = f"tool `{request.resource.id}` is no longer what it was when it was first used: {changed}"
    how = f"`remit tool show {request.resource.id}` shows it to an operator, who approves it with `remit tool approve` or has it stopped"
    return f"{what} (`{known.digest[:12]}…`, now `{request.definition[:12]}…`): {how}"
