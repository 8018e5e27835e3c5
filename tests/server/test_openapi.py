"""The description of the server: made of what is served, whole, and true of a real server whatever it is sent."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from starlette.routing import Route

from remit.local.wiring import wall_clock
from remit.runtime.emergency import break_glass
from remit.server.openapi.document import described
from remit.server.openapi.operation import OfPath, Operation, Repeated
from remit.server.reference import reference
from remit.server.routes import OPERATIONS
from tests.conftest import OpenStore
from tests.pap.bundles import ROOT
from tests.runtime.world import ANA
from tests.server.serving import served, serving

DOCUMENT: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(described(OPERATIONS)))
MANAGED = {"/v1/agents", "/v1/tasks", "/v1/decisions", "/v1/bundles", "/v1/kills", "/v1/break-glass", "/v1/log"}


def operations_of(document: dict[str, Any]) -> dict[tuple[str, str], Any]:
    return {(method.upper(), path): told for path, item in document["paths"].items() for method, told in item.items()}


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        inside = set().union(*map(references, value.values())) if value else set()
        return inside | ({value["$ref"]} if isinstance(value.get("$ref"), str) else set())
    return set().union(*map(references, value)) if isinstance(value, list) and value else set()


def test_what_is_served_is_described_and_nothing_else(open_store: OpenStore) -> None:
    with serving(open_store().embedded) as client:
        told = client.send("GET", "/v1/openapi.json", None, {}).body
    assert told["servers"] == [{"url": f"http://127.0.0.1:{client.port}"}]
    # Nobody is asked who they are here, and it says so.
    assert told["security"] == [] and DOCUMENT["security"] == [{"bearer": []}, {"dpop": []}]
    assert {**told, "servers": None, "security": None} == {**DOCUMENT, "servers": None, "security": None}
    routes = {(one.method, re.sub(r":\w+}", "}", one.path)) for one in OPERATIONS}
    assert set(operations_of(told)) == routes and len(routes) == len(OPERATIONS)


def test_the_application_has_no_other_routes(open_store: OpenStore) -> None:
    from remit.pap.administration import read_administration
    from remit.server.app import routed
    from remit.server.callers import Believed

    app = routed(open_store().embedded, "http://127.0.0.1", Believed(), read_administration())
    found = [(route.path, route.app) for route in app.routes if isinstance(route, Route) and isinstance(route.app, OfPath)]
    # SCIM describes itself, with methods and errors of its own.
    assert [route.path for route in app.routes if not isinstance(route, Route)] == ["/scim/v2"]
    assert len(found) == len(app.routes) - 1
    answered = {(method, path) for path, answering in found for method in answering.methods if method != "HEAD"}
    assert answered == {(one.method, one.path) for one in OPERATIONS}


@pytest.mark.parametrize("one", OPERATIONS, ids=lambda one: one.id)
def test_an_endpoint_says_itself_what_it_is(one: Operation) -> None:
    method, path, words = one.stated
    assert (method, path) == (one.method, one.template) and words


def test_every_name_leads_somewhere_and_every_schema_is_one() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    wanted = {name.removeprefix("#/components/schemas/") for name in references(DOCUMENT)}
    assert wanted == set(schemas)
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
    assert len({told["operationId"] for told in operations_of(DOCUMENT).values()}) == len(OPERATIONS)


def test_generators_of_clients_can_read_it() -> None:
    """Some know no schema that is `true` or `false` (openapi-python-client), but where objects have no other members."""

    def plain(value: Any) -> bool:
        if isinstance(value, dict):
            return not isinstance(value.get("items"), bool) and all(map(plain, value.values()))
        return not isinstance(value, list) or all(map(plain, value))

    rates = DOCUMENT["components"]["schemas"]["Spent"]["properties"]["rates"]["additionalProperties"]["items"]
    assert plain(DOCUMENT) and rates["minItems"] == rates["maxItems"] == len(rates["prefixItems"])


def test_what_changes_something_is_done_once_for_a_key() -> None:
    harmless = {"/v1/bundles/check", "/v1/log/growth"} | {one.path for one in OPERATIONS if one.path.startswith("/access/")}
    # Once by what they are.
    itself = {"/v1/decisions/{id}/act", "/v1/decisions/{id}/outcome", "/v1/enrolment", "/v1/approvals/callback"}
    posts = [one for one in OPERATIONS if one.method == "POST" and one.path not in harmless | itself]
    assert len(posts) > 15 and all(one.repeated is Repeated.ONCE for one in posts)


def test_every_list_comes_in_pages() -> None:
    for path in MANAGED:
        told = DOCUMENT["paths"][path]["get"]
        assert {"limit", "cursor"} <= {one["name"] for one in told["parameters"]}
        [name] = references(told["responses"]["200"])
        assert set(DOCUMENT["components"]["schemas"][name.rpartition("/")[2]]["properties"]) == {"items", "next_cursor"}


def test_bodies_are_strict_outside_of_the_standard() -> None:
    for (method, path), told in operations_of(DOCUMENT).items():
        if method == "POST" and path.startswith("/v1/"):
            [name] = {found for found in references(told["requestBody"]) if found}
            assert DOCUMENT["components"]["schemas"][name.rpartition("/")[2]]["additionalProperties"] is False, path


def test_the_page_for_people_is_current() -> None:
    page = (ROOT / "docs/api.md").read_text("utf-8")
    assert page == reference(DOCUMENT), "run `python -m remit.server.reference > docs/api.md`"


CONFIGURATION = """
checks.positive_data_acceptance.enabled = false  # names and policies are more than a schema says
"""


def known_names(world: Any) -> str:
    """Configuration for schemathesis: names in paths that there are, so that it gets behind `not found`."""
    session = world.open_session()
    permit, held = world.ask(session, "look"), world.ask(session, "pay", {"to": "x"})
    digest = world.store.active_bundle()[0]
    glass = break_glass.ask(
        world.runtime, break_glass.EmergencyRequest("stuck", "INC-7", agent="bot", tools=("never",)), ANA
    ).result()
    names = {
        "/v1/agents/": {"id": "bot"},
        "/v1/operators/": {"name": "cleo"},
        "/v1/tasks/": {"id": session.task},
        "/v1/sessions/": {"id": session.id},
        "/v1/decisions/": {"id": permit.id},
        "/v1/approvals/": {"id": held.approval},
        "/v1/break-glass/": {"id": glass.id},
        "/access/v1/requests/": {"id": held.approval},
        "/v1/bundles/\\\\{digest": {"digest": digest},
    }
    return "\n".join(
        f'[[operations]]\ninclude-path-regex = "^{path}"\nparameters = {{ {name} = "{value}" }}\n'
        for path, values in names.items()
        for name, value in values.items()
    )


OF_SOMETHING = sum("{" in one.path for one in OPERATIONS)


@pytest.mark.sqlite
@pytest.mark.parametrize("known", [True, False], ids=["of things that there are", "of anything"])
def test_schemathesis_finds_nothing(open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool) -> None:
    """Everything is asked for, on a store with things in it; and what is about one of them once more, by its name."""
    world = open_store("home", clock=wall_clock)
    names = known_names(world)
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION + (names if known else ""))
    monkeypatch.setenv("REMIT_HOME", str(world.home))
    with served(tmp_path) as client:
        command = [
            str(Path(sys.executable).parent / "schemathesis"),
            *("--config-file", "schemathesis.toml"),
            *("run", f"http://127.0.0.1:{client.port}/v1/openapi.json"),
            *("--phases", "coverage,fuzzing", "--max-examples", "5", "--seed", "7", "--no-shrink"),
            *("--continue-on-failure", "--request-timeout", "60"),
            *(("--include-path-regex", r"\{") if known else ()),
        ]
        plain = {**os.environ, "NO_COLOR": "1", "COLUMNS": "200"}
        ran = subprocess.run(command, cwd=tmp_path, env=plain, capture_output=True, text=True, timeout=240, check=False)
    assert ran.returncode == 0, ran.stdout[-20_000:] + ran.stderr
    tested = re.search(r"Tested: (\d+)", ran.stdout)
    assert tested is not None and int(tested[1]) >= (OF_SOMETHING if known else len(OPERATIONS) - 1), ran.stdout
