"""What one worker asks another, what it is answered, and how either is sent."""

import asyncio
from typing import TypeAlias

import msgspec

from remit.model.authorizer import Outcome
from remit.model.errors import ErrorKind
from remit.model.identity import DecisionId
from remit.server.repeating.answers import Key

MAX_MESSAGE = 64 << 20
"""More bytes than any answer has that is kept."""


class Act(msgspec.Struct, frozen=True, tag="act"):
    """Whether a permit stands."""

    decision: DecisionId


class Report(msgspec.Struct, frozen=True, tag="report"):
    """What became of one."""

    outcome: Outcome


class Repeat(msgspec.Struct, frozen=True, tag="repeat"):
    """What was answered under a key to the message of this digest."""

    key: Key
    digest: bytes


class Said(msgspec.Struct, frozen=True, tag="said"):
    """Whether it stands; of a report, that it is recorded."""

    stands: bool = False


class Answered(msgspec.Struct, frozen=True, tag="answered"):
    """An answer, as it was given the first time."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    decision: str = ""


class Unknown(msgspec.Struct, frozen=True, tag="unknown"):
    """Under that key nothing was done, or a decision made that is forgotten."""


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """An error of ours."""

    kind: ErrorKind
    message: str


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """A problem, whole."""

    status: int
    detail: str
    headers: tuple[tuple[str, str], ...]
    kind: str


Question: TypeAlias = Act | Report | Repeat
Answer: TypeAlias = Said | Answered | Unknown | Failed | Refused
_encode = msgspec.msgpack.Encoder().encode
question_in = msgspec.msgpack.Decoder[Question](Question).decode
answer_in = msgspec.msgpack.Decoder[Answer](Answer).decode


def send(writer: asyncio.StreamWriter, message: Question | Answer) -> None:
    """Send a message, its length before it."""
    text = _encode(message)
    writer.write(len(text).to_bytes(4) + text)


async def received(reader: asyncio.StreamReader) -> bytes | None:
    """The next message; None where there is none, or one that is too long."""
    try:
        size = int.from_bytes(await reader.readexactly(4))
        return await reader.readexactly(size) if size <= MAX_MESSAGE else None
    except asyncio.IncompleteReadError:
        return None
