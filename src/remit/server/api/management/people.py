"""People over HTTP, as each source knows them."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from remit.inventory.people import without_marks
from remit.model.errors import not_found, refused
from remit.model.person import PersonId
from remit.server.callers import caller_of
from remit.server.paging import Paged, asked_of
from remit.server.permitting import may_look
from remit.server.reading import read_query
from remit.server.responding import answer, embedded_of


class PeopleWanted(Paged, frozen=True, forbid_unknown_fields=True):
    """Which people: of one source, or all."""

    source: str = ""


async def listed(request: Request) -> Response:
    """`GET /v1/people`: people by id, each as one source knows them."""
    await _looking(request)
    wanted, store = read_query(request, PeopleWanted), embedded_of(request).store
    asked = asked_of("people", wanted)
    found = await asyncio.to_thread(store.people, wanted.limit + 1, asked.after, wanted.source)
    return answer(asked.page((person.id, without_marks(person)) for person in found))


async def shown(request: Request) -> Response:
    """`GET /v1/people/{id}`: one person, as their source knows them."""
    await _looking(request)
    name = PersonId(request.path_params["id"])
    person = await asyncio.to_thread(embedded_of(request).store.person, name)
    if person is None:
        raise not_found(f"there is no person `{name}`")
    return answer(without_marks(person))


async def _looking(request: Request) -> None:
    if not may_look(await caller_of(request)):
        raise refused("you may not see people: an administrator gives you a role")
