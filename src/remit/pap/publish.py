"""Publishing: a bundle that passes every check and case becomes a value to activate; rolling back does the same with an older one."""

from collections.abc import Sequence

import msgspec

from remit.model.errors import ErrorKind, RemitError, conflict, corrupt, not_found, refused
from remit.model.identity import BundleDigest, Operator
from remit.pap.bundle import compile_bundle, from_document, to_document
from remit.pap.contents import Bundle
from remit.pap.problems import Problem, errors
from remit.pap.reading.cases import read_cases
from remit.pap.running import CaseResult, run_cases
from remit.pap.store import BundleStore
from remit.pap.validate import check
from remit.pdp.compiled import Mode
from remit.pdp.outside import Ask, nobody


class Publication(msgspec.Struct, frozen=True):
    """What is to be activated in one transaction, if `previous` (empty for none) is still the active digest.

    `time` is µs since the epoch. `warnings` are what a reviewer should know of, `cases` how many passed.
    """

    digest: BundleDigest
    name: str
    mode: Mode
    previous: str
    operator: Operator
    time: int
    document: bytes
    rollback: bool = False
    warnings: tuple[Problem, ...] = ()
    cases: int = 0


class NotPublished(RemitError):
    """A bundle that may not be published: its errors, or the cases it does not pass."""

    def __init__(self, problems: Sequence[Problem], failed: Sequence[CaseResult]) -> None:
        lines = [str(problem) for problem in problems]
        lines += [f"{result.case.file}:{failure.line}: {failure.message}" for result in failed for failure in result.failures]
        super().__init__(ErrorKind.REFUSED, "\n".join(["the bundle is not published", *lines]))
        self.problems = tuple(problems)
        self.failed = tuple(failed)


def publish(
    bundle: Bundle, store: BundleStore, now: int, operator: Operator, shadow: bool = False, ask: Ask = nobody
) -> Publication:
    """Check a bundle, run its cases, and say what to activate. `now` is µs since the epoch; `ask` asks engines outside.

    Raises `NotPublished` for errors and failing cases; `RemitError` (refused) for a bundle in shadow mode unless `shadow` asks for it,
    (conflict) if it is the active one.
    """
    _check_mode(bundle, shadow)
    problems = check(bundle)
    if wrong := errors(problems):
        raise NotPublished(wrong, ())
    results = tuple(run_cases(bundle, read_cases(bundle), ask))
    if failed := [result for result in results if not result.passed]:
        raise NotPublished((), failed)
    active = store.active_bundle()
    if active is not None and active[0] == bundle.digest:
        raise conflict(f"bundle `{bundle.name}` is active already, with exactly these files")
    return Publication(
        bundle.digest,
        bundle.name,
        bundle.contents.manifest.mode,
        active[0] if active else "",
        operator,
        now,
        to_document(bundle),
        warnings=problems,
        cases=len(results),
    )


def rollback(store: BundleStore, now: int, operator: Operator, to: str | None = None, shadow: bool = False) -> Publication:
    """Say how to activate the bundle that was active before this one, or `to`, the digest of any that was published.

    It was checked when it was published. Raises `RemitError`: not-found, refused (shadow mode), corrupt.
    """
    history = store.activations()
    current = history[0] if history else None
    if current is None or not (to or current[1]):
        raise not_found("nothing was published before the active bundle: there is nothing to go back to")
    digest = to or current[1]
    if digest == current[0]:
        raise conflict(f"bundle `{digest}` is active already")
    document = store.document(digest)
    if document is None:
        raise not_found(f"no bundle with the digest `{digest}` was published: see `remit policy show --history`")
    bundle = from_document(document)
    if bundle.digest != digest:
        raise corrupt(f"the stored bundle `{digest}` is another one: publish it again from its folder")
    _check_mode(bundle, shadow)
    compile_bundle(bundle)
    mode = bundle.contents.manifest.mode
    return Publication(bundle.digest, bundle.name, mode, current[0], operator, now, document, rollback=True)


def _check_mode(bundle: Bundle, shadow: bool) -> None:
    # INVARIANT (the guard is guarded): nobody switches enforcement off by a line in a file alone.
    if bundle.contents.manifest.mode is Mode.SHADOW and not shadow:
        raise refused(f"bundle `{bundle.name}` is in shadow mode, which enforces nothing: ask for that by `--shadow` (`shadow`)")
