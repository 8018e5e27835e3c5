"""Whom a verification trusts: the log's key and the witnesses', given one by one or in a policy file."""

from collections.abc import Sequence
from dataclasses import dataclass

from .notes import LOG_KEY, WITNESS_KEYS, Key, Note, Wrong, read_key
from .policy import Policy, read_policy
from .report import UnusableInput


@dataclass(frozen=True)
class Trust:
    """Keys got from elsewhere. Without `logs`, a log is believed to be whose it says; without a policy no witness is demanded."""

    logs: tuple[Key, ...] = ()
    witnesses: tuple[Key, ...] = ()
    policy: Policy | None = None

    def signer(self, note: Note) -> Key | None:
        """The trusted log key that a note says it is signed with."""
        named = {(name, id) for name, id, _ in note.signatures}
        return next((key for key in self.logs if key.name == note.origin and (key.name, key.id) in named), None)

    def witness(self, name: str, id: bytes) -> Key | None:
        """The trusted witness that a signature line names."""
        return next((key for key in self.witnesses if (key.name, key.id) == (name, id)), None)

    def enough(self, cosigned: set[Key]) -> bool:
        """Whether as many witnesses cosigned as the policy demands."""
        return self.policy is None or self.policy.satisfied(cosigned)


def read_trust(key: str | None, witnesses: Sequence[str], policy: bytes | None) -> Trust:
    """Keys as texts (C2SP vkey), and a policy file's content. Raises `UnusableInput`."""
    try:
        said = read_policy(policy) if policy is not None else None
        logs = [read_key(key, LOG_KEY)] if key is not None else said.logs if said else []
        known = [read_key(witness, *WITNESS_KEYS) for witness in witnesses]
    except Wrong as wrong:
        raise UnusableInput(str(wrong)) from None
    known += [witness.key for witness in said.witnesses.values()] if said else []
    return Trust(tuple(logs), tuple(known), said)
