"""Logs, checkpoints and exports made without the writer's code: plain JSON, a naive tree, and `cryptography`."""

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ORIGIN = "example.com/log"
NOON = 1_800_000_000_000_000


def private_key(seed: int = 1) -> Ed25519PrivateKey:
    """A key that is the same in every run."""
    return Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)


def vkey(private: Ed25519PrivateKey, name: str = ORIGIN, type: int = 1) -> str:
    """The C2SP text of its public half."""
    raw = bytes([type]) + private.public_key().public_bytes_raw()
    return f"{name}+{key_id(private, name, type).hex()}+{base64.b64encode(raw).decode()}"


def key_id(private: Ed25519PrivateKey, name: str = ORIGIN, type: int = 1) -> bytes:
    """The four bytes that name the key."""
    raw = bytes([type]) + private.public_key().public_bytes_raw()
    return hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]


def leaf(line: bytes) -> bytes:
    """RFC 6962: the hash of a leaf."""
    return hashlib.sha256(b"\x00" + line).digest()


def naive_root(leaves: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962 section 2.1, word by word, over leaf hashes."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + naive_root(leaves[:split]) + naive_root(leaves[split:])).digest()


class Log:
    """Lines of several writers, each chained to the one before."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self._heads: dict[str, tuple[int, str]] = {}

    def add(self, kind: str, writer: str = "w1", time: int | None = None, **fields: Any) -> bytes:
        """Append an entry; one microsecond passes between two."""
        seq, prev = self._heads.get(writer, (0, "0" * 64))
        envelope = {"kind": kind, "v": 1, "writer": writer, "seq": seq}
        envelope |= {"time": NOON + len(self.lines) if time is None else time, "prev": prev}
        line = json.dumps(envelope | fields, separators=(",", ":"), ensure_ascii=False).encode()
        self._heads[writer] = (seq + 1, leaf(line).hex())
        self.lines.append(line)
        return line


def sample() -> Log:
    """Twelve entries of two writers: a permit with its outcome, a denial that was approved, and a permit still open."""
    log = Log()
    log.add("writer.opened", process=1)
    log.add("decision", id="d1", effect="permit", approval=None, resource="größe.txt")
    log.add("writer.opened", "w2", process=2)
    log.add("outcome", decision="d1", status="succeeded")
    log.add("decision", "w2", id="d2", effect="deny", approval="a1")
    log.add("approval.requested", "w2", id="a1", decision="d2")
    log.add("task.opened", task="t1", scope={"paths": ["/a", "/b"], "depth": 2})
    log.add("approval", id="a1", decision="d2", state="approved")
    log.add("decision", "w2", id="d3", effect="permit", approval="a1")
    log.add("outcome", "w2", decision="d3", status="failed")
    log.add("decision", id="d4", effect="permit", approval=None)
    log.add("key.destroyed", "w2", task="t1")
    return log


def signature(private: Ed25519PrivateKey, text: str, name: str = ORIGIN) -> str:
    """The log's signature line."""
    signed = key_id(private, name) + private.sign(text.encode())
    return f"— {name} {base64.b64encode(signed).decode()}\n"


def cosignature(private: Ed25519PrivateKey, text: str, name: str, second: int) -> str:
    """The signature line of a witness (C2SP tlog-cosignature, Ed25519)."""
    signed = private.sign(f"cosignature/v1\ntime {second}\n{text}".encode())
    return f"— {name} {base64.b64encode(key_id(private, name, 4) + second.to_bytes(8, 'big') + signed).decode()}\n"


def checkpoint_text(lines: Sequence[bytes], origin: str = ORIGIN, size: int | None = None, root: bytes | None = None) -> str:
    """Origin, size and root; the true ones unless given."""
    root = naive_root([leaf(line) for line in lines]) if root is None else root
    return f"{origin}\n{len(lines) if size is None else size}\n{base64.b64encode(root).decode()}\n"


def signed_note(lines: Sequence[bytes], private: Ed25519PrivateKey | None = None) -> str:
    """A checkpoint over these lines, signed."""
    text = checkpoint_text(lines)
    return f"{text}\n{signature(private or private_key(), text)}"


def export_bytes(lines: Sequence[bytes], note: str | None = None, key: str | None = None, origin: str = ORIGIN) -> bytes:
    """An export of these lines, true unless told otherwise."""
    note = signed_note(lines) if note is None else note
    head = f"remit-log-export/1 {origin}\nkey {vkey(private_key()) if key is None else key}\n".encode()
    return head + b"".join(line + b"\n" for line in lines) + b"\n" + note.encode()


def write(path: Path, content: bytes) -> Path:
    """Write a file anew and return its path."""
    path.unlink(missing_ok=True)  # ext4 flushes a file that is truncated and written again
    path.write_bytes(content)
    return path
