"""`remit policy diff`: what differs between two bundles, and what that would have changed."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from remit.cli.output import JsonFlag, counted, say, show_json, store
from remit.local.wiring import Embedded
from remit.model.clock import SECOND
from remit.model.errors import malformed, not_found
from remit.pap.bundle import from_document
from remit.pap.contents import Bundle
from remit.pap.diff import Difference
from remit.pap.diff import diff as differences
from remit.pap.reading.folder import read_bundle

if TYPE_CHECKING:
    from remit.reviews.asking import DecisionResult
    from remit.reviews.replay import ChangedDecision, Replayed

_SPAN = re.compile("([1-9][0-9]{0,5})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
SHOWN = 20


def diff(
    before: Annotated[str, typer.Argument(help="A bundle's folder, the digest of one that was published, or `active`.")],
    after: Annotated[str, typer.Argument(help="A bundle's folder, the digest of one that was published, or `active`.")],
    replayed: Annotated[str, typer.Option("--replay", help="Ask both every decision of so long: `90d`, `12h`, or `all`.")] = "",
    json: JsonFlag = False,
) -> None:
    """Show what differs between two bundles: policies, tools, task types. With --replay also which past decisions that would change."""
    if not replayed and all(Path(name).exists() for name in (before, after)):
        _show(differences(read_bundle(before), read_bundle(after)), None, json)
        return
    span = span_of(replayed)
    from remit.local.replaying import replay

    with store() as embedded:
        old, new = _bundle(embedded, before), _bundle(embedded, after)
        found = None
        if replayed:
            since = embedded.runtime.clock() - span if span is not None else 0
            found = replay(embedded.home, embedded.settings, embedded.store, new, old, since)
    _show(differences(old, new), found, json)


def span_of(text: str) -> int | None:
    """A span of time in µs, None for all of it."""
    if text in ("", "all"):
        return None
    found = _SPAN.fullmatch(text)
    if found is None:
        raise malformed(f"`{text}` is no span of time: write `90d`, `12h`, `30m`, or `all`")
    return int(found[1]) * _SECONDS[found[2]] * SECOND


def active_bundle(embedded: Embedded) -> Bundle:
    """The active bundle. Raises `RemitError` (not-found) if none was published."""
    return _bundle(embedded, "active")


def _bundle(embedded: Embedded, name: str) -> Bundle:
    if Path(name).is_dir():
        return read_bundle(name)
    digests = [row[0] for row in embedded.store.activations()]
    wanted = digests[0] if name == "active" and digests else name
    known = sorted({digest for digest in digests if digest == wanted or (len(wanted) >= 8 and digest.startswith(wanted))})
    document = embedded.store.document(known[0]) if len(known) == 1 else None
    if name == "active" and not digests:
        raise not_found("no bundle is published: run `remit policy publish FOLDER`")
    if document is None and Path(name).exists():
        return read_bundle(name)  # refuses it, and says which folder is meant
    if document is None:
        raise not_found(f"there is no folder `{name}`, and no bundle was published under it: see `remit policy show --history`")
    return from_document(document)


def _show(found: tuple[Difference, ...], replayed: "Replayed | None", json: bool) -> None:
    if json:
        show_json(found if replayed is None else {"differences": found, "replay": msgspec.to_builtins(replayed)})
        return
    for difference in found:
        fields = f" ({', '.join(difference.fields)})" if difference.fields else ""
        say(f"{difference.change.value} {difference.kind} {difference.name}{fields}")
    if not found:
        say("they are the same")
    if replayed is not None:
        _tell(replayed)


def _tell(replayed: "Replayed") -> None:
    asked = replayed.decisions - sum(replayed.gaps.values())
    told = f"{replayed.unaffected} where the bundles are alike, {counted(replayed.requests, 'different request')} asked"
    say(f"replayed {counted(asked, 'decision')} ({told}): {replayed.changed} would change")
    for change in replayed.changes[:SHOWN]:
        _tell_one(change)
    more = replayed.changed - sum(change.count for change in replayed.changes[:SHOWN])
    if more:
        say(f"and {more} more that would change: `--json` lists them")
    for why, count in sorted(replayed.gaps.items()):
        say(f"not replayed: {counted(count, 'decision')}: {why}", "yellow")
    say("taken as it was: what calls returned, whether that was trusted, and the labels that sessions got from it")
    say("not in the log, and so not replayed: what was refused while the store could not be written")


def _tell_one(change: "ChangedDecision") -> None:
    style = {"permit": "yellow"}.get(change.after.effect, "red" if change.before.effect == "permit" else "")
    say(
        f"{change.count} x {change.agent} {change.action} {change.resource}: {_word(change.before)} -> {_word(change.after)}",
        style,
    )
    say(f"    by {', '.join(change.after.policies) or 'no policy'} (was: {', '.join(change.before.policies) or 'no policy'})")
    for purpose in change.purposes:
        say(f"    in a task to: {' '.join(purpose.split())[:100]}")
    say(f"    for example {change.decision} {change.arguments[:100]}")


def _word(result: "DecisionResult") -> str:
    obliged = f" with {', '.join(result.obligations)}" if result.obligations else ""
    if result.effect == "ask":
        return f"ask ({result.rule or 'somebody'}){obliged}"
    return f"{result.effect}{obliged}" if result.effect == "permit" else f"{result.effect} ({result.reason})"
