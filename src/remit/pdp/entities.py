"""The Cedar entities that one request can reach, and no others."""

import ipaddress
import posixpath
import re
from collections.abc import Iterable
from typing import Any

from remit.model.errors import malformed
from remit.model.identity import Agent, EntityRef
from remit.model.labels import Confidentiality
from remit.model.request import TOOL_CALL, EvaluationRequest
from remit.model.tool import Annotations, Reach
from remit.pdp.compiled import CompiledBundle, EntityDocument
from remit.pdp.hints import annotations_of, hints_for
from remit.pdp.parties import RESOURCE, said

UNKNOWN = "unknown"
MAX_RESOURCE_ID = 4096


def check_resource(resource: EntityRef) -> None:
    """Refuse ids that mean something else once resolved.

    Raises `RemitError` (malformed) for an empty or oversized id, control characters, lone surrogates, a file path that is not absolute and
    normal (`..`, `//`), and a host that is not in lower case.
    """
    name = resource.id
    if not name or len(name) > MAX_RESOURCE_ID:
        raise malformed(f"resource id must have 1 to {MAX_RESOURCE_ID} characters, not {len(name)}")
    if not name.isprintable() and any(ord(c) < 32 or ord(c) == 127 or 0xD800 <= ord(c) <= 0xDFFF for c in name):
        raise malformed("resource id has control characters or lone surrogates: name the resource by printable text")
    if resource.type == "File" and (name[:1] != "/" or name[:2] == "//" or posixpath.normpath(name) != name):
        raise malformed(f"file `{name}` is not an absolute path in normal form: resolve it first")
    if resource.type == "Host" and not _is_host(name):
        raise malformed(
            f"host `{name}` is not in normal form: a name in lower-case ASCII (IDNA), or an address as it is written canonically"
        )
    if resource.type == "Host" and (name != name.lower() or name.strip(".") != name):
        raise malformed(f"host `{name}` is not in normal form: lower case, without dots at the ends")


_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*")
_NUMBER = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)\Z")


def _is_host(name: str) -> bool:
    """Whether no resolver reads a host as another one: numbers at the end make an address (WHATWG URL, host parsing)."""
    if ":" in name or _NUMBER.fullmatch(name.rpartition(".")[2]):
        try:
            return str(ipaddress.ip_address(name)) == name
        except ValueError:
            return False
    return _HOST.fullmatch(name) is not None


def principal_document(agent: Agent) -> EntityDocument:
    """The agent as Cedar sees it: owner, purpose, status; its groups are its parents."""
    attributes = {
        "owner": {"__entity": {"type": "User", "id": agent.owner}},
        "purpose": agent.purpose,
        "status": agent.status.value,
    }
    return EntityDocument(agent.ref, attributes, tuple(EntityRef("Group", group) for group in agent.groups))


def action_document(bundle: CompiledBundle, action: str) -> EntityDocument:
    """The action with the groups it is in."""
    ref = EntityRef("Action", action)
    return EntityDocument(ref, {}, parents_of(bundle, ref))


def resource_document(bundle: CompiledBundle, request: EvaluationRequest, target: Agent | None = None) -> EntityDocument:
    """The resource as the catalogue and the bundle's classes describe it; what nobody described says `unknown`. An agent is as it is
    registered (`target`)."""
    resource = request.resource
    if target is not None:
        return principal_document(target)
    declared = bundle.entities.get(resource)
    parents = declared.parents if declared else ()
    attributes: dict[str, Any] = {}
    if request.action == TOOL_CALL:
        known = bundle.tools.get(resource.id)
        groups = known.tool.groups if known else ()
        parents = (*parents, *(EntityRef("ToolGroup", group) for group in groups))
        attributes = _tool_attributes(annotations_of(bundle, request.action, resource, hints_for(bundle, request)))
    elif resource.type in ("File", "Host", "Model"):
        classed = bundle.class_of(resource)
        attributes = _class_attributes(classed.sensitivity if classed else None, classed.reach if classed else None)
        parents = (*parents, *_containers(resource))
    given = said(bundle, request, RESOURCE, resource)
    return EntityDocument(resource, {**given, **attributes, **(declared.attributes if declared else {})}, parents)


def _tool_attributes(annotations: Annotations) -> dict[str, Any]:
    return {
        "effect": annotations.effect.value if annotations.effect else UNKNOWN,
        "annotated": annotations.complete,
        "outputTrusted": annotations.output_trusted,
        **_class_attributes(annotations.sensitivity, annotations.reach),
    }


def _class_attributes(sensitivity: Confidentiality | None, reach: Reach | None) -> dict[str, Any]:
    return {
        "sensitivity": sensitivity.value if sensitivity else UNKNOWN,
        "sensitivityRank": (sensitivity or Confidentiality.INTERNAL).rank,
        "reach": reach.value if reach else UNKNOWN,
    }


def folder_of(resource: EntityRef) -> EntityRef | None:
    """The folder of a file, None of anything else."""
    return EntityRef("Folder", posixpath.dirname(resource.id)) if resource.type == "File" else None


def _containers(resource: EntityRef) -> tuple[EntityRef, ...]:
    """The folder of a file, the domain of a host: policies can name any of them with `in`."""
    folder = folder_of(resource)
    if folder is not None:
        return (folder,)
    if resource.type == "Host" and "." in resource.id:
        return (EntityRef("Domain", resource.id.partition(".")[2]),)
    return ()


def parents_of(bundle: CompiledBundle, ref: EntityRef) -> tuple[EntityRef, ...]:
    """The direct parents of an entity that is neither the principal nor the resource of a request."""
    declared = bundle.entities.get(ref)
    parents = declared.parents if declared else ()
    if ref.type == "Folder" and ref.id != "/":
        return (*parents, EntityRef("Folder", posixpath.dirname(ref.id)))
    if ref.type == "Domain" and "." in ref.id:
        return (*parents, EntityRef("Domain", ref.id.partition(".")[2]))
    return parents


def ancestors(bundle: CompiledBundle, first: Iterable[EntityRef]) -> tuple[EntityRef, ...]:
    """All entities above the given ones, each once, the given ones included."""
    found: dict[EntityRef, None] = {}
    waiting = list(first)
    while waiting:
        ref = waiting.pop()
        if ref not in found:
            found[ref] = None
            waiting.extend(parents_of(bundle, ref))
    return tuple(found)


def referenced(value: Any) -> Iterable[EntityRef]:
    """Every entity named by `{"__entity": …}` in a Cedar JSON value."""
    if isinstance(value, dict):
        inner = value.get("__entity")
        if isinstance(inner, dict):
            yield EntityRef(inner["type"], inner["id"])
        else:
            for item in value.values():
                yield from referenced(item)
    elif isinstance(value, list):
        for item in value:
            yield from referenced(item)


def reachable(bundle: CompiledBundle, documents: Iterable[EntityDocument], named: Iterable[EntityRef]) -> list[EntityDocument]:
    """Close a set of documents: everything their attributes, their parents and `named` lead to.

    Cedar can only reach an entity from the request, a literal of a policy, an attribute or an ancestor, so nothing else can matter.
    """
    closed: dict[EntityRef, EntityDocument] = {}
    waiting: list[EntityRef] = list(named)
    for document in documents:
        closed[document.ref] = document
        waiting.extend(_leads(document))
    while waiting:
        ref = waiting.pop()
        if ref not in closed:
            declared = bundle.entities.get(ref)
            document = EntityDocument(ref, declared.attributes if declared else {}, parents_of(bundle, ref))
            closed[ref] = document
            waiting.extend(_leads(document))
    return list(closed.values())


def _leads(document: EntityDocument) -> Iterable[EntityRef]:
    yield from document.parents
    for value in document.attributes.values():
        yield from referenced(value)
