"""`/scim/v2/Users`: the people of a service, as it has them."""

from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from typing import Any

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from remit.inventory.people import is_news, next_version
from remit.model.person import PeopleGroup, Person, PersonId, PersonStatus, folded
from remit.runtime.people import PeopleUpdate, change_people
from remit.server.scim.asking import Provisioner, asking, body_of, check_tag, listed, one_told
from remit.server.scim.bounds import CLEANING, Work
from remit.server.scim.errors import Kind, ScimError
from remit.server.scim.patching import patched
from remit.server.scim.paths import Both, Compared, Filter, Within, holds, read_filter, simple, terms_of
from remit.server.scim.resources import as_before, etag, person_of, user_of
from remit.server.scim.schemas import CORE_USER, USER
from remit.server.scim.values import Resource, kept
from remit.server.scim.working import Moved, settled, worked

_PRESENT = (PersonStatus.ACTIVE, PersonStatus.INACTIVE)
_READ = 1000
Change = Callable[[Person], Person]


async def every(request: Request) -> Response:
    """`GET /scim/v2/Users`: those who are as `filter` says."""
    who = await asking(request)
    text = request.query_params.get("filter", "")
    asked = read_filter(text) if text else None

    def answer() -> Response:
        found, groups = _found(who, asked), _groups(who)
        return listed(request, USER, found, lambda page: [user_of(one, who.base, groups.get(one.id, ())) for one in page])

    return await worked(answer)


def _found(who: Provisioner, asked: Filter | None) -> list[Person]:
    advice = (
        "so many people are not searched by this filter: ask for less, as by `userName eq`, `externalId eq` or `emails.value eq`, "
        "or read all of them"
    )
    work = Work(ScimError(Kind.TOO_MANY, advice))
    found: list[Person] = []
    for page in _pages(who, _named(asked)):
        if asked is not None:
            work.spend(len(page) * (CLEANING + terms_of(asked)))
        present = [one for one in page if one.source == who.source and one.status in _PRESENT]
        found += present if asked is None else [one for one in present if holds(asked, USER, user_of(one, who.base))]
    return found


def _pages(who: Provisioner, name: str | None) -> Iterator[Sequence[Person]]:
    """The people of a name, as the index has them; everybody of the service's if none is asked for."""
    store = who.embedded.store
    if name is not None:
        yield store.people_named(folded(name))
        return
    page: Sequence[Person] = ()
    while page := store.people(_READ, page[-1].id if page else "", who.source):
        yield page


def _named(asked: Filter | None) -> str | None:
    """The name that everybody has who is as a filter says; None if it does not ask for one."""
    if isinstance(asked, Both) and not asked.either:
        first = _named(asked.first)
        return first if first is not None else _named(asked.second)
    found = simple(asked)
    if found is not None and isinstance(found[1], str) and found[0].lower() in ("username", "externalid"):
        return found[1]
    if isinstance(asked, Within) and asked.what.name.lower() == "emails":
        inner = (
            [asked.inner] if not isinstance(asked.inner, Both) or asked.inner.either else [asked.inner.first, asked.inner.second]
        )
        values = [found[1] for one in inner if (found := simple(one)) is not None and found[0].lower() == "value"]
        return next((value for value in values if isinstance(value, str)), None)
    if isinstance(asked, Compared) and asked.operator == "eq" and isinstance(asked.value, str):
        return asked.value if (asked.what.name.lower(), asked.what.sub.lower()) == ("emails", "value") else None
    return None


def _groups(who: Provisioner) -> dict[PersonId, list[PeopleGroup]]:
    found: dict[PersonId, list[PeopleGroup]] = {}
    for group in who.embedded.store.people_groups(who.source):
        for member in group.members:
            found.setdefault(member, []).append(group)
    return found


def _shown(who: Provisioner, person: Person) -> Resource:
    return user_of(person, who.base, _groups(who).get(person.id, ()))


def known(who: Provisioner, name: str) -> Person:
    """One of the service's people. Raises `ScimError` (404): another's is as if it did not exist."""
    person = who.embedded.store.person(PersonId(name))
    if person is None or person.source != who.source or person.status not in _PRESENT:
        raise ScimError(None, f"there is no user `{name[:80]}`", HTTPStatus.NOT_FOUND)
    return person


async def create(request: Request) -> Response:
    """`POST /scim/v2/Users`: somebody new."""
    who, sent = await asking(request), await body_of(request, CORE_USER)
    runtime = who.embedded.runtime
    said = await worked(lambda: person_of(kept(USER, sent), sent, who.source, runtime.clock()))

    def say() -> PeopleUpdate:
        _check_alone(who, said)
        return PeopleUpdate((next_version(None, said, runtime.clock()),))

    [made] = (await change_people(runtime, say, who.caller.operator)).people
    return await worked(lambda: one_told(request, USER, _shown(who, made), 201))


async def show(request: Request) -> Response:
    """`GET /scim/v2/Users/{id}`: one of them."""
    who = await asking(request)
    return await worked(lambda: one_told(request, USER, _shown(who, known(who, request.path_params["id"]))))


async def replace_(request: Request) -> Response:
    """`PUT /scim/v2/Users/{id}`: the whole of somebody anew."""
    who, sent = await asking(request), await body_of(request, CORE_USER)
    return await _changed(request, who, lambda before: _said(who, before, kept(USER, sent), sent))


async def patch(request: Request) -> Response:
    """`PATCH /scim/v2/Users/{id}`: some of what is said of somebody, all of it or nothing."""
    who, sent = await asking(request), await body_of(request)

    def change(before: Person) -> Person:
        resource = patched(USER, kept(USER, user_of(before, who.base)), sent)
        return _said(who, before, resource, {})

    return await _changed(request, who, change)


def _said(who: Provisioner, before: Person, resource: Resource, sent: dict[str, Any]) -> Person:
    return as_before(before, person_of(resource, sent, who.source, who.embedded.runtime.clock()), resource)


async def delete(request: Request) -> Response:
    """`DELETE /scim/v2/Users/{id}`: they are gone. What was said of them stays, until it is erased."""
    who = await asking(request)
    await _committed(request, who, lambda before: replace(before, status=PersonStatus.REMOVED))
    return Response(status_code=204)


async def _changed(request: Request, who: Provisioner, change: Change) -> Response:
    after = await _committed(request, who, change)
    return await worked(lambda: one_told(request, USER, _shown(who, after)))


async def _committed(request: Request, who: Provisioner, change: Change) -> Person:
    """Commit what a change makes of somebody; worked out beside everybody else, and committed if they are still as they were then."""
    runtime, name = who.embedded.runtime, request.path_params["id"]

    def work() -> tuple[Person, Person]:
        before = known(who, name)
        check_tag(request, etag(before.version))
        return before, change(before)

    async def once() -> Person:
        before, said = await worked(work)
        if not is_news(before, said):
            if not before.seen:  # as it was in a backup: now their service has said so again
                await change_people(runtime, lambda: PeopleUpdate((), (before.id,)), who.caller.operator)
            return before

        def say() -> PeopleUpdate:
            if known(who, name).version != before.version:
                raise Moved
            _check_alone(who, said)
            return PeopleUpdate((next_version(before, said, runtime.clock()),))

        [after] = (await change_people(runtime, say, who.caller.operator)).people
        return after

    return await settled(name, once)


def _check_alone(who: Provisioner, said: Person) -> None:
    """Nobody else of the service's logs in by that name. Raises `ScimError` (409)."""
    others: Sequence[Person] = who.embedded.store.people_named(folded(said.user_name))
    for one in others:
        same = folded(one.user_name) == folded(said.user_name)
        if same and one.id != said.id and one.source == who.source and one.status in _PRESENT:
            raise ScimError(Kind.UNIQUENESS, f"there is a user `{said.user_name}` already", HTTPStatus.CONFLICT)
