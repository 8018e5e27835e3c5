"""Kill and release: administrative acts that every process obeys at its next decision, and again just before each act."""

from remit.decision_log.encoding import encode_body
from remit.decision_log.entry import KillReleased, KillSet
from remit.decision_log.store import Record
from remit.model.errors import malformed, not_found
from remit.model.identity import Operator
from remit.model.kill import Kill, KillKind
from remit.runtime.pending import Driven, Steps
from remit.runtime.runtime import Change, Runtime, administer
from remit.runtime.writes import DeleteKill, PutKill

MAX_WHY, MAX_NAME = 1000, 512


def kill(runtime: Runtime, kind: KillKind, name: str, why: str, operator: Operator) -> Driven[Kill]:
    """Stop what `kind` and `name` say until it is released. Repeating one renews who, when and why.

    A name need not be known: what is not there yet is stopped before it comes. Raises `RemitError` (malformed).
    """
    return Driven(lambda: _kill(runtime, kind, name, why, operator))


def _kill(runtime: Runtime, kind: KillKind, name: str, why: str, operator: Operator) -> Steps[Kill]:
    _check(kind, name, why)
    made: list[Kill] = []

    def prepare() -> Change:
        new = Kill(kind, name, runtime.clock(), operator.id, why)
        made[:] = [new]
        return [Record(encode_body(KillSet(kind.value, name, operator.id, why, operator.verified_by)), "kill.set")], [
            PutKill(new)
        ]

    yield from administer(runtime, prepare)
    return made[0]


def release(runtime: Runtime, kind: KillKind, name: str, why: str, operator: Operator) -> Driven[None]:
    """Lift a kill. What it stopped is decided by policy again; nothing that was denied is made up for.

    Raises `RemitError`: malformed, not-found if there is no such kill.
    """
    return Driven(lambda: _release(runtime, kind, name, why, operator))


def _release(runtime: Runtime, kind: KillKind, name: str, why: str, operator: Operator) -> Steps[None]:
    _check(kind, name, why)

    def prepare() -> Change:
        if not any(known.kind is kind and known.name == name for known in runtime.view.store.kills()):
            what = "everything" if kind is KillKind.ALL else f"{kind.value} `{name}`"
            raise not_found(f"no kill of {what} is in force: see `remit kill`")
        body = KillReleased(kind.value, name, operator.id, why, operator.verified_by)
        return [Record(encode_body(body), "kill.released")], [DeleteKill(kind, name)]

    yield from administer(runtime, prepare)


def _check(kind: KillKind, name: str, why: str) -> None:
    if kind is KillKind.ALL and name:
        raise malformed(f"`all` takes no name: leave `{name}` away")
    if kind is not KillKind.ALL and not (0 < len(name) <= MAX_NAME and name.isprintable()):
        raise malformed(f"say which {kind.value}: its name or id, up to {MAX_NAME} printable characters")
    if not why.strip() or len(why) > MAX_WHY or not why.isprintable():
        raise malformed(f"say why in words, up to {MAX_WHY} printable characters")
