"""A bundle with more tools, resources and known destinations than its folder has: for cases and evaluations."""

import json
import re
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec.structs import replace

from remit.pap.cases import Fixture
from remit.pap.contents import Bundle, SourceFile, digest_of
from remit.pap.reading.files import MANIFEST_FILE, RESOURCES_FILE, TOOLS_FILE

_NOT_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def extended(bundle: Bundle, fixture: Fixture) -> Bundle:
    """The bundle and what a fixture adds, as a bundle of its own: files, contents and digest agree.

    A tool of the fixture replaces the one of that name; its resources are looked at first.
    """
    if fixture == Fixture():
        return bundle
    contents, manifest = bundle.contents, bundle.contents.manifest
    replaced = {tool.name for tool in fixture.tools}
    tools = (*(tool for tool in contents.tools if tool.name not in replaced), *fixture.tools)
    classes = (*fixture.resources, *contents.classes)
    manifest = replace(manifest, directory=(*manifest.directory, *fixture.directory))
    written = [(TOOLS_FILE, tools), (RESOURCES_FILE, classes), (MANIFEST_FILE, manifest)]
    files = _with_files(bundle.files, [SourceFile(path, _text(noun)) for path, noun in written])
    changed = replace(contents, manifest=manifest, tools=tools, classes=classes)
    return Bundle(bundle.name, files, digest_of(files), changed)


def _with_files(files: Iterable[SourceFile], changed: Iterable[SourceFile]) -> tuple[SourceFile, ...]:
    by_path = {file.path: file for file in (*files, *changed)}
    return tuple(by_path[path] for path in sorted(by_path))


def _text(noun: Any) -> str:
    """JSON that is YAML too: characters that YAML reads otherwise are escaped."""
    text = json.dumps(msgspec.to_builtins(noun), ensure_ascii=False, indent=1)
    return _NOT_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n"
