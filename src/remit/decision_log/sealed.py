"""What a decision entry keeps sealed under its task's key, and how it is opened again."""

import msgspec

from remit.decision_log.entry import DecisionMade
from remit.decision_log.sealing import SealKey
from remit.model.decision import Steering


class SealedDecision(msgspec.Struct, frozen=True, gc=False):
    """Arguments in canonical form, what policies could read, and what was said."""

    arguments: msgspec.Raw
    read: msgspec.Raw
    message: str
    errors: tuple[str, ...] = ()
    entities: tuple[str, ...] = ()
    steering: tuple[Steering, ...] = ()


encode_sealed = msgspec.json.Encoder().encode
_decode_sealed = msgspec.json.Decoder(SealedDecision).decode


def open_sealed(entry: DecisionMade, key: SealKey | None) -> SealedDecision | None:
    """The sealed part of a decision entry, or None once its key was destroyed."""
    return None if key is None else _decode_sealed(key.open(entry.sealed, entry.id))
