"""What the log records: one frozen type for each kind of entry, every field of which is hashed."""

from typing import Any, TypeAlias

import msgspec

from remit.model.hints import NO_HINTS, Hints

VERSION = 1
NO_ENTRY = "0" * 64
"""The `prev` of the first entry of a writer."""


class Body(msgspec.Struct, frozen=True, gc=False, tag_field="kind"):
    """What an entry says, without its place in the log."""


class WriterOpened(Body, frozen=True, gc=False, tag="writer.opened"):
    """A process began a chain of its own: which Remit, and the id of the process on its machine."""

    version: str
    process: int


class BundlePublished(Body, frozen=True, gc=False, tag="bundle.published"):
    """A bundle became the active one; `previous` is what it replaced, `rollback` says that it had been active before."""

    digest: str
    name: str
    mode: str
    previous: str
    operator: str
    rollback: bool
    verified_by: str = ""


class AgentChanged(Body, frozen=True, gc=False, tag="agent.changed"):
    """An agent was registered or changed; the whole agent as it now is."""

    agent: str
    version: int
    owner: str
    purpose: str
    groups: tuple[str, ...]
    status: str
    operator: str
    identities: tuple[str, ...] = ()
    verified_by: str = ""


class TaskOpened(Body, frozen=True, gc=False, tag="task.opened"):
    """A task was opened. `sealed` holds its purpose; `commitment` is SHA-256 of the key it is sealed with."""

    task: str
    agent: str
    opener: str
    verified_by: str
    on_behalf_of: str
    type: str
    parent: str | None
    expires: int
    scope: dict[str, Any]
    budgets: dict[str, Any]
    purpose_trusted: bool
    commitment: str
    sealed: bytes


class TaskClosed(Body, frozen=True, gc=False, tag="task.closed"):
    """A task ended; nothing more is permitted under it."""

    task: str
    operator: str
    verified_by: str = ""


class FlowGranted(Body, frozen=True, gc=False, tag="flow.granted"):
    """An approver let a task's data flow from one tool into another from now on. `sealed` holds the grant, `number` counts it behind
    those that the task was opened with."""

    task: str
    number: int
    approval: str
    decision: str
    operator: str
    verified_by: str
    sealed: bytes


class SessionOpened(Body, frozen=True, gc=False, tag="session.opened"):
    """An agent began a run within a task. `label` and `sources` are what it has touched from the beginning, `awaits` the sessions of
    sub-tasks that can still be told something, though they were left."""

    session: str
    task: str
    agent: str
    label: str = "public"
    sources: tuple[str, ...] = ()
    awaits: tuple[str, ...] = ()


class SessionJoined(Body, frozen=True, gc=False, tag="session.joined"):
    """What a delegated session had touched joined the one that delegated, which is now labelled so, and `awaits` those."""

    session: str
    task: str | None
    child: str
    label: str
    sources: tuple[str, ...]
    awaits: tuple[str, ...] = ()


class DecisionMade(Body, frozen=True, gc=False, tag="decision"):
    """One decision. Plain fields say who, what and why; `sealed` holds the arguments, what policies read of them, and the message.

    `arguments` is an HMAC-SHA256 of the canonical arguments under the task's key. `label` and `sources` are the session's after the
    decision. `engine` is the engine outside of the process that was asked, with its version and the revision of its policies. `flows` are
    the data-flow grants that it rests on, as `task#number`; a permit uses each once. `hints` are what the tool's server said of it, by
    MCP's names. `caller` is who asked over a network, by issuer and name, and `proof` how the subject's authority came with it. `behind`
    says that other sessions of the task were, or could be, told what is untrusted that this one had not taken over. `break_glass` names
    what two people opened for it, where policy denied it. `owner` is what was known of who owns the agent and those above it, empty for
    nothing.
    """

    id: str
    at: int
    effect: str
    enforced: bool
    reason: str
    tier: str
    subject: str
    subject_version: int
    action: str
    resource_type: str
    resource: str
    task: str | None
    chain: tuple[str, ...]
    session: str | None
    session_version: int
    upstream: str
    definition: str
    bundle: str
    policies: tuple[str, ...]
    slice_size: int
    obligations: tuple[str, ...]
    requestable: str
    approval: str | None
    label: str
    sources: tuple[str, ...]
    arguments: str
    sealed: bytes
    engine: str = ""
    flows: tuple[str, ...] = ()
    hints: Hints = NO_HINTS
    caller: str = ""
    proof: str = ""
    behind: bool = False
    break_glass: str = ""
    owner: str = ""


class OutcomeSeen(Body, frozen=True, gc=False, tag="outcome"):
    """What became of a permit. `content` is an HMAC of what came back, under the task's key; `error` is sealed."""

    decision: str
    status: str
    session: str | None
    task: str | None
    label: str
    sources: tuple[str, ...]
    content: str
    size: int
    sealed: bytes


class MemoryRaised(Body, frozen=True, gc=False, tag="memory.raised"):
    """A decision lets something be written to a memory whose label it raises: to this. Without one, a restore raised it."""

    memory: str
    decision: str
    task: str | None
    label: str
    sources: tuple[str, ...]


class ApprovalRequested(Body, frozen=True, gc=False, tag="approval.requested"):
    """A requestable denial opened an access request for one exact action."""

    id: str
    decision: str
    task: str | None
    rule: str
    digest: str
    expires: int


class ApprovalSubmitted(Body, frozen=True, gc=False, tag="approval.submitted"):
    """Somebody submitted an access request; `sealed` holds what they said, under the task's key, and `expires` is what it then is."""

    id: str
    decision: str
    task: str | None
    requester: str
    verified_by: str
    expires: int
    sealed: bytes


class ApprovalGiven(Body, frozen=True, gc=False, tag="approval.given"):
    """One person approved an access request that more than one must approve: the `number`th of `people`. `why` is sealed under the task's
    key. The last of them is an `approval`."""

    id: str
    decision: str
    task: str | None
    number: int
    people: int
    operator: str
    verified_by: str
    sealed: bytes


class ApprovalEscalated(Body, frozen=True, gc=False, tag="approval.escalated"):
    """Nobody answered an access request in the time that the bundle gives: it is told to further people."""

    id: str
    decision: str
    task: str | None
    to: tuple[str, ...]


class ApprovalResolved(Body, frozen=True, gc=False, tag="approval"):
    """A human answered an access request, or its time had passed (`expired`, by nobody). `why` is sealed under the task's key."""

    id: str
    decision: str
    task: str | None
    state: str
    operator: str
    verified_by: str
    sealed: bytes


class TokenIssued(Body, frozen=True, gc=False, tag="token.issued"):
    """Remit's own issuer made a token: for an agent or an operator with these roles, or for a task; `key` is the thumbprint of the key that
    it is bound to, empty for a bearer token, and `expires` when it ends (µs). The token itself is nowhere."""

    id: str
    subject: str
    roles: tuple[str, ...]
    task: str | None
    audience: str
    expires: int
    key: str
    operator: str
    verified_by: str


class IssuerRotated(Body, frozen=True, gc=False, tag="issuer.rotated"):
    """Remit's own issuer is to sign with a new key: `key` is the id of the one before. With `refused`, no token that it or an earlier one
    has signed is taken any more; else each stands until it expires."""

    key: str
    refused: bool
    operator: str
    verified_by: str


class KeyDestroyed(Body, frozen=True, gc=False, tag="key.destroyed"):
    """The key of a task was destroyed: its sealed fields can never be read again, and replay has a stated gap."""

    task: str
    operator: str
    verified_by: str = ""


class PersonChanged(Body, frozen=True, gc=False, tag="person.changed"):
    """A directory's source said something new of a person. `sealed` holds the person as they now are, under a key of their own of which
    `commitment` is the SHA-256; names stand nowhere else. `since` is when they came to be there, or gone (µs)."""

    person: str
    version: int
    source: str
    status: str
    since: int
    operator: str
    verified_by: str
    commitment: str
    sealed: bytes


class PersonErased(Body, frozen=True, gc=False, tag="person.erased"):
    """The key of a person was destroyed: what entries say of them can never be read again. `gone`: they had gone, and the store keeps what
    keeps them out, but no name."""

    person: str
    operator: str
    verified_by: str
    gone: bool = False


class PersonReadmitted(Body, frozen=True, gc=False, tag="person.readmitted"):
    """Somebody who was erased once they had gone is let in again: by a source that has them as active, or by an operator for all sources
    (`source` is empty). `whole`: nobody says any more that they are gone, and nothing is kept of them."""

    person: str
    source: str
    whole: bool
    operator: str
    verified_by: str


class PeopleConfirmed(Body, frozen=True, gc=False, tag="people.confirmed"):
    """An operator said of the people of a source (empty for all) who were there by a backup alone that they are."""

    source: str
    people: int
    operator: str
    verified_by: str


class PeopleImported(Body, frozen=True, gc=False, tag="people.imported"):
    """A file of people was read in, `whole` as everybody that its source has; `digest` is an HMAC of the file
    under a key of the store's, the rest counts people."""

    source: str
    digest: str
    whole: bool
    people: int
    added: int
    changed: int
    gone: int
    operator: str
    verified_by: str


class GroupChanged(Body, frozen=True, gc=False, tag="group.changed"):
    """A provisioning service changed a group of people: who joined and who left, by their ids; `removed` says that it is gone."""

    group: str
    version: int
    source: str
    name: str
    joined: tuple[str, ...]
    left: tuple[str, ...]
    removed: bool
    operator: str
    verified_by: str


class KillSet(Body, frozen=True, gc=False, tag="kill.set"):
    """An administrator stopped an agent, a task, a task type, a tool, or everything (`name` is empty)."""

    target: str
    name: str
    operator: str
    why: str
    verified_by: str = ""


class KillReleased(Body, frozen=True, gc=False, tag="kill.released"):
    """A kill was lifted."""

    target: str
    name: str
    operator: str
    why: str
    verified_by: str = ""


class ToolSeen(Body, frozen=True, gc=False, tag="tool.seen"):
    """A door reported the definition of a tool that nobody had pinned, and none was known: from now on it counts. Decisions that saw it
    at the same time each have such an entry."""

    upstream: str
    tool: str
    digest: str
    decision: str


class ToolApproved(Body, frozen=True, gc=False, tag="tool.approved"):
    """An operator approved another definition of a tool, which counts from now on instead of `previous`."""

    upstream: str
    tool: str
    digest: str
    previous: str
    operator: str
    verified_by: str
    why: str


class BackupTaken(Body, frozen=True, gc=False, tag="backup.taken"):
    """An operator began to copy the whole store, with the log's private key if `keys`; whether it was finished the copy shows."""

    backup: str
    keys: bool
    operator: str
    verified_by: str


class LogRestored(Body, frozen=True, gc=False, tag="log.restored"):
    """The store was put back from a backup of `size` entries with this root (hex), taken at `taken` (µs). Everything that could be used
    ends here: tasks that were open, access requests that were not answered or whose approval was not used, tokens made before. `known` is
    the size of the last head that the operator knew, 0 for none: what it had beyond `size` is lost."""

    backup: str
    taken: int
    size: int
    root: str
    known: int
    known_root: str
    memories_trusted: bool
    operator: str
    verified_by: str


class BreakGlassAsked(Body, frozen=True, gc=False, tag="break-glass.asked"):
    """Somebody asked that an agent (in `task` alone, if that is named) may do for so many minutes what policy denies. Another must
    confirm it before `confirm_by` (µs)."""

    id: str
    at: int
    agent: str
    task: str | None
    tools: tuple[str, ...]
    resources: tuple[str, ...]
    minutes: int
    review_days: int
    reason: str
    incident: str
    confirm_by: int
    operator: str
    verified_by: str


class BreakGlassStarted(Body, frozen=True, gc=False, tag="break-glass.started"):
    """A second person confirmed it: it is open from `at` until `until` (µs), unless it is ended before."""

    id: str
    at: int
    until: int
    operator: str
    verified_by: str


class BreakGlassUsed(Body, frozen=True, gc=False, tag="break-glass.used"):
    """The decision above permits something that nothing else permits."""

    id: str
    decision: str
    task: str | None


class BreakGlassEnded(Body, frozen=True, gc=False, tag="break-glass.ended"):
    """Somebody ended it before its time, or (`stage` is `withdrawn`) before it was confirmed."""

    id: str
    at: int
    stage: str
    operator: str
    verified_by: str
    why: str


class BreakGlassReviewed(Body, frozen=True, gc=False, tag="break-glass.reviewed"):
    """A third person looked at what was done under it."""

    id: str
    at: int
    verdict: str
    comment: str
    operator: str
    verified_by: str


EntryBody: TypeAlias = (
    WriterOpened
    | BundlePublished
    | AgentChanged
    | TaskOpened
    | TaskClosed
    | FlowGranted
    | SessionOpened
    | SessionJoined
    | DecisionMade
    | OutcomeSeen
    | MemoryRaised
    | ApprovalRequested
    | ApprovalSubmitted
    | ApprovalGiven
    | ApprovalEscalated
    | ApprovalResolved
    | TokenIssued
    | IssuerRotated
    | KeyDestroyed
    | PersonChanged
    | PersonErased
    | PersonReadmitted
    | PeopleImported
    | PeopleConfirmed
    | GroupChanged
    | KillSet
    | KillReleased
    | ToolSeen
    | ToolApproved
    | BackupTaken
    | LogRestored
    | BreakGlassAsked
    | BreakGlassStarted
    | BreakGlassUsed
    | BreakGlassEnded
    | BreakGlassReviewed
)


class Entry(msgspec.Struct, frozen=True):
    """An entry at its place: `index` in the whole log, its envelope, and what it says."""

    index: int
    writer: str
    seq: int
    time: int
    prev: str
    body: EntryBody
    line: bytes
