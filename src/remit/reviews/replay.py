"""Every logged decision of a window asked again of another bundle: what it would have changed, for which tasks, how often."""

from collections import Counter
from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from remit.decision_log.encoding import decode, decode_body
from remit.decision_log.entry import DecisionMade
from remit.model.decision import Reason
from remit.model.identity import EntityRef
from remit.model.request import EvaluationRequest
from remit.pdp.compiled import CompiledBundle
from remit.reviews.archive import Archive
from remit.reviews.asking import ERASED, REMEMBERED, Alike, Asker, DecisionResult, Gap, Sealed, logged, open_sealed, subject_of
from remit.reviews.history import LoggedState, Wanted
from remit.reviews.sharing import Share

MAX_GROUPS = 10_000
"""So many different changes are told apart; the rest are counted together."""
MAX_PURPOSES = 5
_NOT_POLICY = frozenset(
    {
        Reason.CLOCK_BACKWARDS,
        Reason.CONFLICT,
        Reason.ENGINE_REVISION,
        Reason.ENGINE_UNAVAILABLE,
        Reason.INTERNAL_ERROR,
        Reason.STORE_UNAVAILABLE,
    }
)


class ChangedDecision(msgspec.Struct, frozen=True):
    """Equal requests that would be decided otherwise: as the policies see them they differ in nothing.

    `count` is how many there were, in `tasks` tasks; `purposes` are those tasks', at most five; `decision` is one of them, with the
    `arguments` it had (canonical JSON); `read` is what policies read of it.
    """

    before: DecisionResult
    after: DecisionResult
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

    `unaffected` counts those on which the bundles cannot differ; `requests` is how many different requests were asked. `more` counts
    changed decisions that are not in `changes`.
    """

    decisions: int
    unaffected: int
    requests: int
    changes: tuple[ChangedDecision, ...]
    changed: int
    more: int
    gaps: dict[str, int]


class _Group(msgspec.Struct):
    count: int
    tasks: set[str]
    purposes: dict[str, None]
    decision: str
    arguments: str


class _Spot(msgspec.Struct, frozen=True, gc=False):
    """What decisions of one agent, action and resource under one bundle share: whose they are, whether bundles cannot differ there."""

    subject: EntityRef
    alike: bool


_Key = tuple[DecisionResult, DecisionResult, str, str, str, bytes]
# Writers put the kind first.
_DECISION, _OUTCOME = b'{"kind":"decision",', b'{"kind":"outcome",'
_PASSED_OVER = tuple(
    f'{{"kind":"{kind}",'.encode()
    for kind in (
        "writer.opened",
        "bundle.published",
        "approval.requested",
        "approval.given",
        "approval.escalated",
        "approval",
        "key.destroyed",
    )
)


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
        thorough: bool = False,
    ) -> None:
        """Changes are against what was logged; with `before`, against that bundle, which is asked too where another was active.

        `since`: decisions made before (µs) are not asked again, only followed. With `thorough` everything is asked; otherwise not
        what has the same policies, tool and resource in both bundles, which cannot be decided otherwise.
        """
        self._since = since
        flows = any(one.reads(part) for one in (bundle, before) if one is not None for part in ("flow", "facts"))
        facts = tuple(one.facts for one in (bundle, before) if one is not None and one.reads("facts"))
        deeds = any(one.reads_history for one in (bundle, before) if one is not None)
        rates = {rate.key: rate for one in (bundle, before) if one is not None for rate in one.agent_rates}
        self._timed = bool(facts)
        self._history = LoggedState(archive, Wanted(flows, deeds, tuple(rates.values()), facts))
        self._share = Share(self._history, share, shares) if shares > 1 else None
        self._after = Asker(bundle, self._history, archive)
        self._before = Asker(before, self._history, archive) if before is not None else None
        self._alike = Alike(bundle, before, archive, self._history) if not thorough else None
        self._digest = before.digest if before is not None else ""
        self._spots: dict[tuple[str | int, ...], _Spot] = {}
        self._groups: dict[_Key, _Group] = {}
        self._gaps: Counter[str] = Counter()
        self._decisions = self._unaffected = self._changed = self._more = 0
        self._requests: set[int] = set()

    def run(self, lines: Iterable[bytes]) -> Replayed:
        """Follow a log from its first line. Raises `RemitError` (corrupt) for a line that is none."""
        share = self._share
        for index, line in enumerate(lines):
            if line.startswith(_DECISION):
                if share is None or share.decision(index, line):
                    body = decode_body(index, line)
                    assert isinstance(body, DecisionMade)
                    self._take(body)
            elif line.startswith(_OUTCOME):
                if share is None or share.outcome(index, line):
                    self._history.take(decode_body(index, line), decode(index, line).time if self._timed else 0)
            elif not line.startswith(_PASSED_OVER):
                entry = decode(index, line)
                if share is None or share.other(entry.body):
                    self._history.take(entry.body, entry.time)
        return self._found()

    def _take(self, body: DecisionMade) -> None:
        about = body.subject, body.subject_version, body.action, body.resource_type, body.resource, body.bundle
        spot = self._spots.get(about) or self._spot(about, body)
        if body.at >= self._since:
            self._decisions += 1
            if spot.alike and body.reason != Reason.INTERNAL_ERROR:
                self._unaffected += 1
            elif body.reason not in _NOT_POLICY:
                try:
                    self._ask(body, spot.subject, self._open(body))
                except Gap as gap:
                    self._gaps[str(gap)] += 1
        self._history.take_decision(body, spot.subject, self._request)

    def _spot(self, about: tuple[str | int, ...], body: DecisionMade) -> _Spot:
        subject = subject_of(body, self._history)
        spot = _Spot(subject, self._alike is not None and self._alike.at(body, subject))
        if len(self._spots) >= REMEMBERED:
            self._spots.clear()
        return self._spots.setdefault(about, spot)

    def _open(self, body: DecisionMade) -> Sealed:
        key = self._history.key(body.chain[0] if body.chain else None)
        if key is None:
            raise Gap("its task was erased")
        return open_sealed(body, key)

    def _request(self, body: DecisionMade, subject: EntityRef) -> EvaluationRequest:
        """The request, without its arguments once they were erased."""
        try:
            return Asker.request(body, subject, self._open(body))
        except Gap:
            return Asker.request(body, subject, ERASED)

    def _ask(self, body: DecisionMade, subject: EntityRef, sealed: Sealed) -> None:
        """Ask the bundle one request, and keep what would change. Raises `Gap`."""
        answer = self._after.ask(body, subject, sealed)
        after = answer.result
        if not answer.known:
            place = (body.subject, body.subject_version, body.action, body.resource_type, body.resource)
            self._requests.add(hash((place, answer.read, after.reason)))
        if self._before is None or body.bundle == self._digest:
            before = logged(body, after)
        else:
            before = self._before.ask(body, subject, sealed).result
        if before.changes(after):
            self._keep(body, sealed, before, after, answer.read)

    def _keep(self, body: DecisionMade, sealed: Sealed, before: DecisionResult, after: DecisionResult, read: bytes) -> None:
        self._changed += 1
        key = before, after, body.subject, body.action, f"{body.resource_type}::{body.resource}", read
        group = self._groups.get(key)
        if group is None:
            if len(self._groups) >= MAX_GROUPS:
                self._more += 1
                return
            group = self._groups[key] = _Group(0, set(), {}, body.id, bytes(sealed.arguments).decode())
        group.count += 1
        if body.task is not None and body.task not in group.tasks:
            group.tasks.add(body.task)
            chain = self._history.tasks.chain(body.task)
            if chain and len(group.purposes) < MAX_PURPOSES:
                group.purposes[chain[0].task.purpose] = None

    def _found(self) -> Replayed:
        changes = [
            ChangedDecision(
                before, after, agent, action, resource, group.count, len(group.tasks), tuple(group.purposes), group.decision,
                group.arguments, read.decode(),
            )
            for (before, after, agent, action, resource, read), group in self._groups.items()
        ]  # fmt: skip
        return Replayed(
            self._decisions,
            self._unaffected,
            len(self._requests),
            _ordered(changes),
            self._changed,
            self._more,
            dict(self._gaps),
        )


def joined(parts: Iterable[Replayed]) -> Replayed:
    """What several shares found, as one. A task is in one share, but equal requests may have been asked in each."""
    parts = list(parts)
    groups: dict[tuple[object, ...], ChangedDecision] = {}
    for change in (change for part in parts for change in part.changes):
        key = change.before, change.after, change.agent, change.action, change.resource, change.read
        groups[key] = _together(groups[key], change) if key in groups else change
    gaps = sum((Counter(part.gaps) for part in parts), Counter[str]())
    return Replayed(
        sum(part.decisions for part in parts),
        sum(part.unaffected for part in parts),
        sum(part.requests for part in parts),
        _ordered(groups.values()),
        sum(part.changed for part in parts),
        sum(part.more for part in parts),
        dict(gaps),
    )


def _together(one: ChangedDecision, other: ChangedDecision) -> ChangedDecision:
    purposes = tuple(dict.fromkeys((*one.purposes, *other.purposes)))[:MAX_PURPOSES]
    return replace(one, count=one.count + other.count, tasks=one.tasks + other.tasks, purposes=purposes)


def _ordered(changes: Iterable[ChangedDecision]) -> tuple[ChangedDecision, ...]:
    return tuple(sorted(changes, key=lambda change: (-change.count, change.decision)))
