"""Proofs as text, from the writer's code to the stranger's: what is proven verifies, and nothing that was changed does."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from remit.decision_log.merkle import consistency_proof, inclusion_proof, root_of
from remit.decision_log.proofs import growth_text, inclusion_text
from remit.decision_log.verify import ProofReport, UnusableInput, is_proof, verify_proof
from remit.decision_log.verify.__main__ import main
from tests.decision_log.building import Log, leaf, private_key, signed_note, vkey, write

KEY = private_key()
LOG = Log()
for number in range(11):
    LOG.add("decision", id=f"dec_{number}", effect="deny")
LEAVES = [leaf(line) for line in LOG.lines]


def note(size: int, key: Ed25519PrivateKey = KEY, lines: Sequence[bytes] = LOG.lines) -> str:
    """A signed checkpoint of the first entries."""
    return signed_note(lines[:size], key)


def over(start: int, stop: int) -> bytes:
    return root_of(LEAVES[start:stop])


def inclusion(index: int, size: int) -> str:
    return inclusion_text(LOG.lines[index], index, inclusion_proof(over, index, size), note(size))


def growth(first: int, size: int) -> str:
    return growth_text(first, consistency_proof(over, first, size), note(size))


def verified(path: Path, text: str, **given: Any) -> ProofReport:
    assert is_proof(write(path, text.encode()))
    return verify_proof(path, vkey(KEY), **given)


@pytest.mark.parametrize("size", range(1, 12))
def test_every_entry_of_every_size(tmp_path: Path, size: int) -> None:
    for index in range(size):
        report = verified(tmp_path / "p", inclusion(index, size))
        assert report.verified, report.finding
        assert (report.index, report.size, report.entry) == (index, size, json.loads(LOG.lines[index]))


@pytest.mark.parametrize("size", range(12))
def test_every_beginning_of_every_size(tmp_path: Path, size: int) -> None:
    for first in range(size + 1):
        report = verified(tmp_path / "p", growth(first, size), head=note(first))
        assert report.verified and report.before == first, report.finding


def test_no_byte_of_a_proof_can_be_changed(tmp_path: Path) -> None:
    for text, head in ((inclusion(6, 11), None), (growth(5, 11), note(5))):
        raw = text.encode()
        for place in range(len(raw)):
            for changed in (
                raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :],
                raw[:place] + raw[place + 1 :],
                raw[:place],
            ):
                if is_proof(write(tmp_path / "p", changed)):
                    assert not verify_proof(tmp_path / "p", vkey(KEY), head=head or note(5)).verified, (place, changed)


def test_what_a_forger_could_try(tmp_path: Path) -> None:
    other = base64.b64encode(LOG.lines[3]).decode()
    mine = base64.b64encode(LOG.lines[6]).decode()
    forged = {
        "another entry": inclusion(6, 11).replace(mine, other),
        "another place": inclusion(6, 11).replace("index 6", "index 7"),
        "a place past the end": inclusion(6, 11).replace("index 6", "index 11"),
        "no entry": "\n".join(line for line in inclusion(6, 11).split("\n") if not line.startswith("extra")),
        "another key": inclusion_text(LOG.lines[6], 6, inclusion_proof(over, 6, 11), note(11, private_key(2))),
        "a longer path": inclusion(6, 11).replace("index 6\n", "index 6\n" + base64.b64encode(bytes(32)).decode() + "\n"),
        "too many hashes": inclusion(6, 11).replace(
            "index 6\n", "index 6\n" + (base64.b64encode(bytes(32)).decode() + "\n") * 64
        ),
        "an odd number": inclusion(6, 11).replace("index 6", "index 06"),
    }
    for what, text in forged.items():
        report = verified(tmp_path / "p", text)
        assert not report.verified and report.finding and report.entry is None, what


def test_a_log_that_was_cut_written_anew_or_split(tmp_path: Path) -> None:
    shorter = verified(tmp_path / "p", growth(5, 7).replace("old 5", "old 9"), head=note(9))
    assert not shorter.verified and "truncated" in shorter.finding
    anew = [b"x", *LOG.lines[1:]]
    rewritten = verified(tmp_path / "p", growth(5, 11), head=note(5, lines=anew))
    assert not rewritten.verified and "rewritten" in rewritten.finding
    two = verified(tmp_path / "p", growth(11, 11), head=note(11, lines=anew))
    assert not two.verified and "rewritten" in two.finding
    stranger = verified(tmp_path / "p", growth(5, 11), head=note(5, private_key(2)))
    assert not stranger.verified and "not signed by the key" in stranger.finding
    another = verified(tmp_path / "p", growth(5, 11), head=note(6))
    assert not another.verified and "of 6" in another.finding


def test_inputs_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "p").write_text(growth(5, 11))
    with pytest.raises(UnusableInput, match="--head"):
        verify_proof(tmp_path / "p", vkey(KEY))
    with pytest.raises(UnusableInput, match="key"):
        verify_proof(tmp_path / "p", "no key", head=note(5))
    with pytest.raises(UnusableInput, match="cannot be read"):
        is_proof(tmp_path / "none")


def test_the_verifiers_own_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    proof, head = tmp_path / "proof", tmp_path / "head"
    proof.write_text(inclusion(2, 11))
    assert main([str(proof), "--key", vkey(KEY)]) == 0
    assert "this is entry 2 of the log" in capsys.readouterr().out
    assert main([str(proof)]) == 2
    assert "--key" in capsys.readouterr().err
    proof.write_text(growth(5, 11))
    head.write_text(note(5))
    assert main([str(proof), "--key", vkey(KEY), "--head", str(head), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["before"] == 5
    proof.write_text(growth(5, 11).replace("old 5", "old 4"))
    assert main([str(proof), "--key", vkey(KEY), "--head", str(head)]) == 1
