"""Which subjects, resources or actions a request would be permitted with: each is decided, and nothing is committed."""

from collections.abc import Iterator
from enum import StrEnum

from msgspec.structs import replace

from remit.model.decision import Permit
from remit.model.errors import unavailable
from remit.model.identity import AGENT, DecisionId, EntityRef, SessionId, new_id
from remit.model.request import TOOL_CALL, EvaluationRequest, readable
from remit.model.task import Session
from remit.pdp.compiled import CompiledBundle
from remit.pdp.decide import decide_asking
from remit.pdp.parties import askers
from remit.pdp.provenance.seen import Observed, observe
from remit.runtime import sessions
from remit.runtime.beside import Behind
from remit.runtime.committing import Loaded
from remit.runtime.joining import ahead
from remit.runtime.loading import load
from remit.runtime.runtime import Runtime


class SearchKind(StrEnum):
    """What is searched for (AuthZEN 1.0)."""

    SUBJECT = "subject"
    RESOURCE = "resource"
    ACTION = "action"


def search(runtime: Runtime, kind: SearchKind, request: EvaluationRequest, after: str = "") -> Iterator[EntityRef | str]:
    """What would be permitted, in the order of names, behind the name `after`: subjects or resources of the request's type, or actions.

    Only what is known can be found: agents, tools, and the bundle's entities. Raises `RemitError` (unavailable) where the store or an
    engine outside cannot be asked.
    """
    with runtime.view.lock:
        runtime.view.refresh()
        runtime.view.look()
        runtime.view.catch_up(request.task, request.session)
        bundle = runtime.view.bundle
    if bundle is None:
        raise unavailable("no policy is published: run `remit policy publish`")
    known = _Ahead(runtime)
    for name in _candidates(runtime, bundle, kind, request):
        if name > after and _permitted(runtime, _with(kind, request, name), known):
            yield name if kind is SearchKind.ACTION else _of(kind, request, name)


def _candidates(runtime: Runtime, bundle: CompiledBundle, kind: SearchKind, request: EvaluationRequest) -> list[str]:
    if kind is SearchKind.ACTION:
        return sorted(
            action
            for action, types in bundle.actions.items()
            if request.resource.type in types and request.subject.type in askers(bundle, action)
        )
    wanted = request.subject.type if kind is SearchKind.SUBJECT else request.resource.type
    names = {ref.id for ref in bundle.entities if ref.type == wanted}
    if wanted == AGENT:
        names |= {agent.id for agent in runtime.view.store.agents()}
    if wanted == "Tool" and request.action == TOOL_CALL:
        names |= set(bundle.tools)
    return sorted(names)


def _with(kind: SearchKind, request: EvaluationRequest, name: str) -> EvaluationRequest:
    match kind:
        case SearchKind.SUBJECT:
            return replace(request, subject=EntityRef(request.subject.type, name))
        case SearchKind.RESOURCE:
            return replace(request, resource=EntityRef(request.resource.type, name))
        case SearchKind.ACTION:
            return replace(request, action=name)


def _of(kind: SearchKind, request: EvaluationRequest, name: str) -> EntityRef:
    return EntityRef(request.subject.type if kind is SearchKind.SUBJECT else request.resource.type, name)


def _permitted(runtime: Runtime, request: EvaluationRequest, known: "_Ahead") -> bool:
    # INVARIANT (what search returns, evaluation permits): it is the same decision, of the same inputs.
    loaded = _loaded(runtime, readable(request), known)
    return isinstance(decide_asking(loaded.inputs, runtime.ask).decision, Permit)


def _loaded(runtime: Runtime, request: EvaluationRequest, known: "_Ahead") -> Loaded:
    now = runtime.clock()
    decision = DecisionId(new_id("dec", now))
    with runtime.view.lock:
        try:
            loaded = load(runtime, request, decision, now)
            if not loaded.inputs.behind:
                return loaded
        except Behind:  # other sessions of the task have touched more: as before any decision, that is taken over first
            pass
        try:
            return load(runtime, request, decision, now, instead=known.of(request))
        except Behind:
            raise unavailable("other sessions of the task kept touching more: search again") from None


class _Ahead:
    """A session as it would have taken over what others know, before anything is decided in it. Nothing is committed."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._known: dict[tuple[int, ...], tuple[Session, Observed]] = {}

    def of(self, request: EvaluationRequest) -> tuple[Session, Observed]:
        """The session that a request names, and what it would have seen; read once for all that is searched through."""
        view = self._runtime.view
        before = sessions.entered(self._runtime, request.session or SessionId(""))
        chain, _ = view.chain(before.task)
        at = before.version, *(state.spent.version for state in chain)
        if at not in self._known:
            observed, joined = view.observed(before.id, before.task), ahead(view, before)
            if joined is not None:
                observed = observe(observed, [report for _, report in joined.reports()])
            self._known = {at: (joined.session if joined is not None else before, observed)}
        return self._known[at]
