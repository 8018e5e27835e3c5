"""The directory of a store: who is who and who is gone, by all that it has of people."""

from remit.decision_log.sealing import SealKey
from remit.inventory.directory import Directory
from remit.inventory.marking import Digest
from remit.model.errors import corrupt
from remit.runtime.store import TASK_FREE, RuntimeStore


def directory_of(store: RuntimeStore) -> Directory:
    """Who is who, as the store has it now. Raises `RemitError` (unavailable, corrupt)."""
    return Directory(store.people_named, store.person, digest_of(store))


def digest_of(store: RuntimeStore) -> Digest:
    """What marks of those who were erased are made by. Raises `RemitError` (unavailable, corrupt)."""
    secret = store.secret(TASK_FREE)
    # INVARIANT (fail closed): without the key nobody could tell that somebody has been erased once they were gone.
    if secret is None:
        raise corrupt("the store's own data key is lost, by which it knows who is gone: restore a backup")
    return SealKey(secret).digest
