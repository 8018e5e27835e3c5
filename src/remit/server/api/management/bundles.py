"""Bundles: checked, published, rolled back, and shown as they were."""

import asyncio
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from remit.local.policy import active_bundle, publish_bundle, roll_back, tiers_of
from remit.local.wiring import Embedded
from remit.model.errors import not_found, refused
from remit.model.identity import Operator
from remit.pap.bundle import from_document
from remit.pap.contents import Bundle
from remit.pap.problems import BundleError, Problem, errors
from remit.pap.publish import NotPublished, Publication
from remit.pap.reading.files import given_files
from remit.pap.reading.folder import bundle_of
from remit.pap.validate import check
from remit.server import problems
from remit.server.callers import caller_of
from remit.server.known import Known
from remit.server.paging import Paged, asked_of
from remit.server.permitting import may_look, may_publish
from remit.server.reading import read_as, read_query
from remit.server.responding import answer, embedded_of


class Files(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A bundle as its files: the text of each by its path, with `/` between names."""

    files: dict[str, str]


class Publishing(Files, frozen=True, forbid_unknown_fields=True):
    """A bundle that is to be the active one; `shadow`: yes, also one in shadow mode, which enforces nothing."""

    shadow: bool = False


class RollingBack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The digest to go back to, of any bundle that was published (null: what was active before the active one)."""

    to: str | None = None
    shadow: bool = False


class Checked(msgspec.Struct, frozen=True):
    """What is wrong with a bundle, by file and line; it can be published if nothing of it is an error and its cases pass."""

    publishable: bool
    problems: tuple[Problem, ...]


class Published(msgspec.Struct, frozen=True):
    """The active bundle now; `changed` is false where exactly these files were active already. `warnings` are what a reviewer should know
    of, `cases` how many passed."""

    digest: str
    name: str
    mode: str
    previous: str
    changed: bool
    rollback: bool
    cases: int
    warnings: tuple[Problem, ...]


class BundleShown(msgspec.Struct, frozen=True):
    """What a bundle says: its files, its manifest, its policies in Cedar by id, and the tools of its catalogue with their tiers."""

    digest: str
    name: str
    mode: str
    manifest: dict[str, Any]
    policies: dict[str, str]
    tools: dict[str, str]
    task_types: tuple[str, ...]
    files: dict[str, str]


class Activated(msgspec.Struct, frozen=True):
    """When a bundle became the active one (µs since the epoch), which it replaced (empty for none), and who did that."""

    digest: str
    previous: str
    time: int
    operator: str


async def history(request: Request) -> Response:
    """`GET /v1/bundles`: what was active when, newest first."""
    embedded, wanted = await _looking(request), read_query(request, Paged)
    asked = asked_of("bundles", wanted)
    rows = await asyncio.to_thread(embedded.store.activations)
    behind = asked.number()
    numbered = [(len(rows) - place, row) for place, row in enumerate(rows)]  # by number from the first: new ones come before
    return answer(asked.page((str(n), Activated(*row)) for n, row in numbered if behind is None or n < behind))


async def active(request: Request) -> Response:
    """`GET /v1/bundles/active`: the bundle that decides."""
    embedded = await _looking(request)
    return answer(await asyncio.to_thread(lambda: _shown(active_bundle(embedded))))


async def shown(request: Request) -> Response:
    """`GET /v1/bundles/{digest}`: a bundle that was published, as it was."""
    embedded, digest = await _looking(request), request.path_params["digest"]
    document = await asyncio.to_thread(embedded.store.document, digest)
    if document is None:
        raise not_found(f"no bundle with the digest `{digest}` was published")
    return answer(await asyncio.to_thread(lambda: _shown(from_document(document))))


def _shown(bundle: Bundle) -> BundleShown:
    contents = bundle.contents
    return BundleShown(
        bundle.digest,
        bundle.name,
        contents.manifest.mode.value,
        msgspec.to_builtins(contents.manifest),
        {policy.id: policy.text for policy in contents.policies},
        tiers_of(bundle),
        tuple([kind.name for kind in contents.task_types]),
        {file.path: file.text for file in bundle.files},
    )


async def checked(request: Request) -> Response:
    """`POST /v1/bundles/check`: everything that can be known to go wrong with a bundle; nothing is changed."""
    await _publisher(request)
    wanted = await read_as(request, Files)
    found = await asyncio.to_thread(_problems, wanted)
    return answer(Checked(not errors(found), found))


def _problems(wanted: Files) -> tuple[Problem, ...]:
    try:
        return check(bundle_of(given_files(wanted.files)))
    except BundleError as fault:
        return fault.problems


async def publish(request: Request) -> Response:
    """`POST /v1/bundles`: check a bundle, run its cases, and make it the active one, everywhere at once; 422 says what is wrong with it."""
    caller, embedded = await _publisher(request), embedded_of(request)
    wanted = await read_as(request, Publishing)
    return answer(await asyncio.to_thread(_published, embedded, wanted, caller.operator))


def _published(embedded: Embedded, wanted: Publishing, by: Operator) -> Published:
    try:
        bundle = bundle_of(given_files(wanted.files))
        made = publish_bundle(embedded, bundle, by, wanted.shadow)
    except (NotPublished, BundleError) as fault:
        raise problems.Problem(HTTPStatus.UNPROCESSABLE_ENTITY, fault.message) from None
    if made is not None:
        return _told(made)
    return Published(bundle.digest, bundle.name, bundle.contents.manifest.mode.value, bundle.digest, False, False, 0, ())


async def rollback(request: Request) -> Response:
    """`POST /v1/bundles/rollback`: make a bundle that was published the active one again."""
    caller, embedded = await _publisher(request), embedded_of(request)
    wanted = await read_as(request, RollingBack)
    return answer(_told(await asyncio.to_thread(roll_back, embedded, caller.operator, wanted.to, wanted.shadow)))


def _told(made: Publication) -> Published:
    return Published(made.digest, made.name, made.mode.value, made.previous, True, made.rollback, made.cases, made.warnings)


async def _looking(request: Request) -> Embedded:
    if not may_look(await caller_of(request)):
        raise refused("you may not see bundles: an administrator gives you a role")
    return embedded_of(request)


async def _publisher(request: Request) -> Known:
    caller = await caller_of(request)
    if not may_publish(caller):
        raise refused("you may not publish: an administrator does")
    return caller
