"""The log, over HTTP: its entries as they are, its signed head, and proofs that anybody can check."""

import asyncio
from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from remit.local.wiring import Embedded
from remit.model.errors import not_found, refused
from remit.server.callers import caller_of
from remit.server.paging import Page, Paged, PageRequest, asked_of
from remit.server.permitting import may_see_log
from remit.server.reading import read_as, read_query
from remit.server.responding import answer, embedded_of

MOST_INDEX = 10**15


class EntriesWanted(Paged, frozen=True, forbid_unknown_fields=True):
    """From which entry on."""

    start: Annotated[int, msgspec.Meta(ge=0, le=MOST_INDEX)] = 0


class Logged(msgspec.Struct, frozen=True):
    """An entry at its place, the exact bytes that are hashed; what is sealed in it stays sealed."""

    index: int
    entry: msgspec.Raw


class LogHead(msgspec.Struct, frozen=True):
    """The log's size and root, signed as of now (C2SP checkpoint), and the key (C2SP vkey) that signs it."""

    size: int
    note: str
    key: str


class Since(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A signed head that was kept from before."""

    head: Annotated[str, msgspec.Meta(max_length=100_000)]


class LogProof(msgspec.Struct, frozen=True):
    """A proof, as `remit log verify FILE --key KEY` checks it."""

    proof: str


async def entries(request: Request) -> Response:
    """`GET /v1/log`: entries in their order, from an index on."""
    embedded, wanted = await _reader(request), read_query(request, EntriesWanted)
    asked = asked_of("log", wanted)
    return answer(await asyncio.to_thread(_entries, embedded, wanted, asked))


def _entries(embedded: Embedded, wanted: EntriesWanted, asked: PageRequest) -> Page[Logged]:
    last = asked.number()
    start = wanted.start if last is None else last + 1
    stop = min(start + asked.limit + 1, embedded.store.log.size())
    lines = embedded.store.log.lines(start, stop) if start < stop else ()
    return asked.page((str(index), Logged(index, msgspec.Raw(line))) for index, line in enumerate(lines, start))


async def head(request: Request) -> Response:
    """`GET /v1/log/head`: the log's head, signed as of now; whoever keeps it notices a log that was cut short or written anew."""
    embedded = await _reader(request)
    note, signed = await asyncio.to_thread(embedded.head.signed)
    return answer(LogHead(signed.size, note, embedded.head.vkey))


async def prove(request: Request) -> Response:
    """`GET /v1/log/{index}/proof`: that an entry is in the log, under the head as of now (C2SP tlog-proof)."""
    embedded, index = await _reader(request), request.path_params["index"]
    if index >= await asyncio.to_thread(embedded.store.log.size):
        raise not_found(f"there is no entry {index}")
    return answer(LogProof(await asyncio.to_thread(embedded.head.prove_entry, index)))


async def grew(request: Request) -> Response:
    """`POST /v1/log/growth`: that the log only grew since a head that was kept from before."""
    embedded = await _reader(request)
    wanted = await read_as(request, Since)
    return answer(LogProof(await asyncio.to_thread(embedded.head.prove_growth, wanted.head)))


async def _reader(request: Request) -> Embedded:
    if not may_see_log(await caller_of(request)):
        raise refused("you may not see the log: an administrator, reviewer or auditor does")
    return embedded_of(request)
