"""Entries as bytes: one canonical JSON line each, the envelope first, then the body's fields in declared order."""

import msgspec

from remit.decision_log.entry import VERSION, Entry, EntryBody
from remit.model.errors import corrupt

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(EntryBody).decode


class _Envelope(msgspec.Struct):
    v: int
    writer: str
    seq: int
    time: int
    prev: str


_decode_envelope = msgspec.json.Decoder(_Envelope).decode


def encode_body(body: EntryBody) -> bytes:
    """The body as JSON, its `kind` first."""
    return _encode(body)


def seal_line(body: bytes, writer: str, seq: int, time: int, prev: str) -> bytes:
    """The whole line: the envelope set in behind the body's `kind`.

    `body` is what `encode_body` gave; `prev` the leaf hash (hex) of this writer's previous line.
    """
    # INVARIANT (the log convinces a stranger): every field of body and envelope is in the bytes that are hashed.
    comma = body.index(b",")
    envelope = f',"v":{VERSION},"writer":"{writer}","seq":{seq},"time":{time},"prev":"{prev}"'
    return body[:comma] + envelope.encode() + body[comma:]


def decode_body(index: int, line: bytes) -> EntryBody:
    """What a stored line says, without its envelope. Raises `RemitError` (corrupt) if it is not an entry."""
    try:
        body: EntryBody = _decode(line)
    except msgspec.MsgspecError as error:
        raise corrupt(f"entry {index} cannot be read ({error}): verify the log") from None
    return body


def decode(index: int, line: bytes) -> Entry:
    """Read a stored line. Raises `RemitError` (corrupt) if it is not an entry."""
    try:
        envelope = _decode_envelope(line)
        body = _decode(line)
    except msgspec.MsgspecError as error:
        raise corrupt(f"entry {index} cannot be read ({error}): verify the log") from None
    return Entry(index, envelope.writer, envelope.seq, envelope.time, envelope.prev, body, line)
