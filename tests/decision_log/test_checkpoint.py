"""Checkpoints and keys against the C2SP specifications: their published examples, a checkpoint found in the wild, and strictness."""

import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from remit.decision_log.checkpoint import (
    MAX_SIGNATURES,
    Checkpoint,
    parse_checkpoint,
    sign_checkpoint,
    split_note,
    verify_checkpoint,
)
from remit.decision_log.keys import Ed25519Signer, Ed25519Verifier
from remit.decision_log.verify.notes import WITNESS_KEY, Wrong, read_key, read_note
from remit.model.errors import ErrorKind, RemitError
from remit.model.signing import VerificationKey
from tests.decision_log.building import ORIGIN, private_key, signature, vkey

GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
SPEC_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
SPEC_NOTE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
# A checkpoint of a public Certificate Transparency log of 2026, with another signature of the log and four witnesses.
CT_KEY = "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f"
CT_WITNESS = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2"
CT_NOTE = """\
arche2025h1.staging.ct.transparency.dev
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

— arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI\
4kJXFbon5Ch9MNL5zRNZ55lvGt0=
— arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
— transparency.dev/DEV:witness-little-garden 2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/KYTzwZ2rhIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44v\
dgJY096st5BQ==
— remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==
"""

CHECKPOINT = Checkpoint(ORIGIN, 7, b"r" * 32)
names = st.text(min_size=1).filter(lambda text: text.isprintable() and "+" not in text and not any(map(str.isspace, text)))


def signer() -> Ed25519Signer:
    return Ed25519Signer(ORIGIN, private_key())


def verifier(text: str | None = None) -> Ed25519Verifier:
    return Ed25519Verifier(VerificationKey.parse(text or vkey(private_key())))


def refusal(note: str) -> ErrorKind:
    with pytest.raises(RemitError) as caught:
        verify_checkpoint(note, verifier())
    return caught.value.kind


@pytest.mark.parametrize(("key", "note"), [(GO_KEY, GO_NOTE), (SPEC_KEY, SPEC_NOTE)])
def test_published_notes_verify(key: str, note: str) -> None:
    text, signatures = split_note(note)
    trusted = verifier(key)
    assert trusted.key.text == key
    assert [(found.name, found.key_id) for found in signatures] == [(trusted.key.name, trusted.key.id)]
    assert trusted.verify(text.encode(), signatures[0].signature)
    assert not trusted.verify(text.encode() + b"\n", signatures[0].signature)


def test_a_checkpoint_from_the_wild_verifies_although_most_of_its_keys_are_unknown() -> None:
    found = verify_checkpoint(CT_NOTE, verifier(CT_KEY))
    assert (found.origin, found.size) == ("arche2025h1.staging.ct.transparency.dev", 1432088532)


def test_the_offline_verifier_checks_a_cosignature_from_the_wild() -> None:
    witness, note = read_key(CT_WITNESS, WITNESS_KEY), read_note(CT_NOTE.encode())
    [signed] = [signature for name, id, signature in note.signatures if (name, id) == (witness.name, witness.id)]
    assert witness.cosigned(note, signed) == 1779573024
    assert witness.cosigned(note._replace(text=note.text.replace("1432088532", "1432088533")), signed) is None
    assert witness.cosigned(note, signed[:7] + bytes([signed[7] ^ 1]) + signed[8:]) is None


@given(names, st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32))
def test_what_is_signed_is_read_back_by_writer_and_verifier(name: str, size: int, root: bytes) -> None:
    checkpoint = Checkpoint(name, size, root)
    own = Ed25519Signer(name, private_key())
    note = sign_checkpoint(checkpoint, own)
    assert parse_checkpoint(checkpoint.text) == checkpoint
    assert verify_checkpoint(note, Ed25519Verifier(own.key)) == checkpoint
    offline = read_note(note.encode())
    assert (offline.origin, offline.size, offline.root, offline.text) == (name, size, root, checkpoint.text)
    assert read_key(own.key.text, 1).text == own.key.text


@pytest.mark.parametrize(
    "text",
    [
        "o\n07\n{root}\n",
        "o\n+7\n{root}\n",
        "o\n-0\n{root}\n",
        "o\n7_0\n{root}\n",
        "o\n٧\n{root}\n",
        "o\n \n{root}\n",
        "o\n9999999999999999999\n{root}\n",
        "o\n7\n{root}",
        "o\n7\n{root}\nextension\n",
        "o\n7\n{root}\n\n",
        "o\n7\n\n",
        "\n7\n{root}\n",
        "o o\n7\n{root}\n",
        "o+o\n7\n{root}\n",
        "o\u200b\n7\n{root}\n",
        "o\n7\n{loose}\n",
        "o\n7\n{url}\n",
        "o\n7\n {root}\n",
        "o\n7\ncnJycg==\n",
        "o\r\n7\r\n{root}\r\n",
        "",
    ],
)
def test_every_other_spelling_of_a_checkpoint_is_refused(text: str) -> None:
    root = "cnJycnJycnJycnJycnJycnJycnJycnJycnJycnJycnI="
    spelled = text.format(root=root, loose=root[:-2] + "J=", url=root.replace("c", "-"))
    assert parse_checkpoint(f"o\n7\n{root}\n").size == 7
    with pytest.raises(RemitError) as caught:
        parse_checkpoint(spelled)
    assert caught.value.kind is ErrorKind.MALFORMED
    if spelled.count("\n") == 3:
        with pytest.raises(Wrong):
            read_note(spelled.encode() + b"\n" + signature(private_key(), spelled).encode())


def test_unknown_signatures_are_passed_over_but_ours_must_verify() -> None:
    note = sign_checkpoint(CHECKPOINT, signer())
    stranger = signature(private_key(2), CHECKPOINT.text, "example.com/witness")
    impostor = signature(private_key(2), CHECKPOINT.text, ORIGIN)
    assert verify_checkpoint(note + stranger + impostor, verifier()) == CHECKPOINT
    assert (
        verify_checkpoint(f"{CHECKPOINT.text}\n{stranger}{signature(private_key(), CHECKPOINT.text)}", verifier()) == CHECKPOINT
    )
    assert refusal(f"{CHECKPOINT.text}\n{stranger}{impostor}") is ErrorKind.REFUSED
    assert refusal(note + signature(private_key(), "another text\n")) is ErrorKind.REFUSED
    assert refusal(note.replace("\n7\n", "\n8\n")) is ErrorKind.REFUSED


@pytest.mark.parametrize("cut", [1, 2, 40])
def test_a_note_that_is_none_is_malformed(cut: int) -> None:
    note = sign_checkpoint(CHECKPOINT, signer())
    assert refusal(note[:-cut]) is ErrorKind.MALFORMED
    assert refusal(note.replace("\n7\n", "\n7\t\n")) is ErrorKind.MALFORMED
    assert refusal(note.replace("— ", "- ")) is ErrorKind.MALFORMED
    assert refusal(note.replace("\n\n", "\n")) is ErrorKind.MALFORMED
    assert refusal(note + "— x AAAA\n") is ErrorKind.MALFORMED
    assert refusal(note + signature(private_key(2), "x", "w") * MAX_SIGNATURES) is ErrorKind.MALFORMED


def test_a_log_is_signed_for_by_its_own_key_only() -> None:
    other = Ed25519Signer("example.com/other", private_key())
    with pytest.raises(RemitError, match="does not sign for log"):
        sign_checkpoint(CHECKPOINT, other)
    text = CHECKPOINT.text
    with pytest.raises(RemitError, match="it is another log's"):
        verify_checkpoint(f"{text}\n{signature(private_key(), text, other.name)}", Ed25519Verifier(other.key))


def test_no_part_and_no_change_of_a_key_text_is_a_key() -> None:
    for start in range(len(GO_KEY)):
        for stop in range(start + 1, len(GO_KEY) + 1):
            if (start, stop) != (0, len(GO_KEY)):
                with pytest.raises(RemitError):
                    VerificationKey.parse(GO_KEY[start:stop])
    for place, char in enumerate(GO_KEY):
        changed = GO_KEY[:place] + chr(ord(char) + 1) + GO_KEY[place + 1 :]
        with pytest.raises(RemitError):
            VerificationKey.parse(changed)
        with pytest.raises(Wrong):
            read_key(changed, 1)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u00a0b", "a\nb", "a\u202eb"])
def test_names_that_cannot_stand_in_a_signature_line_are_refused(name: str) -> None:
    with pytest.raises(RemitError, match="cannot name"):
        VerificationKey(name, b"k" * 32)
    with pytest.raises(RemitError, match="cannot name"):
        Ed25519Signer.generate(name)


def test_a_key_has_32_bytes_and_a_root_too() -> None:
    with pytest.raises(RemitError, match="32 bytes"):
        VerificationKey("a", b"k" * 31)
    with pytest.raises(RemitError, match="the root has 32"):
        Checkpoint("a", 1, b"r" * 31)
    assert not verifier().verify(b"x", b"short")


def test_a_saved_key_is_private_and_signs_the_same(tmp_path: Path) -> None:
    made, file = Ed25519Signer.generate(ORIGIN), tmp_path / "log.key"
    made.save(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    loaded = Ed25519Signer.load(ORIGIN, file)
    assert loaded.key == made.key
    assert loaded.sign(b"x") == made.sign(b"x")
    assert Ed25519Verifier(made.key).verify(b"x", loaded.sign(b"x"))


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "log.key"
    signer().save(file)
    with pytest.raises(RemitError) as caught:
        Ed25519Signer.generate(ORIGIN).save(file)
    assert caught.value.kind is ErrorKind.CONFLICT
    assert Ed25519Signer.load(ORIGIN, file).key == signer().key


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660, 0o601])
def test_a_key_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "log.key"
    signer().save(file)
    file.chmod(mode)
    with pytest.raises(RemitError, match="chmod 600") as caught:
        Ed25519Signer.load(ORIGIN, file)
    assert caught.value.kind is ErrorKind.REFUSED


def test_a_raw_key_is_read_too(tmp_path: Path) -> None:
    file = tmp_path / "raw.key"
    file.touch(0o600)
    file.write_bytes(bytes([1]) * 32)
    assert Ed25519Signer.load(ORIGIN, file).key == signer().key


def test_files_without_a_usable_key_say_so(tmp_path: Path) -> None:
    with pytest.raises(RemitError) as caught:
        Ed25519Signer.load(ORIGIN, tmp_path / "none")
    assert caught.value.kind is ErrorKind.NOT_FOUND
    with pytest.raises(RemitError) as caught:
        Ed25519Signer.load(ORIGIN, tmp_path)
    assert caught.value.kind is ErrorKind.MALFORMED
    rsa = generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    locked = private_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    for number, content in enumerate([b"", b"x" * 31, b"x" * 33, b"-----BEGIN PRIVATE KEY-----\n", rsa, locked]):
        file = tmp_path / f"{number}.key"
        os.close(os.open(file, os.O_CREAT, 0o600))
        file.write_bytes(content)
        with pytest.raises(RemitError) as caught:
            Ed25519Signer.load(ORIGIN, file)
        assert caught.value.kind is ErrorKind.MALFORMED


def test_an_unwritable_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(RemitError) as caught:
        signer().save(tmp_path / "missing" / "log.key")
    assert caught.value.kind is ErrorKind.UNAVAILABLE
