"""Published bundles: stored as one document, and compiled from it without reading YAML."""

import hashlib

import msgspec
from msgspec.structs import replace

from remit.model.errors import corrupt
from remit.model.identity import EntityRef
from remit.pap.contents import Bundle, Contents, RegoContents, SourceFile, digest_of
from remit.pdp.arguments import argument_types
from remit.pdp.cedar.reads import WHOLE
from remit.pdp.cedar.scopes import ACTION
from remit.pdp.cedar.slices import PolicyIndex
from remit.pdp.compiled import CompiledBundle, CompiledTool, EntityDocument, FirstUse, Rego
from remit.pdp.facts.fact import fact_set
from remit.pdp.outside import Opa

ANALYSIS = 10
"""Grows with every change to what is derived from files (scopes, reads, nouns) and to the form of documents.

Documents of another one are read anew from their files.
"""

_encode = msgspec.json.Encoder(order="sorted").encode


class _Document(msgspec.Struct, frozen=True):
    """`check` finds accidents, not forgers: whoever can write the store can publish."""

    analysis: int
    check: str
    bundle: msgspec.Raw


_decode_document = msgspec.json.Decoder(_Document).decode
_decode_bundle = msgspec.json.Decoder(Bundle).decode


class _Files(msgspec.Struct, frozen=True):
    files: tuple[SourceFile, ...]


def to_document(bundle: Bundle) -> bytes:
    """The one canonical document that a store keeps: the files, and what was derived from them."""
    body = _encode(bundle)
    return _encode(_Document(ANALYSIS, _check(ANALYSIS, body), msgspec.Raw(body)))


def _check(analysis: int, body: bytes | msgspec.Raw) -> str:
    return hashlib.sha256(b"remit bundle document %d\n" % analysis + bytes(body)).hexdigest()


def from_document(document: bytes) -> Bundle:
    """The bundle of a document. Raises `RemitError` (corrupt) for anything but what `to_document` wrote."""
    # INVARIANT (fail closed): a document that is not exactly what was published is no bundle.
    try:
        outer = _decode_document(document)
        if _check(outer.analysis, outer.bundle) != outer.check:
            raise corrupt("the stored bundle is not what was published: publish it again")
        bundle = _decode_bundle(outer.bundle) if outer.analysis == ANALYSIS else _read_anew(outer.bundle)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise corrupt(f"the stored bundle cannot be read ({error}): publish it again") from None
    if digest_of(bundle.files) != bundle.digest:
        raise corrupt(f"the stored bundle does not have the digest `{bundle.digest}`: publish it again")
    return bundle


def _read_anew(body: msgspec.Raw) -> Bundle:
    from remit.pap.reading.folder import (
        bundle_of,
    )  # only where the document is of another version: it imports YAML

    return bundle_of(msgspec.json.decode(body, type=_Files).files)


def compile_bundle(bundle: Bundle) -> CompiledBundle:
    """A bundle made ready to decide with; policies are handed to the engine with the first request that needs them."""
    contents = bundle.contents
    manifest = contents.manifest
    above = {name: frozenset(groups) for name, groups in contents.actions.items()}
    entities = {entity.ref: entity for entity in (*contents.entities, *_action_entities(contents))}
    compiled = CompiledBundle(
        digest=bundle.digest,
        name=bundle.name,
        mode=manifest.mode,
        index=PolicyIndex(contents.policies, above),
        actions={name: frozenset(types) for name, types in contents.resources.items()},
        principals={name: frozenset(types) for name, types in contents.principals.items()},
        tools={tool.name: CompiledTool(tool, argument_types(tool.schema)) for tool in contents.tools},
        task_types={kind.name: kind for kind in contents.task_types},
        classes=contents.classes,
        entities=entities,
        task_free=manifest.task_free,
        directory=manifest.directory,
        request_attributed=frozenset(manifest.request_attributed),
        rego=_rego(bundle, contents.rego, manifest.opa),
        facts=fact_set(contents.facts, contents.tools),
        memories=_memories(contents),
        first_use=manifest.first_use,
        agent_rates=tuple([rate.noun() for rate in manifest.agent_rates]),
        break_glass=manifest.break_glass,
        approvals=manifest.approvals.noun(),
    )
    first_uses = manifest.first_use is FirstUse.RAISE or compiled.reads("session", "firstUse")
    return replace(compiled, reads_history=first_uses or compiled.reads("task", "history"), first_uses=first_uses)


def _memories(contents: Contents) -> frozenset[str]:
    """The memories that tools and classes of resources name."""
    named = {tool.annotations.memory for tool in contents.tools} | {known.memory for known in contents.classes}
    return frozenset(named - {""})


def _rego(bundle: Bundle, found: RegoContents | None, opa: Opa | None) -> Rego | None:
    """The policies in Rego: the bundle's own, evaluated here or by a server that has just these; else whatever the server has."""
    if opa is not None:
        if found is None:
            return Rego(WHOLE, None, opa, f"{opa.url} {opa.package} {opa.revision}" if opa.revision else "")
        return Rego(found.reads, None, replace(opa, revision=found.digest), found.digest)
    if found is None:
        return None
    from remit.pap.rego.reading import DATA_FILE
    from remit.pdp.rego.engine import RegoPolicies  # costs a first call's time, and most bundles have none

    texts = {file.path: file.text for file in bundle.files}
    policies = RegoPolicies({path: texts[path] for path in found.modules}, texts[DATA_FILE] if found.data else "")
    return Rego(found.reads, policies.evaluate, None, found.digest, found.compared)


def _action_entities(contents: Contents) -> list[EntityDocument]:
    """Actions with the groups above them, for policies that name a group."""
    return [
        EntityDocument(EntityRef(ACTION, name), {}, tuple(EntityRef(ACTION, group) for group in groups))
        for name, groups in {**contents.groups, **contents.actions}.items()
    ]
