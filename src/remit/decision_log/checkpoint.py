"""The head of the log as a stranger can hold us to it: a C2SP tlog-checkpoint in a C2SP signed-note."""

import base64
import re
from collections.abc import Iterable

import msgspec

from remit.model.errors import malformed, refused
from remit.model.signing import Signer, VerificationKey, Verifier, check_key_name, decode_base64

HASH_BYTES = 32
MAX_SIZE = 2**63 - 1
MAX_SIGNATURES = 64
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_LINE = re.compile(r"— ([^ ]+) ([A-Za-z0-9+/=]+)")


class Checkpoint(msgspec.Struct, frozen=True):
    """A log's size and Merkle root (32 bytes); `origin` says which log. Raises `RemitError` (malformed) for what cannot be one."""

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        check_key_name(self.origin)
        if not 0 <= self.size <= MAX_SIZE or len(self.root) != HASH_BYTES:
            raise malformed(f"no log has size `{self.size}` and a root of {len(self.root)} bytes: the root has 32")

    @property
    def text(self) -> str:
        """The note text: origin, size and root, a line each (C2SP tlog-checkpoint)."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


class Signature(msgspec.Struct, frozen=True):
    """One signature line of a note: who signed, with which key (4 bytes), and the signature."""

    name: str
    key_id: bytes
    signature: bytes


def parse_checkpoint(text: str) -> Checkpoint:
    """Read a note text strictly: three lines, one spelling; extension lines are refused. Raises `RemitError` (malformed)."""
    lines = text.split("\n")
    if len(lines) != 4 or lines[3]:
        raise malformed("a checkpoint has three lines (origin, size, root): this text has not")
    origin, size, root = lines[0], lines[1], decode_base64(lines[2])
    if not _SIZE.fullmatch(size):
        raise malformed(f"`{size}` is no size of a log: write it in decimal without leading zeroes")
    if root is None:
        raise malformed(f"`{lines[2]}` is no root hash: write 32 bytes in canonical Base64")
    return Checkpoint(origin, int(size), root)


def sign_checkpoint(checkpoint: Checkpoint, signer: Signer) -> str:
    """The signed note. Raises `RemitError` (refused) if the key is not named after the log.

    The caller answers for signing only what extends every checkpoint signed before.
    """
    if signer.name != checkpoint.origin:
        raise refused(f"key `{signer.name}` does not sign for log `{checkpoint.origin}`: use the log's own key")
    return sign_note(checkpoint.text, signer)


def sign_note(text: str, signer: Signer) -> str:
    """A text, which ends with a newline, as a note with one signature."""
    key_id = VerificationKey(signer.name, signer.public_key).id
    signed = base64.b64encode(key_id + signer.sign(text.encode())).decode()
    return f"{text}\n— {signer.name} {signed}\n"


def split_note(note: str) -> tuple[str, list[Signature]]:
    """A signed note's text and its signatures, none of them checked. Raises `RemitError` (malformed) if it is not one."""
    text, blank, block = note.rpartition("\n\n")
    if not blank or not block.endswith("\n") or any(char < " " and char != "\n" for char in note):
        raise malformed("this is no signed note: it needs a text, a blank line and signature lines")
    lines = block[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise malformed(f"this note has {len(lines)} signatures: at most {MAX_SIGNATURES} are read")
    return text + "\n", [_signature(line) for line in lines]


def with_signatures(note: str, lines: Iterable[str]) -> str:
    """The note with more signature lines, none of them checked: one of each key, the log's first, the others by name and key.

    Raises `RemitError` (malformed).
    """
    text, _, block = note.rpartition("\n\n")
    first, *others = block.removesuffix("\n").split("\n")
    found = {(one.name, one.key_id): line for line in (*others, *lines) for one in [_signature(line)]}
    return "\n".join([text, "", first, *(found[key] for key in sorted(found)), ""])


def verify_checkpoint(note: str, verifier: Verifier) -> Checkpoint:
    """The checkpoint in a note that this key signed; signatures of other keys are passed over, as signed-note demands.

    Raises `RemitError`: malformed if it is no such note, refused if it does not verify.
    """
    text, key = open_note(note, verifier, "the checkpoint"), verifier.key
    checkpoint = parse_checkpoint(text)
    if checkpoint.origin != key.name:
        raise refused(f"a checkpoint of `{checkpoint.origin}` is signed by the key of `{key.name}`: it is another log's")
    return checkpoint


def open_note(note: str, verifier: Verifier, what: str) -> str:
    """The text of a note that this key signed; other signatures are passed over. Raises `RemitError` as `verify_checkpoint` does."""
    text, signatures = split_note(note)
    key = verifier.key
    ours = [found.signature for found in signatures if (found.name, found.key_id) == (key.name, key.id)]
    if not ours:
        raise refused(f"{what} is not signed by `{key.text}`: it is another log's, or forged")
    if not all(verifier.verify(text.encode(), signature) for signature in ours):
        raise refused(f"the signature of `{key.name}` on {what} is wrong: it was changed, or forged")
    return text


def _signature(line: str) -> Signature:
    found = _LINE.fullmatch(line)
    raw = decode_base64(found[2]) if found else None
    if found is None or raw is None or len(raw) < 5:
        raise malformed(f"`{line}` is no signature line: it reads `— name base64`")
    check_key_name(found[1])
    return Signature(found[1], raw[:4], raw[4:])
