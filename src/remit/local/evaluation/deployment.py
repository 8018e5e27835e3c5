"""What a deployment knows beside its runs: tools, what they do, and its own principals; made into a bundle."""

import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from remit.local.evaluation.corpus import Definition, Recorded
from remit.model.errors import malformed, not_found
from remit.model.tool import UNANNOTATED, Annotations, Reach, Tool, ToolEffect
from remit.pap import baseline
from remit.pap.cases import Fixture
from remit.pap.contents import Bundle
from remit.pap.extend import extended
from remit.pap.reading.folder import read_bundle
from remit.pap.reading.written import Malformed, checked_tool

T = TypeVar("T")
ANNOTATIONS, DIRECTORY = "tool_annotations.json", "directory.json"


class ToolAnnotation(msgspec.Struct, frozen=True):
    """What an annotations file says of a tool: `sink` are the arguments that choose a destination or an object."""

    effect: Literal["read", "write"]
    egress: bool = False
    destructive: bool = False
    output: str = "untrusted"
    sink: tuple[str, ...] = ()
    content: tuple[str, ...] = ()

    def noun(self) -> Annotations:
        """The same in the vocabulary of the catalogue."""
        effect, reach = ToolEffect.READ, Reach.INTERNAL
        if self.egress:
            reach = Reach.EXTERNAL
        elif self.destructive:
            reach = Reach.WORKSPACE
        if self.effect == "write":
            sends = ToolEffect.SPEND if self.destructive else ToolEffect.SEND
            effect = sends if self.egress else ToolEffect.DELETE if self.destructive else ToolEffect.WRITE
        return Annotations(
            effect=effect,
            reach=reach,
            output_trusted=self.output == "trusted",
            output_records=True,  # whoever described a tool knows its platform
            destinations=self.sink,
            content=self.content,
        )


class Deployment(msgspec.Struct, frozen=True):
    """Annotations and known principals by suite; a suite `a/b` is also found as `b`."""

    annotations: Mapping[str, Mapping[str, ToolAnnotation]] = {}
    directory: Mapping[str, tuple[str, ...]] = {}

    def only(self, suite: str) -> "Deployment":
        """What is known in one suite."""
        return Deployment({suite: _of_suite(self.annotations, suite) or {}}, {suite: _of_suite(self.directory, suite) or ()})

    def unannotated(self) -> "Deployment":
        """The same, of tools that nobody has said anything of."""
        return Deployment({}, self.directory)

    def bundle(self, suite: str, definitions: Iterable[Definition]) -> Bundle:
        """The baseline with this suite's tools and principals. A tool that nobody annotated stays unannotated."""
        said = _of_suite(self.annotations, suite) or {}
        defined = {name: Definition(name) for name in said} | {tool.name: tool for tool in definitions}
        # A bundle is a file: a name that no file can hold names nothing in it, and its calls are those of an unknown tool.
        tools = tuple(_tool(tool, said.get(tool.name)) for tool in defined.values() if _writable(tool.name))
        principals = tuple(filter(_writable, _of_suite(self.directory, suite) or ()))
        return extended(read_bundle(baseline.FOLDER), Fixture(tools, (), principals))


def _of_suite(by_suite: Mapping[str, T], suite: str) -> T | None:
    return by_suite[suite] if suite in by_suite else by_suite.get(suite.rpartition("/")[2])


def _tool(definition: Definition, said: ToolAnnotation | None) -> Tool:
    annotations = said.noun() if said else UNANNOTATED
    bare = Tool(definition.name, annotations, description=definition.description if _writable(definition.description) else "")
    if not _writable(definition.json_schema):
        return bare
    try:
        return checked_tool(msgspec.structs.replace(bare, schema=definition.json_schema))
    except Malformed:
        return bare  # arguments then have the types of their own values


def _writable(noun: object) -> bool:
    try:
        msgspec.json.encode(noun)
    except (UnicodeEncodeError, ValueError, TypeError, RecursionError, OverflowError):
        return False
    return True


class Surroundings:
    """Finds what belongs to each file of runs: named on the command line, else beside the file or one folder up."""

    def __init__(self, annotations: Path | None = None, directory: Path | None = None) -> None:
        self._annotations = annotations
        self._directory = directory
        self._read = cache(_read)
        self._deployments: dict[tuple[Path | None, Path | None], Deployment] = {}

    def deployment(self, file: Path) -> Deployment:
        """What is known around a file of runs; equal sources give the same object.

        Raises `RemitError`: not-found, malformed naming the file.
        """
        sources = (self._annotations or _beside(file, ANNOTATIONS), self._directory or _beside(file, DIRECTORY))
        if sources not in self._deployments:
            annotations = self._shaped(sources[0], dict[str, dict[str, ToolAnnotation]])
            directory = self._shaped(sources[1], dict[str, tuple[str, ...]])
            self._deployments[sources] = Deployment(annotations or {}, directory or {})
        return self._deployments[sources]

    def definitions(self, file: Path, run: Recorded) -> tuple[Definition, ...]:
        """The tools of a run: its own, or those that `tools_ref` (`file.json#suite`) points to; none where that leads nowhere."""
        if run.tools or not run.tools_ref:
            return run.tools
        name, _, part = run.tools_ref.partition("#")
        listed: Mapping[str, tuple[Definition, ...]] | None
        listed = self._shaped(_beside(file, name), dict[str, tuple[Definition, ...]])
        return listed.get(part, ()) if listed else ()

    def _shaped(self, path: Path | None, shape: Any) -> Any:
        return None if path is None else self._read(path, shape)


def _beside(file: Path, name: str) -> Path | None:
    folder = file.absolute().parent
    return next((here / name for here in (folder, folder.parent) if (here / name).is_file()), None)


def _read(path: Path, shape: Any) -> Any:
    try:
        return msgspec.convert(json.loads(path.read_bytes()), shape)
    except FileNotFoundError:
        raise not_found(f"there is no file `{path}`") from None
    except OSError as error:
        raise malformed(f"`{path}` cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise malformed(f"`{path}` is not of the expected form ({error}): see docs/efficacy.md") from None
