"""Remit: runtime authorization and access reviews for AI agents.

Two lines guard an agent: `@remit.guard` on each tool, `with remit.task("what for", agent="name"):` around the work.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Denied", "OutcomeUnrecorded", "__version__", "guard", "task"]

if TYPE_CHECKING:
    from remit.local.entering import guard, task
    from remit.pep.gate import Denied, OutcomeUnrecorded


def __getattr__(name: str) -> Any:
    if name in ("Denied", "OutcomeUnrecorded"):
        from remit.pep import gate

        return getattr(gate, name)
    if name in ("guard", "task"):
        from remit.local import entering

        return getattr(entering, name)
    raise AttributeError(f"module `remit` has no attribute `{name}`")
