"""Which logs and witnesses are trusted, and how many of these must have cosigned: a C2SP tlog-policy file."""

from dataclasses import dataclass, field

from .notes import LOG_KEY, WITNESS_KEYS, Key, Wrong, read_key
from .report import shown

MAX_LINES = 1000
NONE = "none"


@dataclass(frozen=True)
class Witness:
    """A witness by the name the policy gives it; `url` is where it can be asked, empty where only its key is known."""

    name: str
    key: Key
    url: str


@dataclass
class Policy:
    """What a policy file says. `groups` maps a name to how many of which members must have cosigned."""

    logs: list[Key] = field(default_factory=list)
    witnesses: dict[str, Witness] = field(default_factory=dict)
    groups: dict[str, tuple[int, list[str]]] = field(default_factory=dict)
    quorum: str = ""

    def satisfied(self, cosigned: set[Key]) -> bool:
        """Whether these witnesses are enough."""
        return self.quorum == NONE or self._witnessed(self.quorum, cosigned)

    def _witnessed(self, name: str, cosigned: set[Key]) -> bool:
        if name in self.witnesses:
            return self.witnesses[name].key in cosigned
        needed, members = self.groups[name]
        return sum(self._witnessed(member, cosigned) for member in members) >= needed


def read_policy(raw: bytes) -> Policy:
    """Read a policy file strictly. Raises `Wrong`, naming the line."""
    if any((byte < 0x20 and byte not in b"\t\n") or byte == 0x7F for byte in raw):
        raise Wrong("a policy has no other control characters than tab and newline")
    policy, members = Policy(), set[str]()
    lines = raw.decode("utf-8", "surrogateescape").split("\n")
    if len(lines) > MAX_LINES:
        raise Wrong(f"a policy has at most {MAX_LINES} lines")
    for number, line in enumerate(lines, 1):
        words = [word for word in line.replace("\t", " ").split(" ") if word]
        if not words or words[0].startswith("#"):
            continue
        try:
            _read_line(policy, members, words)
        except Wrong as wrong:
            raise Wrong(f"line {number} of the policy: {wrong}") from None
    if not policy.quorum:
        raise Wrong("a policy says its `quorum`: the name of a witness or group, or `none`")
    return policy


def _read_line(policy: Policy, members: set[str], words: list[str]) -> None:
    match words:
        case ["log", vkey] | ["log", vkey, _]:
            key = read_key(vkey, LOG_KEY)
            if key.public in {known.public for known in policy.logs}:
                raise Wrong("this log stands twice")
            policy.logs.append(key)
        case ["witness", name, vkey] | ["witness", name, vkey, _]:
            _new_name(policy, name)
            key = read_key(vkey, *WITNESS_KEYS)
            if key.public in {known.key.public for known in policy.witnesses.values()}:
                raise Wrong("this witness stands twice")
            policy.witnesses[name] = Witness(name, key, words[3] if len(words) == 4 else "")
        case ["group", name, needed, _, *_]:
            _new_name(policy, name)
            policy.groups[name] = (_needed(needed, len(words) - 3), _members(policy, members, words[3:]))
        case ["quorum", name]:
            if policy.quorum:
                raise Wrong("the quorum was said before")
            if name != NONE and name not in policy.witnesses and name not in policy.groups:
                raise Wrong(f"`{shown(name)}` is no witness or group above")
            policy.quorum = name
        case _:
            raise Wrong("it is none of: log KEY [URL], witness NAME KEY [URL], group NAME all|any|NUMBER NAME..., quorum NAME")


def _new_name(policy: Policy, name: str) -> None:
    if name == NONE or name in policy.witnesses or name in policy.groups:
        raise Wrong(f"the name `{shown(name)}` is taken")


def _needed(text: str, count: int) -> int:
    needed = {"any": 1, "all": count}.get(text) or (int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else 0)
    if not 1 <= needed <= count or (text.isdecimal() and str(needed) != text):
        raise Wrong(f"of {count} members `all`, `any`, or a number up to {count} must have cosigned, not `{shown(text)}`")
    return needed


def _members(policy: Policy, taken: set[str], names: list[str]) -> list[str]:
    for name in names:
        if name not in policy.witnesses and name not in policy.groups:
            raise Wrong(f"`{shown(name)}` is no witness or group above")
        if name in taken:
            raise Wrong(f"`{shown(name)}` is a member already: each can count in one way only")
        taken.add(name)
    return names
