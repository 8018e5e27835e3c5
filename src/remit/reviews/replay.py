"""Every logged decision of a window asked again of another bundle: what it would have changed, for which tasks, how often."""

from collections import Counter
from collections.abc import Iterable
from zlib import crc32

import msgspec
from msgspec.structs import replace

from remit.decision_log.encoding import decode, decode_body
from remit.decision_log.entry import DecisionMade
from remit.decision_log.sealed import SealedDecision, open_sealed
from remit.model.decision import Decision, Permit, Reason
from remit.model.errors import corrupt
from remit.model.identity import ApprovalId, DecisionId, EntityRef, SessionId, TaskId
from remit.model.request import EvaluationRequest
from remit.model.values import NO_ARGUMENTS, thaw
from remit.pdp.compiled import CompiledBundle, Mode
from remit.pdp.decide import decide
from remit.pdp.inputs import Inputs
from remit.pdp.locus import known_locus
from remit.reviews.history import Archive, History

MAX_GROUPS = 10_000
"""So many different changes are told apart; the rest are counted together."""
MAX_PURPOSES = 5
ASK = "ask"
"""A denial that an approval would lift."""
_NOT_POLICY = frozenset({Reason.CLOCK_BACKWARDS, Reason.CONFLICT, Reason.INTERNAL_ERROR, Reason.STORE_UNAVAILABLE})


class Verdict(msgspec.Struct, frozen=True, order=True):
    """What was or would be decided: `effect` is permit, deny, or ask; `policies` are those that decided."""

    effect: str
    reason: str
    rule: str = ""
    obligations: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()

    def changes(self, other: "Verdict") -> bool:
        """Whether a caller would notice: another effect, another approver, other obligations."""
        return (self.effect, self.rule, self.obligations) != (other.effect, other.rule, other.obligations)


class Change(msgspec.Struct, frozen=True):
    """Equal requests that would be decided otherwise: as the policies see them they differ in nothing.

    `count` is how many there were, in `tasks` tasks; `purposes` are those tasks', at most five; `decision` is one of them, with the
    `arguments` it had (canonical JSON); `read` is what policies read of it.
    """

    before: Verdict
    after: Verdict
    agent: str
    action: str
    resource: str
    count: int
    tasks: int
    purposes: tuple[str, ...]
    decision: str
    arguments: str
    read: str


class Replayed(msgspec.Struct, frozen=True):
    """What a replay found. `gaps` counts the decisions of the window that could not be asked again, by why.

    `requests` is how many different requests the bundle was asked; `more` counts changed decisions that are not in `changes`.
    """

    decisions: int
    requests: int
    changes: tuple[Change, ...]
    changed: int
    more: int
    gaps: dict[str, int]


class _Group(msgspec.Struct):
    count: int
    tasks: set[str]
    purposes: dict[str, None]
    decision: str
    arguments: str


class _Gone(Exception):
    """The approval that was used cannot be read any more."""


class _Peek(msgspec.Struct):
    """As much of a line as says whose it is."""

    kind: str
    task: str | None = None
    chain: tuple[str, ...] = ()


_Key = tuple[Verdict, Verdict, str, str, str, bytes]
_peek = msgspec.json.Decoder(_Peek).decode
_PASSED_OVER = frozenset({"writer.opened", "bundle.published", "approval.requested", "approval", "key.destroyed"})


class Replay:
    """One bundle, asked what was asked before. `share` of `shares`: only the tasks of one part, so that several can work at once."""

    def __init__(
        self,
        archive: Archive,
        bundle: CompiledBundle,
        before: CompiledBundle | None = None,
        since: int = 0,
        share: int = 0,
        shares: int = 1,
    ) -> None:
        """Changes are against what was logged; with `before`, against that bundle, which is asked too where another was active.

        `since`: decisions made before (µs) are not asked again, only followed.
        """
        # What the bundles say is asked, not what shadow mode would have let pass.
        self._bundle = replace(bundle, mode=Mode.ENFORCE)
        self._before = replace(before, mode=Mode.ENFORCE) if before is not None else None
        self._archive = archive
        self._since, self._share, self._shares = since, share, shares
        self._history = History(archive, flows=any(one.index.reads("flow") for one in (bundle, before) if one is not None))
        self._groups: dict[_Key, _Group] = {}
        self._gaps: Counter[str] = Counter()
        self._decisions = self._changed = self._more = 0
        self._requests: set[int] = set()

    def run(self, lines: Iterable[bytes]) -> Replayed:
        """Follow a log from its first line. Raises `RemitError` (corrupt) for a line that is none."""
        for index, line in enumerate(lines):
            peek = _peek_at(index, line)
            if peek.kind == "decision":
                if self._mine(peek.chain[-1] if peek.chain else ""):
                    body = decode_body(index, line)
                    assert isinstance(body, DecisionMade)
                    self._take(body)
            elif peek.kind == "outcome":
                if self._mine(self._history.root(peek.task)):
                    self._history.take(decode_body(index, line), 0)
            elif peek.kind not in _PASSED_OVER:
                entry = decode(index, line)
                self._history.take(entry.body, entry.time)
        return self._found()

    def _mine(self, root: str) -> bool:
        return self._shares == 1 or crc32(root.encode()) % self._shares == self._share

    def _take(self, body: DecisionMade) -> None:
        sealed = open_sealed(body, self._history.key(body.chain[0] if body.chain else None))
        arguments = thaw(bytes(sealed.arguments)) if sealed is not None else NO_ARGUMENTS
        request = EvaluationRequest(
            self._subject(body),
            body.action,
            EntityRef(body.resource_type, body.resource),
            arguments,
            TaskId(body.task) if body.task is not None else None,
            SessionId(body.session) if body.session is not None else None,
            body.upstream,
            body.definition,
        )
        if body.at >= self._since:
            self._decisions += 1
            gap = "its task was erased" if sealed is None else self._ask(body, request, sealed)
            if gap:
                self._gaps[gap] += 1
        self._history.take_decision(body, request)

    def _subject(self, body: DecisionMade) -> EntityRef:
        """The entry has type and id as one text, and either may have `::` in it: the agent that was known tells them apart."""
        parts = body.subject.split("::")
        for count in range(1, len(parts)):
            type, name = "::".join(parts[:count]), "::".join(parts[count:])
            if not body.subject_version or self._history.agent(name, body.subject_version) is not None:
                return EntityRef(type, name)
        return EntityRef(parts[0], "::".join(parts[1:]))

    def _ask(self, body: DecisionMade, request: EvaluationRequest, sealed: SealedDecision) -> str:
        """Ask the bundle one request; why that cannot be done, if it cannot."""
        history = self._history
        if body.reason in _NOT_POLICY:
            return ""
        agent = history.agent(request.subject.id, body.subject_version)
        if agent is None and body.subject_version:
            return "its agent is not in the log"
        chain = history.chain(body.chain[0]) if body.chain else ()
        if chain is None:
            return "its task is not in the log"
        session = history.session(body.session)
        if session is None and body.session_version:
            return "its session is not in the log"
        if body.reason == Reason.MALFORMED_ARGUMENTS and not request.arguments.values:
            request = replace(request, malformed=sealed.message or "its arguments could not be read")
        target = history.latest(request.resource.id) if request.resource.type == "Agent" else None
        inputs = Inputs(
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
            target=target,
        )
        try:
            decision = self._answer(self._bundle, inputs, body)
            after = _verdict(decision)
            if self._before is None or body.bundle == self._before.digest:
                before = _logged(body, after)
            else:
                before = _verdict(self._answer(self._before, inputs, body))
        except _Gone:
            return "its approval is gone"
        place = (body.subject, body.subject_version, body.action, body.resource_type, body.resource)
        self._requests.add(hash((place, decision.basis.read, decision.reason)))
        if before.changes(after):
            self._keep(body, request, before, after, decision.basis.read)
        return ""

    def _answer(self, bundle: CompiledBundle, inputs: Inputs, body: DecisionMade) -> Decision:
        """What a bundle says, to the request itself or with the approval that was used for it. Raises `_Gone`."""
        locus = known_locus(bundle, inputs.agent, inputs.request, inputs.target) if inputs.agent is not None else None
        if body.session is not None and (locus is None or locus.steered):  # policies ask for flows here, or it is not known yet
            inputs = replace(inputs, bundle=bundle, observed=self._history.observed(body.session))
        elif inputs.bundle is not bundle:
            inputs = replace(inputs, bundle=bundle)
        decision = decide(inputs).decision
        if isinstance(decision, Permit) or decision.requestable is None or body.effect != "permit" or not body.approval:
            return decision
        key = self._history.key(body.chain[0] if body.chain else None)
        grant = self._archive.grant(ApprovalId(body.approval), key) if key is not None else None
        if grant is None:
            raise _Gone
        again = decide(replace(inputs, grant=grant)).decision
        return again if isinstance(again, Permit) else decision

    def _keep(self, body: DecisionMade, request: EvaluationRequest, before: Verdict, after: Verdict, read: bytes) -> None:
        self._changed += 1
        key = before, after, body.subject, body.action, f"{body.resource_type}::{body.resource}", read
        group = self._groups.get(key)
        if group is None:
            if len(self._groups) >= MAX_GROUPS:
                self._more += 1
                return
            group = self._groups[key] = _Group(0, set(), {}, body.id, request.arguments.canonical.decode())
        group.count += 1
        if body.task is not None and body.task not in group.tasks:
            group.tasks.add(body.task)
            chain = self._history.chain(body.task)
            if chain and len(group.purposes) < MAX_PURPOSES:
                group.purposes[chain[0].task.purpose] = None

    def _found(self) -> Replayed:
        changes = [
            Change(
                before, after, agent, action, resource, group.count, len(group.tasks), tuple(group.purposes), group.decision,
                group.arguments, read.decode(),
            )
            for (before, after, agent, action, resource, read), group in self._groups.items()
        ]  # fmt: skip
        return Replayed(self._decisions, len(self._requests), _ordered(changes), self._changed, self._more, dict(self._gaps))


def joined(parts: Iterable[Replayed]) -> Replayed:
    """What several shares found, as one. A task is in one share, but equal requests may have been asked in each."""
    parts = list(parts)
    groups: dict[tuple[object, ...], Change] = {}
    for change in (change for part in parts for change in part.changes):
        key = change.before, change.after, change.agent, change.action, change.resource, change.read
        groups[key] = _together(groups[key], change) if key in groups else change
    gaps = sum((Counter(part.gaps) for part in parts), Counter[str]())
    return Replayed(
        sum(part.decisions for part in parts),
        sum(part.requests for part in parts),
        _ordered(groups.values()),
        sum(part.changed for part in parts),
        sum(part.more for part in parts),
        dict(gaps),
    )


def _together(one: Change, other: Change) -> Change:
    purposes = tuple(dict.fromkeys((*one.purposes, *other.purposes)))[:MAX_PURPOSES]
    return replace(one, count=one.count + other.count, tasks=one.tasks + other.tasks, purposes=purposes)


def _ordered(changes: Iterable[Change]) -> tuple[Change, ...]:
    return tuple(sorted(changes, key=lambda change: (-change.count, change.decision)))


def _peek_at(index: int, line: bytes) -> _Peek:
    try:
        return _peek(line)
    except msgspec.MsgspecError as error:
        raise corrupt(f"entry {index} cannot be read ({error}): verify the log") from None


def _verdict(decision: Decision) -> Verdict:
    obligations = tuple([f"{one.type}:{one.argument}" for one in decision.obligations])
    if isinstance(decision, Permit):
        return Verdict("permit", decision.reason, "", obligations, decision.basis.policies)
    rule = decision.requestable.value if decision.requestable else ""
    return Verdict(ASK if rule else "deny", decision.reason, rule, obligations, decision.basis.policies)


def _logged(body: DecisionMade, after: Verdict) -> Verdict:
    if body.effect == "permit" and body.enforced:
        return Verdict("permit", body.reason, "", body.obligations, body.policies)
    if body.effect == "permit":  # shadow mode let it pass, and did not log whom it would have asked, or what of
        effect = ASK if body.reason == Reason.APPROVAL_REQUIRED else "deny"
        same = after.effect == effect
        return Verdict(effect, body.reason, after.rule if same else "", after.obligations if same else (), body.policies)
    return Verdict(ASK if body.requestable else "deny", body.reason, body.requestable, body.obligations, body.policies)
