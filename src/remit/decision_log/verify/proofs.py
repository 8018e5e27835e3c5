"""A proof in a file of its own: that an entry is in the log (C2SP tlog-proof), or that the log only grew (as C2SP tlog-witness asks)."""

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from .entries import read_entry
from .notes import Key, Note, Wrong, read_note, unbase64
from .report import UnusableInput, clock, shown
from .tree import grew, included
from .trust import Trust, read_trust

INCLUSION = b"c2sp.org/tlog-proof@v1\n"
GROWTH = b"old "
MAX_PROOF = 128 * 1024 * 1024
MAX_HASHES = 63
_NUMBER = re.compile("0|[1-9][0-9]{0,18}")


@dataclass(frozen=True)
class ProofReport:
    """What a proof shows, if `verified`; else `finding` says what is wrong.

    `index` and `entry` are those of an entry that is in the log; `before` is the size of the head that the log grew from.
    """

    verified: bool
    origin: str
    key: str
    size: int
    root: str
    unwitnessed: bool
    witnesses: dict[str, int]
    index: int | None
    entry: dict[str, Any] | None
    before: int | None
    finding: str

    def to_json(self) -> str:
        """The report as one JSON object."""
        return json.dumps(asdict(self), indent=2)

    def to_text(self) -> str:
        """The report for people."""
        if not self.verified:
            return f"NOT VERIFIED: {self.finding}"
        witnesses = ", ".join(f"{name} at {clock(second * 1_000_000)}" for name, second in self.witnesses.items())
        what = f"the log only grew since it had {self.before} entries"
        if self.entry is not None:
            what = f"this is entry {self.index} of the log:\n{json.dumps(self.entry, indent=2, ensure_ascii=True)}"
        return "\n".join(
            [
                f"verified: {what}",
                f"log: {self.origin}, {self.size} entries",
                f"root: {self.root}",
                f"key: {self.key} (pinned)",
                f"witness: {witnesses or 'unwitnessed'}",
            ]
        )


def is_proof(path: str | Path) -> bool:
    """Whether a file is a proof, by how it begins. Raises `UnusableInput`."""
    return _read(path, len(INCLUSION)).startswith((INCLUSION, GROWTH))


def verify_proof(
    path: str | Path,
    key: str | None,
    *,
    witnesses: Sequence[str] = (),
    policy: bytes | None = None,
    head: str | None = None,
) -> ProofReport:
    """Verify a proof with the log's key, got from elsewhere (C2SP vkey); `witnesses` are theirs.

    A `policy` file (C2SP tlog-policy) can name all of these, and demand witnesses. `head` is the signed checkpoint kept from before,
    which a proof of growth needs. Raises `UnusableInput`.
    """
    raw, trust = _read(path, MAX_PROOF + 1), read_trust(key, witnesses, policy)
    if not trust.logs:
        raise UnusableInput("a proof does not name the log's key: give the one you know with --key, or in a --policy")
    try:
        kept = read_note(head.encode()) if head is not None else None
    except Wrong as wrong:
        raise UnusableInput(str(wrong)) from None
    if raw.startswith(GROWTH) and kept is None:
        raise UnusableInput("this proof shows that the log grew from a head: give that head, as it was kept, with --head")
    try:
        return _verified(raw, trust, kept)
    except Wrong as wrong:
        return ProofReport(False, "", "", 0, "", True, {}, None, None, None, str(wrong))


def _read(path: str | Path, count: int) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read(count)
    except OSError as error:
        raise UnusableInput(f"`{path}` cannot be read ({error.strerror}): give the path of a proof") from None


def _verified(raw: bytes, trust: Trust, head: Note | None) -> ProofReport:
    if len(raw) > MAX_PROOF:
        raise Wrong("it is too long for a proof")
    if raw.startswith(GROWTH) and head is not None:
        signed, before = _growth(raw, trust, head)
        index = entry = None
    else:
        signed, index, entry = _inclusion(raw, trust)
        before = None
    note, seen = signed.note, signed.seen
    root = base64.b64encode(note.root).decode()
    return ProofReport(True, note.origin, signed.key.text, note.size, root, not seen, seen, index, entry, before, "")


def _inclusion(raw: bytes, trust: Trust) -> tuple["_Signed", int, dict[str, Any]]:
    lines, checkpoint = _lines(raw[len(INCLUSION) :])
    if len(lines) < 2 or not lines[0].startswith("extra "):
        raise Wrong("it does not carry the entry it is about: it needs a line `extra` with the entry in Base64")
    line = unbase64(lines[0][6:])
    if line is None or not lines[1].startswith("index "):
        raise Wrong("after its first line it says `extra` and the entry in Base64, then `index` and a number")
    index, hashes = _number(lines[1][6:]), _hashes(lines[2:])
    signed = _checkpoint(checkpoint, trust)
    note = signed.note
    leaf = sha256(b"\x00" + line).digest()
    if included(leaf, index, note.size, hashes) != note.root:
        raise Wrong(f"the entry is not the one that was signed as entry {index}: it was changed, or the proof is forged")
    return signed, index, read_entry(line)[1]


def _growth(raw: bytes, trust: Trust, head: Note) -> tuple["_Signed", int]:
    before, hashes, checkpoint = read_growth(raw)
    signed = _checkpoint(checkpoint, trust)
    note = signed.note
    if _signer(head, trust, "the head that was kept") != signed.key:
        raise Wrong("the head that was kept and the checkpoint are of two logs")
    if before != head.size:
        raise Wrong(f"it is about a log of {before} entries, the head that was kept is of {head.size}")
    if head.size > note.size:
        raise Wrong(f"the log had {head.size} entries before, it now has {note.size}: it was truncated or rolled back")
    if not grew(before, head.root, note.size, note.root, hashes):
        raise Wrong(f"the first {before} entries are not those of the head that was kept: the log was rewritten")
    return signed, before


def read_growth(raw: bytes) -> tuple[int, list[bytes], bytes]:
    """The size that a proof of growth begins with, its hashes, and the checkpoint it leads to. Raises `Wrong`."""
    if not raw.startswith(GROWTH):
        raise Wrong("a proof of growth begins with `old` and a number of entries")
    lines, checkpoint = _lines(raw)
    return _number(lines[0][len(GROWTH) :]), _hashes(lines[1:]), checkpoint


def _lines(raw: bytes) -> tuple[list[str], bytes]:
    """The lines of the proof, and the checkpoint after the empty line."""
    proof, _, checkpoint = raw.partition(b"\n\n")
    try:
        return proof.decode("ascii").split("\n"), checkpoint
    except UnicodeDecodeError:
        raise Wrong("it has other characters than ASCII before its checkpoint") from None


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise Wrong(f"`{shown(text)}` is no number of entries: it is written in decimal, without leading zeroes")
    return int(text)


def _hashes(lines: Sequence[str]) -> list[bytes]:
    hashes = [unbase64(line) for line in lines]
    found = [node for node in hashes if node is not None and len(node) == 32]
    if len(found) != len(lines) or len(lines) > MAX_HASHES:
        raise Wrong(f"a proof has at most {MAX_HASHES} hashes of 32 bytes, in Base64, each on a line")
    return found


class _Signed(NamedTuple):
    """A checkpoint, the log's key that signed it, and the second at which each known witness cosigned."""

    note: Note
    key: Key
    seen: dict[str, int]


def _checkpoint(raw: bytes, trust: Trust) -> _Signed:
    """The checkpoint, signed by the log and by enough witnesses; signatures of other keys are passed over."""
    note = read_note(raw)
    key = _signer(note, trust, "the checkpoint")
    seen, cosigned = dict[str, int](), set[Key]()
    for name, id, signature in note.signatures:
        witness = trust.witness(name, id)
        if witness is not None:
            second = witness.cosigned(note, signature)
            if second is None:
                raise Wrong(f"the cosignature of `{shown(name)}` is not of this checkpoint: it was changed or forged")
            seen[name] = second
            cosigned.add(witness)
    if not trust.enough(cosigned):
        raise Wrong("fewer witnesses cosigned the checkpoint than the policy demands")
    return _Signed(note, key, seen)


def _signer(note: Note, trust: Trust, what: str) -> Key:
    key = trust.signer(note)
    if key is None:
        raise Wrong(f"{what} is not signed by the key that was given: another log's, or forged")
    ours = [signature for name, id, signature in note.signatures if (name, id) == (key.name, key.id)]
    if not all(key.signed(note.text.encode(), signature) for signature in ours):
        raise Wrong(f"the log's key did not sign {what}: it was changed or forged")
    return key
