"""Remit's own issuer: what it mints verifies by our verifier and by another library, and nothing lasts longer than it should."""

import asyncio
import json
import multiprocessing
import stat
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from remit.authentication.issuers import TrustedIssuer
from remit.authentication.keys.holding import FixedKeys, HeldKeys, Terms
from remit.authentication.possession.dpop import Proofs
from remit.authentication.possession.replays import Nonces, ProofsInMemory
from remit.authentication.refusal import NotVerified
from remit.authentication.verify import Scheme, Shown, Verifier
from remit.authentication.waiting import awaited
from remit.credentials import key_files
from remit.credentials.minting import ACCESS_TYPE, LONGEST_SECONDS, TASK_TYPE, TokenIssuer
from remit.local.wiring import wall_clock
from remit.model.caller import Proof, Role
from remit.model.clock import MINUTE, SECOND
from remit.model.errors import ErrorKind, RemitError, unavailable
from remit.model.identity import AgentId, SessionId, TaskId
from tests.authentication.minting import WEAK_RSA_KEY, ath, new_key, public_jwk, sealed, thumbprint
from tests.runtime.world import Clock

NAME, AUDIENCE = "https://remit.example", "https://remit.example/api"
BOT, TASK = AgentId("bot"), TaskId("task_1")
URL = "https://remit.example/v1/tasks"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "issuer"


@pytest.fixture
def issuer(folder: Path, clock: Clock) -> TokenIssuer:
    return TokenIssuer(NAME, folder, clock)


def verifier(issuer: TokenIssuer, clock: Clock, kind: str = ACCESS_TYPE) -> Verifier:
    proofs = Proofs(ProofsInMemory(lambda: 0), Nonces())
    return Verifier([(TrustedIssuer(NAME, (AUDIENCE,), types=(kind,)), FixedKeys(issuer.key_set()))], clock, proofs)


def kind_of(refused: Any) -> ErrorKind:
    with pytest.raises(RemitError) as refusal:
        refused()
    return refusal.value.kind


def test_an_agents_token_says_who_it_is(issuer: TokenIssuer, clock: Clock) -> None:
    found = verifier(issuer, clock).verify(issuer.agent_token(BOT, AUDIENCE, 600))
    assert (found.issuer, found.subject, found.audience, found.proof) == (NAME, "agent:bot", AUDIENCE, Proof.BEARER)
    assert found.expires - found.issued == 600 * SECOND and len(found.id) == 32
    assert issuer.agent_token(BOT, AUDIENCE, 600) != issuer.agent_token(BOT, AUDIENCE, 600)


def test_an_operators_token_says_their_roles(issuer: TokenIssuer, clock: Clock) -> None:
    found = verifier(issuer, clock).verify(issuer.operator_token("ana", {Role.AUDITOR, Role.APPROVER}, AUDIENCE, 600))
    assert (found.subject, found.claims["roles"]) == ("operator:ana", ["approver", "auditor"])


def test_another_library_verifies_them_with_the_published_keys(issuer: TokenIssuer, clock: Clock) -> None:
    token = issuer.agent_token(BOT, AUDIENCE, 600)
    [published] = json.loads(issuer.key_set())["keys"]
    assert "d" not in published and published["kid"] == jwt.get_unverified_header(token)["kid"]
    options = {"verify_exp": False, "verify_iat": False}
    claims = jwt.decode(token, jwt.PyJWK(published), ["ES256"], audience=AUDIENCE, issuer=NAME, options=options)
    assert claims["sub"] == "agent:bot"


def test_an_access_token_is_one_as_the_standard_has_it(folder: Path) -> None:
    """RFC 9068, as a library says that knows nothing of Remit; it wants a `client_id`, too."""
    with warnings.catch_warnings(record=True):  # it points to joserfc, for keys, too
        from authlib.oauth2.rfc9068 import JWTBearerTokenValidator

    issuer = TokenIssuer(NAME, folder, wall_clock)

    class Resource(JWTBearerTokenValidator):  # type: ignore[misc]
        def get_jwks(self) -> Any:
            return json.loads(issuer.key_set())

    resource = Resource(NAME, AUDIENCE)
    for token in (issuer.agent_token(BOT, AUDIENCE, 600), issuer.operator_token("ana", [Role.AUDITOR], AUDIENCE, 600)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            claims = resource.authenticate_token(token)
        resource.validate_token(claims, [], None)
        assert claims["client_id"] == claims["sub"]


@pytest.mark.parametrize("key", [ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()])
def test_a_bound_token_needs_the_agents_key(issuer: TokenIssuer, clock: Clock, key: Any) -> None:
    token = issuer.agent_token(BOT, AUDIENCE, 600, public_jwk(key))
    alg = "ES256" if isinstance(key, ec.EllipticCurvePrivateKey) else "EdDSA"
    header = {"typ": "dpop+jwt", "alg": alg, "jwk": public_jwk(key)}
    proof = sealed(header, {"jti": "a", "htm": "GET", "htu": URL, "iat": clock.now // SECOND, "ath": ath(token)}, key, alg)
    verify = verifier(issuer, clock).verify
    assert verify(token, Shown(Scheme.DPOP, proof, "GET", URL)).key == thumbprint(key)
    with pytest.raises(NotVerified):
        verify(token)


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")  # the library warns where we refuse
def test_a_token_is_bound_to_no_key_that_no_proof_is_taken_of(issuer: TokenIssuer) -> None:
    unproven = ({"kty": "OKP", "crv": "X25519", "x": "A" * 43}, public_jwk(ec.generate_private_key(ec.SECP256K1())))
    for key in (*unproven, public_jwk(WEAK_RSA_KEY), {**public_jwk(WEAK_RSA_KEY), "crv": "P-256"}):
        assert kind_of(lambda key=key: issuer.agent_token(BOT, AUDIENCE, 60, key)) is ErrorKind.MALFORMED
    for alg in ("ES256", "ES384", "ES512", "EdDSA", "RS256"):
        issuer.agent_token(BOT, AUDIENCE, 60, public_jwk(new_key(alg)))


def test_a_token_is_bound_to_a_public_key_only(issuer: TokenIssuer) -> None:
    private = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1())))
    assert kind_of(lambda: issuer.agent_token(BOT, AUDIENCE, 60, private)) is ErrorKind.REFUSED
    assert kind_of(lambda: issuer.agent_token(BOT, AUDIENCE, 60, {"kty": "oct", "k": "c2VjcmV0"})) is ErrorKind.REFUSED
    for wrong in ({}, {"kty": "EC"}, {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}, {"kty": "AKP"}, {"kty": 1}):
        assert kind_of(lambda wrong=wrong: issuer.agent_token(BOT, AUDIENCE, 60, wrong)) is ErrorKind.MALFORMED


@pytest.mark.parametrize(("seconds", "left", "lasts"), [(900, 3600, 900), (900, 60, 60), (900, 60.9, 60), (900, 1, 1)])
def test_a_task_token_ends_with_its_task_or_before(
    issuer: TokenIssuer, clock: Clock, seconds: int, left: float, lasts: int
) -> None:
    expires = clock.now + int(left * SECOND)
    token = issuer.task_token(TASK, BOT, AUDIENCE, expires, seconds=seconds, session=SessionId("s_1"))
    found = verifier(issuer, clock, TASK_TYPE).verify(token)
    assert found.expires <= expires and found.expires == clock.now + lasts * SECOND
    assert (found.subject, found.claims["task"], found.claims["session"]) == ("agent:bot", TASK, "s_1")


def test_a_task_that_has_ended_gets_no_token(issuer: TokenIssuer, clock: Clock) -> None:
    for left in (0, -1, 0.5):
        expires = clock.now + int(left * SECOND)
        assert kind_of(lambda expires=expires: issuer.task_token(TASK, BOT, AUDIENCE, expires)) is ErrorKind.REFUSED


def test_a_task_token_is_no_identity_and_the_reverse(issuer: TokenIssuer, clock: Clock) -> None:
    task, identity = issuer.task_token(TASK, BOT, AUDIENCE, clock.now + MINUTE), issuer.agent_token(BOT, AUDIENCE, 60)
    for kind, wrong in ((ACCESS_TYPE, task), (TASK_TYPE, identity)):
        with pytest.raises(NotVerified, match="type"):
            verifier(issuer, clock, kind).verify(wrong)


def test_a_task_token_is_bound_to_the_key_of_who_asked(issuer: TokenIssuer, clock: Clock) -> None:
    key = "k" * 43
    token = issuer.task_token(TASK, BOT, AUDIENCE, clock.now + MINUTE, thumbprint=key)
    verify = verifier(issuer, clock, TASK_TYPE).verify
    assert verify(token, Shown(key=key)).key == key
    for presented in (Shown(), Shown(key="o" * 43)):
        with pytest.raises(NotVerified):
            verify(token, presented)


@pytest.mark.parametrize("seconds", [0, -1, LONGEST_SECONDS + 1])
def test_no_token_lasts_long(issuer: TokenIssuer, seconds: int) -> None:
    assert kind_of(lambda: issuer.agent_token(BOT, AUDIENCE, seconds)) is ErrorKind.MALFORMED


@pytest.mark.parametrize("name", ["", "a\nb", "a" * 257, "\u202e"])
def test_names_that_cannot_stand_in_a_token(issuer: TokenIssuer, name: str) -> None:
    assert kind_of(lambda: issuer.agent_token(AgentId(name), AUDIENCE, 60)) is ErrorKind.MALFORMED
    assert kind_of(lambda: issuer.operator_token(name, [], AUDIENCE, 60)) is ErrorKind.MALFORMED
    assert kind_of(lambda: issuer.agent_token(BOT, "", 60)) is ErrorKind.MALFORMED


def test_the_key_is_made_once_for_its_owner_alone(folder: Path, clock: Clock, issuer: TokenIssuer) -> None:
    path = folder / key_files.SIGNING
    before = path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert TokenIssuer(NAME, folder, clock).key_set() == issuer.key_set() and path.read_bytes() == before
    assert [file.name for file in folder.iterdir()] == [key_files.SIGNING]


def test_many_who_make_the_key_at_once_have_the_same(folder: Path) -> None:
    found: list[str] = []
    begin = threading.Barrier(8)

    def make() -> None:
        begin.wait()
        found.append(key_files.load_or_make(folder).id)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and len(set(found)) == 1


def test_a_key_that_others_may_read_is_refused(folder: Path, clock: Clock, issuer: TokenIssuer) -> None:
    (folder / key_files.SIGNING).chmod(0o640)
    assert kind_of(lambda: TokenIssuer(NAME, folder, clock)) is ErrorKind.REFUSED


def test_what_is_no_such_key_is_refused_and_not_replaced(folder: Path, clock: Clock) -> None:
    folder.mkdir()
    path = folder / key_files.SIGNING
    plain, p384 = NoEncryption(), ec.generate_private_key(ec.SECP384R1())
    for content in (
        b"",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        p384.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, plain),
        ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, plain),
        p384.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")),
    ):
        path.write_bytes(content)
        path.chmod(0o600)
        assert kind_of(lambda: TokenIssuer(NAME, folder, clock)) is ErrorKind.MALFORMED
        assert path.read_bytes() == content
    path.unlink()
    path.mkdir()
    assert kind_of(lambda: TokenIssuer(NAME, folder, clock)) is ErrorKind.MALFORMED


def test_a_key_from_elsewhere_is_read(folder: Path, clock: Clock) -> None:
    folder.mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    path = folder / key_files.SIGNING
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    path.chmod(0o600)
    assert json.loads(TokenIssuer(NAME, folder, clock).key_set())["keys"][0]["kid"] == thumbprint(key)


def test_old_tokens_stand_until_they_expire_after_a_new_key_signs(folder: Path, clock: Clock, issuer: TokenIssuer) -> None:
    old_token, old_key = issuer.agent_token(BOT, AUDIENCE, LONGEST_SECONDS), (folder / key_files.SIGNING).read_bytes()
    new_id = issuer.rotate()
    new_token = issuer.agent_token(BOT, AUDIENCE, 60)
    assert jwt.get_unverified_header(new_token)["kid"] == new_id != jwt.get_unverified_header(old_token)["kid"]
    assert (folder / key_files.SIGNING).read_bytes() != old_key
    for file in folder.rglob("*.json"):
        assert '"d"' not in file.read_text() and stat.S_IMODE(file.stat().st_mode) == 0o600
    for token in (old_token, new_token):
        assert verifier(issuer, clock).verify(token)
    assert len(json.loads(issuer.key_set())["keys"]) == 2
    clock.forward(LONGEST_SECONDS)
    assert [key["kid"] for key in json.loads(issuer.key_set())["keys"]] == [new_id]
    issuer.rotate()
    assert len(list((folder / key_files.RETIRED).iterdir())) == 1  # what has run out is gone


def test_a_key_that_somebody_else_knows_verifies_nothing_any_more(folder: Path, clock: Clock, issuer: TokenIssuer) -> None:
    """Nor does one before it; nor in a process that began with it."""
    known = TokenIssuer(NAME, folder, clock)
    held = HeldKeys(known.key_set, Terms(NAME, MINUTE, SECOND, 5 * MINUTE), clock)
    other = Verifier([(TrustedIssuer(NAME, (AUDIENCE,)), held)], clock)
    first = issuer.agent_token(BOT, AUDIENCE, LONGEST_SECONDS)
    issuer.rotate()
    second = known.agent_token(BOT, AUDIENCE, LONGEST_SECONDS), issuer.agent_token(BOT, AUDIENCE, LONGEST_SECONDS)
    for token in (first, *second):
        assert asyncio.run(awaited(lambda token=token: other.verify(token)))
    fresh = issuer.rotate(refuse=True)
    clock.forward(120)
    for token in (first, *second):
        with pytest.raises(NotVerified):
            asyncio.run(awaited(lambda token=token: other.verify(token)))
    known.reload()
    assert asyncio.run(awaited(lambda: other.verify(known.agent_token(BOT, AUDIENCE, 60)))) and known.key == fresh
    assert list((folder / key_files.RETIRED).iterdir()) == []


def test_whoever_has_the_folder_shares_its_secret(folder: Path, tmp_path: Path, clock: Clock, issuer: TokenIssuer) -> None:
    file, found = folder / key_files.SHARED, list[bytes]()
    threads = [threading.Thread(target=lambda: found.append(TokenIssuer(NAME, folder, clock).secret())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    issuer.rotate(refuse=True)
    assert set(found) == {issuer.secret()} and len(found) == 8 and len(found[0]) == 32
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and issuer.secret() != TokenIssuer(NAME, tmp_path / "b", clock).secret()
    file.chmod(0o640)
    assert kind_of(issuer.secret) is ErrorKind.REFUSED
    file.chmod(0o600)
    file.write_bytes(b"short")
    assert kind_of(issuer.secret) is ErrorKind.MALFORMED


def test_where_no_secret_can_be_written_nobody_shares_one(issuer: TokenIssuer, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes, *, replace: bool) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(key_files, "_write", full)
    assert issuer.secret() != issuer.secret()


def test_a_rotation_that_is_cut_off_loses_no_token(folder: Path, issuer: TokenIssuer, clock: Clock, monkeypatch: Any) -> None:
    token = issuer.agent_token(BOT, AUDIENCE, 60)
    whole, calls = key_files._write, []

    def failing(path: Path, content: bytes, *, replace: bool) -> None:
        calls.append(path.name)
        if path.name == key_files.SIGNING:
            raise OSError(28, "No space left on device")
        whole(path, content, replace=replace)

    monkeypatch.setattr(key_files, "_write", failing)
    assert kind_of(issuer.rotate) is ErrorKind.UNAVAILABLE
    assert len(calls) == 2 and verifier(issuer, clock).verify(token)
    assert verifier(TokenIssuer(NAME, folder, clock), clock).verify(issuer.agent_token(BOT, AUDIENCE, 60))


def _rotating(folder: Path, begin: Any, refuse: bool, told: Any) -> None:
    own, said, write = TokenIssuer(NAME, folder, wall_clock), [], key_files._write

    def slow(path: Path, content: bytes, *, replace: bool) -> None:
        time.sleep(0.005)  # as a disk has it
        write(path, content, replace=replace)

    key_files._write = slow
    begin.wait(60)
    for _ in range(10):
        own.rotate(refuse=refuse)
        said.append(own.agent_token(BOT, AUDIENCE, 600))
    told.put(said)


@pytest.mark.parametrize("refuse", [False, True])
def test_many_processes_that_rotate_at_once_lose_no_key_and_bring_none_back(folder: Path, refuse: bool) -> None:
    """What the last of them signs stands; so does all that any has signed, unless one refuses what was before."""
    spawn = multiprocessing.get_context("spawn")
    issuer = TokenIssuer(NAME, folder, wall_clock)
    first, begin, told = issuer.agent_token(BOT, AUDIENCE, 600), spawn.Barrier(4), spawn.Queue()
    many = [spawn.Process(target=_rotating, args=(folder, begin, refuse and place == 0, told)) for place in range(4)]
    for one in many:
        one.start()
    while any(one.is_alive() for one in many):
        check = verifier(issuer, wall_clock)  # whoever reads meanwhile has all
        if not refuse:
            assert check.verify(first)
    tokens = [token for _ in many for token in told.get(timeout=10)]
    for one in many:
        one.join(20)
        assert one.exitcode == 0
    check = verifier(issuer, wall_clock)
    issuer.reload()
    assert len(tokens) == 40 and check.verify(issuer.agent_token(BOT, AUDIENCE, 600))
    if refuse:
        with pytest.raises(NotVerified):
            check.verify(first)
    else:
        assert all(check.verify(token) for token in (first, *tokens))
        assert len({jwt.get_unverified_header(token)["kid"] for token in tokens}) == 40


def test_a_rotation_that_is_not_put_on_record_replaces_nothing(folder: Path, issuer: TokenIssuer) -> None:
    before = issuer.key

    def record(old: str) -> None:
        assert old == before
        raise unavailable("the store is gone")

    assert kind_of(lambda: issuer.rotate(record=record)) is ErrorKind.UNAVAILABLE
    assert issuer.key == before == key_files.load(folder).id


def test_a_retired_key_that_was_tampered_with_is_named(folder: Path, issuer: TokenIssuer) -> None:
    issuer.rotate()
    [file] = (folder / key_files.RETIRED).iterdir()
    kept = json.loads(file.read_text())
    other = {**kept, "jwk": {**kept["jwk"], "kid": "other"}}
    for content in (
        "",
        '{"jwk":{},"until":"never"}',
        '{"jwk":{},"until":1}',
        json.dumps(other),
        json.dumps({**kept, "jwk": {**kept["jwk"], "d": "AA"}}),
    ):
        file.write_text(content)
        assert kind_of(issuer.key_set) is ErrorKind.CORRUPT


def test_another_process_verifies_with_the_folder_as_it_is(folder: Path, issuer: TokenIssuer, clock: Clock) -> None:
    held = HeldKeys(TokenIssuer(NAME, folder, clock).key_set, Terms(NAME, 300 * SECOND, SECOND, 3600 * SECOND), clock)
    other = Verifier([(TrustedIssuer(NAME, (AUDIENCE,)), held)], clock)
    assert asyncio.run(awaited(lambda: other.verify(issuer.agent_token(BOT, AUDIENCE, 60))))
    issuer.rotate()
    clock.forward(1)
    assert asyncio.run(awaited(lambda: other.verify(issuer.agent_token(BOT, AUDIENCE, 60))))


def test_a_process_signs_with_the_key_that_another_made(folder: Path, issuer: TokenIssuer, clock: Clock) -> None:
    other = TokenIssuer(NAME, folder, clock)
    new_id = issuer.rotate()
    other.reload()
    assert jwt.get_unverified_header(other.agent_token(BOT, AUDIENCE, 60))["kid"] == new_id


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "file").write_text("")
    assert kind_of(lambda: TokenIssuer(NAME, tmp_path / "file" / "issuer", clock)) is ErrorKind.UNAVAILABLE
