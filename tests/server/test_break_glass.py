"""Break-glass over HTTP: by roles that policy gives, by people alone, once for each key; what is answered under it says so."""

import threading
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest
from starlette.requests import Request

from remit.decision_log.entry import BreakGlassAsked, BreakGlassStarted
from remit.model.caller import UNPROVEN, Caller, Proof, Role
from remit.model.decision import Permit, Reason
from remit.model.identity import AgentId, BreakGlassId, Operator
from remit.pep.remote.messages import decision
from remit.runtime.emergency import break_glass
from remit.server.problems import Problem
from tests.conftest import OpenStore
from tests.runtime.world import Clock, World
from tests.server.serving import Answer, Client, serving
from tests.server.test_enforcing import asks, fine, get, refused, tell


def caller(name: str, *roles: Role, issuer: str = "idp") -> Caller:
    return Caller(name, frozenset(roles), issuer, Proof.DPOP)


PEOPLE = {
    "ada": caller("ada", Role.ADMINISTRATOR),
    "ann": caller("ann", Role.APPROVER),
    "abe": caller("abe", Role.APPROVER),
    "elsewhere": caller("abe", Role.APPROVER, issuer="another"),
    "owner": caller("ben", Role.ADMINISTRATOR, Role.APPROVER),
    "rex": caller("rex", Role.REVIEWER),
    "aud": caller("aud", Role.AUDITOR),
    "gateway": caller("gateway", Role.ENFORCEMENT_POINT),
    "nobody": caller("nobody"),
    "bot": Caller("bot", frozenset({Role.AGENT}), "idp", Proof.DPOP, AgentId("bot")),
    "both": Caller("other", frozenset({Role.AGENT, Role.ADMINISTRATOR}), "idp", Proof.DPOP, AgentId("other")),
    "development": Caller("development", frozenset(Role) - {Role.AGENT}, UNPROVEN, Proof.NONE),
}
WANTED = {"reason": "the queue is stuck", "incident": "INC-7", "agent": "bot", "tools": ["never"], "minutes": 10}
PATH = "/v1/break-glass"


class ByToken:
    """Knows its callers by name."""

    async def identify(self, request: Request) -> Caller:
        known = PEOPLE.get(request.headers.get("authorization", "").removeprefix("Bearer "))
        if known is None:
            raise Problem(HTTPStatus.UNAUTHORIZED, "say who you are")
        return known


@pytest.fixture
def world(open_store: OpenStore) -> World:
    world = open_store()
    world.register("other")
    return world


@pytest.fixture
def client(world: World) -> Iterator[Client]:
    with serving(world.embedded, ByToken()) as client:  # type: ignore[arg-type]
        yield client


def asked(client: Client, who: str = "ada", **more: Any) -> str:
    answer = tell(client, who, PATH, {**WANTED, **more})
    assert answer.status == 201, answer.text
    name: str = answer.body["id"]
    return name


def opened(client: Client) -> str:
    name = asked(client)
    assert fine(tell(client, "ann", f"{PATH}/{name}/confirm"))["stage"] == "open"
    return name


def of(world: World, kind: type) -> list[Any]:
    return [entry.body for entry in world.entries() if isinstance(entry.body, kind)]


def test_from_the_asking_to_the_review(client: Client, world: World, clock: Clock) -> None:
    session = world.open_session()
    call = asks({"agent": "bot", "task": session.task, "id": session.id}, "never")
    name = asked(client)
    assert not fine(tell(client, "bot", "evaluation", call))["decision"]
    fine(tell(client, "ann", f"{PATH}/{name}/confirm"))
    answer = tell(client, "bot", "evaluation", call)
    told = fine(answer)["context"]
    assert (told["reason"], told["break_glass"]) == ("break-glass", name) and name in told["message"]
    assert not [word for word in (b"INC-7", b"`ada`", b"`ann`", b"stuck") if word in answer.text], (
        "nobody tells an agent who, nor why"
    )
    given = decision(answer.text, clock.now)
    assert isinstance(given, Permit) and (given.reason, given.break_glass) == (Reason.BREAK_GLASS, name)
    health = fine(get(client, "aud", "/v1/health"))
    assert (health["break_glass_open"], health["break_glass_unreviewed"], health["break_glass_overdue"]) == (1, 0, 0)
    assert fine(tell(client, "abe", f"{PATH}/{name}/end", {"why": "it works"}))["ended_by"] == "abe"
    assert not fine(tell(client, "bot", f"/v1/decisions/{told['id']}/act"))["stands"]
    [waiting] = fine(get(client, "rex", f"{PATH}?unreviewed=true"))["items"]
    assert (waiting["id"], waiting["stage"], waiting["overdue"]) == (name, "ended", False)
    clock.forward(8 * 86_400)
    assert fine(get(client, "aud", "/v1/health"))["break_glass_overdue"] == 1
    verdict = {"verdict": "unjustified", "comment": "an approval would have done"}
    for who in ("ada", "ann"):
        refused(tell(client, who, f"{PATH}/{name}/review", verdict), 403)
    done = fine(tell(client, "rex", f"{PATH}/{name}/review", verdict))
    assert (done["stage"], done["verdict"], done["decisions"]) == ("reviewed", "unjustified", [told["id"]])
    assert fine(get(client, "aud", f"{PATH}/{name}")) == done
    assert fine(get(client, "rex", f"{PATH}?unreviewed=true"))["items"] == []
    world.verified()


@pytest.mark.parametrize(
    ("act", "message", "may"),
    [
        ("", WANTED, {"ada", "ann", "abe", "elsewhere"}),
        ("/confirm", {}, {"ann", "abe"}),
        ("/end", {}, {"ada", "ann", "abe", "elsewhere", "owner", "development"}),
    ],
    ids=["ask", "confirm", "end"],
)
def test_policy_and_four_eyes_say_who(client: Client, world: World, act: str, message: Any, may: set[str]) -> None:
    before = len(world.entries())
    name = asked(client)
    for who in PEOPLE.keys() - may:
        refused(tell(client, who, f"{PATH}/{name}{act}" if act else PATH, message), 403)
    refused(client.post(PATH, WANTED), 401)
    assert len(world.entries()) == before + 1
    for who in may:
        name = asked(client)
        assert tell(client, who, f"{PATH}/{name}{act}" if act else PATH, message).status in (200, 201), who


def test_who_may_look(client: Client) -> None:
    name = opened(client)
    for who in ("ada", "ann", "rex", "aud"):
        assert fine(get(client, who, f"{PATH}/{name}"))["asked_by"] == "ada"
    for who in ("bot", "both", "gateway", "nobody"):
        refused(get(client, who, PATH), 403)
        refused(get(client, who, f"{PATH}/{name}"), 403)
    refused(get(client, "ada", f"{PATH}/brg_0"), 404)
    refused(tell(client, "ann", f"{PATH}/brg_0/confirm"), 404)


def test_an_agent_is_told_of_its_own_alone(client: Client, world: World) -> None:
    name = opened(client)
    assert [one["id"] for one in fine(get(client, "bot", "/v1/watch"))["break_glass"]] == [name]
    assert fine(get(client, "both", "/v1/watch"))["break_glass"] == []
    assert isinstance(world.runtime.clock, Clock)
    world.runtime.clock.forward(600)
    assert fine(get(client, "bot", "/v1/watch"))["break_glass"] == []


def test_the_same_person_by_another_way_is_no_second_one(client: Client, world: World) -> None:
    asking = break_glass.EmergencyRequest("stuck", "INC-7", agent="bot", tools=("never",))
    name = break_glass.ask(world.runtime, asking, Operator("ann", "os")).result().id  # as the command line does
    assert "asked for it" in refused(tell(client, "ann", f"{PATH}/{name}/confirm"), 403)
    assert "nobody can tell" in refused(tell(client, "abe", f"{PATH}/{name}/confirm"), 403)
    name = BreakGlassId(asked(client))
    for who in ("ada", "carl"):
        with pytest.raises(Exception, match=r"asked for it|nobody can tell"):
            break_glass.confirm(world.runtime, name, Operator(who, "os")).result()
    assert of(world, BreakGlassStarted) == []


def test_two_confirm_at_once_and_one_does(client: Client, world: World) -> None:
    name = asked(client)
    found: list[Answer] = []
    threads = [
        threading.Thread(target=lambda who=who: found.append(tell(client, who, f"{PATH}/{name}/confirm")))
        for who in ("ann", "abe")
    ]  # type: ignore[misc]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status for answer in found) == [200, 409]
    assert len(of(world, BreakGlassStarted)) == 1


def test_it_is_done_once_for_a_key(client: Client, world: World) -> None:
    key = {"Idempotency-Key": "k1"}
    answers = [tell(client, "ada", PATH, WANTED, **key) for _ in range(3)]
    assert {answer.status for answer in answers} == {201} and len({answer.body["id"] for answer in answers}) == 1
    assert len(of(world, BreakGlassAsked)) == 1
    name = answers[0].body["id"]
    for _ in range(2):
        assert fine(tell(client, "ann", f"{PATH}/{name}/confirm", **key))["confirmed_by"] == "ann"
    refused(tell(client, "ann", f"{PATH}/{name}/confirm"), 409)
    assert len(of(world, BreakGlassStarted)) == 1


def test_lists_come_in_pages_newest_first(client: Client, clock: Clock) -> None:
    names = []
    for _ in range(3):
        names.insert(0, asked(client))
        clock.forward(1)
    first = fine(get(client, "aud", f"{PATH}?limit=2"))
    second = fine(get(client, "aud", f"{PATH}?limit=2&cursor={first['next_cursor']}"))
    assert [one["id"] for page in (first, second) for one in page["items"]] == names and second["next_cursor"] == ""
    assert fine(get(client, "aud", f"{PATH}?stage=open"))["items"] == []
    assert fine(get(client, "aud", f"{PATH}?agent=other"))["items"] == []
    refused(get(client, "aud", f"{PATH}?stage=shut"), 400)


@pytest.mark.parametrize(
    "change",
    [{"minutes": 61}, {"minutes": 0}, {"minutes": "5"}, {"reason": ""}, {"incident": "\n"}, {"tools": []}, {"tools": ["nver"]}, {"tools": "never"},
     {"task": "x", "agent": "bot"}, {"agent": ""}, {"more": 1}],
)  # fmt: skip
def test_what_cannot_be_asked_for_is_told_so(client: Client, world: World, change: dict[str, Any]) -> None:
    refused(tell(client, "ada", PATH, {**WANTED, **change}), 400)
    assert world.store.break_glasses() == []
