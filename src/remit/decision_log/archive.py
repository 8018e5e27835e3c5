"""The sealed part of the log as segments of one size, and the signed manifest: which files they are, and to which head they lead."""

import base64
import re
from collections.abc import Sequence
from typing import NamedTuple

from remit.model.errors import corrupt, malformed, refused
from remit.model.signing import Signer, VerificationKey, Verifier, decode_base64

HEADER = "remit-log-archive/1"
MANIFEST = "manifest"
SEGMENT = 65_536
"""Entries of a segment: a full tile of level 1, so that its root is one hash of the stored tree."""
_LINE = re.compile("segment ([0-9a-f]{64}) ([0-9a-f]{64})")


class Segment(NamedTuple):
    """One segment that was written: SHA-256 of its file, and the root over its entries (32 bytes each)."""

    digest: bytes
    root: bytes


def segment_name(n: int) -> str:
    """The file of segment `n`, which names its first entry."""
    return f"entries-{n * SEGMENT:012}.parquet"


def manifest_text(segments: Sequence[Segment], signer: Signer, growth: str) -> str:
    """The manifest: the segments as a signed note, and how the log grew from them to its signed head (see docs/log-format.md)."""
    key = VerificationKey(signer.name, signer.public_key)
    lines = "".join(f"segment {segment.digest.hex()} {segment.root.hex()}\n" for segment in segments)
    text = f"{HEADER} {key.name}\nkey {key.text}\n{lines}"
    signed = base64.b64encode(key.id + signer.sign(text.encode())).decode()
    return f"{text}\n— {key.name} {signed}\n\n{growth}"


def read_manifest(text: str, verifier: Verifier) -> list[Segment]:
    """The segments of a manifest that this key signed. What it says of growth is written anew each time, and not read.

    Raises `RemitError`: malformed if it is no manifest, refused if it is another log's, corrupt if it was changed.
    """
    key = verifier.key
    note, _, rest = text.partition("\n\n")
    first, second, *lines = [*note.split("\n"), ""]
    if not first.startswith(f"{HEADER} "):
        raise malformed(f"it does not begin with `{HEADER}`: it is no archive, or one of another version")
    if (first, second) != (f"{HEADER} {key.name}", f"key {key.text}"):
        raise refused(f"it is an archive of another log than `{key.name}`, or of another key: give another folder")
    signature = decode_base64(rest.split("\n")[0].removeprefix(f"— {key.name} "))
    if signature is None or signature[:4] != key.id or not verifier.verify(f"{note}\n".encode(), signature[4:]):
        raise corrupt("its signature is wrong: it was changed; restore it, or archive into another folder")
    return [_segment(line) for line in lines[:-1]]


def _segment(line: str) -> Segment:
    found = _LINE.fullmatch(line)
    if found is None:
        raise corrupt(f"`{line}` names no segment: restore the manifest, or archive into another folder")
    return Segment(bytes.fromhex(found[1]), bytes.fromhex(found[2]))
