"""What a decision entry keeps sealed under its task's key, and how it is opened again."""

import msgspec

from remit.decision_log.entry import DecisionMade
from remit.decision_log.sealing import SealKey
from remit.model.decision import Steering


class SealedOutside(msgspec.Struct, frozen=True, gc=False):
    """What an engine outside of the process said: when it was first asked (µs), and its answers by SHA-256 of what it was asked."""

    moment: int
    answers: dict[str, msgspec.Raw]


class SealedDecision(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Arguments in canonical form, what policies could read, and what was said."""

    arguments: msgspec.Raw
    read: msgspec.Raw
    message: str
    errors: tuple[str, ...] = ()
    entities: tuple[str, ...] = ()
    steering: tuple[Steering, ...] = ()
    outside: SealedOutside | None = None


encode_sealed = msgspec.json.Encoder().encode
_decode_sealed = msgspec.json.Decoder(SealedDecision).decode


def open_sealed(entry: DecisionMade, key: SealKey | None) -> SealedDecision | None:
    """The sealed part of a decision entry, or None once its key was destroyed."""
    return None if key is None else _decode_sealed(key.open(entry.sealed, entry.id))
