"""Asking witnesses to cosign the log's head (C2SP tlog-witness), so that a log written anew cannot be shown to anybody."""

import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from remit.decision_log.verify.notes import Key, Note, Wrong, read_note
from remit.decision_log.verify.policy import Policy, Witness, read_policy
from remit.local.head import Head
from remit.model.errors import ErrorKind, RemitError, corrupt, malformed, unavailable

SECONDS = 5.0
MAX_ANSWER = 64 * 1024
_OK, _FORBIDDEN, _NOT_FOUND, _CONFLICT, _UNPROCESSABLE = 200, 403, 404, 409, 422


class Witnessed(msgspec.Struct, frozen=True):
    """What came of asking: the cosigned head, who cosigned, why each other did not, and whether those are as many as the policy demands."""

    note: str
    cosigned: tuple[str, ...]
    missing: dict[str, str]
    quorum: bool


def load_policy(home: Path, named: str) -> Policy:
    """The policy file that the settings name, in `home` unless its path is absolute. Raises `RemitError` (malformed)."""
    path = home / named
    try:
        policy = read_policy(path.read_bytes())
    except OSError as error:
        raise malformed(
            f"the witness policy `{path}` cannot be read ({error.strerror}): make the file, or mend `witnesses`"
        ) from None
    except Wrong as wrong:
        raise malformed(f"the witness policy `{path}` cannot be used: {wrong}") from None
    for witness in policy.witnesses.values():
        if witness.url and (urlsplit(witness.url).scheme not in ("http", "https") or not urlsplit(witness.url).hostname):
            raise malformed(f"witness `{witness.name}` has address `{witness.url}`: it begins with `http://` or `https://`")
    return policy


def ask_witnesses(head: Head, policy: Policy) -> Witnessed:
    """Sign the log as it is now and have every witness of the policy that has an address cosign that.

    A witness that is away, or answers what it should not, is left out and named. Raises `RemitError` (corrupt) where one has seen another
    log than this one: either this one was written anew, or somebody else signs with its key.
    """
    note = read_note(head.sign().encode())
    kept = head.note.partition("\n\n")[2]
    missing: dict[str, str] = {}
    lines: dict[Key, str] = {}
    for witness in policy.witnesses.values():
        try:
            lines[witness.key] = _line_of(note, witness.key, kept) or _ask(head, witness, note)
        except (OSError, http.client.HTTPException, Wrong, RemitError) as error:
            if isinstance(error, RemitError) and error.kind is not ErrorKind.UNAVAILABLE:
                raise
            missing[witness.name] = str(error) or type(error).__name__
    cosigned = tuple(name for name, witness in policy.witnesses.items() if witness.key in lines)
    return Witnessed(head.add_cosignatures(lines.values()), cosigned, missing, policy.satisfied(set(lines)))


def _line_of(note: Note, key: Key, lines: str) -> str | None:
    """The line with which the key cosigned the checkpoint; lines of other keys are passed over. Raises `Wrong`."""
    for line in lines.split("\n"):
        with suppress(Wrong):
            [(name, id, signature)] = read_note(f"{note.text}\n{line}\n".encode()).signatures
            if (name, id) == (key.name, key.id):
                break
    else:
        return None
    if key.cosigned(note, signature) is None:
        raise Wrong("its signature is not of this checkpoint")
    return line


def _ask(head: Head, witness: Witness, note: Note) -> str:
    """One witness's cosignature. Raises what its connection raises, `Wrong`, or `RemitError` (unavailable, corrupt)."""
    if not witness.url:
        raise unavailable("the policy names no address of it")
    before = 0  # what it saw last it says itself, and then it is told how the log grew from there
    with _connection(witness.url) as ask:
        for _ in range(3):
            status, answer = ask(head.growth_from(before).encode())
            if status == _OK:
                line = _line_of(note, witness.key, answer.decode("utf-8", "replace"))
                if line is None:
                    raise Wrong("its answer has no signature of the key that the policy names")
                return line
            if status == _UNPROCESSABLE and before:
                raise corrupt(
                    f"witness `{witness.name}` has seen another log of {before} entries under this key: this one was written anew, or "
                    "somebody else signs with its key; compare heads, and restore a backup"
                )
            if status != _CONFLICT:
                hint = ": does it know this log and its key?" if status in (_FORBIDDEN, _NOT_FOUND) else ""
                raise unavailable(f"it answered {status}{hint}")
            before = _size(answer)
            if before > note.size:
                raise corrupt(
                    f"witness `{witness.name}` has seen this log with {before} entries, here it has {note.size}: it was truncated or "
                    "replaced, or somebody else signs with its key"
                )
    raise unavailable("it saw the log grow meanwhile, again and again: ask once more")


def _size(answer: bytes) -> int:
    text = answer.decode("ascii", "replace").removesuffix("\n")
    if not text.isdecimal() or not text.isascii() or len(text) > 18 or str(int(text)) != text:
        raise Wrong("its answer names no size of a log")
    return int(text)


@contextmanager
def _connection(url: str) -> Iterator[Callable[[bytes], tuple[int, bytes]]]:
    """Posts to a witness over one connection, which is cut when time is up, however slowly it answers."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=SECONDS)
    path = parts.path.rstrip("/") + "/add-checkpoint"

    wires: list[socket.socket] = []

    def post(body: bytes) -> tuple[int, bytes]:
        if connection.sock is None:
            connection.connect()
        wire = connection.sock
        if wire is not None:
            wires.append(wire)  # the connection forgets it where the answer ends with it
        connection.request("POST", path, body, {"Content-Type": "text/plain; charset=utf-8"})
        answer = connection.getresponse()
        content = answer.read(MAX_ANSWER + 1)
        if len(content) > MAX_ANSWER:
            raise Wrong("its answer is too long")
        return answer.status, content

    def cut() -> None:
        for wire in wires:
            with suppress(OSError):
                wire.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(SECONDS, cut)
    timer.daemon = True
    timer.start()
    try:
        yield post
    finally:
        timer.cancel()
        connection.close()
