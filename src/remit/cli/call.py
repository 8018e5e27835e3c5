"""`remit call`: ask a server anything that its API has, with one's own token and key."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from remit.cli.output import JsonFlag, err, out, plain, say
from remit.local.config import home_folder, read_settings
from remit.model.errors import RemitError, malformed, unavailable

if TYPE_CHECKING:  # what speaks HTTP costs every other verb its start
    from remit.cli.calling import ApiRequest
    from remit.pep.remote.connection import Answer, Connections

SECONDS = 60.0
Many = list[str] | None


class Method(StrEnum):
    """What is done to a path."""

    GET = "GET"
    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"
    DELETE = "DELETE"


def call(
    method: Annotated[Method, typer.Argument(case_sensitive=False, help="GET looks; the others change something.")],
    path: Annotated[str, typer.Argument(help="The path alone, like `/v1/tasks`; `GET /v1/openapi.json` tells all.")],
    data: Annotated[str, typer.Option(help="The body: JSON, `@FILE`, or `-` for standard input (without it: `{}`).")] = "",
    files: Annotated[Path | None, typer.Option(help="Add the files of this bundle's folder to the body, as `files`.")] = None,
    query: Annotated[Many, typer.Option(help="NAME=VALUE for the query; may be repeated.")] = None,
    idempotency_key: Annotated[str, typer.Option(help="Repeat what was asked under this key (without it: a fresh one).")] = "",
    all_: Annotated[bool, typer.Option("--all", help="Every page of a list, each item on a line.")] = False,
    include: Annotated[
        bool, typer.Option("--include", help="Also say the status and the request's id, on standard error.")
    ] = False,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long an answer may take.")] = SECONDS,
    json: JsonFlag = False,
) -> None:
    """Ask a server what its API has, as whoever the token says: look, administer, approve.

    REMIT_SERVER is its address, REMIT_TOKEN_FILE holds the token and REMIT_KEY_FILE the key that it is bound to. Nobody else is asked.
    What changes something is done once for each key: where no answer comes, the command that repeats it safely is told.
    """
    from remit.cli.calling import ApiRequest, body_in, key_for, pairs, reach, split

    place, given = split(path)
    if method is Method.GET and (data or files is not None):
        raise malformed("GET carries no body: say what you want by `--query NAME=VALUE`")
    if all_ and method is not Method.GET:
        raise malformed("`--all` follows the pages of a list, which GET asks for: leave it out")
    key = key_for(method.value, idempotency_key)
    bodiless = method in (Method.GET, Method.DELETE) and not data and files is None
    body = None if bodiless else body_in(data, files)
    again = _again(method, path, data, files, query or ())
    request = ApiRequest(method.value, place, (*given, *pairs(query or ())), body, key, again)
    with closing(reach(read_settings(home_folder()))) as connections:
        if all_:
            _show_all(connections, request, seconds, json, include)
        else:
            _show(answered(connections, request, seconds, json, include), json)


def _again(method: Method, path: str, data: str, files: Path | None, query: Sequence[str]) -> Sequence[str]:
    """The words that ask for the same, but for its key."""
    said = ["remit", "call", method.value, path]
    for one in query:
        said += ["--query", one]
    if data:
        said += ["--data", data]
    return [*said, "--files", str(files)] if files is not None else said


def answered(connections: "Connections", request: "ApiRequest", seconds: float, json: bool, include: bool) -> "Answer":
    """The answer, if it is no error. Raises `RemitError` for one, which programs are given as it came."""
    from remit.cli.calling import ask, fault_of

    try:
        answer = ask(connections, request, seconds)
    except KeyboardInterrupt:
        if request.unanswered():
            err.print(plain(request.unanswered()), soft_wrap=True)
        raise
    if include:
        err.print(plain(f"{answer.status} {answer.kind} (request {answer.id})"), soft_wrap=True)
    error = fault_of(answer, request)
    if error is not None:
        if json:
            write(answer.body, answer.kind)
        raise error
    return answer


def _show(answer: "Answer", json: bool) -> None:
    """What was answered: laid out for people, as it came for programs."""
    if not out.is_terminal or json:
        write(answer.body, answer.kind)
        return
    if not answer.body:
        say(f"done ({answer.status})")
        return
    try:
        laid_out = msgspec.json.format(answer.body, indent=2) if answer.kind.endswith("json") else answer.body
    except msgspec.MsgspecError:
        raise unavailable("what was answered is no JSON: is something between here and the server?") from None
    except RecursionError:
        raise unavailable("what was answered is nested too deep to be laid out: `--json` prints it as it came") from None
    write(laid_out, answer.kind)


def write(body: bytes, kind: str = "application/json") -> None:
    """Each byte as it came for programs; on a terminal nothing that would move it, or is not seen: JSON stays the same JSON."""
    if out.is_terminal:
        text = body.decode("utf-8", "replace").rstrip("\n")
        if text:
            say("".join(c if c.isprintable() or c == "\n" else _escaped(c) for c in text) if kind.endswith("json") else text)
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(body if body.endswith(b"\n") or not body else body + b"\n")
    sys.stdout.buffer.flush()


def _escaped(char: str) -> str:
    """A character as JSON writes it in ASCII; between values, where nothing else may stand, a blank for a blank."""
    if char in "\t\r":
        return " "
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def _show_all(connections: "Connections", request: "ApiRequest", seconds: float, json: bool, include: bool) -> None:
    shown, cursor = 0, ""
    try:
        for items, following in _pages(connections, request, seconds, json, include):
            for item in items:
                write(msgspec.json.format(item, indent=-1))
            shown, cursor = shown + len(items), following
    except RemitError as error:
        if cursor:
            raise RemitError(error.kind, f"{error.message}\n{shown} were told: go on with `--query cursor={cursor}`") from None
        raise


def _pages(
    connections: "Connections", request: "ApiRequest", seconds: float, json: bool, include: bool
) -> "Iterator[tuple[list[msgspec.Raw], str]]":
    """Each page of a list, with where the next one begins (empty after the last)."""
    from remit.cli.calling import at, page_of

    seen: set[str] = set()
    while True:
        page = page_of(answered(connections, request, seconds, json, include))
        yield page.items, page.next_cursor
        if not page.next_cursor:
            return
        if page.next_cursor in seen:
            raise unavailable("the list leads to a page that it had already: it has no end")
        seen.add(page.next_cursor)
        request = at(request, page.next_cursor)
