"""The log followed from its first entry, each one an OCSF event; outcomes say of which call they are."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from remit import __version__
from remit.decision_log.encoding import decode
from remit.decision_log.entry import DecisionMade, Entry, OutcomeSeen
from remit.decision_log.export import new_export
from remit.decision_log.ocsf.classes import CALL, VERSION, Event
from remit.decision_log.ocsf.kinds import event_of
from remit.model.errors import corrupt

_PRODUCT = {"name": "Remit", "vendor_name": "Remit", "version": __version__}


def events(origin: str, lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The events of a log, from its first entry on. Raises `RemitError` (corrupt) for a line that is no entry.

    Remembers the permits whose outcome is still to come, and nothing else.
    """
    open_permits: dict[str, DecisionMade] = {}
    for index, line in enumerate(lines):
        entry = decode(index, line)
        body, decision = entry.body, None
        if isinstance(body, DecisionMade) and body.effect == "permit":
            open_permits[body.id] = body
        elif isinstance(body, OutcomeSeen):
            decision = open_permits.pop(body.decision, None)
        yield _event(origin, entry, event_of(body, decision))


def write_ocsf(path: Path, origin: str, lines: Iterable[bytes], overwrite: bool = False) -> int:
    """Write a log as JSON Lines of OCSF events; how many there were. The file appears whole and durable, or not at all.

    Raises `RemitError`: conflict where the file exists and is not to be overwritten, unavailable where the disk fails, corrupt for a
    line that is no entry.
    """
    count = 0
    encode = msgspec.json.Encoder().encode
    with new_export(path, overwrite) as file:
        for event in events(origin, lines):
            file.write(encode(event) + b"\n")
            count += 1
    return count


def _event(origin: str, entry: Entry, event: Event) -> dict[str, Any]:
    what, activity = event.what, event.activity
    metadata: dict[str, Any] = {
        "version": VERSION,
        "product": _PRODUCT,
        "log_name": origin,
        "uid": f"{origin}/{entry.index}",
        "sequence": entry.index,
        "original_time": str(entry.time),
    }
    if event.correlation is not None:
        metadata["correlation_uid"] = event.correlation
    if event.profiles:
        metadata["profiles"] = list(event.profiles)
    found = {
        "category_uid": what.category_uid,
        "category_name": what.category_name,
        "class_uid": what.uid,
        "class_name": what.name,
        "activity_id": activity.id,
        "activity_name": activity.name,
        "type_uid": what.uid * 100 + activity.id,
        "type_name": f"{what.name}: {activity.name if activity.id != 99 else 'Other'}",
        "severity_id": event.severity.id,
        "severity": event.severity.name,
        "status_id": event.status.id,
        "status": event.status.name,
        "time": entry.time // 1000,
        "metadata": metadata,
        **event.attributes,
        "unmapped": _unmapped(entry, event.carries),
    }
    if what is CALL:
        found["src_endpoint"] = {"uid": entry.writer}  # the process that asked; the log knows no address
    return found


def _unmapped(entry: Entry, carries: tuple[str, ...]) -> dict[str, Any]:
    """Every field of the entry that no attribute carries, as it stands in the log."""
    try:
        fields: dict[str, Any] = msgspec.json.decode(entry.line)
    except msgspec.MsgspecError as error:
        raise corrupt(f"entry {entry.index} cannot be read ({error}): verify the log") from None
    return {name: value for name, value in fields.items() if name not in carries and name != "time"}
