"""The files of a bundle's folder: which belong to it, and their text, whatever links and encodings try."""

import errno
import os
import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from remit.model.errors import malformed, not_found
from remit.pap.contents import SourceFile
from remit.pap.problems import BundleError, Problem, did_you_mean, error, in_order
from remit.pap.rego.reading import DATA_FILE, TESTS
from remit.pap.schema import SCHEMA_FILE

MANIFEST_FILE, TOOLS_FILE, TASK_TYPES_FILE = "bundle.yaml", "tools.yaml", "task_types.yaml"
RESOURCES_FILE, ENTITIES_FILE, LINKS_FILE = "resources.yaml", "entities.yaml", "links.yaml"
FACTS_FILE = "facts.yaml"
POLICIES, CASES = "policies", "cases"
FILES = (
    MANIFEST_FILE,
    TOOLS_FILE,
    TASK_TYPES_FILE,
    RESOURCES_FILE,
    ENTITIES_FILE,
    LINKS_FILE,
    FACTS_FILE,
    SCHEMA_FILE,
    DATA_FILE,
)
MAX_FILE = 16 << 20
MAX_BUNDLE = 64 << 20
"""Larger files and bundles (bytes) are refused: something else has got into the folder."""
MAX_FOLDERS = 64
"""Folders within folders; more are no bundle's."""

_POLICY_KINDS = (".cedar", ".cedarschema", ".rego")
_DATA_KINDS = (".yaml", ".yml", ".json")
_NAMED = re.compile(r"(?:[^/.][^/]*/)*[^/.][^/]*")
"""Paths that a folder has such a file under: no empty name, no hidden one, none that leads upwards."""
_REORDERED = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""What shows a reviewer the text in another order than it is read (Unicode UAX 9, CVE-2021-42574)."""


def read_files(folder: Path) -> tuple[SourceFile, ...]:
    """The files of a bundle, in the order of their paths.

    Hidden files and those of other kinds (a README) do not belong to it. Raises `BundleError` for a file that
    looks as if it belonged and does not, cannot be read, is no UTF-8, leads elsewhere by a link, is too large; `RemitError` (not-found,
    malformed) if there is no such folder.
    """
    _check_folder(folder)
    files: list[SourceFile] = []
    problems: list[Problem] = []
    size = 0
    for path in _walk(folder, folder, problems):
        try:
            name = path.relative_to(folder).as_posix()
            files.append(SourceFile(name, _text(path, folder, name)))
            size += len(files[-1].text)
        except BundleError as fault:
            problems.extend(fault.problems)
        if size > MAX_BUNDLE:
            message = f"the bundle is larger than {MAX_BUNDLE >> 20} MiB"
            raise BundleError([error((MANIFEST_FILE, 1), "size", message, "split it")])
    if problems:
        raise BundleError(in_order(problems))
    return tuple(sorted(files, key=lambda file: file.path))


def given_files(files: Mapping[str, str]) -> tuple[SourceFile, ...]:
    """The files of a bundle that was sent instead of read from a folder, each text by its path; every one must belong.

    Raises `BundleError` as `read_files` does.
    """
    found: list[SourceFile] = []
    problems: list[Problem] = []
    for name, text in files.items():
        try:
            _check_name(name)
            if not _belongs(name) or not _NAMED.fullmatch(name):
                raise BundleError([_misplaced(name)])
            found.append(SourceFile(name, _plain(text, name)))
        except BundleError as fault:
            problems.extend(fault.problems)
    if problems:
        raise BundleError(in_order(problems))
    return tuple(sorted(found, key=lambda file: file.path))


def _check_folder(folder: Path) -> None:
    if not folder.exists():
        raise not_found(f"there is no folder `{folder}`: `remit init` makes a bundle to begin with")
    if not folder.is_dir():
        whole = next((above for above in folder.parents if (above / MANIFEST_FILE).is_file()), None)
        meant = f": `{whole}`" if whole is not None else ""
        raise malformed(f"`{folder}` is a file: name the folder of the bundle{meant}")


def _walk(folder: Path, root: Path, problems: list[Problem], depth: int = 0) -> Iterable[Path]:
    try:
        inside = sorted(folder.iterdir()) if depth <= MAX_FOLDERS else None
    except OSError as fault:
        problems.append(_unreadable((folder.relative_to(root).as_posix(), 1), fault))
        return
    if inside is None:
        message = f"folders nest deeper than {MAX_FOLDERS} levels"
        problems.append(error((folder.relative_to(root).as_posix(), 1), "depth", message, "move what is no bundle elsewhere"))
        return
    for path in inside:
        name = path.relative_to(root).as_posix()
        if path.name.startswith(".") or path.name == "__pycache__":
            continue
        if path.is_dir():
            if path.is_symlink():
                problems.append(error((name, 1), "link", "the folder is a link", "copy the folder"))
            else:
                yield from _walk(path, root, problems, depth + 1)
        elif _belongs(name):
            yield path
        elif _is_suspect(name, path.suffix.lower()):
            problems.append(_misplaced(name))


def _belongs(name: str) -> bool:
    place, _, rest = name.partition("/")
    if not rest:
        return name in FILES
    if place == POLICIES:
        return rest.endswith((".cedar", ".rego")) and not rest.endswith(TESTS)
    return place == CASES and rest.endswith(".yaml")


def _is_suspect(name: str, kind: str) -> bool:
    """Whether a file would be missed if it were left out without a word."""
    if name.startswith(f"{POLICIES}/") and name.endswith(TESTS):
        return False
    inside = "/" not in name or name.split("/")[0] in (POLICIES, CASES)
    return kind in _POLICY_KINDS or (inside and kind in _DATA_KINDS)


def _misplaced(name: str) -> Problem:
    stem = PurePosixPath(name).stem
    known = [*FILES, f"{POLICIES}/{stem}.cedar", f"{POLICIES}/{stem}.rego", f"{CASES}/{stem}.yaml"]
    hint = did_you_mean(name, known) + " otherwise remove it"
    return error((name, 1), "unknown-file", f"`{name}` is no file of a bundle", hint)


def _text(path: Path, folder: Path, name: str) -> str:
    place = (name, 1)
    _check_name(name)
    # INVARIANT (fail closed): a bundle is what stands in its folder, wherever a link leads.
    try:
        if not path.resolve(strict=True).is_relative_to(folder.resolve()):
            message = "the file is a link that leads out of the bundle"
            raise BundleError([error(place, "link", message, "copy the file")])
        data = _bytes(path, place)
        text = data.decode("utf-8")
    except UnicodeDecodeError as fault:
        line = data.count(b"\n", 0, fault.start) + 1
        message = "the file is not UTF-8"
        raise BundleError([error((name, line), "encoding", message, "save it as UTF-8")]) from None
    except (OSError, RuntimeError) as fault:
        if not isinstance(fault, OSError) or fault.errno == errno.ELOOP:  # before Python 3.13, `resolve` knows no ELOOP
            raise BundleError([error(place, "link", "the file is a link to itself", "copy the file")]) from None
        raise BundleError([_unreadable(place, fault)]) from None
    return _plain(text, name)


def _check_name(name: str) -> None:
    if not name.isascii() or not name.isprintable():
        raise BundleError([error((name, 1), "file-name", f"the name of `{name}` is not plain ASCII", "rename it")])


def _plain(text: str, name: str) -> str:
    """The text of a file with plain line ends. Raises `BundleError` for what reviewers would see otherwise than it is read."""
    place = (name, 1)
    if text.startswith("\ufeff"):
        message = "the file starts with a byte order mark"
        raise BundleError([error(place, "encoding", message, "save it without one")])
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if hidden := _REORDERED.search(text):
        message = f"the character U+{ord(hidden[0]):04X} shows text in another order than it is read"
        place = name, text.count("\n", 0, hidden.start()) + 1
        raise BundleError([error(place, "encoding", message, "remove it, or write it as an escape")])
    return text


def _unreadable(place: tuple[str, int], fault: OSError) -> Problem:
    return error(place, "unreadable", f"it cannot be read ({fault.strerror})", "mend it, or its permissions")


def _bytes(path: Path, place: tuple[str, int]) -> bytes:
    """The content of a regular file; a named pipe does not block."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise BundleError([error(place, "unreadable", "this is no regular file", "remove it")])
        data = file.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise BundleError([error(place, "size", f"the file is larger than {MAX_FILE >> 20} MiB", "split it")])
    return data
