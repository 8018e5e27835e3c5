"""The keys that others verify Remit's tokens with: public ones alone, in step with what signs, asked of a real server."""

import json
from collections.abc import Iterator

import jwt
import pytest

from remit.authentication.issuers import Discovery, TrustedIssuer
from remit.authentication.keys.fetching import fetch
from remit.authentication.keys.places import key_document
from remit.credentials.minting import LONGEST_SECONDS, TokenIssuer
from remit.local.trust import own_issuer
from remit.local.wiring import wall_clock
from remit.model.caller import Role
from remit.model.identity import AgentId, TaskId
from tests.conftest import OpenStore
from tests.runtime.world import World
from tests.server.serving import Client, serving

pytestmark = pytest.mark.sqlite
PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}


@pytest.fixture
def world(open_store: OpenStore) -> World:
    return open_store(clock=wall_clock)


@pytest.fixture
def client(world: World) -> Iterator[Client]:
    with serving(world.embedded) as client:
        issuer_of(client, world)  # as `remit serve` makes its key when it starts
        yield client


def url_of(client: Client) -> str:
    return f"http://127.0.0.1:{client.port}"


def issuer_of(client: Client, world: World) -> TokenIssuer:
    return own_issuer(world.home, url_of(client), wall_clock)


def keys_of(client: Client) -> list[dict[str, str]]:
    answer = client.send("GET", "/.well-known/jwks.json", None, {})
    assert answer.status == 200 and answer.headers["cache-control"] == "public, max-age=60"
    found: list[dict[str, str]] = answer.body["keys"]
    return found


def verified(client: Client, token: str) -> dict[str, object]:
    """The claims, as a library says that knows nothing of Remit but the address of its keys."""
    key = jwt.PyJWKClient(f"{url_of(client)}/.well-known/jwks.json").get_signing_key_from_jwt(token)
    claims: dict[str, object] = jwt.decode(
        token, key, algorithms=["ES256"], audience="https://other.example", issuer=url_of(client)
    )
    return claims


def test_strangers_verify_tokens_before_and_after_a_rotation(client: Client, world: World) -> None:
    own, other = issuer_of(client, world), "https://other.example"
    task = own.task_token(TaskId("tsk_1"), AgentId("bot"), other, wall_clock() + 900_000_000)
    assert verified(client, task)["task"] == "tsk_1"
    own.rotate()
    later = own.operator_token("ana", [Role.AUDITOR], other, 60)
    assert verified(client, later)["sub"] == "operator:ana"
    assert verified(client, task)["sub"] == "agent:bot", "what an old key signed stands until it expires"
    assert [jwt.get_unverified_header(one)["kid"] in {key["kid"] for key in keys_of(client)} for one in (task, later)] == [
        True
    ] * 2


def test_no_private_part_is_ever_told(client: Client, world: World) -> None:
    own = issuer_of(client, world)
    for _ in range(3):
        own.rotate()
    found = keys_of(client)
    assert len(found) == 4 and not any(PRIVATE & key.keys() for key in found)
    assert all((key["kty"], key["use"], key["alg"]) == ("EC", "sig", "ES256") for key in found)


def test_an_old_key_is_told_no_longer_than_its_tokens_last(open_store: OpenStore) -> None:
    world = open_store()
    with serving(world.embedded) as client:
        own = own_issuer(world.home, url_of(client), world.runtime.clock)
        old = keys_of(client)[0]["kid"]
        new = own.rotate()
        assert {key["kid"] for key in keys_of(client)} == {old, new}
        world.runtime.clock.forward(LONGEST_SECONDS + 1)  # type: ignore[attr-defined]
        assert {key["kid"] for key in keys_of(client)} == {new}


def test_what_was_kept_is_asked_for_by_its_tag(client: Client, world: World) -> None:
    first = client.send("GET", "/.well-known/jwks.json", None, {})
    tag = first.headers["etag"]
    again = client.send("GET", "/.well-known/jwks.json", None, {"If-None-Match": tag})
    assert (again.status, again.text) == (304, b"")
    issuer_of(client, world).rotate()
    after = client.send("GET", "/.well-known/jwks.json", None, {"If-None-Match": tag})
    assert after.status == 200 and after.headers["etag"] != tag


def test_another_remit_finds_the_keys_by_the_issuers_name_alone(client: Client) -> None:
    terms = TrustedIssuer(url_of(client), ("https://other.example",), discovery=Discovery.OAUTH)
    found = json.loads(key_document(terms, fetch))["keys"]
    assert [key["kid"] for key in found] == [key["kid"] for key in keys_of(client)]


def test_a_damaged_key_tells_nothing(client: Client, world: World) -> None:
    keys_of(client)
    (world.home / "issuer" / "signing.pem").write_text("-----BEGIN NOTHING-----")
    refused = client.send("GET", "/.well-known/jwks.json", None, {})
    assert refused.status == 503 and b"BEGIN" not in refused.text and str(world.home).encode() not in refused.text


def test_a_stranger_makes_no_key(client: Client, world: World) -> None:
    keys_of(client)
    folder = world.home / "issuer"
    folder.rename(world.home / "away")
    for _ in range(2):
        assert client.send("GET", "/.well-known/jwks.json", None, {}).status == 503
    assert not folder.exists()
    (world.home / "away").rename(folder)
    assert len(keys_of(client)) == 1
