"""Who stands for a log: the key that a file names and the signatures below its checkpoint, against whom the caller trusts."""

from .notes import LOG_KEY, Key, Note, Wrong, is_name, read_key
from .report import Findings, shown
from .trust import Trust


class Signing:
    """What is known of a log's name and key, and who cosigned."""

    def __init__(self, trust: Trust, findings: Findings) -> None:
        self._trust, self._findings = trust, findings
        self.key: Key | None = next(iter(trust.logs), None)
        self.origin = ""
        self.cosigned: dict[str, int] = {}

    @property
    def pinned(self) -> bool:
        """Whether the log's key was got from elsewhere."""
        return bool(self._trust.logs)

    def take_name(self, origin: str, key_line: bytes) -> bool:
        """Take the first two lines of a file; whether its name is one."""
        if not is_name(origin):
            return False
        self.origin = origin
        try:
            key = _key_of_line(key_line)
        except Wrong as wrong:
            self._findings.add(2, "key", str(wrong))
            return True
        trusted = not self._trust.logs or key in self._trust.logs
        if not trusted:
            self._findings.add(2, "key", "the export names another key than the one given: another log's, or forged")
        elif key.name != self.origin:
            self._findings.add(2, "key", f"the key is of `{shown(key.name)}`, the export of `{shown(self.origin)}`")
        if trusted:
            self.key = key
        return True

    def check(self, note: Note, line: int) -> None:
        """Check a checkpoint that begins on `line`: its origin, and every signature."""
        name, id, signature = note.signatures[0]
        at = line + 4
        if self.key is None or (name, id) != (self.key.name, self.key.id):
            self._findings.add(at, "signature", "the checkpoint is not signed by the key of the log: it is forged")
        elif not self.key.signed(note.text.encode(), signature):
            self._findings.add(at, "signature", "the log's key did not sign this checkpoint: it was changed or forged")
        before, cosigned = ("", b""), set[Key]()
        for name, id, signature in note.signatures[1:]:
            at += 1
            witness = self._trust.witness(name, id)
            second = witness.cosigned(note, signature) if witness else None
            if witness is None or second is None:
                # INVARIANT (the log convinces a stranger): a signature that cannot be checked would be bytes nothing covers.
                why = "it is not of this checkpoint" if witness else "its key was not given"
                self._findings.add(at, "signature", f"the signature of `{shown(name)}` does not verify: {why}")
            elif (name, id) <= before:
                self._findings.add(at, "signature", "witnesses are not in the order of their names, or one stands twice")
            else:
                self.cosigned[name] = second
                cosigned.add(witness)
            before = (name, id)
        if not self._trust.enough(cosigned):
            self._findings.add(at, "quorum", "fewer witnesses cosigned the checkpoint than the policy demands")
        if note.origin != self.origin:
            message = f"the checkpoint is of `{shown(note.origin)}`, the export of `{shown(self.origin)}`"
            self._findings.add(line, "checkpoint", message)


def _key_of_line(line: bytes) -> Key:
    if not line.startswith(b"key ") or not line.endswith(b"\n"):
        raise Wrong("the second line of an export is `key` and the log's key")
    return read_key(line[4:-1].decode(errors="surrogateescape"), LOG_KEY)
