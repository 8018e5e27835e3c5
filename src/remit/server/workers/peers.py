"""The other workers of this server: what only the one that decided can say is asked of it, over a socket of this machine."""

import asyncio
import os
from http import HTTPStatus
from pathlib import Path
from typing import TypeAlias

import msgspec

from remit.authentication.possession.shared import DIGEST, SharedTable
from remit.authentication.refusal import NotVerified
from remit.local.wiring import Embedded
from remit.model.authorizer import Outcome
from remit.model.clock import Clock
from remit.model.errors import RemitError, conflict, unavailable
from remit.model.identity import DecisionId
from remit.runtime.authorize import may_act
from remit.server.binding import QUEUED
from remit.server.elsewhere import Gone
from remit.server.problems import Problem
from remit.server.repeating.answers import Answer as Kept
from remit.server.repeating.answers import Answering, Key, Sent
from remit.server.repeating.bounds import CHANGED, REPEATED, TooMany
from remit.server.repeating.repeats import Repeats
from remit.server.workers.messages import (
    Act,
    Answer,
    Answered,
    Failed,
    Question,
    Refused,
    Repeat,
    Report,
    Said,
    Unknown,
    answer_in,
    question_in,
    received,
    send,
)

SECONDS = 15.0
"""So long another worker is waited for."""
_Stream: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Peers:
    """The workers of one server, each a number that none had before. `folder` holds their sockets, and nobody else may enter it; `keys` is
    who was asked first under which `Idempotency-Key`, `repeats` what this one has answered."""

    def __init__(self, folder: Path, number: int, keys: SharedTable, repeats: Repeats, clock: Clock) -> None:
        self.number = number
        self._folder, self._keys, self._repeats, self._clock = folder, keys, repeats, clock
        self._idle: dict[str, list[_Stream]] = {}
        self._server: asyncio.Server | None = None
        self._answering: set[asyncio.Task[None]] = set()

    async def listen(self, embedded: Embedded) -> None:
        """Answer the others from now on."""
        own = self._folder / str(self.number)

        async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._answering.add(task)
            try:
                while (question := await received(reader)) is not None:
                    send(writer, await _answered(embedded, self._repeats, question_in(question)))
                    await writer.drain()
            except (OSError, msgspec.MsgspecError, asyncio.CancelledError):
                return  # whoever asked is gone, or this worker ends
            finally:
                self._answering.discard(task)
                writer.close()

        self._server = await asyncio.start_unix_server(answering, own, backlog=QUEUED)
        (self._folder / embedded.runtime.appender.writer).symlink_to(own.name)

    async def act(self, writer: str, decision: DecisionId) -> bool:
        """Whether a permit of another worker stands, just before it is used. Raises `Gone`, `RemitError`."""
        said = await self._ask(writer, Act(decision))
        return isinstance(said, Said) and said.stands

    async def report(self, writer: str, outcome: Outcome) -> None:
        """Record what became of a permit of another worker. Raises `Gone`, `RemitError`."""
        await self._ask(writer, Report(outcome))

    async def once(self, key: Key, message: Sent, decide: Answering, changes: bool = False) -> Kept:
        """The answer to a message, decided once under a key, by whichever worker it came to first; see `Once`."""
        name, before = key.digest[:DIGEST], None
        while (owner := self._claim(name, CHANGED if changes else REPEATED, before)) not in (None, self.number):
            assert owner is not None
            try:
                said = await self._ask(str(owner), Repeat(key, message.digest))
            except Gone:
                if changes:
                    # INVARIANT (fail closed): it may have been done, and nobody is left who knows.
                    raise conflict(
                        "the worker that was sent this first has ended: look whether it was done, then ask under a new `Idempotency-Key`"
                    ) from None
                said = Unknown()
            if isinstance(said, Answered):
                return Kept(said.status, said.headers, said.body, said.decision)
            before = owner

        async def deciding() -> Kept:
            try:
                return await decide()
            except Exception:  # no cancellation: what a worker leaves half done when it ends may have been done
                self._claim(name, 0, self.number)  # nothing was decided, so it may be asked again, of whomever
                raise

        try:
            return await self._repeats.once(key, message, deciding, changes)
        except TooMany:
            self._claim(name, 0, self.number)  # not even begun
            raise

    def _claim(self, name: bytes, during: int, before: int | None) -> int | None:
        now = self._clock()
        try:
            return self._keys.claim(name, self.number, now + during, now, before)
        except NotVerified as full:
            raise unavailable(str(full)) from None

    async def _ask(self, peer: str, question: Question) -> "Said | Answered | Unknown":
        stream = await self._stream(peer)
        answer: Answer | None = None
        try:
            async with asyncio.timeout(SECONDS):
                send(stream[1], question)
                answer = answer_in(await received(stream[0]) or b"")
        except (OSError, TimeoutError, msgspec.MsgspecError):
            answer = None
        finally:
            if answer is None:
                stream[1].close()
        if answer is None:
            # INVARIANT (what was decided is what runs): it may have been answered, so nobody else may answer it now.
            raise unavailable(
                "the worker that decided this has ended, or does not answer: whether it did what it was asked is not known"
            )
        self._idle.setdefault(peer, []).append(stream)
        if isinstance(answer, Failed):
            raise RemitError(answer.kind, answer.message)
        if isinstance(answer, Refused):
            raise Problem(HTTPStatus(answer.status), answer.detail, answer.headers, answer.kind)
        return answer

    async def _stream(self, peer: str) -> _Stream:
        idle = self._idle.get(peer, [])
        while idle:
            reader, writer = idle.pop()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.close()
        self._let_go()
        try:
            place = self._folder / peer
            if place.is_symlink():
                place = self._folder / os.readlink(place)  # what a socket's address may have is about a hundred characters
            return await asyncio.open_unix_connection(place)
        except (FileNotFoundError, ConnectionRefusedError):
            raise Gone from None
        except OSError as error:
            # INVARIANT (fail closed): it may live, and know: nobody else may answer for it.
            raise unavailable(f"the worker that decided this cannot be asked ({error.strerror}): ask again") from None

    def _let_go(self) -> None:
        """Close what leads to workers that are gone."""
        for peer, streams in list(self._idle.items()):
            alive = [stream for stream in streams if not stream[0].at_eof()]
            for stream in streams:
                if stream not in alive:
                    stream[1].close()
            if alive:
                self._idle[peer] = alive
            else:
                del self._idle[peer]

    def close(self) -> None:
        """Answer nobody any more."""
        if self._server is not None:
            self._server.close()
        for task in self._answering:
            task.cancel()
        for streams in self._idle.values():
            for _, writer in streams:
                writer.close()
        self._idle.clear()
        for name in self._folder.iterdir():
            if name.is_symlink() and os.readlink(name) == str(self.number):
                name.unlink(missing_ok=True)
        (self._folder / str(self.number)).unlink(missing_ok=True)


async def _answered(embedded: Embedded, repeats: Repeats, question: Question) -> Answer:
    try:
        match question:
            case Act(decision):
                return Said(may_act(embedded.runtime, decision))
            case Report(outcome):
                await embedded.report(outcome)
                return Said()
            case Repeat(key, digest):
                known = repeats.known(key, digest)
                if known is None:
                    return Unknown()
                kept = known if isinstance(known, Kept) else await asyncio.shield(known)
                return Answered(kept.status, kept.headers, kept.body, kept.decision)
    except RemitError as error:
        return Failed(error.kind, error.message)
    except Problem as problem:
        return Refused(problem.status, problem.detail, problem.headers, problem.type)
