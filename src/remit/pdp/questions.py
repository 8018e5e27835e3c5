"""What one decision asks of its engines, and what they say together."""

from collections.abc import Mapping
from typing import Any

import msgspec

from remit.model.decision import Reason
from remit.pdp.answer import Annotations, EngineAnswer, together
from remit.pdp.arguments import Unrepresentable
from remit.pdp.cedar.reads import Node
from remit.pdp.compiled import CompiledBundle, Rego
from remit.pdp.context import Context, Situation, context_of, context_parts, typed_args
from remit.pdp.locus import Locus, evaluate
from remit.pdp.outside import EngineFailure, NotAsked, Outside, Unanswered, digest
from remit.pdp.refusal import Refusal
from remit.pdp.rego.document import document_bytes, ill_typed, misordered, plain, task_view
from remit.pdp.rego.reading import Unreadable, failed, read_answer

_NO_POLICIES = EngineAnswer(False, (), ())
_REASONS = {EngineFailure.UNAVAILABLE: Reason.ENGINE_UNAVAILABLE, EngineFailure.REVISION: Reason.ENGINE_REVISION}


class Question(msgspec.Struct, frozen=True, gc=False):
    """What policies see of one request: the context of those in Cedar, the document of those in Rego (empty without any).

    `fault` says what is wrong with an argument that Rego would pass over.
    """

    context: Context
    document: bytes = b""
    fault: str | None = None

    @property
    def read(self) -> bytes:
        """What is on record of it, as one JSON object."""
        cedar = self.context.read
        if self.document and cedar != b"{}":
            return b'{"cedar":' + cedar + b',"rego":' + self.document + b"}"
        return self.document or cedar


def question_of(locus: Locus, situation: Situation) -> Question:
    """What is asked at a locus. Raises `Refusal` for an argument that a policy reads and no engine can be told exactly."""
    try:
        context = context_of(locus.slice.reads.context, situation)
        rego = situation.bundle.rego
        if rego is None:
            return Question(context)
        shown = {**locus.parties, "context": _shown(rego.reads.at("context"), situation)}
        fault = _fault(rego, locus, situation) or misordered(rego.compared, shown)
        return Question(context, document_bytes(rego.reads, shown), fault)
    except Unrepresentable as problem:
        raise _unrepresentable(problem) from None


def _fault(rego: Rego, locus: Locus, situation: Situation) -> str | None:
    """What policies read that is not there though it must be: Cedar errs, Rego would only find that the rule does not hold."""
    # INVARIANT (fail closed): a missing attribute denies.
    request, arguments = situation.request, rego.reads.at("context").at("args")
    unknown = not locus.parties["resource"]["properties"] and request.resource not in situation.bundle.entities
    if unknown and rego.reads.reaches("resource", "properties"):
        return f"nothing is known of `{request.resource.id}`, and a policy reads its properties"
    return ill_typed(arguments, request.arguments.values, locus.tool)


def _shown(read: Node, situation: Situation) -> Mapping[str, Any]:
    shown: dict[str, Any] = plain(context_parts(read, situation, typed_args))
    if "task" in shown:
        shown["task"] = task_view(situation.bundle, shown["task"], situation.chain)
    return shown


def _unrepresentable(problem: Unrepresentable) -> Refusal:
    message = f"{problem}, and a policy reads it: pass it as text or with fewer digits"
    return Refusal(Reason.UNREPRESENTABLE_ARGUMENT, message)


def answer_to(locus: Locus, situation: Situation, question: Question, outside: Outside | None) -> EngineAnswer:
    """What all policies say. Raises `NotAsked` where an engine outside must be asked first, `Refusal` where it gave no answer."""
    bundle, rego = situation.bundle, situation.bundle.rego
    cedar = evaluate(bundle, locus, question.context) if locus.slice.ids else _NO_POLICIES
    if rego is None:
        return cedar
    if question.fault is not None:
        return together(cedar, failed(question.fault))
    said = _inside(locus, rego, question.document) if rego.evaluate else _outside(bundle, situation, question.document, outside)
    return together(cedar, said)


def _inside(locus: Locus, rego: Rego, document: bytes) -> EngineAnswer:
    key = b"rego " + document
    known = locus.answers.find(key)
    if known is not None:
        return known
    assert rego.evaluate is not None
    try:
        answer = read_answer(rego.evaluate(document))
    except Unrepresentable as problem:
        raise _unrepresentable(problem) from None
    except Unreadable as problem:
        return failed(str(problem))
    return locus.answers.keep(key, answer, len(key))


def _outside(bundle: CompiledBundle, situation: Situation, document: bytes, outside: Outside | None) -> EngineAnswer:
    said = outside.answers.get(digest(document)) if outside is not None else None
    if said is None:
        assert bundle.rego is not None and bundle.rego.opa is not None
        raise NotAsked(bundle.rego.opa, document, situation.now)
    if isinstance(said, Unanswered):
        raise Refusal(_REASONS[said.failure], said.message)
    return read_answer(said)


def annotations_of(locus: Locus, answer: EngineAnswer) -> Annotations:
    """What the policies that decided say of themselves, in either language."""
    return {**locus.slice.annotations, **answer.annotations} if answer.annotations else locus.slice.annotations


def by_approver(locus: Locus, situation: Situation, answer: EngineAnswer) -> frozenset[str]:
    """The policies behind an answer that may ask who approved."""
    rego = situation.bundle.rego
    if rego is not None and answer.annotations and rego.reads.covers("context", "approval", "approver"):
        return locus.slice.by_approver | answer.annotations.keys()
    return locus.slice.by_approver
