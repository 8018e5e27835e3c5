"""What changes from one bundle to another, by name."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

import msgspec

from remit.pap.contents import Bundle


class Change(StrEnum):
    """What happened to a part of a bundle."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class Difference(msgspec.Struct, frozen=True):
    """One part that differs: its kind and name, and the parts of it that changed (for a policy, its text)."""

    kind: str
    name: str
    change: Change
    fields: tuple[str, ...] = ()


def diff(before: Bundle, after: Bundle) -> tuple[Difference, ...]:
    """What is added, removed and changed, kind by kind; a policy that only moved has not changed."""
    old, new = _parts(before), _parts(after)
    return tuple(found for kind in new for found in _compare(kind, old[kind], new[kind]))


def _parts(bundle: Bundle) -> dict[str, dict[str, Any]]:
    """The parts of each kind under their names."""
    contents = bundle.contents
    texts = {file.path: file.text for file in bundle.files}
    rego = contents.rego
    manifest = msgspec.structs.asdict(contents.manifest)
    return {
        "setting": manifest,
        "policy": {policy.id: policy.text for policy in contents.policies},
        "tool": {tool.name: tool for tool in contents.tools},
        "task type": {kind.name: kind for kind in contents.task_types},
        "resource": {f"{known.type} {known.pattern}": known for known in contents.classes},
        "entity": {str(entity.ref): entity for entity in contents.entities},
        "link": {link.id: link for link in contents.links},
        "fact": {fact.name: fact for fact in contents.facts},
        "schema": {"schema": contents.schema} if contents.schema else {},
        "Rego": {path: texts[path] for path in (*rego.modules, *(["data.json"] if rego.data else ()))} if rego else {},
    }


def _compare(kind: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            yield Difference(kind, name, Change.ADDED)
        elif name not in new:
            yield Difference(kind, name, Change.REMOVED)
        elif old[name] != new[name]:
            yield Difference(kind, name, Change.CHANGED, _fields(old[name], new[name]))


def _fields(old: Any, new: Any) -> tuple[str, ...]:
    if not isinstance(old, msgspec.Struct):
        return ()
    return tuple(field for field in old.__struct_fields__ if getattr(old, field) != getattr(new, field))
