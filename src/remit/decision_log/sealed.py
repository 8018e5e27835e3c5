"""What a decision entry keeps sealed under its task's key, and how it is opened again."""

from typing import Any

import msgspec

from remit.decision_log.entry import DecisionMade
from remit.decision_log.sealing import SealKey
from remit.model.decision import CallAbout, Steering, Written
from remit.model.errors import RemitError
from remit.pdp.provenance.seen import Report
from remit.pdp.told import told_of


class SealedOutside(msgspec.Struct, frozen=True, gc=False):
    """What an engine outside of the process said: when it was first asked (µs), and its answers by SHA-256 of what it was asked."""

    moment: int
    answers: dict[str, msgspec.Raw]


class SealedDecision(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Arguments in canonical form, what policies could read, and what was said; `properties` as they came with the request, if any did."""

    arguments: msgspec.Raw
    read: msgspec.Raw
    message: str
    errors: tuple[str, ...] = ()
    entities: tuple[str, ...] = ()
    steering: tuple[Steering, ...] = ()
    outside: SealedOutside | None = None
    properties: Any = None


encode_sealed = msgspec.json.Encoder().encode
_decode_sealed = msgspec.json.Decoder(SealedDecision).decode


def open_sealed(entry: DecisionMade, key: SealKey | None) -> SealedDecision | None:
    """The sealed part of a decision entry, or None once its key was destroyed."""
    return None if key is None else _decode_sealed(key.open(entry.sealed, entry.id))


class SealedTold(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What facts need to know of a call: what it was about, when its outcome was reported (µs), and how it ended."""

    about: CallAbout
    reported: int
    status: str


class SealedObservation(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What a session saw come back of one call: the text, the values it was called with, whether untrusted text chose them, and whether
    the tool's platform keeps its fields apart from what people write; `unseen` that nobody saw what came back; `told` what facts need;
    `written`, `reported`, `before` and `action` as a report has them."""

    text: str
    arguments: tuple[str, ...] = ()
    steered: bool = False
    records: bool = False
    unseen: bool = False
    told: SealedTold | None = None
    written: Written | None = None
    reported: int = 0
    before: int | None = None
    action: str = ""


_decode_observation = msgspec.json.Decoder(SealedObservation).decode


def seal_observation(key: SealKey, seen: SealedObservation, decision: str) -> bytes:
    """An observation under its task's key, bound to the decision that permitted the call."""
    return key.seal(encode_sealed(seen), _about(decision))


def open_observation(key: SealKey, sealed: bytes, decision: str) -> SealedObservation:
    """The observation again; of stores from before it was more than text, that. Raises `RemitError` (corrupt) if it was changed."""
    try:
        return _decode_observation(key.open(sealed, _about(decision)))
    except RemitError:
        return SealedObservation(key.open(sealed, decision).decode("utf-8", "replace"))


def report_of(key: SealKey | None, sealed: bytes, decision: str, source: str, untrusted: bool) -> Report:
    """What came back of a call, as provenance takes it; nothing where nobody saw it, or nobody can any more."""
    if key is None or not sealed:
        return Report(source, untrusted, None)
    return observed(source, untrusted, open_observation(key, sealed, decision))


def observed(source: str, untrusted: bool, seen: SealedObservation) -> Report:
    """The same, of an observation that is open."""
    text = None if seen.unseen else seen.text
    told = None
    if seen.told is not None:
        told = told_of(seen.told.about, text, seen.told.reported, seen.told.status, seen.records or not untrusted)
    about = seen.arguments, seen.steered, seen.records, told
    return Report(source, untrusted, text, *about, seen.written, seen.reported, seen.before, seen.action)


def _about(decision: str) -> str:
    return f"{decision} seen"
