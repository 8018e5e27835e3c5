"""TLS of the server's own: tokens that are bound to the client's certificate, over real connections."""

import base64
import datetime
import hashlib
import http.client
import ipaddress
import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from remit.inventory.agents import with_identity
from remit.local.wiring import wall_clock
from remit.model.errors import ErrorKind
from remit.model.request import TOOL_CALL
from remit.runtime import administration
from tests.cli.running import error, ok
from tests.conftest import OpenStore
from tests.runtime.world import AGENT, ANA, World
from tests.server.idp import ISSUER, Idp

pytestmark = pytest.mark.sqlite
BORN = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
URL = "https://remit.test"


class Made(NamedTuple):
    """A certificate and its key."""

    certificate: x509.Certificate
    key: EllipticCurvePrivateKey

    def save(self, folder: Path, name: str) -> tuple[str, str]:
        """The two files."""
        cert, key = folder / f"{name}.pem", folder / f"{name}.key"
        cert.write_bytes(self.certificate.public_bytes(Encoding.PEM))
        key.write_bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return str(cert), str(key)

    @property
    def thumbprint(self) -> str:
        """What tokens are bound to (RFC 8705)."""
        digest = hashlib.sha256(self.certificate.public_bytes(Encoding.DER)).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def made(name: str, by: Made | None = None) -> Made:
    """A certificate for 127.0.0.1, by an authority or by itself."""
    key = generate_private_key(SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(by.certificate.subject if by else subject)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(BORN).not_valid_after(BORN + datetime.timedelta(days=36_500))
    builder = builder.add_extension(x509.BasicConstraints(by is None, None), True)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    return Made(builder.add_extension(names, False).sign(by.key if by else key, hashes.SHA256()), key)


class Secured(NamedTuple):
    """A server with TLS, and who may come."""

    port: int
    ca: str
    folder: Path
    world: World
    idp: Idp
    asked: dict[str, Any]

    def evaluate(self, token: str, certificate: tuple[str, str] | None) -> tuple[int, Any]:
        context = ssl.create_default_context(cafile=self.ca)
        if certificate is not None:
            context.load_cert_chain(*certificate)
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=context)
        try:
            headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}", "Host": "remit.test"}
            connection.request("POST", "/access/v1/evaluation", json.dumps(self.asked), headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def token(self, thumbprint: str) -> str:
        return self.idp.token("client-7", URL, cnf={"x5t#S256": thumbprint})


@contextmanager
def listening(folder: Path, *arguments: str) -> Iterator[int]:
    """The port of a server of `remit serve` with TLS; stopped by a signal, and must end well."""
    command = [sys.executable, "-P", "-m", "remit.cli.main", "serve", "--port", "0", *arguments]
    server = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None and server.stderr is not None
        line = server.stdout.readline()
        assert "listening on https://127.0.0.1:" in line, line + server.stderr.read()
        yield int(line.rpartition(":")[2])
    finally:
        server.terminate()
        server.communicate(timeout=20)
    assert server.returncode == 0


@pytest.fixture
def secured(open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Secured]:
    home = tmp_path / "home"
    world, idp, authority = open_store("home", clock=wall_clock), Idp(), made("authority")
    ca, _ = authority.save(tmp_path, "ca")
    cert, key = made("server", authority).save(tmp_path, "server")
    idp.publish(home / "idp.json")
    (home / "config.toml").write_text(f'url = "{URL}"\n[[issuers]]\nissuer = "{ISSUER}"\njwks_file = "idp.json"\n')
    monkeypatch.setenv("REMIT_HOME", str(home))
    administration.change_agent(
        world.runtime, AGENT, lambda known: with_identity(known, AGENT, f"{ISSUER}#client-7"), ANA
    ).result()
    session = world.open_session(world.open_task())
    asked = {
        "subject": {"type": "Agent", "id": AGENT},
        "action": {"name": TOOL_CALL},
        "resource": {"type": "Tool", "id": "secret"},
        "context": {"remit": {"task": session.task, "session": session.id}},
    }
    with listening(tmp_path, "--tls-cert", cert, "--tls-key", key, "--client-ca", ca) as port:
        authority.save(tmp_path, "authority")
        yield Secured(port, ca, tmp_path, world, idp, asked)


def test_a_token_that_is_bound_to_a_certificate(secured: Secured) -> None:
    authority = Made(
        x509.load_pem_x509_certificate((secured.folder / "authority.pem").read_bytes()),
        _key(secured.folder / "authority.key"),
    )
    mine, other = made("mine", authority), made("other", authority)
    certificate = mine.save(secured.folder, "mine")
    status, body = secured.evaluate(secured.token(mine.thumbprint), certificate)
    assert (status, body["decision"]) == (200, True), body
    assert [(one.proof, one.caller) for one in secured.world.decisions()] == [("mtls", f"agent:{ISSUER}#bot")]
    for shown in (None, other.save(secured.folder, "other")):
        status, body = secured.evaluate(secured.token(mine.thumbprint), shown)
        assert status == 401 and "certificate" in body["detail"], body
    assert len(secured.world.decisions()) == 1


def test_a_certificate_of_another_authority_gets_no_connection(secured: Secured) -> None:
    stranger = made("stranger", made("authority"))  # of the same name, and another key
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
        secured.evaluate(secured.token(stranger.thumbprint), stranger.save(secured.folder, "stranger"))
    assert not secured.world.decisions()


def test_without_tls_nobody_is_answered(secured: Secured) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", secured.port, timeout=5)
    with pytest.raises((ConnectionError, http.client.HTTPException, TimeoutError)):
        connection.request("GET", "/healthz")
        connection.getresponse()
    connection.close()


def test_the_verbs_that_ask_a_server_believe_the_authority_of_the_environment_alone(
    open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, authority, key = open_store("home", clock=wall_clock), made("authority"), str(tmp_path / "ana.jwk")
    ca, _ = authority.save(tmp_path, "ca")
    cert, cert_key = made("server", authority).save(tmp_path, "server")
    monkeypatch.setenv("REMIT_HOME", str(world.home))
    with listening(tmp_path, "--tls-cert", cert, "--tls-key", cert_key) as port:
        address = f"https://127.0.0.1:{port}"
        ok("agent", "key", key)
        token = ok("operator", "token", "ana", "--role", "administrator", "--key", key, "--url", address)
        (tmp_path / "token").write_text(token)
        for name, value in (
            ("HOME", tmp_path / "nothing"),
            ("SERVER", address),
            ("TOKEN_FILE", tmp_path / "token"),
            ("KEY_FILE", key),
        ):
            monkeypatch.setenv(f"REMIT_{name}", str(value))
        for verb in (("call", "GET", "/v1/caller"), ("doctor",)):
            said = error(*verb)
            assert said.kind is ErrorKind.UNAVAILABLE and "certificate" in said.message, "nobody vouches for it here"
        monkeypatch.setenv("SSL_CERT_FILE", ca)
        assert json.loads(ok("call", "GET", "/v1/caller"))["proof"] == "dpop"
        assert "this one is of `ana`, administrator" in error("doctor").message, "it was reached, and knows who asks"


def _key(file: Path) -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(file.read_bytes(), None)
    assert isinstance(key, EllipticCurvePrivateKey)
    return key
