"""Administrative acts that change what decisions rest on: agents, the active bundle, the erasure of a task's personal data."""

from collections.abc import Callable

from remit.decision_log.encoding import encode_body
from remit.decision_log.entry import AgentChanged, BackupTaken, BundlePublished, IssuerRotated, KeyDestroyed, TokenIssued
from remit.decision_log.store import Record
from remit.inventory.agents import check_alone
from remit.model.errors import not_found, refused
from remit.model.identity import Agent, AgentId, Operator, TaskId
from remit.model.task import TaskStatus
from remit.runtime.pending import Driven, Steps
from remit.runtime.runtime import Change, Runtime, administer
from remit.runtime.writes import ActivateBundle, DestroyKey, PutAgent


def change_agent(runtime: Runtime, agent: str, change: Callable[[Agent | None], Agent], operator: Operator) -> Driven[Agent]:
    """Commit what `change` makes of an agent (None if it is not registered). Raises what `change` raises, and conflict."""
    return Driven(lambda: _change_agent(runtime, AgentId(agent), change, operator))


def _change_agent(runtime: Runtime, agent: AgentId, change: Callable[[Agent | None], Agent], operator: Operator) -> Steps[Agent]:
    changed: list[Agent] = []

    def prepare() -> Change:
        after = change(runtime.view.store.agent(agent))
        check_alone(after, runtime.view.store.agents())
        changed[:] = [after]
        about = after.owner, after.purpose, after.groups, after.status.value
        body = AgentChanged(after.id, after.version, *about, operator.id, after.identities, operator.verified_by)
        return [Record(encode_body(body), "agent.changed")], [PutAgent(after)]

    yield from administer(runtime, prepare)
    return changed[0]


def activate_bundle(runtime: Runtime, published: BundlePublished, document: bytes) -> Driven[None]:
    """Make a bundle the active one, if what it was published over still is. Raises `RemitError` (conflict)."""
    return Driven(lambda: _activate(runtime, published, document))


def _activate(runtime: Runtime, published: BundlePublished, document: bytes) -> Steps[None]:
    memories = tuple(sorted(runtime.view.compile(document).memories))

    def prepare() -> Change:
        now = runtime.clock()
        write = ActivateBundle(published.digest, published.previous, document, now, published.operator, memories)
        return [Record(encode_body(published), "bundle.published")], [write]

    yield from administer(runtime, prepare)


def begin_backup(runtime: Runtime, taken: BackupTaken) -> Driven[None]:
    """Record that the whole store is about to be copied. Raises `RemitError`."""
    return Driven(lambda: administer(runtime, lambda: ([Record(encode_body(taken), "backup.taken")], [])))


def begin_rotation(runtime: Runtime, rotated: IssuerRotated) -> Driven[None]:
    """Record that the own issuer is about to sign with a new key. Raises `RemitError`."""
    return Driven(lambda: administer(runtime, lambda: ([Record(encode_body(rotated), "issuer.rotated")], [])))


def hand_out(runtime: Runtime, issued: TokenIssued, token: str) -> Driven[str]:
    """The token, once it is on record that it was made. Raises `RemitError`."""
    return Driven(lambda: _hand_out(runtime, issued, token))


def _hand_out(runtime: Runtime, issued: TokenIssued, token: str) -> Steps[str]:
    # INVARIANT (the agent never holds the secret): what is made is on record before anybody has it.
    task = TaskId(issued.task) if issued.task is not None else None
    yield from administer(runtime, lambda: ([Record(encode_body(issued), "token.issued", None, task)], []))
    return token


def erase(runtime: Runtime, task: TaskId, operator: Operator) -> Driven[None]:
    """Destroy the data key of a closed task: what its entries sealed, and what its sessions saw, can never be read again.

    Raises `RemitError`: not-found, refused while the task is open, unavailable if the key is destroyed but another process
    keeps remains of it in the write-ahead log for now: repeat it then.
    """
    return Driven(lambda: _erase(runtime, task, operator))


def _erase(runtime: Runtime, task: TaskId, operator: Operator) -> Steps[None]:
    def prepare() -> Change:
        stored = runtime.view.store.task(task)
        if stored is None:
            raise not_found(f"there is no task `{task}` in this store")
        if stored.task.status is TaskStatus.OPEN:
            raise refused(f"task `{task}` is open: close it before its data is erased")
        record = Record(encode_body(KeyDestroyed(task, operator.id, operator.verified_by)), "key.destroyed", None, task)
        return [record], [DestroyKey(task)]

    with runtime.view.lock:
        erased = runtime.view.store.task(task) is not None and runtime.view.store.secret(task) is None
    if not erased:
        yield from administer(runtime, prepare)
    runtime.view.forget_all()
    runtime.appender.alone(runtime.view.store.scrub)
