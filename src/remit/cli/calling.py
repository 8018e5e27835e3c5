"""One request of an administrator to a server, and its answer: nobody else is asked, and nothing is done twice."""

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode

import msgspec

from remit.local.config import Settings
from remit.local.on_server import connections_to, explained
from remit.model.errors import ErrorKind, RemitError, malformed, not_found, unavailable
from remit.model.identity import random_bytes
from remit.model.values import MAX_BYTES, read_json
from remit.pep.remote.connection import Answer, Connections, Lost, NotSent
from remit.pep.remote.messages import Unreadable, read, refusal

JSON, PROBLEM = "application/json", re.compile(r"application/(problem|scim)\+json")
MAX_KEY = 128
_KEY = re.compile(rf"[!-~]{{1,{MAX_KEY}}}")
_ONCE = re.compile(r"/v1/.*|/access/v1/(evaluation|requests)")
"""Where an `Idempotency-Key` counts, of all that changes something."""
MAX_BODY = 4 * MAX_BYTES
"""A server takes no longer body (bytes)."""


class ApiRequest(msgspec.Struct, frozen=True):
    """A request. `query` follows the path; `key` is its `Idempotency-Key`, empty for what changes nothing; `again` are the words that
    repeat it."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    body: bytes | None
    key: str
    again: Sequence[str]

    @property
    def target(self) -> str:
        """Path and query, as they are sent."""
        return f"{self.path}?{urlencode(self.query, quote_via=quote)}" if self.query else self.path

    def headers(self, id: str) -> dict[str, str]:
        """What goes along, beside who asks."""
        given = {"X-Request-ID": id}
        if self.body is not None:
            given["Content-Type"] = JSON
        if self.key:
            given["Idempotency-Key"] = self.key
        return given

    def unanswered(self) -> str:
        """What to do where no answer came, empty where that is plain: then nothing was changed."""
        if not self.key:
            return ""
        if not _ONCE.fullmatch(self.path):
            return "whether it was done is not known: look, before you ask again"
        same = ", with the same input" if "-" in self.again else ""
        return (
            "whether it was done is not known. Under its key this one server does it once within an hour, however often it is asked for, "
            f"unless it is started anew; another server on its store knows nothing of that. To ask again{same}:\n"
            f"{shlex.join([*self.again, '--idempotency-key', self.key])}"
        )


def split(path: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The path of a request, as it is sent, and its query. Raises `RemitError` (malformed) for what names a server, or is none."""
    if path.startswith("//") or ("://" in path and not path.startswith("/")):
        # INVARIANT (fail closed): a token is shown to its own server and to nobody else.
        raise malformed(f"`{path}` is an address: give its path alone, like `/v1/tasks`. The setting `server` says who is asked")
    if not path.startswith("/") or not path.isprintable():
        raise malformed(f"`{path}` is no path of a server: it begins with `/`, like `/v1/tasks`")
    place, _, query = path.partition("?")
    if _leaves(place):
        # INVARIANT (fail closed): what is beside the server's own path (`https://host/path`) is not the server.
        raise malformed(
            f"`{path}` has `.` or `..` for a part of the path, which leads elsewhere: give the path itself, like `/v1/tasks`"
        )
    return quote(place, safe="/%:@!$&'()*+,;=~"), tuple(parse_qsl(query, keep_blank_values=True))


def _leaves(place: str) -> bool:
    """Whether a part of a path is `.` or `..`, for whoever reads it: however often it is decoded, with either slash."""
    while (text := unquote(place)) != place:
        place = text
    return not {".", ".."}.isdisjoint(re.split(r"[/\\]", place))


def body_in(data: str, files: Path | None) -> bytes:
    """The body that is said by `data` (JSON, `@` and a file, or `-` for standard input; empty for `{}`), with `files` of a bundle's folder
    if one is named. Raises `RemitError`: malformed, not-found."""
    text = _within(_text(data) if data else b"{}")
    try:
        value = read_json(text)
    except RemitError as error:
        raise malformed(f"what `--data` says is no JSON: {error.message}") from None
    if not isinstance(value, dict):
        raise malformed('what `--data` says is no JSON object: a body is one, like `{"why": "…"}`')
    if files is None:
        return text
    from remit.pap.reading.files import read_files

    return _within(msgspec.json.encode({**value, "files": {file.path: file.text for file in read_files(files)}}))


def _within(body: bytes) -> bytes:
    if len(body) > MAX_BODY:
        raise malformed(f"the body has more than {MAX_BODY} bytes, which no server takes")
    return body


def _text(data: str) -> bytes:
    if data == "-":
        return sys.stdin.buffer.read(MAX_BODY + 1)
    if not data.startswith("@"):
        return data.encode("utf-8", "replace")
    try:
        with open(data[1:], "rb") as file:
            return file.read(MAX_BODY + 1)
    except FileNotFoundError:
        raise not_found(f"there is no file `{data[1:]}`: give the body itself, `@` and a file that holds it, or `-`") from None
    except OSError as error:
        raise malformed(f"the file `{data[1:]}` cannot be read ({error.strerror})") from None


def pairs(given: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Each `NAME=VALUE`, taken apart. Raises `RemitError` (malformed)."""
    found = [one.partition("=") for one in given]
    for name, equals, _ in found:
        if not name or not equals:
            raise malformed(f"`--query {name}{equals}` is not NAME=VALUE, like `limit=10`")
    return tuple([(name, value) for name, _, value in found])


def key_for(method: str, given: str) -> str:
    """The key of a request: the one that was given, or a fresh one for what changes something. Raises `RemitError` (malformed)."""
    if method == "GET":
        if given:
            raise malformed("`--idempotency-key` is for what changes something, and GET does not: leave it out")
        return ""
    if given and not _KEY.fullmatch(given):
        raise malformed(f"`--idempotency-key` has at most {MAX_KEY} visible characters of ASCII, without blanks")
    return given or random_bytes(16).hex()


def reach(settings: Settings) -> Connections:
    """The server of these settings, and no other. Raises `RemitError` (malformed)."""
    if not settings.server:
        raise malformed(
            "no server is named: set REMIT_SERVER (or the setting `server`) to its address, like `https://remit.example`"
        )
    return connections_to(settings.server)


def ask(connections: Connections, request: ApiRequest, seconds: float) -> Answer:
    """The answer, of whatever status. Raises `RemitError` (unavailable) where none came, and says how to repeat what may be done."""
    id = random_bytes(16).hex()
    server = f"the server `{connections.address}`"
    try:
        answer = connections.exchange(request.method, request.target, request.body, request.headers(id), seconds)
    except NotSent as fault:
        raise unavailable(f"{server} {fault}: nothing was asked") from None
    except Lost as fault:
        raise _without(f"{server} {fault}", request) from None
    if 300 <= answer.status < 400:
        raise unavailable(f"{server} points elsewhere ({answer.status}), where nobody is asked: give the address itself")
    # INVARIANT (what was decided is what runs): an answer to another question is none.
    if answer.id != id:
        told = f"{server} answered {answer.status}, and not as Remit does: is something in between, or is it another program?"
        raise _without(told, request)
    return answer


def _without(why: str, request: ApiRequest) -> RemitError:
    left = request.unanswered()
    return unavailable(f"{why}\n{left}" if left else why)


class _Problem(msgspec.Struct, frozen=True):
    """A problem of RFC 9457, or an error of SCIM (RFC 7644, section 3.12)."""

    detail: str = ""
    title: str = ""


def fault_of(answer: Answer, request: ApiRequest) -> RemitError | None:
    """The error that an answer is, if it is one, with what to do where the same may be asked again."""
    if answer.status < 400:
        return None
    try:
        said = read(answer.body, _Problem) if PROBLEM.fullmatch(answer.kind) else _Problem()
    except Unreadable:
        said = _Problem()
    detail = said.detail
    if detail in ("", said.title):  # it says no more than the status
        what = f"the server answers {request.method} `{request.path}` with {answer.status} {said.title}".rstrip()
        hint = ": `remit call GET /v1/openapi.json` tells all that it has" if answer.status in (404, 405) else ""
        detail = what + hint
    error = explained(refusal(answer.status, detail))
    return _without(error.message, request) if error.kind is ErrorKind.UNAVAILABLE else error


class Page(msgspec.Struct, frozen=True):
    """A part of a list, each item as it was written."""

    items: list[msgspec.Raw]
    next_cursor: str


def page_of(answer: Answer) -> Page:
    """The page that an answer is. Raises `RemitError` (malformed) for what does not come in pages."""
    try:
        return msgspec.json.decode(answer.body, type=Page)
    except RecursionError:
        raise malformed("what was answered is nested too deep to be taken apart: ask without `--all`") from None
    except msgspec.MsgspecError:
        raise malformed("what was answered is no list that comes in pages: ask without `--all`") from None


def at(request: ApiRequest, cursor: str) -> ApiRequest:
    """The same list, from where this cursor says."""
    rest = [(name, value) for name, value in request.query if name != "cursor"]
    return msgspec.structs.replace(request, query=(*rest, ("cursor", cursor)))
