"""Whether what is to be stopped is known here: a mistyped name would stop nothing, and say it did."""

from collections.abc import Collection

from remit.local.wiring import Embedded
from remit.model.errors import not_found
from remit.model.identity import TaskId
from remit.model.kill import KillKind
from remit.pap.problems import did_you_mean

NEAR = 200
"""Among so many tasks, the newest, the one that may have been meant is looked for."""


def check_known(embedded: Embedded, kind: KillKind, name: str) -> None:
    """Raises `RemitError` (not-found) for a name that nothing has."""
    if not name or any(known.kind is kind and known.name == name for known in embedded.store.kills()):
        return
    with embedded.runtime.view.lock:
        embedded.runtime.view.look()
        bundle = embedded.runtime.view.bundle
    known: Collection[str] = ()
    match kind:
        case KillKind.ALL:
            return
        case KillKind.AGENT:
            known, where = [agent.id for agent in embedded.store.agents()], "is registered"
        case KillKind.TASK:
            if embedded.store.task(TaskId(name)) is not None:
                return
            known, where = [state.task.id for state in embedded.store.tasks(NEAR)], "is in this store"
        case KillKind.TASK_TYPE:
            known, where = bundle.task_types if bundle else (), "is in the published bundle"
        case KillKind.TOOL:
            reported = {definition.tool for definition in embedded.store.definitions()}
            known, where = reported | set(bundle.tools if bundle else ()), "is in the published catalogue"
    if name not in known:
        hint = did_you_mean(name, known)
        said = f"no {kind.value} `{name}` {where}" + (f": {hint}" if hint else "")
        raise not_found(f"{said} (`--unknown` stops the name all the same)")
