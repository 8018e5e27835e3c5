"""People who act: known by every name that they go by, and not once they are gone."""

from datetime import UTC, datetime

from remit.inventory.directory import Directory, Known
from remit.model.errors import refused
from remit.model.identity import Operator
from remit.runtime.runtime import Runtime


def present(runtime: Runtime, operator: Operator) -> Known:
    """Whoever acts, as the store knows them now: another process may have heard of people since.

    Raises `RemitError` (refused) for one who is gone.
    """
    known = Directory(runtime.view.store.people_named, runtime.view.store.person).known_as(operator.id)
    if known.gone:
        since = datetime.fromtimestamp(known.standing.since // 1_000_000, UTC).date().isoformat()
        raise refused(f"`{operator.id}` is gone, as the directory says since {since}: somebody else must do this")
    return known


def acting(runtime: Runtime, operator: Operator) -> Known:
    """Whoever acts, as one of several people who must.

    Raises `RemitError` (refused) for one who is gone, or whom nobody can tell from too many others.
    """
    known = present(runtime, operator)
    if not known.whole:
        raise refused(f"too many people in the directory share names with `{operator.id}` to tell who acts: mend it first")
    return known
