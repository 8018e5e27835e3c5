"""Verbs that work on a store, where there is none but a server: each says how that is asked for the same."""

import re
import shlex
from pathlib import Path
from typing import Any

import msgspec
import pytest
from starlette.routing import Match, Route

from remit.cli.over_http import _AS, over_http
from remit.local.entering import open_default
from remit.model.errors import ErrorKind, RemitError
from remit.model.kill import KillKind
from remit.server.reading import Nothing
from remit.server.routes import OPERATIONS
from tests.cli.running import error
from tests.test_documents import COMMANDS, DOCS

WRITTEN = [
    line for page in sorted(DOCS.glob("*.md")) for line in re.findall(r"^remit call .*$", page.read_text("utf-8"), re.MULTILINE)
]

STOPPING = [over_http([verb, kind, "x"]) for verb in ("kill", "release") for kind in KillKind]


@pytest.mark.parametrize("command", [*(over_http([*verb.split(), "x"]) for verb in _AS), *STOPPING, *WRITTEN])
def test_what_is_said_of_a_call_is_what_the_server_takes(command: str) -> None:
    _, _, method, path, *options = shlex.split(command, comments=True)
    scope = {"type": "http", "method": method, "path": path.replace("INDEX", "1")}
    found = [
        one for one in OPERATIONS if one.method == method and Route(one.path, one.endpoint).matches(scope)[0] is not Match.NONE
    ]
    data = options[options.index("--data") + 1].replace("PUBLIC_JWK", "{}") if "--data" in options else "{}"
    body: dict[str, Any] = msgspec.json.decode(data)
    if "--files" in options:
        body["files"] = {}
    assert found and msgspec.convert(body, found[0].body or Nothing) is not None
    if "--query" in options:
        name, _, value = options[options.index("--query") + 1].partition("=")
        assert msgspec.convert({name: value}, found[0].query, strict=False) is not None


def test_each_verb_that_a_call_stands_for_is_one() -> None:
    assert WRITTEN and set(_AS) <= set(dict(COMMANDS))


def test_whoever_looks_at_what_is_stopped_is_not_told_to_stop_anything() -> None:
    assert over_http(["kill"]) == over_http(["kill", "--json"]) == "remit call GET /v1/kills"
    assert '"kind": "all", "why"' in over_http(["release", "all", "--why", "x"]) and '"task-type"' in over_http(
        ["kill", "task-type"]
    )


DOES = {
    "open": "POST",
    "register": "POST",
    "list": "GET",
    "show": "GET",
    "head": "GET",
    "prove": "GET",
    "explain": "GET",
    "kill": "GET",
}
"""What verbs of this name do: look, or change; all others change something."""
OTHERWISE = {"agent suspend": "suspended", "agent resume": "active", "agent retire": "retired"}
OTHERWISE |= {"policy rollback": "rollback", "policy publish": "--files"}


@pytest.mark.parametrize("verb", _AS)
def test_the_call_that_is_hinted_at_does_what_the_verb_does(verb: str) -> None:
    """Of what it is for, and no other verb of it: the same things, looked at or changed, one or all."""
    *_, action = verb.split()
    call = over_http(verb.split())
    _, _, method, path, *_ = shlex.split(call)
    things = {"policy": "bundles", "kill": "kills", "release": "kills", "people": "people", "log": "log"}
    of = things.get(verb.split()[0], f"{verb.split()[0]}s").replace("break-glasss", "break-glass")
    assert of in path.split("/") and method == DOES.get(action, "POST")
    assert OTHERWISE.get(verb, "") in call and (action != "list" or path.endswith(f"/{of}"))
    named = path.rsplit("/", 1)[-1].rstrip("s")
    assert not named.islower() or named in (of.rstrip("s"), "statu", "answer", "active") or named.startswith(action[:3])


def test_without_a_store_a_server_that_is_named_is_pointed_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMIT_HOME", str(tmp_path))
    monkeypatch.setenv("REMIT_SERVER", "https://remit.example")
    said = error("task", "list", "--json")
    assert said.kind is ErrorKind.UNAVAILABLE and "`remit call GET /v1/tasks`" in said.message
    assert "`remit call POST /v1/kills " in error("kill", "agent", "bot", "--why", "it strays").message, "a verb of one word"
    assert "`remit call GET /v1/kills`" in error("kill").message
    assert '"kind": "all"' in error("release", "all", "--why", "it is over").message
    for verb in (("backup", "create", str(tmp_path / "b")), ("log", "verify")):
        said = error(*verb)
        assert "`https://remit.example`" in said.message and "machine of its store" in said.message and "call" not in said.message
    with pytest.raises(RemitError, match="REMIT_SERVER"):
        open_default()
    monkeypatch.setenv("REMIT_SERVER", "")
    assert "run `remit init`" in error("task", "list").message
