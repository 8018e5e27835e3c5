"""One logged decision asked of one bundle; what its policies cannot tell apart is asked once."""

from itertools import count
from typing import Any

import msgspec
from msgspec.structs import replace

from remit.decision_log.entry import DecisionMade
from remit.decision_log.sealed import SealedOutside
from remit.decision_log.sealing import SealKey
from remit.model.caller import Proof
from remit.model.decision import Decision, Deny, Permit, Reason
from remit.model.errors import corrupt
from remit.model.identity import AGENT, ApprovalId, DecisionId, EntityRef, SessionId, TaskId
from remit.model.person import OwnerState
from remit.model.request import SESSION_DECLASSIFY, EvaluationRequest
from remit.model.values import NO_ARGUMENTS, thaw
from remit.pdp.cedar.reads import Node
from remit.pdp.compiled import CompiledBundle, Mode
from remit.pdp.context import task_context
from remit.pdp.decide import decide_asking
from remit.pdp.inputs import Inputs
from remit.pdp.locus import alike, known_locus, same_ground
from remit.pdp.memory import memory_of
from remit.pdp.outside import Opa, Outside, Said, Unanswered
from remit.reviews.archive import Archive
from remit.reviews.history import LoggedState
from remit.reviews.past_tasks import Bounds

ASK = "ask"
"""A denial that an approval would lift."""
REMEMBERED = 60_000
_MOVING = ("calls", "denials", "used")
"""What of a session is seldom the same twice."""


class Gap(Exception):
    """Why a decision cannot be asked again."""


class Sealed(msgspec.Struct, frozen=True, gc=False):
    """What asking needs of the sealed part of a decision entry."""

    arguments: msgspec.Raw
    message: str
    outside: SealedOutside | None = None
    properties: dict[str, Any] | None = None


class DecisionResult(msgspec.Struct, frozen=True, order=True):
    """What was or would be decided: `effect` is permit, deny, or ask; `policies` are those that decided."""

    effect: str
    reason: str
    rule: str = ""
    obligations: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()

    def changes(self, other: "DecisionResult") -> bool:
        """Whether a caller would notice: another effect, another approver, other obligations."""
        return self.effect != other.effect or self.rule != other.rule or self.obligations != other.obligations


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What a bundle says, and what its policies read to say so (canonical JSON). `known`: it was asked before."""

    result: DecisionResult
    read: bytes
    known: bool = False


class _Place(msgspec.Struct, frozen=True, gc=False):
    """An agent, an action and a resource, and whether what is said there hangs on nothing but arguments, task and label."""

    number: int
    plain: bool
    task: Node | None


_decode_sealed = msgspec.json.Decoder(Sealed).decode
_encode = msgspec.json.Encoder().encode
_canonical = msgspec.json.Encoder(order="deterministic").encode


def open_sealed(body: DecisionMade, key: SealKey) -> Sealed:
    """The sealed part of a decision entry. Raises `RemitError` (corrupt)."""
    try:
        return _decode_sealed(key.open(body.sealed, body.id))
    except msgspec.MsgspecError as error:
        raise corrupt(f"the sealed part of `{body.id}` cannot be read ({error}): verify the log") from None


def subject_of(body: DecisionMade, history: LoggedState) -> EntityRef:
    """The entry has type and id as one text, and either may have `::` in it: the agent that was known tells them apart."""
    parts = body.subject.split("::")
    places = [("::".join(parts[:count]), "::".join(parts[count:])) for count in range(1, len(parts))]
    version = body.subject_version
    known = [place for place in places if version and history.agent(place[1], version) is not None]
    return EntityRef(*(known or places or [(body.subject, "")])[0])


class Asker:
    """Asks one bundle, with everything as the history has it."""

    def __init__(self, bundle: CompiledBundle, history: LoggedState, archive: Archive) -> None:
        # What the bundle says is asked, not what shadow mode would have let pass.
        self._bundle = replace(bundle, mode=Mode.ENFORCE)
        self._history, self._archive = history, archive
        self._places: dict[tuple[object, ...], _Place] = {}
        self._count = count()
        self._shapes: dict[tuple[Bounds, int], int] = {}
        self._numbers: dict[bytes, int] = {}
        self._known: dict[tuple[object, ...], Answer] = {}

    def ask(self, body: DecisionMade, subject: EntityRef, sealed: Sealed) -> Answer:
        """What the bundle says to one logged request. Raises `Gap`."""
        about = body.subject, body.subject_version, body.action, body.resource_type, body.resource, body.upstream, body.hints
        place = self._places.get(about)
        key = self._key(place, body, subject, sealed) if place is not None and place.plain else None
        if key is not None and (found := self._known.get(key)) is not None:
            return found
        inputs = self._inputs(body, self.request(body, subject, sealed))
        if sealed.outside is not None and body.bundle == self._bundle.digest:
            inputs = replace(inputs, outside=_as_logged(sealed.outside, body.engine))
        if place is None:
            decision = self._decide(body, inputs, observe=True)
            if len(self._places) >= REMEMBERED:
                self._places.clear()
            self._places[about] = self._place(inputs)
        else:
            decision = self._decide(body, inputs, observe=place.task is None or not place.plain or bool(body.approval))
        answer = Answer(_result(decision), decision.basis.read)
        if key is not None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[key] = Answer(answer.result, answer.read, True)
        return answer

    @staticmethod
    def request(body: DecisionMade, subject: EntityRef, sealed: Sealed) -> EvaluationRequest:
        """The request as it was made."""
        arguments = thaw(bytes(sealed.arguments))
        unread = body.reason == Reason.MALFORMED_ARGUMENTS and not arguments.values
        return EvaluationRequest(
            subject,
            body.action,
            EntityRef(body.resource_type, body.resource),
            arguments,
            TaskId(body.task) if body.task is not None else None,
            SessionId(body.session) if body.session is not None else None,
            body.upstream,
            body.definition,
            (sealed.message or "its arguments could not be read") if unread else "",
            body.hints,
            caller=body.caller,
            proof=Proof(body.proof) if body.proof else None,
            properties=thaw(_canonical(sealed.properties)) if sealed.properties is not None else NO_ARGUMENTS,
        )

    def _inputs(self, body: DecisionMade, request: EvaluationRequest) -> Inputs:
        history = self._history
        agent = history.agent(request.subject.id, body.subject_version) if request.subject.type == AGENT else None
        if agent is None and body.subject_version:
            raise Gap("its agent is not in the log")
        chain = history.tasks.chain(body.chain[0]) if body.chain else ()
        if chain is None:
            raise Gap("its task is not in the log")
        session = history.sessions.session(body.session)
        if session is None and body.session_version:
            raise Gap("its session is not in the log")
        beside, under_way = None, 0
        if body.action == SESSION_DECLASSIFY and session is not None and session.task == body.task:
            beside, under_way = history.sessions.beside(session.id, body.chain)
        return Inputs(
            bundle=self._bundle,
            request=request,
            agent=agent,
            now=body.at,
            decision=DecisionId(body.id),
            chain=chain,
            complete=body.reason != Reason.DELEGATION_BROKEN,
            session=session,
            kills=history.kills,
            delegators=tuple([history.latest(state.task.agent) for state in chain[1:]]),
            memory=history.memory(memory_of(self._bundle, request.action, request.resource)),
            account=history.account(request.subject.id),
            target=history.latest(request.resource.id) if request.resource.type == AGENT else None,
            known=history.definition(body.upstream, body.resource) if body.definition or body.upstream else None,
            beside=beside,
            under_way=under_way,
            behind=body.behind,
            owner=OwnerState(body.owner or OwnerState.UNKNOWN),
        )

    def _decide(self, body: DecisionMade, inputs: Inputs, observe: bool) -> Decision:
        """The decision on the request itself, or with the approval that was used for it, or what two people had opened."""
        if observe and body.session is not None:
            inputs = replace(inputs, observed=self._history.sessions.observed(body.session))
        decision = decide_asking(inputs, self._said).decision
        if isinstance(decision, Deny) and body.break_glass:
            glass = self._history.glass(body.break_glass)
            if glass is None:
                raise Gap("its break-glass is not in the log")
            return decide_asking(replace(inputs, glass=glass), self._said).decision
        # As the runtime does: an approval of exactly this comes before the data flows that would let it pass as well.
        approvable = bool(decision.basis.flows) if isinstance(decision, Permit) else decision.requestable is not None
        if not approvable or body.effect != "permit" or not body.approval:
            return decision
        key = self._history.key(body.chain[0] if body.chain else None)
        grant = self._archive.grant(ApprovalId(body.approval), key) if key is not None else None
        if grant is None:
            raise Gap("its approval is gone")
        again = decide_asking(replace(inputs, grant=grant), self._said).decision
        return again if isinstance(again, Permit) else decision

    def _said(self, opa: Opa, document: bytes) -> Said:
        said = self._archive.ask(opa, document)
        if isinstance(said.answer, Unanswered):
            raise Gap("its policy engine gave no answer")
        return said

    def _place(self, inputs: Inputs) -> _Place:
        number, locus = next(self._count), None
        if inputs.agent is not None and inputs.request.resource.type != AGENT:
            locus = known_locus(self._bundle, inputs.agent, inputs.request, None)
        if locus is None:
            return _Place(number, False, None)
        tree = locus.context
        session = tree.children.get("session", _NOTHING)
        moving = (
            tree.whole
            or locus.steered
            or "now" in tree.children
            or "facts" in tree.children
            or tree.reaches("task", "history")
            or self._bundle.first_uses
            or bool(self._bundle.agent_rates)
            or (self._bundle.rego and self._bundle.rego.opa) is not None
            or inputs.request.action == SESSION_DECLASSIFY  # hangs on what is under way
        )
        plain = not moving and not session.whole and not any(name in session.children for name in _MOVING)
        return _Place(number, plain, tree.children.get("task", _NOTHING))

    def _key(self, place: _Place, body: DecisionMade, subject: EntityRef, sealed: Sealed) -> tuple[object, ...] | None:
        """What tells this request from others at its place, None where more has a part in it."""
        history = self._history
        bounds = history.tasks.bounds(body.task)
        if bounds is None or history.kills or body.approval or body.break_glass or not bounds.holds(subject.id, body.at):
            return None
        label = history.sessions.reached(body.session, subject.id, body.task)
        if label is None or body.reason == Reason.MALFORMED_ARGUMENTS or sealed.properties is not None:
            return None
        shape = self._shapes.get((bounds, place.number))
        if shape is None:
            shape = self._shape(bounds, place)
        known = history.definition(body.upstream, body.resource) if body.definition or body.upstream else None
        told = known.digest if known else ""
        return place.number, shape, body.definition, told, label, body.proof, body.owner, bytes(sealed.arguments)

    def _shape(self, bounds: Bounds, place: _Place) -> int:
        """A number for all tasks that policies and checks cannot tell apart here."""
        assert place.task is not None
        seen = _encode((bounds.scopes, task_context(place.task, bounds.chain)))
        if len(self._shapes) >= REMEMBERED:
            self._shapes.clear()
        return self._shapes.setdefault((bounds, place.number), self._numbers.setdefault(seen, len(self._numbers)))


def _as_logged(sealed: SealedOutside, engine: str) -> Outside:
    return Outside(sealed.moment, {name: bytes(answer) for name, answer in sealed.answers.items()}, engine)


_NOTHING = Node()
ERASED = Sealed(msgspec.Raw(b"{}"), "")


class Alike:
    """Where two bundles cannot decide otherwise: `before`, or whichever was active, and `after`."""

    def __init__(self, after: CompiledBundle, before: CompiledBundle | None, archive: Archive, history: LoggedState) -> None:
        self._after, self._before = after, before
        self._archive, self._history = archive, history
        self._ground: dict[str, bool] = {}

    def at(self, body: DecisionMade, subject: EntityRef) -> bool:
        """Whether they cannot differ on requests of this decision's agent, action and resource, under its bundle."""
        if body.resource_type == AGENT:
            return False
        return self._compare(self._before.digest if self._before is not None else body.bundle, body, subject)

    def _compare(self, digest: str, body: DecisionMade, subject: EntityRef) -> bool:
        before = self._before or (self._archive.bundle(digest) if digest else None)
        agent = self._history.agent(subject.id, body.subject_version)
        if before is None or agent is None or subject != agent.ref or self._after.request_attributed:
            return False
        if digest not in self._ground:
            self._ground[digest] = same_ground(before, self._after)
        request = EvaluationRequest(subject, body.action, EntityRef(body.resource_type, body.resource), NO_ARGUMENTS)
        return self._ground[digest] and alike(before, self._after, agent, request)


def logged(body: DecisionMade, after: DecisionResult) -> DecisionResult:
    """What was decided, as the log has it. `after` fills in what shadow mode does not log: whom it would have asked, and of what."""
    if body.effect == "permit" and body.enforced:
        return DecisionResult("permit", body.reason, "", body.obligations, body.policies)
    if body.effect == "permit":
        effect = ASK if body.reason == Reason.APPROVAL_REQUIRED else "deny"
        same = after.effect == effect
        return DecisionResult(effect, body.reason, after.rule if same else "", after.obligations if same else (), body.policies)
    # That too many requests waited already is no word of the policies: they asked for an approval.
    reason = Reason.APPROVAL_REQUIRED if body.reason == Reason.TOO_MANY_REQUESTS else body.reason
    return DecisionResult(ASK if body.requestable else "deny", reason, body.requestable, body.obligations, body.policies)


def _result(decision: Decision) -> DecisionResult:
    obligations = tuple([f"{one.type}:{one.argument}" for one in decision.obligations])
    if isinstance(decision, Permit):
        return DecisionResult("permit", decision.reason, "", obligations, decision.basis.policies)
    rule = decision.requestable.value if decision.requestable else ""
    return DecisionResult(ASK if rule else "deny", decision.reason, rule, obligations, decision.basis.policies)
