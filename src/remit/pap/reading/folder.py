"""Bundles read from folders: which files belong, what they say, and every reason why they cannot be used."""

import gc
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from remit.model.errors import RemitError
from remit.model.tool import Tool
from remit.pap.contents import Bundle, Contents, Link, Manifest, RegoContents, SourceFile, digest_of
from remit.pap.problems import BundleError, Problem, did_you_mean, error, in_order
from remit.pap.reading.documents import Document, read_document
from remit.pap.reading.files import (
    ENTITIES_FILE,
    FACTS_FILE,
    LINKS_FILE,
    MANIFEST_FILE,
    POLICIES,
    RESOURCES_FILE,
    TASK_TYPES_FILE,
    TOOLS_FILE,
    read_files,
)
from remit.pap.reading.shapes import read_as, read_list
from remit.pap.reading.written import EntityEntry, FactEntry, LinkEntry, Malformed, TaskTypeEntry, checked_tool
from remit.pap.rego.outside import opa_fault
from remit.pap.rego.reading import DATA_FILE, rego_of
from remit.pap.schema import SCHEMA_FILE, parse, vocabulary
from remit.pdp.cedar.policies import Policy, PolicyError, check_ids, link, parse_policies
from remit.pdp.compiled import ResourceClass

T = TypeVar("T")
N = TypeVar("N")


def read_bundle(folder: str | os.PathLike[str]) -> Bundle:
    """Read a bundle's folder.

    Raises `BundleError` with every problem found: no or an incomplete `bundle.yaml`, no policy, what `read_files`
    refuses, what cannot be parsed, fields that are unknown, missing or wrong.
    """
    return bundle_of(read_files(Path(folder)))


def bundle_of(files: Iterable[SourceFile]) -> Bundle:
    """The bundle that these files are. Raises `BundleError` as `read_bundle` does."""
    by_path = {file.path: file.text for file in files}
    with _collector_paused():
        contents = _Reading(by_path).contents()
    kept = tuple(SourceFile(path, by_path[path]) for path in sorted(by_path))
    return Bundle(contents.manifest.name, kept, digest_of(kept), contents)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Syntax trees are many small objects without cycles: looking for cycles among them takes a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class _Reading:
    """Reads the files one after the other and collects what is wrong with any of them."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self._files = files
        self._problems: list[Problem] = []

    def contents(self) -> Contents:
        manifest = self._manifest()
        rego = self._rego(manifest)
        other = any(path.endswith(".rego") for path in self._files) or (manifest is not None and manifest.opa is not None)
        policies = self._policies(other)
        entities = self._entries(ENTITIES_FILE, EntityEntry, EntityEntry.noun)
        links = self._entries(LINKS_FILE, LinkEntry, LinkEntry.noun)
        schema = self._files.get(SCHEMA_FILE, "")
        names = self._try(lambda: vocabulary(parse(schema)), SCHEMA_FILE)
        tools = self._entries(TOOLS_FILE, Tool, checked_tool)
        task_types = self._entries(TASK_TYPES_FILE, TaskTypeEntry, TaskTypeEntry.noun)
        classes = self._entries(RESOURCES_FILE, ResourceClass, lambda noun: noun)
        facts = self._entries(FACTS_FILE, FactEntry, FactEntry.noun)
        linked = self._linked(policies, links)
        self._unique(policies, linked)
        if self._problems or manifest is None or names is None:
            raise BundleError(in_order(self._problems))
        return Contents(
            manifest=manifest,
            policies=(*policies, *linked),
            actions=names.actions,
            resources=names.resources,
            principals=names.principals,
            groups=names.groups,
            schema=schema,
            tools=_nouns(tools),
            task_types=_nouns(task_types),
            classes=_nouns(classes),
            entities=_nouns(entities),
            links=_nouns(links),
            rego=rego,
            facts=_nouns(facts),
        )

    def _manifest(self) -> Manifest | None:
        if MANIFEST_FILE not in self._files:
            hint = "write one with a `name`; is this the right folder, and complete?"
            self._problems.append(error((MANIFEST_FILE, 1), "no-manifest", "there is no `bundle.yaml`", hint))
            return None
        document = self._document(MANIFEST_FILE)
        manifest = read_as(document, Manifest, self._problems) if document else None
        for position, rate in enumerate(manifest.agent_rates if manifest is not None and document else ()):
            try:
                rate.noun()
            except Malformed as fault:
                place = MANIFEST_FILE, document.line("agent_rates", position) if document else 1
                self._problems.append(error(place, "malformed", str(fault), fault.hint))
        try:
            _ = manifest.approvals.noun() if manifest is not None else None
        except Malformed as fault:
            line = document.line("approvals") if document else 1
            self._problems.append(error((MANIFEST_FILE, line), "malformed", str(fault), fault.hint))
        if manifest is not None and not manifest.name.strip():
            self._problems.append(error((MANIFEST_FILE, 1), "no-name", "the bundle has no name", "give it one"))
        return manifest

    def _document(self, file: str) -> Document | None:
        return self._try(lambda: read_document(self._files[file], file), file)

    def _entries(self, file: str, shape: type[T], noun: Callable[[T], N]) -> list[tuple[int, N]]:
        document = self._document(file) if file in self._files else None
        if document is None:
            return []
        nouns = []
        for line, entry in read_list(document, shape, self._problems):
            try:
                nouns.append((line, noun(entry)))
            except Malformed as fault:
                self._problems.append(error((file, line), "malformed", str(fault), fault.hint))
        return nouns

    def _rego(self, manifest: Manifest | None) -> RegoContents | None:
        modules = {path: self._files[path] for path in sorted(self._files) if path.endswith(".rego")}
        if manifest is None:
            return None
        if manifest.opa is not None and (wrong := opa_fault(manifest.opa)):
            self._problems.append(error((MANIFEST_FILE, 1), "opa", *wrong))
        return self._try(lambda: rego_of(modules, self._files.get(DATA_FILE, ""), manifest), DATA_FILE)

    def _policies(self, other: bool) -> list[Policy]:
        """Those in Cedar; there must be some, unless there are `other` ones."""
        paths = [path for path in self._files if path.startswith(f"{POLICIES}/") and path.endswith(".cedar")]
        found: list[Policy] = []
        before = len(self._problems)
        for path in sorted(paths):
            text = self._files[path]
            found.extend(self._try(lambda text=text, path=path: parse_policies(text, path), path) or ())  # type: ignore[misc]
        if not found and not other and len(self._problems) == before:
            hint = "write one to `policies/NAME.cedar` or `.rego`: without a permit nothing is allowed"
            self._problems.append(error((MANIFEST_FILE, 1), "no-policy", "the bundle has no policy", hint))
        return found

    def _linked(self, policies: list[Policy], links: list[tuple[int, Link]]) -> list[Policy]:
        templates = {policy.id: policy for policy in policies if policy.is_template}
        linked = []
        for line, wanted in links:
            template = templates.get(wanted.template)
            if template is None:
                message = f"there is no template `{wanted.template}`"
                hint = did_you_mean(wanted.template, templates) or "write a policy with `?principal` or `?resource`"
                self._problems.append(error((LINKS_FILE, line), "unknown-template", message, hint))
                continue
            try:
                linked.append(link(template, wanted.id, wanted.principal, wanted.resource))
            except RemitError as fault:
                self._problems.append(error((LINKS_FILE, line), "link", fault.message))
        return linked

    def _unique(self, policies: list[Policy], linked: list[Policy]) -> None:
        try:
            check_ids([*policies, *linked])
        except PolicyError as fault:
            self._problems.extend(error((f.source, f.line), "duplicate-id", f.problem) for f in fault.faults)

    def _try(self, read: Callable[[], T], file: str) -> T | None:
        try:
            return read()
        except BundleError as fault:
            self._problems.extend(fault.problems)
        except PolicyError as fault:
            self._problems.extend(error((f.source, f.line), "cedar", f.problem) for f in fault.faults)
        except RemitError as fault:
            self._problems.append(error((file, 1), "cedar", fault.message))
        return None


def _nouns(found: list[tuple[int, N]]) -> tuple[N, ...]:
    return tuple(noun for _, noun in found)
