"""`/scim/v2/Groups`: groups of a service's people, as it has them."""

from collections.abc import Callable
from functools import partial
from http import HTTPStatus

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from remit.model.person import GroupId, PeopleGroup
from remit.runtime.people import change_group
from remit.server.scim.asking import Provisioner, asking, body_of, check_tag, listed, one_told
from remit.server.scim.bounds import CLEANING, Work
from remit.server.scim.errors import Kind, ScimError, invalid
from remit.server.scim.patching import patched
from remit.server.scim.paths import Filter, holds, is_about, read_filter, terms_of
from remit.server.scim.resources import etag, group_of, people_group_of
from remit.server.scim.schemas import CORE_GROUP, GROUP
from remit.server.scim.values import Resource, kept
from remit.server.scim.working import Moved, settled, worked


async def every(request: Request) -> Response:
    """`GET /scim/v2/Groups`: those that are as `filter` says."""
    who = await asking(request)
    text = request.query_params.get("filter", "")
    asked = read_filter(text) if text else None

    def answer() -> Response:
        return listed(request, GROUP, _found(who, asked), lambda page: [group_of(one, who.base) for one in page])

    return await worked(answer)


def _found(who: Provisioner, asked: Filter | None) -> list[PeopleGroup]:
    groups = who.embedded.store.people_groups(who.source)
    if asked is None:
        return groups
    advice = "so many groups are not searched by this filter: ask for less, as by `displayName eq`, or read all of them"
    work = Work(ScimError(Kind.TOO_MANY, advice))
    found, looks = [], is_about(asked, "members")
    for one in groups:
        work.spend(CLEANING + terms_of(asked) * (len(one.members) if looks else 1))
        if holds(asked, GROUP, group_of(one if looks else replace(one, members=()), who.base)):
            found.append(one)
    return found


async def create(request: Request) -> Response:
    """`POST /scim/v2/Groups`: a new one."""
    who, sent = await asking(request), await body_of(request, CORE_GROUP)
    runtime = who.embedded.runtime

    def make() -> PeopleGroup:
        made = people_group_of(kept(GROUP, sent), who.source, runtime.clock())
        _check_members(who, made, None)
        return made

    made = await worked(make)
    await change_group(runtime, made.id, lambda _before: made, who.caller.operator)
    return await worked(lambda: one_told(request, GROUP, group_of(made, who.base), 201))


async def show(request: Request) -> Response:
    """`GET /scim/v2/Groups/{id}`: one of them."""
    who = await asking(request)
    name = request.path_params["id"]

    def answer() -> Response:
        group = _own(who, who.embedded.store.people_group(GroupId(name)), name)
        return one_told(request, GROUP, group_of(group, who.base))

    return await worked(answer)


async def replace_(request: Request) -> Response:
    """`PUT /scim/v2/Groups/{id}`: the whole of one anew."""
    who, sent = await asking(request), await body_of(request, CORE_GROUP)
    return await _changed(request, who, lambda _before: kept(GROUP, sent))


async def patch(request: Request) -> Response:
    """`PATCH /scim/v2/Groups/{id}`: some of it, all that is asked for or nothing."""
    who, sent = await asking(request), await body_of(request)
    return await _changed(request, who, lambda before: patched(GROUP, kept(GROUP, group_of(before, who.base)), sent))


async def delete(request: Request) -> Response:
    """`DELETE /scim/v2/Groups/{id}`: it is gone; whoever was in it is not."""
    who, name = await asking(request), request.path_params["id"]

    def change(before: PeopleGroup | None) -> PeopleGroup:
        found = _own(who, before, name)
        check_tag(request, etag(found.version))
        return replace(found, members=(), version=0)

    await change_group(who.embedded.runtime, GroupId(name), change, who.caller.operator)
    return Response(status_code=204)


def _own(who: Provisioner, group: PeopleGroup | None, name: str) -> PeopleGroup:
    """The group, if it is the service's own. Raises `ScimError` (404): another's is as if it did not exist."""
    if group is None or group.source != who.source:
        raise ScimError(None, f"there is no group `{name[:80]}`", HTTPStatus.NOT_FOUND)
    return group


async def _changed(request: Request, who: Provisioner, say: Callable[[PeopleGroup], Resource]) -> Response:
    """Commit what is said of a group as it is stored; worked out beside everybody else, and committed if the group is still that."""
    runtime, name = who.embedded.runtime, request.path_params["id"]

    def work() -> tuple[PeopleGroup, PeopleGroup]:
        found = _own(who, who.embedded.store.people_group(GroupId(name)), name)
        check_tag(request, etag(found.version))
        now = runtime.clock()
        said = replace(people_group_of(say(found), who.source, now), id=found.id, changed=found.changed, version=found.version)
        if said == found:
            return found, found
        _check_members(who, said, found)
        return found, replace(said, changed=now, version=found.version + 1)

    async def once() -> PeopleGroup:
        found, after = await worked(work)
        if after is not found:
            await change_group(runtime, GroupId(name), partial(_unmoved, found, after), who.caller.operator)
        return after

    after = await settled(name, once)
    return await worked(lambda: one_told(request, GROUP, group_of(after, who.base)))


def _unmoved(found: PeopleGroup, after: PeopleGroup, before: PeopleGroup | None) -> PeopleGroup:
    if before is None or before.version != found.version:
        raise Moved
    return after


def _check_members(who: Provisioner, group: PeopleGroup, before: PeopleGroup | None) -> None:
    """Whoever joins is one of the service's own people: once they are, they always are. Raises `ScimError`."""
    had = frozenset(before.members) if before is not None else frozenset()
    for member in group.members:
        person = who.embedded.store.person(member) if member not in had else None
        if member not in had and (person is None or person.source != who.source):
            raise invalid(f"there is no user `{member[:80]}` who could be in the group")
