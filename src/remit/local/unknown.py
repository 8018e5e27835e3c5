"""What a task that is opened names and the published bundle does not have: a mistyped name permits nothing, or bounds nothing."""

import logging
from functools import lru_cache
from itertools import islice

from remit.local.wiring import Embedded
from remit.model.task import Budgets, Scope
from remit.pap.scopes import scope_faults

MOST = 20
"""So many names are warned of: to look for what was meant takes long among many tools."""
_log = logging.getLogger(__name__)


def unknown_names(embedded: Embedded, scope: Scope, budgets: Budgets) -> list[str]:
    """A warning for each of the first `MOST`, with the name that may have been meant, and one if there are more; no errors, for a tool need
    not be in the catalogue."""
    view = embedded.runtime.view
    with view.lock:
        view.refresh()
        bundle = view.bundle
    if bundle is None:
        return []
    found = list(islice(scope_faults(bundle.tools, scope, budgets), MOST + 1))
    told = [
        f"in the published bundle {message}: {hint or 'correct it, or add it to the bundle'}" for message, hint, _ in found[:MOST]
    ]
    return told if len(found) <= MOST else [*told, "there is more that the published bundle does not have: correct these first"]


@lru_cache(1024)
def warn(text: str) -> None:
    """Log such a warning, once in a process."""
    _log.warning("remit.task: %s", text)
