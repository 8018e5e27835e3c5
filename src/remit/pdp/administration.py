"""Who may administer: callers of the control plane, decided by policies of its own. Pure."""

from enum import StrEnum
from typing import Any

import msgspec

from remit.model.caller import KEY_BOUND, Caller
from remit.model.identity import EntityRef
from remit.pdp.cedar.engine import CompiledPolicies, entities_handle, evaluate, request_uids
from remit.pdp.memo import Memo

SCHEMA = """
entity Role;
entity Caller in [Role] { agent: String, verifiedBy: String, proof: String, keyBound: Bool };
entity Thing { agent: String, opener: String };
action "own";
action "enforce";
action "look";
action "administer";
action "ask", "work", "open-as-agent" in ["own", "enforce"] appliesTo { principal: [Caller], resource: [Thing] };
action "close" in ["own", "enforce", "administer"] appliesTo { principal: [Caller], resource: [Thing] };
action "see" in ["own", "enforce", "look"] appliesTo { principal: [Caller], resource: [Thing] };
action "see-approvals", "see-log", "see-metrics" in ["look"] appliesTo { principal: [Caller], resource: [Thing] };
action "see-break-glass" in ["look"] appliesTo { principal: [Caller], resource: [Thing] };
action "break-glass";
action "ask-break-glass", "confirm-break-glass", "end-break-glass" in ["break-glass"]
  appliesTo { principal: [Caller], resource: [Thing] };
action "answer", "review-break-glass", "provision" appliesTo { principal: [Caller], resource: [Thing] };
action "open", "change-agent", "publish", "kill", "release", "issue-token"
  in ["administer"] appliesTo { principal: [Caller], resource: [Thing] };
"""
"""What policies of administration are written in (Cedar). `Thing` is what the act is on: whose it is, and who opened it."""


MAX_KNOWN = 4096


class Act(StrEnum):
    """What a caller may do to a deployment."""

    ASK = "ask"
    """Ask for decisions about a subject, search, and come back to what was answered."""
    WORK = "work"
    """Begin and go on with sessions, use permits, report what became of them."""
    OPEN_AS_AGENT = "open-as-agent"
    OPEN = "open"
    """Open a task as a person: its purpose is trusted intent."""
    CLOSE = "close"
    SEE = "see"
    """See tasks, sessions, access requests and decisions of an agent."""
    SEE_APPROVALS = "see-approvals"
    SEE_LOG = "see-log"
    SEE_METRICS = "see-metrics"
    """Read how often what happened on this server, and how long it took."""
    ANSWER = "answer"
    CHANGE_AGENT = "change-agent"
    PUBLISH = "publish"
    KILL = "kill"
    RELEASE = "release"
    ISSUE = "issue-token"
    ASK_BREAK_GLASS = "ask-break-glass"
    """Ask that an agent may do for minutes what policy denies."""
    CONFIRM_BREAK_GLASS = "confirm-break-glass"
    """Confirm what another has asked for."""
    END_BREAK_GLASS = "end-break-glass"
    REVIEW_BREAK_GLASS = "review-break-glass"
    """Say afterwards what is to be thought of it."""
    SEE_BREAK_GLASS = "see-break-glass"
    PROVISION = "provision"
    """Say who is who, as the directory of an identity provider."""


class Thing(msgspec.Struct, frozen=True):
    """What an act is on: the agent that it is of, and who opened it, where that is known."""

    agent: str = ""
    opener: str = ""


class Ruling(msgspec.Struct, frozen=True):
    """Whether a caller may, and the policies or faults that decided."""

    allowed: bool
    why: tuple[str, ...]


class Administration:
    """Policies of administration, ready to be asked. What errs is refused."""

    def __init__(self, policies: CompiledPolicies, digest: str) -> None:
        self._policies, self.digest = policies, digest
        self._known: Memo[tuple[object, ...], Ruling] = Memo(MAX_KNOWN)

    def rule(self, caller: Caller, act: Act, thing: Thing) -> Ruling:
        """Whether the caller may do this."""
        key = caller, act, thing
        known = self._known.find(key)
        return known if known is not None else self._known.keep(key, self._asked(caller, act, thing))

    def _asked(self, caller: Caller, act: Act, thing: Thing) -> Ruling:
        name = EntityRef("Caller", caller.id)
        resource = EntityRef("Thing", "it")
        documents = [
            _document(name, _attributes(caller), [{"type": "Role", "id": role.value} for role in sorted(caller.roles)]),
            _document(resource, {"agent": thing.agent, "opener": thing.opener}, []),
        ]
        answer = evaluate(
            self._policies, request_uids(name, act.value, resource), b"{}", entities_handle([*documents, *_ACTIONS])
        )
        # INVARIANT (fail closed): Cedar skips a policy that errors, even a forbid; so any reported error refuses.
        return Ruling(answer.allowed and not answer.errors, answer.errors or answer.reasons)


def _attributes(caller: Caller) -> dict[str, Any]:
    return {
        "agent": caller.agent or "",
        "verifiedBy": caller.verified_by,
        "proof": caller.proof.value,
        "keyBound": caller.proof in KEY_BOUND,
    }


def _document(ref: EntityRef, attributes: dict[str, Any], parents: list[dict[str, str]]) -> dict[str, Any]:
    return {"uid": {"type": ref.type, "id": ref.id}, "attrs": attributes, "parents": parents}


_GROUPS: dict[Act, tuple[str, ...]] = {
    Act.ASK: ("own", "enforce"),
    Act.WORK: ("own", "enforce"),
    Act.OPEN_AS_AGENT: ("own", "enforce"),
    Act.CLOSE: ("own", "enforce", "administer"),
    Act.SEE: ("own", "enforce", "look"),
    Act.SEE_APPROVALS: ("look",),
    Act.SEE_LOG: ("look",),
    Act.SEE_METRICS: ("look",),
    Act.ANSWER: (),
    Act.SEE_BREAK_GLASS: ("look",),
    Act.REVIEW_BREAK_GLASS: (),
    **dict.fromkeys((Act.ASK_BREAK_GLASS, Act.CONFIRM_BREAK_GLASS, Act.END_BREAK_GLASS), ("break-glass",)),
    Act.PROVISION: (),
    **dict.fromkeys((Act.OPEN, Act.CHANGE_AGENT, Act.PUBLISH, Act.KILL, Act.RELEASE, Act.ISSUE), ("administer",)),
}
_ACTIONS = [
    _document(EntityRef("Action", act.value), {}, [{"type": "Action", "id": group} for group in groups])
    for act, groups in _GROUPS.items()
]
