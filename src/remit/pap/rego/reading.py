"""Rego policies read from a bundle's files: compiled, planned, and every reason why they cannot be relied on."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from remit.model.errors import ErrorKind, RemitError
from remit.model.values import read_json
from remit.pap.contents import Bundle, Manifest, RegoContents
from remit.pap.problems import BundleError, Problem, did_you_mean, error, errors, in_order, warning
from remit.pap.rego.builtins import IN_PROCESS, REFUSED
from remit.pap.rego.plan import Path, Place, Reached, reached
from remit.pdp.rego.document import VOCABULARY
from remit.pdp.rego.engine import PACKAGE, RegoPolicies
from remit.pdp.rego.reading import Unreadable

DATA_FILE = "data.json"
TESTS = "_test.rego"
"""Modules of this ending are OPA's own tests; no decision knows of them."""


def rego_of(modules: Mapping[str, str], data: str, manifest: Manifest) -> RegoContents | None:
    """What a bundle has of Rego, None if nothing. Raises `BundleError` with everything that keeps its policies from being relied on."""
    if not modules:
        if data:
            raise BundleError([error((DATA_FILE, 1), "rego", "there is no Rego policy to read it", "remove it")])
        return None
    found = _planned(modules, data)
    if wrong := errors(_problems(found, tuple(modules), data, outside=manifest.opa is not None)):
        raise BundleError(in_order(wrong))
    files = (*modules, DATA_FILE) if data else tuple(modules)
    digest = digest_of_rego({**modules, DATA_FILE: data}, files)
    return RegoContents(tuple(modules), bool(data), found.reads(), digest, tuple(sorted(found.compared.items())))


def warnings_of(bundle: Bundle) -> Iterator[Problem]:
    """What a reviewer should know of a bundle's Rego policies."""
    rego = bundle.contents.rego
    if rego is not None:
        texts = {file.path: file.text for file in bundle.files}
        modules, data = {path: texts[path] for path in rego.modules}, texts[DATA_FILE] if rego.data else ""
        yield from _problems(_planned(modules, data), rego.modules, data, outside=bundle.contents.manifest.opa is not None)


def digest_of_rego(texts: Mapping[str, str], files: Sequence[str]) -> str:
    """SHA-256 in hex over the Rego files alone: the revision that an OPA server's bundle of them has."""
    digest = hashlib.sha256(b"remit rego 1\n")
    for file in sorted(files):
        for text in (file, texts[file]):
            digest.update(len(text.encode()).to_bytes(8, "big") + text.encode())
    return digest.hexdigest()


def _planned(modules: Mapping[str, str], data: str) -> Reached:
    first = next(iter(modules))
    if data:
        try:
            if not isinstance(read_json(data), dict):
                raise BundleError([error((DATA_FILE, 1), "rego", "the data is no JSON object", "write one with names")])
        except RemitError as fault:
            raise BundleError([error((DATA_FILE, 1), "rego", fault.message)]) from None
    try:
        policies = RegoPolicies(modules, data)
        found = reached(policies.plan())
        if not found.missing and not found.recursive and IN_PROCESS.issuperset(found.builtins):
            _try(first, policies)
        return found
    except msgspec.MsgspecError as fault:
        raise BundleError([error((first, 1), "rego", f"the engine's plan cannot be read ({fault})")]) from None
    except RemitError as fault:
        if fault.kind is ErrorKind.UNAVAILABLE:
            raise BundleError([error((first, 1), "rego-engine", fault.message)]) from None
        raise BundleError([_located(modules, data, fault.message)]) from None


def _try(first: str, policies: RegoPolicies) -> None:
    """Ask once about nothing: sets that are none, such as those of Rego's old syntax, would never answer.

    Only of policies whose builtins may be evaluated here: some never return, or take all memory there is.
    """
    try:
        policies.evaluate(b"{}")
    except Unreadable as fault:
        if "define" in str(fault):
            hint = "write `import rego.v1`, and `permit contains {…} if …`"
            raise BundleError([error((first, 1), "rego", str(fault), hint)]) from None


def _located(modules: Mapping[str, str], data: str, message: str) -> Problem:
    """The first module that does not compile on its own, and where."""
    for path, text in modules.items():
        try:
            RegoPolicies({path: text}, data, "x := 1")
        except RemitError as fault:
            line = _line(text, fault.message)
            return error((path, line), "rego", fault.message, "`opa check --strict` may say more")
    return error((next(iter(modules)), 1), "rego", message)


def _line(text: str, message: str) -> int:
    """The line of the first offset that the engine's message names (`|offset|length`)."""
    for part in message.split("|"):
        if part.isdigit():
            return text.count("\n", 0, int(part)) + 1
    return 1


def _nowhere(found: Reached, at: Callable[[Place], tuple[str, int]]) -> Iterator[Problem]:
    """What is used and defined nowhere, and what no engine would evaluate."""
    for where in found.undefined:
        yield error(
            at(where), "rego-undefined", "a name is used here that nothing defines: the rule would never hold", "define it"
        )
    for name, where in found.missing.items():
        yield error(at(where), "rego-undefined", f"there is no function or rule `{name}`", "define it, or correct its name")
    for name, where in found.recursive.items():
        yield error(at(where), "rego-undefined", f"`{name}` asks itself: no engine evaluates that", "write it without recursion")


def _problems(found: Reached, files: tuple[str, ...], data: str, outside: bool) -> Iterator[Problem]:
    def at(place: Place) -> tuple[str, int]:
        return files[min(place[0], len(files) - 1)], place[1] + 1

    yield from _nowhere(found, at)
    for name, where in found.builtins.items():
        if name in REFUSED:
            yield error(at(where), "rego-builtin", f"`{name}` is not for policies", REFUSED[name])
        elif not outside and name not in IN_PROCESS:
            message = f"`{name}` cannot be evaluated in this process, or not as OPA does"
            yield error(at(where), "rego-builtin", message, "name an OPA server with `opa` in `bundle.yaml`, or do without it")
    known = json.loads(data) if data else {}
    for name in sorted(found.packages & known.keys()):
        # INVARIANT (fail closed): data of the same name takes the place of rules, and a forbid is gone.
        yield error((DATA_FILE, 1), "rego", f"`{name}` is a package of the policies: data there would replace rules", "rename it")
    for path, where in sorted(found.data.items()):
        if not _there(path, known) and _there(path[:-1], known):
            message = f"`data.{'.'.join(path).removesuffix('.*')}` is nowhere: what reads it would never hold"
            yield error(at(where), "rego-undefined", message, f"put it into `{DATA_FILE}`, or correct its name")
    for path, where in found.input.items():
        yield from _unknown_input(path, at(where))
    for path, where in found.given.items() if not found.missing else ():
        if isinstance(below := _vocabulary(path), dict) and below:
            message = f"a builtin function is given all of `input{''.join('.' + name for name in path)}`: nobody could tell what it reads"
            yield error(at(where), "rego-input", message, "name what it is to read, as in `input.context.args`")
    for name, where in found.unused.items():
        message = f"nothing uses the rule `{name}`: only `permit` and `forbid` of package `{PACKAGE}` decide"
        yield warning(at(where), "rego-unused", message, did_you_mean(name.split(".")[-1], ("permit", "forbid")))


def _there(path: Path, known: Any) -> bool:
    for name in path:
        if name == "*":
            return True
        if isinstance(known, list):
            return True  # an element, by position
        if not isinstance(known, dict) or name not in known:
            return False
        known = known[name]
    return True


def _vocabulary(path: Path) -> Any:
    """What is known of the names below a path; None where they are the deployment's own, or there are none."""
    known: Any = VOCABULARY
    for name in path:
        known = known.get(name) if isinstance(known, dict) else None
    return known


def _unknown_input(path: Path, place: tuple[str, int]) -> Iterator[Problem]:
    known: Mapping[str, Any] | None = VOCABULARY
    for depth, name in enumerate(path):
        if known is None or name == "*":
            return
        if name not in known:
            message = f"`input.{'.'.join(path[: depth + 1])}` is nothing that policies are shown: the rule would never hold"
            yield error(place, "rego-input", message, did_you_mean(name, known) or "docs/policy.md lists what there is")
            return
        known = known[name]
