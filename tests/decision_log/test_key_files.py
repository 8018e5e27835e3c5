"""The key's file: what is written, others read; what others write, is read; anything else is refused with words."""

import resource
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from remit.decision_log.keys import Ed25519Signer
from remit.model.errors import ErrorKind, RemitError


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    path.chmod(0o600)
    return path


def test_what_is_saved_is_the_pem_that_others_write(tmp_path: Path) -> None:
    signer = Ed25519Signer.generate("log.test")
    signer.save(tmp_path / "key")
    content = (tmp_path / "key").read_bytes()
    key = load_pem_private_key(content, password=None)
    assert isinstance(key, Ed25519PrivateKey)
    assert key.public_key().public_bytes_raw() == signer.public_key
    assert content == key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert Ed25519Signer.load("log.test", tmp_path / "key").public_key == signer.public_key


def test_a_key_that_the_disk_has_no_room_for_is_not_there(tmp_path: Path) -> None:
    """So that the same can be tried again: what is there half would be taken for a key, and refused."""
    signer, limits = Ed25519Signer.generate("log.test"), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, limits[1]))
    try:
        with pytest.raises(RemitError) as refusal:
            signer.save(tmp_path / "key")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert refusal.value.kind is ErrorKind.UNAVAILABLE and list(tmp_path.iterdir()) == []
    signer.save(tmp_path / "key")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("change", [lambda pem: pem, lambda pem: pem.replace(b"\n", b"\r\n"), lambda pem: b"a comment\n" + pem])
def test_pem_in_any_form_is_read(tmp_path: Path, change) -> None:
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = written(tmp_path / "key", change(pem))
    assert Ed25519Signer.load("log.test", path).public_key == key.public_key().public_bytes_raw()


def test_what_is_no_such_key_is_refused(tmp_path: Path) -> None:
    ours, pem = Ed25519PrivateKey.generate(), Encoding.PEM
    for content in (
        b"",
        b"x" * 31,
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        b"-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----\n",
        generate_private_key(SECP256R1()).private_bytes(pem, PrivateFormat.PKCS8, NoEncryption()),
        ours.private_bytes(pem, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")),
    ):
        with pytest.raises(RemitError) as refusal:
            Ed25519Signer.load("log.test", written(tmp_path / "key", content))
        assert refusal.value.kind is ErrorKind.MALFORMED
