"""The engine's plan of Rego policies (OPA's intermediate representation), read for what the policies reach."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import msgspec

from remit.pdp.cedar.reads import Node

Place: TypeAlias = tuple[int, int]
"""Which file, and which line in it, both from 0."""
Path: TypeAlias = tuple[str, ...]

_INPUT, _DATA = 0, 1
_USER = "g0."
_DEFINES = frozenset({"target", "result"})
_ORDERS = frozenset({"lt", "lte", "gt", "gte"})
_KINDS = {"local": "number", "string_index": "text"}
_PASSED_ON = frozenset({"AssignVarStmt", "AssignVarOnceStmt"})


class Reached(msgspec.Struct):
    """What policies can reach: of the input and of data, each path with where it is first read; builtins; functions that are not there.

    `undefined` are places where a name is used that nothing defines. `whole`: everything of the input may be read. `unused` are rules
    that no answer comes from. `packages` are the first names of all that have rules, `recursive` the rules that ask themselves.
    `compared` are the parts of the input whose order is asked for, each with what it is compared with: `number`, `text`, or nothing that
    has an order. `given` are those that builtin functions are given as they are.
    """

    input: dict[Path, Place] = {}
    data: dict[Path, Place] = {}
    builtins: dict[str, Place] = {}
    missing: dict[str, Place] = {}
    undefined: list[Place] = []
    unused: dict[str, Place] = {}
    packages: set[str] = set()
    recursive: dict[str, Place] = {}
    compared: dict[Path, str] = {}
    given: dict[Path, Place] = {}
    whole: bool = False

    def reads(self) -> Node:
        """What can be read of the input, as a tree."""
        return Node(True) if self.whole else _tree(self.input)


class _Function(msgspec.Struct):
    name: str
    params: list[int]
    blocks: list[dict[str, Any]]


class _Functions(msgspec.Struct):
    funcs: list[_Function]


class _Text(msgspec.Struct):
    value: str


class _Named(msgspec.Struct):
    name: str


class _Static(msgspec.Struct):
    strings: list[_Text] = []
    builtin_funcs: list[_Named] = []


class _Plan(msgspec.Struct):
    static: _Static
    funcs: _Functions


_decode = msgspec.json.Decoder(_Plan).decode


def reached(plan: bytes) -> Reached:
    """Read a plan. Raises `msgspec.MsgspecError` if it is none."""
    read = _decode(plan)
    functions = {function.name: function for function in read.funcs.funcs}
    data = f"{_USER}data."
    packages = {name.removeprefix(data).partition(".")[0] for name in functions if name.startswith(data)}
    strings, known, walks = [text.value for text in read.static.strings], _Passed(), dict[str, _Walk]()
    for _ in range(MAX_CALLS):  # until what is passed to rules and functions, and comes back from them, is known
        before, found = known.count(), Reached({}, {}, {}, {}, [], {}, packages, {}, {}, {})
        walks = {name: _Walk(function, strings, functions, found, known) for name, function in functions.items()}
        if known.count() == before:
            break
    builtins = {builtin.name for builtin in read.static.builtin_funcs}
    found.builtins = {name: place for name, place in found.builtins.items() if name in builtins or not _record(found, name)}
    _note_unused(found, walks)
    found.recursive = {name.removeprefix(data): walk.place for name, walk in walks.items() if name in _below(walk.calls, walks)}
    return found


def _below(first: set[str], walks: Mapping[str, "_Walk"]) -> set[str]:
    """All that is called, directly or not."""
    found: set[str] = set()
    waiting = [*first]
    while waiting:
        name = waiting.pop()
        if name not in found and name in walks:
            found.add(name)
            waiting.extend(walks[name].calls)
    return found


def _record(found: Reached, name: str) -> bool:
    """A call of what is neither a rule nor a builtin function."""
    found.missing[name] = found.builtins[name]
    return True


def _note_unused(found: Reached, walks: Mapping[str, "_Walk"]) -> None:
    used: set[str] = set()
    waiting = [name for name in walks if name.startswith(f"{_USER}query")]
    while waiting:
        name = waiting.pop()
        if name not in used and name in walks:
            used.add(name)
            waiting.extend(walks if walks[name].dynamic else walks[name].calls)
    found.unused = {name.removeprefix(f"{_USER}data."): walk.place for name, walk in walks.items() if name not in used}


MAX_CALLS, MAX_PATH = 10, 16


class _Passed:
    """Which parts of input and data go into functions, by name and parameter, and come out of them."""

    def __init__(self) -> None:
        self.places: dict[tuple[str, int], set[Path]] = {}

    def note(self, name: str, parameter: int, paths: Iterable[Path]) -> None:
        """Into a parameter, or (-1) out."""
        self.places.setdefault((name, parameter), set()).update(path for path in paths if len(path) <= MAX_PATH)

    def count(self) -> int:
        """How much is known."""
        return sum(map(len, self.places.values()))


class _Walk:
    """One function, walked once: which local is which part of input or data, and what is made of it."""

    def __init__(
        self, function: _Function, strings: list[str], functions: Mapping[str, _Function], found: Reached, known: _Passed
    ) -> None:
        self._name, self._known = function.name, known
        self.calls: set[str] = set()
        self.dynamic = False
        self.place: Place = (0, 0)
        self._strings, self._functions, self._found = strings, functions, found
        self._is: dict[int, set[Path]] = {_INPUT: {("input",)}, _DATA: {("data",)}}
        for number, local in enumerate(function.params[2:]):
            self._is.setdefault(local, set()).update(known.places.get((function.name, number), ()))
        self._defined = set(function.params)
        self._used: dict[int, Place] = {}
        for statement in _statements(function.blocks):
            self._take(statement["type"], statement.get("stmt") or {})
        found.undefined.extend(place for local, place in self._used.items() if local not in self._defined)

    def _take(self, kind: str, body: Mapping[str, Any]) -> None:
        place = self._place_of(body)
        self._defined.update(body[name] for name in _DEFINES if isinstance(body.get(name), int))
        if kind == "ScanStmt":
            self._defined.update((body["key"], body["value"]))
            self._use(body["source"], place)
            items = {(*path, "*") for path in self._is.get(body["source"], ()) if len(path) < MAX_PATH}
            self._is.setdefault(body["value"], set()).update(items)
        elif kind == "DotStmt":
            self._step(body, place)
        elif kind in _PASSED_ON and body["target"] not in (_INPUT, _DATA):
            source = _local(body["source"])
            if source is not None:
                self._used.setdefault(source, place)
                self._is.setdefault(body["target"], set()).update(self._is.get(source, ()))
        elif kind == "CallStmt":
            self._call(body, place)
        elif kind == "CallDynamicStmt":
            self.dynamic = self._found.whole = True
        elif kind == "WithStmt":
            self._found.whole = True  # what is read below is no longer what was asked
        elif kind not in ("ResetLocalStmt", "MakeSetStmt"):
            if kind == "ReturnLocalStmt":
                self._known.note(self._name, -1, self._is.get(body["source"], ()))
            for name, value in body.items():
                if name not in ("file", "row", "col", "target", "result", "index", "block", "blocks"):
                    self._use(value, place)

    def _place_of(self, body: Mapping[str, Any]) -> Place:
        if "row" in body:
            here = body.get("file", 0), body["row"]
            self.place = here if self.place == (0, 0) else self.place
            return here
        return self.place

    def _step(self, body: Mapping[str, Any], place: Place) -> None:
        source, key = _local(body["source"]), body["key"]
        if source is None:
            return
        self._used.setdefault(source, place)
        paths = self._is.get(source, set())
        if isinstance(key, dict) and key.get("type") == "string_index":
            steps = {(*path, self._strings[key["value"]]) for path in paths}
            for path in steps:
                self._read(path, place)
            self._is.setdefault(body["target"], set()).update(steps)
        else:
            self._use(body["source"], place)
            self._use(key, place)

    def _call(self, body: Mapping[str, Any], place: Place) -> None:
        name = body["func"]
        if name.startswith(_USER) or name in self._functions:
            self.calls.add(name)
            if name not in self._functions:
                self._found.missing.setdefault(name.removeprefix(_USER), place)
        else:
            self._found.builtins.setdefault(name, place)
            self._note_operands(name, body["args"], place)
        own = name in self._functions
        for number, argument in enumerate(body["args"][2 if own else 0 :]):
            self._use(argument, place)
            local = _local(argument)
            if own and local is not None:
                self._known.note(name, number, self._is.get(local, ()))
        if own:
            self._is.setdefault(body["result"], set()).update(self._known.places.get((name, -1), ()))

    def _note_operands(self, name: str, operands: list[dict[str, Any]], place: Place) -> None:
        for number, operand in enumerate(operands):
            for path in self._is.get(_local(operand) or 0, ()) if _local(operand) is not None else ():
                if path[0] != "input":
                    continue
                self._found.given.setdefault(path[1:], place)
                if name in _ORDERS:
                    kind = _KINDS.get(operands[1 - number].get("type", ""), "")
                    before = self._found.compared.setdefault(path[1:], kind)
                    self._found.compared[path[1:]] = kind if before == kind else ""

    def _use(self, value: Any, place: Place) -> None:
        """The whole value of an operand matters."""
        local = _local(value)
        if local is None:
            return
        self._used.setdefault(local, place)
        for path in self._is.get(local, ()):
            self._read((*path, "*"), place)

    def _read(self, path: Path, place: Place) -> None:
        kind, rest = path[0], path[1:]
        if kind == "data":
            self._found.data.setdefault(rest, place)
        elif rest == ("*",):
            self._found.whole = True
        else:
            self._found.input.setdefault(rest, place)


def _local(value: Any) -> int | None:
    if isinstance(value, dict):
        found: int | None = value["value"] if value.get("type") == "local" else None
        return found
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _statements(blocks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for block in blocks:
        for statement in block.get("stmts") or ():
            yield statement
            body = statement.get("stmt") or {}
            yield from _statements(body.get("blocks") or ([body["block"]] if body.get("block") else []))


def _tree(paths: Mapping[Path, Place]) -> Node:
    """Paths as a tree: below a `*` everything, and so at a path that is followed no further."""
    children: dict[str, dict[Path, Place]] = {}
    for path, place in paths.items():
        if path[0] != "*":
            children.setdefault(path[0], {})[path[1:]] = place
    if not children or any(path[0] == "*" for path in paths):
        return Node(True)
    return Node(False, {name: _tree_below(below) for name, below in sorted(children.items())})


def _tree_below(paths: Mapping[Path, Place]) -> Node:
    longer = {path: place for path, place in paths.items() if path}
    return _tree(longer) if longer else Node(True)
