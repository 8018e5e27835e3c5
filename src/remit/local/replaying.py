"""Replay on a store of this machine: long logs are shared between processes, whole trees of tasks to each."""

import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from msgspec.structs import replace

from remit.decision_log.sealing import SealKey
from remit.local.config import Settings
from remit.local.wiring import Store, ask_outside, compiled, open_store
from remit.model.authorizer import ApprovalState
from remit.model.errors import unavailable
from remit.model.identity import ApprovalId, SessionId, TaskId
from remit.pap.bundle import compile_bundle, from_document, to_document
from remit.pap.contents import Bundle
from remit.pdp.compiled import CompiledBundle
from remit.pdp.inputs import Grant
from remit.pdp.outside import Opa, Said
from remit.reviews.replay import Replay, Replayed, joined
from remit.runtime.approving.approvals import grant_of
from remit.runtime.store import Observation

BUNDLES = 8
"""So many bundles that were active are kept compiled."""
ALONE = 50_000
"""A log of fewer entries is replayed before another process has started."""


class StoreArchive:
    """What a replay needs beside the log, from the store it is in."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._bundles: dict[str, CompiledBundle | None] = {}

    def secret(self, task: TaskId) -> bytes | None:
        """The secret of a task's data key, None once destroyed."""
        return self._store.secret(task)

    def observations(self, session: SessionId) -> Sequence[Observation]:
        """What a session has seen, oldest first."""
        return self._store.observations(session)

    def bundle(self, digest: str) -> CompiledBundle | None:
        """A bundle that was published."""
        if digest not in self._bundles:
            if len(self._bundles) >= BUNDLES:  # they followed one another: the oldest is not asked for again
                self._bundles.pop(next(iter(self._bundles)))
            document = self._store.document(digest)
            self._bundles[digest] = compiled(document) if document is not None else None
        return self._bundles[digest]

    def grant(self, approval: ApprovalId, key: SealKey) -> Grant | None:
        """An approval that was used, as the decision could use it."""
        found = self._store.approval(approval)
        if found is None or not found.resolver:
            return None
        return grant_of(replace(found, state=ApprovalState.APPROVED), key, found.opened)

    @staticmethod
    def ask(opa: Opa, document: bytes) -> Said:
        """Ask an engine outside of this process."""
        return ask_outside(opa, document)


def replay(
    home: Path,
    settings: Settings,
    store: Store,
    bundle: Bundle,
    before: Bundle | None = None,
    since: int = 0,
    thorough: bool = False,
) -> Replayed:
    """Ask a bundle every decision of the store's log made since then (µs), beside another or what was logged. Nothing is changed.

    `thorough`: also where the bundles cannot differ; what then changes is a fault of ours.
    Raises `RemitError` (unavailable, corrupt).
    """
    size, shares = store.log.size(), min(os.cpu_count() or 1, 8)
    if bundle.contents.manifest.agent_rates or (before is not None and before.contents.manifest.agent_rates):
        shares = 1  # what an agent may do under one task hangs on all its others
    if size < ALONE or shares == 1:
        other = compile_bundle(before) if before is not None else None
        return Replay(StoreArchive(store), compile_bundle(bundle), other, since, thorough=thorough).run(store.log.lines(0, size))
    documents = to_document(bundle), to_document(before) if before is not None else b""
    spawn = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(shares, spawn) as pool:
            parts = [
                pool.submit(_share, home, settings, documents, since, size, (share, shares), thorough) for share in range(shares)
            ]
            return joined([part.result() for part in parts])
    except (BrokenProcessPool, OSError) as error:
        raise unavailable(f"a replaying process ended before it was done ({error}): is there memory enough?") from None


def _share(
    home: Path,
    settings: Settings,
    documents: tuple[bytes, bytes],
    since: int,
    size: int,
    share: tuple[int, int],
    thorough: bool,
) -> Replayed:
    store = open_store(home, settings)
    try:
        bundle, before = (compile_bundle(from_document(document)) if document else None for document in documents)
        assert bundle is not None
        return Replay(StoreArchive(store), bundle, before, since, *share, thorough).run(store.log.lines(0, size))
    finally:
        store.close()
