"""SCIM as identity providers speak it: what Entra ID and Okta really send, to a real server, and what nobody should."""

import json
import socket
import threading
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import pytest
from msgspec.structs import replace
from starlette.requests import Request

from remit.decision_log.entry import GroupChanged, PersonChanged
from remit.inventory.people import MAX_FORMER, next_version
from remit.model.caller import Caller, Proof, Role
from remit.model.errors import STORE_FAILED
from remit.model.identity import AgentId, Operator
from remit.model.person import GroupId, OwnerState, PeopleGroup, PersonId
from remit.runtime.approving.answering import resolve
from remit.runtime.directory import directory_of
from remit.runtime.people import PeopleUpdate, all_people, change_group, change_people, erase_person
from remit.server.problems import Problem
from remit.server.reading import MAX_BODY
from remit.server.scim import bounds, groups, users
from remit.server.scim.patching import patched
from remit.server.scim.working import ATTEMPTS
from tests.conftest import OpenStore
from tests.faults.disk import DISK_FULL, failing_at
from tests.people.test_directory import asked_for, person, refusal, tell
from tests.runtime.world import ANA, World
from tests.server.serving import Answer, Client, serving

USER, GROUP = "urn:ietf:params:scim:schemas:core:2.0:User", "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
PATCH, ERROR = "urn:ietf:params:scim:api:messages:2.0:PatchOp", "urn:ietf:params:scim:api:messages:2.0:Error"
CALLERS = {
    "okta": Caller("okta", frozenset({Role.PROVISIONER}), "idp", Proof.BEARER),
    "entra": Caller("entra", frozenset({Role.PROVISIONER}), "idp", Proof.BEARER),
    "elsewhere": Caller("okta", frozenset({Role.PROVISIONER}), "https://other.example", Proof.BEARER),
    "bot": Caller("bot", frozenset({Role.AGENT}), "idp", Proof.DPOP, AgentId("bot")),
    "climber": Caller("bot", frozenset({Role.AGENT, Role.PROVISIONER}), "idp", Proof.DPOP, AgentId("bot")),
    "carl": Caller("carl", frozenset({Role.APPROVER}), "idp", Proof.DPOP),
    "ada": Caller("ada", frozenset({Role.ADMINISTRATOR, Role.REVIEWER, Role.AUDITOR, Role.ENFORCEMENT_POINT}), "idp", Proof.DPOP),
}


class ByToken:
    """Knows its callers by name."""

    async def identify(self, request: Request) -> Caller:
        known = CALLERS.get(request.headers.get("authorization", "").removeprefix("Bearer "))
        if known is None:
            raise Problem(HTTPStatus.UNAUTHORIZED, "say who you are", [("WWW-Authenticate", "Bearer")])
        return known


@pytest.fixture
def client(world: World) -> Iterator[Client]:
    with serving(world.embedded, ByToken()) as client:  # type: ignore[arg-type]
        yield client


def send(client: Client, method: str, path: str, body: Any = None, who: str = "okta", **headers: str) -> Answer:
    content = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    told = {"Authorization": f"Bearer {who}", "Content-Type": "application/scim+json", **headers}
    return client.send(method, f"/scim/v2{path}", content, told)


def fine(answer: Answer, status: int = 200) -> Any:
    assert answer.status == status, answer.text
    assert answer.headers["content-type"] == "application/scim+json" and answer.headers["cache-control"] == "no-store"
    return answer.body


def wrong(answer: Answer, status: int, kind: str | None = None) -> str:
    """What a request is told that is not done: always in the shape of the standard."""
    assert answer.status == status, answer.text
    assert answer.headers["content-type"] == "application/scim+json"
    body = answer.body
    assert (body["schemas"], body["status"], body.get("scimType")) == ([ERROR], str(status), kind), body
    said: str = body["detail"]
    return said


def new(client: Client, name: str = "ben", who: str = "okta", **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = fine(send(client, "POST", "/Users", {"schemas": [USER], "userName": name, **more}, who), 201)
    return made


def change(client: Client, where: str, *operations: dict[str, Any], **headers: str) -> Answer:
    return send(client, "PATCH", where, {"schemas": [PATCH], "Operations": list(operations)}, **headers)


def standing(world: World, name: str) -> OwnerState:
    return directory_of(world.store).known_as(name).standing.state


class TestUsers:
    def test_from_the_first_day_to_the_last(self, client: Client, world: World) -> None:
        user = new(
            client,
            "ben",
            externalId="00u7",
            displayName="Ben Ode",
            emails=[{"value": "ben@corp.com", "type": "work", "primary": True}],
        )
        where = f"/Users/{user['id']}"
        assert user["meta"]["location"].endswith(f"/scim/v2{where}") and user["active"] is True
        shown = send(client, "GET", where)
        assert fine(shown) == user and shown.headers["etag"] == user["meta"]["version"] == 'W/"1"'
        approval = asked_for(world)
        for name in ("ben@corp.com", "00u7"):
            assert "four eyes" in refusal(world, approval, name)
        assert fine(change(client, where, {"op": "replace", "path": "active", "value": False}))["active"] is False
        assert standing(world, "BEN") is OwnerState.GONE
        assert fine(change(client, where, {"op": "replace", "value": {"active": True}}))["active"] is True
        assert standing(world, "ben") is OwnerState.ACTIVE
        assert send(client, "DELETE", where).status == 204
        for method, body in (("GET", None), ("DELETE", None), ("PUT", {"schemas": [USER], "userName": "ben"})):
            wrong(send(client, method, where, body), 404)
        assert fine(send(client, "GET", "/Users"))["totalResults"] == 0
        assert standing(world, "ben@corp.com") is OwnerState.GONE
        again = new(client, "ben")
        assert again["id"] != user["id"] and standing(world, "ben") is OwnerState.ACTIVE
        changed = [entry.body for entry in world.entries() if isinstance(entry.body, PersonChanged)]
        assert [(one.status, one.source, one.operator) for one in changed] == [
            (status, "scim:idp#okta", "okta") for status in ("active", "inactive", "active", "removed", "active")
        ]
        assert not any(word in line for word in (b"Ben Ode", b"00u7", b"ben@corp") for line in world.store.log.lines())
        world.verified()

    def test_whoever_is_gone_stays_so_however_little_is_said_of_them_since(self, client: Client, world: World) -> None:
        """Services empty and rename those whom they let go."""
        mail = {"value": "hal@corp.com", "primary": True}
        user = new(client, "hal", externalId="00u9", emails=[mail])
        kim = new(client, "kim", emails=[{"value": "kim@corp.com", "primary": True}])
        where, names = f"/Users/{user['id']}", ("hal", "00u9", "hal@corp.com")
        fine(change(client, where, {"op": "replace", "path": "active", "value": False}))
        for operation in (
            {"op": "remove", "path": "emails"},
            {"op": "replace", "path": "userName", "value": "deleted_hal"},
            {"op": "replace", "path": "externalId", "value": "deleted_00u9"},
            {"op": "replace", "path": "userName", "value": "deleted_again"},
        ):
            fine(change(client, where, operation))
            assert {standing(world, name) for name in names} == {OwnerState.GONE}
        assert "emails" not in (shown := fine(send(client, "GET", where))) and shown["userName"] == "deleted_again"
        approval = asked_for(world)
        assert all("is gone" in refusal(world, approval, name) for name in names)
        assert standing(world, "kim@corp.com") is OwnerState.ACTIVE

        # Nobody is kept out for good: by the name that they had they come back, and whoever erases them keeps as much out.
        again = new(client, "hal", emails=[mail])
        assert {standing(world, name) for name in names} == {OwnerState.ACTIVE}
        assert send(client, "DELETE", f"/Users/{again['id']}").status == 204
        assert {standing(world, name) for name in names} == {OwnerState.GONE}
        for one in (user, again):
            erase_person(world.runtime, PersonId(one["id"]), ANA).result()
        assert {standing(world, name) for name in ("hal", "hal@corp.com")} == {OwnerState.GONE}
        assert standing(world, kim["userName"]) is OwnerState.ACTIVE
        new(client, "hal")
        assert {standing(world, name) for name in ("hal", "hal@corp.com")} == {OwnerState.ACTIVE, OwnerState.UNKNOWN}

    def test_an_address_that_is_given_on_is_whose_it_is_now(self, client: Client, world: World) -> None:
        desk = {"value": "desk@corp.com", "primary": True}
        hal = new(client, "hal", emails=[desk], externalId="00u9")
        where = f"/Users/{hal['id']}"
        fine(change(client, where, {"op": "replace", "value": {"active": False}}))
        kim = new(client, "kim", emails=[desk])
        assert standing(world, "desk@corp.com") is OwnerState.GONE, "both have it"
        fine(change(client, where, {"op": "remove", "path": "emails"}))
        assert standing(world, "desk@corp.com") is standing(world, "kim") is OwnerState.ACTIVE
        assert {standing(world, name) for name in ("hal", "00u9")} == {OwnerState.GONE}
        fine(change(client, f"/Users/{kim['id']}", {"op": "replace", "value": {"active": False}}))
        assert {standing(world, name) for name in ("desk@corp.com", "kim", "hal")} == {OwnerState.GONE}

    def test_whoever_comes_back_is_called_what_they_are_called_now(self, client: Client, world: World) -> None:
        user = new(client, "hal", emails=[{"value": "desk7@corp.com", "primary": True}])
        where = f"/Users/{user['id']}"
        fine(change(client, where, {"op": "replace", "value": {"active": False}}, {"op": "remove", "path": "emails"}))
        assert standing(world, "desk7@corp.com") is OwnerState.GONE
        fine(change(client, where, {"op": "replace", "value": {"active": True}}))
        assert standing(world, "hal") is OwnerState.ACTIVE and standing(world, "desk7@corp.com") is OwnerState.UNKNOWN

    def test_so_much_of_somebody_who_is_gone_is_kept(self, client: Client, world: World) -> None:
        user = new(client, "hal")
        where = f"/Users/{user['id']}"
        fine(change(client, where, {"op": "replace", "path": "active", "value": False}))
        for number in range(MAX_FORMER):
            fine(change(client, where, {"op": "replace", "path": "userName", "value": f"hal{number}"}))
        said = wrong(change(client, where, {"op": "replace", "path": "userName", "value": "one-more"}), 400, "invalidValue")
        assert f"`remit people erase {user['id']}`" in said and standing(world, "hal") is OwnerState.GONE

    def test_a_service_of_its_name_by_another_issuer_is_another(self, client: Client, world: World) -> None:
        where = f"/Users/{new(client)['id']}"
        for method in ("GET", "DELETE"):
            wrong(send(client, method, where, who="elsewhere"), 404)
        assert fine(send(client, "GET", "/Users", who="elsewhere"))["totalResults"] == 0
        assert standing(world, "ben") is OwnerState.ACTIVE

    def test_what_changes_nothing_is_no_change(self, client: Client, world: World) -> None:
        user = new(client)
        before = len(world.entries())
        same = fine(change(client, f"/Users/{user['id']}", {"op": "replace", "path": "active", "value": "True"}))
        assert same == user and len(world.entries()) == before

    @pytest.mark.parametrize("how", ["PUT", "PATCH"])
    def test_whom_a_restored_backup_has_is_there_once_their_service_says_so_though_it_is_no_news(
        self, client: Client, world: World, how: str
    ) -> None:
        source = "scim:idp#okta"
        ben, _ = tell(world, person(world, "ben", source=source, seen=0), person(world, "eve", source=source, seen=0))
        where = f"/Users/{ben.id}"
        assert fine(send(client, "GET", where))["meta"]["lastModified"].startswith("2027-"), "whoever looks says nothing"
        assert world.store.unconfirmed() == {source: 2}
        if how == "PUT":
            fine(send(client, "PUT", where, {"schemas": [USER], "userName": "ben", "active": True}))
        else:
            fine(change(client, where, {"op": "replace", "path": "active", "value": True}))
        assert world.store.unconfirmed() == {source: 1}, "of the other nothing was said"
        assert [standing(world, name) for name in ("ben", "eve")] == [OwnerState.ACTIVE, OwnerState.UNKNOWN]

    def test_whoever_is_put_without_saying_so_is_not_let_in_again(self, client: Client) -> None:
        user = new(client, active=False)
        put = fine(
            send(
                client,
                "PUT",
                f"/Users/{user['id']}",
                {"schemas": [USER], "userName": "benjamin", "name": {"givenName": "B", "familyName": "O"}},
            )
        )
        assert (put["active"], put["userName"], put["displayName"]) == (False, "benjamin", "B O")

    def test_erased_people_are_found_no_more(self, client: Client, world: World) -> None:
        user = new(client)
        erase_person(world.runtime, PersonId(user["id"]), ANA).result()
        wrong(send(client, "GET", f"/Users/{user['id']}"), 404)
        assert fine(send(client, "GET", '/Users?filter=userName%20eq%20"ben"'))["totalResults"] == 0


SENT: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "Entra: not active": ([{"op": "Replace", "path": "active", "value": "False"}], {"active": False}),
    "Entra: several at once": (
        [
            {"op": "Add", "path": "displayName", "value": "Bo"},
            {"op": "Replace", "path": 'emails[type eq "work"].value', "value": "bo@corp.com"},
            {"op": "Add", "path": "name.givenName", "value": "B"},
        ],
        {"displayName": "Bo", "emails": [{"type": "work", "value": "bo@corp.com"}]},
    ),
    "Entra: manager bare": (
        [{"op": "Add", "path": f"{ENTERPRISE}:manager", "value": "m1"}],
        {ENTERPRISE: {"manager": {"value": "m1"}}},
    ),
    "Entra: manager in a list": (
        [{"op": "Replace", "path": f"{ENTERPRISE}:manager", "value": [{"$ref": None, "value": "m1"}]}],
        {ENTERPRISE: {"manager": {"value": "m1"}}},
    ),
    "Entra: manager's value": (
        [{"op": "replace", "path": f"{ENTERPRISE.upper()}:MANAGER.Value", "value": "m1"}],
        {ENTERPRISE: {"manager": {"value": "m1"}}},
    ),
    "Entra: a value in a list": (
        [{"op": "Replace", "path": "userName", "value": [{"$ref": None, "value": "bo"}]}],
        {"userName": "bo"},
    ),
    "Entra: paths as members": (
        [
            {
                "op": "Add",
                "value": {"displayName": "Bo", 'emails[type eq "work"].value': "bo@x.com", f"{ENTERPRISE}:manager": "m1"},
            }
        ],
        {"displayName": "Bo", "emails": [{"type": "work", "value": "bo@x.com"}], ENTERPRISE: {"manager": {"value": "m1"}}},
    ),
    "Okta: without a path": ([{"op": "replace", "value": {"active": False}}], {"active": False}),
    "Okta: a whole extension": (
        [{"op": "replace", "value": {ENTERPRISE: {"manager": {"value": "m1"}, "costCenter": "7"}}}],
        {ENTERPRISE: {"manager": {"value": "m1"}}},
    ),
    "an extension by its path": (
        [{"op": "add", "path": ENTERPRISE, "value": {"manager": {"value": "m1"}}}],
        {ENTERPRISE: {"manager": {"value": "m1"}}},
    ),
    "the manager goes": (
        [{"op": "add", "path": f"{ENTERPRISE}:manager", "value": "m1"}, {"op": "remove", "path": f"{ENTERPRISE}:manager"}],
        {ENTERPRISE: None},
    ),
    "no manager, by an empty one": (
        [
            {"op": "add", "path": f"{ENTERPRISE}:manager", "value": "m1"},
            {"op": "replace", "path": f"{ENTERPRISE}:manager", "value": ""},
        ],
        {ENTERPRISE: None},
    ),
    "a second address": (
        [
            {"op": "add", "path": "emails", "value": [{"value": "a@x.com", "primary": True}]},
            {"op": "add", "path": "emails", "value": {"value": "b@x.com", "primary": True}},
        ],
        {"emails": [{"value": "a@x.com", "primary": False}, {"value": "b@x.com", "primary": True}]},
    ),
    "one address goes": (
        [
            {"op": "add", "path": "emails", "value": [{"value": "a@x.com"}, {"value": "b@x.com"}]},
            {"op": "remove", "path": 'emails[value eq "A@X.com" and not (type pr)]'},
        ],
        {"emails": [{"value": "b@x.com"}]},
    ),
    "what is not kept": (
        [{"op": "replace", "path": "title", "value": "Boss"}, {"op": "add", "value": {"locale": "en"}}],
        {"userName": "ben"},
    ),
    "null takes away": ([{"op": "replace", "path": "externalId", "value": None}], {"externalId": None}),
}


CANNOT_BE: list[tuple[dict[str, Any], str]] = [
    ({"op": "move", "path": "active", "value": True}, "invalidSyntax"),
    ({"op": "replace", "path": "active", "value": "perhaps"}, "invalidValue"),
    ({"op": "replace", "path": "emails[", "value": "x"}, "invalidFilter"),
    ({"op": "replace", "path": 'emails[type xx "work"].value', "value": "x"}, "invalidFilter"),
    ({"op": "replace", "path": 'emails[type eq "work"', "value": "x"}, "invalidPath"),
    ({"op": "replace", "path": 'emails[type eq "work"].value.x', "value": "x"}, "invalidPath"),
    ({"op": "replace", "path": "user name", "value": "x"}, "invalidPath"),
    ({"op": "replace", "path": "active"}, "invalidValue"),
    ({"op": "add"}, "invalidValue"),
    ({"op": "add", "path": "emails", "value": [{"value": f"{n}@x"} for n in range(20_001)]}, ""),
    ({"op": "replace", "path": 'emails[type sw "w"].value', "value": "x"}, "noTarget"),
    ({"op": "remove"}, "noTarget"),
    ({"op": "remove", "path": "userName"}, "mutability"),
    ({"op": "replace", "path": "id", "value": "x"}, "mutability"),
    ({"op": "add", "path": "groups", "value": [{"value": "grp_1"}]}, "mutability"),
    ({"op": "replace", "path": "userName", "value": ""}, "invalidValue"),
    ({"op": "replace", "path": "userName", "value": 7}, "invalidValue"),
    ({"op": "replace", "path": "displayName", "value": "x\u202ey"}, "invalidValue"),
    ({"op": "add", "path": "emails", "value": [{"value": f"{n}@x"} for n in range(50)]}, "invalidValue"),
    ({"op": "add", "value": "x"}, "invalidValue"),
    ({"op": "replace", "path": ["active"], "value": True}, "invalidPath"),
]


class TestChanges:
    @pytest.mark.sqlite
    def test_are_taken_as_they_are_really_sent(self, client: Client) -> None:
        for what, (operations, expected) in SENT.items():
            user = new(client, externalId="00u7")
            after = fine(change(client, f"/Users/{user['id']}", *operations))
            assert {name: after.get(name) for name in expected} == expected, what
            assert fine(send(client, "GET", f"/Users/{user['id']}")) == after, what
            assert send(client, "DELETE", f"/Users/{user['id']}").status == 204

    @pytest.mark.sqlite
    def test_that_cannot_be_change_nothing(self, client: Client) -> None:
        user = new(client, externalId="00u7")
        where, good = f"/Users/{user['id']}", {"op": "replace", "path": "displayName", "value": "Bo"}
        for operation, kind in CANNOT_BE:
            wrong(change(client, where, good, operation), 400 if kind else 413, kind or None)
            assert fine(send(client, "GET", where)) == user, f"all of it or nothing: {operation}"
        wrong(change(client, where, *[good] * 1001), 413)
        for schemas in (5, None, {}, [], PATCH, [USER]):
            wrong(send(client, "PATCH", where, {"schemas": schemas, "Operations": [good]}), 400, "invalidSyntax")
        assert fine(send(client, "GET", where)) == user

    def test_of_two_at_once_none_is_lost(self, client: Client, world: World) -> None:
        user = new(client)
        answers: list[Answer] = []

        def one(number: int) -> None:
            operation = {"op": "add", "path": "emails", "value": [{"value": f"{number}@x.com"}]}
            answers.append(change(client, f"/Users/{user['id']}", operation))

        run_all([lambda number=number: one(number) for number in range(6)])  # type: ignore[misc]
        assert [answer.status for answer in answers] == [200] * 6
        after = fine(send(client, "GET", f"/Users/{user['id']}"))
        assert {one["value"] for one in after["emails"]} == {f"{n}@x.com" for n in range(6)} and after["meta"][
            "version"
        ] == 'W/"7"'
        world.verified()

    def test_of_a_version_that_is_no_more_are_refused(self, client: Client) -> None:
        user = new(client)
        where, first = f"/Users/{user['id']}", user["meta"]["version"]
        old = {"schemas": [USER], "userName": "ben", "active": True}
        fine(change(client, where, {"op": "replace", "path": "active", "value": False}, **{"If-Match": first}))
        for method, body in (("PUT", old), ("DELETE", None)):
            assert 'W/"2"' in wrong(send(client, method, where, body, **{"If-Match": first}), 412)
        assert fine(send(client, "GET", where))["active"] is False
        assert send(client, "GET", where, **{"If-None-Match": 'W/"2"'}).status == 304


def run_all(acts: list[Any]) -> None:
    threads = [threading.Thread(target=act) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)


FILTERS: list[tuple[str, list[str]]] = [
    ('userName eq "BEN"', ["ben"]),
    ('USERNAME Eq "ben"', ["ben"]),
    (f'{USER}:userName eq "ben"', ["ben"]),
    ('externalId eq "X2"', ["Carl"]),
    ('externalId eq "x2"', []),
    ('userName eq "nobody"', []),
    ('displayName eq "ben quill"', ["ben"]),
    ('emails.value eq "anne@home.org"', ["anne"]),
    ('emails[type eq "work" and value eq "anne@corp.com"]', ["anne"]),
    ('emails[type eq "home" and value eq "anne@corp.com"]', []),
    ('emails[value ew "home.org"] and active eq true', ["Carl", "anne"]),
    ("active eq false", ["ben"]),
    ('active eq "False"', ["ben"]),
    ('userName sw "a" or userName co "AR"', ["Carl", "anne"]),
    ('not (userName eq "ben") and active pr', ["Carl", "anne"]),
    ('userName ne "ben"', ["Carl", "anne"]),
    ('userName gt "b"', ["Carl", "ben"]),
    ('nickName eq "x"', []),
    (f'schemas eq "{USER}"', ["Carl", "anne", "ben"]),
    (f'schemas eq "{ENTERPRISE}"', []),
    (f"{ENTERPRISE}:manager.value pr", []),
    ('userName eq "a\\"b"', []),
]
NO_FILTERS = [
    "userName",
    "userName eq",
    'eq "x"',
    'userName is "x"',
    "userName eq x",
    '(userName eq "x"',
    "(" * 40 + "active pr" + ")" * 40,
    'active pr "',
    "a pr " * 500,
    " or ".join(["active pr"] * 51),
]


@pytest.mark.sqlite
class TestLists:
    @pytest.fixture
    def client(self, world: World) -> Iterator[Client]:
        with serving(world.embedded, ByToken()) as client:  # type: ignore[arg-type]
            for number, name in enumerate(("anne", "ben", "Carl")):
                emails = [{"value": f"{name}@corp.com", "type": "work"}, {"value": f"{name}@home.org", "type": "home"}]
                new(client, name, externalId=f"X{number}", displayName=f"{name} Quill", active=number != 1, emails=emails)
            yield client

    def test_by_filter(self, client: Client) -> None:
        for text, expected in FILTERS:
            found = fine(send(client, "GET", f"/Users?filter={quote(text)}"))
            assert sorted(one["userName"] for one in found["Resources"]) == expected, text
            assert found["totalResults"] == len(expected)

    def test_by_what_is_no_filter(self, client: Client) -> None:
        told = [wrong(send(client, "GET", f"/Users?filter={quote(text)}"), 400, "invalidFilter") for text in NO_FILTERS]
        assert [text for text, said in zip(NO_FILTERS, told, strict=True) if "` cannot be read at character " not in said] == []

    @pytest.mark.parametrize("operator", ["gt", "ge", "lt", "le"])
    def test_what_is_true_or_false_has_no_order(self, client: Client, operator: str) -> None:
        for text in (f"active {operator} true", f"emails[primary {operator} true]"):
            assert "no order" in wrong(send(client, "GET", f"/Users?filter={quote(text)}"), 400, "invalidFilter")

    def test_come_in_pages(self, client: Client) -> None:
        names = []
        for start in (1, 2, 3, 4):
            page = fine(send(client, "GET", f"/Users?startIndex={start}&count=1"))
            assert (page["totalResults"], page["startIndex"], page["itemsPerPage"]) == (3, start, len(page["Resources"]))
            names += [one["userName"] for one in page["Resources"]]
        assert sorted(names) == ["Carl", "anne", "ben"]
        assert fine(send(client, "GET", "/Users?startIndex=-5&count=-1"))["Resources"] == []
        wrong(send(client, "GET", "/Users?count=x"), 400, "invalidValue")

    def test_with_the_attributes_that_are_wanted(self, client: Client) -> None:
        [one] = fine(send(client, "GET", '/Users?filter=userName%20eq%20"ben"&attributes=emails.value,userName'))["Resources"]
        assert set(one) == {"schemas", "id", "userName", "emails"} and set(one["emails"][0]) == {"value"}
        [one] = fine(send(client, "GET", '/Users?filter=userName%20eq%20"ben"&excludedAttributes=emails,meta'))["Resources"]
        assert "emails" not in one and "meta" not in one and one["displayName"] == "ben Quill"
        wrong(send(client, "GET", "/Users?attributes=id&excludedAttributes=meta"), 400, "invalidValue")
        for text in ("attributes=a%20b", "excludedAttributes=emails%5B", "startIndex=x", "count=1.5"):
            wrong(send(client, "GET", f"/Users?{text}"), 400, "invalidValue")


class TestGroups:
    def test_have_members_who_are_the_services_own(self, client: Client, world: World) -> None:
        ben, carl, foreign = new(client, "ben"), new(client, "carl"), new(client, "eve", who="entra")
        group = fine(
            send(client, "POST", "/Groups", {"schemas": [GROUP], "displayName": "on-call", "members": [{"value": ben["id"]}]}),
            201,
        )
        where = f"/Groups/{group['id']}"
        assert fine(send(client, "GET", f"/Users/{ben['id']}"))["groups"] == [{"value": group["id"], "display": "on-call"}]
        after = fine(
            change(client, where, {"op": "Add", "path": "members", "value": [{"value": carl["id"]}, {"value": ben["id"]}]})
        )
        assert [one["value"] for one in after["members"]] == [ben["id"], carl["id"]]
        assert "no user" in wrong(
            change(client, where, {"op": "add", "path": "members", "value": [{"value": foreign["id"]}]}), 400, "invalidValue"
        )
        fine(change(client, where, {"op": "Remove", "path": "members", "value": [{"value": carl["id"]}]}))  # Entra's way
        fine(change(client, where, {"op": "replace", "value": {"id": group["id"], "displayName": "on call"}}))  # Okta's
        after = fine(change(client, where, {"op": "remove", "path": f'members[value eq "{ben["id"]}"]'}))
        assert "members" not in after and after["displayName"] == "on call"
        assert (
            fine(send(client, "GET", '/Groups?filter=displayName%20eq%20"On%20Call"&excludedAttributes=members'))["totalResults"]
            == 1
        )
        wrong(send(client, "GET", where, who="entra"), 404)
        assert send(client, "DELETE", where).status == 204
        wrong(send(client, "GET", where), 404)
        changed = [entry.body for entry in world.entries() if isinstance(entry.body, GroupChanged)]
        assert [(len(one.joined), len(one.left), one.removed) for one in changed] == [
            (1, 0, False),
            (1, 0, False),
            (0, 1, False),
            (0, 0, False),
            (0, 1, False),
            (0, 0, True),
        ]
        world.verified()


def moved(group: PeopleGroup | None, **now: Any) -> PeopleGroup:
    assert group is not None
    return replace(group, version=group.version + 1, **now)


@pytest.mark.sqlite
class TestWork:
    """What a service asks for is done beside everybody else, and bounded."""

    def test_decisions_go_on_while_a_group_is_changed(
        self, client: Client, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        where = f"/Groups/{fine(send(client, 'POST', '/Groups', {'schemas': [GROUP], 'displayName': 'g'}), 201)['id']}"
        held, let_go, patient = threading.Event(), threading.Event(), list[bool]()

        def slow(*given: Any) -> Any:
            held.set()
            patient.append(let_go.wait(20))
            return patched(*given)

        monkeypatch.setattr(groups, "patched", slow)
        answers: list[Answer] = []
        operation = {"op": "replace", "path": "externalId", "value": "x"}
        changing = threading.Thread(target=lambda: answers.append(change(client, where, operation)))
        changing.start()
        assert held.wait(20)
        session = world.open_session()
        context = {"remit": {"task": session.task, "session": session.id}}
        asked = {
            "subject": {"type": "Agent", "id": "bot"},
            "action": {"name": "tool.call"},
            "resource": {"type": "Tool", "id": "look"},
            "context": context,
        }
        decided = client.post("evaluation", asked, Authorization="Bearer ada")
        # Another process changes the same meanwhile: nothing of it is lost.
        change_group(
            world.runtime,
            GroupId(where.removeprefix("/Groups/")),
            lambda one: moved(one, name="theirs"),
            ANA,
        ).result()
        let_go.set()
        changing.join(30)
        assert decided.status == 200 and decided.body["decision"] is True and all(patient)
        [answer] = answers
        after = fine(answer)
        assert (after["displayName"], after["externalId"], after["meta"]["version"]) == ("theirs", "x", 'W/"3"')
        assert len(patient) == 2, "it was worked out again"
        world.verified()

    @pytest.mark.parametrize("kind", ["Groups", "Users"])
    def test_what_moves_each_time_is_refused_in_the_end(
        self, client: Client, world: World, monkeypatch: pytest.MonkeyPatch, kind: str
    ) -> None:
        user = new(client)
        group = fine(send(client, "POST", "/Groups", {"schemas": [GROUP], "displayName": "g"}), 201)
        tries: list[str] = []

        def moving(*given: Any) -> Any:
            tries.append(kind)
            if kind == "Groups":
                change_group(
                    world.runtime,
                    GroupId(group["id"]),
                    moved,
                    ANA,
                ).result()
            else:
                now = world.runtime.clock()
                person = world.store.person(PersonId(user["id"]))
                assert person is not None
                change_people(world.runtime, lambda: PeopleUpdate((next_version(person, person, now),)), ANA).result()
            return patched(*given)

        monkeypatch.setattr({"Groups": groups, "Users": users}[kind], "patched", moving)
        one = {"Groups": group, "Users": user}[kind]
        operation = {"op": "replace", "path": "displayName", "value": "mine"}
        assert "again" in wrong(change(client, f"/{kind}/{one['id']}", operation), 409)
        assert len(tries) == ATTEMPTS and fine(send(client, "GET", f"/{kind}/{one['id']}")).get("displayName") != "mine"
        world.verified()

    def test_too_much_of_it_is_refused_and_nothing_changes(
        self, client: Client, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ids = [new(client, f"u{number}")["id"] for number in range(20)]
        body = {"schemas": [GROUP], "displayName": "g", "members": [{"value": one} for one in ids]}
        where = f"/Groups/{fine(send(client, 'POST', '/Groups', body), 201)['id']}"
        monkeypatch.setattr(bounds, "MAX_WORK", 400)
        three = " or ".join(['value eq "q"'] * 3)
        one, long = {"op": "remove", "path": 'members[value co "q"]'}, {"op": "remove", "path": f"members[{three}]"}
        again = {"op": "add", "path": "members", "value": [{"value": ids[0]}]}
        for operations in ([one] * 8, [long] * 4, [again, one] * 5):
            fine(change(client, where, *operations))
            assert "in parts" in wrong(change(client, where, *operations, *operations[:2]), 413)
        assert len(fine(change(client, where, *[again] * 70))["members"]) == 20, "what adds looks at what there is once"
        leaving = [{"op": "remove", "path": f'members[value eq "{one}"]'} for one in ids[1:]]
        assert [one["value"] for one in fine(change(client, where, *leaving * 3))["members"]] == ids[:1], "so do identifiers"
        terms = quote(" or ".join(['displayName co "q"'] * 20))
        assert "userName eq" in wrong(send(client, "GET", f"/Users?filter={terms}"), 400, "tooMany")
        fine(change(client, where, {"op": "add", "path": "members", "value": body["members"]}))
        terms = quote(" or ".join(['members.value co "q"'] * 20))
        assert "displayName eq" in wrong(send(client, "GET", f"/Groups?filter={terms}"), 400, "tooMany")
        for filtered in ('userName eq "u7"', 'externalId eq "q" or userName eq "u7"'):
            assert fine(send(client, "GET", f"/Users?filter={quote(filtered)}"))["totalResults"] == 1
        terms = quote('displayName eq "g"')
        assert fine(send(client, "GET", f"/Groups?filter={terms}"))["totalResults"] == 1

    def test_who_is_asked_for_by_name_is_found_by_the_index(self, client: Client, world: World) -> None:
        new(client, "ben", externalId="00u7")
        world.store.people = None  # type: ignore[assignment,method-assign]
        for filtered in ('userName eq "BEN"', 'externalId eq "00u7"'):
            assert fine(send(client, "GET", f"/Users?filter={quote(filtered)}"))["totalResults"] == 1


class TestStrangers:
    PLACES = (
        ("GET", "/Users", None),
        ("POST", "/Users", {"schemas": [USER], "userName": "eve"}),
        ("GET", "/Groups", None),
        ("POST", "/Groups", {"schemas": [GROUP], "displayName": "g"}),
        ("GET", "/ServiceProviderConfig", None),
        ("GET", "/Schemas", None),
        ("GET", "/ResourceTypes", None),
        ("POST", "/Bulk", {}),
    )

    def test_who_provisions_nobody_is_told_nothing(self, client: Client, world: World) -> None:
        user = new(client)
        before = len(world.entries())
        mine = (
            ("GET", f"/Users/{user['id']}", None),
            ("DELETE", f"/Users/{user['id']}", None),
            ("PATCH", f"/Users/{user['id']}", {}),
        )
        for method, path, body in (*self.PLACES, *mine):
            for who in ("bot", "climber", "carl", "ada"):
                assert "provision" in wrong(send(client, method, path, body, who), 403)
            refused = send(client, method, path, body, "stranger")
            wrong(refused, 401)
            assert refused.headers["www-authenticate"] == "Bearer"
        assert len(world.entries()) == before

    def test_who_provisions_does_nothing_else(self, client: Client) -> None:
        for path in ("/v1/agents", "/v1/people", "/v1/log", "/v1/approvals"):
            assert client.send("GET", path, None, {"Authorization": "Bearer okta"}).status == 403

    def test_services_do_not_see_each_others_people(self, client: Client) -> None:
        user = new(client, "ben")
        for method, body in (("GET", None), ("DELETE", None), ("PUT", {"schemas": [USER], "userName": "x"})):
            wrong(send(client, method, f"/Users/{user['id']}", body, "entra"), 404)
        assert fine(send(client, "GET", '/Users?filter=userName%20eq%20"ben"', who="entra"))["totalResults"] == 0
        assert new(client, "ben", who="entra")["id"] != user["id"]


class TestFaults:
    def test_what_cannot_be_read_is_told_so_in_scims_shape(self, client: Client, world: World) -> None:
        before = len(world.entries())
        twice = b'{"schemas": ["' + USER.encode() + b'"], "userName": "ben", "userName": "eve"}'
        wrong(send(client, "POST", "/Users", twice), 400, "invalidSyntax")
        for body, status, kind in (
            (b"{", 400, "invalidSyntax"),
            (b"[]", 400, "invalidSyntax"),
            ({"schemas": [GROUP], "userName": "ben"}, 400, "invalidSyntax"),
            ({"userName": "ben"}, 400, "invalidSyntax"),
            ({"schemas": [USER]}, 400, "invalidValue"),
            ({"schemas": [USER], "userName": "x" * 5000}, 400, "invalidValue"),
            ({"schemas": [USER], "userName": ["a", "b"]}, 400, "invalidValue"),
            ({"schemas": [USER], "userName": "a\n"}, 400, "invalidValue"),
            (
                {
                    "schemas": [USER],
                    "userName": "a",
                    "emails": [{"value": "a@x", "primary": True}, {"value": "b@x", "primary": True}],
                },
                400,
                "invalidValue",
            ),
            ({"schemas": [USER], "userName": "a", "externalId": 7}, 400, "invalidValue"),
        ):
            wrong(send(client, "POST", "/Users", body), status, kind)
        wrong(send(client, "POST", "/Users", b"<user/>", **{"Content-Type": "text/xml"}), 415)
        assert client.send(
            "POST", "/scim/v2/Users", b"", {"Authorization": "Bearer okta", "Content-Length": str(MAX_BODY + 1)}
        ).status in (400, 413, 415)
        wrong(send(client, "POST", "/Users/x", {}), 405)
        wrong(send(client, "GET", "/Nothing"), 404)
        wrong(send(client, "POST", "/Bulk", {}), 501)
        wrong(send(client, "GET", "/Me"), 501)
        assert len(world.entries()) == before

    def test_a_name_is_given_once_however_many_ask_at_once(self, client: Client, world: World) -> None:
        answers: list[Answer] = []
        body = {"schemas": [USER], "userName": "ben"}
        run_all([lambda: answers.append(send(client, "POST", "/Users", body))] * 6)
        assert sorted(answer.status for answer in answers) == [201] + [409] * 5
        assert {answer.body["scimType"] for answer in answers if answer.status == 409} == {"uniqueness"}
        other = new(client, "eve")
        wrong(change(client, f"/Users/{other['id']}", {"op": "replace", "path": "userName", "value": "BEN"}), 409, "uniqueness")
        assert len(all_people(world.store, "scim:idp#okta")) == 2

    @pytest.mark.sqlite
    def test_half_a_request_changes_nothing(self, client: Client, world: World) -> None:
        user = new(client)
        body = json.dumps({"schemas": [PATCH], "Operations": [{"op": "replace", "path": "active", "value": False}]}).encode()
        head = (
            f"PATCH /scim/v2/Users/{user['id']} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer okta\r\n"
            f"Content-Type: application/scim+json\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode()
        for cut in (1, len(body) // 2, len(body) - 1):
            with socket.create_connection(("127.0.0.1", client.port), timeout=10) as connection:
                connection.sendall(head + body[:cut])
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(4096):
                    pass
        assert fine(send(client, "GET", f"/Users/{user['id']}")) == user

    @pytest.mark.sqlite
    def test_where_a_store_is_full_nobody_is_changed(self, client: Client, world: World) -> None:
        user = new(client)
        disk = failing_at(world, "INSERT OR REPLACE INTO people", DISK_FULL)
        where = f"/Users/{user['id']}"
        assert wrong(change(client, where, {"op": "replace", "path": "active", "value": False}), 503) == STORE_FAILED
        disk.mend()
        assert fine(send(client, "GET", where))["active"] is True
        assert fine(change(client, where, {"op": "replace", "path": "active", "value": False}))["active"] is False

    @pytest.mark.sqlite
    def test_a_fault_of_ours_is_told_in_scims_shape(self, client: Client, world: World) -> None:
        def broken(*_: object) -> None:
            raise ValueError("secret words")

        world.store.people_groups = broken  # type: ignore[assignment,method-assign]
        assert "ValueError" in wrong(send(client, "GET", "/Groups"), 500)
        assert b"secret" not in send(client, "GET", "/Groups").text


def test_two_names_of_which_a_service_says_that_they_are_one(client: Client, world: World) -> None:
    """Of an issuer whose subjects are what its directory calls people, the subject is the owner's."""
    new(client, "ben", externalId="00u7")
    approval = asked_for(world)
    assert "four eyes" in refusal(world, approval, "00U7")
    resolve(world.runtime, approval, Operator("carl", "idp"), True).result()


def test_it_describes_itself(client: Client, open_store: OpenStore) -> None:
    assert fine(send(client, "GET", "/ServiceProviderConfig"))["patch"] == {"supported": True}
    schemas = {one["id"]: one for one in fine(send(client, "GET", "/Schemas"))["Resources"]}
    assert set(schemas) == {USER, GROUP, ENTERPRISE}
    assert fine(send(client, "GET", f"/Schemas/{USER}")) == schemas[USER]
    assert [one["endpoint"] for one in fine(send(client, "GET", "/ResourceTypes"))["Resources"]] == ["/Users", "/Groups"]
    wrong(send(client, "GET", "/Schemas/urn:none"), 404)
    wrong(send(client, "GET", "/Schemas?filter=id%20pr"), 403)
