"""A small witness of our own (C2SP tlog-witness), with its own key and its own memory, to be run as another process.

`python -m tests.witness NAME FOLDER VKEY...` makes its key in FOLDER (ML-DSA-44 if there is a file `ml-dsa`), serves the logs of these
keys on loopback, and prints its own vkey and its address.
"""

import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from remit.decision_log.verify.notes import LOG_KEY, Key, Note, Wrong, read_key, read_note, unbase64
from remit.decision_log.verify.tree import grew

ROOT = Path(__file__).resolve().parents[1]


class Refused(Exception):
    """The status to answer with, and what to say."""


class Witness:
    """Cosigns what extends what it cosigned before."""

    def __init__(self, name: str, folder: Path, logs: list[Key]) -> None:
        self._file = folder / "seen.json"
        self._logs = {key.name: key for key in logs}
        self._lock = threading.Lock()
        self._private: Any = MLDSA44PrivateKey if (folder / "ml-dsa").exists() else Ed25519PrivateKey
        seed = folder / "key"
        if not seed.exists():
            seed.write_bytes(os.urandom(32))
        if self._private is MLDSA44PrivateKey:
            self._private = MLDSA44PrivateKey.from_seed_bytes(seed.read_bytes())
            self.key = Key(name, 6, self._private.public_key().public_bytes_raw())
        else:
            self._private = Ed25519PrivateKey.from_private_bytes(seed.read_bytes())
            self.key = Key(name, 4, self._private.public_key().public_bytes_raw())

    def add_checkpoint(self, body: bytes) -> str:
        """The cosignature line. Raises `Refused`."""
        proof, _, rest = body.partition(b"\n\n")
        try:
            note = read_note(rest)
            old, *lines = proof.decode().split("\n")
            before, hashes = int(old.removeprefix("old ")), [unbase64(line) for line in lines]
        except (Wrong, ValueError) as error:
            raise Refused(400, str(error)) from None
        key = self._logs.get(note.origin)
        if key is None:
            raise Refused(404, "unknown log")
        ours = [signature for name, id, signature in note.signatures if (name, id) == (key.name, key.id)]
        if not ours or not all(key.signed(note.text.encode(), signature) for signature in ours):
            raise Refused(403, "not signed by the log")
        with self._lock:
            return self._cosign(note, before, [one or b"" for one in hashes])

    def _cosign(self, note: Note, before: int, hashes: list[bytes]) -> str:
        seen = json.loads(self._file.read_text()) if self._file.exists() else {}
        size, root = seen.get(note.origin, [0, hashlib.sha256().hexdigest()])
        if before > note.size:
            raise Refused(400, "the old size is larger")
        if before != size:
            raise Refused(409, f"{size}\n")
        if (before == 0 and hashes) or not grew(before, bytes.fromhex(root), note.size, note.root, hashes):
            raise Refused(422, "it did not grow from what was seen")
        seen[note.origin] = [note.size, note.root.hex()]
        partial = self._file.with_suffix(".partial")
        partial.write_text(json.dumps(seen))
        os.replace(partial, self._file)
        return self._line(note)

    def _line(self, note: Note) -> str:
        second = time.time_ns() // 10**9  # noqa: TID251 - a process of its own
        if self.key.type == 6:
            name, origin = self.key.name.encode(), note.origin.encode()
            message = b"subtree/v1\n\x00" + bytes([len(name)]) + name + second.to_bytes(8, "big")
            message += bytes([len(origin)]) + origin + bytes(8) + note.size.to_bytes(8, "big") + note.root
        else:
            message = f"cosignature/v1\ntime {second}\n{note.text}".encode()
        signed = self.key.id + second.to_bytes(8, "big") + self._private.sign(message)
        return f"— {self.key.name} {base64.b64encode(signed).decode()}\n"


def main(name: str, folder: str, *logs: str) -> None:
    """Serve until the process is ended."""
    witness = Witness(name, Path(folder), [read_key(log, LOG_KEY) for log in logs])

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                if self.path != "/w/add-checkpoint":
                    raise Refused(404, "no such path")
                status, text = 200, witness.add_checkpoint(body)
            except Refused as refused:
                status, text = refused.args
            self.send_response(status)
            self.send_header("Content-Type", "text/x.tlog.size" if status == 409 else "text/plain")
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *arguments: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(witness.key.text, f"http://127.0.0.1:{server.server_address[1]}/w", flush=True)
    server.serve_forever()


@contextmanager
def served(name: str, folder: Path, *logs: str, ml_dsa: bool = False) -> Iterator[tuple[str, str]]:
    """The witness in a process of its own: its vkey and its address."""
    folder.mkdir(exist_ok=True)
    if ml_dsa:
        (folder / "ml-dsa").touch()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.witness", name, str(folder), *logs], stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert process.stdout is not None
        vkey, url = process.stdout.readline().split()
        yield vkey, url
    finally:
        process.kill()
        process.communicate()


if __name__ == "__main__":
    main(*sys.argv[1:])
