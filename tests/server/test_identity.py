"""Callers who prove who they are: agents, people and doors, by tokens of several issuers, bound or not; asked of a real server."""

import json
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

from remit.decision_log.entry import PersonChanged, TokenIssued
from remit.inventory.agents import with_identity, with_status
from remit.local.config import Settings
from remit.local.issuing import agent_token, operator_token, task_token
from remit.local.people import Import
from remit.local.trust import own_issuer, read_trust
from remit.local.wiring import wall_clock
from remit.model.caller import Role
from remit.model.decision import Deny
from remit.model.errors import RemitError
from remit.model.identity import AgentId, AgentStatus
from remit.model.request import TOOL_CALL
from remit.model.task import Session
from remit.runtime import administration, tasks
from remit.runtime.people import all_people, erase_person
from remit.server.callers import Proven
from tests.conftest import OpenStore
from tests.runtime.test_opening import guarded
from tests.runtime.world import AGENT, ANA, World
from tests.server.idp import ISSUER, Holder, Idp
from tests.server.serving import Answer, Client, served, serving

pytestmark = pytest.mark.sqlite
CONFIG = f"""
[[issuers]]
issuer = "{ISSUER}"
jwks_file = "idp.json"
name_claim = "name"
roles_claim = "groups"
[issuers.roles]
administrator = ["admins"]
approver = ["approvers"]
auditor = ["audit"]
enforcement-point = ["doors"]
"""
AS_BOT = f"{ISSUER}#client-7"


class Net(NamedTuple):
    """A server that believes an issuer, on a store with an agent in its task."""

    client: Client
    world: World
    idp: Idp
    session: Session

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.client.port}"

    def asks(self, tool: str = "look", **more: Any) -> dict[str, Any]:
        return {
            "subject": {"type": "Agent", "id": AGENT},
            "action": {"name": TOOL_CALL},
            "resource": {"type": "Tool", "id": tool},
            "context": {"remit": {"task": self.session.task, "session": self.session.id}},
            **more,
        }

    def post(self, path: str, body: object, token: str, holder: Holder | None = None, **headers: str) -> Answer:
        """Ask with a token; a bound one is proven, again with the nonce if the server wants that."""
        sent = json.dumps(body).encode()
        for _ in range(2):
            answer = self.client.send(
                "POST", path, sent, {"Content-Type": "application/json", **self.shown("POST", path, token, holder), **headers}
            )
            if holder is None or "dpop-nonce" not in answer.headers:
                break
            holder.nonce = answer.headers["dpop-nonce"]
        return answer

    def shown(self, method: str, path: str, token: str, holder: Holder | None) -> Mapping[str, str]:
        if holder is None:
            return {"Authorization": f"Bearer {token}"}
        return {"Authorization": f"DPoP {token}", "DPoP": holder.proof(method, self.url + path, token)}

    def evaluate(self, token: str, holder: Holder | None = None, tool: str = "look", **headers: str) -> Answer:
        return self.post("/access/v1/evaluation", self.asks(tool), token, holder, **headers)

    def get(self, path: str, token: str) -> Answer:
        return self.client.send("GET", path, None, self.shown("GET", path, token, None))

    def token(self, subject: str, **claims: Any) -> str:
        return self.idp.token(subject, self.url, **claims)


@pytest.fixture
def net(open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Net]:
    home = tmp_path / "home"
    world, idp = open_store("home", clock=wall_clock), Idp()
    session = world.open_session(world.open_task())
    (home / "config.toml").write_text(CONFIG)
    idp.publish(home / "idp.json")
    monkeypatch.setenv("REMIT_HOME", str(home))
    administration.change_agent(world.runtime, AGENT, lambda known: with_identity(known, AGENT, AS_BOT), ANA).result()
    with served(tmp_path, dev=False) as client:
        yield Net(client, world, idp, session)


def test_nobody_is_nobody(net: Net) -> None:
    for path in ("/access/v1/evaluation", "/access/v1/evaluations", "/access/v1/search/resource", "/access/v1/requests"):
        refused = net.client.send("POST", path, json.dumps(net.asks()).encode(), {"Content-Type": "application/json"})
        assert refused.status == 401 and "token" in refused.body["detail"], path
        assert "Bearer" in refused.headers["www-authenticate"] or "DPoP" in refused.headers["www-authenticate"]
    assert net.client.send("GET", "/v1/approvals", None, {}).status == 401
    for sent in ("Basic Ym90OmJvdA==", "ApiKey x", "Bearer", "Bearer a b", "x"):
        answer = net.client.send("GET", "/v1/approvals", None, {"Authorization": sent})
        assert answer.status == 401 and "www-authenticate" in answer.headers, sent
    assert net.client.send("GET", "/healthz", None, {}).status == 200
    assert net.client.send("GET", "/.well-known/authzen-configuration", None, {}).body["policy_decision_point"] == net.url
    assert not net.world.decisions()


def test_nobody_is_named_behind_a_body(net: Net) -> None:
    """A proxy that looks at headers sees no trailers; nor does whoever believes it."""
    body, shown = json.dumps(net.asks()).encode(), f"Authorization: Bearer {net.token('client-7')}\r\n".encode()
    head = b"POST /access/v1/evaluation HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n"

    def asked(headers: bytes, trailers: bytes) -> bytes:
        chunks = b"%x\r\n%s\r\n0\r\n%s\r\n" % (len(body), body, trailers)
        with socket.create_connection(("127.0.0.1", net.client.port), timeout=20) as connection:
            connection.sendall(head + headers + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
            return connection.makefile("rb").readline().split()[1]

    assert [asked(shown, b""), asked(b"", shown)] == [b"200", b"401"]
    assert asked(shown, b"Authorization: Bearer x\r\nRemit-Task: x\r\nX-More: y\r\n") == b"200", "they are nothing to anybody"


def test_an_agent_of_an_issuer_that_is_trusted(net: Net) -> None:
    permitted = net.evaluate(net.token("client-7"))
    assert (permitted.status, permitted.body["decision"]) == (200, True)
    beyond = net.evaluate(net.token("client-7"), tool="read").body
    assert (beyond["decision"], beyond["context"]["reason"]) == (False, "proof-required"), "a bearer reaches the low tier only"
    holder = Holder()
    bound = net.token("client-7", cnf={"jkt": holder.thumbprint})
    assert net.evaluate(bound, holder, "read").body["decision"] is True
    assert [(made.caller, made.proof) for made in net.world.decisions()] == [
        (f"agent:{ISSUER}#bot", "bearer"),
        (f"agent:{ISSUER}#bot", "bearer"),
        (f"agent:{ISSUER}#bot", "dpop"),
    ]
    net.world.verified()


def test_a_token_that_is_not_right_is_none(net: Net) -> None:
    for change in (
        {"aud": "https://other.example"},
        {"iss": "https://evil.example"},
        {"exp": 1},
        {"exp": 1e12},
        {"nbf": 4_000_000_000},
        {"iat": 4_000_000_000, "exp": 4_000_000_100},
        {"cnf": {"jkt": "x"}},
        {"cnf": {"jkt": "A" * 43}},
        {"nonce": "for logging in"},
    ):
        refused = net.evaluate(net.token("client-7", **change))
        assert refused.status == 401 and "invalid_token" in refused.headers["www-authenticate"], change
        assert refused.headers["content-type"] == "application/problem+json"
    assert net.world.decisions() == []


def test_a_stranger_of_a_trusted_issuer_is_nobody_here(net: Net) -> None:
    refused = net.evaluate(net.token("client-8", name="mallory", groups=["guests"]))
    assert refused.status == 403 and "remit agent bind" in refused.body["detail"]
    assert net.evaluate(net.token("client-8", groups=["admins"])).status == 403, "without a name nobody is an administrator"


def test_another_issuer_does_not_speak_for_a_trust_domain(net: Net) -> None:
    spiffe = "spiffe://corp.example/agents/bot"
    administration.change_agent(net.world.runtime, AGENT, lambda known: with_identity(known, AGENT, spiffe), ANA).result()
    assert net.evaluate(net.token(spiffe)).status == 403
    assert net.evaluate(net.token(f"{AS_BOT}")).status == 403 and net.evaluate(net.token("client-7")).status == 200


def test_an_agent_asks_for_itself_alone(net: Net) -> None:
    net.world.register("other")
    token, door = net.token("client-7"), net.token("gateway", name="gateway", groups="doors")
    for subject in ({"type": "Agent", "id": "other"}, {"type": "user", "id": AGENT}, {"type": "Agent", "id": "BOT"}):
        assert net.post("/access/v1/evaluation", net.asks(subject=subject), door).status == 200
        assert net.post("/access/v1/evaluation", net.asks(subject=subject), token).status == 403, "what was read before, too"
        found = net.post("/access/v1/search/resource", net.asks(subject=subject, resource={"type": "Tool"}), token)
        assert found.status == 403
    several = net.post(
        "/access/v1/evaluations", {"evaluations": [net.asks(subject={"type": "Agent", "id": "other"}), net.asks()]}, token
    )
    assert [one["decision"] for one in several.body["evaluations"]] == [False, True]
    assert several.body["evaluations"][0]["context"]["error"]["status"] == 403


def test_an_identity_that_was_taken_away_is_nobodys_from_the_next_request_on(net: Net) -> None:
    from remit.inventory.agents import without_identity

    token = net.token("client-7")
    assert net.evaluate(token).status == 200
    administration.change_agent(net.world.runtime, AGENT, lambda known: without_identity(known, AGENT, AS_BOT), ANA).result()
    assert net.evaluate(token).status == 403


def test_roles_are_what_the_issuer_says_and_no_more(net: Net) -> None:
    net.evaluate(net.token("gateway", name="gateway", groups="doors"), tool="pay")
    who = {name: net.token(name, name=name, groups=[name]) for name in ("admins", "approvers", "audit", "doors")}
    seen = {name: net.get("/v1/approvals", token).status for name, token in who.items()}
    assert seen == {"admins": 200, "approvers": 200, "audit": 200, "doors": 403}
    assert net.get("/v1/approvals", net.token("client-7")).status == 403, "what waits is no agent's business"
    [waits] = net.get("/v1/approvals", who["approvers"]).body["items"]
    path = f"/v1/approvals/{waits['id']}"
    for name in ("admins", "audit", "doors"):
        assert net.post(f"{path}/answer", {"approve": True}, who[name]).status == 403, name
    told = net.get(path, net.token("client-7")).body
    assert told == {"id": waits["id"], "state": "pending"}, "the agent learns where it stands, not what its approver sees"
    assert net.evaluate(who["admins"]).status == 403, "an administrator is no door"
    answered = net.post(f"{path}/answer", {"approve": True}, who["approvers"])
    assert (answered.status, answered.body["resolver"]) == (200, "approvers")
    assert net.evaluate(who["doors"], tool="pay").body["decision"] is True
    assert net.world.decisions()[-1].proof == "vouched"


def test_an_agent_is_told_why_it_was_denied_and_not_by_whom(net: Net) -> None:
    door = net.token("gateway", name="gateway", groups="doors")
    net.evaluate(door, tool="pay")
    approver = net.token("approvers", name="carl", groups=["approvers"])
    [waits] = net.get("/v1/approvals", approver).body["items"]
    path = f"/v1/approvals/{waits['id']}"
    assert net.post(f"{path}/answer", {"approve": False, "why": "\n".join("x" * 2001)}, approver).status == 400
    assert net.post(f"{path}/answer", {"approve": False, "why": "pay it from account 7"}, approver).status == 200
    assert net.get(path, net.token("client-7")).body == {"id": waits["id"], "state": "denied", "why": "pay it from account 7"}
    assert "pay it from account 7" in net.evaluate(door, tool="pay").body["context"]["message"]


def test_an_agent_does_not_answer_for_itself_whatever_its_groups(net: Net) -> None:
    asked = net.evaluate(net.token("gateway", name="gateway", groups="doors"), tool="pay").body["context"]["approval"]["id"]
    token = net.token("client-7", name="bot", groups=["approvers", "admins"])
    assert net.post(f"/v1/approvals/{asked}/answer", {"approve": True}, token).status == 403


class TestOurOwn:
    """Tokens of the server's own issuer."""

    def test_an_agent_with_its_key(self, net: Net) -> None:
        own, holder = own_issuer(net.world.home, net.url, wall_clock), Holder()
        token = agent_token(net.world.embedded, own, AgentId(AGENT), 60, holder.public, ANA)
        assert net.evaluate(token, holder, "read").body["decision"] is True
        assert net.evaluate(token, None, "look").status == 401, "a bound token is no bearer"
        thief = Holder()
        assert net.evaluate(token, thief, "look").status == 401
        [issued] = [entry.body for entry in net.world.entries() if isinstance(entry.body, TokenIssued)]
        assert (issued.subject, issued.key, issued.operator) == ("agent:bot", holder.thumbprint, "ana")
        net.world.verified()

    def test_a_proof_counts_once(self, net: Net) -> None:
        own, holder = own_issuer(net.world.home, net.url, wall_clock), Holder()
        token = agent_token(net.world.embedded, own, AgentId(AGENT), 60, holder.public, ANA)
        assert net.evaluate(token, holder).status == 200  # and now it has the nonce
        path = "/access/v1/evaluation"
        shown = {"Content-Type": "application/json", **net.shown("POST", path, token, holder)}
        body = json.dumps(net.asks()).encode()
        assert net.client.send("POST", path, body, shown).status == 200
        again = net.client.send("POST", path, body, shown)
        assert again.status == 401 and "invalid_dpop_proof" in again.headers["www-authenticate"]
        elsewhere = {"Content-Type": "application/json", **net.shown("POST", "/access/v1/evaluations", token, holder)}
        assert net.client.send("POST", path, body, elsewhere).status == 401

    @pytest.mark.parametrize("name", ["bot@corp", "bot:1"])
    def test_a_proof_is_for_the_path_as_it_was_sent(self, net: Net, name: str) -> None:
        net.world.register(name)
        own, holder = own_issuer(net.world.home, net.url, wall_clock), Holder()
        token = operator_token(net.world.embedded, own, "ana", [Role.ADMINISTRATOR], 60, holder.public, ANA)
        path, status = f"/v1/agents/{quote(name, safe='')}", f"/v1/agents/{quote(name, safe='')}/status"

        def get(path: str, proven: str) -> int:
            answer = net.client.send("GET", path, None, net.shown("GET", proven, token, holder))
            holder.nonce = answer.headers.get("dpop-nonce", holder.nonce)
            return answer.status

        get(path, path)  # and now it has the nonce
        assert get(path, path) == get(path, path.replace("/bot", "/%62ot")) == get(path.replace("/bot", "/%62ot"), path) == 200
        assert [get(path, other) for other in (status, f"/v1/agents/{name}", "/v1/agents/bot")] == [401] * 3

    def test_a_person_with_a_role(self, net: Net) -> None:
        own = own_issuer(net.world.home, net.url, wall_clock)
        token = operator_token(net.world.embedded, own, "carl", [Role.AUDITOR], 60, None, ANA)
        assert net.get("/v1/approvals", token).status == 200
        assert net.post("/v1/approvals/apr_0/answer", {"approve": True}, token).status == 403

    def test_a_key_that_others_made_signs_nothing_here(self, net: Net, tmp_path: Path) -> None:
        forged = own_issuer(tmp_path / "elsewhere", net.url, wall_clock)
        assert net.evaluate(forged.agent_token(AgentId(AGENT), net.url, 60)).status == 401

    def test_a_task_token_carries_its_task_and_ends_with_it(self, net: Net) -> None:
        own, holder = own_issuer(net.world.home, net.url, wall_clock), Holder()
        assert net.session.task is not None
        given = task_token(
            net.world.embedded, own, net.session.task, 60, ANA, session=net.session.id, thumbprint=holder.thumbprint
        ).result()
        bare = net.asks("read", context={})
        door = net.token("gateway", name="gateway", groups="doors")
        relayed = net.post(
            "/access/v1/evaluation", bare, door, None, **{"Remit-Task": given, "Remit-Task-Key": holder.thumbprint}
        )
        assert relayed.body["decision"] is True, "a door names no task, the token does"
        unproven = net.post("/access/v1/evaluation", bare, door, None, **{"Remit-Task": given})
        assert unproven.status == 401 and "names in `Remit-Task-Key`" in unproven.body["detail"], "and proves whose it is"
        loose = task_token(net.world.embedded, own, net.session.task, 60, ANA, session=net.session.id).result()
        stolen = net.post("/access/v1/evaluation", bare, door, None, **{"Remit-Task": loose}).body
        assert stolen["context"]["reason"] == "proof-required"
        low = net.asks("look", context={})
        assert net.post("/access/v1/evaluation", low, door, None, **{"Remit-Task": loose}).body["decision"] is True
        assert net.evaluate(loose).body["decision"] is True, "it says who its agent is, too"
        other = net.world.open_session(net.world.open_task())
        elsewhere = net.asks("look", context={"remit": {"task": other.task, "session": other.id}})
        assert net.post("/access/v1/evaluation", elsewhere, loose).status == 403
        tasks.close_task(net.world.runtime, net.session.task, "ana").result()
        for ask in (net.evaluate(loose), net.post("/access/v1/evaluation", low, door, None, **{"Remit-Task": loose})):
            assert ask.status == 401 and "ended" in ask.body["detail"]

    def test_a_task_is_opened_just_in_time_by_whoever_shows_the_key_and_by_no_mere_bearer(self, net: Net) -> None:
        own, holder = own_issuer(net.world.home, net.url, wall_clock), Holder()
        bound = agent_token(net.world.embedded, own, AgentId(AGENT), 60, holder.public, ANA)
        bearer = agent_token(net.world.embedded, own, AgentId(AGENT), 60, None, ANA)
        net.world.publish(guarded())
        wanted = {"purpose": "the disk is full", "type": "incident", "seconds": 60}
        for kind in ("chore", "incident"):
            refused = net.post("/v1/tasks", {**wanted, "type": kind}, bearer)
            assert refused.status == 403 and "proof-required" in refused.body["detail"], refused.body
        assert not net.world.store.approvals(None, 9), "nobody is asked for a stolen token"
        assert net.post("/v1/tasks", {**wanted, "type": "chore"}, bound, holder).status == 200
        held = net.post("/v1/tasks", wanted, bound, holder)
        [request] = net.world.store.approvals(None, 9)
        assert held.status == 403 and request.id in held.body["detail"]
        path = f"/v1/approvals/{request.id}/answer"
        assert net.post(path, {"approve": True}, bound, holder).status == 403
        approver = net.token("eve", name="eve", groups="approvers")
        assert net.post(path, {"approve": True, "why": "on call"}, approver).body["state"] == "approved"
        opened = net.post("/v1/tasks", wanted, bound, holder)
        assert (opened.status, opened.body["opener"], opened.body["purpose_trusted"]) == (200, "bot", False)
        assert net.post("/v1/tasks", wanted, bound, holder).status == 403, "once"
        net.world.verified()

    def test_an_agent_that_may_not_act_is_given_none(self, net: Net) -> None:
        own, holder = own_issuer(net.world.home, net.url, wall_clock), Holder()
        token = agent_token(net.world.embedded, own, AgentId(AGENT), 60, holder.public, ANA)
        path = f"/v1/tasks/{net.session.task}/tokens"
        assert net.post(path, {}, token, holder).status == 201
        administration.change_agent(
            net.world.runtime, AGENT, lambda known: with_status(known, AGENT, AgentStatus.SUSPENDED), ANA
        ).result()
        refused = net.post(path, {}, token, holder)
        assert refused.status == 403 and "is suspended" in refused.body["detail"]
        with pytest.raises(RemitError, match="is suspended"):
            agent_token(net.world.embedded, own, AgentId(AGENT), 60, holder.public, ANA)

    def test_a_task_token_is_no_agents_token_for_others(self, net: Net) -> None:
        own = own_issuer(net.world.home, net.url, wall_clock)
        assert net.session.task is not None
        loose = task_token(net.world.embedded, own, net.session.task, 60, ANA).result()
        door = net.token("gateway", name="gateway", groups="doors")
        net.world.register("other")
        asked = net.asks(subject={"type": "Agent", "id": "other"}, context={})
        assert net.post("/access/v1/evaluation", asked, door, None, **{"Remit-Task": loose}).status == 403
        agent = agent_token(net.world.embedded, own, AgentId("other"), 60, None, ANA)
        assert net.post("/access/v1/evaluation", net.asks(context={}), door, None, **{"Remit-Task": agent}).status == 401


def test_an_address_that_its_issuer_has_not_verified_names_nobody(open_store: OpenStore) -> None:
    """Whoever may write their own address there would approve as somebody else."""
    world, idp, url = open_store(clock=wall_clock), Idp(), "https://remit.example"
    idp.publish(world.home / "idp.json")
    issuer = {"issuer": ISSUER, "jwks_file": "idp.json", "name_claim": "email", "roles_claim": "groups"}
    settings = Settings(issuers=({**issuer, "roles": {"approver": ["approvers"]}},))
    with serving(world.embedded, Proven(read_trust(settings, world.home, url, wall_clock), world.embedded, url)) as client:

        def asked(**claims: Any) -> Answer:
            token = idp.token("00u7", url, groups=["approvers"], email="ana@corp.example", **claims)
            return client.send("GET", "/v1/caller", None, {"Authorization": f"Bearer {token}"})

        for verified in (False, "false", None, 0, "", [True]):
            refused = asked(email_verified=verified)
            assert refused.status == 403 and "email_verified" in refused.body["detail"], verified
        for said in ({}, {"email_verified": True}, {"email_verified": "true"}):
            assert asked(**said).body["name"] == "ana@corp.example", "an issuer that says nothing of it verifies all"


@pytest.mark.parametrize(
    "given",
    [
        {"issuer": "https://idp.example#people"},
        {"issuer": "https://idp.example", "roles": {"administrator": ["a"]}},
        {"issuer": "https://idp.example", "roles_claim": "groups", "roles": {"agent": ["a"]}},
        {"issuer": "https://idp.example", "roles_claim": "groups", "roles": {"king": ["a"]}},
        {"issuer": "http://idp.example"},
        {"issuer": "https://idp.example", "algorithms": ["HS256"]},
        {"issuer": "https://idp.example", "algorithms": ["none"]},
        {"issuer": "https://idp.example", "unheard": 1},
        {"issuer": "http://127.0.0.1:8181"},
        {},
    ],
    ids=str,
)
def test_an_issuer_that_cannot_be_trusted_so_is_refused_at_the_start(tmp_path: Path, given: dict[str, Any]) -> None:
    with pytest.raises(RemitError):
        read_trust(Settings(issuers=(given,)), tmp_path, "http://127.0.0.1:8181", wall_clock)


@pytest.mark.parametrize(
    "url",
    ["", "remit.example", "http://remit.example", "https://remit.example/", "https://Remit.example", "https://a@remit.example"],
)
def test_an_address_that_is_none_is_refused_at_the_start(tmp_path: Path, url: str) -> None:
    with pytest.raises(RemitError):
        read_trust(Settings(), tmp_path, url, wall_clock)


class TestAnswersAreNobodyElses:
    """What was answered under an `Idempotency-Key` is answered again to the same authority alone."""

    def test_a_bearer_does_not_get_what_a_proof_was_given(self, net: Net) -> None:
        holder = Holder()
        bound = net.token("client-7", cnf={"jkt": holder.thumbprint})
        assert net.evaluate(bound, holder, "read").body["decision"] is True
        keyed = {"Idempotency-Key": "same"}
        permitted = net.evaluate(bound, holder, "read", **keyed).body
        assert permitted["decision"] is True
        assert net.evaluate(net.token("client-7"), None, "read", **keyed).body["context"]["reason"] == "proof-required"
        assert net.evaluate(bound, holder, "read", **keyed).body == permitted

    def test_another_task_token_gets_its_own(self, net: Net) -> None:
        own = own_issuer(net.world.home, net.url, wall_clock)
        net.world.register("other")
        door = net.token("gateway", name="gateway", groups="doors")
        task = net.world.open_task(agent="other")
        assert net.session.task is not None
        mine = task_token(net.world.embedded, own, net.session.task, 60, ANA, session=net.session.id).result()
        others = task_token(net.world.embedded, own, task.id, 60, ANA).result()
        asked = net.asks("look", context={})
        first = net.post("/access/v1/evaluation", asked, door, None, **{"Remit-Task": mine, "Idempotency-Key": "k"})
        assert first.body["decision"] is True
        assert (
            net.post("/access/v1/evaluation", asked, door, None, **{"Remit-Task": others, "Idempotency-Key": "k"}).status == 403
        )

    def test_a_person_of_an_agents_name_is_another(self, net: Net) -> None:
        named = net.token("human", name=AGENT, groups=["doors"])
        keyed = {"Idempotency-Key": "k"}
        mine = net.evaluate(net.token("client-7"), **keyed).body["context"]["id"]
        assert net.evaluate(named, **keyed).body["context"]["id"] != mine
        assert [made.caller for made in net.world.decisions()] == [f"agent:{ISSUER}#bot", f"{ISSUER}#bot"]


def test_what_a_door_asked_with_a_task_token_is_the_doors(net: Net) -> None:
    own, holder = own_issuer(net.world.home, net.url, wall_clock), Holder()
    assert net.session.task is not None
    about = net.session.task, 60, ANA
    given = task_token(net.world.embedded, own, *about, session=net.session.id, thumbprint=holder.thumbprint).result()
    carried = {"Remit-Task": given, "Remit-Task-Key": holder.thumbprint}
    door, bot = net.token("gateway", name="gateway", groups="doors"), net.token("client-7")
    asked = net.asks("secret", context={"remit": {"door": True}})
    decision = net.post("/access/v1/evaluation", asked, door, **carried).body["context"]["id"]
    path, nothing = f"/v1/decisions/{decision}", {"status": "succeeded", "content": ""}
    for who, proven in ((bot, None), (given, holder)):
        assert net.post(f"{path}/act", {}, who, proven).status == 404
    assert net.post(f"{path}/act", {}, door).body == {"stands": True}
    for who, proven in ((bot, None), (given, holder)):
        assert net.post(f"{path}/outcome", nothing, who, proven).status == 404, "else it says that nothing came back"
    assert net.post(f"{path}/outcome", {"status": "succeeded", "content": "the secret"}, door).status == 200
    after = net.world.store.session(net.session.id)
    assert after is not None and after.label.confidentiality.value == "restricted"


def test_a_token_for_a_session_sees_and_reports_nothing_of_another(net: Net) -> None:
    own, holder = own_issuer(net.world.home, net.url, wall_clock), Holder()
    assert net.session.task is not None
    state = net.world.store.task(net.session.task)
    assert state is not None
    other = net.world.open_session(state.task)
    mine, theirs = [
        task_token(net.world.embedded, own, net.session.task, 60, ANA, session=one.id, thumbprint=holder.thumbprint).result()
        for one in (net.session, other)
    ]

    def ask(tool: str) -> dict[str, Any]:
        told: dict[str, Any] = net.post("/access/v1/evaluation", net.asks(tool), mine, holder).body["context"]
        return told

    def get(path: str, token: str) -> Answer:
        return net.client.send("GET", path, None, net.shown("GET", path, token, holder))

    used, held = ask("look")["id"], ask("pay")
    approval, report = held["approval"]["id"], {"status": "succeeded", "content": ""}
    places = [f"/v1/decisions/{used}", f"/v1/approvals/{approval}", f"/access/v1/requests/{approval}"]
    assert [get(place, theirs).status for place in places] == [404, 404, 404]
    assert [get(place, mine).status for place in places] == [200, 200, 200]
    for act, message in (("act", {}), ("outcome", report)):
        assert net.post(f"/v1/decisions/{used}/{act}", message, theirs, holder).status == 404
    assert net.post(f"/access/v1/requests/{approval}/cancel", {}, theirs, holder).status == 404
    for token, session, seen in ((theirs, other, set()), (mine, net.session, {used, held["id"]})):
        assert {one["id"] for one in get("/v1/decisions", token).body["items"]} == seen
        listed = get(f"/v1/tasks/{net.session.task}/sessions", token).body["items"]
        assert [one["id"] for one in listed] == [session.id]
    assert net.post(f"/v1/decisions/{used}/outcome", report, mine, holder).status == 200


def test_a_task_token_is_for_its_task_alone_in_access_requests_too(net: Net) -> None:
    own = own_issuer(net.world.home, net.url, wall_clock)
    asked = net.asks("pay")
    told = net.post("/access/v1/evaluation", asked, net.token("gateway", name="gateway", groups="doors")).body["context"]
    other = net.world.open_task()
    loose = task_token(net.world.embedded, own, other.id, 60, ANA).result()
    path = f"/access/v1/requests/{told['approval']['id']}"
    denial = {"evaluation_id": told["evaluation_id"], "expires_at": told["access_request"]["expires_at"]}
    assert net.get(path, loose).status == 404
    assert net.post("/access/v1/requests", {**asked, "denial": denial}, loose).status == 400
    assert net.post(f"{path}/cancel", {}, loose).status == 404
    assert net.get(path, net.token("client-7")).body["task"]["status"] == "pending"


def test_a_token_for_a_session_is_for_that_one(net: Net) -> None:
    own = own_issuer(net.world.home, net.url, wall_clock)
    assert net.session.task is not None
    token = task_token(net.world.embedded, own, net.session.task, 60, ANA, session=net.session.id).result()
    other = net.world.open_session(net.world.store.task(net.session.task).task)  # type: ignore[union-attr]
    assert net.evaluate(token).body["decision"] is True
    assert net.post("/access/v1/evaluation", net.asks(context={}), token).body["decision"] is True, "the session is the token's"
    elsewhere = net.asks(context={"remit": {"task": net.session.task, "session": other.id}})
    assert net.post("/access/v1/evaluation", elsewhere, token).status == 403
    assert net.post(f"/v1/tasks/{net.session.task}/sessions", {}, token).status == 403
    assert net.post(f"/v1/sessions/{other.id}/resume", {}, token).status == 404
    assert net.get(f"/v1/sessions/{net.session.id}", token).status == 200


def test_who_asked_or_submitted_does_not_approve(net: Net) -> None:
    both = net.token("gateway", name="Gateway", groups=["doors", "approvers"])
    told = net.evaluate(both, tool="wipe").body["context"]
    path = f"/v1/approvals/{told['approval']['id']}/answer"
    refused = net.post(path, {"approve": True}, both)
    assert refused.status == 403 and "somebody else" in refused.body["detail"]
    submitter = net.token("portal", name="portal", groups=["doors", "approvers"])
    denial = {"evaluation_id": told["evaluation_id"], "expires_at": told["access_request"]["expires_at"]}
    assert net.post("/access/v1/requests", {**net.asks("wipe"), "denial": denial}, submitter).status == 202
    assert net.post(path, {"approve": True}, submitter).status == 403
    for name in ("Ana", "BEN"):  # who opened the task, and who owns the agent, however they are written
        assert net.post(path, {"approve": True}, net.token(name, name=name, groups=["approvers"])).status == 403, name
    assert net.post(path, {"approve": True}, net.token("carl", name="carl", groups=["approvers"])).status == 200


def test_a_refusal_names_no_groups(net: Net) -> None:
    assert "admins" not in net.evaluate(net.token("client-8", name="mallory")).body["detail"]


def test_the_approver_sees_all_that_is_bound(net: Net) -> None:
    ours = {"task": net.session.task, "session": net.session.id, "upstream": "mcp:bank"}
    door = net.token("gateway", name="gateway", groups="doors")
    asked = net.asks("pay", context={"remit": ours, "beneficiary": "eve"})
    name = net.post("/access/v1/evaluation", asked, door).body["context"]["approval"]["id"]
    shown = net.get(f"/v1/approvals/{name}", net.token("carl", name="carl", groups=["approvers"])).body["shown"]
    assert shown["upstream"] == "mcp:bank" and shown["said"] == {"context": {"beneficiary": "eve"}}


def test_who_has_left_has_no_part_in_anything_whatever_their_token_says(net: Net) -> None:
    people = [
        Import(f"id,user_name,email,active\n1,ana,ana@corp.com,{active}\n".encode(), "file:csv", whole=False, most=100)
        for active in ("true", "false")
    ]
    tokens = (
        net.token("p1", name="ana@corp.com", groups=["admins"]),
        operator_token(
            net.world.embedded, own_issuer(net.world.home, net.url, wall_clock), "Ana", [Role.ADMINISTRATOR], 600, None, ANA
        ),
    )
    people[0].apply(net.world.embedded, ANA)
    assert [net.get("/v1/agents", token).status for token in tokens] == [200, 200]
    people[1].apply(net.world.embedded, ANA)
    for token in tokens:
        refused = net.get("/v1/agents", token)
        assert refused.status == 403 and "is gone" in refused.body["detail"]
    people[0].apply(net.world.embedded, ANA)
    assert [net.get("/v1/agents", token).status for token in tokens] == [200, 200]


class TestPeopleWhoLogIn:
    """An issuer whose tokens are remembered: by subject in the log, and by every other name that they say."""

    @pytest.fixture
    def net(self, open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Net]:
        home = tmp_path / "home"
        world, idp = open_store("home", clock=wall_clock), Idp()
        remembered = (
            CONFIG.replace('name_claim = "name"', 'name_claim = "sub"')
            + '[issuers.people]\nmanager = "boss"\ngroups = "groups"\n'
        )
        (home / "config.toml").write_text(remembered)
        idp.publish(home / "idp.json")
        monkeypatch.setenv("REMIT_HOME", str(home))
        administration.change_agent(world.runtime, AGENT, lambda known: with_identity(known, AGENT, AS_BOT), ANA).result()
        with served(tmp_path, dev=False) as client:
            yield Net(client, world, idp, world.open_session(world.open_task()))

    def token(self, net: Net, subject: str = "00u7", **claims: Any) -> str:
        said = {"preferred_username": "ben", "name": "Ben Ode", "email": "ben@corp.com", "boss": "max", "groups": ["approvers"]}
        return net.token(subject, **{**said, "email_verified": True, **claims})

    def test_who_was_erased_meanwhile_is_known_again_before_they_answer(self, net: Net) -> None:
        denied = net.world.ask(net.session, "wipe", {"table": "t"})
        assert isinstance(denied, Deny) and denied.approval is not None
        path = f"/v1/approvals/{denied.approval}/answer"
        assert net.post(path, {"approve": True}, self.token(net)).status == 403, "ben owns the agent"
        [ben] = all_people(net.world.store, "")
        erase_person(net.world.runtime, ben.id, ANA).result()
        assert net.post(path, {"approve": True}, self.token(net)).status == 403

    def test_are_one_with_whom_the_token_names(self, net: Net) -> None:
        denied = net.world.ask(net.session, "wipe", {"table": "t"})
        assert isinstance(denied, Deny) and denied.approval is not None
        answered = net.post(f"/v1/approvals/{denied.approval}/answer", {"approve": True}, self.token(net))
        assert answered.status == 403 and "four eyes" in answered.body["detail"], "ben owns the agent, whatever his subject is"
        [ben] = all_people(net.world.store, "")
        assert (ben.source, ben.external_id, ben.manager, ben.groups) == (f"login:{ISSUER}", "00u7", "max", ("approvers",))
        assert ben.names == {"ben", "ben@corp.com", "00u7", f"{ISSUER}#00u7"}
        for _ in range(3):
            assert net.get("/v1/approvals", self.token(net)).status == 200
        assert net.get("/v1/approvals", self.token(net, name="Ben O. Ode")).status == 200
        [again] = all_people(net.world.store, "")
        assert (again.id, again.version, again.name) == (ben.id, 2, "Ben O. Ode"), "only what is new is written"
        changed = [entry.body for entry in net.world.entries() if isinstance(entry.body, PersonChanged)]
        assert [(one.operator, one.verified_by) for one in changed] == [("login", ISSUER)] * 2
        assert not any(b"Ben O" in line or b"00u7" in line for line in net.world.store.log.lines())
        net.world.verified()

    def test_do_not_become_somebody_else_by_what_they_say_of_themselves(self, net: Net) -> None:
        denied = net.world.ask(net.session, "wipe", {"table": "t"})
        assert isinstance(denied, Deny) and denied.approval is not None
        assert net.get("/v1/approvals", self.token(net)).status == 200
        other = self.token(net, preferred_username="eve", email="eve@corp.com")
        assert net.post(f"/v1/approvals/{denied.approval}/answer", {"approve": True}, other).status == 403
        [ben] = all_people(net.world.store, "")
        assert {"ben", "ben@corp.com", "eve", "eve@corp.com"} < ben.names
        names = [self.token(net, preferred_username=f"eve{number}") for number in range(40)]
        assert [net.get("/v1/approvals", token).status for token in names][-1] == 403, (
            "no number of names makes the first forgotten"
        )
        assert "ben" in all_people(net.world.store, "")[0].names

    def test_are_gone_by_any_of_their_names(self, net: Net) -> None:
        gone = Import(b"id,user_name,active\n7,BEN@corp.com,false\n", "file:csv", whole=False, most=100)
        gone.apply(net.world.embedded, ANA)
        refused = net.get("/v1/approvals", self.token(net))
        assert refused.status == 403 and "is gone" in refused.body["detail"], "at their first request already"

    def test_say_nothing_that_was_not_verified_and_nothing_of_agents_or_strangers(self, net: Net) -> None:
        for verified in (False, None, "true"):
            assert net.get("/v1/approvals", self.token(net, email_verified=verified, boss=["x"], name=7)).status == 200
        [ben] = all_people(net.world.store, "")
        assert (ben.emails, ben.manager, ben.name) == ((), "", "")
        assert net.evaluate(self.token(net, "client-7")).status == 200
        assert net.evaluate(self.token(net, "gateway", groups=["doors"])).status == 200
        assert net.get("/v1/approvals", self.token(net, "00u8", groups=["others"])).status == 403
        assert net.get("/v1/approvals", self.token(net, aud="https://other.example")).status == 401
        assert len(all_people(net.world.store, "")) == 1

    def test_with_claims_that_cannot_be_kept_are_known_by_their_names_alone(self, net: Net) -> None:
        assert net.get("/v1/approvals", self.token(net, name="x" * 5000, preferred_username="a\u202eb")).status == 200
        [ben] = all_people(net.world.store, "")
        assert (ben.user_name, ben.name, ben.emails) == ("00u7", "", ())
