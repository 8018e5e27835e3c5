"""A request under its key, and an answer that can be given again."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple, Protocol, TypeAlias

import msgspec
from starlette.responses import Response

from remit.server.problems import Problem

HEADER = "idempotency-key"
MAX_KEY = 128
OF_ANSWER, OF_HEADER, OF_HOLDS = 512, 160, 1024
"""So many bytes an answer, a header of it, and what says whether it still holds take in memory, beside what they say."""
_digested = msgspec.json.Encoder(order="deterministic").encode


class Key(NamedTuple):
    """Who asks, among whom what is kept is shared out; and a digest of that, of all their authority and of their `Idempotency-Key`."""

    caller: str
    digest: bytes


class Sent(NamedTuple):
    """A message as it is told from others: its digest, and how long it is in bytes."""

    digest: bytes
    size: int


class Answer(msgspec.Struct, frozen=True):
    """An answer that can be given again, with the decision that it tells; as long as it `holds`, where it says so: then the same is
    decided anew."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    decision: str = ""
    holds: Callable[[], bool] | None = None

    @property
    def size(self) -> int:
        """So many bytes it takes to keep it."""
        headers = sum(OF_HEADER + len(name) + len(value) for name, value in self.headers)
        return OF_ANSWER + headers + len(self.body) + (OF_HOLDS if self.holds is not None else 0)

    def response(self) -> Response:
        """The answer, for whoever asks now."""
        response = Response(self.body, self.status)
        response.raw_headers = self.headers
        return response


def answered(response: Response, decision: str = "", holds: Callable[[], bool] | None = None) -> Answer:
    """A response as an answer that can be given again."""
    return Answer(response.status_code, response.raw_headers, bytes(response.body), decision, holds)


Answering: TypeAlias = Callable[[], Awaitable[Answer]]


def key_of(caller: str, authority: str, key: str) -> Key:
    """The key of a caller (by issuer and name) who asks with that authority. Raises `Problem` for one that is too long."""
    if len(key) > MAX_KEY:
        raise Problem(HTTPStatus.BAD_REQUEST, f"an `Idempotency-Key` has at most {MAX_KEY} characters")
    return Key(caller, hashlib.sha256(msgspec.msgpack.encode((caller, authority, key))).digest())


def sent(message: Mapping[str, Any]) -> Sent:
    """A message, however it was written."""
    text = _digested(message)
    return Sent(hashlib.sha256(text).digest(), len(text))


class Once(Protocol):
    """Answers a message once under a key, be it sent again to this process or to another of this server."""

    async def once(self, key: Key, message: Sent, decide: Answering, changes: bool = False) -> Answer:
        """The answer to a message. What `changes` something is not done again where nobody knows whether it was done.

        Raises `Problem` for a key that was another message's, `RemitError` (conflict) for what was changed and whose answer is not kept,
        `TooMany`, and whatever `decide` raises: then the same may be asked again.
        """
        ...
