"""Remit: runtime authorization and access reviews for AI agents.

Two lines guard an agent: `@remit.guard` on each tool, `with remit.task("what for", agent="name"):` around the work.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Budgets", "Denied", "OutcomeUnrecorded", "Scope", "__version__", "declassify", "guard", "task"]

if TYPE_CHECKING:
    from remit.local.entering import declassify, guard, task
    from remit.model.task import Budgets, Scope
    from remit.pep.gate import Denied, OutcomeUnrecorded


_HOMES = {
    "Budgets": "remit.model.task",
    "Denied": "remit.pep.gate",
    "OutcomeUnrecorded": "remit.pep.gate",
    "Scope": "remit.model.task",
    "declassify": "remit.local.entering",
    "guard": "remit.local.entering",
    "task": "remit.local.entering",
}


def __getattr__(name: str) -> Any:
    # Loaded when first used, so that `import remit` costs nothing, and lower layers do not depend on these.
    if name not in _HOMES:
        raise AttributeError(f"module `remit` has no attribute `{name}`")
    return getattr(import_module(_HOMES[name]), name)
